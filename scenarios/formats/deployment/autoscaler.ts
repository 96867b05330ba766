// Autoscalers of a pool, under the names and with the settings of the systems that have them. Defaults are theirs
// (reference/policies.md §3): Kubernetes HPA, KEDA, Knative, AIBrix, the Dynamo planner and llm-d's WVA.
import { z } from 'zod';
import { duration, ratio, whole } from '../drawn.ts';

const METRICS = ['queue', 'running', 'in_flight', 'kv_usage', 'rate'] as const;

/** What is looked at or averaged over takes time: over none, a run would never end. */
const span = (what: string) => duration(what).pipe(z.number().refine(ms => ms >= 1, 'expected 1ms or more'));

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
const also = z
  .partialRecord(z.enum(METRICS), z.number().positive())
  .describe('further metrics and their targets: the highest answer counts')
  .optional();
const hpa = {
  metric,
  target,
  also,
  interval: span('between two looks (default 15s)').optional(),
  tolerance: ratio('change that is ignored (default 10%)').optional(),
  down_window: duration(
    'the highest recommendation of so long counts on the way down (default 300s)',
  ).optional(),
  up_ratio: ratio('most replicas added in an interval, as a share (default 100%)').optional(),
  up_replicas: whole(10_000, 'or so many, whichever is more (default 4)').optional(),
  down_ratio: ratio('most replicas removed in an interval, as a share (default 100%)').optional(),
};
/** What those ask that know their engine. */
const latency = {
  ttft: duration('target of the time to first token (default 500ms)').optional(),
  itl: duration('target of the time between tokens (default 50ms)').optional(),
};
const lookEvery = (fallback: string) => span(`between two looks (default ${fallback})`).optional();

/** Exactly one policy, with its own settings. */
export const autoscaler = z
  .discriminatedUnion('policy', [
    z
      .strictObject({
        policy: z.literal('fixed'),
        ...bounds,
        replicas: whole(10_000, 'how many (default: as many as there are)').optional(),
      })
      .describe('as many as there were; what is lost is replaced'),
    z.strictObject({ policy: z.literal('hpa'), ...bounds, ...hpa }).describe('Kubernetes HPA'),
    z
      .strictObject({
        policy: z.literal('keda'),
        ...bounds,
        ...hpa,
        polling: span('between two looks at 0 replicas (default 30s)').optional(),
        cooldown: duration('without work before it scales to zero (default 300s)').optional(),
        activation: z
          .number()
          .min(0)
          .describe('sum of the metric above which there is work (default 0)')
          .optional(),
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
        utilization: ratio('share of it that is aimed at (default 70%)')
          .pipe(z.number().positive())
          .optional(),
        window: span('over which is averaged (default 60s)').optional(),
        panic_window: ratio('share of the window that panic looks at (default 10%)').optional(),
        panic_threshold: z.number().positive().describe('times the ready replicas (default 2)').optional(),
        zero_grace: duration(
          'without work beyond the window before it scales to zero (default 30s)',
        ).optional(),
      })
      .describe('Knative KPA'),
    z
      .strictObject({
        policy: z.literal('aibrix'),
        ...bounds,
        metric,
        target,
        also,
        tolerance: ratio('change that is ignored, both ways (default 10%)').optional(),
        max_up: z.number().min(1).describe('times the replicas at once (default 2)').optional(),
        max_down: z.number().min(1).describe('a share of one in so many at once (default 2)').optional(),
        cooldown: duration(
          'the highest recommendation of so long counts on the way down (default 300s)',
        ).optional(),
        window: span('over which the metric is averaged (default 180s)').optional(),
        interval: lookEvery('10s'),
      })
      .describe('AIBrix APA'),
    z
      .strictObject({
        policy: z.literal('dynamo'),
        ...bounds,
        ...latency,
        interval: span('of the loop that predicts (default 180s)').optional(),
        load_interval: span('of the loop that reacts (default 5s)').optional(),
        loops: z
          .enum(['throughput', 'load', 'both'])
          .describe('which of the two run (default throughput); with both, it gives the fewest replicas')
          .optional(),
        predictor: z.enum(['constant', 'arima', 'kalman']).describe('default arima').optional(),
        max_change: whole(10_000, 'replicas of one adjustment (default 8)').optional(),
        gpu_budget: whole(
          100_000,
          'GPUs of the pool, or of this half (default: what `max` allows)',
        ).optional(),
      })
      .describe('NVIDIA Dynamo planner: replicas from latency targets'),
    z
      .strictObject({
        policy: z.literal('wva'),
        ...bounds,
        interval: lookEvery('15s'),
        kv_threshold: ratio('share of KV that may be in use (default 80%)').optional(),
        queue_threshold: whole(100_000, 'waiting calls that mean saturation (default 5)').optional(),
        scale_up: ratio('demand over capacity above which it adds (default 85%)').optional(),
        scale_down: ratio('demand over capacity below which it removes (default 70%)').optional(),
        zero_after: duration('without calls before it scales to zero (default 10m)').optional(),
      })
      .describe('llm-d workload variant autoscaler, by tokens'),
    z
      .strictObject({
        policy: z.literal('schedule'),
        ...bounds,
        times: z
          .array(
            z.strictObject({
              at: duration('since the start of the run, or of each period'),
              replicas: z.int().min(0).max(10_000).describe('from then on'),
            }),
          )
          .min(1)
          .describe('when there are how many replicas'),
        period: duration('after which the times come again (default 24h)').optional(),
      })
      .describe('by the clock'),
    z
      .strictObject({
        policy: z.literal('workflow-aware'),
        ...bounds,
        ...latency,
        interval: lookEvery('5s'),
        horizon: duration('how far ahead calls are counted, at least a cold start (default 60s)').optional(),
        window: duration('over which it learns what calls are like (default 10m)').optional(),
        down_window: duration(
          'the highest answer of so long counts on the way down (default 120s)',
        ).optional(),
        session_rate: z
          .number()
          .positive()
          .describe('calls a second of an open session, before it has learned (default 0.1)')
          .optional(),
      })
      .describe('by the calls that the sessions in flight will make'),
    z
      .strictObject({
        policy: z.literal('oracle'),
        ...bounds,
        ...latency,
        window: span('that demand is summed over (default 10s)').optional(),
      })
      .describe('knows the load: a bound for the others'),
  ])
  .describe('replicas that come and go');
