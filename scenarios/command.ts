// `import` and `plan`: a trace read, a plan written out.

import { closeSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import type { Argv } from 'yargs';
import { UserError } from './base/errors.ts';
import { cohortText, importCohorts, writeScenario } from './cli/cohorts.ts';
import { settledScenario } from './cli/load.ts';
import { presetFigures } from './cli/presets.ts';
import { commandLine, loadRun, type RunOptions, withScenario } from './cli/run-options.ts';
import {
  type Command,
  type CommonOptions,
  ProgressLine,
  printJson,
  say,
  settleIssues,
  withCommon,
} from './cli/terminal.ts';
import { readOptionsOf, selectionOf, type TraceOptions, withTrace } from './cli/trace-options.ts';
import { openTrace, traceScenario } from './cli/traces.ts';
import { version } from './cli/version.ts';
import type { RecordedSession } from './formats/recorded.ts';
import type { PublishTrace } from './formats/trace-report.ts';
import { isServegen } from './importers/servegen/read.ts';
import { planLines, recordedPlanLines } from './plan-file.ts';
import { traceProfiler } from './traces/profile.ts';

interface ImportOptions extends CommonOptions, TraceOptions {
  trace: string[];
  strict: boolean;
  out: string | undefined;
  page: string | undefined;
  preset: string | undefined;
}

/** Reads a trace once, whatever its length; `publish` says what it found and writes the page. */
export const importCommand = (publish: PublishTrace): Command<ImportOptions> => ({
  builder: (yargs: Argv) =>
    withTrace(withCommon(yargs))
      .positional('trace', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'trace files or folders',
      })
      .option('strict', { type: 'boolean', default: false, describe: 'an unreadable part is an error' })
      .option('out', {
        type: 'string',
        describe: 'write the plan here, to simulate or replay it; of ServeGen the scenario, .yaml or .json',
      })
      .option('page', { type: 'string', describe: 'write the page of the trace here, one offline HTML file' })
      .option('preset', { type: 'string', describe: 'library preset whose figures stand beside the trace' })
      .example('$0 import traces/ --json', 'counts, hits of an infinite cache, what was inferred')
      .example('$0 import traces/ --out sessions.plan.jsonl', 'one file that simulate and replay take')
      .example('$0 import traces/ --page trace.html --preset coding-agent', 'look at it before running it'),
  handler: async options => {
    refuseOverwriting(options);
    if (isServegen(options.trace)) {
      importServegen(options);
      return;
    }
    const selection = selectionOf(options);
    const preset = options.preset === undefined ? null : presetFigures(options.preset);
    const trace = openTrace(options.trace, readOptionsOf(options), selection);
    const profiler = traceProfiler();
    const sessions = watched(trace.sessions, session => profiler.add(session), new ProgressLine(options));

    // 1. One pass, which also writes the plan.
    if (options.out === undefined) for (const _ of sessions);
    else {
      const timing = options['gap-cap'] === undefined ? {} : { gap_cap: options['gap-cap'] };
      const scenario = traceScenario(options.trace, timing, {
        isClocked: trace.isClocked(),
        anonymize: selection?.anonymize ?? false,
      });
      const notes = (): string[] => [...trace.warnings(), ...trace.report().warnings];
      writeLines(options.out, recordedPlanLines(scenario.name, scenario, sessions, notes));
    }

    // 2. What it found.
    const report = trace.report();
    const profile = profiler.profile();
    const name = options.trace.map(path => basename(resolve(path))).join(', ');
    const tool = { name: 'agent-windtunnel', version };
    const found = { name, command: commandLine(), tool, report, selection: trace.selection, profile, preset };
    const text = await publish(found, { page: options.page ?? null });
    // Where and why parts are left out quotes the trace; that they are is among the warnings.
    const unreadable = trace.selection.anonymized === null ? report.unreadable : [];
    if (options.json) printJson({ ...report, unreadable, selection: trace.selection, profile });
    else say(options, text);
    if (options.out !== undefined) say(options, `plan: ${options.out}`);
  },
});

