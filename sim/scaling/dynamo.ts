// The planner of NVIDIA Dynamo: replicas from latency targets, by a loop that predicts traffic and asks an engine model
// what a replica can do, and by a loop that adds or takes one where the model says targets are missed (policies §3.4).
import { numberOptions } from '../../gateway/routing/options.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import {
  type Beside,
  kvTokens,
  type LatencyTargets,
  promptsMs,
  promptTokensPerStep,
  replicasFor,
  tokenMs,
} from './capacity.ts';
import { wordOption } from './options.ts';
import { defineScalingPolicy, type ReplicaSignals, type ScalingSetup, type ScalingView } from './policy.ts';
import { PREDICTORS, type PredictorName } from './predictors.ts';
import { addFlow, type CallShape, MOST_CACHED, noFlow, shapeOf, UNKNOWN_SHAPE } from './traffic.ts';

/** planner/config/defaults.py; durations in ms. */
const DEFAULTS = {
  ttft: 500,
  itl: 50,
  /** throughput_adjustment_interval. */
  interval: 180_000,
  /** load_adjustment_interval. */
  load_interval: 5000,
  /** Replicas of one adjustment of the throughput loop. */
  max_change: 8,
  /** max_gpu_budget, of this pool or half; there 8 and the only bound, here `max` is one already, and this is off. */
  gpu_budget: Number.POSITIVE_INFINITY,
};
/** load_scaling_down_sensitivity: share of a target that must do after a replica has gone. */
const SENSITIVITY = 0.8;

const LOOPS = ['throughput', 'load', 'both'] as const;
const PREDICTOR_NAMES: [PredictorName, ...PredictorName[]] = ['arima', 'constant', 'kalman'];

function predictorOption(value: unknown): PredictorName {
  if (value === 'prophet')
    throw new UserError('policy dynamo has no predictor prophet here', {
      hint: 'it is a model of its own library; arima follows a trend, kalman smooths',
    });
  return wordOption('dynamo', 'predictor', value, PREDICTOR_NAMES);
}

/**
 * Throughput loop, each `interval`, from what came in the last one, predicted one interval on:
 *   prefill: n = max(⌈demand / (b / ttft(b · isl · (1 - hit)))⌉, ⌈ttft / target⌉ where no b keeps the target)
 *   decode:  n = ⌈demand / (b* / (osl · itl(b*)))⌉, b* the best batch within the target and the KV cache
 *   both:    the same as decode, with the prompts that come in each step (capacity.ts)
 * at least 1, at most `max_change` from what there is. An interval without calls is demand 0 of calls as before.
 *
 * Load loop, each `load_interval`, nothing while a replica starts or drains: with the estimate of each replica's next
 * TTFT and ITL, one more where all are above a target; one less where each would, with the load of N / (N - 1), keep
 * queueing below 0.8 · (target - own prefill), ITL below 0.8 · target, and its KV within the cache. The planner reads
 * queued tokens from its engines' forward passes; here they are the waiting calls times a mean prompt.
 *
 * `loops: throughput` is its default; with both, the first is only the lower bound of the second.
 */
export default defineScalingPolicy({
  name: 'dynamo',
  doc: 'Replicas from targets of TTFT and ITL, by predicted traffic and an engine model.',
  source: 'NVIDIA Dynamo planner 1.6.1, core/throughput_scaling.py and core/load_scaling.py',
  create({ predictor, loops: given, ...rest }, setup) {
    const { ttft, itl, gpu_budget, ...settings } = numberOptions('dynamo', rest, DEFAULTS);
    const targets = { ttftMs: ttft, itlMs: itl };
    const loops = wordOption('dynamo', 'loops', given, LOOPS);
    const make = PREDICTORS[predictorOption(predictor)];
    const [requests, prompts, outputs, hits] = [make(), make(), make(), make()];
    const most = Math.max(1, Math.floor(gpu_budget / setup.gpusPerReplica));
    let flow = noFlow;
    let shape = UNKNOWN_SHAPE;
    let plannedMs = 0;
    let bound = 1;
    let wanted: number | null = null;

    /** What the last interval teaches. */
    function learn(): void {
      requests.add(flow.arrivals);
      if (flow.arrivals === 0) return;
      shape = shapeOf(flow, shape);
      prompts.add(shape.promptTokens);
      outputs.add(shape.outputTokens);
      hits.add(shape.cachedRatio);
    }

    /** The throughput loop's answer; what there is where the model has none. */
    function planned(current: number): number {
      const demandPerSec = (requests.next() * 1000) / flow.overMs;
      const next = {
        promptTokens: prompts.next(),
        outputTokens: outputs.next(),
        cachedRatio: Math.min(MOST_CACHED, hits.next()),
      };
      const wish = demandPerSec === 0 ? 1 : replicasFor(demandPerSec, next, setup, targets);
      if (wish === null) return current;
      return Math.min(Math.max(wish, 1, current - settings.max_change), current + settings.max_change);
    }

    return {
      intervalMs: loops === 'throughput' ? settings.interval : settings.load_interval,
      desired(view) {
        const current = view.ready + view.starting;
        wanted ??= current;
        flow = addFlow(flow, view.flow);
        const seen = shapeOf(flow, shape);
        const isPlanned = view.nowMs - plannedMs >= settings.interval;
        if (isPlanned) {
          plannedMs = view.nowMs;
          learn();
          if (loops !== 'load') bound = planned(current);
          flow = noFlow;
        }
        if (loops === 'throughput') {
          if (isPlanned) wanted = bound;
        } else {
          const isMoving = view.starting + view.draining > 0 || view.replicas.length === 0;
          const wish = isMoving ? wanted : current + loadChange(view, seen, setup, targets);
          wanted = Math.max(wish, bound);
        }
        return Math.min(wanted, most);
      },
    };
  },
});

