// The same deployment with more or fewer replicas, and the fewest that keep the promises at a load.
import type { DeploymentSpec, ScalingSpec } from '../../../engines/engine.ts';
import type { Candidate } from '../candidate.ts';
import type { Evaluation } from '../evaluate.ts';
import { keeps } from '../kept.ts';
import type { Asking } from '../question.ts';
import { evaluated, stretchAt } from './trial.ts';

/** Replicas that are counted together: of a pool, or of one half of a split one. */
interface ReplicaSet {
  /** Its path in a deployment file. */
  readonly path: string;
  readonly replicas: number;
  /** Of one replica. */
  readonly gpus: number;
  readonly usdPerGpuHour: number | null;
  readonly scaling: ScalingSpec | null;
}

function setsOf({ pools }: DeploymentSpec): ReplicaSet[] {
  return pools.flatMap(pool => {
    const { name, disaggregation, pipelineStages, dataParallelRanks } = pool;
    const path = `pools.${name}`;
    const setOf = (
      at: string,
      {
        replicas,
        tensorParallel,
        usdPerGpuHour,
        scaling,
      }: Pick<typeof pool, 'replicas' | 'tensorParallel' | 'usdPerGpuHour' | 'scaling'>,
    ): ReplicaSet => ({
      path: at,
      replicas: scaling === null ? replicas : scaling.max,
      gpus: tensorParallel * pipelineStages * dataParallelRanks,
      usdPerGpuHour,
      scaling,
    });
    return disaggregation === null
      ? [setOf(path, pool)]
      : [setOf(`${path}.prefill`, disaggregation.prefill), setOf(`${path}.decode`, pool)];
  });
}

/** Replicas of all pools; of those that an autoscaler has, the most it may have. */
export const replicasOf = (deployment: DeploymentSpec): number =>
  setsOf(deployment).reduce((sum, { replicas }) => sum + replicas, 0);

/** A pool each, or a half of one, that needs a replica at least. */
export const replicasMin = (deployment: DeploymentSpec): number => setsOf(deployment).length;

/** USD an hour of GPUs that are there all the time; null: the run says, or a price is missing. */
export const standingUsdPerHour = (deployment: DeploymentSpec): number | null =>
  usdOf(setsOf(deployment).map(set => ({ ...set, wanted: set.replicas })));

type Wanted = ReplicaSet & { readonly wanted: number };

const usdOf = (sets: readonly Wanted[]): number | null =>
  sets.some(({ usdPerGpuHour, scaling }) => usdPerGpuHour === null || scaling !== null)
    ? null
    : sets.reduce((sum, { wanted, gpus, usdPerGpuHour }) => sum + wanted * gpus * usdPerGpuHour!, 0);

/** Several pools keep their proportions, each with a replica at least. */
export function resized(
  { candidate, deployment }: Pick<Asking, 'candidate' | 'deployment'>,
  replicas: number,
): Candidate {
  const sets = setsOf(deployment);
  const now = sets.reduce((sum, set) => sum + set.replicas, 0);
  const wanted = sets.map(
    (set): Wanted => ({
      ...set,
      wanted: Math.max(1, Math.round((set.replicas * replicas) / Math.max(1, now))),
    }),
  );
  const set = wanted.flatMap(({ path, wanted: count, scaling }) =>
    scaling === null
      ? [`${path}.replicas=${count}`]
      : [`${path}.autoscaler.max=${count}`, `${path}.autoscaler.min=${Math.min(scaling.min, count)}`],
  );
  return {
    ...candidate,
    name: `${replicas} x ${candidate.group}`,
    replicas,
    choices: { ...candidate.choices, replicas },
    deployment: { ...candidate.deployment, set: [...candidate.deployment.set, ...set] },
    gpus: wanted.reduce((sum, { wanted: count, gpus }) => sum + count * gpus, 0),
    usdPerHour: usdOf(wanted),
  };
}

/** What a load needs. */
export interface Needed {
  readonly loadRatio: number;
  /** Fewest replicas with which no promise is broken; null: not even the most that were tried. */
  readonly replicas: number | null;
  /** With them, at this load or at a higher one; else the one that came closest. */
  readonly evaluation: Evaluation;
}

export interface FewestOptions {
  /** Times the scenario's traffic. */
  readonly loads: readonly number[];
  readonly candidateOf: (replicas: number) => Candidate;
  readonly min: number;
  readonly max: number;
  /** Where to begin at a load. */
  readonly guess: (loadRatio: number) => number;
  /** The guess is likely right: the number below it is asked about next, not that in the middle. */
  readonly isGuessNear: boolean;
  readonly seeds: number;
  /** Overrides of the scenario. */
  readonly set?: readonly string[];
}

/** The search at one load. Replicas in plenty break no promise: what is enough for a load is enough for a lower one. */
interface Search {
  readonly loadRatio: number;
  tooFew: number;
  enough: number | null;
  best: Evaluation | null;
  closest: Evaluation | null;
}

const GROWTH = 1.5;

/** All loads side by side; fewer than `min` are not asked about. */
export async function fewest(asking: Asking, options: FewestOptions): Promise<Needed[]> {
  const { loads, candidateOf, min, max, guess, isGuessNear, seeds, set = [] } = options;
  const searches = loads.map(
    (loadRatio): Search => ({ loadRatio, tooFew: min - 1, enough: null, best: null, closest: null }),
  );
  const nextOf = ({ loadRatio, tooFew, enough }: Search): number | null => {
    if (enough === null) {
      if (tooFew >= max) return null;
      const first = Math.min(max, Math.max(min, guess(loadRatio)));
      return tooFew < first ? first : Math.min(max, Math.max(tooFew + 1, Math.ceil(tooFew * GROWTH)));
    }
    if (enough - tooFew <= 1) return null;
    // A good guess is proved by the one below it.
    return isGuessNear && enough === guess(loadRatio) ? enough - 1 : Math.floor((tooFew + enough) / 2);
  };
  for (;;) {
    const asked = searches.flatMap(search => {
      const replicas = nextOf(search);
      return replicas === null ? [] : [{ replicas, loadRatio: search.loadRatio }];
    });
    if (asked.length === 0) break;
    const evaluations = await evaluated(
      asking,
      asked.map(({ replicas, loadRatio }) => ({
        candidate: candidateOf(replicas),
        loadFactor: loadRatio,
        stretch: stretchAt(asking, loadRatio),
        seeds,
        set,
      })),
    );
    for (const [i, evaluation] of evaluations.entries()) hear(searches, asked[i]!, evaluation);
  }
  return searches.map(({ loadRatio, enough, best, closest }) => ({
    loadRatio,
    replicas: enough,
    evaluation: (best ?? closest)!,
  }));
}

function hear(
  searches: readonly Search[],
  { replicas, loadRatio }: { replicas: number; loadRatio: number },
  evaluation: Evaluation,
): void {
  const isEnough = keeps(evaluation);
  for (const search of searches) {
    if (isEnough && search.loadRatio <= loadRatio && (search.enough === null || replicas < search.enough)) {
      search.enough = replicas;
      search.best = evaluation;
    }
    if (!isEnough && search.loadRatio >= loadRatio && replicas > search.tooFew) {
      search.tooFew = replicas;
      search.closest = evaluation;
    }
  }
}
