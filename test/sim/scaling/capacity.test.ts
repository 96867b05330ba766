// What a replica can do, worked out by hand for a step of 10 ms + 0.1 ms a token, 10,000 KV tokens, a budget of 1,000
// tokens and 8 sequences; and the predictors of traffic.
import { describe, expect, test } from 'vitest';
import { capacityOf, promptsMs, replicasFor } from '../../../sim/scaling/capacity.ts';
import { PREDICTORS, type PredictorName } from '../../../sim/scaling/predictors.ts';
import { setup } from '../../builders/scaling.ts';

const shape = { promptTokens: 100, outputTokens: 10, cachedRatio: 0 };
const ANY = { ttftMs: Number.POSITIVE_INFINITY, itlMs: Number.POSITIVE_INFINITY };

describe('the engine model of planners', () => {
  test('prompts go in whole ones, as many as fit into a step; a longer one in chunks', () => {
    // A step of 8: 10 + 80 ms; two of them and one of 4.
    expect(promptsMs(setup(), shape, 8)).toBeCloseTo(90, 9);
    expect(promptsMs(setup(), shape, 20)).toBeCloseTo(2 * 90 + 50, 9);
    // 1,000 + 1,000 + 500 tokens: 110 + 110 + 60 ms.
    expect(promptsMs(setup(), { ...shape, promptTokens: 2500 }, 1)).toBeCloseTo(280, 9);
    // Half of it cached: 50 tokens each.
    expect(promptsMs(setup(), { ...shape, cachedRatio: 0.5 }, 2)).toBeCloseTo(20, 9);
    // Beside four decodes.
    expect(promptsMs(setup(), shape, 1, { decodes: 4, contextTokens: 400 })).toBeCloseTo(20.4, 9);
  });

  test('prefill: the batch with the highest rate whose TTFT keeps the target', () => {
    const prefill = setup({ role: 'prefill' });
    // 8 prompts in 90 ms.
    expect(capacityOf(prefill, shape, ANY)).toMatchObject({ isWithin: true, ttftMs: 90 });
    expect(capacityOf(prefill, shape, ANY)?.callsPerSec).toBeCloseTo(88.889, 3);
    // 4 in 50 ms.
    expect(capacityOf(prefill, shape, { ttftMs: 50, itlMs: 1 })?.callsPerSec).toBeCloseTo(80, 6);
    // None keeps 15 ms: the highest rate all the same.
    expect(capacityOf(prefill, shape, { ttftMs: 15, itlMs: 1 })).toMatchObject({
      isWithin: false,
      ttftMs: 90,
    });
  });

  test('decode: b / (osl · itl(b)) with b within the target, the batch and the KV cache', () => {
    const decode = setup({ role: 'decode' });
    // 8 in steps of 10.8 ms, 10 tokens each.
    expect(capacityOf(decode, shape, ANY)?.callsPerSec).toBeCloseTo(74.074, 3);
    // 10.4 ms: 4.
    expect(capacityOf(decode, shape, { ttftMs: 1, itlMs: 10.4 })?.callsPerSec).toBeCloseTo(38.4615, 4);
    // 10,000 KV tokens hold 3 of 3,000 + 5.
    expect(capacityOf(decode, { ...shape, promptTokens: 3000 }, ANY)?.callsPerSec).toBeCloseTo(29.126, 3);
    expect(capacityOf(decode, { ...shape, promptTokens: 10_000 }, ANY)).toBeNull();
    // Two tokens a step: twice the rate.
    expect(capacityOf(setup({ role: 'decode', tokensPerStep: 2 }), shape, ANY)?.callsPerSec).toBeCloseTo(
      148.148,
      3,
    );
  });

  test('both: each step takes the prompts of those that come as well', () => {
    // 8 decodes bring 80 prompt tokens a step: 18.8 ms; 8 / (10 · 18.8 ms). TTFT: 2 prompts and 8 decodes.
    const found = capacityOf(setup(), shape, ANY);
    expect(found?.callsPerSec).toBeCloseTo(42.553, 3);
    expect(found?.itlMs).toBeCloseTo(18.8, 9);
    expect(found?.ttftMs).toBeCloseTo(30.8, 9);
    // 14.4 ms: 4 decodes and 40 prompt tokens.
    expect(capacityOf(setup(), shape, { ttftMs: 500, itlMs: 14.4 })?.callsPerSec).toBeCloseTo(27.778, 3);
  });

  test('replicas: demand over capacity, rounded up; late prompts ask for more, as the planner has it', () => {
    expect(replicasFor(74, shape, setup({ role: 'decode' }), ANY)).toBe(1);
    expect(replicasFor(75, shape, setup({ role: 'decode' }), ANY)).toBe(2);
    // 90 ms against 15 ms.
    expect(replicasFor(1, shape, setup({ role: 'prefill' }), { ttftMs: 15, itlMs: 1 })).toBe(6);
  });
});

describe('predictors', () => {
  const next = (name: PredictorName, values: number[]): number => {
    const predictor = PREDICTORS[name]();
    for (const value of values) predictor.add(value);
    return predictor.next();
  };

  test.each([
    ['constant', [5, 9, 7], 7],
    // Fewer than five: the last.
    ['arima', [1, 2, 3, 4], 4],
    ['arima', [7, 7, 7, 7, 7, 7], 7],
    // Changes of 2: phi = 1, held at 0.99.
    ['arima', [10, 12, 14, 16, 18], 19.98],
    // Changes 2, -2, 2, -2: phi = -0.99.
    ['arima', [5, 7, 5, 7, 5], 6.98],
    // Changes 4, 2, 1, 0.5: phi = (8 + 2 + 0.5) / (16 + 4 + 1) = 0.5.
    ['arima', [0, 1, 5, 7, 8, 8.5], 8.75],
    // Never negative.
    ['arima', [40, 31, 22, 13, 4], 0],
    ['kalman', [10], 10],
    // P = 2001 against R = 10: level 11.990055, trend 0.994530.
    ['kalman', [10, 12], 12.984585],
  ] as const)('%s of %j is %d', (name, values, expected) => {
    expect(next(name, [...values])).toBeCloseTo(expected, 5);
  });

  test.each(Object.keys(PREDICTORS) as PredictorName[])(
    '%s skips the idle time before the first value',
    name => {
      expect(next(name, [])).toBe(0);
      expect(next(name, [0, 0, 0])).toBe(0);
      expect(next(name, [0, 0, 8])).toBe(8);
    },
  );

  test('kalman follows a trend that stays, and a level that stays', () => {
    expect(
      next(
        'kalman',
        Array.from({ length: 40 }, (_, i) => 100 + 10 * i),
      ),
    ).toBeCloseTo(500, 0);
    expect(next('kalman', new Array(40).fill(60))).toBeCloseTo(60, 6);
  });
});
