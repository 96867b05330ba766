// When the sessions of an open cohort start. Each instant is drawn from the key of its ordinal, so that one arrival more
// or less moves no other draw. Times are ms from the start of the run, ascending.
import { quantile } from '../base/distributions.ts';
import { extend, type Key, uniform } from '../base/key.ts';
import { type Amount, drawAmount } from '../formats/amount.ts';
import { firingMs } from './cron.ts';

export type OpenArrival =
  | { readonly kind: 'poisson' | 'constant'; readonly perSec: number }
  | {
      readonly kind: 'cron';
      readonly minutesOfWeek: readonly number[];
      readonly size: number;
      readonly jitterMs: Amount | null;
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
    case 'poisson':
    case 'constant': {
      const meanMs = 1000 / arrival.perSec;
      let atMs = 0;
      for (let i = 0; i < bounds.sessions; i++) {
        if (arrival.kind === 'poisson')
          atMs += quantile({ kind: 'exponential', mean: meanMs }, uniform(extend(key, i, 1)));
        else atMs = i * meanMs;
        if (atMs > bounds.forMs) return;
        yield atMs;
      }
    }
  }
}

function* bursts(
  arrival: OpenArrival & { kind: 'cron' },
  key: Key,
  bounds: { sessions: number; forMs: number },
): Generator<number> {
  for (let firing = 0, made = 0; made < bounds.sessions; firing++) {
    const atMs = firingMs(arrival.minutesOfWeek, firing);
    if (atMs > bounds.forMs) return;
    const burst: number[] = [];
    for (let i = 0; i < arrival.size && made < bounds.sessions; i++, made++) {
      const jitter = arrival.jitterMs;
      const jitterMs = jitter?.kind === 'draw' ? drawAmount(jitter, uniform(extend(key, made, 2)), false) : 0;
      burst.push(
        atMs +
          jitterMs *
            (jitter?.kind === 'draw' && jitter.of.kind === 'constant' ? uniform(extend(key, made, 3)) : 1),
      );
    }
    yield* burst.sort((a, b) => a - b);
  }
}
