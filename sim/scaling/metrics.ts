// What utilisation autoscalers are told: one figure for a pool, under the names that deployment files have for them.
import type { ScalingView } from './policy.ts';

export const METRICS = ['queue', 'running', 'in_flight', 'kv_usage', 'rate'] as const;
export type Metric = (typeof METRICS)[number];

/** A metric and the value of it that each replica should have. */
export interface Target {
  readonly metric: Metric;
  readonly target: number;
}

/**
 * The metric summed over the ready replicas; a mean is this over their number. `queue` and `in_flight` include the calls
 * that wait at the gateway; `rate` is calls per second since the last look.
 */
export function metricTotal(metric: Metric, view: ScalingView): number {
  const { replicas, flow } = view;
  switch (metric) {
    case 'queue':
      return replicas.reduce((sum, each) => sum + each.waiting, view.queuedAtGateway);
    case 'running':
      return replicas.reduce((sum, each) => sum + each.running, 0);
    case 'in_flight':
      return view.inFlight;
    case 'kv_usage':
      return replicas.reduce((sum, each) => sum + each.kvUsedRatio, 0);
    case 'rate':
      return flow.overMs > 0 ? (flow.arrivals * 1000) / flow.overMs : 0;
  }
}
