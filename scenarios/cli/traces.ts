// A trace named on the command line: its sessions as a stream, read, cut and counted on the way, and the scenario of one
// cohort that they make.
import { basename, resolve } from 'node:path';
import type { ImportReport, RecordedSession } from '../formats/recorded.ts';
import type { ScenarioFile } from '../formats/scenario.ts';
import type { Selection, SelectionReport } from '../formats/selection.ts';
import type { CohortFile } from '../formats/traffic.ts';
import { emptyTally, reportOf } from '../importers/importer.ts';
import { type ReadOptions, traceSessions } from '../importers/read.ts';
import { emptySelectionReport, selectionWarnings, selectSessions } from '../traces/select.ts';

/** How a trace is replayed: fields of its cohort. */
export type TraceTiming = Partial<
  Pick<CohortFile, 'timing' | 'gap_scale' | 'gap_cap' | 'scale_tokens' | 'warm' | 'sessions'>
> & { concurrent?: number };

/** A trace that is being read. Its sessions pass once; what is said of them is whole when the last has passed. */
export interface OpenTrace {
  readonly sessions: Iterable<RecordedSession>;
  /** Whether the sessions arrive on a clock of the trace. Reads the first of them. */
  isClocked(): boolean;
  readonly selection: SelectionReport;
  report(): ImportReport;
  /** What a run on these sessions should say of how they were taken. */
  warnings(): string[];
}

export function openTrace(
  paths: readonly string[],
  read: ReadOptions,
  selection: Selection | null,
): OpenTrace {
  const tally = emptyTally();
  const report = emptySelectionReport();
  const whole = traceSessions(paths, read, tally);
  const taken =
    selection === null ? whole : selectSessions(whole, selection, { epochMs: () => tally.epochMs, report });
  let first: IteratorResult<RecordedSession> | null = null;
  let unclocked = 0;
  let unused = 0;

  const peek = () => {
    first ??= taken.next();
    return first;
  };
  const isClocked = (): boolean => peek().value?.arrivalMs != null;
  function* sessions(): Generator<RecordedSession> {
    for (let next = peek(); next.done !== true; next = taken.next()) {
      const session = next.value;
      const isLost = isClocked() && session.arrivalMs === null;
      if (isLost) unclocked += 1;
      if (!isClocked() && session.arrivalMs !== null) unused += 1;
      yield isLost ? { ...session, arrivalMs: 0 } : session;
    }
  }
  return {
    sessions: sessions(),
    isClocked,
    selection: report,
    report() {
      const read = reportOf(tally);
      return { ...read, warnings: [...read.warnings, ...clockWarnings()] };
    },
    warnings: () => selectionWarnings(report),
  };

  function clockWarnings(): string[] {
    if (unclocked > 0) return [`${unclocked} sessions have no recorded arrival: they start with the trace`];
    if (unused === 0) return [];
    return [`${unused} sessions have a recorded arrival, which is not used: the first session has none`];
  }
}

/** Stands in a scenario for sessions that are already read. */
export const RECORDED = 'recorded';

/** The scenario of recorded sessions alone: as they arrived where the trace has a clock, else all at once. */
export function traceScenario(
  paths: readonly string[],
  timing: TraceTiming,
  how: { isClocked: boolean; anonymize: boolean },
): ScenarioFile & { name: string } {
  const { concurrent, ...fields } = timing;
  const open = how.isClocked ? { recorded: true as const } : { at_once: true as const };
  const cohort: CohortFile = {
    name: 'trace',
    trace: RECORDED,
    arrival: concurrent === undefined ? open : { closed: { agents: concurrent } },
    ...fields,
  };
  const file = basename(resolve(paths[0] as string)).replace(/\.(jsonl?|csv)$/, '');
  return { windtunnel: 1, name: how.anonymize ? 'anonymized-trace' : file, traffic: [cohort] };
}
