// How much each axis of a sweep matters: how much of the metric's ranks it explains over the whole design, and what its
// other values do at the best point. Ranks, since a metric may be a thousand times worse where a queue grows. Pure.
import { mean, pairedDifference } from '../../scenarios/base/statistics.ts';
import type { SweepAxis, SweepEffect, SweepNeighbour, SweepPoint } from '../../scenarios/formats/sweep.ts';

/** Points of fewer than these say nothing about an axis. */
const POINTS_MIN = 4;
/** Of the normal distribution, for Fisher's interval. */
const Z95 = 1.959964;
/** An axis with more different numbers is one of ranks, not of groups. */
const GROUPS_MAX = 24;

/** A point with the metric of each of its seeds. */
export interface JudgedPoint {
  readonly point: SweepPoint;
  /** Null where the metric is not known. */
  readonly metric: number | null;
  readonly perSeed: readonly (number | null)[];
}

/** Ranks from 1; equal values share the mean of theirs. */
export function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]! || a - b);
  const found = values.map(() => 0);
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to < order.length && values[order[to]!] === values[order[from]!]) to++;
    for (let i = from; i < to; i++) found[order[i]!] = (from + 1 + to) / 2;
    from = to;
  }
  return found;
}

/** Pearson's correlation; null where one side is constant. */
export function correlation(xs: readonly number[], ys: readonly number[]): number | null {
  const [xMean, yMean] = [mean(xs), mean(ys)];
  let [xy, xx, yy] = [0, 0, 0];
  for (const [i, x] of xs.entries()) {
    const [dx, dy] = [x - xMean, ys[i]! - yMean];
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return xx === 0 || yy === 0 ? null : xy / Math.sqrt(xx * yy);
}

/** Variance between groups over all variance: 1 when the group says everything; null where nothing varies. */
export function explainedRatio(groups: readonly string[], values: readonly number[]): number | null {
  const middle = mean(values);
  const byGroup = new Map<string, number[]>();
  for (const [i, group] of groups.entries()) byGroup.set(group, [...(byGroup.get(group) ?? []), values[i]!]);
  const between = [...byGroup.values()].reduce((sum, own) => sum + own.length * (mean(own) - middle) ** 2, 0);
  const all = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return all === 0 ? null : between / all;
}

/** Fisher's interval of a correlation; null under four points, or where it is perfect. */
function fisher(r: number | null, count: number): [number, number] | null {
  if (r === null || count < POINTS_MIN || Math.abs(r) >= 1 - 1e-12) return null;
  const half = Z95 / Math.sqrt(count - 3);
  return [Math.tanh(Math.atanh(r) - half), Math.tanh(Math.atanh(r) + half)];
}

/** The axis that matters most first. */
export function effectsOf(
  axes: readonly SweepAxis[],
  judged: readonly JudgedPoint[],
  best: JudgedPoint | null,
  hasNeighbours: boolean,
): SweepEffect[] {
  const known = judged.flatMap(each => (each.metric === null ? [] : [{ ...each, metric: each.metric }]));
  const metricRanks = ranks(known.map(({ metric }) => metric));
  const effects = axes.map(({ name, isNumeric, values }, axis): SweepEffect => {
    const labels = known.map(({ point }) => point.values[axis]!);
    const numbers = known.map(({ point }) => point.numbers[axis] ?? Number.NaN);
    const isEnough = known.length >= POINTS_MIN;
    const rho = isEnough && isNumeric ? correlation(ranks(numbers), metricRanks) : null;
    const isGrouped = values.length <= GROUPS_MAX && values.length < known.length;
    const explained = isGrouped ? explainedRatio(labels, metricRanks) : rho === null ? null : rho ** 2;
    return {
      axis: name,
      explainedRatio: isEnough ? explained : null,
      rankCorrelation: rho,
      rankCi95: fisher(rho, known.length),
      neighbours: best === null || !hasNeighbours ? [] : neighboursOf(axis, known, best),
    };
  });
  return effects.sort((a, b) => (b.explainedRatio ?? -1) - (a.explainedRatio ?? -1));
}

/** Points that differ from the best one in this axis alone. */
function neighboursOf(axis: number, judged: readonly JudgedPoint[], best: JudgedPoint): SweepNeighbour[] {
  return judged.flatMap(({ point, metric, perSeed }) => {
    const isBeside = point.values.every((value, i) => (value === best.point.values[i]) === (i !== axis));
    if (!isBeside || metric === null) return [];
    const pairs = perSeed.flatMap((value, seed) => {
      const base = best.perSeed[seed] ?? null;
      return value === null || base === null ? [] : [value - base];
    });
    if (pairs.length === 0) return [];
    const { mean: difference, ci95 } = pairedDifference(pairs);
    return [{ value: point.values[axis]!, metric, difference, ci95 }];
  });
}
