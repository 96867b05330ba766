// The small language after `=`: what is no part of it, how long it may be, and values that stay numbers.
import { describe, expect, test } from 'vitest';
import { evaluate, parseExpression } from '../../scenarios/base/expression.ts';

function errorOf(text: string): string {
  const parsed = parseExpression(text);
  return 'error' in parsed ? parsed.error.message : 'none';
}

function worth(text: string): number {
  const parsed = parseExpression(text);
  if ('error' in parsed) throw new Error(parsed.error.message);
  return evaluate(parsed.expression, { name: () => 0, tokens: () => 0 });
}

describe('what is refused', () => {
  test.each(['toString(1)', 'constructor(1)', '__proto__(1)', 'valueOf()'])(
    '%s is no function, whatever JavaScript says',
    text => {
      expect(errorOf(text)).toBe(`unknown function "${text.split('(')[0]}"`);
    },
  );

  test.each([
    ['parentheses', `${'('.repeat(20_000)}1${')'.repeat(20_000)}`],
    ['signs', `${'-'.repeat(20_000)}1`],
    ['a sum', `${'1+'.repeat(20_000)}1`],
    ['arguments', `max(${'1,'.repeat(200_000)}1)`],
  ])('thousands of parts: %s', (_what, text) => {
    expect(errorOf(text)).toBe('more than 1000 parts');
  });

  test('a thousand parts are read and worked out', () => {
    expect(worth(`${'1+'.repeat(499)}1`)).toBe(500);
    expect(worth(`${'('.repeat(499)}1${')'.repeat(499)}`)).toBe(1);
  });
});

describe('values', () => {
  test.each([
    ['1e308 * 10 - 1e308 * 10', 0],
    ['1e999 / 1e999', 1],
    ['5 / 0', 0],
    ['0 * (1e308 * 10)', 0],
    ['-1e308 * 10 < 1e308 * 10', 1],
  ])('%s is a number', (text, expected) => {
    expect(worth(text)).toBe(expected);
  });
});
