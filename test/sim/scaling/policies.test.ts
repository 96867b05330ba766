// The other autoscalers, each rule with numbers worked out by hand.
import { describe, expect, test } from 'vitest';
import { scalingPolicy } from '../../../sim/scaling/index.ts';
import type { ScalingSetup, ScalingView } from '../../../sim/scaling/policy.ts';
import { calls, replica, replicas, setup, view } from '../../builders/scaling.ts';

const SEC = 1000;
const MIN = 60 * SEC;
const HOUR = 60 * MIN;
const make = (name: string, options: Record<string, unknown> = {}, given: Partial<ScalingSetup> = {}) =>
  scalingPolicy(name).create(options, setup(given));

describe('fixed', () => {
  test('keeps what there was, or what it is told', () => {
    const each = make('fixed');
    expect(each.desired(view({ ready: 3 }))).toBe(3);
    expect(each.desired(view({ ready: 2 }))).toBe(3);
    expect(make('fixed', { replicas: 5 }).desired(view({ ready: 2 }))).toBe(5);
  });
});

describe('knative', () => {
  /** Seven calls at once for each replica: 10 · 0.7. */
  const kpa = () => make('knative', { concurrency: 10 });
  /** A second each, from `from` on, with `inFlight` calls and as many ready replicas as were wanted. */
  function run(each: ReturnType<typeof kpa>, seconds: number, inFlight: number, from: number, ready: number) {
    let wanted = ready;
    for (let sec = from; sec < from + seconds; sec++)
      wanted = each.desired(view({ nowMs: sec * SEC, ready: wanted, inFlight }));
    return wanted;
  }

  test('aims at concurrency times utilisation, over the stable window', () => {
    expect(run(kpa(), 60, 7, 0, 1)).toBe(1);
    expect(run(kpa(), 60, 14, 0, 2)).toBe(2);
    expect(make('knative').desired(view({ inFlight: 71, nowMs: SEC }))).toBe(2);
  });

  test('panics at twice what is ready, takes the short window, and takes nothing away for a stable window', () => {
    const each = kpa();
    expect(run(each, 60, 7, 0, 1)).toBe(1);
    // 28 at once: after 6 s the panic window says 4, the stable one 54 · 7 and 6 · 28 over 60, 9.1: 2.
    expect(run(each, 6, 28, 60, 1)).toBe(4);
    // Load goes; the four stay until the panic has lasted a stable window beyond its last reason.
    expect(run(each, 55, 0, 66, 4)).toBe(4);
    expect(run(each, 10, 0, 121, 4)).toBeLessThan(4);
  });

  test('halves at most at once, and goes to zero a grace period after that', () => {
    const each = kpa();
    // A pool of several begins in panic: nothing goes for a stable window.
    expect(run(each, 60, 0, 0, 4)).toBe(4);
    expect(each.desired(view({ nowMs: 62 * SEC, ready: 4 }))).toBe(2);
    expect(each.desired(view({ nowMs: 64 * SEC, ready: 2 }))).toBe(1);
    expect(each.desired(view({ nowMs: 66 * SEC, ready: 1 }))).toBe(1);
    expect(each.desired(view({ nowMs: 94 * SEC, ready: 1 }))).toBe(1);
    expect(each.desired(view({ nowMs: 96 * SEC, ready: 1 }))).toBe(0);
  });

  test('wakes at the next sample', () => {
    const each = kpa();
    each.desired(view({ nowMs: 200 * SEC, ready: 0 }));
    expect(each.desired(view({ nowMs: 201 * SEC, ready: 0, inFlight: 1, queuedAtGateway: 1 }))).toBe(1);
    expect(kpa().desired(view({ nowMs: SEC, ready: 0, inFlight: 1000, queuedAtGateway: 1000 }))).toBe(143);
  });
});

