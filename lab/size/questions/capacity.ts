// How much traffic a deployment holds: doubled until a promise breaks, then halved between to 3 %. Every load meets the
// same agents, sooner or later.
import { UserError } from '../../../scenarios/base/errors.ts';
import type { Assertion } from '../../../scenarios/formats/assertion.ts';
import { hasLoad } from '../../grid/load-factor.ts';
import { type Estimate, timesAs } from '../../studies/estimate.ts';
import type { Candidate } from '../candidate.ts';
import type { Evaluation } from '../evaluate.ts';
import { keeps, marginOf } from '../kept.ts';
import type { Asking } from '../question.ts';
import { evaluated, stretchAt } from './trial.ts';

const PRECISION_RATIO = 1.03;
const MOST = 1024;
const LEAST = 1 / 64;

export interface Capacity {
  /** The scenario's own traffic. */
  readonly today: Evaluation;
  /** At the most traffic that breaks no promise; null: even the least tried breaks one. */
  readonly good: Evaluation | null;
  /** At the least traffic that breaks one; null: the most tried breaks none. */
  readonly bad: Evaluation | null;
  /** Times the scenario's traffic, at `good`; 0 where there is none. */
  readonly loadRatio: number;
  /** The same by seed, with its interval; null of one seed. */
  readonly bySeed: Estimate | null;
  /** All that was evaluated, by load. */
  readonly evaluations: readonly Evaluation[];
}

/** Today's traffic is held by all that is known, not by the mean alone. */
export const holdsToday = ({ bySeed, loadRatio }: Capacity): boolean => (bySeed?.ci95?.[0] ?? loadRatio) >= 1;

export const loadOf = ({ trial }: Evaluation): number => trial.loadFactor ?? 1;

export async function capacityOf(asking: Asking, candidate: Candidate = asking.candidate): Promise<Capacity> {
  const { evaluator, seeds, tell } = asking;
  if (!hasLoad(evaluator.plan))
    throw new UserError('all of the traffic comes at once: there is no rate to raise', {
      hint: 'give the traffic a rate, such as --set traffic.0.arrival={ poisson: { rate: 6/min } }',
    });
  const found = new Map<number, Evaluation>();
  const at = async (loadFactor: number, ofSeeds: number): Promise<Evaluation> => {
    tell(`at ${Number(loadFactor.toPrecision(3))} times the traffic`);
    const stretch = stretchAt(asking, loadFactor);
    const [evaluation] = await evaluated(asking, [{ candidate, loadFactor, stretch, seeds: ofSeeds }]);
    if (ofSeeds === seeds) found.set(loadFactor, evaluation!);
    return evaluation!;
  };

  const today = await at(1, seeds);
  // One seed tells where to look; all of them say where it is.
  let [low, high] = keeps(today) ? [1, 2] : [1 / 2, 1];
  while (low >= 1 && high < MOST && keeps(await at(high, 1))) [low, high] = [high, 2 * high];
  while (high <= 1 && low > LEAST && !keeps(await at(low, 1))) [low, high] = [low / 2, low];
  while (low > LEAST && !keeps(await at(low, seeds))) [low, high] = [low / 2, low];
  while (high < MOST && keeps(await at(high, seeds))) [low, high] = [high, 2 * high];
  const isHeld = keeps(await at(low, seeds));
  while (isHeld && high / low > PRECISION_RATIO && high < MOST) {
    const middle = Math.sqrt(low * high);
    if (keeps(await at(middle, seeds))) low = middle;
    else high = middle;
  }
  const evaluations = [...found.values()].sort((a, b) => loadOf(a) - loadOf(b));
  const good = evaluations.findLast(each => loadOf(each) <= high && keeps(each)) ?? null;
  const bad = evaluations.find(each => loadOf(each) >= low && !keeps(each)) ?? null;
  const { assertions } = evaluator.plan;
  const crossings = Array.from({ length: seeds }, (_, seed) => crossingOf(assertions, evaluations, seed));
  return {
    today,
    good,
    bad,
    loadRatio: good === null ? 0 : loadOf(good),
    bySeed:
      seeds === 1
        ? null
        : timesAs(
            crossings,
            crossings.map(() => 1),
          ),
    evaluations,
  };
}

/** Up to where one seed's promises hold, interpolated between the loads that were tried; 0: nowhere. */
function crossingOf(
  assertions: readonly Assertion[],
  evaluations: readonly Evaluation[],
  seed: number,
): number {
  let kept: { load: number; margin: number } | null = null;
  for (const evaluation of evaluations) {
    const margins = evaluation.promises.map(({ bySeed }, i) =>
      marginOf(assertions[i]!, bySeed[seed] ?? null),
    );
    const margin = Math.min(...margins);
    const load = loadOf(evaluation);
    if (margin >= 0) kept = { load, margin };
    else {
      if (kept === null) return 0;
      const share = kept.margin / (kept.margin - margin);
      return kept.load * (load / kept.load) ** share;
    }
  }
  return kept?.load ?? 0;
}
