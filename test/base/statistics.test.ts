// Comparisons of runs: Student's distribution against printed tables, the paired test, Holm and Jain by hand.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  holm,
  jainIndex,
  pairedDifference,
  studentBound,
  studentWithin,
} from '../../scenarios/base/statistics.ts';

describe("Student's distribution", () => {
  test('has the bounds of the printed tables', () => {
    const table = [
      [0.95, 1, 12.706],
      [0.95, 2, 4.303],
      [0.95, 3, 3.182],
      [0.95, 9, 2.262],
      [0.95, 30, 2.042],
      [0.99, 4, 4.604],
      [0.9, 10, 1.812],
    ] as const;
    for (const [level, degrees, bound] of table) expect(studentBound(level, degrees)).toBeCloseTo(bound, 3);
  });

  test('with one degree it is Cauchy: half lies within 1; with two, 1/sqrt 2 within sqrt 2', () => {
    expect(studentWithin(1, 1)).toBeCloseTo(0.5, 12);
    expect(studentWithin(-1, 1)).toBeCloseTo(0.5, 12);
    expect(studentWithin(Math.SQRT2, 2)).toBeCloseTo(Math.SQRT1_2, 12);
  });
});

describe('a difference of pairs', () => {
  test('has the mean, interval and chance that the formula gives by hand', () => {
    // Mean 2, deviation 1, error 1/sqrt 3; t = 3.4641 with 2 degrees: p = 1 - t / sqrt(2 + t^2) = 0.0742.
    const { mean, ci95, p } = pairedDifference([1, 2, 3]);
    expect(mean).toBe(2);
    expect(ci95![0]).toBeCloseTo(2 - 4.30265 / Math.sqrt(3), 4);
    expect(ci95![1]).toBeCloseTo(2 + 4.30265 / Math.sqrt(3), 4);
    expect(p).toBeCloseTo(0.07418, 5);
  });

  test('of equal runs is none, of one pair is not judged, and without spread is certain', () => {
    expect(pairedDifference([0, 0, 0])).toEqual({ mean: 0, ci95: [0, 0], p: 1 });
    expect(pairedDifference([5])).toEqual({ mean: 5, ci95: null, p: null });
    expect(pairedDifference([2, 2, 2]).p).toBe(0);
  });
});

describe("Holm's rule", () => {
  test('multiplies the smallest by the number of tests, the next by one less, and never falls', () => {
    expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
    expect(holm([0.5, 0.9])).toEqual([1, 1]);
    expect(holm([])).toEqual([]);
  });

  test('never makes a p value smaller, and keeps their order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 20 }), values => {
        const adjusted = holm(values);
        for (const [i, p] of values.entries()) {
          expect(adjusted[i]).toBeGreaterThanOrEqual(p);
          for (const [j, other] of values.entries())
            if (p < other) expect(adjusted[i]).toBeLessThanOrEqual(adjusted[j]!);
        }
      }),
    );
  });
});

test("Jain's index is 1 for equal shares, 1/n for one that has it all, and nothing of nothing", () => {
  expect(jainIndex([0.7, 0.7, 0.7])).toBeCloseTo(1, 12);
  expect(jainIndex([1, 0, 0, 0])).toBe(0.25);
  expect(jainIndex([1, 3])).toBe(0.8);
  expect(jainIndex([0, 0])).toBeNull();
  expect(jainIndex([])).toBeNull();
});
