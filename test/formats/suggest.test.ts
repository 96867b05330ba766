import { describe, expect, it } from 'vitest';
import { closest, didYouMean, show } from '../../scenarios/formats/suggest.ts';

describe('did you mean', () => {
  const keys = ['model', 'gpu', 'replicas', 'tensor_parallel', 'limits'];

  it.each([
    ['modle', 'model'],
    ['Model', 'model'],
    ['replica', 'replicas'],
    ['tensorParallel', 'tensor_parallel'],
    ['tensor', 'tensor_parallel'],
    ['gpus', 'gpu'],
    ['temperature', null],
    ['x', null],
    ['', null],
  ])('finds the key nearest to "%s": %s', (word, expected) => {
    expect(closest(word, keys)).toBe(expected);
  });

  it('takes the first of equally near candidates, so that the answer does not depend on chance', () => {
    expect(closest('worm', ['word', 'work'])).toBe('word');
  });

  it('is a sentence, or null when nothing is near', () => {
    expect(didYouMean('modle', keys)).toBe('did you mean "model"?');
    expect(didYouMean('zzz', keys)).toBeNull();
  });

  it('shows long values cut to 60 characters', () => {
    expect(show('a'.repeat(100))).toHaveLength(60);
    expect(show(Number.NaN)).toBe('NaN');
    expect(show(undefined)).toBe('nothing');
  });
});
