// What stands out of why caches missed.
import { describe, expect, test } from 'vitest';
import { cacheMissesOf, missSentence } from '../../reports/cache-misses.ts';
import { cacheMisses } from '../../reports/charts/cache-misses.ts';
import { isAbsent } from '../../reports/charts/chart.ts';
import { summarise } from '../../reports/summary.ts';
import { type CacheMiss, MISS_DETAILS, MISS_REASONS } from '../../scenarios/formats/record.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { aCall, aRun } from '../builders/records.ts';

const miss = (
  reason: CacheMiss['reason'],
  tokens: number,
  segment = 'history',
  detail: string | null = null,
): CacheMiss => ({ reason, tokens, segment, detail });

/** Of a run whose calls missed so. */
const resultOf = (...calls: (CacheMiss[] | undefined)[]): RunResult =>
  summarise(
    aRun({
      calls: calls.map((misses, n) => aCall({ call: `c${n}`, ...(misses === undefined ? {} : { misses }) })),
    }),
    () => 'digest',
  );

describe('misses of a run', () => {
  test('add up by segment and reason, the most first, with the calls that had any', () => {
    const rows = cacheMissesOf([
      { misses: [miss('new', 10, 'input'), miss('partial', 3), miss('new', 5, 'input')] },
      { misses: [miss('partial', 4), miss('new', 20, 'input')] },
      {},
    ]);
    expect(rows).toEqual([
      { segment: 'input', reason: 'new', tokens: 35, calls: 2 },
      { segment: 'history', reason: 'partial', tokens: 7, calls: 2 },
    ]);
  });

  test('say what most tokens of a row have in common, and tell apart what nothing can be done about', () => {
    const rows = cacheMissesOf([
      { misses: [miss('elsewhere', 60, 'system', 'was on main/0')] },
      { misses: [miss('elsewhere', 50, 'system', 'was on main/1')] },
      {
        misses: [
          miss('elsewhere', 45, 'history', 'was on main/0'),
          miss('elsewhere', 9, 'history', MISS_DETAILS.decode),
        ],
      },
    ]);
    expect(rows).toEqual([
      { segment: 'system', reason: 'elsewhere', tokens: 110, calls: 2, detail: 'was on main/0' },
      { segment: 'history', reason: 'elsewhere', tokens: 45, calls: 1, detail: 'was on main/0' },
      { segment: 'history', reason: 'elsewhere', tokens: 9, calls: 1, detail: MISS_DETAILS.decode },
    ]);
  });

  test('are unknown where nobody looked, and none where everything was found', () => {
    expect(resultOf(undefined).cacheMisses).toBeUndefined();
    expect(resultOf([]).cacheMisses).toEqual([]);
  });
});

describe('the sentence', () => {
  const said = (...misses: CacheMiss[]): string | null => missSentence(resultOf(misses));

  test('is about the most of what a cache could have had, with its share of all that was missed', () => {
    expect(said(miss('new', 700, 'input'), miss('elsewhere', 200), miss('evicted', 100))).toBe(
      '20 % of the missed prompt tokens were on another replica: route by prefix or by session',
    );
    expect(said(miss('new', 10), miss('changed', 90, 'clock', 'pass 2'))).toBe(
      '90 % of the missed prompt tokens stand behind a changed “clock”: put what changes last',
    );
  });

  test('is silent where nothing could be done, or hardly anything', () => {
    expect(said(miss('new', 500), miss('partial', 500))).toBeNull();
    expect(said(miss('new', 960), miss('evicted', 40))).toBeNull();
    expect(said(miss('changed', 900, 'history', MISS_DETAILS.reasoning), miss('new', 100))).toBeNull();
    expect(said()).toBeNull();
  });

  test.each(MISS_REASONS)('has words for %s, in the chart too', reason => {
    const result = resultOf([miss(reason, 100)]);
    expect(cacheMisses.title(result)).toMatch(/^Of 100 missed prompt tokens, 100 % \S/);
    expect(isAbsent(cacheMisses.spec(result))).toBe(false);
    expect(cacheMisses.table(result).rows).toHaveLength(1);
  });
});

test('a chart without anything to draw says why, and what to do', () => {
  expect(cacheMisses.spec(resultOf(undefined))).toEqual({
    absent: expect.stringContaining('--enable-prompt-tokens-details'),
  });
  expect(cacheMisses.spec(resultOf([]))).toEqual({ absent: 'every prompt token was in the cache' });
});
