// The autoscalers that the study of autoscaling compares: how each is set, from more replicas to fewer.
import type { PolicyChoice } from '../../engines/engine.ts';
import { cosine } from '../../scenarios/base/distributions.ts';

/**
 * What a family goes by: demand, and what a replica does within targets (SLA autoscaling; WVA has no latency target, and
 * counts demand in tokens); how full replicas are; the clock; or what no system knows.
 */
export type Goal = 'targets' | 'utilisation' | 'clock' | 'foresight';
export type Traffic = 'day' | 'bursts';

export interface Family {
  readonly goal: Goal;
  /** As tables and charts name it. */
  readonly label: string;
  /** From more replicas to fewer. */
  settings(traffic: Traffic, coldMs: number): readonly PolicyChoice[];
}

/** What the calls are judged by: TTFT 2 s, and 50 ms between tokens, which is also the loosest target. */
const TTFT_MS = 2000;
const ITL_MS = [28, 33, 50];

const of = (policy: string, all: readonly Record<string, unknown>[]) => (): PolicyChoice[] =>
  all.map(options => ({ policy, options }));
const byTargets = (policy: string, more: Record<string, unknown> = {}) =>
  of(
    policy,
    ITL_MS.map(itl => ({ ttft: TTFT_MS, itl, ...more })),
  );
const byMetric =
  (policy: string, metric: string, targets: Record<Traffic, readonly number[]>) =>
  (traffic: Traffic): PolicyChoice[] =>
    of(
      policy,
      targets[traffic].map(target => ({ metric, target })),
    )();
const KV = { day: [0.4, 0.55, 0.7], bursts: [0.2, 0.4, 0.7] };

const MIN_MS = 60_000;
/** Of the study's day, which is six times as fast. */
const HOUR_MS = 10 * MIN_MS;
/** Calls a second of the day on average, and what one replica holds within the targets: both measured. */
const DAY_PER_SEC = 0.55;
const REPLICA_PER_SEC = 0.22;
/** Peak over mean where the peak is six times the trough. */
const DEPTH = 5 / 7;
/** From two in the morning to the peak. */
const PEAK_HOUR = 12;
/** When bursts begin, in each period, and when they are over. */
const BURST = { periodMs: 20 * MIN_MS, fromMs: 10 * MIN_MS, toMs: 14 * MIN_MS };
/** To ask a little before the cold start. */
const MARGIN_MS = 15_000;

/** Whoever knows the day: each hour what its busiest end needs; before each burst so many. */
function scheduled(traffic: Traffic, coldMs: number): PolicyChoice[] {
  const leadMs = coldMs + MARGIN_MS;
  if (traffic === 'bursts')
    return [14, 10, 6].map(replicas => ({
      policy: 'schedule',
      options: {
        period: BURST.periodMs,
        times: [
          { at: BURST.fromMs - leadMs, replicas },
          { at: BURST.toMs, replicas: 2 },
        ],
      },
    }));
  const perSec = (hour: number): number => DAY_PER_SEC * (1 + DEPTH * cosine((hour - PEAK_HOUR) / 24));
  return [1.6, 1.3, 1].map(margin => ({
    policy: 'schedule',
    options: {
      period: 24 * HOUR_MS,
      times: Array.from({ length: 24 }, (_, hour) => ({
        at: Math.max(0, hour * HOUR_MS - leadMs),
        replicas: Math.ceil((margin * Math.max(perSec(hour), perSec(hour + 1))) / REPLICA_PER_SEC),
      })),
    },
  }));
}

export const FAMILIES = {
  dynamo: { goal: 'targets', label: 'Dynamo, predicting', settings: byTargets('dynamo') },
  'dynamo-both': {
    goal: 'targets',
    label: 'Dynamo, both loops',
    settings: byTargets('dynamo', { loops: 'both' }),
  },
  wva: {
    goal: 'targets',
    label: 'WVA',
    settings: of(
      'wva',
      [0.5, 0.65, 0.8].map(kv_threshold => ({ kv_threshold })),
    ),
  },
  'workflow-aware': { goal: 'targets', label: 'workflow-aware', settings: byTargets('workflow-aware') },
  'hpa-calls': {
    goal: 'utilisation',
    label: 'HPA on calls in flight',
    settings: byMetric('hpa', 'in_flight', { day: [5, 7, 10], bursts: [7, 15, 40] }),
  },
  'hpa-kv': {
    goal: 'utilisation',
    label: 'HPA on KV use',
    settings: byMetric('hpa', 'kv_usage', KV),
  },
  'keda-queue': {
    goal: 'utilisation',
    label: 'KEDA on queue length',
    settings: byMetric('keda', 'queue', { day: [0.5, 1, 3], bursts: [1, 5, 20] }),
  },
  knative: {
    goal: 'utilisation',
    label: 'Knative',
    settings: (traffic: Traffic) =>
      of(
        'knative',
        (traffic === 'day' ? [7, 10, 14] : [10, 20, 50]).map(concurrency => ({ concurrency })),
      )(),
  },
  aibrix: {
    goal: 'utilisation',
    label: 'AIBrix on KV use',
    settings: byMetric('aibrix', 'kv_usage', KV),
  },
  schedule: { goal: 'clock', label: 'schedule', settings: scheduled },
  oracle: {
    goal: 'foresight',
    label: 'oracle',
    settings: (traffic: Traffic) =>
      byTargets('oracle', { window: traffic === 'day' ? MIN_MS : MIN_MS / 6 })(),
  },
} as const satisfies Record<string, Family>;
export type FamilyName = keyof typeof FAMILIES;
export const FAMILY_NAMES = Object.keys(FAMILIES) as FamilyName[];
