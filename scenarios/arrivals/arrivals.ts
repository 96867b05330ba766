// When the sessions of an open cohort start. Each instant is drawn from the key of its ordinal, so that one arrival more
// or less moves no other draw. Times are ms from the start of the run, ascending.
import { quantile } from '../base/distributions.ts';
import { Heap } from '../base/heap.ts';
import { extend, type Key, uniform } from '../base/key.ts';
import { type DrawnAmount, drawAmount } from '../formats/amount.ts';
import { firingMs } from './cron.ts';
import { type Rate, RateWalk } from './rate.ts';

export type OpenArrival =
  | { readonly kind: 'renewal'; readonly rate: Rate }
  | {
      readonly kind: 'cron';
      readonly minutesOfWeek: readonly number[];
      readonly size: number;
      readonly jitterMs: DrawnAmount | null;
    }
  | { readonly kind: 'at-once' }
  | { readonly kind: 'recorded'; readonly atMs: readonly number[] };

/** The start of each session, lazily. Bounded by `sessions` and `forMs`, whichever comes first. */
export function* arrivalTimes(
  arrival: OpenArrival,
  key: Key,
  bounds: { sessions: number; forMs: number },
): Generator<number> {
  switch (arrival.kind) {
    case 'at-once':
      for (let i = 0; i < bounds.sessions; i++) yield 0;
      return;
    case 'recorded':
      for (const atMs of arrival.atMs.slice(0, bounds.sessions)) if (atMs <= bounds.forMs) yield atMs;
      return;
    case 'cron':
      yield* bursts(arrival, key, bounds);
      return;
    case 'renewal':
      yield* renewals(arrival.rate, key, bounds);
  }
}

/** Independent gaps of mean 1, stretched by the rate where they fall. Evenly spaced arrivals begin at once. */
function* renewals(rate: Rate, key: Key, bounds: { sessions: number; forMs: number }): Generator<number> {
  const walk = new RateWalk(rate, bounds.forMs);
  for (let i = 0; i < bounds.sessions; i++) {
    const gaps = walk.gaps;
    if (gaps === null) return;
    const gap = gaps.process === 'constant' && i === 0 ? 0 : quantile(gaps.unit, uniform(extend(key, i, 1)));
    const atMs = walk.advance(gap);
    if (atMs === null || atMs > bounds.forMs) return;
    yield atMs;
  }
}

/** Bursts may overlap when their jitter is long: what is drawn waits until no earlier start can follow. */
function* bursts(
  arrival: OpenArrival & { kind: 'cron' },
  key: Key,
  bounds: { sessions: number; forMs: number },
): Generator<number> {
  const drawn = new Heap<{ atMs: number; made: number }>(
    (a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.made < b.made),
  );
  for (let firing = 0, made = 0; made < bounds.sessions; firing++) {
    const firesMs = firingMs(arrival.minutesOfWeek, firing);
    for (let next = drawn.peek(); next !== undefined && next.atMs < firesMs; next = drawn.peek()) {
      drawn.pop();
      yield next.atMs;
    }
    if (firesMs > bounds.forMs) break;
    for (let i = 0; i < arrival.size && made < bounds.sessions; i++, made++) {
      drawn.push({ atMs: firesMs + jitterMs(arrival.jitterMs, key, made), made });
    }
  }
  for (let next = drawn.pop(); next !== undefined; next = drawn.pop()) yield next.atMs;
}

/** A plain duration spreads evenly over it; a distribution is drawn. */
function jitterMs(jitter: DrawnAmount | null, key: Key, made: number): number {
  if (jitter === null) return 0;
  const u = uniform(extend(key, made, 2));
  return jitter.of.kind === 'constant' ? jitter.of.value * u : drawAmount(jitter, u, false);
}
