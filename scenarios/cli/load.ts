// Reads what a user names: a scenario file, a library entry, a written plan, or a recorded trace; and compiles it. The
// reading rim of scenarios/.
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import type { Issue } from '../base/issue.ts';
import { parseScalar } from '../formats/quantity.ts';
import type { ImportReport, RecordedSession } from '../formats/recorded.ts';
import { parseScenario, type ScenarioFile } from '../formats/scenario.ts';
import type { Selection } from '../formats/selection.ts';
import { parseSource, type Source, valueSource } from '../formats/source.ts';
import { didYouMean } from '../formats/suggest.ts';
import { type ReadOptions, readTrace } from '../importers/read.ts';
import { isServegen, readServegen } from '../importers/servegen/read.ts';
import { PLAN_HEAD, type PlanFile, readPlan } from '../plan-file.ts';
import { GapCapCounter, gapCapWarning } from '../traces/select/gap-cap.ts';
import { type Compiled, compile } from '../workflows/compile.ts';
import { findInput, headOf, readText, shown } from './library.ts';
import { resolveSource } from './resolve.ts';
import { openTrace, RECORDED, type TraceTiming, traceScenario } from './traces.ts';

/** Overrides from the command line. */
export interface LoadOptions {
  /** Replaces the file's seed. */
  seed?: number | string | undefined;
  /** `path=value`, dots between keys; the value is read as YAML. */
  set?: readonly string[];
  /** How a trace is replayed, what is taken of it and how it is read; only for traces named directly. */
  trace?: TraceTiming;
  selection?: Selection | null;
  read?: ReadOptions;
  /** Context from before the window of a trace is not cached, as it cannot be on a live server. */
  coldStart?: boolean;
  /** An unreadable part of a trace is an error. */
  strict?: boolean;
  /** Where traces lie that are not beside the file, by the name that it gives them. */
  traceFiles?: Readonly<Record<string, string>>;
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
  /** What a run should say of how its sessions are replayed. */
  readonly warnings: readonly string[];
}

type Container = Record<string, unknown>;
const isContainer = (value: unknown): value is Container => typeof value === 'object' && value !== null;

/** Sets `a.b.0.c=value` in a parsed document; the number behind the last item of a list adds one. */
export function applySet<T>(value: T, assignments: readonly string[]): T {
  const root: unknown = structuredClone(value);
  // What is no mapping is told as such when it is checked.
  if (isContainer(root)) for (const assignment of assignments) setOne(root, assignment);
  return root as T;
}

function setOne(root: Container, assignment: string): void {
  const refused = (why: string, hint: string): UserError =>
    new UserError(`--set ${assignment}: ${why}`, { hint });
  const equals = assignment.indexOf('=');
  if (equals < 1) throw refused('expected path=value', 'e.g. --set params.postings=14');
  const path = assignment.slice(0, equals).split('.');
  if (path[0] === 'extends') throw refused('bases are merged before', 'write it in a file');
  const last = path.pop() as string;
  const parsed = parseSource(assignment.slice(equals + 1), '--set');
  if (parsed.issues.length > 0) throw refused('the value is not valid YAML', 'quote it, as in a.b="text"');
  let at = root;
  for (const key of path) {
    const inner = Object.hasOwn(at, key) ? at[key] : undefined;
    if (!isContainer(inner)) {
      const known = Object.keys(at);
      if (known.includes(key)) throw refused(`"${key}" has no keys`, `set ${key} itself`);
      throw refused(`nothing is at "${key}"`, didYouMean(key, known) ?? `there: ${known.join(', ')}`);
    }
    at = inner;
  }
  if (Array.isArray(at) && !(/^\d+$/.test(last) && Number(last) <= at.length)) {
    const hint = 'items count from 0; the number behind the last adds one';
    throw refused(`"${last}" is no place in a list of ${at.length}`, hint);
  }
  if (last === '__proto__') throw refused('no key is called so', 'choose another');
  // Any name is a parameter to the schema: a mistyped one would change nothing.
  if (path.length === 1 && path[0] === 'params' && !Object.hasOwn(at, last)) {
    const known = Object.keys(at);
    throw refused(`there is no parameter "${last}"`, didYouMean(last, known) ?? `there: ${known.join(', ')}`);
  }
  at[last] = parsed.value;
}

