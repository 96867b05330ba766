// Options shared by the commands that run a scenario: which one, on what, with which seed, where to.
import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import type { Argv } from 'yargs';
import { UserError } from '../base/errors.ts';
import { quoted } from '../base/shell-words.ts';
import { parseDeployment } from '../formats/deployment/deployment.ts';
import { REPORTER_OPTION } from '../formats/reporters.ts';
import type { RunHeader } from '../formats/run.ts';
import type { Source } from '../formats/source.ts';
import { isOfDeployment } from '../formats/vary.ts';
import { findInput } from './library.ts';
import { applySet, type LoadedScenario, type LoadOptions, loadScenario } from './load.ts';
import { resolveSource } from './resolve.ts';
import { claimFolder } from './run-folder.ts';
import { type CommonOptions, withCommon } from './terminal.ts';
import { readOptionsOf, selectionOf, TRACE_OPTIONS, type TraceOptions, withTrace } from './trace-options.ts';
import { version } from './version.ts';

export interface RunOptions extends CommonOptions, TraceOptions {
  scenario: string;
  deployment: string;
  routing?: string | undefined;
  seed: string | undefined;
  set: string[];
  out: string | undefined;
  strict: boolean;
  timing: 'causal' | 'absolute' | 'scaled' | undefined;
  'gap-scale': number | undefined;
  'scale-tokens': number | undefined;
  warm: boolean | undefined;
  concurrent: number | undefined;
  reporter?: string[];
  sessions: number | undefined;
}

const DEPLOYMENT = { alias: 'd', type: 'string', describe: 'deployment file or library entry' } as const;

/** Options of commands that run a scenario on a deployment. */
export const withRun = <T>(yargs: Argv<T>) =>
  withScenario(yargs)
    .option('deployment', { ...DEPLOYMENT, demandOption: true })
    .option('routing', {
      type: 'string',
      describe: "another router: a policy's name, or a file of your own such as ./mine.ts",
    })
    .option('reporter', REPORTER_OPTION);

/** The same where the deployment may be left out. */
export const withOptionalDeployment = <T>(yargs: Argv<T>) =>
  withScenario(yargs).option('deployment', DEPLOYMENT);

/** Which scenario, which seed, where to, and how a trace is replayed. */
export const withScenario = <T>(yargs: Argv<T>) =>
  withTrace(withCommon(yargs))
    .positional('scenario', {
      type: 'string',
      demandOption: true,
      describe: 'scenario file, library entry, written plan, or trace (file or folder)',
    })
    .option('seed', { type: 'string', describe: 'another seed: other agents' })
    .option('set', {
      type: 'string',
      array: true,
      default: [] as string[],
      describe: 'path=value of the scenario or deployment, e.g. params.postings=14, pools.main.replicas=3',
    })
    .option('out', { type: 'string', describe: 'run folder [windtunnel-runs/SCENARIO-DEPLOYMENT-WORLD]' })
    .option('strict', {
      type: 'boolean',
      default: false,
      describe: 'an unreadable part of a trace is an error',
    })
    .option('timing', {
      choices: ['causal', 'absolute', 'scaled'] as const,
      describe: 'traces: keep gaps after parents (default), recorded instants, or scaled gaps',
    })
    .option('gap-scale', { type: 'number', describe: 'traces: multiplies every gap' })
    .option('scale-tokens', {
      type: 'number',
      describe: 'traces: shrinks every length by this factor (0 to 1)',
    })
    .option('warm', { type: 'boolean', describe: 'traces: first prompts are already in the cache' })
    .option('concurrent', {
      type: 'number',
      describe: 'traces: so many sessions at a time [as they arrived, else all at once]',
    })
    .option('sessions', { type: 'number', describe: 'traces: only the first so many sessions' })
    .group(
      ['timing', 'gap-scale', 'scale-tokens', 'warm', 'concurrent', 'sessions', ...TRACE_OPTIONS],
      'Traces:',
    );

const seedOf = (text: string | undefined): number | string | undefined =>
  text !== undefined && /^-?\d+$/.test(text) ? Number(text) : text;

/** Of `--set`, what is for the deployment: paths that begin with a key which no scenario has. */
export const deploymentSet = (set: readonly string[]): string[] => set.filter(each => isOfDeployment(each));