describe('aibrix', () => {
  const apa = (options: Record<string, unknown> = {}) =>
    make('aibrix', { metric: 'running', target: 4, ...options });
  const load = (ready: number, running: number, more: Partial<ScalingView> = {}) =>
    view({ replicas: replicas(ready, { running }), ...more });

  test.each([
    // 4 · 1.5; 4 · 2.5 held at twice; within a tenth; 4 · 0.75; 4 · 0.3 held at half.
    [4, 6, 6],
    [4, 10, 8],
    [4, 4.4, 4],
    [4, 3, 3],
    [4, 1.2, 2],
  ])('%d replicas with %d running each become %d', (ready, running, expected) => {
    expect(apa().desired(load(ready, running))).toBe(expected);
  });

  test('looks at a mean over its window, and keeps the highest answer of its cooldown on the way down', () => {
    const each = apa({ window: 20_000, cooldown: 60_000 });
    expect(each.desired(load(4, 6, { nowMs: 10 * SEC }))).toBe(6);
    // (6 + 2) / 2 = 4.
    expect(each.desired(load(4, 2, { nowMs: 20 * SEC }))).toBe(4);
    // 2: half, but 4 and 6 were wanted within a minute.
    expect(each.desired(load(6, 2, { nowMs: 30 * SEC }))).toBe(6);
    expect(each.desired(load(6, 2, { nowMs: 71 * SEC }))).toBe(4);
    expect(each.desired(load(6, 2, { nowMs: 81 * SEC }))).toBe(3);
  });

  test('counts replicas that start as idle on the way up and as busy on the way down', () => {
    // 4 · 1.5 = 6 are there already with the two that start.
    expect(apa().desired(load(4, 6, { starting: 2 }))).toBe(6);
    // 4 · 0.5 + 2 = 4.
    expect(apa().desired(load(4, 2, { starting: 2 }))).toBe(4);
  });
});

describe('wva', () => {
  const wva = (options: Record<string, unknown> = {}, given: Partial<ScalingSetup> = {}) => {
    const { limits } = setup();
    return make('wva', options, { limits: { ...limits, maxSequences: 256 }, ...given });
  };
  /** Prompts of 400, outputs of 100 tokens: the medium bucket. 10,000 KV tokens: k1 = 8,000. */
  const flow = calls(10, { prompt: 400, output: 100 });
  const at = (sec: number, given: Partial<ScalingView>) => view({ nowMs: sec * SEC, flow, min: 1, ...given });

  test('k1 bounds a replica that has never been full', () => {
    // 10,000 in use: 11,765 wanted of 16,000; spare 16,000 - 14,286 is less than one replica.
    expect(wva().desired(at(15, { replicas: replicas(2, { kvUsedRatio: 0.5 }) }))).toBe(2);
    // 14,000 in use: 16,471 wanted of 16,000.
    expect(wva().desired(at(15, { replicas: replicas(2, { kvUsedRatio: 0.7 }) }))).toBe(3);
    // 2,000 in use on three: spare 24,000 - 2,857 is two.
    expect(wva().desired(at(15, { replicas: replicas(3, { kvUsedRatio: 0.2 / 3 }) }))).toBe(1);
  });

  test('k2 from the limits: N sequences of a prompt and half an output', () => {
    // N = min(1000 · 100 / 500, 8) = 8; k2 = 8 · 450 = 3,600. Two hold 7,200; 6,200 / 0.85 = 7,294.
    const small = wva({}, { limits: setup().limits });
    expect(small.desired(at(15, { replicas: replicas(2, { kvUsedRatio: 0.31 }) }))).toBe(3);
    expect(
      wva({}, { limits: setup().limits }).desired(at(15, { replicas: replicas(2, { kvUsedRatio: 0.3 }) })),
    ).toBe(2);
  });

  test('k2 as observed while five or more wait, and remembered for its bucket of outputs', () => {
    const each = wva();
    // In use 5,000 each: two hold 10,000; demand 10,000 + 10 · 500 = 15,000; 7,647 more are 2 replicas.
    expect(each.desired(at(15, { replicas: replicas(2, { kvUsedRatio: 0.5, waiting: 5 }) }))).toBe(4);
    // A minute on, 4,000 in use on four of 5,000 each: spare 20,000 - 5,714 is 2 of them.
    expect(each.desired(at(80, { replicas: replicas(4, { kvUsedRatio: 0.1 }) }))).toBe(2);
    // Long outputs are another bucket: k1 counts. 32,000 - 5,714 is 3.
    const long = calls(10, { prompt: 400, output: 600 });
    expect(each.desired(at(200, { replicas: replicas(4, { kvUsedRatio: 0.1 }), flow: long }))).toBe(1);
  });

  test('forgets what it observed after a day', () => {
    const each = wva();
    each.desired(at(15, { replicas: replicas(2, { kvUsedRatio: 0.5, waiting: 5 }) }));
    expect(each.desired(at(25 * 3600, { replicas: replicas(4, { kvUsedRatio: 0.1 }) }))).toBe(1);
  });

  test('its metrics are the highest of a minute', () => {
    const each = wva();
    expect(each.desired(at(15, { replicas: replicas(2, { kvUsedRatio: 0.7 }) }))).toBe(3);
    expect(each.desired(at(30, { replicas: replicas(3) }))).toBe(3);
    expect(each.desired(at(90, { replicas: replicas(3) }))).toBe(1);
  });

  test('replicas that start count for what is required, the ready ones alone for what is spare', () => {
    const busy = replicas(2, { kvUsedRatio: 0.7 });
    expect(wva().desired(at(15, { replicas: busy, starting: 1 }))).toBe(3);
    // A prefill role's queue is prompts alone: 14,000 + 2 · 4 · 400 is 17,200, / 0.85 is 20,235: 4,235 beyond two.
    const waiting = replicas(2, { kvUsedRatio: 0.7, waiting: 4 });
    expect(wva({}, { role: 'prefill' }).desired(at(15, { replicas: waiting }))).toBe(3);
    // Calls at the gateway: 14,000 + 20 · 500, / 0.85 is 28,235: 12,235 beyond two.
    expect(wva().desired(at(15, { replicas: busy, queuedAtGateway: 20 }))).toBe(4);
  });

  test('goes to zero after ten idle minutes, and polls each 100 ms for the way back', () => {
    const each = wva();
    const idle = (sec: number, idleMs: number, more: Partial<ScalingView> = {}) =>
      each.desired(view({ nowMs: sec * SEC, idleMs, ...more }));
    expect(idle(15, 599 * SEC)).toBe(1);
    expect(idle(30, 600 * SEC, { inFlight: 1 })).toBe(1);
    expect(each.intervalMs).toBe(15 * SEC);
    expect(idle(45, 600 * SEC)).toBe(0);
    expect(each.intervalMs).toBe(100);
    expect(idle(46, 601 * SEC, { ready: 0 })).toBe(0);
    expect(idle(47, 0, { ready: 0, queuedAtGateway: 1, inFlight: 1 })).toBe(1);
    expect(each.intervalMs).toBe(15 * SEC);
    expect(wva().desired(view({ nowMs: HOUR, idleMs: HOUR, min: 1 }))).toBe(1);
  });
});

