import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seedKey } from '../../scenarios/base/key.ts';
import {
  bootstrapInterval,
  mean,
  quantile,
  quantileSorted,
  sorted,
} from '../../scenarios/base/statistics.ts';

describe('statistics', () => {
  test('a quantile is a value with at least that share at or under it, and less under any smaller value', () => {
    const list = fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(list, fc.double({ min: 0.01, max: 1, noNaN: true }), (values, q) => {
        const value = quantile(values, q);
        const atOrUnder = values.filter(other => other <= value).length;
        const under = values.filter(other => other < value).length;
        expect(values).toContain(value);
        expect(atOrUnder / values.length).toBeGreaterThanOrEqual(q - 1e-6);
        expect(under / values.length).toBeLessThan(q);
      }),
    );
  });

  test('of nothing there is neither mean nor quantile', () => {
    expect(quantileSorted(sorted([]), 0.5)).toBeNaN();
    expect(mean([])).toBeNaN();
  });

  test('a bootstrap interval is reproducible, covers the mean and narrows with more units', () => {
    const width = (count: number) => {
      const values = Array.from({ length: count }, (_, i) => (i * 37) % 100);
      const statistic = (rows: Int32Array) => mean([...rows].map(row => values[row]!));
      const options = { key: seedKey('ci'), resamples: 400 };
      const interval = bootstrapInterval(count, statistic, options)!;
      expect(bootstrapInterval(count, statistic, options)).toEqual(interval);
      expect(interval[0]).toBeLessThan(mean(values));
      expect(interval[1]).toBeGreaterThan(mean(values));
      return interval[1] - interval[0];
    };
    expect(width(400)).toBeLessThan(width(25) / 2);
    expect(bootstrapInterval(1, () => 1, { key: seedKey('ci') })).toBeNull();
  });
});
