// Charts and sections of a comparison: titles from the data, specs that compile, tables with the same numbers.
import { describe, expect, test } from 'vitest';
import { isAbsent } from '../../../reports/charts/chart.ts';
import { DUMBBELLS_MAX, dumbbell, dumbbells, leftOutWords } from '../../../reports/charts/dumbbell.ts';
import { overlaidCdf } from '../../../reports/charts/overlaid-cdf.ts';
import { sideBySide } from '../../../reports/compare/side-by-side.ts';
import { comparedSection, comparisonHeader } from '../../../reports/page/compare.ts';
import { sha256 } from '../../../reports/publish.ts';
import { toVega } from '../../../reports/render.ts';
import { summarise } from '../../../reports/summary.ts';
import { aComparedRun } from '../../builders/compared.ts';
import { aComparison, aComparisonResult, aFigure } from '../../builders/comparisons.ts';
import { aView } from '../../builders/views.ts';

const run = (scale: number, world: 'sim' | 'live' = 'sim') =>
  summarise(aComparedRun({ scale, world }), sha256);
const [slow, fast] = [run(1), run(0.5)];

const compared = aComparison(
  [aFigure([100, 101, 102]), aFigure([10, 11, 9], { id: 'errors', label: 'failed calls', isPrimary: false })],
  [
    aFigure([120, 121, 122]),
    aFigure([80, 90, 70], { id: 'errors', label: 'failed calls', isPrimary: false }),
  ],
);
const result = aComparisonResult([compared], [slow, fast]);

describe('the dumbbell chart', () => {
  test('counts verdicts in its title and has every figure in its table', () => {
    expect(dumbbell(0).title(result)).toBe('Against a, b has 2 of 2 figures worse');
    const { rows, columns } = dumbbell(0).table(result);
    expect(columns.slice(0, 5)).toEqual(['figure', 'unit', 'a', 'b', 'change (0-1)']);
    expect(rows.map(row => row[0])).toEqual(['workflow p95', 'failed calls']);
    expect(rows[0]).toContain('regressed');
  });

  test('compiles, draws what is far out at its edge, and keeps the number in the label', () => {
    const spec = dumbbell(0).spec(result);
    if (isAbsent(spec)) throw new Error(spec.absent);
    expect(() => toVega(spec)).not.toThrow();
    const rows = spec.datasets.rows as { change: number; text: string; verdict: string }[];
    expect(rows[1]!.change).toBeLessThanOrEqual(1.1);
    expect(rows[1]!.text).toMatch(/^\+700 %/);
    expect(rows.map(({ verdict }) => verdict)).toEqual(['worse', 'worse']);
  });

  test('says why it is not there', () => {
    const nothing = aComparisonResult([aComparison([], [])]);
    expect(dumbbell(0).spec(nothing)).toEqual({ absent: 'the two runs have no figure in common' });
  });

  test('is drawn for so many candidates, and the others are counted', () => {
    const many = aComparisonResult(Array(DUMBBELLS_MAX + 2).fill(compared));
    expect(dumbbells(many)).toHaveLength(DUMBBELLS_MAX);
    expect(leftOutWords(many)).toBe('2 further runs in the table only');
    expect(leftOutWords(result)).toBeNull();
  });
});

describe('overlaid distributions', () => {
  const sides = { runs: [slow, fast], names: ['a', 'b'] };

  test('say how far the ends of the title are apart', () => {
    expect(overlaidCdf('makespan').title(sides)).toMatch(
      /^workflow p95 is .+ in a and .+ in b \(−50 %; median −50 %\)$/,
    );
  });

  test('compile, with a curve of each run, and have a column of each in the table', () => {
    const spec = overlaidCdf('ttft').spec(sides);
    if (isAbsent(spec)) throw new Error(spec.absent);
    expect(() => toVega(spec)).not.toThrow();
    expect(new Set((spec.datasets.points as { run: string }[]).map(point => point.run))).toEqual(
      new Set(['a', 'b']),
    );
    const { columns, rows } = overlaidCdf('ttft').table(sides);
    expect(columns).toEqual(['percentile', 'a (ms)', 'b (ms)']);
    for (const [, one, other] of rows) expect(other).toBeCloseTo((one as number) / 2, 3);
  });

  test('are not drawn of one run', () => {
    expect(overlaidCdf('makespan').spec({ runs: [slow], names: ['a'] })).toHaveProperty('absent');
  });
});

describe('runs that nobody compared', () => {
  test('are sizes without an interval when they are simulations', () => {
    const { comparisons } = sideBySide([slow, fast], ['a', 'b'])!;
    const makespan = comparisons[0]!.figures.find(({ id }) => id === 'makespan.p95')!;
    expect(makespan.changeRatio).toBeCloseTo(-0.5, 9);
    expect(makespan).toMatchObject({ ci95: null, verdict: 'inconclusive' });
    expect(dumbbell(0).title(sideBySide([slow, fast], ['a', 'b'])!)).toMatch(
      /^Against a, one run each, b has workflow p95 −50 %, TTFT p95 −50 %/,
    );
  });

  test('have intervals from their slices of time when they are live', () => {
    const { comparisons } = sideBySide([run(1, 'live'), run(0.5, 'live')], ['a', 'b'])!;
    expect(comparisons[0]).toMatchObject({ pairing: 'apart', verdict: 'improved' });
    expect(comparisons[0]!.blocks).toBeGreaterThanOrEqual(8);
  });

  test('that are equal are the same run, and one alone is compared with nothing', () => {
    expect(sideBySide([slow, slow], ['a', 'b'])!.comparisons[0]).toMatchObject({
      pairing: 'identical',
      verdict: 'unchanged',
    });
    expect(sideBySide([slow], ['a'])).toBeNull();
  });
});

describe('the section of the page', () => {
  const over = { comparison: result, runs: [slow, fast], names: ['a', 'b'] };

  test('has the charts, the table, the first difference and what each difference did', () => {
    const told = aComparisonResult(
      [
        {
          ...compared,
          firstDifference: { atMs: 5, session: '<b>', call: 'c', text: 'replica was 0, is 1' },
          explained: [
            {
              where: 'deployment: </script>',
              baseline: '1',
              candidate: '2',
              effects: [{ id: 'makespan.p95', changeRatio: 0.2 }],
              problem: null,
            },
          ],
        },
      ],
      [slow, fast],
    );
    const { text } = comparedSection(aView(slow, { ...over, comparison: told }))!;
    expect(text).toContain('[chart dumbbell-0]');
    expect(text).toContain('[chart overlaid-cdf-makespan]');
    expect(text).toContain('replica was 0, is 1');
    expect(text).toContain('+20');
    // Names are text, whatever they hold.
    expect(text).not.toContain('<b>');
    expect(text).not.toContain('</script>');
  });

  test('has the answer in the verdict, and nothing there without a comparison', () => {
    expect(comparisonHeader(aView(slow, over))!.text).toContain('slower at the workflow p95');
    expect(comparisonHeader(aView(slow))).toBeNull();
    expect(comparedSection(aView(slow))).toBeNull();
  });
});
