// Both loops of the Dynamo planner, with a step whose replicas can be worked out by hand (capacity.test.ts): a decode
// replica does 74.07 calls a second of 100 + 10 tokens, a prefill replica 88.9, one that does both 42.55.
import { describe, expect, test } from 'vitest';
import dynamo from '../../../sim/scaling/dynamo.ts';
import type { ScalingSetup, ScalingView } from '../../../sim/scaling/policy.ts';
import { calls, replicas, setup, view } from '../../builders/scaling.ts';

const SEC = 1000;
const make = (
  role: ScalingSetup['role'],
  options: Record<string, unknown> = {},
  more: Partial<ScalingSetup> = {},
) =>
  dynamo.create({ predictor: 'constant', ttft: 60_000, itl: 60_000, ...options }, setup({ role, ...more }));

/** A look after an interval of so many calls a second. */
const interval = (perSec: number, given: Partial<ScalingView> = {}, index = 1) =>
  view({ nowMs: index * 180 * SEC, flow: calls(perSec * 180, { overMs: 180 * SEC }), ...given });

describe('the throughput loop', () => {
  test.each([
    ['prefill', 2],
    ['decode', 3],
    ['both', 4],
  ] as const)('of %s: 150 calls a second need %d replicas', (role, expected) => {
    expect(make(role).desired(interval(150))).toBe(expected);
  });

  test('prompts that the cache holds are not counted for prefill: 150 calls a second need one', () => {
    const halfCached = (perSec: number) => {
      const flow = calls(perSec * 180, { overMs: 180 * SEC, cached: 50 });
      return make('prefill').desired(interval(perSec, { flow }));
    };
    // 8 prompts of 50 tokens in 50 ms: 160 a second.
    expect(halfCached(150)).toBe(1);
    expect(halfCached(161)).toBe(2);
  });

  test('changes at most eight at once, and never below one', () => {
    expect(make('decode').desired(interval(3000))).toBe(9);
    expect(make('decode').desired(interval(1, { ready: 20 }))).toBe(12);
    expect(make('decode').desired(interval(0, { ready: 3 }))).toBe(1);
    expect(make('decode', { max_change: 1 }).desired(interval(0, { ready: 3 }))).toBe(2);
  });

  test('keeps to the GPUs of its budget, whole replicas of them', () => {
    expect(make('decode', { gpu_budget: 7 }, { gpusPerReplica: 2 }).desired(interval(3000))).toBe(3);
  });

  test('keeps what there is where no replica can hold a call', () => {
    const flow = calls(10, { prompt: 20_000, overMs: 180 * SEC });
    expect(make('decode').desired(interval(1, { flow, ready: 3 }))).toBe(3);
  });

  test('plans for the calls that it predicts: a trend goes on', () => {
    const trend = dynamo.create({ ttft: 60_000, itl: 60_000 }, setup({ role: 'decode' }));
    const wanted = [10, 40, 70, 100, 130].map((perSec, i) =>
      trend.desired(interval(perSec, { ready: 2 }, i + 1)),
    );
    // 130 a second need 2; nearly 160 need 3.
    expect(wanted).toEqual([1, 1, 1, 2, 3]);
  });
});

describe('the load loop', () => {
  const look = (given: Partial<ScalingView>) =>
    view({ nowMs: 5 * SEC, flow: calls(10, { overMs: 5 * SEC }), ...given });
  // 8 decodes: steps of 10.8 ms.
  const busy = { running: 8, kvUsedRatio: 0.3 };

  test('decode: one more where every replica misses its ITL, none where one keeps it', () => {
    const tight = () => make('decode', { loops: 'load', itl: 10.7 });
    expect(tight().desired(look({ replicas: replicas(2, busy) }))).toBe(3);
    const [first] = replicas(1, busy);
    expect(tight().desired(look({ replicas: [first!, ...replicas(1, { running: 6 })] }))).toBe(2);
  });

  test('decode: one less where the others would keep 0.8 of the target and hold the KV', () => {
    const make3 = (options: Record<string, unknown>, kvUsedRatio: number) =>
      make('decode', { loops: 'load', ...options }).desired(
        look({ replicas: replicas(3, { running: 4, kvUsedRatio }) }),
      );
    // 10.4 ms; 0.8 · 13 = 10.4 is not below, 0.8 · 13.1 is.
    expect(make3({ itl: 13 }, 0.3)).toBe(3);
    expect(make3({ itl: 13.1 }, 0.3)).toBe(2);
    // 0.7 · 3 / 2 of the cache is more than there is.
    expect(make3({ itl: 50 }, 0.7)).toBe(3);
    expect(make('decode', { loops: 'load' }).desired(look({ replicas: replicas(1) }))).toBe(1);
  });

  test('prefill: by the prompts that wait, and their own time counts apart', () => {
    const prefill = (options: Record<string, unknown>, waiting: number, count: number) =>
      make('prefill', { loops: 'load', ...options }).desired(
        look({ replicas: replicas(count, { waiting }) }),
      );
    // 5 prompts: 60 ms.
    expect(prefill({ ttft: 59 }, 4, 2)).toBe(3);
    expect(prefill({ ttft: 60 }, 4, 2)).toBe(2);
    // One prompt takes 20 ms. With twice the queue 3 take 40 ms: 20 ms of queue against 0.8 · (T - 20).
    expect(prefill({ ttft: 45 }, 1, 2)).toBe(2);
    expect(prefill({ ttft: 45.1 }, 1, 2)).toBe(1);
  });

  test('both: one bad figure adds, and both must be good to take one away', () => {
    const both = (options: Record<string, unknown>, given: Parameters<typeof replicas>[1]) =>
      make('both', { loops: 'load', ...options }).desired(look({ replicas: replicas(2, given) }));
    expect(both({ ttft: 20 }, { waiting: 4 })).toBe(3);
    expect(both({ itl: 12 }, busy)).toBe(3);
    expect(both({}, { running: 1, kvUsedRatio: 0.1 })).toBe(1);
    expect(both({ itl: 12 }, { running: 1, kvUsedRatio: 0.1 })).toBe(2);
  });

  test('does nothing while a replica starts or drains', () => {
    const each = make('decode', { loops: 'load', itl: 10.7 });
    expect(each.desired(look({ replicas: replicas(2, busy), starting: 1 }))).toBe(3);
    expect(each.desired(look({ replicas: replicas(2, busy), draining: 1 }))).toBe(3);
    expect(each.desired(look({ replicas: replicas(3, busy) }))).toBe(4);
  });

  test('with both loops, the prediction is the least there is', () => {
    const each = make('decode', { loops: 'both' });
    expect(each.intervalMs).toBe(5 * SEC);
    // Nothing is busy any more, but 150 calls a second came.
    expect(each.desired(interval(150, { replicas: replicas(5) }))).toBe(4);
    expect(each.desired(interval(0, { replicas: replicas(4), nowMs: 185 * SEC }))).toBe(3);
    expect(each.desired(interval(0, { replicas: replicas(3), nowMs: 190 * SEC }))).toBe(3);
  });
});

test('a predictor that is not here is refused by name', () => {
  expect(() => dynamo.create({ predictor: 'prophet' }, setup())).toThrow('no predictor prophet here');
  expect(() => dynamo.create({ predictor: 'arma' }, setup())).toThrow(
    'option predictor of policy dynamo is "arma"',
  );
});
