import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type BucketCounts,
  bucketMean,
  bucketQuantile,
  bucketsSince,
  sumBuckets,
} from '../../scenarios/base/buckets.ts';

const BOUNDS = [10, 20, 50, 100];
/** As a server counts values. */
const counted = (values: readonly number[], bounds: readonly number[] = BOUNDS): BucketCounts => ({
  count: values.length,
  sum: values.reduce((sum, value) => sum + value, 0),
  buckets: [
    ...bounds.map((bound): [number, number] => [bound, values.filter(value => value <= bound).length]),
    [null, values.length],
  ],
});
const values = fc.array(fc.integer({ min: 0, max: 150 }));

test('quantiles are interpolated in their bucket', () => {
  const four = counted([15, 15, 30, 30]);
  expect(bucketQuantile(four, 0.25)).toEqual({ value: 15, from: 10, to: 20 });
  expect(bucketQuantile(four, 0.5)).toEqual({ value: 20, from: 10, to: 20 });
  expect(bucketQuantile(four, 0.75)).toEqual({ value: 35, from: 20, to: 50 });
  expect(bucketQuantile(four, 1)).toEqual({ value: 50, from: 20, to: 50 });
  expect(bucketMean(four)).toBe(22.5);
});

test('what lies above the last bound is known to be above it, and no values have no quantile', () => {
  expect(bucketQuantile(counted([5, 120, 130]), 0.95)).toEqual({ value: 100, from: 100, to: null });
  expect(bucketQuantile(counted([]), 0.5)).toBeNull();
  expect(bucketMean(counted([]))).toBeNull();
  expect(sumBuckets([])).toBeNull();
});

test('a sum and a difference count as if the values had been counted together', () => {
  fc.assert(
    fc.property(values, values, (a, b) => {
      const both = counted([...a, ...b]);
      expect(sumBuckets([counted(a), counted(b)])).toEqual(both);
      expect(bucketsSince(counted(a), both)).toEqual(counted(b));
    }),
    { seed: 8 },
  );
});

test('a quantile lies in the bucket that the nearest-rank value lies in', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 150 }), { minLength: 1 }),
      fc.constantFrom(0.5, 0.95, 0.99),
      (list, q) => {
        const ordered = [...list].sort((a, b) => a - b);
        const exact = ordered[Math.max(1, Math.ceil(q * list.length)) - 1]!;
        const { value, from, to } = bucketQuantile(counted(list), q)!;
        expect(exact).toBeGreaterThan(from === 0 ? 0 : from);
        expect(exact).toBeLessThanOrEqual(to ?? Infinity);
        expect(value).toBeGreaterThanOrEqual(from);
        expect(value).toBeLessThanOrEqual(to ?? from);
      },
    ),
    { seed: 8 },
  );
});

test('bounds that only some servers have are left out of a sum', () => {
  expect(sumBuckets([counted([15, 60]), counted([15], [20])])?.buckets).toEqual([
    [20, 2],
    [null, 3],
  ]);
});
