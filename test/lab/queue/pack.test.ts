// How many cases make a job.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { casesPerJob, jobsOut } from '../../../lab/queue/pack.ts';

describe('a job', () => {
  test('has one case until it is known what cases cost, then as many as fill 1.5 s', () => {
    expect(casesPerJob({ caseMs: null, left: 400, slots: 4 })).toBe(1);
    expect(casesPerJob({ caseMs: 20, left: 4000, slots: 4 })).toBe(75);
    expect(casesPerJob({ caseMs: 3000, left: 4000, slots: 4 })).toBe(1);
  });

  test('shrinks towards the end, so that all workers end together', () => {
    // 40 left for 4 slots: two rounds of 5.
    expect(casesPerJob({ caseMs: 20, left: 40, slots: 4 })).toBe(5);
    expect(casesPerJob({ caseMs: 20, left: 1, slots: 4 })).toBe(1);
  });

  test('never has more cases than are left, and some as long as any are', () => {
    const durations = fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: null });
    fc.assert(
      fc.property(durations, fc.nat(2000), fc.integer({ min: 1, max: 64 }), (caseMs, left, slots) => {
        const cases = casesPerJob({ caseMs, left, slots });
        expect(cases).toBeLessThanOrEqual(left);
        expect(cases > 0).toBe(left > 0);
      }),
    );
  });

  test('waits behind each that is in work', () => {
    expect(jobsOut(3)).toBeGreaterThanOrEqual(6);
  });
});
