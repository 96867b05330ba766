// A trace named on the command line: its sessions as a stream, read, cut and counted on the way, and the scenario of one
// cohort that they make.
import { basename, resolve } from 'node:path';
import type { ImportReport, RecordedSession } from '../formats/recorded.ts';
import type { ScenarioFile } from '../formats/scenario.ts';
import type { Selection, SelectionReport } from '../formats/selection.ts';
import type { CohortFile } from '../formats/traffic.ts';
import { emptyTally, reportOf } from '../importers/importer.ts';
import { type ReadOptions, traceSessions } from '../importers/read.ts';
import { emptySelectionReport, selectionWarnings, selectSessions } from '../importers/select.ts';

/** How a trace is replayed: fields of its cohort. */
export type TraceTiming = Partial<
  Pick<CohortFile, 'timing' | 'gap_scale' | 'gap_cap' | 'scale_tokens' | 'warm' | 'sessions'>
> & { concurrent?: number };

/** A trace that is being read. Its sessions pass once; what is said of them is whole when the last has passed. */
export interface OpenTrace {
  readonly sessions: Iterable<RecordedSession>;
  readonly selection: SelectionReport;
  report(): ImportReport;
  /** What a run on the selection should say of it. */
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
  return {
    sessions:
      selection === null ? whole : selectSessions(whole, selection, { epochMs: () => tally.epochMs, report }),
    selection: report,
    report: () => reportOf(tally),
    warnings: () => selectionWarnings(report),
  };
}

/** Stands in a scenario for sessions that are already read. */
export const RECORDED = 'recorded';

/** The scenario of recorded sessions alone. */
export function traceScenario(
  paths: readonly string[],
  timing: TraceTiming,
  anonymize: boolean,
): ScenarioFile & { name: string } {
  const { concurrent, ...how } = timing;
  const cohort: CohortFile = {
    name: 'trace',
    trace: RECORDED,
    arrival: concurrent === undefined ? { at_once: true } : { closed: { agents: concurrent } },
    ...how,
  };
  const file = basename(resolve(paths[0] as string)).replace(/\.(jsonl?|csv)$/, '');
  return { windtunnel: 1, name: anonymize ? 'anonymized-trace' : file, traffic: [cohort] };
}
