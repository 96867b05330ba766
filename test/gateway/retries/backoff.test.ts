// Pauses: the sequences of known clients by hand, and bounds that hold whatever is drawn.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pauseMs } from '../../../gateway/retries/backoff.ts';
import { RETRY_PRESETS } from '../../../scenarios/formats/presets/retries.ts';
import type { RetryRule } from '../../../scenarios/formats/rules.ts';
import { anyAsk, anyRule, ask, rule } from './build.ts';

const pauses = (some: Partial<RetryRule>, draw: number, count: number): number[] => {
  const made: number[] = [];
  for (let i = 0; i < count; i += 1)
    made.push(pauseMs(rule(some), ask({ made: i, draw, lastPauseMs: made.at(-1) ?? 0 })));
  return made;
};

describe('backoff', () => {
  test('doubles from the base to the cap', () => {
    expect(pauses({}, 0.9, 6)).toEqual([500, 1000, 2000, 4000, 8000, 8000]);
  });

  test('with a factor of 1 every pause is alike', () => {
    expect(pauses({ factor: 1 }, 0, 3)).toEqual([500, 500, 500]);
  });

  test('the openai and anthropic clients take up to a quarter away', () => {
    expect(pauses({ jitter: { minus: 0.25 } }, 0, 2)).toEqual([500, 1000]);
    expect(pauses({ jitter: { minus: 0.25 } }, 0.8, 2)).toEqual([400, 800]);
  });

  test('LiteLLM adds up to 0.75 s, also to the cap', () => {
    expect(pauses({ jitter: { plusMs: 750 } }, 0.2, 6)).toEqual([650, 1150, 2150, 4150, 8150, 8150]);
  });

  test('full jitter draws from nothing to all of it, equal jitter from a half', () => {
    const envoy = { baseMs: 25, capMs: 250 };
    expect(pauses({ ...envoy, jitter: 'full' }, 0.2, 6)).toEqual([5, 10, 20, 40, 50, 50]);
    expect(pauses({ ...envoy, jitter: 'equal' }, 0.2, 6)).toEqual([15, 30, 60, 120, 150, 150]);
  });

  test('decorrelated jitter grows from what was drawn, not from the count', () => {
    const some: Partial<RetryRule> = { baseMs: 100, capMs: 2000, jitter: 'decorrelated' };
    // U(100, 300) at its middle is 200, then U(100, 600) 350, U(100, 1050) 575, U(100, 1725) 912.5.
    expect(pauses(some, 0.5, 4)).toEqual([200, 350, 575, 912.5]);
    expect(pauses(some, 0, 3)).toEqual([100, 100, 100]);
    expect(pauseMs(rule(some), ask({ made: 9, lastPauseMs: 2000, draw: 0.99 }))).toBe(2000);
  });
});

describe('Retry-After', () => {
  const waited = (retryAfterMs: number | null, some: Partial<RetryRule> = {}) =>
    pauseMs(rule(some), ask({ retryAfterMs }));

  test('is waited for as it is, up to the longest that is obeyed', () => {
    expect(waited(7000)).toBe(7000);
    expect(waited(60_000)).toBe(60_000);
    expect(waited(64_000, { retryAfterMaxMs: 120_000 })).toBe(64_000);
  });

  test('is ignored where it is longer, not positive, or not obeyed: the computed pause is taken', () => {
    expect(waited(60_001)).toBe(500);
    expect(waited(0)).toBe(500);
    expect(waited(-5)).toBe(500);
    expect(waited(7000, { obeysRetryAfter: false })).toBe(500);
  });
});

test('told to come back in 64 s, the openai client waits, the anthropic one is done in 1.5 s', () => {
  const waits = (some: RetryRule) =>
    [0, 1].map(made => pauseMs(some, ask({ made, retryAfterMs: 64_000, draw: 0 })));
  expect(waits(RETRY_PRESETS.openai)).toEqual([64_000, 64_000]);
  expect(waits(RETRY_PRESETS.anthropic)).toEqual([500, 1000]);
});

test('whatever is drawn, a pause stays within the bounds of its jitter', () => {
  fc.assert(
    fc.property(anyRule, anyAsk, (some, one) => {
      const drawn = pauseMs(some, { ...one, retryAfterMs: null });
      const { jitter, baseMs, capMs, factor } = some;
      const full = Math.min(capMs, baseMs * factor ** one.made);
      const [least, most] =
        jitter === 'decorrelated'
          ? [baseMs, Math.min(capMs, 3 * Math.max(baseMs, one.lastPauseMs))]
          : jitter === 'none'
            ? [full, full]
            : jitter === 'full'
              ? [0, full]
              : jitter === 'equal'
                ? [full / 2, full]
                : 'minus' in jitter
                  ? [full * (1 - jitter.minus), full]
                  : [full, full + jitter.plusMs];
      expect(drawn).toBeGreaterThanOrEqual(least * (1 - 1e-12));
      expect(drawn).toBeLessThanOrEqual(most * (1 + 1e-12));
    }),
  );
});

test('pauses of a call sum to no more than its retries times the longest single one', () => {
  const draws = fc.array(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), { maxLength: 12 });
  fc.assert(
    fc.property(anyRule, draws, fc.option(fc.nat(100_000)), (some, drawn, retryAfterMs) => {
      let lastPauseMs = 0;
      let sumMs = 0;
      drawn.forEach((draw, made) => {
        lastPauseMs = pauseMs(some, { made, lastPauseMs, retryAfterMs, draw });
        sumMs += lastPauseMs;
      });
      const plusMs = typeof some.jitter === 'object' && 'plusMs' in some.jitter ? some.jitter.plusMs : 0;
      const longest = Math.max(some.capMs + plusMs, some.obeysRetryAfter ? some.retryAfterMaxMs : 0);
      expect(sumMs).toBeLessThanOrEqual(drawn.length * longest * (1 + 1e-12));
    }),
  );
});