/** Reads, checks and compiles; problems of the file are returned, a missing file throws a UserError. */
export function loadScenario(input: string, options: LoadOptions = {}): LoadedScenario {
  const path = findInput(input, 'scenarios');
  const isFolder = statSync(path).isDirectory();
  if (isServegen([path])) {
    refuseTraceOptions(options, 'ServeGen data');
    const { scenario } = readServegen([path]);
    const source = valueSource(scenario, shown(path));
    return compileSource({
      source,
      input,
      kind: 'scenario',
      name: 'servegen',
      base: '.',
      plan: null,
      options,
    });
  }
  const isData = isFolder || (/\.(jsonl?|csv)$/.test(path) && !isJsonScenario(path));
  // A trace may be longer than a text can be, so only a plan is read whole.
  const isPlan = isData && !isFolder && headOf(path).startsWith(PLAN_HEAD);
  const plan = isPlan ? readPlan(readText(path), path) : null;
  if (isData && plan === null) return loadTraces([path], input, options);
  refuseTraceOptions(options, plan === null ? 'a scenario' : 'a written plan');
  if (plan !== null) {
    const source = parseSource(plan.scenario, `${shown(path)} (the scenario inside)`);
    return compileSource({ source, input, kind: 'plan', name: plan.name, base: '.', plan, options });
  }
  const source = resolveSource(path, 'scenarios');
  const name = basename(path).replace(/\.(ya?ml|json|m?ts)$/, '');
  return compileSource({ source, input, kind: 'scenario', name, base: dirname(path), plan: null, options });
}

