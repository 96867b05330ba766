// Gates that shed: buckets along cubic ramps, and sessions that have begun and are spared.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { admissionPolicy } from '../../../gateway/admission/index.ts';
import { textKey } from '../../../scenarios/base/key.ts';
import { Gatekeeper, IDLE, poolsOf, SATURATED, view } from './build.ts';

const SETUP = { pool: { maxBatchedTokens: 8192, kvTokens: 200_000 } };
const keep = (name: string, options: Record<string, unknown>, pools = IDLE) =>
  new Gatekeeper(admissionPolicy(name).create(options, SETUP), pools);

/** Of one replica with room for 100 calls. */
const filled = (calls: number) => poolsOf(view({ outstanding: [calls] }));
const BY_REQUESTS = { detector: 'requests' };
const PRIORITIES = { bulk: -2, best_effort: -1, degraded: 0, critical: 1 };

/** Share of calls of a priority that are turned away. */
function share(calls: number, priority: number, options: Record<string, unknown> = {}, count = 2000): number {
  const keeper = keep('cubic_shed', { ...BY_REQUESTS, spare_started: false, ...options }, filled(calls));
  let shed = 0;
  for (let id = 0; id < count; id++)
    if (keeper.arrive({ id, key: textKey(`${priority} ${id}`), priority }) === 'shed') shed += 1;
  return shed / count;
}

describe('cubic_shed', () => {
  test.each([
    // Parts of 0.4 / 3: bulk from 0.6, best effort from 0.733, degraded from 0.867, critical from 1 to 1.133.
    [60, [0, 0, 0, 0]],
    [70, [0.421875, 0, 0, 0]], // (0.1 / 0.1333)^3
    [80, [1, 0.125, 0, 0]],
    [90, [1, 1, 0.015625, 0]],
    [100, [1, 1, 1, 0]],
    [110, [1, 1, 1, 0.421875]],
    [120, [1, 1, 1, 1]],
  ])('at %i of 100 calls the shares of bulk, best effort, degraded and critical are %j', (calls, shares) => {
    for (const [i, priority] of Object.values(PRIORITIES).entries())
      expect(Math.abs(share(calls, priority) - shares[i]!)).toBeLessThan(0.04);
  });

  test('sheds no call while any of a lower bucket would go, and the more the fuller it is', () => {
    const levels = fc.integer({ min: 0, max: 140 });
    fc.assert(
      fc.property(levels, levels, (a, b) => {
        const of = (calls: number) =>
          Object.values(PRIORITIES).map(priority => share(calls, priority, {}, 100));
        const shares = of(a);
        for (let bucket = 1; bucket < shares.length; bucket++)
          if (shares[bucket]! > 0) expect(shares[bucket - 1]).toBe(1);
        const [less, more] = a < b ? [shares, of(b)] : [of(b), shares];
        for (const [bucket, each] of less.entries()) expect(each).toBeLessThanOrEqual(more[bucket]!);
      }),
      { numRuns: 40 },
    );
  });

  test('has buckets and a ramp of its own, and lets everybody in where there is no replica', () => {
    const own = { critical: 10, degraded: 5, best_effort: 3, from: 0.2, to: 0.5 };
    // Parts of 0.1: at 0.45 degraded is half-way, best effort and bulk are gone, critical is not touched.
    expect([2, 3, 4].map(priority => share(45, priority, own))).toEqual([1, 1, 1]);
    expect(Math.abs(share(45, 5, own) - 0.125)).toBeLessThan(0.03);
    expect(share(45, 10, own)).toBe(0);
    const empty = poolsOf(view({ waiting: [] }));
    expect(keep('cubic_shed', {}, empty).arrive({ id: 1, priority: -9 })).toBe('send');
  });

  test('judges a session once, whichever of its first calls comes first', () => {
    const keeper = keep('cubic_shed', BY_REQUESTS, filled(70));
    let sessionsIn = 0;
    for (let session = 0; session < 500; session++) {
      const verdicts = [0, 1, 2, 3].map(call =>
        keeper.arrive({ id: session * 4 + call, session: `s${session}`, priority: -2 }),
      );
      expect(new Set(verdicts).size).toBe(1);
      if (verdicts[0] === 'send') sessionsIn += 1;
    }
    expect(Math.abs(sessionsIn / 500 - (1 - 0.421875))).toBeLessThan(0.08);
  });
});

describe.each([
  ['saturation', {}],
  ['probabilistic', {}],
  ['tier_shed', { overload: 100 }],
  ['cubic_shed', {}],
  ['calls', { max: 2 }],
  ['calls', { max: 2, queue: 4, max_wait: 20 }],
  ['token_bucket', { capacity: 2500, refill: 5000 }],
  ['token_bucket', { capacity: 2500, refill: 5000, queue: 4, max_wait: 20 }],
])('%s %j with spare_started', (name, options) => {
  const step = fc.record({
    session: fc.nat(5),
    does: fc.constantFrom('call', 'call', 'call', 'call', 'end', 'endSession', 'fill', 'empty'),
    promptTokens: fc.integer({ min: 1, max: 3000 }),
    waitMs: fc.nat(15),
  });
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

  /** Calls that were turned away after another of their session had been let in. */
  function midWorkflow(steps: readonly Step[], spare_started: boolean): number {
    const keeper = keep(name, { ...options, spare_started });
    const sessionOf = new Map<number, string>();
    /** Of each session that has begun and not ended. */
    const begunMs = new Map<string, number>();
    const seen = new Set<number>();
    let refused = 0;
    const look = () => {
      for (const [id, fate] of keeper.fates) {
        if (seen.has(id)) continue;
        seen.add(id);
        const own = sessionOf.get(id)!;
        if ('sentMs' in fate) begunMs.set(own, Math.min(fate.sentMs, begunMs.get(own) ?? fate.sentMs));
        else if ('refusedMs' in fate && fate.refusedMs > (begunMs.get(own) ?? fate.refusedMs)) refused += 1;
      }
    };
    for (const [id, { session, does, promptTokens, waitMs }] of steps.entries()) {
      const own = `s${session}`;
      if (does === 'fill') keeper.pools = SATURATED;
      else if (does === 'empty') keeper.pools = IDLE;
      else if (does === 'end') keeper.end(keeper.sent.at(-1) ?? -1);
      else if (does === 'endSession') {
        // As in both worlds: what it has waiting is taken back first.
        for (const [waiting, of] of sessionOf)
          if (of === own && !keeper.fates.has(waiting)) keeper.withdraw(waiting);
        look();
        keeper.endSession(own);
        begunMs.delete(own);
      } else {
        sessionOf.set(id, own);
        keeper.arrive({ id, session: own, promptTokens, priority: -2 });
      }
      look();
      keeper.to(keeper.nowMs + waitMs);
      look();
    }
    return refused;
  }

  test('never turns a call away whose session has begun, and without it does', () => {
    const runs = fc.sample(fc.array(step, { minLength: 60, maxLength: 60 }), { numRuns: 60, seed: 3 });
    let without = 0;
    for (const steps of runs) {
      expect(midWorkflow(steps, true)).toBe(0);
      without += midWorkflow(steps, false);
    }
    expect(without).toBeGreaterThan(0);
  });
});

test('a switch is true or false', () => {
  expect(() => admissionPolicy('saturation').create({ spare_started: 'yes' }, {})).toThrow(
    'option spare_started of policy saturation is "yes"',
  );
});
