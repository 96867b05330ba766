// Rank tests against the examples of Hollander and Wolfe (as printed in R's manual), against counting every case, and MSER-5
// by hand.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asBlocks, rankSumShift, signedRankShift, warmupCount } from '../../scenarios/base/statistics.ts';

describe("Wilcoxon's signed ranks", () => {
  test('give the depression data of Hollander and Wolfe their p, estimate and interval', () => {
    const x = [1.83, 0.5, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.3];
    const y = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29];
    const { shift, ci95, p } = signedRankShift(asBlocks(x.map((value, i) => value - y[i]!)));
    expect(p).toBeCloseTo(0.0390625, 12);
    expect(shift).toBeCloseTo(0.46, 12);
    expect(ci95![0]).toBeCloseTo(0.01, 12);
    expect(ci95![1]).toBeCloseTo(0.786, 12);
  });

  test('have the p that counting all signs gives, ties included', () => {
    const small = fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(small, differences => {
        const moved = differences.filter(each => each !== 0);
        const rank = (value: number): number => {
          const below = moved.filter(each => Math.abs(each) < Math.abs(value)).length;
          const equal = moved.filter(each => Math.abs(each) === Math.abs(value)).length;
          return below + (equal + 1) / 2;
        };
        const sum = (signs: readonly boolean[]): number =>
          moved.reduce((total, each, i) => total + (signs[i] ? rank(each) : 0), 0);
        const seen = sum(moved.map(each => each > 0));
        const all = Array.from({ length: 2 ** moved.length }, (_, bits) =>
          sum(moved.map((_, i) => ((bits >> i) & 1) === 1)),
        );
        const tail = Math.min(
          all.filter(each => each <= seen).length,
          all.filter(each => each >= seen).length,
        );
        const { p } = signedRankShift(asBlocks(differences));
        expect(p).toBeCloseTo(Math.min(1, (2 * tail) / all.length), 10);
      }),
    );
  });

  test('give no interval of 95 % where five pairs allow none, and no evidence of nothing', () => {
    expect(signedRankShift(asBlocks([1, 2, 3, 4, 5]))).toEqual({ shift: 3, ci95: null, p: 0.0625 });
    expect(signedRankShift(asBlocks([0, 0, 0, 0, 0, 0, 0, 0])).p).toBe(1);
  });
});

describe("Mann and Whitney's rank sums", () => {
  test('give the permeability data of Hollander and Wolfe their p, estimate and interval', () => {
    const term = [0.8, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
    const early = [1.15, 0.88, 0.9, 0.74, 1.21];
    const { shift, ci95, p } = rankSumShift(asBlocks(early), asBlocks(term));
    expect(p).toBeCloseTo(0.2544122544, 9);
    expect(shift).toBeCloseTo(0.305, 12);
    expect(ci95![0]).toBeCloseTo(-0.15, 12);
    expect(ci95![1]).toBeCloseTo(0.76, 12);
  });

  test('are certain only as far as the number of blocks allows: 2 of 70 ways for four against four', () => {
    const { p, shift } = rankSumShift(asBlocks([1, 2, 3, 4]), asBlocks([11, 12, 13, 14]));
    expect(p).toBeCloseTo(2 / 70, 12);
    expect(shift).toBe(10);
  });

  test('turn round when the sides do', () => {
    const sides = fc.array(fc.double({ min: -9, max: 9, noNaN: true }), { minLength: 4, maxLength: 9 });
    fc.assert(
      fc.property(sides, sides, (a, b) => {
        const forth = rankSumShift(asBlocks(a), asBlocks(b));
        const back = rankSumShift(asBlocks(b), asBlocks(a));
        expect(back.p).toBeCloseTo(forth.p, 9);
        expect(back.shift).toBeCloseTo(-forth.shift, 9);
      }),
    );
  });
});

describe('MSER-5', () => {
  test('cuts the ten slow values that stand before forty even ones, and nothing of an even run', () => {
    expect(warmupCount([...Array(10).fill(100), ...Array(40).fill(10)])).toBe(10);
    expect(warmupCount(Array(50).fill(3))).toBe(0);
    expect(warmupCount([1, 2, 3])).toBe(0);
  });

  test('has the least error of the cuts: of batches 9, 1, 2, 3 by hand, after the first', () => {
    // Squares around the mean over n²: 38.75 / 16 = 2.42 with all, 2 / 9 = 0.22 without the first, 0.5 / 4 = 0.125 without two.
    const batches = [9, 1, 2, 3];
    expect(warmupCount(batches.flatMap(value => Array(5).fill(value)))).toBe(10);
    expect(warmupCount([9, 1, 3, 1, 3, 1].flatMap(value => Array(5).fill(value)))).toBe(5);
  });
});
