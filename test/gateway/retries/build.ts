// Rules and asks that default everything a test is not about; and the clients whose numbers are known.
import fc from 'fast-check';
import type { RetryAsk } from '../../../gateway/retries/retries.ts';
import { REASONS, type RetryRule } from '../../../scenarios/formats/rules.ts';

export const rule = (some: Partial<RetryRule> = {}): RetryRule => ({
  max: 2,
  reasons: ['429', '5xx', 'timeout', 'connect'],
  baseMs: 500,
  capMs: 8000,
  factor: 2,
  jitter: 'none',
  obeysRetryAfter: true,
  retryAfterMaxMs: 60_000,
  budgetRatio: null,
  budgetMin: 0,
  isBlind: false,
  ...some,
});

export const ask = (some: Partial<RetryAsk> = {}): RetryAsk => ({
  made: 0,
  lastPauseMs: 0,
  retryAfterMs: null,
  draw: 0.5,
  reason: '5xx',
  told: null,
  began: false,
  idempotent: true,
  elapsedMs: 0,
  totalMs: null,
  ...some,
});

const part = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true });

export const anyRule: fc.Arbitrary<RetryRule> = fc
  .record({
    max: fc.nat(6),
    reasons: fc.subarray([...REASONS]),
    baseMs: fc.integer({ min: 1, max: 2000 }),
    capMs: fc.integer({ min: 1, max: 20_000 }),
    factor: fc.constantFrom(1, 1.5, 2, 3),
    jitter: fc.oneof(
      fc.constantFrom('none' as const, 'full' as const, 'equal' as const, 'decorrelated' as const),
      part.map(minus => ({ minus })),
      fc.nat(1000).map(plusMs => ({ plusMs })),
    ),
    obeysRetryAfter: fc.boolean(),
    retryAfterMaxMs: fc.integer({ min: 1, max: 60_000 }),
    budgetRatio: fc.option(part),
    budgetMin: fc.nat(3),
    isBlind: fc.boolean(),
  })
  .map(drawn => ({ ...drawn, capMs: Math.max(drawn.baseMs, drawn.capMs) }));

export const anyAsk: fc.Arbitrary<RetryAsk> = fc.record({
  made: fc.nat(8),
  lastPauseMs: fc.nat(20_000),
  retryAfterMs: fc.option(fc.integer({ min: -1, max: 100_000 })),
  draw: part,
  reason: fc.constantFrom(...REASONS),
  began: fc.boolean(),
  idempotent: fc.boolean(),
  elapsedMs: fc.nat(100_000),
  totalMs: fc.option(fc.nat(100_000)),
  told: fc.option(fc.boolean()),
});
