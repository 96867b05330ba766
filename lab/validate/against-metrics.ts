// A simulation held against what Prometheus kept of the servers: the same figures over the same time.
import { plural } from '../../reports/numbers.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { mean, quantile } from '../../scenarios/base/statistics.ts';
import { type CallRecord, tpotMs } from '../../scenarios/formats/record.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import type {
  Comparison,
  SeriesComparison,
  SeriesPoint,
  ValidationRow,
} from '../../scenarios/formats/validation.ts';
import { errorOf } from './error.ts';
import { clockOf, incidentOf, seriesError } from './incident.ts';
import type { Tolerances } from './judged.ts';
import type { FigureName, MetricSeries } from './prometheus.ts';

const LABELS: Record<FigureName, string> = {
  ttft: 'TTFT',
  tpot: 'TPOT',
  e2e: 'E2E',
  queue: 'queue time',
  running: 'requests running',
  waiting: 'requests waiting',
  kv: 'KV cache in use',
};
const UNITS: Record<FigureName, SeriesComparison['unit']> = {
  ttft: 'ms',
  tpot: 'ms',
  e2e: 'ms',
  queue: 'ms',
  running: 'count',
  waiting: 'count',
  kv: 'ratio',
};

export interface AgainstMetrics {
  comparisons: Comparison[];
  series: SeriesComparison[];
  warnings: string[];
}

/** `epochMs`: wall clock of the run's start; null: it starts with the first sample. */
export function againstMetrics(
  sim: RunOutput,
  measured: readonly MetricSeries[],
  epochMs: number | null,
  tolerances: Tolerances,
): AgainstMetrics {
  const firstMs = Math.min(...measured.map(({ samples, windowMs }) => samples[0]!.unixMs - windowMs));
  const lastMs = Math.max(...measured.map(({ samples }) => samples.at(-1)!.unixMs));
  const zeroMs = epochMs ?? firstMs;
  const iso = (unixMs: number): string => new Date(unixMs).toISOString().slice(0, 19).replace('T', ' ');
  if (lastMs <= zeroMs || firstMs >= zeroMs + sim.durationMs) {
    throw new UserError(
      `the metrics (${iso(firstMs)} to ${iso(lastMs)} UTC) and the run (${iso(zeroMs)} to ${iso(zeroMs + sim.durationMs)} UTC) have no time in common`,
      {
        hint: 'ask Prometheus for the time of the run, or say when the run starts: --started 2026-11-21T14:00Z',
      },
    );
  }
  const warnings =
    epochMs === null
      ? [
          `nothing says when the run starts on the wall clock: it was laid at the first sample, ${iso(firstMs)} UTC (--started says it)`,
        ]
      : [];
  const series = measured.map(each => seriesOf(sim, each, zeroMs));
  const rows = series.flatMap(each => rowOf(each, tolerances));
  if (rows.length === 0) {
    throw new UserError('the simulation has no value at any of the times that the metrics have one', {
      hint: 'ask Prometheus for a range with a step below the length of the run',
    });
  }
  const all = measured.reduce((sum, { samples }) => sum + samples.length, 0);
  const outside = all - series.reduce((sum, { points }) => sum + points.length, 0);
  if (outside > 0)
    warnings.push(`${plural(outside, 'sample')} of the metrics before or after the run are left out`);
  const comparison: Comparison = {
    predicted: 'sim',
    measured: 'prometheus',
    rows,
    groups: [],
    stepsLeftOut: 0,
    cdfs: {},
    rank: null,
    pass: rows.every(({ pass }) => pass),
  };
  return { comparisons: [comparison], series, warnings };
}

function seriesOf(sim: RunOutput, measured: MetricSeries, zeroMs: number): SeriesComparison {
  const { figure, statistic, windowMs, samples } = measured;
  const metric = statistic === null ? LABELS[figure] : `${LABELS[figure]} ${statistic}`;
  const predict = predictorOf(sim, measured);
  const points: SeriesPoint[] = samples
    .map(({ unixMs, value }) => ({ atMs: unixMs - zeroMs, value }))
    // A window that begins before the run or ends behind it holds what the run has not.
    .filter(({ atMs }) => atMs > 0 && atMs <= sim.durationMs + windowMs)
    .map(({ atMs, value }) => ({ atMs, predicted: predict(atMs), measured: value, live: null }));
  const shape = { metric, unit: UNITS[figure], windowMs };
  const means = seriesError(points);
  return {
    ...shape,
    predicted: 'sim',
    measured: 'prometheus',
    points,
    errorRatio: means === null ? null : errorOf(means.predicted, means.measured),
    incident: incidentOf(points, shape, clockOf(zeroMs, sim.durationMs)),
  };
}

