// Options of policies: what is not there, or lies outside, is refused with what there is.
import { expect, test } from 'vitest';
import { choiceOption, numberOptions, refuseOptions } from '../../../gateway/routing/options.ts';
import { UserError } from '../../../scenarios/base/errors.ts';

function refusal(run: () => unknown): UserError {
  try {
    run();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const defaults = { threshold: 0.3, spread_max: 64 };

test('takes the numbers that are given and the defaults of the others', () => {
  expect(numberOptions('p', { threshold: 0 }, defaults)).toEqual({ threshold: 0, spread_max: 64 });
  expect(defaults.threshold).toBe(0.3);
});

test('refuses an unknown name with the one that was meant, or with those there are', () => {
  const near = refusal(() => numberOptions('p', { treshold: 1 }, defaults));
  expect([near.message, near.hint]).toEqual(['policy p has no option treshold', 'did you mean "threshold"?']);
  const far = refusal(() => numberOptions('p', { x: 1 }, defaults, { besides: ['fallback'] }));
  expect(far.hint).toBe('it has threshold, spread_max, fallback');
  expect(refusal(() => refuseOptions('p', { x: 1 })).message).toBe('policy p has no option x');
});

test.each(['0.3', null, -1, Number.NaN, true])('refuses %o where a number belongs', value => {
  expect(refusal(() => numberOptions('p', { threshold: value }, defaults)).hint).toBe(
    'expected a number from 0 on',
  );
});

test('refuses a number above its limit', () => {
  const limits = { most: { threshold: 1 } };
  expect(numberOptions('p', { threshold: 1 }, defaults, limits).threshold).toBe(1);
  const { message, hint } = refusal(() => numberOptions('p', { threshold: 1.5 }, defaults, limits));
  expect([message, hint]).toEqual(['option threshold of policy p is 1.5', 'expected a number from 0 to 1']);
});

test('leaves options of another kind alone, and reads them as one of a few words, the first by default', () => {
  const options = { threshold: 1, fallback: 'b' };
  expect(numberOptions('p', options, defaults, { besides: ['fallback'] })).toEqual({
    threshold: 1,
    spread_max: 64,
  });
  expect(choiceOption('p', options, 'fallback', ['a', 'b'])).toBe('b');
  expect(choiceOption('p', {}, 'fallback', ['a', 'b'])).toBe('a');
  const { message, hint } = refusal(() => choiceOption('p', { fallback: 'c' }, 'fallback', ['a', 'b']));
  expect([message, hint]).toEqual(['option fallback of policy p is "c"', 'expected one of a, b']);
});
