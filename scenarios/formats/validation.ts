// validation.json: a prediction held against what was measured, metric by metric and step by step, and what it is good
// for. VALIDATION_SCHEMA_VERSION rises when a field changes its meaning; new fields may be added.
import type { RunResult } from './result.ts';

export const VALIDATION_SCHEMA_VERSION = 2;

/** Where records come from: simulated, measured by us, or measured by whoever wrote the trace or the metrics. */
export type World = 'sim' | 'live' | 'recorded' | 'prometheus';

export const TIME_METRICS = ['ttft', 'itl', 'tpot', 'e2e', 'makespan'] as const;
export type TimeMetric = (typeof TIME_METRICS)[number];

/** What repeats of the same plan differ by, as shares of their mean. */
export interface Noise {
  /** Standard deviation over mean. */
  deviationRatio: number;
  /** Half of the distance between the largest and the smallest, over mean. */
  halfRangeRatio: number;
}

/** One statistic in both worlds; null where a world has no value. */
export interface Estimate {
  predictedMs: number | null;
  /** Of all repeats together. */
  measuredMs: number | null;
  /** (predicted - measured) / measured. */
  errorRatio: number | null;
  /** 95 % bootstrap interval of errorRatio, drawn from whole sessions; null where there are too few. */
  ci95: [number, number] | null;
  /** null with fewer than two repeats. */
  noise: Noise | null;
}

/** The largest vertical distance between two cumulative distributions, 0 (equal) to 1 (apart). */
export interface KsDistance {
  distance: number;
  /** What two samples of one distribution exceed in 5 % of cases, were calls independent. */
  critical: number;
  /** The largest distance between two repeats; null with fewer than two. */
  betweenRepeats: number | null;
}

/** One latency of a group. Failed and cancelled calls are not in it. */
export interface TimeComparison {
  metric: TimeMetric;
  predictedCount: number;
  /** Of one measured run, on average. */
  measuredCount: number;
  mean: Estimate;
  p50: Estimate;
  p95: Estimate;
  ks: KsDistance | null;
}

/** All calls, or those of one workflow or step. */
export interface GroupComparison {
  kind: 'all' | 'workflow' | 'step';
  /** A step's is `workflow / step` where there are several workflows. */
  name: string;
  /** Calls in all and those that did not come back whole; measured ones of one run, on average. */
  predictedCalls: number;
  predictedFailed: number;
  measuredCalls: number;
  measuredFailed: number;
  times: TimeComparison[];
}

/** One figure that is judged. */
export interface ValidationRow {
  metric: string;
  predicted: number | null;
  measured: number | null;
  unit: 'ms' | 'tokens' | 'count' | 'ratio';
  /** (predicted - measured) / measured. */
  errorRatio: number | null;
  /** 95 % bootstrap interval of errorRatio over sessions; null for exact counts. */
  ci95: [number, number] | null;
  /** Standard deviation of the repeats over their mean; null: not measured. */
  noiseRatio: number | null;
  /** As asked for. */
  toleranceRatio: number;
  /** What the error is held against: the tolerance, or a multiple of the noise where that is larger. */
  limitRatio: number;
  pass: boolean;
}

/** Whether what is slower in one world is slower in the other. */
export interface RankOrder {
  of: 'steps' | 'sessions';
  count: number;
  /** Kendall's rank correlation of the mean E2E of steps, or of the times of sessions: 1 is the same order. */
  tau: number;
  /** Pairs that it is over: those apart by more than 5 % when measured. */
  pairs: number;
  /** The 10th and the 90th percentile of predicted / measured: equal where the bias is the same everywhere. */
  ratioP10: number;
  ratioP90: number;
  /** Order and bias are good enough to choose between alternatives. */
  kept: boolean;
}

/** Cumulative distributions, at most 400 points each: [value ms, share 0..1]. */
export type Cdf = [valueMs: number, share: number][];

/** The mean error of the calls that were planned in a slice of the run, pair by pair. */
export interface ResidualPoint {
  metric: 'ttft' | 'tpot' | 'e2e';
  /** Middle of the slice. */
  atMs: number;
  /** Calls that both worlds have; at least five. */
  pairs: number;
  predictedMs: number;
  measuredMs: number;
  /** (predicted - measured) / measured, of the means. */
  errorRatio: number;
}

/** One world held against another. */
export interface Comparison {
  predicted: World;
  measured: World;
  rows: ValidationRow[];
  /** All calls first, then workflows, then at most 100 steps, those with most calls. */
  groups: GroupComparison[];
  stepsLeftOut: number;
  cdfs: Partial<Record<TimeMetric, { predicted: Cdf; measured: Cdf }>>;
  /** Errors over the time of the run, at most 40 slices of equal length; absent: made by an older version. */
  residuals?: ResidualPoint[];
  /** null: fewer than three steps and ten sessions, or all take about the same time. */
  rank: RankOrder | null;
  pass: boolean;
}

/** A figure over time in every world that has it. */
export interface SeriesComparison {
  /** `TTFT p95`. */
  metric: string;
  unit: 'ms' | 'count' | 'ratio';
  predicted: World;
  measured: World;
  /** Width of a point's window, ms, which ends at `atMs` of the run. */
  windowMs: number;
  points: SeriesPoint[];
  /** Of the means over the points that both have. */
  errorRatio: number | null;
  incident: Incident;
}

export interface SeriesPoint {
  atMs: number;
  predicted: number | null;
  measured: number | null;
  /** Of a live run, where one was held against a record. */
  live: number | null;
}

/** A stretch in which a figure stands far above its usual value. */
export interface Rise {
  usual: number;
  peak: number;
  fromMs: number;
  toMs: number;
}

/** Whether what happened in the measured world happens in the predicted one. `nothing`: nothing happened. */
export interface Incident {
  reproduced: 'yes' | 'partly' | 'no' | 'nothing';
  /** The answer, one sentence. */
  sentence: string;
  measured: Rise | null;
  predicted: Rise | null;
  live: Rise | null;
}

/** One measured run of the plan. */
export interface Repeat {
  /** Beside validation.json. */
  folder: string;
  valid: boolean;
  invalidReason: string | null;
}

/** What a prediction is good for. */
export type Fitness = 'absolute' | 'ranking' | 'neither' | 'not-valid';

export interface ValidationResult {
  schemaVersion: number;
  kind: 'validation';
  sim: RunResult;
  /** The first live run that is valid, else the first; null: none was made. */
  live: RunResult | null;
  /** Live runs of the plan with one seed, each with content of its own; those not valid are not compared. */
  repeats: Repeat[];
  /** The first decides. */
  comparisons: Comparison[];
  /** Over time, where the measured world is a record. */
  series: SeriesComparison[];
  verdict: {
    fitness: Fitness;
    /** One sentence: the answer. */
    headline: string;
    /** Why, and what to try; a sentence each, the most telling first. */
    reasons: string[];
  };
  /** What the reader must know before trusting it. */
  warnings: string[];
  pass: boolean;
}
