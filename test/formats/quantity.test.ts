import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Dimension, parseScalar } from '../../scenarios/formats/quantity.ts';

describe('quantities with their unit in the text', () => {
  it.each<[unknown, Dimension, number]>([
    ['160k', 'tokens', 160_000],
    ['3M', 'tokens', 3_000_000],
    [2800, 'tokens', 2800],
    ['1.5k', 'tokens', 1500],
    ['350ms', 'ms', 350],
    ['1.1s', 'ms', 1100],
    ['10m', 'ms', 600_000],
    ['2h', 'ms', 7_200_000],
    ['1d', 'ms', 86_400_000],
    ['60us', 'ms', 0.06],
    ['20ns', 'ms', 0.00002],
    [0, 'ms', 0],
    ['80%', 'ratio', 0.8],
    [0.8, 'ratio', 0.8],
    ['0.05/s', 'perSec', 0.05],
    ['3/min', 'perSec', 0.05],
    ['18/h', 'perSec', 0.005],
    ['$0.05', 'usd', 0.05],
    ['0.05 USD', 'usd', 0.05],
    ['3.39/h', 'usdPerHour', 3.39],
    [12, 'count', 12],
  ])('reads %j as %s: %d', (raw, dimension, value) => {
    expect(parseScalar(raw, dimension)).toEqual({ value });
  });

  it.each<[unknown, Dimension, string, string | null]>([
    [350, 'ms', 'expected a duration, such as 350ms; got 350', 'write 350ms or 0.35s'],
    ['350', 'ms', 'expected a duration, such as 350ms; got "350"', 'write 350ms or 0.35s'],
    ['160k', 'ms', 'expected a duration, such as 350ms; got "160k"', 'units: ns, us, ms, s, m, h, d'],
    ['5min', 'ms', 'expected a duration, such as 350ms; got "5min"', 'write 5m'],
    [
      '2,800',
      'tokens',
      'expected a number of tokens, such as 160k; got "2,800"',
      'write it without separators: 2800',
    ],
    ['3m', 'tokens', 'expected a number of tokens, such as 160k; got "3m"', 'write 3M for millions'],
    [
      '32K',
      'tokens',
      'expected a number of tokens, such as 160k; got "32K"',
      'write 32k for 32000, or 32768',
    ],
    [0.05, 'perSec', 'expected a rate, such as 0.05/s; got 0.05', 'write 0.05/s or 0.05/min'],
    [80, 'ratio', 'expected a ratio from 0 to 1, such as 80% or 0.8; got 80', 'did you mean 80%?'],
    ['350ms', 'ratio', 'expected a ratio from 0 to 1, such as 80% or 0.8; got "350ms"', 'units: %'],
    [-1, 'count', 'expected a count, such as 12; got -1', 'it must not be negative'],
    ['-5ms', 'ms', 'expected a duration, such as 350ms; got "-5ms"', 'it must not be negative'],
    [Number.NaN, 'count', 'expected a count, such as 12; got NaN', null],
    ['1e999', 'count', 'expected a count, such as 12; got "1e999"', null],
    ['1h30m', 'ms', 'expected a duration, such as 350ms; got "1h30m"', null],
    [true, 'usd', 'expected an amount in USD, such as 0.05; got true', null],
    [3.39, 'usdPerHour', 'expected a price in USD per hour, such as 3.39/h; got 3.39', 'write 3.39/h'],
  ])('refuses %j as %s', (raw, dimension, error, hint) => {
    expect(parseScalar(raw, dimension)).toEqual({ error, hint });
  });

  it('never gives a negative or infinite number, whatever the text', () => {
    const dimension = fc.constantFrom<Dimension>(
      'tokens',
      'ms',
      'ratio',
      'perSec',
      'usd',
      'usdPerHour',
      'count',
    );
    const text = fc.oneof(
      fc.string(),
      fc.stringMatching(/^-?\d{1,4}(\.\d)?(e\d{1,3})?(ms|k|%|\/s)?$/),
      fc.double(),
    );
    fc.assert(
      fc.property(text, dimension, (raw, each) => {
        const result = parseScalar(raw, each);
        if ('value' in result) expect(result.value >= 0 && Number.isFinite(result.value)).toBe(true);
        else expect(result.error).toMatch(/^expected .+; got /);
      }),
    );
  });
});
