// Reads what a user names: a scenario file, a library entry, a written plan, or a recorded trace; and compiles it. The
// reading rim of scenarios/.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../base/errors.ts';
import type { Issue } from '../base/issue.ts';
import type { ImportReport, RecordedSession } from '../formats/recorded.ts';
import { type CohortFile, parseScenario, type ScenarioFile } from '../formats/scenario.ts';
import { parseSource, type Source } from '../formats/source.ts';
import { didYouMean } from '../formats/suggest.ts';
import { readTrace } from '../importers/read.ts';
import { readPlan } from '../plan-file.ts';
import { type Compiled, compile } from '../workflows/compile.ts';
import type { DrawnValues } from '../workflows/draws.ts';

const LIBRARY = join(dirname(fileURLToPath(import.meta.url)), '..', 'library');

/** Overrides from the command line. */
export interface LoadOptions {
  /** Replaces the file's seed. */
  seed?: number | string | undefined;
  /** `path=value`, dots between keys; the value is read as YAML. */
  set?: readonly string[];
  /** How a trace is replayed; only for traces named directly. */
  trace?: Partial<
    Pick<CohortFile, 'timing' | 'gap_scale' | 'gap_cap' | 'scale_tokens' | 'warm' | 'sessions'>
  > & { concurrent?: number };
  /** An unreadable part of a trace is an error. */
  strict?: boolean;
}

export interface LoadedScenario {
  /** As the user would type it again. */
  readonly input: string;
  readonly kind: 'scenario' | 'trace' | 'plan';
  readonly file: ScenarioFile | null;
  readonly source: Source;
  readonly compiled: Compiled | null;
  readonly issues: readonly Issue[];
  readonly imports: readonly ImportReport[];
  /** Recorded sessions by cohort. */
  readonly recorded: ReadonlyMap<number, readonly RecordedSession[]>;
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Names of built-in files: scenarios, or deployments. */
export function libraryNames(kind: 'scenarios' | 'deployments'): string[] {
  const folder = kind === 'scenarios' ? LIBRARY : join(LIBRARY, 'deployments');
  const names = readdirSync(folder).filter(name => name.endsWith('.yaml'));
  return names.map(name => name.slice(0, -5)).sort();
}

/** The path of what a user named: a file or folder, or a library entry with or without `library/`. */
export function findInput(input: string, kind: 'scenarios' | 'deployments'): string {
  const name = input.replace(/^library\//, '').replace(/\.yaml$/, '');
  const folder = kind === 'scenarios' ? LIBRARY : join(LIBRARY, 'deployments');
  const path = join(folder, `${name}.yaml`);
  // A bare name is the library's, whatever folder of that name lies around; `./name` is the folder.
  const isBare = /^[\w-]+$/.test(input);
  if (isBare && existsSync(path)) return path;
  if (existsSync(input)) return input;
  if (existsSync(path)) return path;
  const names = libraryNames(kind);
  const what = kind === 'scenarios' ? 'scenario, plan or trace' : 'deployment';
  throw new UserError(`no ${what} "${input}": neither a file nor in the library`, {
    hint: didYouMean(name, names) ?? `library: ${names.join(', ')}`,
  });
}

const readText = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UserError(`cannot read ${path}: ${(error as Error).message}`);
  }
};

/** Sets `a.b.0.c=value` in a parsed document. */
function applySet(value: unknown, assignments: readonly string[]): unknown {
  const root = structuredClone(value);
  for (const assignment of assignments) {
    const equals = assignment.indexOf('=');
    if (equals < 1)
      throw new UserError(`--set ${assignment}: expected path=value`, {
        hint: 'e.g. --set params.postings=14',
      });
    const path = assignment.slice(0, equals).split('.');
    const parsed = parseSource(assignment.slice(equals + 1), '--set');
    if (parsed.issues.length > 0) throw new UserError(`--set ${assignment}: the value is not valid YAML`);
    let at = root as Record<string, unknown>;
    for (const key of path.slice(0, -1)) {
      if (typeof at[key] !== 'object' || at[key] === null) {
        const known = Object.keys(at);
        throw new UserError(`--set ${assignment}: nothing is at "${key}"`, {
          hint: didYouMean(key, known) ?? `there: ${known.join(', ')}`,
        });
      }
      at = at[key] as Record<string, unknown>;
    }
    at[path.at(-1) as string] = parsed.value;
  }
  return root;
}

