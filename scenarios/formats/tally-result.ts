// result.json of a run of which no records were kept: counters, percentiles of histograms (within 0.4 %) and the verdict
// of its assertions; of what single calls, sessions or instants tell, nothing.
import type { AssertionResult, MetricName, MetricSummary, RunResult } from './result.ts';
import type { RunHeader } from './run.ts';
import type { RunTally } from './tally.ts';

export const TALLY_RESULT_SCHEMA_VERSION = 1;

/** How the run was parted. */
export interface TalliedParts {
  /** `apart`: what shares nothing with the others; `cells`: shares of replicas and sessions. */
  readonly kind: 'apart' | 'cells';
  readonly count: number;
  /** All parts together are what one simulation says. Cells are that of a system that is built in cells. */
  readonly isExact: boolean;
  /** What else there is to know of it. */
  readonly notes: readonly string[];
}

export interface TallyResult {
  readonly kind: 'tally';
  readonly schemaVersion: number;
  readonly header: RunHeader;
  readonly verdict: Pick<RunResult['verdict'], 'status'>;
  readonly assertions: readonly AssertionResult[];
  readonly metrics: Readonly<Record<Exclude<MetricName, 'lag'>, MetricSummary | null>>;
  readonly parts: TalliedParts;
  /** What a page of records would show and this run cannot. */
  readonly missing: readonly string[];
  readonly tally: RunTally;
}
