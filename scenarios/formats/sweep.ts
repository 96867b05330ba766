// result.json of a sweep: the same scenario at many settings, each run with several seeds; what came of every point, which
// points are best, and how much each setting matters.
import type { RunResult } from './result.ts';

export const SWEEP_DESIGNS = ['grid', 'list', 'lhs'] as const;
export type SweepDesign = (typeof SWEEP_DESIGNS)[number];

export type SweepUnit = 'ms' | 'ratio' | 'usd' | 'perSec' | 'gpuHours';

interface MetricDoc {
  readonly label: string;
  readonly unit: SweepUnit;
  readonly better: 'higher' | 'lower';
}

const share = (label: string, better: MetricDoc['better']): MetricDoc => ({ label, unit: 'ratio', better });
const latency = (label: string): MetricDoc => ({ label, unit: 'ms', better: 'lower' });

/** What is known of each point, by the name that `--metric` takes. */
export const SWEEP_METRICS = {
  slo: share('calls within their SLO', 'higher'),
  kept: share('assertions that hold', 'higher'),
  'e2e.p50': latency('call E2E p50'),
  'e2e.p95': latency('call E2E p95'),
  'e2e.p99': latency('call E2E p99'),
  'ttft.p50': latency('TTFT p50'),
  'ttft.p95': latency('TTFT p95'),
  'ttft.p99': latency('TTFT p99'),
  'tpot.p50': latency('TPOT p50'),
  'tpot.p95': latency('TPOT p95'),
  'workflow.p50': latency('workflow p50'),
  'workflow.p95': latency('workflow p95'),
  'workflow.p99': latency('workflow p99'),
  goodput: { label: 'good calls per second', unit: 'perSec', better: 'higher' },
  throughput: { label: 'calls served per second', unit: 'perSec', better: 'higher' },
  hits: share('prompt tokens cached', 'higher'),
  waste: share('tokens computed in vain', 'lower'),
  failed: share('calls that failed', 'lower'),
  usd: { label: 'USD per 1,000 workflows', unit: 'usd', better: 'lower' },
  'usd-per-hour': { label: 'USD per hour', unit: 'usd', better: 'lower' },
  'gpu-hours': { label: 'GPU-hours per 1,000 workflows', unit: 'gpuHours', better: 'lower' },
} as const satisfies Record<string, MetricDoc>;

export type SweepMetric = keyof typeof SWEEP_METRICS;
export const SWEEP_METRIC_NAMES = Object.keys(SWEEP_METRICS) as SweepMetric[];

/** What a thousand workflows, or an hour, may be counted in. */
export const SWEEP_COSTS = ['usd', 'usd-per-hour', 'gpu-hours'] as const satisfies SweepMetric[];
export type SweepCost = (typeof SWEEP_COSTS)[number];

/** Of all seeds pooled, and the 95 % interval of the mean over seeds: its ends null under two seeds. */
export type SweepFigure = [value: number | null, low: number | null, high: number | null];

export interface SweepFailure {
  seed: number | string;
  message: string;
  hint: string | null;
  exitCode: number;
}

/** One setting of everything that varies. */
export interface SweepPoint {
  /** From 0, in the order of the design. */
  index: number;
  /** A value of each axis, as written. */
  values: string[];
  /** The same as numbers; null where it is none. */
  numbers: (number | null)[];
  /** Seeds that ran. */
  seeds: number;
  metrics: Record<SweepMetric, SweepFigure>;
  /** Share of these in which every assertion holds; null: there are none, or no seed ran. */
  holdsRatio: number | null;
  failures: SweepFailure[];
  /** No point is at least as good in metric and cost, and better in one; of those that hold every assertion, where some do. */
  isFront: boolean;
}

/** What another value of one axis does at the best point, all else as it is there. */
export interface SweepNeighbour {
  value: string;
  /** The metric there. */
  metric: number;
  /** Metric there minus the metric at the best point, mean over seeds in pairs. */
  difference: number;
  /** Student's, paired by seed; null under two seeds. */
  ci95: [number, number] | null;
}

export interface SweepEffect {
  axis: string;
  /** Share of the variance of the metric's ranks between the values of this axis, 0 to 1; null: too few points. */
  explainedRatio: number | null;
  /** Spearman's rank correlation of an axis of numbers with the metric, and Fisher's 95 % interval. */
  rankCorrelation: number | null;
  rankCi95: [number, number] | null;
  /** Grids: the other values of this axis at the best point. */
  neighbours: SweepNeighbour[];
}

export interface SweepAxis {
  name: string;
  /** Where every value is a number. */
  isNumeric: boolean;
  /** As written; of a Latin hypercube over a range those that were drawn, ascending. */
  values: string[];
}

export interface SweepResult {
  schemaVersion: number;
  kind: 'sweep';
  header: Pick<RunResult['header'], 'tool' | 'scenario' | 'deployment' | 'command' | 'evidence' | 'warnings'>;
  design: SweepDesign;
  axes: SweepAxis[];
  seeds: (number | string)[];
  metric: SweepMetric;
  cost: SweepCost;
  /** What a call is judged by for `slo` and `goodput`. */
  slo: string;
  /** Assertion lines of the scenario. */
  assertions: number;
  /** Runs that are in, and those of the whole design. */
  runs: number;
  runsPlanned: number;
  failedRuns: number;
  /** In the order of the design; those with a seed that has not run are left out of an interrupted sweep. */
  points: SweepPoint[];
  /** Indexes into `points`, best first, those that hold every assertion before the others; without those that lack the metric. */
  ranking: number[];
  /** Index into `points` of the least cost that holds every assertion with every seed; null: none, or no assertion. */
  cheapestThatHolds: number | null;
  /** The axis that matters most first. */
  effects: SweepEffect[];
}
