import fc from 'fast-check';
import { expect, test } from 'vitest';
import { splitWhole } from '../../../gateway/ledger/split.ts';

test('the largest remainders get what is left, of equal ones the first', () => {
  expect([...splitWhole(10, Float64Array.of(1, 1, 1))]).toEqual([4, 3, 3]);
  expect([...splitWhole(10, Float64Array.of(5, 3, 3))]).toEqual([4, 3, 3]);
  expect([...splitWhole(7, Float64Array.of(0, 2, 5))]).toEqual([0, 2, 5]);
  expect([...splitWhole(2, Float64Array.of(0.1, 0.1, 0.8))]).toEqual([0, 0, 2]);
});

test('without a weight nothing is given', () => {
  expect([...splitWhole(10, Float64Array.of(0, 0))]).toEqual([0, 0]);
});

test('parts sum to the whole, and none is a unit away from its quota', () => {
  const weights = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 1e12, noNaN: true })), {
    minLength: 1,
    maxLength: 200,
  });
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 50 }), weights, (total, list) => {
      const sum = list.reduce((a, b) => a + b, 0);
      fc.pre(sum > 0);
      const parts = [...splitWhole(total, Float64Array.from(list))];
      expect(parts.reduce((a, b) => a + b, 0)).toBe(total);
      for (const [i, part] of parts.entries()) {
        expect(Number.isSafeInteger(part) && part >= 0).toBe(true);
        // A double holds 53 bits: beyond 2^50 a quota itself is not exact to a unit.
        expect(Math.abs(part - total * (list[i]! / sum))).toBeLessThanOrEqual(1.5);
        if (list[i] === 0) expect(part).toBe(0);
      }
    }),
    { numRuns: 500 },
  );
});
