// The oracle: as many replicas as the load to come needs, asked for a cold start ahead. No system knows this; it is the
// bound that shows what the others lose by not knowing.
import { numberOptions } from '../../gateway/routing/options.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { capacityOf, kvTokens } from './capacity.ts';
import { defineScalingPolicy, type OracleView } from './policy.ts';
import { noFlow, shapeOf, UNKNOWN_SHAPE } from './traffic.ts';

const DEFAULTS = {
  /** Targets that a replica must keep, ms: those of the Dynamo planner, whose engine model this asks. */
  ttft: 500,
  itl: 50,
  /** Demand is summed over so long, ms. */
  window: 10_000,
};

/** Calls between two instants as a flow of them that came and ended. */
function planned(oracle: OracleView, fromMs: number, toMs: number) {
  const { calls, ...tokens } = oracle.demand(fromMs, toMs);
  return { ...noFlow, ...tokens, arrivals: calls, ended: calls };
}

/**
 * From now to a cold start (the median one) and two windows on, so that whoever is needed then is asked for now, and
 * nobody goes who would come back:
 *   work    = (calls of the busiest window + calls that wait) / a window + calls that are late / all of that time
 *   desired = the higher of ⌈work / what a replica does within the targets⌉ and ⌈most KV of open sessions / KV of one⌉
 * Late is what the plan wanted by now and has not come, because what is before it in its session has not ended; while it
 * is more than one for each open session, nobody goes. Without the second term a replica would get more sessions than it
 * can remember, and compute their contexts again and again.
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
    const horizonMs = setup.coldStartMs + 2 * windowMs;
    let came = 0;

    return {
      intervalMs: windowMs,
      desired({ nowMs, flow, replicas, queuedAtGateway, sessions, ready, starting }) {
        came += flow.arrivals;
        const first = Math.floor(nowMs / windowMs);
        const last = Math.floor((nowMs + horizonMs) / windowMs);
        let busiest = 0;
        for (let index = first; index <= last; index++)
          busiest = Math.max(busiest, oracle.demand(index * windowMs, (index + 1) * windowMs).calls);
        const waiting = replicas.reduce((sum, each) => sum + each.waiting, queuedAtGateway);
        const late = Math.max(0, oracle.demand(0, nowMs).calls - came);
        const untilMs = (last + 1) * windowMs;
        const perSec = ((busiest + waiting) * 1000) / windowMs + (late * 1000) / horizonMs;
        const byMemory = Math.ceil(oracle.heldTokens(nowMs, untilMs) / kvTokens(setup.limits));
        const least = Math.max(byMemory, late > sessions ? ready + starting : 0);
        if (perSec === 0) return least;
        const before = shapeOf(planned(oracle, 0, nowMs), UNKNOWN_SHAPE);
        const capacity = capacityOf(setup, shapeOf(planned(oracle, nowMs, untilMs), before), targets);
        if (capacity === null) return Math.max(least, ready + starting);
        return Math.max(least, Math.ceil(perSec / capacity.callsPerSec));
      },
    };
  },
});
