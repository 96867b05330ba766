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
