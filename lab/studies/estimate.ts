// What a study says of a number over seeds: its mean with a 95 % interval, and how it reads.

import { showNumber, showSignedRatio } from '../../reports/numbers.ts';
import { mean, pairedDifference } from '../../scenarios/base/statistics.ts';

export interface Estimate {
  readonly mean: number;
  /** Student's; null of one value. */
  readonly ci95: readonly [number, number] | null;
}

type Values = readonly (number | null | undefined)[];

/** Of one value a seed; null where a seed has none. */
export function estimate(values: Values): Estimate | null {
  const known = values.flatMap(value => value ?? []);
  if (known.length === 0 || known.length < values.length) return null;
  return { mean: mean(known), ci95: pairedDifference(known).ci95 };
}

/**
 * How many times as much, seed by seed: the geometric mean, whose interval cannot fall below 0. Null where a seed has no
 * value, or none above 0 to compare with.
 */
export function timesAs(values: Values, beside: Values): Estimate | null {
  const ratios = values.map((value, i) => (value == null || !beside[i] ? null : value / beside[i]));
  // Nothing of something is no power of e.
  if (ratios.includes(0)) return estimate(ratios);
  const logs = estimate(ratios.map(ratio => (ratio === null ? null : Math.log(ratio))));
  if (logs === null) return null;
  const { mean: middle, ci95 } = logs;
  return { mean: Math.exp(middle), ci95: ci95 && [Math.exp(ci95[0]), Math.exp(ci95[1])] };
}

type Show = (value: number) => string;

/** `1.31 (1.22 to 1.4)`, or `1.31` where the interval is too narrow to show; `–` where there is nothing. */
export function showEstimate(found: Estimate | null, show: Show): string {
  if (found === null) return '–';
  const { mean: middle, ci95 } = found;
  const text = show(middle);
  if (ci95 === null) return text;
  const [low, high] = ci95.map(show);
  return low === text && high === text ? text : `${text} (${low} to ${high})`;
}

/** The same in a table: `1.31 ± 0.09`. */
export function showSpread(found: Estimate | null, show: Show): string {
  if (found === null) return '–';
  const { mean: middle, ci95 } = found;
  const half = ci95 === null ? 0 : (ci95[1] - ci95[0]) / 2;
  // Rounding of sums is no spread.
  return Math.abs(half) <= Math.abs(middle) * 1e-6 ? show(middle) : `${show(middle)} ± ${show(half)}`;
}

/** A ratio as `1.31x (1.22x to 1.4x)`. */
export const showTimes = (times: Estimate | null): string =>
  showEstimate(times, value => `${showNumber(value)}x`);

/** A ratio as `+31 % (+22 % to +40 %)`. */
export const showChange = (times: Estimate | null): string =>
  showEstimate(times, value => showSignedRatio(value - 1));
