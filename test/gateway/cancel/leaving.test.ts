// Users who leave: as often as their hazard says, or when their patience ends.
import { describe, expect, test } from 'vitest';
import { leavesAfterMs } from '../../../gateway/cancel/leaving.ts';
import { extend, textKey } from '../../../scenarios/base/key.ts';
import { constant, type DrawnAmount } from '../../../scenarios/formats/amount.ts';
import type { CancelRule } from '../../../scenarios/formats/rules.ts';

const SESSIONS = 20_000;
const keys = Array.from({ length: SESSIONS }, (_, row) => extend(textKey('sessions'), row));
const leavesOf = (rule: Partial<CancelRule>): number[] =>
  keys.map(key => leavesAfterMs({ hazardPerSec: null, after: null, cascade: true, ...rule }, key));
const shareBefore = (times: readonly number[], ms: number): number =>
  times.filter(time => time < ms).length / times.length;

const patience: DrawnAmount = {
  kind: 'draw',
  of: { kind: 'uniform', min: 1000, max: 3000 },
  min: 0,
  max: Number.POSITIVE_INFINITY,
};

describe('a user', () => {
  test('without a rule, or with a hazard of nothing, stays', () => {
    expect(new Set(leavesOf({}))).toEqual(new Set([Number.POSITIVE_INFINITY]));
    expect(new Set(leavesOf({ hazardPerSec: 0 }))).toEqual(new Set([Number.POSITIVE_INFINITY]));
  });

  test('with 2 % a second leaves within 10 s with 1 - exp(-0.2), and after 50 s on average', () => {
    const times = leavesOf({ hazardPerSec: 0.02 });
    expect(shareBefore(times, 10_000)).toBeCloseTo(1 - Math.exp(-0.2), 2);
    expect(times.reduce((sum, time) => sum + time, 0) / SESSIONS / 1000).toBeCloseTo(50, -1);
    // It has no memory: of those who stayed 10 s, as many leave within the next 10 s.
    const stayed = times.filter(time => time >= 10_000);
    expect(shareBefore(stayed, 20_000)).toBeCloseTo(1 - Math.exp(-0.2), 2);
  });

  test('with a patience leaves when it ends', () => {
    expect(new Set(leavesOf({ after: constant(2500) }))).toEqual(new Set([2500]));
    expect(shareBefore(leavesOf({ after: patience }), 2000)).toBeCloseTo(0.5, 2);
  });

  test('with both leaves at the earlier, and the two are drawn apart', () => {
    const [byHazard, byPatience, both] = [
      leavesOf({ hazardPerSec: 0.5 }),
      leavesOf({ after: patience }),
      leavesOf({ hazardPerSec: 0.5, after: patience }),
    ];
    expect(both).toEqual(byHazard.map((ms, row) => Math.min(ms, byPatience[row]!)));
    // Independent: P(both later than 2 s) = 1/2 · exp(-1).
    expect(1 - shareBefore(both, 2000)).toBeCloseTo(Math.exp(-1) / 2, 2);
  });

  test('with twice the hazard never leaves later, and the same one always leaves at the same time', () => {
    const [once, twice] = [leavesOf({ hazardPerSec: 0.1 }), leavesOf({ hazardPerSec: 0.2 })];
    expect(twice.every((ms, row) => ms < once[row]!)).toBe(true);
    expect(leavesOf({ hazardPerSec: 0.1 })).toEqual(once);
  });
});