/** A scenario written as JSON begins with its version, or with what it extends; no trace does. */
const isJsonScenario = (path: string): boolean => /^\s*\{\s*"(windtunnel|extends)"\s*:/.test(headOf(path));

/** Recorded sessions named directly: a scenario of one cohort. */
export function loadTraces(
  paths: readonly string[],
  input: string,
  options: LoadOptions = {},
): LoadedScenario {
  const selection = options.selection ?? null;
  const trace = openTrace(paths, { strict: options.strict ?? false, ...options.read }, selection);
  const sessions = [...trace.sessions];
  const file = traceScenario(paths, options.trace ?? {}, {
    isClocked: trace.isClocked(),
    anonymize: selection?.anonymize ?? false,
  });
  const { name } = file;
  const source = parseSource(JSON.stringify(file), shown(paths[0] as string));
  const recorded = new Map([[0, sessions]]);
  const report = trace.report();
  const imports = [{ ...report, warnings: [...trace.warnings(), ...report.warnings] }];
  // What --set put there is checked like any file.
  const parsed = parseScenario({ ...source, value: applySet(file, options.set ?? []) });
  const issues = namingSet(parsed.issues, options.set ?? []);
  if (parsed.file === null)
    return {
      input,
      kind: 'trace',
      file: null,
      source,
      compiled: null,
      issues,
      imports,
      recorded,
      warnings: [],
    };
  return compileFile({
    file: parsed.file,
    source,
    input,
    kind: 'trace',
    name,
    recorded,
    imports,
    lines: null,
    options,
  });
}

/** The scenario as it will run, to be written into a plan: recorded sessions stand beside it, not in files. */
export function settledScenario({ file, recorded }: LoadedScenario): unknown {
  if (file === null) return null;
  const traffic = file.traffic.map((cohort, index) =>
    recorded.has(index) ? { ...cohort, trace: RECORDED } : cohort,
  );
  return { ...file, traffic };
}

function refuseTraceOptions({ trace = {}, selection = null }: LoadOptions, what: string): void {
  if (selection !== null && trace.gap_cap === undefined) {
    throw new UserError(`a trace is cut, sampled or anonymised as it is read, and this is ${what}`, {
      hint: 'name the trace itself, or write a plan of the selection: windtunnel import TRACE --from 10m --out FILE',
    });
  }
  const [name] = Object.keys(trace);
  if (name === undefined) return;
  throw new UserError(`--${name.replace('_', '-')} is for traces named directly, and this is ${what}`, {
    hint:
      name === 'concurrent'
        ? 'write arrival: { closed: { agents: N } } in the cohort'
        : `write it in the cohort, or --set traffic.0.${name}=…`,
  });
}

interface SourceContext {
  source: Source;
  input: string;
  kind: LoadedScenario['kind'];
  /** Used where the file has no name. */
  name: string;
  /** Folder that traces are named from. */
  base: string;
  plan: PlanFile | null;
  options: LoadOptions;
}

function compileSource({ source, input, kind, name, base, plan, options }: SourceContext): LoadedScenario {
  const value = source.value === null ? null : applySet(source.value, options.set ?? []);
  const parsed = parseScenario({ ...source, value });
  const recorded = new Map(plan?.recorded ?? []);
  const imports: ImportReport[] = [];
  if (parsed.file === null) {
    const issues = namingSet(parsed.issues, options.set ?? []);
    return { input, kind, file: null, source, compiled: null, issues, imports, recorded, warnings: [] };
  }
  for (const [index, cohort] of parsed.file.traffic.entries()) {
    if (cohort.trace === undefined || recorded.has(index)) continue;
    if (plan !== null) {
      // Its lines were cut from the plan: there are no others.
      recorded.set(index, []);
      continue;
    }
    const paths = [cohort.trace].flat().map(path => resolve(base, options.traceFiles?.[path] ?? path));
    const { sessions, report } = readTrace(paths, { strict: options.strict ?? false });
    recorded.set(index, sessions);
    imports.push(report);
  }
  const lines = plan?.lines ?? null;
  const notes = plan?.notes ?? [];
  const loaded = compileFile({
    file: parsed.file,
    source,
    input,
    kind,
    name,
    recorded,
    imports,
    lines,
    options,
  });
  return {
    ...loaded,
    issues: namingSet([...parsed.issues, ...loaded.issues], options.set ?? []),
    warnings: [...loaded.warnings, ...notes.filter(note => !loaded.warnings.includes(note))],
  };
}

interface FileContext extends Omit<SourceContext, 'base' | 'plan'> {
  file: ScenarioFile;
  recorded: ReadonlyMap<number, readonly RecordedSession[]>;
  imports: readonly ImportReport[];
  lines: PlanFile['lines'] | null;
}

/** The last stretch for all kinds of input: seed, digest, compile. */
function compileFile({
  source,
  input,
  kind,
  name,
  recorded,
  imports,
  lines,
  options,
  ...rest
}: FileContext): LoadedScenario {
  if (options.coldStart === true) for (const sessions of recorded.values()) forgetPrimed(sessions);
  const file = options.seed === undefined ? rest.file : { ...rest.file, seed: options.seed };
  const digest = digestOf(file, recorded, lines);
  const compiled = withPlaces(compile({ file, sha256: digest, name, traces: recorded, lines }), source);
  return {
    input,
    kind,
    file,
    source,
    compiled,
    issues: compiled.issues,
    imports,
    recorded,
    // A trace named directly was counted while it was read.
    warnings: kind === 'trace' ? [] : gapCapWarnings(file, recorded),
  };
}

/** Each assertion knows its line; what has none, such as a trace's scenario, stays without. */
function withPlaces(compiled: Compiled, source: Source): Compiled {
  const { plan } = compiled;
  if (plan === null) return compiled;
  const assertions = plan.assertions.map(assertion => {
    if (assertion.path === undefined) return assertion;
    const { file, line, column, text } = source.position(assertion.path);
    return text === '' ? assertion : { ...assertion, at: { file, line, column } };
  });
  return { ...compiled, plan: { ...plan, assertions } };
}

function forgetPrimed(sessions: readonly RecordedSession[]): void {
  for (const { calls } of sessions) for (const call of calls) call.primedTokens = 0;
}

/** What the caps of this file's cohorts take away from their sessions. */
function gapCapWarnings(
  file: ScenarioFile,
  recorded: ReadonlyMap<number, readonly RecordedSession[]>,
): string[] {
  return [...recorded].flatMap(([index, sessions]) => {
    const { gap_cap: cap, gap_scale: gapScale = 1 } = file.traffic[index] ?? {};
    const parsed = cap === undefined ? null : parseScalar(cap, 'ms');
    if (parsed === null || 'error' in parsed) return [];
    const counter = new GapCapCounter({ capMs: parsed.value, gapScale });
    for (const session of sessions) counter.add(session);
    return gapCapWarning(counter.report) ?? [];
  });
}

/** Of everything that decides a plan; session by session, since a trace may be longer than any text. */
function digestOf(
  file: ScenarioFile,
  recorded: ReadonlyMap<number, readonly RecordedSession[]>,
  lines: PlanFile['lines'] | null,
): string {
  const hash = createHash('sha256').update(JSON.stringify(file));
  for (const [cohort, sessions] of recorded) {
    hash.update(`trace ${cohort}`);
    for (const session of sessions) hash.update(JSON.stringify(session));
  }
  for (const [cohort, written] of lines ?? []) {
    hash.update(`lines ${cohort}`);
    for (const line of written) hash.update(JSON.stringify(line));
  }
  return hash.digest('hex');
}

/** A problem inside what --set put there is not at the file's line: say so. */
function namingSet(issues: readonly Issue[], assignments: readonly string[]): Issue[] {
  const paths = assignments.map(each => ({ each, path: each.slice(0, each.indexOf('=')).split('.') }));
  return issues.map(found => {
    const by = paths.find(({ path }) => path.every((key, i) => String(found.path[i]) === key));
    return by === undefined ? found : { ...found, message: `${found.message} (set by --set ${by.each})` };
  });
}
