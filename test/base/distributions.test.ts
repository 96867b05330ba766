// Quantiles against published values, and means against formulas.
import { describe, expect, test } from 'vitest';
import {
  type Distribution,
  empiricalOf,
  gammaOf,
  lognormalOf,
  meanOf,
  quantile,
  weibullOf,
  weibullShape,
  zipfOf,
} from '../../scenarios/base/distributions.ts';

describe('quantiles', () => {
  test.each<[string, Distribution, number, number]>([
    // Chi-square tables: gamma with shape k/2 and scale 2.
    ['chi-square 1 at 95 %', { kind: 'gamma', shape: 0.5, scale: 2 }, 0.95, 3.841458820694124],
    ['chi-square 10 at 99 %', { kind: 'gamma', shape: 5, scale: 2 }, 0.99, 23.209251158954356],
    ['chi-square 4 at 50 %', { kind: 'gamma', shape: 2, scale: 2 }, 0.5, 3.356693980033321],
    ['gamma of shape 1 is exponential', { kind: 'gamma', shape: 1, scale: 3 }, 0.5, 3 * Math.LN2],
    ['weibull of shape 2', { kind: 'weibull', shape: 2, scale: 10 }, 0.5, 10 * Math.sqrt(Math.LN2)],
    ['pareto', { kind: 'pareto', min: 50, alpha: 2 }, 0.75, 100],
    ['measured values', empiricalOf([9, 1, 5, 5].map(value => ({ value, weight: 1 }))), 0.5, 5],
    ['zipf of 3 with s = 1: 6/11, 3/11, 2/11', zipfOf(3, 1), 0.54, 1],
    ['zipf just above its first share', zipfOf(3, 1), 0.55, 2],
  ])('%s', (_name, of, u, expected) => {
    expect(quantile(of, u) / expected).toBeCloseTo(1, 9);
  });

  test('a gamma quantile is monotone from far tail to far tail, for small and large shapes', () => {
    for (const shape of [0.03, 0.3, 1, 7, 900]) {
      const values = [1e-12, 1e-6, 0.01, 0.3, 0.5, 0.9, 0.999, 1 - 1e-9].map(u =>
        quantile({ kind: 'gamma', shape, scale: 1 }, u),
      );
      expect(values.every(Number.isFinite)).toBe(true);
      expect(values).toEqual(values.toSorted((a, b) => a - b));
    }
  });
});

describe('moments', () => {
  test.each([0.3, 1, 2.5])('gamma, weibull and lognormal of mean 10 and cv %d', cv => {
    for (const of of [gammaOf(10, cv), weibullOf(10, weibullShape(cv)), lognormalOf(10, 10 * cv)]) {
      const points = 100_000;
      let sum = 0;
      let squares = 0;
      for (let i = 0; i < points; i++) {
        const value = quantile(of, (i + 0.5) / points);
        sum += value;
        squares += value * value;
      }
      const mean = sum / points;
      expect(mean).toBeCloseTo(10, 1);
      expect(Math.sqrt(squares / points - mean * mean) / mean / cv).toBeCloseTo(1, 1);
    }
  });

  test('the mean of measured values is that of the list', () => {
    const of = empiricalOf([
      { value: 100, weight: 3 },
      { value: 500, weight: 1 },
    ]);
    expect(meanOf(of)).toBeCloseTo(200, 6);
  });
});
