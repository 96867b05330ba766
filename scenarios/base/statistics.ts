// Exact order statistics and bootstrap intervals. Quantiles are nearest-rank, as in base/histogram.ts: a value that
// occurred, never an interpolation between two. Resampling is hashed from a key, so an interval is reproducible.
import { mean as meanOf, sampleVariance } from 'simple-statistics';
import { extend, type Key, uniform } from './key.ts';

/** A sorted copy, for any number of quantiles. */
export const sorted = (values: Iterable<number>): Float64Array => Float64Array.from(values).sort();

/** Rank (from 0) of the quantile `q` (0 to 1) among `count` values: the least with at least q of the mass at or under it. */
export const quantileRank = (q: number, count: number): number =>
  Math.min(count, Math.max(1, Math.ceil(q * count - 1e-9))) - 1;

/** The quantile `q` of sorted values; NaN when there are none. */
export const quantileSorted = (values: ArrayLike<number>, q: number): number =>
  values.length === 0 ? Number.NaN : values[quantileRank(q, values.length)]!;

/** The quantile `q` of values in any order; NaN when there are none. */
export const quantile = (values: Iterable<number>, q: number): number => quantileSorted(sorted(values), q);

/** The arithmetic mean, with compensated summation in the order given; NaN of none. */
export const mean = (values: number[] | Float64Array): number =>
  values.length === 0 ? Number.NaN : meanOf(values as number[]);

/** Sample standard deviation; NaN under two values. */
export const deviation = (values: number[] | Float64Array): number =>
  values.length < 2 ? Number.NaN : Math.sqrt(sampleVariance(values as number[]));

export interface BootstrapOptions {
  /** Names the draws: equal keys, equal intervals. */
  key: Key;
  /** Resamples drawn; 1,000 settles a 95 % interval to about a tenth of its width. */
  resamples?: number;
  /** Mass inside the interval, 0 to 1. */
  level?: number;
}

/**
 * A percentile bootstrap interval of any statistic over `count` independent units (sessions or blocks, never the
 * calls inside them, which are alike). `statistic` gets the rows drawn, with repeats; resamples where it is NaN are
 * left out. Null under two units, or when half the resamples had no value.
 */
export function bootstrapInterval(
  count: number,
  statistic: (rows: Int32Array) => number,
  { key, resamples = 1000, level = 0.95 }: BootstrapOptions,
): [number, number] | null {
  if (count < 2) return null;
  const rows = new Int32Array(count);
  const values: number[] = [];
  for (let resample = 0; resample < resamples; resample++) {
    const drawKey = extend(key, resample);
    for (let i = 0; i < count; i++) rows[i] = Math.floor(uniform(extend(drawKey, i)) * count);
    const value = statistic(rows);
    if (!Number.isNaN(value)) values.push(value);
  }
  if (values.length * 2 < resamples) return null;
  const ordered = sorted(values);
  return [quantileSorted(ordered, (1 - level) / 2), quantileSorted(ordered, (1 + level) / 2)];
}

/**
 * P(|T| <= |t|) of Student's distribution with a whole number of degrees of freedom: the finite series of Abramowitz and
 * Stegun 26.7.3 and 26.7.4.
 */
export function studentWithin(t: number, degrees: number): number {
  const sine = Math.abs(t) / Math.sqrt(degrees + t * t);
  const cosineSquared = degrees / (degrees + t * t);
  const isOdd = degrees % 2 === 1;
  let term = isOdd ? Math.sqrt(cosineSquared) : 1;
  let sum = degrees === 1 ? 0 : term;
  for (let k = isOdd ? 3 : 2; k < degrees; k += 2) {
    term *= (cosineSquared * (k - 1)) / k;
    sum += term;
  }
  return isOdd ? (2 / Math.PI) * (Math.atan(Math.abs(t) / Math.sqrt(degrees)) + sine * sum) : sine * sum;
}

/** The t inside which `level` (0 to 1) of Student's distribution lies, both sides: 2.262 for 95 % and 9 degrees. */
export function studentBound(level: number, degrees: number): number {
  let high = 1;
  while (studentWithin(high, degrees) < level) high *= 2;
  let low = 0;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (studentWithin(middle, degrees) < level) low = middle;
    else high = middle;
  }
  return high;
}

/** A difference of pairs: its mean, the 95 % interval, and the chance of one as large where there is none. */
export interface PairedDifference {
  mean: number;
  /** Null under two pairs. */
  ci95: [number, number] | null;
  /** Two-sided; null under two pairs. */
  p: number | null;
}

/** Student's paired test of differences, each of one pair (of runs on the same draws). */
export function pairedDifference(differences: number[]): PairedDifference {
  const middle = mean(differences);
  const spread = deviation(differences);
  if (Number.isNaN(spread)) return { mean: middle, ci95: null, p: null };
  const error = spread / Math.sqrt(differences.length);
  const degrees = differences.length - 1;
  const half = studentBound(0.95, degrees) * error;
  const p = error > 0 ? 1 - studentWithin(middle / error, degrees) : middle === 0 ? 1 : 0;
  return { mean: middle, ci95: [middle - half, middle + half], p };
}

/** p values of several tests, adjusted by Holm's step-down rule: reject below the level as if there were one test. */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a]! - pValues[b]! || a - b);
  const adjusted = pValues.map(() => 1);
  let most = 0;
  for (const [rank, i] of order.entries()) {
    most = Math.max(most, Math.min(1, pValues[i]! * (pValues.length - rank)));
    adjusted[i] = most;
  }
  return adjusted;
}

/** Jain's fairness index, (sum x)^2 / (n sum x^2): 1 when all are equal, 1/n when one has it all; null of none or all 0. */
export function jainIndex(values: readonly number[]): number | null {
  const sum = values.reduce((total, x) => total + x, 0);
  const squares = values.reduce((total, x) => total + x * x, 0);
  return squares === 0 ? null : (sum * sum) / (values.length * squares);
}
