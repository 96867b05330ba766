// Intervals of errors: whole sessions are drawn again and again, the same ones in both worlds and for every metric.
import { extend, type Key } from '../../scenarios/base/key.ts';
import { quantileRank, quantileSorted, sorted } from '../../scenarios/base/statistics.ts';
import type { Samples } from './samples.ts';

/** One metric of one group in both worlds. */
export interface Pair {
  readonly predicted: Samples;
  readonly measured: Samples;
}

export type Interval = [low: number, high: number] | null;

export interface Intervals {
  readonly mean: Interval;
  readonly p50: Interval;
  readonly p95: Interval;
}

const STATISTICS = ['mean', 'p50', 'p95'] as const;
/** 1,000 resamples settle an interval to a tenth of its width, 100 to a third: those of a long run are tight as it is. */
const RESAMPLES_MAX = 1000;
const RESAMPLES_MIN = 100;
/** Looks at a value in all. */
const LOOKS_MAX = 1e8;

/** 95 % intervals of predicted / measured - 1 for each pair. Null where fewer than two sessions have values. */
export function errorIntervals(pairs: readonly Pair[], sessionCount: number, key: Key): Intervals[] {
  const looks = pairs.reduce(
    (sum, pair) => sum + pair.predicted.valuesMs.length + pair.measured.valuesMs.length,
    0,
  );
  const resamples = Math.round(
    Math.min(RESAMPLES_MAX, Math.max(RESAMPLES_MIN, LOOKS_MAX / Math.max(1, looks))),
  );
  // Small enough for the nearest cache; nothing is drawn 65,536 times.
  const weights = new Uint16Array(sessionCount);
  const errors = pairs.map(() => STATISTICS.map(() => new Float64Array(resamples).fill(Number.NaN)));
  const [predicted, measured] = [new Float64Array(3), new Float64Array(3)];
  for (let resample = 0; resample < resamples; resample++) {
    draw(weights, extend(key, resample));
    for (const [row, pair] of pairs.entries()) {
      statistics(pair.predicted, weights, predicted);
      statistics(pair.measured, weights, measured);
      for (let i = 0; i < 3; i++) errors[row]![i]![resample] = predicted[i]! / measured[i]! - 1;
    }
  }
  return pairs.map((pair, row) => {
    if (!hasSeveral(pair.predicted.sessions) || !hasSeveral(pair.measured.sessions))
      return { mean: null, p50: null, p95: null };
    const [mean, p50, p95] = errors[row]!.map(intervalOf);
    return { mean: mean!, p50: p50!, p95: p95! };
  });
}

/** Hot: how often each session is drawn. */
function draw(weights: Uint16Array, key: Key): void {
  const count = weights.length;
  weights.fill(0);
  for (let i = 0; i < count; i++) {
    const row = Math.floor(((extend(key, i).hi >>> 0) / 2 ** 32) * count);
    weights[row] = weights[row]! + 1;
  }
}

/** Hot: mean, p50 and p95 of weighted samples into `out`; NaN where nothing was drawn. */
function statistics({ valuesMs, sessions }: Samples, weights: Uint16Array, out: Float64Array): void {
  const count = valuesMs.length;
  let total = 0;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const weight = weights[sessions[i]!]!;
    total += weight;
    sum += weight * valuesMs[i]!;
  }
  out.fill(Number.NaN);
  if (total === 0) return;
  out[0] = sum / total;
  const middle = quantileRank(0.5, total) + 1;
  const tail = quantileRank(0.95, total) + 1;
  let seen = 0;
  for (let i = 0; i < count; i++) {
    const before = seen;
    seen += weights[sessions[i]!]!;
    if (before < middle && seen >= middle) out[1] = valuesMs[i]!;
    if (seen >= tail) {
      out[2] = valuesMs[i]!;
      return;
    }
  }
}

const hasSeveral = (sessions: Int32Array): boolean => sessions.some(row => row !== sessions[0]);

/** Resamples without a value are left out; null where half of them had none. */
function intervalOf(errors: Float64Array): Interval {
  const known = sorted(errors.filter(Number.isFinite));
  if (known.length * 2 < errors.length) return null;
  return [quantileSorted(known, 0.025), quantileSorted(known, 0.975)];
}
