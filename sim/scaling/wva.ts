// The Workload Variant Autoscaler of llm-d, by tokens (its V2 analyser, the default since v0.9.0; policies §3.5): what a
// replica can hold and compute against what is in use and waits.
import { numberOptions } from '../../gateway/routing/options.ts';
import { kvTokens } from './capacity.ts';
import { defineScalingPolicy, type ScalingView } from './policy.ts';
import { type CallShape, shapeLearner } from './traffic.ts';
import { timeWindow } from './window.ts';

/** docs/developer-guide/saturation-scaling-config.md; durations in ms. */
const DEFAULTS = {
  interval: 15_000,
  /** kvCacheThreshold. */
  kv_threshold: 0.8,
  /** queueLengthThreshold. */
  queue_threshold: 5,
  /** scaleUpThreshold. */
  scale_up: 0.85,
  /** scaleDownBoundary. */
  scale_down: 0.7,
  /** Without a call for so long, to zero. */
  zero_after: 600_000,
};
/** Its metrics are max_over_time of a minute. */
const METRICS_MS = 60_000;
/** At zero it polls the queue of the gateway. */
const POLL_MS = 100;
/** Observed capacities kept for each bucket of output lengths, and for how long. */
const OBSERVED = 10;
const OBSERVED_MS = 24 * 3_600_000;
/** Bounds of the buckets: short, medium and long outputs [saturation_v2/types.go]. */
const bucketOf = (outputTokens: number): number => (outputTokens < 100 ? 0 : outputTokens < 500 ? 1 : 2);

const medianOf = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : Math.floor((sorted[middle - 1]! + sorted[middle]!) / 2);
};

/**
 * Of each replica, with I and O the mean prompt and output:
 *   k1 = kv_threshold · KV tokens
 *   k2 = tokens in use while queue_threshold or more wait; else the mean of the last 10 such in the bucket of O;
 *        else N · (I + O / 2), N = min(B · O / (I + O), max_num_seqs), B = max_num_batched_tokens; else k1
 *   capacity = min(k1, k2);  demand = tokens in use + waiting · (I + O), of a prefill role waiting · I
 * and of the pool, a replica counting as the median one, with the gateway's queue (prompts less what the cache holds):
 *   required = demand / scale_up - capacity, of those that start too:  + ⌈required / capacity of one⌉
 *   spare    = capacity of the ready ones - demand / scale_down:       - ⌊spare / capacity of one⌋, down to 1
 * To zero without calls for `zero_after`; from zero, one replica once anything waits.
 */
export default defineScalingPolicy({
  name: 'wva',
  doc: 'By tokens: what replicas can hold and compute against what is in use and waits.',
  source: 'llm-d Workload Variant Autoscaler v0.9.0, saturation analyser V2',
  create(options, { limits, role }) {
    const settings = numberOptions('wva', options, DEFAULTS, {
      most: { kv_threshold: 1, scale_up: 1, scale_down: 1 },
    });
    const k1 = settings.kv_threshold * kvTokens(limits);
    const learn = shapeLearner(METRICS_MS);
    const demands = timeWindow(METRICS_MS);
    const observed: { atMs: number; tokens: number[] }[] = [0, 1, 2].map(() => ({ atMs: 0, tokens: [] }));
    let capacity: number | null = null;

    /** N · (I + O / 2) from the engine's limits. */
    function derived({ promptTokens, outputTokens }: CallShape): number {
      const balanced = (limits.maxBatchedTokens * outputTokens) / (promptTokens + outputTokens);
      return Math.floor(Math.min(balanced, limits.maxSequences) * (promptTokens + outputTokens / 2));
    }

    function computeBound(inUse: number, waiting: number, shape: CallShape, nowMs: number): number {
      const bucket = observed[bucketOf(shape.outputTokens)]!;
      if (nowMs - bucket.atMs > OBSERVED_MS) bucket.tokens = [];
      if (waiting >= settings.queue_threshold && inUse > 0) {
        bucket.tokens = [...bucket.tokens, inUse].slice(-OBSERVED);
        bucket.atMs = nowMs;
        return inUse;
      }
      const { tokens } = bucket;
      if (tokens.length > 0) return Math.floor(tokens.reduce((sum, each) => sum + each, 0) / tokens.length);
      const bound = shape.outputTokens > 0 ? derived(shape) : 0;
      return bound > 0 ? bound : k1;
    }

    /** Tokens that the replicas and the gateway have to do with; learns what a replica can. */
    function demandOf({ nowMs, replicas, queuedAtGateway }: ScalingView, shape: CallShape): number {
      const perWaiting = shape.promptTokens + (role === 'prefill' ? 0 : shape.outputTokens);
      const perQueued = perWaiting - shape.promptTokens * shape.cachedRatio;
      let demand = queuedAtGateway * perQueued;
      const capacities = replicas.map(({ kvUsedRatio, waiting }) => {
        const inUse = Math.floor(kvUsedRatio * kvTokens(limits));
        demand += inUse + waiting * perWaiting;
        return Math.min(k1, computeBound(inUse, waiting, shape, nowMs));
      });
      if (capacities.length > 0) capacity = medianOf(capacities);
      return demand;
    }

    const autoscaler = {
      intervalMs: settings.interval,
      desired(view: ScalingView) {
        const { nowMs, ready, starting, queuedAtGateway } = view;
        const replicas = ready + starting;
        const shape = learn(nowMs, view.flow);
        const isIdle = view.inFlight === 0 && view.idleMs >= settings.zero_after;
        if (view.min === 0 && (replicas === 0 ? queuedAtGateway === 0 : isIdle)) {
          autoscaler.intervalMs = POLL_MS;
          return 0;
        }
        autoscaler.intervalMs = settings.interval;
        if (replicas === 0) return 1;
        demands.add(nowMs, demandOf(view, shape));
        const demand = demands.max(nowMs);
        const each = Math.max(1, capacity ?? Math.min(k1, derived(shape)));
        const required = demand / settings.scale_up - replicas * each;
        if (required > 0) return replicas + Math.ceil(required / each);
        const spare = ready * each - demand / settings.scale_down;
        return spare > 0 ? Math.max(1, replicas - Math.floor(spare / each)) : replicas;
      },
    };
    return autoscaler;
  },
});
