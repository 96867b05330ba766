// How well the physics step predicts what it was not fitted on: the factors are fitted again without the runs of one
// model, of one generation of GPUs or of one workload, and those runs are predicted with them, through the real engine.
import { FITTED } from '../../engines/steps/factors.ts';
import { generationOf } from '../../engines/steps/kernel-rates.ts';
import type { FrontEnd } from '../backtest/drive.ts';
import type { Experiment, Measured, Metrics } from '../backtest/experiment.ts';
import { labelsOf } from '../backtest/score.ts';
import { gpuOf } from '../backtest/setup.ts';
import { flatten, linearise, type MeasuredRun, solve, tableOf } from './fit.ts';
import { predictorOf } from './predictor.ts';
import { PRIOR_VALUES, RIDGE, SPREAD_VALUES } from './prior.ts';

/** What is left out at a time. */
export const FOLDS = ['model', 'hardware', 'workload'] as const;
export type Fold = (typeof FOLDS)[number];

/** A measured experiment: what ran, and what came out. */
export interface Scored {
  experiment: Experiment;
  measured: readonly Measured[];
}

export interface CrossValidation {
  /** Each run predicted by factors that know nothing of its fold. */
  predictions: Record<string, Metrics>;
  /** What was left out, in order, and how many experiments that were. */
  folds: { left: string; experiments: number }[];
}

/** A model by its shape: names differ between data sets. A GPU by its generation, so that no sibling stands by. */
const foldOf: Readonly<Record<Fold, (experiment: Experiment) => string>> = {
  model: ({ model }) =>
    `${model.layers} layers x ${model.hidden}${model.moe === null ? '' : `, ${model.moe.experts} experts`}`,
  hardware: experiment => generationOf(gpuOf(experiment)) ?? experiment.hardware.key,
  workload: ({ workload }) => workload.type,
};

export interface CrossValidateOptions {
  frontEndOf: (experiment: Experiment) => FrontEnd;
  /** Called before each fold. */
  onFold?: (left: string, done: number, of: number) => void;
}

/** Runs that a fit may look at. */
export const runsOf = (scored: readonly Scored[]): MeasuredRun[] =>
  scored.flatMap(({ experiment, measured }) =>
    measured
      .filter(({ leftOut, runId }) => !leftOut && !/\/s\d+$/.test(runId))
      .map(({ runId, metrics }) => ({ runId, group: labelsOf(experiment).group, metrics })),
  );

/**
 * Predictions of every run by factors fitted without its fold. The fit starts at the shipped factors, around which
 * predictions are taken as linear, and is pulled to the prior: what only the left-out runs told is forgotten.
 */
export function crossValidate(
  scored: readonly Scored[],
  by: Fold,
  { frontEndOf, onFold }: CrossValidateOptions,
): CrossValidation {
  const all = predictorOf(
    scored.map(each => each.experiment),
    frontEndOf,
  );
  const rows = linearise(runsOf(scored), FITTED, all);
  const start = flatten(FITTED).values;
  const lefts = [...new Set(scored.map(({ experiment }) => foldOf[by](experiment)))].sort();
  const result: CrossValidation = { predictions: {}, folds: [] };
  for (const left of lefts) {
    onFold?.(left, result.folds.length, lefts.length);
    const out = scored.filter(({ experiment }) => foldOf[by](experiment) === left);
    const hidden = new Set(out.flatMap(({ experiment }) => experiment.runs.map(run => run.id)));
    const values = solve(
      rows.filter(row => !hidden.has(row.runId)),
      start,
      { prior: PRIOR_VALUES, spread: SPREAD_VALUES, ridge: RIDGE },
    );
    const predict = predictorOf(
      out.map(each => each.experiment),
      frontEndOf,
    );
    Object.assign(result.predictions, predict(tableOf(FITTED, values)));
    result.folds.push({ left, experiments: out.length });
  }
  return result;
}
