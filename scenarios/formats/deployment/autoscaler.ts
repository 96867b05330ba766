// Autoscalers of a pool, under the names and with the settings of the systems that have them. Defaults are theirs
// (reference/policies.md §3): Kubernetes HPA, KEDA, Knative, AIBrix, the Dynamo planner and llm-d's WVA.
import { z } from 'zod';
import { duration, ratio, whole } from '../drawn.ts';

const METRICS = ['queue', 'running', 'in_flight', 'kv_usage', 'rate'] as const;

const bounds = {
  min: z
    .int()
    .min(0)
    .max(10_000)
    .describe('fewest replicas; 0 lets a pool scale to zero (default 1)')
    .optional(),
  max: whole(10_000, 'most replicas'),
  signal_age: duration('how old the metrics are that it sees (default 0s)').optional(),
};
const metric = z.enum(METRICS).describe('what is scaled on: a mean over replicas, or the rate of calls');
const target = z.number().positive().describe('value of the metric, for each replica, that is aimed at');
const hpa = {
  metric,
  target,
  interval: duration('between two looks (default 15s)').optional(),
  tolerance: ratio('change that is ignored (default 10%)').optional(),
  down_window: duration(
    'the highest recommendation of so long counts on the way down (default 300s)',
  ).optional(),
  up_ratio: ratio('most replicas added in an interval, as a share (default 100%)').optional(),
  up_replicas: whole(10_000, 'or so many, whichever is more (default 4)').optional(),
};

/** Exactly one policy, with its own settings. */
export const autoscaler = z
  .discriminatedUnion('policy', [
    z.strictObject({ policy: z.literal('hpa'), ...bounds, ...hpa }).describe('Kubernetes HPA'),
    z
      .strictObject({
        policy: z.literal('keda'),
        ...bounds,
        ...hpa,
        polling: duration('between two looks at 0 replicas (default 30s)').optional(),
        cooldown: duration('without work before it scales to zero (default 300s)').optional(),
      })
      .describe('KEDA: from and to zero by itself, HPA in between'),
    z
      .strictObject({
        policy: z.literal('knative'),
        ...bounds,
        concurrency: z
          .number()
          .positive()
          .describe('calls at once for each replica (default 100)')
          .optional(),
        utilization: ratio('share of it that is aimed at (default 70%)').optional(),
        window: duration('over which is averaged (default 60s)').optional(),
        panic_window: ratio('share of the window that panic looks at (default 10%)').optional(),
        panic_threshold: z.number().positive().describe('times the ready replicas (default 2)').optional(),
        zero_grace: duration('without work before it scales to zero (default 30s)').optional(),
      })
      .describe('Knative KPA'),
    z
      .strictObject({
        policy: z.literal('aibrix'),
        ...bounds,
        metric,
        target,
        tolerance: ratio('change that is ignored, both ways (default 10%)').optional(),
        max_up: z.number().positive().describe('times the replicas at once (default 2)').optional(),
        cooldown: duration('between a change and the next one down (default 300s)').optional(),
      })
      .describe('AIBrix APA'),
    z
      .strictObject({
        policy: z.literal('dynamo'),
        ...bounds,
        ttft: duration('target of the time to first token (default 500ms)').optional(),
        itl: duration('target of the time between tokens (default 50ms)').optional(),
        interval: duration('of the loop that predicts (default 180s)').optional(),
        load_interval: duration('of the loop that reacts (default 5s)').optional(),
        predictor: z.enum(['constant', 'arima', 'kalman', 'prophet']).describe('default arima').optional(),
        max_change: whole(10_000, 'replicas of one adjustment (default 8)').optional(),
        gpu_budget: whole(100_000, 'GPUs of prefill and decode together (default 8)').optional(),
      })
      .describe('NVIDIA Dynamo planner: replicas from latency targets'),
    z
      .strictObject({
        policy: z.literal('wva'),
        ...bounds,
        interval: duration('between two looks (default 15s)').optional(),
        kv_threshold: ratio('share of KV that may be in use (default 80%)').optional(),
        queue_threshold: whole(100_000, 'waiting calls that mean saturation (default 5)').optional(),
        scale_up: ratio('demand over capacity above which it adds (default 85%)').optional(),
        scale_down: ratio('demand over capacity below which it removes (default 70%)').optional(),
      })
      .describe('llm-d workload variant autoscaler, by tokens'),
    z
      .strictObject({ policy: z.literal('oracle'), ...bounds })
      .describe('knows the load: a bound for the others'),
  ])
  .describe('replicas that come and go');
