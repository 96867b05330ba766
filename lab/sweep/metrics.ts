// The metrics of a point from what its runs left: of one run, and of all seeds pooled, whose percentiles are those of the
// merged histograms. Pure.
import { judgeTally } from '../../reports/tally/judge.ts';
import { Histogram } from '../../scenarios/base/histogram.ts';
import { deviation, mean, studentBound } from '../../scenarios/base/statistics.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import type { RunFigures } from '../../scenarios/formats/grid.ts';
import {
  SWEEP_METRIC_NAMES,
  SWEEP_METRICS,
  type SweepFigure,
  type SweepMetric,
} from '../../scenarios/formats/sweep.ts';
import { mergedTally, type RunTally, type TalliedMetric } from '../../scenarios/formats/tally.ts';

/** What a run leaves, of which the sweep keeps nothing else. */
export interface SweepRun {
  readonly figures: RunFigures;
  readonly tally: RunTally;
}

/** Of one run or of several, whose tallies are merged. */
interface Pooled {
  readonly runs: readonly RunFigures[];
  readonly tally: RunTally;
  readonly assertions: readonly Assertion[];
}

export type SweepValues = Record<SweepMetric, number | null>;

const NANOS_PER_USD = 1e9;
const MS_PER_HOUR = 3_600_000;

const total = (runs: readonly RunFigures[], of: (run: RunFigures) => number): number =>
  runs.reduce((sum, run) => sum + of(run), 0);
const ratio = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);

/** Failed and unfinished calls count, cancelled ones do not. */
const judgedCalls = ({ calls }: RunTally): number => calls.ok + calls.error + calls.unfinished;

const quantileMs =
  (metric: TalliedMetric, q: number) =>
  ({ tally }: Pooled): number | null =>
    tally.us[metric].count === 0 ? null : Histogram.from(tally.us[metric]).quantile(q) / 1000;

const usdOf = ({ gpuNanos, apiNanos }: RunTally): number | null =>
  gpuNanos === null ? null : (gpuNanos + apiNanos) / NANOS_PER_USD;

const perThousand = (amount: number | null, { sessions }: RunTally): number | null =>
  amount === null ? null : ratio(1000 * amount, sessions.completed);

const METRICS: Record<SweepMetric, (pooled: Pooled) => number | null> = {
  slo: ({ runs, tally }) =>
    ratio(
      total(runs, run => run.goodCalls),
      judgedCalls(tally),
    ),
  kept({ tally, assertions }) {
    const judged = judgeTally(assertions, tally);
    return ratio(judged.filter(({ pass }) => pass !== false).length, judged.length);
  },
  'e2e.p50': quantileMs('e2e', 0.5),
  'e2e.p95': quantileMs('e2e', 0.95),
  'e2e.p99': quantileMs('e2e', 0.99),
  'ttft.p50': quantileMs('ttft', 0.5),
  'ttft.p95': quantileMs('ttft', 0.95),
  'ttft.p99': quantileMs('ttft', 0.99),
  'tpot.p50': quantileMs('tpot', 0.5),
  'tpot.p95': quantileMs('tpot', 0.95),
  'workflow.p50': quantileMs('makespan', 0.5),
  'workflow.p95': quantileMs('makespan', 0.95),
  'workflow.p99': quantileMs('makespan', 0.99),
  goodput: ({ runs }) => mean(runs.map(run => run.goodputPerSec)),
  throughput: ({ runs }) => mean(runs.map(run => run.servedPerSec)),
  hits: ({ tally }) => ratio(tally.tokens.cached, tally.tokens.looked),
  waste: ({ runs }) =>
    ratio(
      total(runs, run => (run.wasteRatio ?? 0) * run.computedTokens),
      total(runs, run => run.computedTokens),
    ),
  failed: ({ tally }) => ratio(tally.calls.error + tally.calls.unfinished, judgedCalls(tally)),
  usd: ({ tally }) => perThousand(usdOf(tally), tally),
  'usd-per-hour': ({ runs, tally }) => {
    const usd = usdOf(tally);
    return usd === null
      ? null
      : ratio(
          usd,
          total(runs, run => run.durationMs / MS_PER_HOUR),
        );
  },
  'gpu-hours': ({ tally }) => perThousand(tally.gpuMs / MS_PER_HOUR, tally),
};

const valuesOf = (pooled: Pooled): SweepValues =>
  Object.fromEntries(SWEEP_METRIC_NAMES.map(name => [name, METRICS[name](pooled)])) as SweepValues;

export const metricsOfRun = ({ figures, tally }: SweepRun, assertions: readonly Assertion[]): SweepValues =>
  valuesOf({ runs: [figures], tally, assertions });

/** Whether every assertion holds that has something to judge. */
export const allHold = ({ tally }: SweepRun, assertions: readonly Assertion[]): boolean =>
  judgeTally(assertions, tally).every(({ pass }) => pass !== false);

/** Every metric of all runs as one, with the interval of the mean over `each` run; in the order of the seeds. */
export function pooledMetrics(
  runs: readonly [SweepRun, ...SweepRun[]],
  each: readonly SweepValues[],
  assertions: readonly Assertion[],
): Record<SweepMetric, SweepFigure> {
  const [first, ...others] = runs.map(({ tally }) => tally) as [RunTally, ...RunTally[]];
  const pooled = valuesOf({
    runs: runs.map(({ figures }) => figures),
    tally: mergedTally([first, ...others]),
    assertions,
  });
  return Object.fromEntries(
    SWEEP_METRIC_NAMES.map(name => {
      const [low, high] = intervalOf(
        each.map(values => values[name]),
        SWEEP_METRICS[name].unit === 'ratio',
      );
      return [name, [pooled[name], low, high]];
    }),
  ) as Record<SweepMetric, SweepFigure>;
}

/** Student's 95 % interval of the mean, of a share within 0 and 1; nulls under two values. */
function intervalOf(values: readonly (number | null)[], isShare: boolean): [number, number] | [null, null] {
  const known = values.filter(value => value !== null);
  if (known.length < 2) return [null, null];
  const middle = mean(known);
  const half = (studentBound(0.95, known.length - 1) * deviation(known)) / Math.sqrt(known.length);
  return isShare ? [Math.max(0, middle - half), Math.min(1, middle + half)] : [middle - half, middle + half];
}
