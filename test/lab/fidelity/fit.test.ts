import { describe, expect, it } from 'vitest';
import { FITTED } from '../../../engines/steps/factors.ts';
import type { Metrics } from '../../../lab/backtest/experiment.ts';
import { flatten, linearise, type MeasuredRun, type Row, solve, tableOf } from '../../../lab/fidelity/fit.ts';
import { PRIOR, PRIOR_VALUES, SPREAD_VALUES } from '../../../lab/fidelity/prior.ts';

const { names, values } = flatten(PRIOR);
const at = (name: string): number => names.indexOf(name);
const options = { prior: PRIOR_VALUES, spread: SPREAD_VALUES, ridge: 1e-6 };

describe('factors as a vector', () => {
  it('keep their places: a table of its own values is the same table', () => {
    expect(tableOf(FITTED, flatten(FITTED).values)).toEqual(FITTED);
    expect(names).toContain('hopper.kvRead');
    expect(names).not.toContain('kvRead');
  });
});

/** Two kinds of runs whose TPOT is 3 x dense + 2 x layer (as shares of their priors), and 1 x dense + 4 x layer. */
const mixes = [
  [3, 2],
  [1, 4],
];
const runs = (truth: readonly number[]): MeasuredRun[] =>
  mixes.map(([dense, layer], i) => ({
    runId: `r${i}`,
    group: `g${i}`,
    metrics: { tpot_mean_ms: dense! * truth[0]! + layer! * truth[1]! },
  }));
const predictAll = (table: typeof PRIOR): Record<string, Metrics> => {
  const dense = table.shared.dense / PRIOR.shared.dense;
  const layer = table.generations.hopper.layer / PRIOR.generations.hopper.layer;
  return Object.fromEntries(mixes.map(([d, l], i) => [`r${i}`, { tpot_mean_ms: d! * dense + l! * layer }]));
};

describe('a fit', () => {
  it('finds the factors that made the measurements', () => {
    const rows = linearise(runs([1.2, 0.8]), PRIOR, predictAll);
    const found = solve(rows, values, options);
    expect(found[at('dense')]! / values[at('dense')]!).toBeCloseTo(1.2, 3);
    expect(found[at('hopper.layer')]! / values[at('hopper.layer')]!).toBeCloseTo(0.8, 3);
  });

  it('leaves a factor at its prior where no run tells of it', () => {
    const found = solve(linearise(runs([1.2, 0.8]), PRIOR, predictAll), values, options);
    expect(found[at('ampere.kvRead')]).toBeCloseTo(PRIOR.generations.ampere.kvRead, 9);
  });

  it('is pulled to the prior, the more the greater its weight', () => {
    const rows = linearise(runs([1.2, 1]), PRIOR, predictAll);
    const dense = [1e-6, 1e-3, 1].map(ridge => solve(rows, values, { ...options, ridge })[at('dense')]!);
    expect(dense[0]).toBeGreaterThan(dense[1]!);
    expect(dense[1]).toBeGreaterThan(dense[2]!);
    expect(dense[2]).toBeCloseTo(1, 2);
  });

  it('never gives a negative factor', () => {
    const rows = linearise(runs([1, -0.2]), PRIOR, predictAll);
    for (const value of solve(rows, values, options)) expect(value).toBeGreaterThanOrEqual(0);
  });

  it('gives a group of many runs no more say than a group of one', () => {
    const row = (group: string, runId: string, measured: number): Row => {
      const gradient = new Float64Array(values.length);
      gradient[at('dense')] = 1;
      return { group, runId, metric: 'tpot_mean_ms', measured, predicted: 1, gradient };
    };
    const many = Array.from({ length: 50 }, (_, i) => row('many', `m${i}`, 1.1));
    const found = solve([row('one', 'o', 0.9), ...many], values, options)[at('dense')]!;
    const alone = solve([row('one', 'o', 0.9), row('many', 'm', 1.1)], values, options)[at('dense')]!;
    expect(found).toBeCloseTo(alone, 9);
  });

  it('does not listen to runs that are off by more than a factor of two', () => {
    const rows = linearise(runs([1, 1]), PRIOR, predictAll);
    const hopeless: Row = { ...rows[0]!, runId: 'queue', measured: rows[0]!.measured * 5 };
    expect(solve([...rows, hopeless], values, options)).toEqual(solve(rows, values, options));
  });
});
