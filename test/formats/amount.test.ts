// Amounts at their edges: parameters that no draw could follow, keys of which one would count for nothing, weights that
// choose nothing, and values that stay whole numbers whatever the tail.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Issue } from '../../scenarios/base/issue.ts';
import { drawAmount, meanAmount, parseAmount } from '../../scenarios/formats/amount.ts';

function problemsOf(raw: unknown): string[] {
  const issues: Issue[] = [];
  parseAmount(raw, 'tokens', [], issues);
  return issues.map(each => `${each.path.join('.')} ${each.message}`.trim());
}

describe('refused', () => {
  test.each<[string, unknown, RegExp]>([
    ['a name that is no text', { dist: 5, median: 5, p90: 9 }, /unknown distribution 5/],
    ['p90 beside sigma', { median: 5, p90: 9, sigma: 1 }, /a lognormal has p90 or sigma, not both/],
    ['median beside mean', { median: 5, p90: 9, mean: 6 }, /a lognormal has median or mean, not both/],
    ['cv beside scale', { dist: 'gamma', mean: 5, cv: 1, scale: 3 }, /a gamma has cv or scale, not both/],
    ['a cv of almost nothing', { dist: 'gamma', mean: 5, cv: 0.001 }, /a cv is from 0.01 to 1000, got 0.001/],
    ['a shape below all use', { dist: 'weibull', shape: 0.001, scale: 5 }, /shape of a weibull is from 0.05/],
    ['a shape of 0', { dist: 'gamma', shape: 0, scale: 5 }, /a gamma needs mean and cv/],
    ['a p90 beyond all numbers', { median: 1, p90: 1e300 }, /one in 10,000 of these is beyond any number/],
    ['a tail beyond all numbers', { dist: 'pareto', min: 5, alpha: 0.001 }, /beyond any number/],
    ['a spread that is none', { dist: 'lognormal', mean: 1e-300, sd: 1e300 }, /beyond any number/],
    ['a choice of an empty text', { choice: { '': 1 } }, /expected a number of tokens.*got ""/],
    [
      'a choice of a hexadecimal number',
      { choice: { '0x10': 1 } },
      /expected a number of tokens.*got "0x10"/,
    ],
    ['a choice of nothing', { choice: { 1: 0, 7: '0%' } }, /choice every weight is 0/],
    ['a mixture of nothing', { mixture: [{ weight: 0, median: 5, p90: 9 }] }, /mixture every weight is 0/],
    [
      'the max of a part, also of one that has a min of its own',
      { mixture: [{ weight: 1, dist: 'pareto', min: 5, alpha: 2, max: 9 }] },
      /mixture\.0\.max a part of a mixture cannot be clamped/,
    ],
  ])('%s', (_name, raw, expected) => {
    expect(problemsOf(raw).join('\n')).toMatch(expected);
  });

  test('a uniform part has its own min and max', () => {
    expect(problemsOf({ mixture: [{ weight: 1, dist: 'uniform', min: 5, max: 9 }] })).toEqual([]);
  });
});

const uniforms = fc.constantFrom(1e-16, 1e-9, 0.001, 0.5, 0.9999, 1 - 1e-9, 1 - 2 ** -52);
const amounts = fc.oneof(
  fc.double({ min: 0.01, max: 1000, noNaN: true }).map(cv => ({ dist: 'gamma', mean: 100, cv })),
  fc.double({ min: 0.01, max: 1000, noNaN: true }).map(cv => ({ dist: 'weibull', mean: 100, cv })),
  fc.double({ min: 1e-6, max: 1e4, noNaN: true }).map(shape => ({ dist: 'gamma', shape, scale: 7 })),
  fc.double({ min: 0.05, max: 500, noNaN: true }).map(shape => ({ dist: 'weibull', shape, scale: 7 })),
  fc.double({ min: 0, max: 150, noNaN: true }).map(sigma => ({ median: 5, sigma })),
  fc.double({ min: 0.02, max: 50, noNaN: true }).map(alpha => ({ dist: 'pareto', min: 5, alpha })),
  fc.constantFrom({ median: 5, p90: 5 }, { mean: 5, sd: 0 }, 1e300, { dist: 'exponential', mean: 1e307 }),
);

test('every draw is a whole number of tokens, however far in the tail, and the announced mean is a number', () => {
  fc.assert(
    fc.property(amounts, uniforms, (raw, u) => {
      const issues: Issue[] = [];
      const amount = parseAmount(raw, 'tokens', [], issues);
      expect(issues).toEqual([]);
      if (amount?.kind !== 'draw') throw new Error('drawn');
      const value = drawAmount(amount, u, true);
      expect([raw, Number.isSafeInteger(value), value >= 0]).toEqual([raw, true, true]);
      expect(Number.isFinite(meanAmount(amount, true))).toBe(true);
    }),
    { seed: 4, numRuns: 300 },
  );
});
