// Scores by hand, and what is made of them.
import { expect, test } from 'vitest';
import {
  activeRequest,
  highestSum,
  kv,
  loadAware,
  loadBalance,
  moreIsBetter,
  noHitLru,
  type Question,
  queue,
  running,
  type Scorer,
  scorerWeights,
  vllmDp,
} from '../../../gateway/routing/scorers.ts';
import { arrival, view } from '../../builders/routing.ts';

const question = (given: Parameters<typeof view>[0], cachedTokens: number[] = []): Question => {
  const seen = view(given);
  return { arrival: arrival(), view: seen, rows: seen.ids.map((_, row) => row), cachedTokens };
};
const scores = (scorer: Scorer, asked: Question): number[] => {
  const found: number[] = [];
  scorer(asked, found);
  return found;
};

test('queue and running go from the most to the least; equal ones score 1', () => {
  expect(scores(queue, question({ waiting: [0, 2, 8] }))).toEqual([1, 0.75, 0]);
  expect(scores(queue, question({ waiting: [5, 5] }))).toEqual([1, 1]);
  expect(scores(running, question({ running: [10, 20, 30] }))).toEqual([1, 0.5, 0]);
});

test('a prefix cached most scores 1, least 0', () => {
  const found: number[] = [];
  moreIsBetter([100, 0, 25], [0, 1, 2], found);
  expect(found).toEqual([1, 0, 0.25]);
  moreIsBetter([7, 7], [0, 1], found);
  expect(found.slice(0, 2)).toEqual([1, 1]);
});

test('only candidates count', () => {
  const asked = { ...question({ waiting: [0, 2, 8] }), rows: [1, 2] };
  expect(scores(queue, asked).slice(1)).toEqual([1, 0]);
});

test('kv is what is free', () => {
  expect(scores(kv, question({ kvUsedRatio: [0.25, 1] }))).toEqual([0.75, 0]);
});

test('load-aware gives an empty queue a half, and one of 128 or more nothing', () => {
  expect(scores(loadAware, question({ waiting: [0, 32, 128, 500] }))).toEqual([0.5, 0.375, 0, 0]);
});

test('active requests: the share of the most that a replica does not have; 1 when idle', () => {
  expect(scores(activeRequest, question({ outstanding: [0, 3, 12] }))).toEqual([1, 0.75, 0]);
  expect(scores(activeRequest, question({ outstanding: [4, 4] }))).toEqual([0, 0]);
  expect(scores(activeRequest, question({ outstanding: [0, 0] }))).toEqual([1, 1]);
});

test('load balance counts waiting, running and all in hand', () => {
  const asked = question({ waiting: [0, 1], running: [0, 4], outstanding: [0, 4] });
  expect(scores(loadBalance, asked)).toEqual([1, 0.1]);
});

test('the rule between data-parallel ranks counts a waiting request as four', () => {
  // 4 * 1 + 4 = 8, 4 * 0 + 12 = 12, 4 * 4 + 0 = 16.
  expect(scores(vllmDp(), question({ waiting: [1, 0, 4], running: [4, 12, 0] }))).toEqual([1, 0.5, 0]);
});

test('cold calls go round by who had one last; a call that is cached anywhere is none', () => {
  const { scorer, sent } = noHitLru();
  const cold = question({ outstanding: [0, 0, 0] }, [0, 0, 0]);
  expect(scores(scorer, cold)).toEqual([1, 0.5, 0]);
  sent(10);
  expect(scores(scorer, cold)).toEqual([0, 1, 0.5]);
  sent(12);
  expect(scores(scorer, cold)).toEqual([0.5, 1, 0]);
  const warm = question({ outstanding: [0, 0, 0] }, [0, 16, 0]);
  expect(scores(scorer, warm)).toEqual([0.5, 0.5, 0.5]);
  sent(11);
  expect(scores(scorer, cold)).toEqual([0.5, 1, 0]);
});

test('the highest weighted sum wins, each score clamped to 0-1 before it is weighted', () => {
  const fixed =
    (...values: number[]): Scorer =>
    (_question, found) => {
      for (const [row, value] of values.entries()) found[row] = value;
    };
  const best = (...parts: [Scorer, number][]) =>
    highestSum(parts.map(([scorer, weight]) => ({ scorer, weight })))(question({ waiting: [0, 0] }));
  // 2 * 0.5 + 1 = 2 against 2 * 1 + 0.1 = 2.1.
  expect(best([fixed(0.5, 1), 2], [fixed(1, 0.1), 1])).toBe(1);
  expect(best([fixed(0.5, 1), 2], [fixed(1.5, 0.1), 1])).toBe(1);
  expect(best([fixed(0.5, 1), 1], [fixed(1, 0.1), 1])).toBe(0);
});

test('weights replace those of the default, and must name scorers', () => {
  const weights = (option: unknown) => scorerWeights('x', option, ['a', 'b'], { a: 2 });
  expect(weights(undefined)).toEqual({ a: 2 });
  expect(weights({ b: 3, a: 0 })).toEqual({ b: 3 });
  expect(() => weights({ c: 1 })).toThrow('policy x (weights) has no option c');
  expect(() => weights({ a: 0 })).toThrow('policy x has no scorer with a weight above 0');
  expect(() => weights([1])).toThrow('option weights of policy x is [1]');
});
