// How far apart two distributions are, and how alike two orders: Kolmogorov and Smirnov's distance, Kendall's rank
// correlation.
import { Histogram, type HistogramCounts } from '../../scenarios/base/histogram.ts';

/** The largest vertical distance between the cumulative distributions of two sorted samples; null without values. */
export function ksDistance(a: ArrayLike<number>, b: ArrayLike<number>): number | null {
  if (a.length === 0 || b.length === 0) return null;
  let [i, j, largest] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const at = Math.min(a[i]!, b[j]!);
    while (i < a.length && a[i]! <= at) i++;
    while (j < b.length && b[j]! <= at) j++;
    largest = Math.max(largest, Math.abs(i / a.length - j / b.length));
  }
  return largest;
}

/** The same between histograms: exact at the borders of their buckets. */
export function ksOfHistograms(a: HistogramCounts, b: HistogramCounts): number | null {
  if (a.count === 0 || b.count === 0) return null;
  const [counts, others] = [new Map(a.buckets), new Map(b.buckets)];
  const buckets = [...new Set([...counts.keys(), ...others.keys()])].sort((one, other) => one - other);
  let [below, otherBelow, largest] = [0, 0, 0];
  for (const bucket of buckets) {
    below += counts.get(bucket) ?? 0;
    otherBelow += others.get(bucket) ?? 0;
    largest = Math.max(largest, Math.abs(below / a.count - otherBelow / b.count));
  }
  return largest;
}

/** What independent samples of one distribution exceed in 5 % of cases (Smirnov, large samples). */
export const ksCritical = (count: number, other: number): number =>
  Math.min(1, 1.3581 * Math.sqrt((count + other) / (count * other)));

export function merged(runs: readonly HistogramCounts[]): HistogramCounts {
  const all = new Histogram();
  for (const run of runs) all.merge(run);
  return all.toCounts();
}

/** Pairs in one order in both lists less pairs in the other order, over those that stand apart; null without such. */
export interface Concordance {
  /** Kendall's tau over pairs apart: 1 is the same order, -1 the reverse. */
  readonly tau: number;
  readonly pairs: number;
}

/**
 * Kendall's rank correlation of positive values, over the pairs whose `measured` values are apart by more than
 * `tieRatio`: the order of what takes about the same time is chance, and nobody chooses by it.
 */
export function concordance(
  predicted: readonly number[],
  measured: readonly number[],
  tieRatio: number,
): Concordance | null {
  let [sum, pairs] = [0, 0];
  for (let i = 0; i < measured.length; i++) {
    for (let j = i + 1; j < measured.length; j++) {
      const [a, b] = [measured[i]!, measured[j]!];
      if (Math.max(a, b) <= (1 + tieRatio) * Math.min(a, b)) continue;
      pairs++;
      sum += Math.sign(predicted[i]! - predicted[j]!) * Math.sign(a - b);
    }
  }
  return pairs === 0 ? null : { tau: sum / pairs, pairs };
}
