// Predictions of measured experiments with given factors of the physics step; an experiment is predicted again only when
// a factor changes that its replica has work for.
import { type FactorTable, factorsOf } from '../../engines/steps/factors.ts';
import { operatorWork, usedTerms } from '../../engines/steps/operator-work.ts';
import { physics } from '../../engines/steps/physics.ts';
import type { FrontEnd } from '../backtest/drive.ts';
import { type Experiment, type Metrics, Refused } from '../backtest/experiment.ts';
import { predict } from '../backtest/predict.ts';
import { replicaOf } from '../backtest/setup.ts';

/** Metrics by run id. */
export type Predictor = (table: FactorTable) => Readonly<Record<string, Metrics>>;

/** Experiments that no figures allow to predict are left out. */
export function predictorOf(
  experiments: readonly Experiment[],
  frontEndOf: (experiment: Experiment) => FrontEnd,
): Predictor {
  const made = experiments.flatMap(experiment => {
    const setup = orNull(() => replicaOf(experiment));
    const work = setup === null ? null : operatorWork(setup);
    if (setup === null || work === null || 'missing' in work) return [];
    const used = usedTerms(work, setup.asyncScheduling === false);
    return [{ experiment, setup, used, known: new Map<string, Record<string, Metrics>>() }];
  });
  return table => {
    const all: Record<string, Metrics> = {};
    for (const { experiment, setup, used, known } of made) {
      const { factors } = factorsOf(setup.gpu, table);
      const key = used.map(term => factors[term]).join();
      const { step } = physics(setup, [], table);
      const found =
        known.get(key) ?? orNull(() => predict(experiment, { stepOf: () => step!, frontEndOf })) ?? {};
      known.set(key, found);
      Object.assign(all, found);
    }
    return all;
  };
}

function orNull<T>(make: () => T): T | null {
  try {
    return make();
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}
