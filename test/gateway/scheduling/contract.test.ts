// What every scheduling policy must do, run over the registry.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { schedulingPolicies, schedulingPolicy } from '../../../gateway/scheduling/index.ts';
import { arrival, served } from './build.ts';

const call = fc.record({
  session: fc.nat(4),
  step: fc.nat(3),
  promptTokens: fc.integer({ min: 1, max: 50_000 }),
  deadlineMs: fc.option(fc.nat(100_000)),
  priority: fc.integer({ min: -5, max: 5 }),
  waitedMs: fc.nat(10_000),
  servedMs: fc.nat(10_000),
  endsSession: fc.boolean(),
});
type Step = typeof call extends fc.Arbitrary<infer T> ? T : never;

describe.each(Object.entries(schedulingPolicies))('scheduling policy %s', (name, policy) => {
  test('is registered under its own name, with a line of documentation and a source', () => {
    expect(policy.name).toBe(name);
    expect(schedulingPolicy(name)).toBe(policy);
    expect(policy.doc).toMatch(/^[A-Z].*\.$/);
    expect(policy.source.length).toBeGreaterThan(5);
  });

  test('refuses an option it does not have', () => {
    expect(() => policy.create({ chioces: 2 })).toThrow(`policy ${name} has no option chioces`);
  });

  const urgencies = (calls: readonly Step[]): number[] => {
    const scheduler = policy.create({});
    let nowMs = 0;
    return calls.map(({ session, step, endsSession, waitedMs, servedMs, ...rest }, id) => {
      const next = arrival({
        id,
        session: `s${session}`,
        step: `step ${step}`,
        parents: id > 0 ? [id - 1] : [],
        ...rest,
      });
      const urgency = scheduler.urgency(next, nowMs);
      nowMs += waitedMs + servedMs;
      scheduler.ended?.(served({ id, session: next.session, step: next.step, waitedMs, servedMs }), nowMs);
      if (endsSession) scheduler.sessionEnded?.(next.session, 'w', nowMs);
      return urgency;
    });
  };

  test('gives finite urgencies, the same for the same history, and two schedulers share no memory', () => {
    fc.assert(
      fc.property(fc.array(call, { minLength: 1, maxLength: 40 }), calls => {
        const first = urgencies(calls);
        for (const urgency of first) expect(Number.isFinite(urgency)).toBe(true);
        expect(urgencies(calls)).toEqual(first);
      }),
    );
  });
});

test('an unknown policy is refused with those there are', () => {
  expect(() => schedulingPolicy('continuum')).toThrow('unknown scheduling policy "continuum"');
});