/** Traces are seldom kept twice. */
function refuseOverwriting({ trace, out, page }: ImportOptions): void {
  const read = trace.map(path => resolve(path));
  for (const [option, path] of Object.entries({ out, page })) {
    if (path !== undefined && read.includes(resolve(path)))
      throw new UserError(`--${option} ${path} is the trace itself`, { hint: 'choose another name' });
  }
}

/** A generator instead of sessions: what it holds, and the scenario it makes. */
function importServegen(options: ImportOptions): void {
  if (options.page !== undefined || options.preset !== undefined) {
    throw new UserError('the page of a trace shows recorded sessions, and ServeGen draws requests', {
      hint: 'write the scenario with --out FILE.yaml and simulate it',
    });
  }
  const { scenario, report } = importCohorts(options.trace, options);
  if (options.out !== undefined) writeScenario(options.out, scenario);
  if (options.json) printJson(report);
  else say(options, cohortText(report));
  if (options.out !== undefined) say(options, `scenario: ${options.out}`);
}

/** The sessions as they pass, with a line of progress. */
function* watched(
  sessions: Iterable<RecordedSession>,
  see: (session: RecordedSession) => void,
  progress: ProgressLine,
): Generator<RecordedSession> {
  let count = 0;
  let calls = 0;
  try {
    for (const session of sessions) {
      see(session);
      count += 1;
      calls += session.calls.length;
      progress.show(() => `${count} sessions, ${calls} calls`);
      yield session;
    }
  } finally {
    progress.clear();
  }
}

type PlanOptions = Omit<RunOptions, 'deployment'>;

export const planCommand: Command<PlanOptions> = {
  builder: yargs =>
    withScenario(yargs)
      .example('$0 plan job-scanner --out scan.plan.jsonl', 'every draw of every session, a line each')
      .example('$0 simulate scan.plan.jsonl -d 8xh200-mistral-small-4', 'run the written plan'),
  handler: options => {
    if (options.out === undefined)
      throw new UserError('plan needs --out FILE', { hint: 'e.g. --out scan.plan.jsonl' });
    const loaded = loadRun(options);
    settleIssues([{ issues: loaded.issues, source: loaded.source }], options);
    const plan = loaded.compiled!.plan!;
    const unbounded = loaded.file?.traffic.some(
      ({ arrival, sessions, trace }) =>
        arrival?.closed !== undefined && sessions === undefined && trace === undefined,
    );
    if (unbounded === true && loaded.kind !== 'plan') {
      throw new UserError('a closed cohort that runs `for` a time has no plan before it runs', {
        hint: 'give it `sessions:` instead',
      });
    }
    const lines = writeLines(options.out, planLines(plan, settledScenario(loaded), loaded.recorded));
    if (options.json) printJson({ out: options.out, sessions: lines - 1 });
    else say(options, `${lines - 1} sessions in ${options.out}`);
  },
};

/** Lines are written in chunks of about this many characters. */
const CHUNK = 1 << 20;

/** Writes to a file beside it first, so that what cannot be written whole leaves the old one as it was. */
function writeLines(path: string, lines: Iterable<string>): number {
  // What is no file (a pipe, a terminal) has no old content to keep.
  const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() ?? true;
  const target = isFile ? `${path}.partial` : path;
  const file = writing(path, () => openSync(target, 'w'));
  let count = 0;
  try {
    let chunk = '';
    for (const line of lines) {
      count++;
      chunk += `${line}\n`;
      if (chunk.length < CHUNK) continue;
      const full = chunk;
      writing(path, () => writeFileSync(file, full));
      chunk = '';
    }
    writing(path, () => writeFileSync(file, chunk));
  } catch (error) {
    closeSync(file);
    if (isFile) rmSync(target, { force: true });
    throw error;
  }
  closeSync(file);
  if (isFile) writing(path, () => renameSync(target, path));
  return count;
}

function writing<T>(path: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    throw new UserError(`cannot write ${path}: ${(error as Error).message}`, {
      hint: 'choose another --out',
    });
  }
}
