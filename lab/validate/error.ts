// The signed error of a prediction, and what repeats of a measurement differ by.
import { deviation, mean } from '../../scenarios/base/statistics.ts';
import type { Noise } from '../../scenarios/formats/validation.ts';

/** (predicted - measured) / measured; null where a world has no value, or only the predicted one has. */
export const errorOf = (predicted: number | null, measured: number | null): number | null => {
  if (predicted === null || measured === null) return null;
  if (measured === 0) return predicted === 0 ? 0 : null;
  return (predicted - measured) / measured;
};

/** What repeats differ by; null with fewer than two values. */
export function noiseOf(values: readonly number[]): Noise | null {
  const known = values.filter(Number.isFinite);
  if (known.length < 2) return null;
  const middle = mean(known);
  if (middle === 0) return { deviationRatio: 0, halfRangeRatio: 0 };
  return {
    deviationRatio: deviation(known) / middle,
    halfRangeRatio: (Math.max(...known) - Math.min(...known)) / 2 / middle,
  };
}
