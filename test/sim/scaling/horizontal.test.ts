// HPA and KEDA, look by look, with the numbers of the Kubernetes documentation and of its source.
import { describe, expect, test } from 'vitest';
import hpa from '../../../sim/scaling/hpa.ts';
import keda from '../../../sim/scaling/keda.ts';
import { calls, replicas, setup, view } from '../../builders/scaling.ts';

const SEC = 1000;
const queue = { metric: 'queue', target: 4 };
const autoscaler = (options: Record<string, unknown> = {}) => hpa.create({ ...queue, ...options }, setup());

/** `ready` replicas with `waiting` calls each. */
const load = (ready: number, waiting: number, more: Parameters<typeof view>[0] = {}) =>
  view({ replicas: replicas(ready, { waiting }), ...more });

/** The second look, without a window behind it: the first keeps what there is. */
function later(options: Record<string, unknown>, seen: ReturnType<typeof view>): number {
  const each = autoscaler({ down_window: 0, ...options });
  each.desired(seen);
  return each.desired({ ...seen, nowMs: 15 * SEC });
}

describe('hpa', () => {
  test('doubles at twice the target and, after the window, halves at half of it', () => {
    expect(autoscaler().desired(load(4, 8))).toBe(8);
    expect(later({}, load(4, 2))).toBe(2);
  });

  test('ignores what is within a tenth of the target, and rounds up beyond it', () => {
    expect(autoscaler().desired(load(4, 4.4))).toBe(4);
    // 4 · 4.41 / 4 = 4.41
    expect(autoscaler().desired(load(4, 4.41))).toBe(5);
    expect(autoscaler({ tolerance: 0.2 }).desired(load(4, 4.7))).toBe(4);
  });

  test('adds at most as many as there are, or four, in a look', () => {
    expect(autoscaler().desired(load(1, 100))).toBe(5);
    expect(autoscaler().desired(load(10, 100))).toBe(20);
    expect(autoscaler({ up_ratio: 0.5, up_replicas: 1 }).desired(load(10, 100))).toBe(15);
  });

  test('counts replicas that start as idle on the way up: no second wave for one burst', () => {
    // 32 waiting over 8 replicas are 4 each: the target.
    expect(autoscaler().desired(load(4, 8, { starting: 4 }))).toBe(8);
    // 32 over 6 are 1.33 times the target: 6 · 1.33 = 8.
    expect(autoscaler().desired(load(4, 8, { starting: 2 }))).toBe(8);
    // 18 over 6 are 0.75 times the target, though the ready ones are above theirs: the ways differ, nothing changes.
    expect(autoscaler().desired(load(4, 4.5, { starting: 2 }))).toBe(6);
  });

  test('counts them as at their target on the way down', () => {
    // (4 · 1 + 2 · 4) / 4 = 3.
    expect(later({}, load(4, 1, { starting: 2 }))).toBe(3);
  });

  test('goes down to the highest recommendation of the last 300 s, what there was at first included', () => {
    const each = autoscaler();
    const at = (sec: number, waiting: number) => each.desired(load(10, waiting, { nowMs: sec * SEC }));
    expect(at(15, 0.8)).toBe(10);
    expect(at(30, 2)).toBe(10);
    for (let sec = 45; sec <= 315; sec += 15) expect(at(sec, 0.8), `${sec}`).toBe(10);
    // The 10 replicas of the first look are forgotten; the 5 that were recommended at 30 s are not.
    expect(at(330, 0.8)).toBe(5);
    expect(at(345, 0.8)).toBe(2);
  });

  test('takes at most the given share in a look', () => {
    expect(later({ down_ratio: 0.1 }, load(10, 0.4))).toBe(9);
  });

  test('of several metrics the highest answer counts', () => {
    const each = autoscaler({ also: { kv_usage: 0.5, running: 100 } });
    expect(
      each.desired(view({ replicas: replicas(4, { waiting: 4, kvUsedRatio: 0.9, running: 100 }) })),
    ).toBe(8);
  });

  test('queue, in_flight and rate see the gateway; a mean is over the ready replicas', () => {
    const of = (metric: string, target: number) => hpa.create({ metric, target }, setup());
    const seen = view({
      replicas: replicas(2, { waiting: 1, running: 6 }),
      queuedAtGateway: 6,
      inFlight: 20,
      flow: calls(90),
    });
    // (1 + 1 + 6) / 2, 20 / 2, 90 in 15 s over 2, 6: each against 2.
    expect(of('queue', 2).desired(seen)).toBe(4);
    expect(of('in_flight', 5).desired(seen)).toBe(4);
    expect(of('rate', 1.5).desired(seen)).toBe(4);
    expect(of('running', 3).desired(seen)).toBe(4);
  });

  test('wakes from zero by what waits at the gateway, and by nothing else', () => {
    expect(autoscaler().desired(view({ ready: 0, queuedAtGateway: 9 }))).toBe(3);
    expect(autoscaler().desired(view({ ready: 0 }))).toBe(0);
  });

  test('waits for the first replica, whatever else there is to do', () => {
    // Nothing waits, nothing is ready: as many as are on their way.
    expect(autoscaler().desired(view({ ready: 0, starting: 3 }))).toBe(3);
  });

  test('needs a metric that there is, and a target', () => {
    expect(() => hpa.create({ target: 4 }, setup())).toThrow('policy hpa needs a metric');
    expect(() => hpa.create({ metric: 'que', target: 4 }, setup())).toThrow(
      'option metric of policy hpa is "que"',
    );
    expect(() => hpa.create({ metric: 'queue', target: 0 }, setup())).toThrow(
      'option target of policy hpa is 0',
    );
  });
});

