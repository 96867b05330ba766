// Workflow-aware, our own (policies §3.7): sessions in flight lead the calls that they will make. A fan-out or a burst of
// new sessions shows here before it shows in any queue.
import { numberOptions } from '../../gateway/routing/options.ts';
import { replicasFor } from './capacity.ts';
import { defineScalingPolicy, type ScalingView } from './policy.ts';
import { shapeLearner } from './traffic.ts';
import { timeWindow } from './window.ts';

/** Durations in ms. */
const DEFAULTS = {
  /** Targets that a replica must keep: those of the Dynamo planner, whose engine model this asks. */
  ttft: 500,
  itl: 50,
  interval: 5000,
  /** How far ahead calls are counted; a cold start, if that is longer. */
  horizon: 60_000,
  /** Shapes of calls are learned over so long. */
  window: 600_000,
  /** On the way down the highest answer of so long counts. */
  down_window: 120_000,
  /** Calls per second of an open session before anything is learned: one in ten seconds. */
  session_rate: 0.1,
};
/** Session-seconds that the assumed rate weighs as much as. */
const PRIOR_SESSION_SEC = 300;

/**
 * With S sessions open, W calls that wait, and r the calls per second of an open session:
 *   calls within the horizon = S · r · horizon + W;  desired = ⌈calls / horizon / what a replica does within the targets⌉
 * r = (prior + calls of sessions that were open before) / (prior + session-seconds), forgotten over `window`. It is not
 * learned while more calls wait than replicas are ready, or the calls that ended missed a target on the mean: a slow pool
 * would teach that its sessions ask for little.
 */
export default defineScalingPolicy({
  name: 'workflow-aware',
  doc: 'By the calls that the sessions in flight will make within a horizon.',
  source: 'Windtunnel; compare the ARIMA of the Dynamo planner',
  create(options, setup) {
    const settings = numberOptions('workflow-aware', options, DEFAULTS);
    const targets = { ttftMs: settings.ttft, itlMs: settings.itl };
    const horizonSec = Math.max(settings.horizon, setup.coldStartMs) / 1000;
    const learnShape = shapeLearner(settings.window);
    const answers = timeWindow(settings.down_window);
    let calls = settings.session_rate * PRIOR_SESSION_SEC;
    let sessionSec = PRIOR_SESSION_SEC;
    let sessionsBefore = 0;

    function learnRate({ flow, sessions }: ScalingView): void {
      // A session's first call is not one that it made while open.
      const opened = Math.max(0, sessions - sessionsBefore);
      const kept = Math.max(0, 1 - flow.overMs / settings.window);
      calls = calls * kept + Math.max(0, flow.arrivals - opened);
      sessionSec = sessionSec * kept + (sessionsBefore * flow.overMs) / 1000;
    }

    return {
      intervalMs: settings.interval,
      desired(view) {
        const { nowMs, flow, sessions, ready, starting } = view;
        const shape = learnShape(nowMs, flow);
        const waiting = view.replicas.reduce((sum, each) => sum + each.waiting, view.queuedAtGateway);
        const isQuick = flow.ttftMs <= settings.ttft && flow.itlMs <= settings.itl;
        if (waiting <= ready && isQuick) learnRate(view);
        sessionsBefore = sessions;
        const rate = sessionSec > 0 ? calls / sessionSec : settings.session_rate;
        const perSec = sessions * rate + waiting / horizonSec;
        const wish = perSec === 0 ? 0 : (replicasFor(perSec, shape, setup, targets) ?? ready + starting);
        answers.add(nowMs, wish);
        const replicas = ready + starting;
        return wish > replicas ? wish : Math.min(replicas, answers.max(nowMs));
      },
    };
  },
});
