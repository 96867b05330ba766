// The oracle: as many replicas as the load to come needs, asked for a cold start ahead. No system knows this; it is the
// bound that shows what the others lose by not knowing.
import { numberOptions } from '../../gateway/routing/options.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { replicasFor } from './capacity.ts';
import { defineScalingPolicy } from './policy.ts';
import { type CallShape, noFlow, shapeLearner, shapeOf } from './traffic.ts';

const DEFAULTS = {
  /** Targets that a replica must keep, ms: those of the Dynamo planner, whose engine model this asks. */
  ttft: 500,
  itl: 50,
  /** Demand is summed over so long, ms. */
  window: 10_000,
};
/** The cache's share of prompts is what it was over so long, ms: nobody plans it. */
const LEARN_MS = 600_000;

/**
 * Of each window of the plan: need = ⌈calls per second / what a replica does within the targets⌉, for the calls of that
 * window. desired = the highest need from now to a cold start (the median one) and two windows on, so that whoever is
 * needed then is asked for now, and nobody goes who would come back; what waits at the gateway counts as of now.
 */
export default defineScalingPolicy({
  name: 'oracle',
  doc: 'Knows the load to come: a bound for the others.',
  source: 'no system: the plan of the run, and the engine model of the Dynamo planner',
  create(options, setup) {
    const { ttft, itl, window: windowMs } = numberOptions('oracle', options, DEFAULTS);
    const { oracle } = setup;
    if (oracle === null)
      throw new UserError('policy oracle needs a plan to look ahead in', {
        hint: 'it runs in `simulate`; elsewhere nobody knows what will come',
      });
    const targets = { ttftMs: ttft, itlMs: itl };
    const learn = shapeLearner(LEARN_MS);
    const needs = new Map<number, number>();
    const horizonMs = setup.coldStartMs + 2 * windowMs;

    /** Replicas for the calls of a window; of `seen`, only what the cache holds counts. */
    const need = (index: number, seen: CallShape, waiting: number, current: number): number => {
      const known = waiting === 0 ? needs.get(index) : undefined;
      if (known !== undefined) return known;
      const { calls, promptTokens, outputTokens } = oracle.demand(index * windowMs, (index + 1) * windowMs);
      const flow = { ...noFlow, arrivals: calls, promptTokens, ended: calls, outputTokens };
      const shape = { ...shapeOf(flow, seen), cachedRatio: seen.cachedRatio };
      const perSec = ((calls + waiting) * 1000) / windowMs;
      const found = perSec === 0 ? 0 : (replicasFor(perSec, shape, setup, targets) ?? current);
      if (waiting === 0) needs.set(index, found);
      return found;
    };

    return {
      intervalMs: windowMs,
      desired({ nowMs, flow, queuedAtGateway, ready, starting }) {
        const seen = learn(nowMs, flow);
        const first = Math.floor(nowMs / windowMs);
        needs.delete(first - 1);
        let most = 0;
        for (let index = first; index * windowMs <= nowMs + horizonMs; index++)
          most = Math.max(most, need(index, seen, index === first ? queuedAtGateway : 0, ready + starting));
        return most;
      },
    };
  },
});
