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
export const mean = (values: readonly number[] | Float64Array): number =>
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

declare const areBlocks: unique symbol;

/**
 * Values of independent blocks: seeds, live runs, slices of time. Tests of runs take nothing else, so that the requests
 * inside of a block, of which there are many and which are alike, cannot pass for evidence.
 */
export type Blocks = readonly number[] & { readonly [areBlocks]: true };

/** States that these values are of one block each. */
export const asBlocks = (values: readonly number[]): Blocks => values as Blocks;

/** How far one side lies from another: the median shift, its 95 % interval, and the chance of one as large by luck. */
export interface Shift {
  /** Hodges and Lehmann's estimate; NaN of nothing. */
  shift: number;
  /** Null where so few blocks allow no interval of 95 %. */
  ci95: [number, number] | null;
  /** Two-sided, exact. */
  p: number;
}

/** Ranks from 1, doubled, so that those of ties, their mean, are whole. */
function doubledRanks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]! || a - b);
  const ranks = values.map(() => 0);
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to + 1 < order.length && values[order[to + 1]!] === values[order[from]!]) to += 1;
    for (let i = from; i <= to; i++) ranks[order[i]!] = from + to + 2;
    from = to + 1;
  }
  return ranks;
}

/** Chance of each sum when every rank counts or does not with equal chance. */
function signedRankChances(ranks: readonly number[]): Float64Array {
  const chances = new Float64Array(ranks.reduce((sum, rank) => sum + rank, 0) + 1);
  chances[0] = 1;
  for (const rank of ranks)
    for (let sum = chances.length - 1; sum >= 0; sum--)
      chances[sum] = (chances[sum]! + (sum >= rank ? chances[sum - rank]! : 0)) / 2;
  return chances;
}

/** Chance of each sum of `count` ranks drawn without putting back. */
function rankSumChances(ranks: readonly number[], count: number): Float64Array {
  const most = ranks.reduce((sum, rank) => sum + rank, 0);
  // After i ranks: the chance that k of them were drawn and sum to s, at k * (most + 1) + s.
  const width = most + 1;
  const chances = new Float64Array((count + 1) * width);
  chances[0] = 1;
  for (const [i, rank] of ranks.entries()) {
    const left = ranks.length - i;
    for (let k = Math.min(count, i + 1); k >= 0; k--) {
      const isDrawn = k === 0 ? 0 : (count - k + 1) / left;
      const isNot = (left - (count - k)) / left;
      for (let sum = most; sum >= 0; sum--) {
        const drawn = k > 0 && sum >= rank ? chances[(k - 1) * width + sum - rank]! * isDrawn : 0;
        chances[k * width + sum] = chances[k * width + sum]! * isNot + drawn;
      }
    }
  }
  return chances.slice(count * width);
}

/** Chance of a value at least as far out as this, on either side. */
function bothTails(chances: Float64Array, value: number): number {
  let below = 0;
  let above = 0;
  for (const [sum, chance] of chances.entries()) {
    if (sum <= value) below += chance;
    if (sum >= value) above += chance;
  }
  return Math.min(1, 2 * Math.min(below, above));
}

/** Middle and 95 % interval of ordered shifts, of which the null distribution says how many to leave out at either end. */
function middleOf(shifts: Float64Array, chances: Float64Array): Pick<Shift, 'shift' | 'ci95'> {
  let out = 0;
  let below = 0;
  while (out < chances.length && below + chances[out]! <= 0.025) below += chances[out++]!;
  const half = shifts.length / 2;
  const shift = (shifts[Math.ceil(half) - 1]! + shifts[Math.floor(half)]!) / 2;
  return { shift, ci95: out === 0 ? null : [shifts[out - 1]!, shifts[shifts.length - out]!] };
}

/** Every second chance: of whole ranks, which doubled ones without ties are. */
const ofWholeRanks = (doubled: Float64Array): Float64Array => doubled.filter((_, sum) => sum % 2 === 0);

const doubledTo = (count: number): number[] => Array.from({ length: count }, (_, i) => 2 * (i + 1));

/** Wilcoxon's signed-rank test of differences of pairs; differences of 0 say nothing and are left out of the chance. */
export function signedRankShift(differences: Blocks): Shift {
  const moved = differences.filter(each => each !== 0);
  const ranks = doubledRanks(moved.map(Math.abs));
  const upper = ranks.reduce((sum, rank, i) => sum + (moved[i]! > 0 ? rank : 0), 0);
  const walsh = sorted(differences.flatMap((a, i) => differences.slice(i).map(b => (a + b) / 2)));
  const free = ofWholeRanks(signedRankChances(doubledTo(differences.length)));
  return { ...middleOf(walsh, free), p: bothTails(signedRankChances(ranks), upper) };
}

/** Mann and Whitney's test of two sides without pairs: how far `others` lies above `ones`. */
export function rankSumShift(ones: Blocks, others: Blocks): Shift {
  const ranks = doubledRanks([...ones, ...others]);
  const sum = ranks.slice(ones.length).reduce((total, rank) => total + rank, 0);
  const apart = sorted(others.flatMap(other => ones.map(one => other - one)));
  const free = ofWholeRanks(rankSumChances(doubledTo(ranks.length), others.length));
  const least = (others.length * (others.length + 1)) / 2;
  return {
    ...middleOf(apart, free.subarray(least)),
    p: bothTails(rankSumChances(ranks, others.length), sum),
  };
}

const MSER_BATCH = 5;

/**
 * How many values at the start are warm-up, by MSER-5 (White, Cobb and Spratt, WSC 2000): the cut after which the mean of
 * batches of five has the least standard error. At most half of the values.
 */
export function warmupCount(values: readonly number[]): number {
  const batches = Array.from({ length: Math.floor(values.length / MSER_BATCH) }, (_, i) =>
    mean(values.slice(i * MSER_BATCH, (i + 1) * MSER_BATCH)),
  );
  let best = { cut: 0, error: Number.POSITIVE_INFINITY };
  for (let cut = 0; cut <= batches.length / 2; cut++) {
    const kept = batches.slice(cut);
    if (kept.length < 2) break;
    const middle = mean(kept);
    const error = kept.reduce((sum, x) => sum + (x - middle) ** 2, 0) / kept.length ** 2;
    if (error < best.error) best = { cut, error };
  }
  return best.cut * MSER_BATCH;
}
