// One world held against another: every latency of every group, counts and tokens, and the order of steps.
//
//   records ─▶ samples by group ─▶ errors, intervals, noise, distances ─▶ rows that are judged
import { cdfOf, histogramCdf } from '../../reports/metrics.ts';
import type { HistogramCounts } from '../../scenarios/base/histogram.ts';
import { Histogram } from '../../scenarios/base/histogram.ts';
import { textKey } from '../../scenarios/base/key.ts';
import { mean, quantileSorted } from '../../scenarios/base/statistics.ts';
import {
  type Comparison,
  type Estimate,
  type GroupComparison,
  type KsDistance,
  TIME_METRICS,
  type TimeComparison,
} from '../../scenarios/formats/validation.ts';
import { errorIntervals, type Interval, type Intervals } from './bootstrap.ts';
import { ksCritical, ksDistance, ksOfHistograms, merged } from './distance.ts';
import { errorOf, noiseOf } from './error.ts';
import { type ComparedWorld, countRows, type Tolerances, timeRows } from './judged.ts';
import { rankOrder } from './rank.ts';
import { residualsOf } from './residuals.ts';
import {
  ALL,
  type GroupSamples,
  groupsOf,
  NO_SAMPLES,
  pooled,
  type Records,
  type SampledMetric,
  type Samples,
} from './samples.ts';

/** Groups kept of steps, those with most calls. */
const STEPS_MAX = 100;
const SAMPLED = ['ttft', 'tpot', 'e2e', 'makespan'] as const satisfies SampledMetric[];

/** Everything about two worlds of one plan. Sessions pair by name, since both worlds meet the same agents. */
export function compareWorlds(
  predicted: ComparedWorld,
  measured: ComparedWorld,
  tolerances: Tolerances,
): Comparison {
  const runs = [...predicted.runs, ...measured.runs];
  const names = new Set(runs.flatMap(run => run.workflows.map(({ session }) => session)));
  for (const run of runs) for (const { session } of run.calls) names.add(session);
  const rowOfSession = new Map([...names].sort().map((name, row) => [name, row]));
  const severalWorkflows = new Set(runs.flatMap(run => run.workflows.map(each => each.workflow))).size > 1;
  const grouping = { rowOf: (session: string) => rowOfSession.get(session)!, severalWorkflows };
  const before = predicted.runs.map(run => groupsOf(run, grouping));
  const after = measured.runs.map(run => groupsOf(run, grouping));

  const cells = cellsOf(before, after);
  const intervals = errorIntervals(
    cells.map(cell => cell.pair),
    rowOfSession.size,
    textKey('validate'),
  );
  const timesOf = new Map<string, TimeComparison[]>();
  for (const [row, cell] of cells.entries()) {
    const times = timesOf.get(cell.group) ?? [];
    timesOf.set(cell.group, times);
    times.push(timeComparison(cell, intervals[row]!));
  }
  const all = timesOf.get(`all:${ALL}`) ?? [];
  const itl = itlComparison(predicted.runs, measured.runs);
  if (itl !== null) all.splice(1, 0, itl);

  const keys = orderOf(before, after);
  const groups = keys.map(key => groupComparison(key, before, after, timesOf.get(key) ?? []));
  const steps = groups.filter(({ kind }) => kind === 'step');
  const shown = new Set(
    steps
      .toSorted((a, b) => b.measuredCalls - a.measuredCalls)
      .slice(0, STEPS_MAX)
      .map(({ name }) => name),
  );
  const rows = [
    ...timeRows(all, measured.world, tolerances),
    ...countRows(predicted.runs, measured, tolerances.countRatio),
  ];
  return {
    predicted: predicted.world,
    measured: measured.world,
    rows,
    groups: groups.filter(({ kind, name }) => kind !== 'step' || shown.has(name)),
    stepsLeftOut: Math.max(0, steps.length - shown.size),
    cdfs: cdfsOf(before, after, predicted.runs, measured.runs),
    residuals: residualsOf(predicted.runs, measured.runs),
    rank: rankOrder(steps, predicted.runs, measured.runs),
    pass: rows.every(row => row.pass),
  };
}

// ---- latencies ------------------------------------------------------------------------------------------------

type Groups = ReadonlyMap<string, GroupSamples>;

/** One metric of one group. */
interface Cell {
  group: string;
  metric: SampledMetric;
  pair: { predicted: Samples; measured: Samples };
  repeats: readonly Samples[];
}

function cellsOf(before: readonly Groups[], after: readonly Groups[]): Cell[] {
  return orderOf(before, after).flatMap(group =>
    SAMPLED.flatMap((metric): Cell[] => {
      const of = (groups: Groups): Samples => groups.get(group)?.times[metric] ?? NO_SAMPLES;
      const repeats = after.map(of);
      const pair = { predicted: pooled(before.map(of)), measured: pooled(repeats) };
      const isEmpty = pair.predicted.valuesMs.length + pair.measured.valuesMs.length === 0;
      return isEmpty ? [] : [{ group, metric, pair, repeats }];
    }),
  );
}

const KINDS: Record<GroupComparison['kind'], number> = { all: 0, workflow: 1, step: 2 };