describe('schedule', () => {
  const times = [
    { at: 8 * HOUR, replicas: 6 },
    { at: 20 * HOUR, replicas: 1 },
  ];
  test.each([
    [0, 1, 8],
    [8, 6, 12],
    [19.5, 6, 0.5],
    [20, 1, 12],
    [25, 1, 7],
    [33, 6, 11],
  ])('after %d h there are %d, and the next change is %d h away', (hours, expected, next) => {
    const each = make('schedule', { times });
    expect(each.desired(view({ nowMs: hours * HOUR }))).toBe(expected);
    expect(each.intervalMs).toBe(next * HOUR);
  });

  test('needs times, within its period', () => {
    expect(() => make('schedule')).toThrow('policy schedule needs `times`');
    expect(() => make('schedule', { times, period: 10 * HOUR })).toThrow('is not within the period');
  });
});

describe('oracle', () => {
  /** 150 calls a second from the 100th second to the 130th: four replicas of 42.55. */
  const oracle = {
    demand(fromMs: number, toMs: number) {
      const count = 150 * Math.max(0, (Math.min(toMs, 130 * SEC) - Math.max(fromMs, 100 * SEC)) / SEC);
      return { calls: count, promptTokens: 100 * count, cachedTokens: 0, outputTokens: 10 * count };
    },
    heldTokens: () => 0,
  };
  const free = { ttft: 60_000, itl: 60_000 };
  const all = calls(4500);

  test('asks a cold start and two windows ahead, and lets go when the last is over', () => {
    const each = make('oracle', free, { oracle, coldStartMs: 30 * SEC });
    const wanted = (sec: number): number => each.desired(view({ nowMs: sec * SEC }));
    expect([0, 40, 49].map(wanted)).toEqual([0, 0, 0]);
    expect([50, 60, 100].map(wanted)).toEqual([4, 4, 4]);
    expect(each.desired(view({ nowMs: 130 * SEC, flow: all, ready: 4 }))).toBe(0);
  });

  test('of a prompt it plans what the cache will not have', () => {
    const mostlyCached = {
      ...oracle,
      demand(fromMs: number, toMs: number) {
        const found = oracle.demand(fromMs, toMs);
        return { ...found, cachedTokens: 90 * found.calls };
      },
    };
    // A step of eight takes 8 prompt tokens, not 80: 11.6 ms, 68.97 calls a second.
    expect(make('oracle', free, { oracle: mostlyCached }).desired(view({ nowMs: 100 * SEC }))).toBe(3);
  });

  test('what waits is work of now', () => {
    const each = make('oracle', free, { oracle });
    // 1,000 in a window of 10 s are 100 a second: three replicas of 42.55.
    const waits = {
      nowMs: 140 * SEC,
      flow: all,
      queuedAtGateway: 400,
      replicas: [replica({ waiting: 600 })],
    };
    expect(each.desired(view(waits))).toBe(3);
  });

  test('nobody goes while more calls are late than sessions are open', () => {
    const behind = (came: number, sessions: number): number =>
      make('oracle', free, { oracle }).desired(
        view({ nowMs: 200 * SEC, flow: calls(came), sessions, ready: 9 }),
      );
    // 100 late calls of 50 sessions: all stay. Of 100 sessions: 100 calls in 20 s are one replica.
    expect(behind(4400, 50)).toBe(9);
    expect(behind(4400, 100)).toBe(1);
  });

  test('has room for what sessions remember, even where few calls come', () => {
    // 25,000 tokens of open sessions over 10,000 KV tokens of a replica.
    const holding = { ...oracle, heldTokens: () => 25_000 };
    expect(make('oracle', free, { oracle: holding }).desired(view({ nowMs: SEC }))).toBe(3);
  });

  test('refuses to run where nobody knows what comes', () => {
    expect(() => make('oracle')).toThrow('needs a plan to look ahead in');
  });
});

