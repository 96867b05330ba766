// What a comparison says: the answer first, signs in words, intervals that can be told from 0.
import { describe, expect, test } from 'vitest';
import { comparisonSummary } from '../../../reports/compare/terminal.ts';
import { changeText, countWords, missingWords, sideNames } from '../../../reports/compare/words.ts';
import { aComparison, aComparisonResult, aFigure } from '../../builders/comparisons.ts';

const TTFT = { id: 'ttft.p95', label: 'TTFT p95' };
const COST = {
  id: 'cost.per1000Workflows',
  label: 'cost per 1,000 workflows',
  unit: 'usd',
} as const;

describe('the headline', () => {
  test('says what got worse first, then what got better, with their intervals', () => {
    const { headline } = aComparison(
      [aFigure([100, 100, 100]), aFigure([10, 10, 10], COST)],
      [aFigure([112, 111, 113]), aFigure([9, 9, 9], COST)],
    );
    expect(headline).toBe(
      'b is 12 % slower at the workflow p95 [9.5, 14.5] and 10 % cheaper per 1,000 workflows, against a',
    );
  });

  test('says within what limits two are alike, and that equal ones are equal', () => {
    const near = aComparison([aFigure([100, 120, 140])], [aFigure([100.2, 120.2, 140.4])]);
    expect(near.headline).toBe('b is within ±1.0 % of a in workflow p95'.replace('1.0', '1'));
    const equal = aComparison([aFigure([1, 2])], [aFigure([1, 2])]);
    expect(equal.headline).toBe('b equals a in workflow p95');
    const same = aComparison([aFigure([1])], [aFigure([1])], { pairing: 'identical' });
    expect(same.headline).toBe('b and a are the same run: every record is equal');
  });

  test('says what is not settled, and what would settle it', () => {
    const { headline } = aComparison([aFigure([100, 100, 100, 100])], [aFigure([112, 92, 112, 92])]);
    expect(headline).toMatch(
      /^b against a is not settled: workflow p95 \+2 % \[−16, 20\] \(\d+ more blocks a side would tell\)$/,
    );
  });
});

test('an interval whose end is not 0 is not shown as 0', () => {
  expect(changeText({ changeRatio: 0.068, ci95: [0.0006, 0.12] })).toBe('+6.8 % [0.1, 12.0]');
  expect(changeText({ changeRatio: -0.12, ci95: [-0.15, -0.09] })).toBe('−12 % [−15.0, −9.0]');
  expect(changeText({ changeRatio: -0.5, ci95: [-0.7, -0.3] })).toBe('−50 % [−70, −30]');
  expect(changeText({ changeRatio: 0, ci95: [0, 0] })).toBe('equal');
  expect(changeText({ changeRatio: 0.31, ci95: [0.31, 0.31] })).toBe('+31 %');
  expect(changeText({ changeRatio: null, ci95: null })).toBe('–');
});

test('figures are counted by verdict, the worst first', () => {
  const { figures } = aComparison(
    [aFigure([100, 100, 100]), aFigure([5, 5, 5], TTFT)],
    [aFigure([120, 121, 119]), aFigure([5, 5, 5], TTFT)],
  );
  expect(countWords(figures)).toBe('1 of 2 figures worse and 1 unchanged');
});

test('blocks that are missing are a number, or too many to name', () => {
  expect(missingWords(1)).toBe('1 more block a side would tell');
  expect(missingWords(1000)).toBe('a thousand blocks more would not tell');
});

describe('the terminal', () => {
  const warnings = Array.from({ length: 9 }, (_, i) => `warning ${i}`);
  const explained = Array.from({ length: 12 }, (_, i) => ({
    where: `deployment: key${i}`,
    baseline: '1',
    candidate: '2',
    effects: [{ id: 'makespan.p95', changeRatio: 0.1 }],
    problem: null,
  }));
  const figures = Array.from({ length: 16 }, (_, i) =>
    aFigure([100, 101, 102], { id: `f${i}`, label: `figure ${i}`, isPrimary: i < 3 }),
  );
  const firstDifference = { atMs: 1010, session: 'chat/3', call: 'answer', text: 'replica was m/0, is m/1' };

  test('has at most 25 lines, the answer in the first and the page in the last', () => {
    const compared = aComparison(
      figures,
      figures.map(each => ({ ...each, values: each.values.map(x => x! * 1.2) })),
      { warnings, explained, firstDifference },
    );
    const lines = comparisonSummary(aComparisonResult([compared]), { reportPath: 'x/report.html' }).split(
      '\n',
    );
    expect(lines.length).toBeLessThanOrEqual(25);
    expect(lines[0]).toMatch(/^✗ b is 20 % slower at the figure 0/);
    expect(lines.at(-1)).toBe('report: x/report.html');
    expect(lines.join('\n')).toContain('first difference: at 1.01 s, chat/3 answer: replica was m/0, is m/1');
    expect(lines.join('\n')).toContain('why: deployment: key0 1 → 2: makespan.p95 +10 %');
  });

  test('has a line for each of several candidates', () => {
    const compared = ['b', 'c', 'd'].map(name => aComparison([aFigure([1, 1])], [aFigure([1, 1])], { name }));
    expect(comparisonSummary(aComparisonResult(compared)).split('\n')).toEqual([
      '= b equals a in workflow p95',
      '= c equals a in workflow p95',
      '= d equals a in workflow p95',
    ]);
  });
});

test('a baseline of which no run was kept has no name among the runs', () => {
  const compared = aComparison([aFigure([1])], [aFigure([1])]);
  const run = {} as never;
  expect(sideNames(aComparisonResult([compared], [run, run]))).toEqual(['a', 'b']);
  expect(sideNames(aComparisonResult([compared], [run]))).toEqual(['b']);
});
