// What `import` hands on to be shown: what was read, what was taken of it, and what that looks like.
import type { Figure } from './figures.ts';
import type { ImportReport } from './recorded.ts';
import type { SelectionReport } from './selection.ts';
import type { TraceProfile } from './trace-profile.ts';

export interface TraceReport {
  /** As the user named the trace. */
  name: string;
  command: string;
  tool: { name: string; version: string };
  report: ImportReport;
  selection: SelectionReport;
  /** Of the sessions that were taken. */
  profile: TraceProfile;
  /** Figures to lay beside the trace's own; null: none asked for. */
  preset: { name: string; figures: Figure[] } | null;
}

/** Writes the page of a trace where one is asked for, and gives the findings in brief for the terminal. */
export type PublishTrace = (trace: TraceReport, options: { page: string | null }) => Promise<string>;