/** A latency as a server sees it: from the request to the token, at the instant that it counts it. */
const LATENCIES: Record<
  Exclude<FigureName, 'running' | 'waiting' | 'kv'>,
  (call: CallRecord) => { atMs: number | null; valueMs: number | null }
> = {
  ttft: call => ({ atMs: call.firstTokenMs, valueMs: minus(call.firstTokenMs, call.sentMs) }),
  tpot: call => ({ atMs: call.endMs, valueMs: tpotMs(call) }),
  e2e: call => ({ atMs: call.endMs, valueMs: minus(call.endMs, call.sentMs) }),
  queue: call => ({ atMs: call.endMs, valueMs: minus(call.scheduledMs, call.sentMs) }),
};

const minus = (end: number | null, start: number | null): number | null =>
  end === null || start === null ? null : end - start;

/** The figure of the simulation in the window that ends at an instant of the run; null: it has none. */
function predictorOf(
  sim: RunOutput,
  { figure, statistic, windowMs }: MetricSeries,
): (atMs: number) => number | null {
  if (figure === 'running' || figure === 'waiting' || figure === 'kv') return gaugeOf(sim, figure, windowMs);
  const seen = sim.calls
    .filter(({ outcome }) => outcome === 'ok')
    .flatMap(call => {
      const { atMs, valueMs } = LATENCIES[figure](call);
      return atMs === null || valueMs === null ? [] : [{ atMs, valueMs }];
    })
    .sort((a, b) => a.atMs - b.atMs);
  const times = Float64Array.from(seen, ({ atMs }) => atMs);
  return atMs => {
    const values = seen
      .slice(after(times, atMs - windowMs), after(times, atMs))
      .map(({ valueMs }) => valueMs);
    if (values.length === 0) return null;
    return statistic === 'mean' ? mean(values) : quantile(values, Number(statistic!.slice(1)) / 100);
  };
}

/** How many of ascending instants are at or before one. */
function after(times: Float64Array, atMs: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! <= atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The last sample of each replica at or before an instant, added up; of shares the mean. A gauge is scraped, not averaged. */
function gaugeOf(
  { timeline }: RunOutput,
  figure: 'running' | 'waiting' | 'kv',
  windowMs: number,
): (atMs: number) => number | null {
  const replicas = [...Map.groupBy(timeline, ({ replica }) => replica).values()].map(samples => {
    const ordered = samples.toSorted((a, b) => a.atMs - b.atMs);
    return { ordered, times: Float64Array.from(ordered, ({ atMs }) => atMs) };
  });
  return atMs => {
    const values = replicas.flatMap(({ ordered, times }) => {
      const sample = ordered[after(times, atMs) - 1];
      if (sample === undefined || atMs > times.at(-1)! + windowMs) return [];
      if (figure === 'kv') return [sample.kvUsedRatio];
      return [figure === 'running' ? sample.runningRequests : sample.waitingRequests];
    });
    if (values.length === 0) return null;
    return figure === 'kv' ? mean(values) : values.reduce((sum, value) => sum + value, 0);
  };
}

/** The means over the times that both have. */
function rowOf({ metric, unit, points }: SeriesComparison, tolerances: Tolerances): ValidationRow[] {
  const means = seriesError(points);
  if (means === null) return [];
  const errorRatio = errorOf(means.predicted, means.measured);
  const toleranceRatio = / p9\d$/.test(metric) ? tolerances.tailRatio : tolerances.timeRatio;
  return [
    {
      metric: `${metric} over time`,
      ...means,
      unit,
      errorRatio,
      ci95: null,
      noiseRatio: null,
      toleranceRatio,
      limitRatio: toleranceRatio,
      pass: errorRatio !== null && Math.abs(errorRatio) <= toleranceRatio,
    },
  ];
}
