// Verdicts: hand-computed intervals, the three ways to be settled, and what is not.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { judgeFigures, judgeLive, overallVerdict } from '../../../reports/compare/judge.ts';
import type { FigureBlocks, FigureComparison } from '../../../scenarios/formats/comparison.ts';
import { aFigure } from '../../builders/comparisons.ts';

const SEEDS = { pairing: 'seeds', minEffectRatio: 0.01 } as const;
const one = (
  base: FigureBlocks,
  candidate: FigureBlocks,
  how: Parameters<typeof judgeFigures>[2] = SEEDS,
): FigureComparison => judgeFigures([base], [candidate], how)[0]!;

describe('a figure over the same seeds', () => {
  test('has the interval of the ratio of means: what a seed gives both sides is no spread', () => {
    // Exactly a tenth more for every seed, however different the seeds.
    const base = [10, 1000, 30, 400];
    const { changeRatio, ci95, verdict, pValue } = one(aFigure(base), aFigure(base.map(x => x * 1.1)));
    expect(changeRatio).toBeCloseTo(0.1, 12);
    expect(ci95![0]).toBeCloseTo(0.1, 9);
    expect(ci95![1]).toBeCloseTo(0.1, 9);
    expect(verdict).toBe('regressed');
    expect(pValue).toBeLessThan(1e-6);
  });

  test('has the interval that the formula gives by hand', () => {
    // Base 100 each; changes of 1, 2 and 3 %: mean 2 %, deviation 1 %, t(2) = 4.30265 at 95 %.
    const { ci95 } = one(aFigure([100, 100, 100]), aFigure([101, 102, 103]));
    const half = (0.01 * 4.30265) / Math.sqrt(3);
    expect(ci95![0]).toBeCloseTo(0.02 - half, 5);
    expect(ci95![1]).toBeCloseTo(0.02 + half, 5);
  });

  test('improves where higher is better, and regresses where it is not', () => {
    const base = aFigure([10, 20, 30]);
    const more = aFigure([12, 24, 36]);
    expect(one(base, more).verdict).toBe('regressed');
    expect(one({ ...base, better: 'higher' }, { ...more, better: 'higher' }).verdict).toBe('improved');
  });

  test('is unchanged when the whole interval is inside the minimum effect, although it is not 0', () => {
    const base = [100, 110, 120, 130];
    const { verdict, ci95 } = one(aFigure(base), aFigure(base.map(x => x * 1.005)));
    expect(ci95![0]).toBeGreaterThan(0);
    expect(verdict).toBe('unchanged');
  });

  test('is not settled when the interval allows both, and the blocks that it asks for do settle it', () => {
    // 2 % more on average, between -8 and 12 %.
    const wide = (n: number) => Array.from({ length: n }, (_, i) => (i % 2 === 0 ? 112 : 92));
    const base = (n: number) => aFigure(Array(n).fill(100));
    const found = one(base(4), aFigure(wide(4)));
    expect(found.verdict).toBe('inconclusive');
    const enough = 4 + found.blocksMissing!;
    // It said how wide the interval may be; rounded up to an even number of blocks.
    expect(one(base(enough + (enough % 2)), aFigure(wide(enough + (enough % 2)))).verdict).toBe('regressed');
    expect(one(base(20), aFigure(wide(20))).verdict).toBe('inconclusive');
  });

  test('that is 0 on both sides is equal, and one that rises from 0 has no ratio', () => {
    expect(one(aFigure([0, 0, 0]), aFigure([0, 0, 0]))).toMatchObject({
      changeRatio: 0,
      ci95: [0, 0],
      verdict: 'unchanged',
    });
    const zeros = Array(6).fill(0);
    expect(one(aFigure(zeros), aFigure([3, 4, 5, 6, 7, 8]))).toMatchObject({
      changeRatio: null,
      verdict: 'regressed',
    });
  });

  test('that one side does not have is not settled, and asks for nothing', () => {
    expect(judgeFigures([aFigure([1, 2])], [], SEEDS)[0]).toMatchObject({
      baseline: 1.5,
      candidate: null,
      changeRatio: null,
      verdict: 'inconclusive',
      blocksMissing: null,
    });
    expect(judgeFigures([], [aFigure([1, 2])], SEEDS)[0]).toMatchObject({ baseline: null, candidate: 1.5 });
  });

  test('leaves out pairs of which one side has no value', () => {
    expect(one(aFigure([100, null, 100]), aFigure([110, 500, 110])).changeRatio).toBeCloseTo(0.1, 12);
  });
});

test('a difference without chance in it is judged by its size alone', () => {
  const exact = { pairing: 'exact', minEffectRatio: 0.01 } as const;
  expect(one(aFigure([1000]), aFigure([1009]), exact)).toMatchObject({ verdict: 'unchanged', pValue: null });
  expect(one(aFigure([1000]), aFigure([1011]), exact)).toMatchObject({ verdict: 'regressed' });
  expect(one(aFigure([0]), aFigure([1]), exact)).toMatchObject({ verdict: 'regressed', changeRatio: null });
});

