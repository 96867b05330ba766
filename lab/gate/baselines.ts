// Committed baselines: .windtunnel/baselines/NAME.json, from the folder that windtunnel is started in.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../scenarios/base/errors.ts';
import { mean } from '../../scenarios/base/statistics.ts';
import { version } from '../../scenarios/cli/version.ts';
import {
  BASELINE_SCHEMA_VERSION,
  type Baseline,
  type BaselineState,
  HISTORY_MAX,
} from '../../scenarios/formats/baseline.ts';
import type { FigureBlocks } from '../../scenarios/formats/comparison.ts';
import { didYouMean } from '../../scenarios/formats/suggest.ts';

export const BASELINES = join('.windtunnel', 'baselines');

const fileOf = (name: string): string => join(BASELINES, `${name}.json`);

/** Names of baselines are names of files. */
export function checkName(name: string): string {
  if (/^[A-Za-z0-9][\w.@-]*$/.test(name)) return name;
  throw new UserError(`${JSON.stringify(name)} is no name for a baseline`, {
    hint: 'letters, digits, ".", "_", "@" and "-"; give one with --name',
  });
}

/** All that there are, in order of name. */
export const baselineNames = (): string[] =>
  existsSync(BASELINES)
    ? readdirSync(BASELINES)
        .filter(name => name.endsWith('.json'))
        .map(name => name.slice(0, -'.json'.length))
        .sort()
    : [];

/** null: there is none of that name. */
export function findBaseline(name: string): Baseline | null {
  const path = fileOf(checkName(name));
  if (!existsSync(path)) return null;
  let value: Partial<Baseline> | null;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new UserError(`${path} is not valid JSON: ${(error as Error).message}`, {
      hint: 'take it back from version control, or save it again',
    });
  }
  if (value?.kind !== 'baseline') throw new UserError(`${path} is no baseline of windtunnel`);
  if (value.schemaVersion !== BASELINE_SCHEMA_VERSION) {
    throw new UserError(
      `${path} has schema version ${value.schemaVersion}, this version of windtunnel reads ${BASELINE_SCHEMA_VERSION}`,
      { hint: `save it again: windtunnel baseline save RUN --name ${name}` },
    );
  }
  return value as Baseline;
}

/** A UserError where there is none. */
export function readBaseline(name: string, save = 'windtunnel baseline save RUN'): Baseline {
  const found = findBaseline(name);
  if (found !== null) return found;
  const names = baselineNames();
  throw new UserError(`there is no baseline "${name}"`, {
    hint:
      didYouMean(name, names) ??
      `save one: ${save}${names.length === 0 ? '' : `; there: ${names.join(', ')}`}`,
  });
}

/** The commit of the working folder, where git knows one. */
export function commitHere(): string | null {
  try {
    const said = execFileSync('git', ['rev-parse', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return said.trim() || null;
  } catch {
    return null;
  }
}

const meanOf = ({ values }: FigureBlocks): number | null => {
  const known = values.filter(value => value !== null);
  return known.length === 0 ? null : mean(known);
};

export const stateOf = ({ toolVersion, commit, figures }: Baseline): BaselineState => ({
  toolVersion,
  commit,
  means: Object.fromEntries(figures.map(figure => [figure.id, meanOf(figure)])),
});

/** The new state of a baseline, with those that it had before. */
export function withHistory(
  fresh: Omit<Baseline, 'schemaVersion' | 'kind' | 'toolVersion' | 'commit' | 'history'>,
  before: Baseline | null,
  commit: string | null = commitHere(),
): Baseline {
  const history = before === null ? [] : [...before.history, stateOf(before)].slice(-HISTORY_MAX);
  const { name, world, ...rest } = fresh;
  return {
    schemaVersion: BASELINE_SCHEMA_VERSION,
    kind: 'baseline',
    name,
    world,
    toolVersion: version,
    commit,
    ...rest,
    history,
  };
}

/** Written whole or not at all; returns the path. */
export function writeBaseline(baseline: Baseline): string {
  const path = fileOf(checkName(baseline.name));
  mkdirSync(BASELINES, { recursive: true });
  const aside = `${path}.new`;
  writeFileSync(aside, `${JSON.stringify(baseline, null, 1)}\n`);
  renameSync(aside, path);
  return path;
}
