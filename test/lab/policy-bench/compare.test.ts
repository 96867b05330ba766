import { describe, expect, test } from 'vitest';
import { loadsOf } from '../../../lab/policy-bench/command.ts';
import { crossing } from '../../../lab/policy-bench/compare.ts';
import { atKnee } from '../../../scenarios/formats/policy-bench.ts';
import { benchOf, policyRuns } from '../../builders/figures.ts';

/** Runs of three seeds whose shares of good calls, at each load, are all the same. */
const shares = (policy: string, ...ratios: number[]) =>
  policyRuns(
    policy,
    ratios.map(sloRatio => [1, 2, 3].map(() => ({ sloRatio, goodputPerSec: 20 * sloRatio }))),
  );

describe('the curves of a bench', () => {
  const bench = benchOf(
    [shares('base', 1, 0.9, 0.2), shares('worse', 0.94, 0.5, 0.1), shares('best', 1, 0.99, 0.7)],
    [0.5, 1, 1.5],
  );

  test('come best first: by the load up to which the target is kept', () => {
    expect(bench.curves.map(({ policy }) => policy)).toEqual(['best', 'base', 'worse']);
    // base falls from 100 % to 90 % between 0.5 and 1: 95 % lies halfway; best from 99 % to 70 % beyond 1.
    expect(bench.curves[1]!.holdsToRatio).toBeCloseTo(0.75, 12);
    expect(bench.curves[0]!.holdsToRatio).toBeCloseTo(1 + (0.5 * 0.04) / 0.29, 12);
    expect(bench.curves[2]!.holdsToRatio).toBeNull();
  });

  test('have their table at the highest load at which any of them keeps the target', () => {
    expect(bench).toMatchObject({ kneeRatio: 1, isKneeKept: true });
    expect(benchOf([shares('base', 0.5, 0.4)], [0.5, 1])).toMatchObject({
      kneeRatio: 0.5,
      isKneeKept: false,
    });
  });
});

describe('a difference to the baseline', () => {
  const times = (policy: string, ...ms: number[]) =>
    policyRuns(policy, [ms.map(ttftMsP95 => ({ ttftMsP95 }))]);
  const bench = benchOf(
    [times('base', 100, 110, 90), times('same', 101, 109, 90), times('slow', 151, 162, 143)],
    [1],
  );
  const differenceOf = (policy: string) => {
    const curve = bench.curves.find(each => each.policy === policy)!;
    return atKnee(curve, bench).difference;
  };

  test('is paired by seed, so that what seeds have in common does not hide it', () => {
    // slow: +51, +52, +53 against runs that differ by 20 among themselves.
    const found = differenceOf('slow')!.ttftMsP95!;
    expect(found.mean).toBeCloseTo(52, 12);
    expect(found.ci95![0]).toBeCloseTo(52 - 4.30265 / Math.sqrt(3), 4);
    expect(found.isReal).toBe(true);
  });

  test('could be chance where pairs go both ways, and has its p value doubled for two policies', () => {
    // same: +1, -1, 0.
    expect(differenceOf('same')!.ttftMsP95).toMatchObject({ mean: 0, p: 1, isReal: false });
    // t = 52 sqrt 3: p = 1 - t / sqrt(2 + t^2), twice for the smaller of two.
    const t = 52 * Math.sqrt(3);
    expect(differenceOf('slow')!.ttftMsP95!.p).toBeCloseTo(2 * (1 - t / Math.sqrt(2 + t * t)), 9);
  });

  test('is none of the baseline itself, nor of a figure that runs do not have', () => {
    expect(differenceOf('base')).toBeNull();
    const unpriced = benchOf(
      [policyRuns('base', [[{ usd: null }]]), policyRuns('other', [[{ usd: null }]])],
      [1],
    );
    expect(
      unpriced.curves.find(({ policy }) => policy === 'other')!.points[0]!.difference!.usd,
    ).toBeUndefined();
  });

  test('of one seed has no interval and is never real', () => {
    const one = benchOf([times('base', 100), times('other', 500)], [1]);
    const found = one.curves.find(({ policy }) => policy === 'other')!.points[0]!.difference!.ttftMsP95;
    expect(found).toEqual({ mean: 400, ci95: null, p: null, isReal: false });
  });
});

describe('a crossing', () => {
  const at = (...list: (number | null)[]) => list.map((share, i) => ({ loadRatio: i + 1, share }));

  test('lies between loads, at the last one where the target is always kept, or nowhere', () => {
    expect(crossing(at(1, 0.9), 0.95)).toBeCloseTo(1.5, 12);
    expect(crossing(at(1, 1, 0.99), 0.95)).toBe(3);
    expect(crossing(at(0.9, 1), 0.95)).toBeNull();
  });

  test('is the first one: what comes back behind it does not count', () => {
    expect(crossing(at(1, 0.9, 1), 0.95)).toBeCloseTo(1.5, 12);
  });
});

describe('--loads', () => {
  test('is a list, in any order, or ten even steps', () => {
    expect(loadsOf('0.9,50%,0.5')).toEqual([0.5, 0.9]);
    expect(loadsOf('0.3..1.2')).toEqual([0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2]);
  });

  test('refuses what is no load', () => {
    for (const text of ['', 'a', '0', '-1', '1..0.5', '0.5..x', '0.5,,1'])
      expect(() => loadsOf(text), text).toThrow(/--loads/);
  });
});