/** Keys of all groups: all calls, workflows, steps; each by its first call. */
function orderOf(before: readonly Groups[], after: readonly Groups[]): string[] {
  const found = new Map<string, GroupSamples>();
  for (const groups of [...before, ...after])
    for (const [key, group] of groups) if (!found.has(key)) found.set(key, group);
  return [...found]
    .sort(
      ([one, a], [other, b]) =>
        KINDS[a.kind] - KINDS[b.kind] || a.firstMs - b.firstMs || (one < other ? -1 : 1),
    )
    .map(([key]) => key);
}

const valueOr = (value: number): number | null => (Number.isFinite(value) ? value : null);

function estimate(
  { pair, repeats }: { pair: Cell['pair']; repeats: readonly Samples[] },
  of: (valuesMs: Float64Array) => number,
  ci95: Interval,
): Estimate {
  const predictedMs = valueOr(of(pair.predicted.valuesMs));
  const measuredMs = valueOr(of(pair.measured.valuesMs));
  const noise = noiseOf(repeats.map(({ valuesMs }) => of(valuesMs)));
  return { predictedMs, measuredMs, errorRatio: errorOf(predictedMs, measuredMs), ci95, noise };
}

function timeComparison(cell: Cell, intervals: Intervals): TimeComparison {
  const { predicted, measured } = cell.pair;
  const perRun = measured.valuesMs.length / cell.repeats.length;
  return {
    metric: cell.metric,
    predictedCount: predicted.valuesMs.length,
    measuredCount: perRun,
    mean: estimate(cell, mean, intervals.mean),
    p50: estimate(cell, values => quantileSorted(values, 0.5), intervals.p50),
    p95: estimate(cell, values => quantileSorted(values, 0.95), intervals.p95),
    ks: ksOf(
      ksDistance(predicted.valuesMs, measured.valuesMs),
      [predicted.valuesMs.length, perRun],
      cell.repeats.map(({ valuesMs }) => valuesMs),
      ksDistance,
    ),
  };
}

function ksOf<Run>(
  distance: number | null,
  [count, perRun]: [number, number],
  repeats: readonly Run[],
  between: (a: Run, b: Run) => number | null,
): KsDistance | null {
  if (distance === null) return null;
  const distances = repeats.flatMap((one, i) =>
    repeats.slice(i + 1).flatMap(other => between(one, other) ?? []),
  );
  return {
    distance,
    critical: ksCritical(count, perRun),
    betweenRepeats: distances.length === 0 ? null : Math.max(...distances),
  };
}

/** Token gaps: histograms of whole runs, so without an interval over sessions. */
function itlComparison(before: readonly Records[], after: readonly Records[]): TimeComparison | null {
  const predicted = merged(before.map(run => run.itlMs));
  const repeats = after.map(run => run.itlMs);
  const measured = merged(repeats);
  if (predicted.count === 0 || measured.count === 0) return null;
  const estimateOf = (of: (counts: HistogramCounts) => number): Estimate => {
    const [predictedMs, measuredMs] = [of(predicted), of(measured)];
    return {
      predictedMs,
      measuredMs,
      errorRatio: errorOf(predictedMs, measuredMs),
      ci95: null,
      noise: noiseOf(repeats.map(of)),
    };
  };
  const quantileOf = (q: number) => estimateOf(counts => Histogram.from(counts).quantile(q));
  return {
    metric: 'itl',
    predictedCount: predicted.count,
    measuredCount: measured.count / after.length,
    mean: estimateOf(({ sum, count }) => sum / count),
    p50: quantileOf(0.5),
    p95: quantileOf(0.95),
    ks: ksOf(
      ksOfHistograms(predicted, measured),
      [predicted.count, measured.count / after.length],
      repeats,
      ksOfHistograms,
    ),
  };
}

function groupComparison(
  key: string,
  before: readonly Groups[],
  after: readonly Groups[],
  times: TimeComparison[],
): GroupComparison {
  const sample = [...before, ...after].map(groups => groups.get(key)).find(group => group !== undefined)!;
  const meanOf = (worlds: readonly Groups[], of: (group: GroupSamples) => number): number =>
    mean(worlds.map(groups => (groups.has(key) ? of(groups.get(key)!) : 0)));
  return {
    kind: sample.kind,
    name: sample.name,
    predictedCalls: meanOf(before, group => group.calls),
    predictedFailed: meanOf(before, group => group.failed),
    measuredCalls: meanOf(after, group => group.calls),
    measuredFailed: meanOf(after, group => group.failed),
    times,
  };
}

function cdfsOf(
  before: readonly Groups[],
  after: readonly Groups[],
  predicted: readonly Records[],
  measured: readonly Records[],
): Comparison['cdfs'] {
  const cdfs: Comparison['cdfs'] = {};
  const histograms = [
    merged(predicted.map(run => run.itlMs)),
    merged(measured.map(run => run.itlMs)),
  ] as const;
  for (const metric of TIME_METRICS) {
    const of = (groups: readonly Groups[]): Samples =>
      metric === 'itl' ? NO_SAMPLES : pooled(groups.map(each => each.get(`all:${ALL}`)!.times[metric]));
    const curves =
      metric === 'itl'
        ? { predicted: histogramCdf(histograms[0]), measured: histogramCdf(histograms[1]) }
        : { predicted: cdfOf(of(before).valuesMs), measured: cdfOf(of(after).valuesMs) };
    if (curves.predicted.length > 0 && curves.measured.length > 0) cdfs[metric] = curves;
  }
  return cdfs;
}