// ---- the load loop ----------------------------------------------------------------------------------------------

/** +1, 0 or -1. In an aggregated pool one bad figure is enough to add, and both must be good to take away. */
function loadChange(
  view: ScalingView,
  shape: CallShape,
  setup: ScalingSetup,
  targets: LatencyTargets,
): number {
  const share = view.queuedAtGateway / view.replicas.length;
  const loads = view.replicas.map(each => loadOf(each, share, setup));
  const count = view.replicas.length;
  const changes: number[] = [];
  if (setup.role !== 'decode') changes.push(ttftChange(loads, count, shape, setup, targets));
  if (setup.role !== 'prefill') changes.push(itlChange(loads, count, shape, setup, targets));
  if (changes.includes(1)) return 1;
  return count > 1 && changes.every(change => change < 0) ? -1 : 0;
}

/** What one replica has to do. */
interface Load {
  /** Calls that wait for it. */
  readonly waiting: number;
  readonly decodes: number;
  readonly contextTokens: number;
}

const loadOf = (
  { waiting, running, kvUsedRatio }: ReplicaSignals,
  share: number,
  { limits, role }: ScalingSetup,
): Load => ({
  waiting: waiting + share,
  decodes: role === 'prefill' ? 0 : running,
  contextTokens: role === 'prefill' || running === 0 ? 0 : Math.round(kvUsedRatio * kvTokens(limits)),
});

const besideOf = ({ decodes, contextTokens }: Load, times = 1): Beside => ({
  decodes,
  contextTokens: Math.floor(contextTokens * times),
});

function ttftChange(
  loads: readonly Load[],
  count: number,
  shape: CallShape,
  setup: ScalingSetup,
  { ttftMs }: LatencyTargets,
): number {
  if (loads.every(load => promptsMs(setup, shape, load.waiting + 1, besideOf(load)) > ttftMs)) return 1;
  const times = count / Math.max(1, count - 1);
  const isSafe = loads.every(load => {
    const beside = besideOf(load, times);
    const ownMs = promptsMs(setup, shape, 1, beside);
    const queuedMs = promptsMs(setup, shape, Math.floor(load.waiting * times) + 1, beside) - ownMs;
    return queuedMs < SENSITIVITY * (ttftMs - ownMs);
  });
  return isSafe ? -1 : 0;
}

function itlChange(
  loads: readonly Load[],
  count: number,
  shape: CallShape,
  setup: ScalingSetup,
  { itlMs }: LatencyTargets,
): number {
  const estimate = ({ decodes, contextTokens }: Beside): number => {
    if (decodes === 0 && contextTokens === 0) return 0;
    const prompts = setup.role === 'both' ? promptTokensPerStep(shape, decodes, setup.tokensPerStep) : 0;
    const room = Math.max(0, setup.limits.maxBatchedTokens - decodes);
    return tokenMs(setup, { decodes: Math.max(1, decodes), contextTokens }, Math.min(prompts, room));
  };
  const queuedTokens = (load: Load): number => Math.round(load.waiting * shape.promptTokens);
  const withQueue = (load: Load, times: number): Beside => ({
    decodes: load.decodes,
    contextTokens: Math.floor((load.contextTokens + queuedTokens(load)) * times),
  });
  if (loads.every(load => estimate(withQueue(load, 1)) > itlMs)) return 1;
  const times = count / Math.max(1, count - 1);
  const isSafe = loads.every(load => {
    const after = withQueue(load, times);
    return after.contextTokens < kvTokens(setup.limits) && estimate(after) < SENSITIVITY * itlMs;
  });
  return isSafe ? -1 : 0;
}
