// Latency metrics of a run: exact quantiles and cumulative distributions. Only calls that came back whole count:
// failures are quick or endless, and would flatter or drown the percentiles; they are counted beside them.
import { Histogram, type HistogramCounts } from '../scenarios/base/histogram.ts';
import { mean, quantileSorted, sorted } from '../scenarios/base/statistics.ts';
import * as record from '../scenarios/formats/record.ts';
import type { MetricName, MetricSummary } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';

/** Under this many samples a p99 is the luck of one or two calls. */
const P99_SAMPLES_MIN = 100;
const P999_SAMPLES_MIN = 10_000;
const CDF_POINTS_MAX = 400;
/** Of these, in the last part of a percent or so: a tail spans decades. */
const TAIL_POINTS = 60;
/** Values beyond a point of the tail, against the point before. */
const TAIL_STEP = 0.86;

export const METRIC_LABELS: Record<MetricName, string> = {
  ttft: 'TTFT',
  itl: 'ITL',
  tpot: 'TPOT',
  e2e: 'call E2E',
  queue: 'queue',
  makespan: 'workflow',
  lag: 'client lag',
};

type CallMetric = Exclude<MetricName, 'itl' | 'makespan'>;

const CALL_METRICS: Record<CallMetric, (call: record.CallRecord) => number | null> = {
  ttft: record.ttftMs,
  tpot: record.tpotMs,
  e2e: record.e2eMs,
  queue: record.queueMs,
  lag: record.lagMs,
};

/** One metric of the calls that came back whole; lag counts every call sent. */
export function callValuesMs(calls: readonly record.CallRecord[], metric: CallMetric): number[] {
  const metricOf = CALL_METRICS[metric];
  const values: number[] = [];
  for (const call of calls) {
    if (call.outcome !== 'ok' && metric !== 'lag') continue;
    const value = metricOf(call);
    if (value !== null) values.push(value);
  }
  return values;
}

/** Makespans of the workflows that completed. */
export const makespansMs = (workflows: readonly record.WorkflowRecord[]): number[] =>
  workflows.map(record.makespanMs).filter(value => value !== null);

/** The summary of sorted values; null of none. */
export function summaryOf(values: Float64Array): MetricSummary | null {
  const n = values.length;
  if (n === 0) return null;
  return {
    unit: 'ms',
    better: 'lower',
    n,
    mean: mean(values),
    min: values[0]!,
    max: values[n - 1]!,
    p50: quantileSorted(values, 0.5),
    p90: quantileSorted(values, 0.9),
    p95: quantileSorted(values, 0.95),
    p99: n < P99_SAMPLES_MIN ? null : quantileSorted(values, 0.99),
    p999: n < P999_SAMPLES_MIN ? null : quantileSorted(values, 0.999),
  };
}

/** The same from a histogram: quantiles within 0.4 %, mean and extremes exact. */
export function histogramSummary(counts: HistogramCounts): MetricSummary | null {
  if (counts.count === 0) return null;
  const histogram = Histogram.from(counts);
  return {
    unit: 'ms',
    better: 'lower',
    n: counts.count,
    mean: counts.sum / counts.count,
    min: counts.min,
    max: counts.max,
    p50: histogram.quantile(0.5),
    p90: histogram.quantile(0.9),
    p95: histogram.quantile(0.95),
    p99: counts.count < P99_SAMPLES_MIN ? null : histogram.quantile(0.99),
    p999: counts.count < P999_SAMPLES_MIN ? null : histogram.quantile(0.999),
  };
}

type Cdf = [valueMs: number, share: number][];

/** The ranks that are kept: all of a few; else even in share, and in the tail even in decades. */
function keptRanks(count: number): number[] {
  if (count <= CDF_POINTS_MAX) return Array.from({ length: count }, (_, i) => i + 1);
  const even = CDF_POINTS_MAX - TAIL_POINTS;
  const ranks = new Set<number>();
  for (let point = 1; point <= even; point++) ranks.add(Math.ceil((point * count) / even));
  for (let above = count / even, left = TAIL_POINTS; left > 0 && above >= 1; left--) {
    ranks.add(count - Math.floor(above));
    above *= TAIL_STEP;
  }
  return [...ranks].sort((a, b) => a - b);
}

/** One point per kept value, each with the share at or under it. */
function steps(count: number, valueAt: (rank: number) => number): Cdf {
  const cdf: Cdf = [];
  for (const rank of keptRanks(count)) {
    const valueMs = Math.round(valueAt(rank) * 1000) / 1000;
    if (cdf.length > 0 && cdf[cdf.length - 1]![0] === valueMs) cdf.pop();
    cdf.push([valueMs, rank / count]);
  }
  return cdf;
}

/** The cumulative distribution of sorted values, at most 400 points. */
export const cdfOf = (values: Float64Array): Cdf => steps(values.length, rank => values[rank - 1]!);

export function histogramCdf(counts: HistogramCounts): Cdf {
  const histogram = Histogram.from(counts);
  return steps(counts.count, rank => histogram.quantile(rank / counts.count));
}

/** Every metric of a run that has at least one value, and its distribution. */
export function metricsOf(output: RunOutput): {
  metrics: Partial<Record<MetricName, MetricSummary>>;
  cdfs: Partial<Record<MetricName, Cdf>>;
} {
  const metrics: Partial<Record<MetricName, MetricSummary>> = {};
  const cdfs: Partial<Record<MetricName, Cdf>> = {};
  const add = (name: MetricName, values: number[]) => {
    const ordered = sorted(values);
    const summary = summaryOf(ordered);
    if (summary === null) return;
    metrics[name] = summary;
    cdfs[name] = cdfOf(ordered);
  };
  add('ttft', callValuesMs(output.calls, 'ttft'));
  const itl = histogramSummary(output.itlMs);
  if (itl !== null) {
    metrics.itl = itl;
    cdfs.itl = histogramCdf(output.itlMs);
  }
  add('tpot', callValuesMs(output.calls, 'tpot'));
  add('e2e', callValuesMs(output.calls, 'e2e'));
  add('queue', callValuesMs(output.calls, 'queue'));
  add('makespan', makespansMs(output.workflows));
  if (output.header.world === 'live') add('lag', callValuesMs(output.calls, 'lag'));
  return { metrics, cdfs };
}