export function loadOptionsOf(
  options: Omit<RunOptions, 'deployment'> & { deployment?: string | undefined },
): LoadOptions {
  const trace: LoadOptions['trace'] = {};
  const factor = options['scale-tokens'];
  if (factor !== undefined && !(factor > 0 && factor <= 1)) {
    throw new UserError(`--scale-tokens ${factor}: expected a factor above 0 and up to 1`, {
      hint: 'e.g. --scale-tokens 0.02',
    });
  }
  for (const name of ['concurrent', 'sessions'] as const) {
    const value = options[name];
    if (value !== undefined && !(Number.isInteger(value) && value > 0)) {
      throw new UserError(`--${name} ${value}: expected a whole number above 0`, {
        hint: `e.g. --${name} 8`,
      });
    }
  }
  const scale = options['gap-scale'];
  if (scale !== undefined && !(scale > 0)) {
    throw new UserError(`--gap-scale ${scale}: expected a factor above 0`, {
      hint: 'e.g. --gap-scale 0.1 for ten times faster',
    });
  }
  if (options.timing !== undefined) trace.timing = options.timing;
  if (options['gap-scale'] !== undefined) trace.gap_scale = options['gap-scale'];
  if (options['gap-cap'] !== undefined) trace.gap_cap = options['gap-cap'];
  if (factor !== undefined) trace.scale_tokens = factor;
  if (options.warm !== undefined) trace.warm = options.warm;
  if (options.concurrent !== undefined) trace.concurrent = options.concurrent;
  if (options.sessions !== undefined) trace.sessions = options.sessions;
  return {
    seed: seedOf(options.seed),
    set: options.deployment === undefined ? options.set : options.set.filter(each => !isOfDeployment(each)),
    strict: options.strict,
    trace,
    selection: selectionOf(options),
    read: readOptionsOf(options),
  };
}

export const loadRun = (
  options: Parameters<typeof loadOptionsOf>[0],
  how: Pick<LoadOptions, 'coldStart'> = {},
): LoadedScenario => loadScenario(options.scenario, { ...loadOptionsOf(options), ...how });

/** A deployment file with `path=value` overrides, read and checked against its schema. */
export function loadDeploymentFile(
  input: string,
  set: readonly string[] = [],
): {
  path: string;
  source: Source;
  sha256: string;
  parsed: ReturnType<typeof parseDeployment>;
} {
  const path = findInput(input, 'deployments');
  const read = resolveSource(path, 'deployments');
  const source = set.length === 0 ? read : { ...read, value: applySet(read.value, set) };
  const digest = sha256(JSON.stringify(source.value));
  return { path, source, sha256: digest, parsed: parseDeployment(source) };
}

/** SHA-256 of a text in UTF-8, hexadecimal. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** What a run is called: the same scenario on two deployments is two runs. */
export const runName = ({
  plan,
  deployment,
}: {
  plan: { name: string };
  deployment: { name: string };
}): string => `${plan.name}-${deployment.name}`;

/** Where a run goes, claimed: --out, or a folder of its own that the next run of the same name reuses. */
export function outFolder(options: { out: string | undefined }, name: string, world: string): string {
  // A scenario's name is free text; a folder's is not.
  const safe = name.replace(/[^\w.-]+/g, '-').replace(/^[.-]+/, '') || 'run';
  const folder = resolve(options.out ?? join('windtunnel-runs', `${safe}-${world}`));
  claimFolder(folder);
  return folder;
}

/** The header of a run. */
export function headerOf(input: {
  world: RunHeader['world'];
  loaded: LoadedScenario;
  deployment: { name: string; sha256: string };
  evidence: readonly string[];
  warnings: readonly string[];
  startedAt: string | null;
}): RunHeader {
  const plan = input.loaded.compiled?.plan;
  return {
    tool: { name: 'agent-windtunnel', version },
    world: input.world,
    seed: plan?.seed ?? 1,
    scenario: { name: plan?.name ?? '', sha256: plan?.sha256 ?? '' },
    deployment: { name: input.deployment.name, sha256: input.deployment.sha256 },
    command: commandLine(),
    startedAt: input.startedAt,
    evidence: [...input.evidence],
    warnings: [...input.warnings],
    ...(input.world === 'live'
      ? { environment: { node: process.version, platform: `${process.platform} ${process.arch}` } }
      : {}),
  };
}

/** The command as it can be typed again. */
export const commandLine = (): string => `windtunnel ${process.argv.slice(2).map(quoted).join(' ')}`;
