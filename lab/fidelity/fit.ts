// Fits the factors of the physics step to measured runs, through the very predictions that users get. Around the present
// factors every prediction is taken as linear, by a difference for each factor; the factors that leave the least
// relative error are found under a prior, and the step is repeated.

import {
  BY_GENERATION,
  type FactorTable,
  type GenerationTerm,
  type SharedFactors,
} from '../../engines/steps/factors.ts';
import type { Generation } from '../../engines/steps/kernel-rates.ts';
import type { Metric, Metrics } from '../backtest/experiment.ts';

/** A factor by its place in the table: `dense`, `hopper.kvRead`. */
export type FactorName = string;

/** What a run's factors are fitted on, and how much an error there counts beside one of TPOT. */
export const FITTED_METRICS: readonly { metric: Metric; weight: number }[] = [
  { metric: 'tpot_mean_ms', weight: 1 },
  { metric: 'ttft_mean_ms', weight: 0.5 },
];

/** A measured figure, its prediction, and how that moves with each factor. */
export interface Row {
  group: string;
  runId: string;
  metric: Metric;
  measured: number;
  predicted: number;
  /** Change of the prediction for a unit of each factor. */
  gradient: Float64Array;
}

/** All factors of a table in one order. */
export function flatten({ shared, generations }: FactorTable): { names: FactorName[]; values: number[] } {
  const rows: [FactorName, number][] = Object.entries(shared);
  for (const [generation, own] of Object.entries(generations))
    for (const term of BY_GENERATION) rows.push([`${generation}.${term}`, own[term]]);
  return { names: rows.map(([name]) => name), values: rows.map(([, value]) => value) };
}

/** The table with these values in its places. */
export function tableOf(base: FactorTable, values: readonly number[]): FactorTable {
  const { names } = flatten(base);
  const at = new Map(names.map((name, i) => [name, values[i]!]));
  const shared = Object.fromEntries(Object.keys(base.shared).map(term => [term, at.get(term)!]));
  const generations = Object.entries(base.generations).map(([generation, { runs }]) => {
    const own = BY_GENERATION.map(term => [term, at.get(`${generation}.${term}`)!] as const);
    return [generation, { ...(Object.fromEntries(own) as Record<GenerationTerm, number>), runs }];
  });
  return {
    shared: shared as SharedFactors,
    generations: Object.fromEntries(generations) as Record<
      Generation,
      FactorTable['generations'][Generation]
    >,
  };
}

/** A measured run: the group it counts in, and its outcome. */
export interface MeasuredRun {
  runId: string;
  group: string;
  metrics: Metrics;
}

/** The difference that stands for a derivative: a share of the factor. */
const DIFFERENCE = 0.03;

/** Predictions of `runs` at `table`, and how they move with each factor that moves any of them. */
export function linearise(
  runs: readonly MeasuredRun[],
  table: FactorTable,
  predictAll: (table: FactorTable) => Readonly<Record<string, Metrics>>,
): Row[] {
  const { values } = flatten(table);
  const at = predictAll(table);
  const rows: Row[] = runs.flatMap(({ runId, group, metrics }) =>
    FITTED_METRICS.flatMap(({ metric }) => {
      const measured = metrics[metric];
      const predicted = at[runId]?.[metric];
      if (measured === undefined || predicted === undefined) return [];
      return [{ group, runId, metric, measured, predicted, gradient: new Float64Array(values.length) }];
    }),
  );
  for (const [i, value] of values.entries()) {
    const moved = predictAll(tableOf(table, values.with(i, value * (1 + DIFFERENCE))));
    for (const row of rows)
      row.gradient[i] = (moved[row.runId]![row.metric]! - row.predicted) / (value * DIFFERENCE);
  }
  return rows;
}

/** Relative errors above this count less and less: a run that the form cannot explain does not bend the rest. */
const OUTLIER = 0.15;
/** Predictions so far off tell of a queue that is not there, or of another workload: they have no say in this round. */
const HOPELESS_RATIO = 2;

export interface SolveOptions {
  /** Expected values: the result where the rows say nothing. */
  prior: readonly number[];
  /** How far from its prior a factor may well be, as a share of it. */
  spread: readonly number[];
  /** Weight of the prior: a factor off by its spread costs as much as this share of all rows being off by 100 %. */
  ridge: number;
}

/** The factors, none negative, that the rows and the prior agree on; each group of runs has the same say. */
export function solve(rows: readonly Row[], start: readonly number[], options: SolveOptions): number[] {
  const used = rows.filter(
    ({ predicted, measured }) =>
      predicted < measured * HOPELESS_RATIO && predicted > measured / HOPELESS_RATIO,
  );
  const inGroup = new Map<string, number>();
  const key = (row: Row): string => `${row.group}|${row.metric}`;
  for (const row of used) inGroup.set(key(row), (inGroup.get(key(row)) ?? 0) + 1);
  const importance = new Map(FITTED_METRICS.map(({ metric, weight }) => [metric, weight]));
  let values = [...start];
  for (let pass = 0; pass < 4; pass++) {
    const weighted = used.map(row => {
      const slopes = row.gradient.map(slope => slope / row.measured);
      const atStart = row.predicted / row.measured;
      const at = atStart + slopes.reduce((sum, slope, i) => sum + slope * (values[i]! - start[i]!), 0);
      const error = Math.abs(at - 1);
      const weight =
        (importance.get(row.metric)! / inGroup.get(key(row))!) * (error > OUTLIER ? OUTLIER / error : 1);
      const target = 1 - atStart + slopes.reduce((sum, slope, i) => sum + slope * start[i]!, 0);
      return { slopes, target, weight };
    });
    values = leastSquares(weighted, start, options);
  }
  return values;
}

interface Equation {
  slopes: Float64Array;
  target: number;
  weight: number;
}

/** Non-negative least squares with a ridge, by coordinate descent. */
function leastSquares(
  equations: readonly Equation[],
  start: readonly number[],
  { prior, spread, ridge }: SolveOptions,
): number[] {
  const size = start.length;
  const total = equations.reduce((sum, each) => sum + each.weight, 0);
  const normal = Array.from({ length: size }, () => new Float64Array(size));
  const right = new Float64Array(size);
  for (const { slopes, target, weight } of equations)
    for (let i = 0; i < size; i++) {
      right[i]! += weight * slopes[i]! * target;
      for (let j = 0; j < size; j++) normal[i]![j]! += weight * slopes[i]! * slopes[j]!;
    }
  for (let i = 0; i < size; i++) {
    const hold = (ridge * total) / (prior[i]! * spread[i]!) ** 2;
    normal[i]![i]! += hold;
    right[i]! += hold * prior[i]!;
  }
  const values = [...start];
  for (let sweep = 0; sweep < 20_000; sweep++) {
    let change = 0;
    for (let i = 0; i < size; i++) {
      let rest = right[i]!;
      for (let j = 0; j < size; j++) if (j !== i) rest -= normal[i]![j]! * values[j]!;
      const value = Math.max(0, rest / normal[i]![i]!);
      change = Math.max(change, Math.abs(value - values[i]!) / prior[i]!);
      values[i] = value;
    }
    if (change < 1e-9) break;
  }
  return values;
}
