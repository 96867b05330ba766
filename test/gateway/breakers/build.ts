// Rules that default everything a test is not about, ends of calls, and drawn traffic to a target that
// fails now and then.
import fc from 'fast-check';
import type { CallEnd } from '../../../gateway/breakers/tally.ts';
import type { BreakerRule, Reason } from '../../../scenarios/formats/rules.ts';

export const rule = (some: Partial<BreakerRule> = {}): BreakerRule => ({
  inARow: null,
  share: null,
  window: { calls: 100 },
  minCalls: 1,
  openMs: 60_000,
  trials: 1,
  slowMs: null,
  slowShare: 1,
  reasons: ['5xx', 'timeout', 'connect'],
  growsOpen: false,
  ejectMax: null,
  ...some,
});

export const GOOD: CallEnd = { ok: true, reason: null, tookMs: 0 };
export const failed = (reason: Reason = '5xx', tookMs = 0): CallEnd => ({ ok: false, reason, tookMs });

export const anyRule: fc.Arbitrary<BreakerRule> = fc.record({
  inARow: fc.option(fc.integer({ min: 1, max: 4 })),
  share: fc.option(fc.constantFrom(0.07, 0.3, 0.5, 1)),
  window: fc.oneof(
    fc.integer({ min: 1, max: 12 }).map(calls => ({ calls })),
    fc.integer({ min: 10, max: 5000 }).map(ms => ({ ms })),
  ),
  minCalls: fc.integer({ min: 1, max: 15 }),
  openMs: fc.integer({ min: 10, max: 3000 }),
  trials: fc.integer({ min: 1, max: 3 }),
  slowMs: fc.option(fc.integer({ min: 1, max: 500 })),
  slowShare: fc.constantFrom(0.5, 1),
  reasons: fc.subarray<Reason>(['5xx', 'timeout', '429', 'cancelled']),
  growsOpen: fc.boolean(),
  ejectMax: fc.constantFrom(0, 0.1, 0.34, 0.5, 1),
});

/** A wait, then a call that asks to go or the end of one under way. */
export interface Happening {
  readonly waitMs: number;
  readonly kind: 'call' | 'end';
  /** Which one ends, of those under way. */
  readonly pick: number;
  readonly reason: Reason | null;
}
export const anyTraffic: fc.Arbitrary<readonly Happening[]> = fc.array(
  fc.record({
    waitMs: fc.oneof(fc.nat(20), fc.nat(2000)),
    kind: fc.constantFrom('call' as const, 'end' as const, 'end' as const),
    pick: fc.nat(),
    reason: fc.constantFrom<Reason | null>(null, null, '5xx', 'timeout', '429', 'cancelled'),
  }),
  { maxLength: 250, size: 'max' },
);
