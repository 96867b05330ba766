// What a study says of a number over seeds: its mean with a 95 % interval, and how it reads.
import { mean, pairedDifference } from '../../scenarios/base/statistics.ts';

export interface Estimate {
  readonly mean: number;
  /** Student's; null of one value. */
  readonly ci95: readonly [number, number] | null;
}

/** Of one value a seed; null where a seed has none. */
export function estimate(values: readonly (number | null | undefined)[]): Estimate | null {
  const known = values.flatMap(value => value ?? []);
  if (known.length === 0 || known.length < values.length) return null;
  return { mean: mean(known), ci95: pairedDifference(known).ci95 };
}

/** How many times as much, seed by seed; null where a seed has none, or nothing to compare with. */
export const timesAs = (
  values: readonly (number | null | undefined)[],
  beside: readonly (number | null | undefined)[],
): Estimate | null =>
  estimate(values.map((value, i) => (value == null || !beside[i] ? null : value / beside[i])));

/** `1.31 (1.22 to 1.4)`; `–` where there is nothing. */
export function showEstimate(found: Estimate | null, show: (value: number) => string): string {
  if (found === null) return '–';
  const { mean: middle, ci95 } = found;
  return ci95 === null ? show(middle) : `${show(middle)} (${show(ci95[0])} to ${show(ci95[1])})`;
}
