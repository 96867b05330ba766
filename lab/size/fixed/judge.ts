// One look at a split under a load: whether it keeps the promises, by how much, and which pool is tightest.
import { EXIT, UserError } from '../../../scenarios/base/errors.ts';
import { mean } from '../../../scenarios/base/statistics.ts';
import type { FleetKind } from '../../../scenarios/formats/size-fleet.ts';
import type { Evaluation, Evaluator } from '../evaluate.ts';
import { keeps } from '../kept.ts';
import { stretchAt } from '../questions/trial.ts';
import type { Rung } from '../search.ts';
import type { PoolPromises, PoolsMeasured } from './pools-measure.ts';
import { abilitiesOf, type Combination, candidateOf, type Split } from './split.ts';

export const POOLS_MEASURE = new URL('./pools-measure.ts', import.meta.url).href;

const ROUNDING = 1e-9;

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
  /** Of the promise with the least room, that room over its target; less where a pool has more work than it can do. */
  readonly marginRatio: number;
  /** A value a seed. */
  readonly measured: readonly PoolsMeasured[];
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
    const { combination, split, loadRatio } = looks[i]!;
    if (evaluation === null)
      throw new UserError('stopped before there was an answer', { exitCode: EXIT.interrupted });
    const spare = Math.min(...sparesOf(combination, split, loadRatio));
    const margin = evaluation.tightest?.marginRatio ?? 0;
    return {
      ...looks[i]!,
      evaluation,
      isKept: keeps(evaluation) && spare >= 0,
      marginRatio: evaluation.verdict === 'failed' ? Number.NEGATIVE_INFINITY : Math.min(margin, spare),
      measured: (evaluation.measured ?? []) as PoolsMeasured[],
    };
  });
}

/** The promise that a pool is nearest to in most seeds, and what is used of its promises, as a mean over seeds. */
export function promisesOfPool(measured: readonly PoolsMeasured[], pool: string): PoolPromises | null {
  const own = measured.flatMap(({ promises }) => promises.find(each => each.pool === pool) ?? []);
  const known = own.filter(({ marginRatio }) => marginRatio !== null);
  if (known.length === 0) return own[0] ?? null;
  const [[promise = null] = []] = [...Map.groupBy(known, each => each.promise)].toSorted(
    ([, a], [, b]) => b.length - a.length,
  );
  const used = known.flatMap(({ usedRatio }) => usedRatio ?? []);
  return {
    pool,
    promise,
    marginRatio: mean(known.map(({ marginRatio }) => marginRatio!)),
    usedRatio: used.length === 0 ? null : mean(used),
  };
}

/**
 * What each pool could do beyond the work that comes, over that work: negative where calls only pile up. In a run of some
 * minutes no promise may notice that, above all where none is about the pool. Infinite where no work is known.
 */
const sparesOf = (combination: Combination, split: Split, loadRatio: number): number[] =>
  abilitiesOf(combination, split).map(most => most / loadRatio - 1 + ROUNDING);

/** Room of each pool: by the promises of its own calls, or by the work that comes where that is less. */
export function roomsOf({ combination, split, loadRatio, measured }: Judged): number[] {
  const spares = sparesOf(combination, split, loadRatio);
  return combination.options.map(({ group }, i) =>
    Math.min(spares[i]!, promisesOfPool(measured, group.pool)?.marginRatio ?? Number.POSITIVE_INFINITY),
  );
}

/** The pool with the least room. */
export function tightestPool(look: Judged): number {
  const rooms = roomsOf(look);
  return rooms.indexOf(Math.min(...rooms));
}
