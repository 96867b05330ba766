import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { latinHypercube, pointsOf } from '../../../lab/sweep/design.ts';
import { correlation, explainedRatio, ranks } from '../../../lab/sweep/effects.ts';
import type { SweepDesign } from '../../../scenarios/formats/sweep.ts';
import { parseAxes } from '../../../scenarios/formats/vary.ts';

const labels = (texts: readonly string[], design: SweepDesign, points?: number): string[] =>
  pointsOf(parseAxes(texts), { design, points, seed: 7 }).map(point =>
    point.map(({ label }) => label).join(' '),
  );

describe('designs', () => {
  test('a grid has every combination, the last axis the fastest', () => {
    expect(labels(['pools.main.replicas=1,2', 'load=0.5,1'], 'grid')).toEqual([
      '1 0.5',
      '1 1',
      '2 0.5',
      '2 1',
    ]);
  });

  test('a list has the values side by side, and as many of each', () => {
    expect(labels(['pools.main.replicas=1,2', 'load=0.5,1'], 'list')).toEqual(['1 0.5', '2 1']);
    expect(() => labels(['pools.main.replicas=1,2', 'load=0.5'], 'list')).toThrow('2 values and load 1');
  });

  test('a Latin hypercube has exactly one point in each stratum of each axis', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer(), (count, seed) => {
        const draws = latinHypercube(['a', 'b', 'c'], count, seed);
        for (const axis of [0, 1, 2]) {
          const strata = draws.map(row => Math.floor(row[axis]! * count)).sort((a, b) => a - b);
          expect(strata).toEqual(Array.from({ length: count }, (_, i) => i));
        }
      }),
    );
  });

  test('its axes do not depend on one another, and another seed draws otherwise', () => {
    const column = (axes: string[], seed: number): number[] =>
      latinHypercube(axes, 10, seed).map(row => row[axes.indexOf('a')]!);
    expect(column(['a'], 1)).toEqual(column(['b', 'a'], 1));
    expect(column(['a'], 1)).not.toEqual(column(['a'], 2));
  });

  test('it gives each value of a list its share, and numbers of a range', () => {
    const found = labels(['routing=a,b,c', 'load=0.5..2#3'], 'lhs', 30).map(each => each.split(' '));
    for (const name of ['a', 'b', 'c']) expect(found.filter(([own]) => own === name)).toHaveLength(10);
    const loads = found.map(([, load]) => Number(load));
    expect(new Set(loads).size).toBe(30);
    expect(loads.every(load => load >= 0.5 && load <= 2)).toBe(true);
  });

  test('equal points are there once', () => {
    expect(labels(['routing=a,b'], 'lhs', 10).sort()).toEqual(['a', 'b']);
  });

  test('too many points, and points of what is no sample, are refused', () => {
    expect(() => labels(['pools.main.replicas=1..200', 'load=1..200'], 'grid')).toThrow('40000 points');
    expect(() => labels(['load=1,2'], 'grid', 5)).toThrow('--points');
    expect(() => labels(['load=1,2'], 'lhs')).toThrow('needs --points');
  });
});

describe('effects', () => {
  test('ranks share their mean where values are equal', () => {
    expect(ranks([30, 10, 20, 10])).toEqual([4, 1.5, 3, 1.5]);
  });

  test('correlation is 1 along, -1 against, and nothing where one side is constant', () => {
    expect(correlation([1, 2, 3], [10, 20, 30])).toBeCloseTo(1);
    expect(correlation([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1);
    expect(correlation([1, 2, 3], [5, 5, 5])).toBeNull();
    // By hand: dx = -1.5, -0.5, 0.5, 1.5; dy = -1.5, 0.5, -0.5, 1.5; 4 / 5.
    expect(correlation([1, 2, 3, 4], [1, 3, 2, 4])).toBeCloseTo(0.8);
  });

  test('groups explain the variance between them', () => {
    expect(explainedRatio(['a', 'a', 'b', 'b'], [1, 1, 3, 3])).toBe(1);
    expect(explainedRatio(['a', 'b', 'a', 'b'], [1, 1, 3, 3])).toBe(0);
    // Means 1.5 and 3.5 around 2.5: between 4, all 5.
    expect(explainedRatio(['a', 'a', 'b', 'b'], [1, 2, 3, 4])).toBeCloseTo(0.8);
    expect(explainedRatio(['a', 'b'], [2, 2])).toBeNull();
  });
});
