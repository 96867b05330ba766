import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bilinear, curveThrough, linear, pieceAt, valueAt } from '../../../engines/steps/curve.ts';

describe('a curve between knots', () => {
  const steps = fc.array(
    fc.record({ width: fc.integer({ min: 1, max: 5000 }), rise: fc.nat(1_000_000_000) }),
    { minLength: 1, maxLength: 12 },
  );

  it('meets its knots to within half a unit a step, never falls, and has whole values', () => {
    fc.assert(
      fc.property(steps, fc.nat(100_000), (pieces, x) => {
        const knots = [0];
        const values = [7];
        for (const { width, rise } of pieces) {
          knots.push(knots.at(-1)! + width);
          values.push(values.at(-1)! + rise);
        }
        const curve = curveThrough(knots, knot => values[knots.indexOf(knot)]!);
        // A slope is rounded by at most half a unit; what it overshoots is taken back as soon as the values rise.
        const widest = Math.max(...pieces.map(({ width }) => width));
        for (const [at, knot] of knots.entries())
          expect(Math.abs(valueAt(curve, knot) - values[at]!)).toBeLessThanOrEqual(widest / 2);
        expect(Number.isSafeInteger(valueAt(curve, x))).toBe(true);
        expect(valueAt(curve, x + 1)).toBeGreaterThanOrEqual(valueAt(curve, x));
      }),
    );
  });

  it('keeps a knot in the piece below it, and goes on with the last slope', () => {
    const curve = curveThrough([0, 10, 30], x => [5, 25, 65][[0, 10, 30].indexOf(x)]!);
    expect([0, 1, 10, 11, 30, 31, 1000].map(x => pieceAt(curve, x))).toEqual([0, 0, 0, 1, 1, 2, 2]);
    expect([0, 5, 10, 20, 30, 40].map(x => valueAt(curve, x))).toEqual([5, 15, 25, 45, 65, 85]);
  });
});

describe('interpolation', () => {
  it('is linear between knots and beyond the last, and constant before the first', () => {
    const at = (x: number): number => linear([2, 4, 8], [10, 20, 30], x);
    expect([0, 2, 3, 4, 6, 8, 12].map(at)).toEqual([10, 10, 15, 20, 25, 30, 40]);
    expect(linear([5], [3], 9)).toBe(3);
  });

  it('is linear along both axes', () => {
    const grid = {
      rows: [1, 3],
      columns: [10, 20],
      us: [
        [1, 2],
        [5, 10],
      ],
    };
    expect(bilinear(grid, 1, 10)).toBe(1);
    expect(bilinear(grid, 2, 15)).toBe((1 + 2 + 5 + 10) / 4);
    expect(bilinear(grid, 3, 30)).toBe(15);
    expect(bilinear(grid, 0, 0)).toBe(1);
  });
});