test('the same run is equal in everything, whatever its blocks', () => {
  const figures = [aFigure([3, 9]), aFigure([0], { id: 'errors' })];
  for (const each of judgeFigures(figures, figures, { pairing: 'identical', minEffectRatio: 0.01 }))
    expect(each).toMatchObject({ changeRatio: 0, ci95: [0, 0], verdict: 'unchanged', blocksMissing: null });
});

test('three figures that decide must each be three times as certain as one', () => {
  // p of 0.041 alone.
  const base = Array(6).fill(100);
  const candidate = aFigure([103, 102, 108, 100, 112, 104]);
  const [alone] = judgeFigures([aFigure(base)], [candidate], SEEDS);
  expect(alone!.pValue).toBeGreaterThan(0.02);
  expect(alone!.verdict).toBe('regressed');
  const ids = ['makespan.p95', 'ttft.p95', 'cost.per1000Workflows'];
  const three = judgeFigures(
    ids.map(id => aFigure(base, { id })),
    ids.map(id => ({ ...candidate, id })),
    SEEDS,
  );
  for (const each of three) {
    expect(each.pValue).toBeCloseTo(3 * alone!.pValue!, 12);
    expect(each.verdict).toBe('inconclusive');
  }
});

describe('live blocks', () => {
  const TURNS = { pairing: 'interleaved', minEffectRatio: 0.05 } as const;
  const base = [100, 101, 99, 100, 102, 98, 100, 101, 99, 100];

  test('that took turns show 10 %, one hiccup notwithstanding', () => {
    const slower = base.map((x, i) => (i === 3 ? 190 : x * 1.1));
    const [found] = judgeLive([aFigure(base)], [aFigure(slower)], TURNS);
    expect(found).toMatchObject({ verdict: 'regressed' });
    expect(found!.changeRatio).toBeCloseTo(0.1, 2);
  });

  test('of one run after the other are compared without pairs', () => {
    const shuffled = base.map(x => x * 1.1).toReversed();
    const [found] = judgeLive([aFigure(base)], [aFigure(shuffled)], { ...TURNS, pairing: 'apart' });
    expect(found).toMatchObject({ verdict: 'regressed' });
    expect(found!.changeRatio).toBeCloseTo(0.1, 2);
  });

  test('whose baseline drifts by itself raise what counts as a change', () => {
    const drifting = [100, 101, 102, 100, 101, 120, 121, 122, 120, 121];
    const [found] = judgeLive([aFigure(drifting)], [aFigure(drifting.map(x => x * 1.1))], {
      ...TURNS,
      pairing: 'apart',
    });
    // Its second half lies some 20 of 111 above the first.
    expect(found!.minEffectRatio).toBeCloseTo(20 / 110.8, 3);
    expect(found!.verdict).toBe('inconclusive');
  });

  test('of which there is one give a size and no interval', () => {
    expect(judgeLive([aFigure([100])], [aFigure([120])], { ...TURNS, pairing: 'apart' })[0]).toMatchObject({
      changeRatio: 0.19999999999999996,
      ci95: null,
      verdict: 'inconclusive',
      blocksMissing: 9,
    });
  });
});

test('verdicts do not depend on the unit, nor on the order of the pairs', () => {
  const values = fc.array(fc.double({ min: 1, max: 100, noNaN: true }), { minLength: 3, maxLength: 12 });
  fc.assert(
    fc.property(values, fc.double({ min: 0.8, max: 1.25, noNaN: true }), (base, by) => {
      const candidate = base.map((x, i) => x * by * (1 + 0.01 * ((i * 7) % 5)));
      const straight = one(aFigure(base), aFigure(candidate));
      const turned = one(aFigure(base.toReversed()), aFigure(candidate.toReversed()));
      const scaled = one(aFigure(base.map(x => x * 64)), aFigure(candidate.map(x => x * 64)));
      for (const other of [turned, scaled]) {
        expect(other.verdict).toBe(straight.verdict);
        expect(other.changeRatio).toBeCloseTo(straight.changeRatio!, 9);
      }
    }),
  );
});

test('the worst of the figures that decide is the verdict, and nothing to judge is not settled', () => {
  const figure = (verdict: FigureComparison['verdict'], isPrimary = true): FigureComparison => ({
    ...one(aFigure([1, 1]), aFigure([1, 1])),
    verdict,
    isPrimary,
  });
  expect(overallVerdict([figure('improved'), figure('regressed'), figure('inconclusive')])).toBe('regressed');
  expect(overallVerdict([figure('improved'), figure('inconclusive')])).toBe('inconclusive');
  expect(overallVerdict([figure('improved'), figure('unchanged')])).toBe('improved');
  expect(overallVerdict([figure('unchanged'), figure('regressed', false)])).toBe('unchanged');
  expect(overallVerdict([])).toBe('inconclusive');
});