describe('workflow-aware', () => {
  const free = { ttft: 60_000, itl: 60_000 };
  const at = (sec: number, given: Partial<ScalingView>) =>
    view({ nowMs: sec * SEC, flow: calls(0, { overMs: 5 * SEC }), ...given });

  test('counts the calls that open sessions will make: 1,000 sessions at one in ten seconds need three', () => {
    const each = make('workflow-aware', free);
    // 100 calls a second over 42.55.
    const flow = calls(1000, { overMs: 5 * SEC });
    expect(each.desired(at(5, { sessions: 1000, flow }))).toBe(3);
  });

  test('learns how often an open session calls, first calls left out', () => {
    const each = make('workflow-aware', free);
    each.desired(at(5, { sessions: 100, flow: calls(100, { overMs: 5 * SEC }) }));
    let wanted = 0;
    // 200 calls a second of 100 sessions, for ten minutes: 2 each.
    for (let sec = 10; sec <= 600; sec += 5)
      wanted = each.desired(at(sec, { sessions: 100, flow: calls(1000, { overMs: 5 * SEC }) }));
    expect(wanted).toBe(5);
    // Ten times the sessions need ten times as many before they have called at all.
    expect(each.desired(at(605, { sessions: 1000, flow: calls(0, { overMs: 5 * SEC }) }))).toBeGreaterThan(
      40,
    );
  });

  test('does not learn from a pool that is behind, and works off what waits within its horizon', () => {
    const learned = (waiting: number): number => {
      const each = make('workflow-aware', { ...free, down_window: 0 });
      for (let sec = 5; sec <= 300; sec += 5)
        each.desired(
          at(sec, {
            sessions: 1000,
            replicas: [replica({ waiting })],
            flow: calls(100, { overMs: 5 * SEC }),
          }),
        );
      return each.desired(at(305, { sessions: 1000, queuedAtGateway: 2 }));
    };
    // 20 calls a second are one in 50 seconds: less than assumed.
    expect(learned(0)).toBe(1);
    expect(learned(1000)).toBe(3);
    // 6,000 in a minute are 100 a second.
    expect(make('workflow-aware', free).desired(at(5, { queuedAtGateway: 6000, flow: calls(1) }))).toBe(3);
    // A cold start of two minutes is a horizon of two.
    expect(
      make('workflow-aware', free, { coldStartMs: 120 * SEC }).desired(
        at(5, { queuedAtGateway: 6000, flow: calls(1) }),
      ),
    ).toBe(2);
  });

  test('does not learn from a pool that misses its targets, though nothing waits', () => {
    const learned = (ttftMs: number): number => {
      const each = make('workflow-aware', { ...free, ttft: 1000, down_window: 0 });
      for (let sec = 5; sec <= 300; sec += 5)
        each.desired(at(sec, { sessions: 1000, flow: { ...calls(100, { overMs: 5 * SEC }), ttftMs } }));
      return each.desired(at(305, { sessions: 1000, queuedAtGateway: 2 }));
    };
    // 20 calls a second are one in 50 seconds: less than assumed.
    expect(learned(1000)).toBe(1);
    expect(learned(1001)).toBe(3);
  });

  test('keeps its highest answer for a while, and wants nothing once all is over', () => {
    const each = make('workflow-aware', free);
    const flow = calls(1000, { overMs: 5 * SEC });
    expect(each.desired(at(5, { sessions: 1000, flow, ready: 3 }))).toBe(3);
    expect(each.desired(at(125, { ready: 3 }))).toBe(3);
    expect(each.desired(at(126, { ready: 3 }))).toBe(0);
  });
});
