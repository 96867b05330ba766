// What every autoscaler must do, run over the registry.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { scalingPolicies, scalingPolicy } from '../../../sim/scaling/index.ts';
import type { ScalingView } from '../../../sim/scaling/policy.ts';
import { calls, replicas, setup, view } from '../../builders/scaling.ts';

/** What a policy cannot do without. */
const NEEDED: Record<string, Record<string, unknown>> = {
  hpa: { metric: 'queue', target: 4 },
  keda: { metric: 'queue', target: 4 },
  aibrix: { metric: 'queue', target: 4 },
  schedule: { times: [{ at: 0, replicas: 2 }] },
};
const oracle = {
  demand: () => ({ calls: 20, promptTokens: 2000, cachedTokens: 0, outputTokens: 200 }),
  heldTokens: () => 0,
};
const make = (name: string) => scalingPolicy(name).create(NEEDED[name] ?? {}, setup({ oracle }));

const looks = fc.array(
  fc.record({
    ready: fc.nat(6),
    starting: fc.nat(3),
    draining: fc.nat(1),
    waiting: fc.nat(30),
    running: fc.nat(8),
    kvUsedRatio: fc.double({ min: 0, max: 1, noNaN: true }),
    queued: fc.nat(20),
    arrivals: fc.nat(500),
    sessions: fc.nat(100),
    idleMs: fc.constantFrom(0, 60_000, 3_600_000, Number.POSITIVE_INFINITY),
  }),
  { minLength: 1, maxLength: 30 },
);

function views(
  sequence: typeof looks extends fc.Arbitrary<infer T> ? T : never,
  everyMs: number,
): ScalingView[] {
  return sequence.map(({ ready, waiting, running, kvUsedRatio, queued, arrivals, ...rest }, index) =>
    view({
      ...rest,
      ready,
      nowMs: (index + 1) * everyMs,
      replicas: Object.freeze(replicas(ready, { waiting, running, kvUsedRatio })),
      queuedAtGateway: queued,
      inFlight: queued + ready * (running + waiting),
      flow: Object.freeze(calls(arrivals, { overMs: everyMs })),
    }),
  );
}

describe.each(Object.keys(scalingPolicies))('autoscaler %s', name => {
  test('is registered under its own name, with a line of documentation and a source', () => {
    const policy = scalingPolicy(name);
    expect(policy.name).toBe(name);
    expect(policy.doc).toMatch(/^[A-Z].*\.$/);
    expect(policy.source).not.toBe('');
  });

  test('wants a whole number of replicas at any look, and looks again', () => {
    fc.assert(
      fc.property(looks, fc.constantFrom(5000, 15_000, 180_000), (sequence, everyMs) => {
        const autoscaler = make(name);
        for (const each of views(sequence, everyMs)) {
          const wanted = autoscaler.desired(Object.freeze(each));
          expect(Number.isInteger(wanted), `${wanted}`).toBe(true);
          expect(wanted).toBeGreaterThanOrEqual(0);
          expect(autoscaler.intervalMs).toBeGreaterThan(0);
          expect(Number.isFinite(autoscaler.intervalMs)).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });

  test('says the same of the same looks, and keeps nothing between two pools', () => {
    fc.assert(
      fc.property(looks, sequence => {
        const run = () => {
          const autoscaler = make(name);
          return views(sequence, 15_000).map(each => autoscaler.desired(each));
        };
        expect(run()).toEqual(run());
      }),
      { numRuns: 30 },
    );
  });

  test('refuses an option that it does not have', () => {
    expect(() => scalingPolicy(name).create({ ...NEEDED[name], treshold: 1 }, setup({ oracle }))).toThrow(
      'treshold',
    );
  });
});

describe('autoscalers that follow load', () => {
  /** Wanted at a first look of `ready` replicas with so much load each. */
  const wanted = (name: string, ready: number, load: number): number =>
    make(name).desired(
      view({
        nowMs: 15_000,
        replicas: replicas(ready, { waiting: load, running: load, kvUsedRatio: Math.min(1, load / 50) }),
        inFlight: ready * load * 2,
        sessions: ready * load,
        flow: calls(ready * load),
      }),
    );

  test.each(['hpa', 'keda', 'aibrix', 'knative', 'wva', 'workflow-aware'])(
    '%s: more load never wants fewer',
    name => {
      fc.assert(
        fc.property(fc.integer({ min: 1, max: 6 }), fc.nat(40), fc.nat(40), (ready, a, b) => {
          const [less, more] = [Math.min(a, b), Math.max(a, b)];
          expect(wanted(name, ready, more)).toBeGreaterThanOrEqual(wanted(name, ready, less));
        }),
      );
    },
  );

  test('a name that nobody has is refused with those there are', () => {
    expect(() => scalingPolicy('hpaa')).toThrow('unknown autoscaler "hpaa"');
    expect(() => scalingPolicy('constructor')).toThrow('unknown autoscaler');
  });
});
