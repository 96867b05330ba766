// What runs are compared by: each figure with where a run has it. A new one is a line here, and, if live runs shall have
// it block by block, a line in reports/blocks.ts.
import { asBlocks, type Blocks } from '../../scenarios/base/statistics.ts';
import type { Figure, FigureBlocks } from '../../scenarios/formats/comparison.ts';
import type { MetricName, MetricSummary, RunResult } from '../../scenarios/formats/result.ts';
import { METRIC_LABELS } from '../metrics.ts';

export interface ComparedFigure extends Omit<Figure, 'isPrimary'> {
  /** null: the run has no such value. */
  of(run: RunResult): number | null;
}

type Statistic = 'mean' | 'p50' | 'p95' | 'p99';

const latency = (metric: MetricName, statistic: Statistic): ComparedFigure => ({
  id: `${metric}.${statistic}`,
  label: `${METRIC_LABELS[metric]} ${statistic}`,
  unit: 'ms',
  better: 'lower',
  of: ({ metrics }) => (metrics[metric] as MetricSummary | undefined)?.[statistic] ?? null,
});

const share = (part: number, whole: number): number | null => (whole === 0 ? null : part / whole);

/** In the order of tables and charts. */
export const COMPARED_FIGURES: readonly ComparedFigure[] = [
  latency('makespan', 'mean'),
  latency('makespan', 'p50'),
  latency('makespan', 'p95'),
  latency('makespan', 'p99'),
  latency('ttft', 'p50'),
  latency('ttft', 'p95'),
  latency('itl', 'p95'),
  latency('tpot', 'p50'),
  latency('e2e', 'p95'),
  {
    id: 'throughput.workflows',
    label: 'workflows done',
    unit: 'perSec',
    better: 'higher',
    of: ({ throughput }) => throughput.workflowsPerSec,
  },
  {
    id: 'throughput.tokens',
    label: 'output tokens',
    unit: 'tokensPerSec',
    better: 'higher',
    of: ({ throughput }) => throughput.outputTokensPerSec,
  },
  {
    id: 'goodput.workflows',
    label: 'workflows within their targets',
    unit: 'perSec',
    better: 'higher',
    of({ goodput }) {
      const rows = goodput?.byWorkflow ?? [];
      return rows.length === 0 ? null : rows.reduce((sum, { keptPerSec }) => sum + keptPerSec, 0);
    },
  },
  {
    id: 'errors',
    label: 'failed calls',
    unit: 'ratio',
    better: 'lower',
    of: ({ counts: { calls } }) => share(calls.error, calls.planned),
  },
  {
    id: 'cacheHits',
    label: 'cache hits',
    unit: 'ratio',
    better: 'higher',
    // Without a segment no server said what it found.
    of: ({ tokens, cacheBySegment }) =>
      cacheBySegment.length === 0 ? null : share(tokens.cached, tokens.prompt),
  },
  {
    id: 'cost.per1000Workflows',
    label: 'cost per 1,000 workflows',
    unit: 'usd',
    better: 'lower',
    // Where nothing has a price there is no cost to compare.
    of: ({ cost }) => (cost === undefined || cost.totalUsd === 0 ? null : cost.usdPer1000Workflows),
  },
  {
    id: 'preemptions',
    label: 'preemptions',
    unit: 'count',
    better: 'lower',
    // Live servers do not say.
    of: ({ header, counts }) => (header.world === 'live' ? null : counts.preemptions),
  },
];

/** What decides unless others are named: few, since each further test makes all of them weaker. */
export const PRIMARY_FIGURES: readonly string[] = ['makespan.p95', 'ttft.p95', 'cost.per1000Workflows'];
export const PRIMARY_MAX = 3;

/** Every figure over runs that are independent of each other: one value a run. Those that no run has are left out. */
export const figuresOver = (
  runs: readonly RunResult[],
  primary: readonly string[] = PRIMARY_FIGURES,
): FigureBlocks[] =>
  COMPARED_FIGURES.map(({ of, ...figure }) => ({
    ...figure,
    isPrimary: primary.includes(figure.id),
    values: runs.map(of),
  })).filter(({ values }) => values.some(value => value !== null));

/** The same over the slices of time of one live run; null: it has none. */
export function figuresOfBlocks(
  { blocks }: Pick<RunResult, 'blocks'>,
  primary: readonly string[] = PRIMARY_FIGURES,
): FigureBlocks[] | null {
  if (blocks === undefined) return null;
  return COMPARED_FIGURES.flatMap(({ of: _, ...figure }) => {
    const found = blocks.find(({ id }) => id === figure.id);
    if (found === undefined || found.values.every(value => value === null)) return [];
    return [{ ...figure, isPrimary: primary.includes(figure.id), values: found.values }];
  });
}

/** The values that there are, for a test. */
export const knownBlocks = ({ values }: Pick<FigureBlocks, 'values'>): Blocks =>
  asBlocks(values.filter(value => value !== null));