/** Reads, checks and compiles; problems of the file are returned, a missing file throws a UserError. */
export function loadScenario(input: string, options: LoadOptions = {}): LoadedScenario {
  const path = findInput(input, 'scenarios');
  if (statSync(path).isDirectory() || /\.jsonl?$/.test(path)) {
    const plan = statSync(path).isDirectory() ? null : readPlan(readText(path), path);
    if (plan === null) return loadTrace([path], input, options);
    const source = parseSource(plan.scenario, `${path} (scenario inside)`);
    return compileSource({
      source,
      input,
      kind: 'plan',
      base: plan.base,
      drawn: plan.drawn,
      recorded: plan.recorded,
      options,
    });
  }
  const source = parseSource(readText(path), shown(path));
  return compileSource({
    source,
    input,
    kind: 'scenario',
    base: dirname(path),
    drawn: null,
    recorded: new Map(),
    options,
  });
}

const shown = (path: string): string => {
  const near = relative(process.cwd(), resolve(path));
  return near.startsWith('..') && path.includes('library') ? `library/${basename(path)}` : near;
};

interface SourceContext {
  source: Source;
  input: string;
  kind: LoadedScenario['kind'];
  /** Folder that traces are named from. */
  base: string;
  drawn: ReadonlyMap<string, DrawnValues> | null;
  /** Recorded sessions that a plan carries; others are read from their files. */
  recorded: ReadonlyMap<number, readonly RecordedSession[]>;
  options: LoadOptions;
}

function compileSource({
  source,
  input,
  kind,
  base,
  drawn,
  recorded,
  options,
}: SourceContext): LoadedScenario {
  const value = source.value === null ? null : applySet(source.value, options.set ?? []);
  const parsed = parseScenario({ ...source, value });
  const imports: ImportReport[] = [];
  const traces = new Map(recorded);
  if (parsed.file === null) {
    return {
      input,
      kind,
      file: null,
      source,
      compiled: null,
      issues: parsed.issues,
      imports,
      recorded: traces,
    };
  }
  const file = options.seed === undefined ? parsed.file : { ...parsed.file, seed: options.seed };
  for (const [index, cohort] of file.traffic.entries()) {
    if (cohort.trace === undefined || traces.has(index)) continue;
    const paths = (Array.isArray(cohort.trace) ? cohort.trace : [cohort.trace]).map(path =>
      resolve(base, path),
    );
    const { sessions, report } = readTrace(paths, { strict: options.strict ?? false });
    traces.set(index, sessions);
    imports.push(report);
  }
  const name = basename(source.file).replace(/\.(ya?ml|jsonl?)$/, '');
  const compiled = compile({ file, sha256: sha256(source.text), name, traces, drawn });
  return {
    input,
    kind,
    file,
    source,
    compiled,
    issues: [...parsed.issues, ...compiled.issues],
    imports,
    recorded: traces,
  };
}

/** A trace named directly becomes a scenario of one cohort. */
function loadTrace(paths: string[], input: string, options: LoadOptions): LoadedScenario {
  const { sessions, report } = readTrace(paths, { strict: options.strict ?? false });
  const { concurrent, ...how } = options.trace ?? {};
  const cohort: CohortFile = {
    name: 'trace',
    trace: paths,
    arrival: concurrent === undefined ? { at_once: true } : { closed: { agents: concurrent } },
    ...how,
  };
  const name = basename(resolve(paths[0] as string)).replace(/\.jsonl?$/, '');
  const file: ScenarioFile = { windtunnel: 1, name, seed: options.seed ?? 1, traffic: [cohort] };
  const text = JSON.stringify(
    { ...file, traffic: [{ ...cohort, trace: sessions.map(session => session.id) }] },
    null,
    1,
  );
  const source = parseSource(text, shown(paths[0] as string));
  const digest = sha256(text + JSON.stringify(sessions));
  const recorded = new Map([[0, sessions]]);
  const compiled = compile({ file, sha256: digest, name, traces: recorded, drawn: null });
  return {
    input,
    kind: 'trace',
    file,
    source,
    compiled,
    issues: compiled.issues,
    imports: [report],
    recorded,
  };
}