describe('keda', () => {
  const make = (options: Record<string, unknown> = {}) => keda.create({ ...queue, ...options }, setup());

  test('wakes one replica when anything waits, looking every 30 s', () => {
    const each = make();
    expect(each.desired(view({ ready: 0, nowMs: 30 * SEC }))).toBe(0);
    expect(each.intervalMs).toBe(30 * SEC);
    expect(each.desired(view({ ready: 0, queuedAtGateway: 1000, nowMs: 60 * SEC }))).toBe(1);
    expect(each.intervalMs).toBe(15 * SEC);
  });

  test('between, the sum over the target counts, whoever is ready: 1, 5, 10, 20 for 1000 calls that wait', () => {
    const each = make();
    let [ready, starting] = [0, 1];
    const wanted: number[] = [];
    for (let look = 1; look <= 4; look++) {
      const now = each.desired(view({ ready, starting, queuedAtGateway: 1000, nowMs: look * 15 * SEC }));
      wanted.push(now);
      starting = now - ready;
    }
    expect(wanted).toEqual([5, 10, 20, 40]);
    expect(make().desired(view({ ready: 2, replicas: replicas(2, { waiting: 5 }), starting: 1 }))).toBe(3);
  });

  test('goes to zero a cooldown after the last work, and keeps one until then', () => {
    const each = make({ down_window: 0 });
    expect(each.desired(load(1, 1, { nowMs: 100 * SEC }))).toBe(1);
    expect(each.desired(load(1, 0, { nowMs: 385 * SEC }))).toBe(1);
    expect(each.desired(load(1, 0, { nowMs: 400 * SEC }))).toBe(0);
  });

  test('what has never had work goes at the first look; what may not go to zero never does', () => {
    expect(make().desired(load(3, 0, { nowMs: 15 * SEC }))).toBe(0);
    // The pool keeps the HPA's answer at its minimum.
    expect(make().desired(load(3, 0, { nowMs: 15 * SEC, min: 1 }))).toBe(3);
  });

  test('is active above its threshold only', () => {
    const each = make({ activation: 5 });
    expect(each.desired(view({ ready: 0, queuedAtGateway: 5, nowMs: SEC }))).toBe(0);
    expect(each.desired(view({ ready: 0, queuedAtGateway: 6, nowMs: 2 * SEC }))).toBe(1);
  });
});
