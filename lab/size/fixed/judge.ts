// One look at a split under a load: whether it keeps the promises, by how much, and which pool is tightest.
import { EXIT, UserError } from '../../../scenarios/base/errors.ts';
import type { FleetKind } from '../../../scenarios/formats/size-fleet.ts';
import type { Evaluation, Evaluator } from '../evaluate.ts';
import { keeps, stretchAt } from '../questions/trial.ts';
import type { Rung } from '../search.ts';
import type { PoolPromises, PoolsMeasured } from './pools-measure.ts';
import { type Combination, candidateOf, type Split } from './split.ts';

export const POOLS_MEASURE = new URL('./pools-measure.ts', import.meta.url).href;

/** What a search has to work with. */
export interface Field {
  readonly evaluator: Evaluator;
  /** The deployment file of the pools without GPUs. */
  readonly base: string;
  readonly fleet: readonly FleetKind[];
  readonly tell: (text: string) => void;
}

export interface Look {
  readonly combination: Combination;
  readonly split: Split;
  /** Times today's traffic. */
  readonly loadRatio: number;
  readonly rung: Pick<Rung, 'stretch' | 'seeds'>;
}

export interface Judged extends Look {
  readonly evaluation: Evaluation;
  readonly isKept: boolean;
  /** Of the promise with the least room, that room over its target. */
  readonly marginRatio: number;
  /** Of the first seed. */
  readonly measured: PoolsMeasured | null;
}

/** In the order of the looks; what fails is told by its evaluation. */
export async function judged({ evaluator, base }: Field, looks: readonly Look[]): Promise<Judged[]> {
  const evaluations = await evaluator.evaluate(
    looks.map(({ combination, split, loadRatio, rung: { stretch, seeds } }) => ({
      candidate: candidateOf(combination, split, base),
      loadFactor: loadRatio,
      stretch: stretchAt({ evaluator, stretch }, loadRatio),
      seeds,
      measure: POOLS_MEASURE,
    })),
  );
  return evaluations.map((evaluation, i) => {
    if (evaluation === null)
      throw new UserError('stopped before there was an answer', { exitCode: EXIT.interrupted });
    return {
      ...looks[i]!,
      evaluation,
      isKept: keeps(evaluation),
      marginRatio:
        evaluation.verdict === 'failed' ? Number.NEGATIVE_INFINITY : (evaluation.tightest?.marginRatio ?? 0),
      measured: (evaluation.measured?.[0] as PoolsMeasured | undefined) ?? null,
    };
  });
}

export const promisesOfPool = (measured: PoolsMeasured | null, pool: string): PoolPromises | null =>
  measured?.promises.find(each => each.pool === pool) ?? null;

/** Room of each pool: by the promises of its own calls; where none is about calls, by replicas over the work that comes. */
export function roomsOf({ combination: { options }, split, measured }: Judged): number[] {
  const margins = options.map(({ group }) => promisesOfPool(measured, group.pool)?.marginRatio ?? null);
  if (margins.every(margin => margin === null))
    return options.map(({ work }, i) => (work === 0 ? Number.POSITIVE_INFINITY : split[i]! / work));
  return margins.map(margin => margin ?? Number.POSITIVE_INFINITY);
}

/** The pool with the least room. */
export function tightestPool(look: Judged): number {
  const rooms = roomsOf(look);
  return rooms.indexOf(Math.min(...rooms));
}
