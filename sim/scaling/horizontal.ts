// The rule of Kubernetes' horizontal pod autoscaler (policies §3.1): replicas in proportion to a metric, then a
// stabilisation window on the way down and a rate on the way up. HPA and KEDA share it.
import { numberOptions } from '../../gateway/routing/options.ts';
import { metricTotal, type Target } from './metrics.ts';
import type { ScalingView } from './policy.ts';
import { timeWindow } from './window.ts';

/** Defaults of kube-controller-manager and of `behavior` in autoscaling/v2; durations in ms. */
export const HORIZONTAL_DEFAULTS = {
  /** --horizontal-pod-autoscaler-sync-period. */
  interval: 15_000,
  /** --horizontal-pod-autoscaler-tolerance. */
  tolerance: 0.1,
  /** behavior.scaleDown.stabilizationWindowSeconds. */
  down_window: 300_000,
  /** behavior.scaleUp.policies: 100 % or 4 pods in 15 s, whichever is more. */
  up_ratio: 1,
  up_replicas: 4,
  /** behavior.scaleDown.policies: 100 % in 15 s. */
  down_ratio: 1,
};
export type HorizontalSettings = typeof HORIZONTAL_DEFAULTS;

export const horizontalOptions = (policy: string, options: Record<string, unknown>): HorizontalSettings =>
  numberOptions(policy, options, HORIZONTAL_DEFAULTS, { most: { down_ratio: 1 } });

const isWithin = (ratio: number, tolerance: number): boolean =>
  ratio >= 1 - tolerance && ratio <= 1 + tolerance;

/**
 * What one metric recommends, `pods` as the mean over pods: with u the mean over the ready ones and r = u / target,
 *   ⌈ready · r⌉, or what there is where |r - 1| <= tolerance;
 * on the way up replicas that start count as 0, on the way down as at their target, and r is taken anew over all; where
 * it then points the other way, nothing changes [k8s replica_calculator.go, calcPlainMetricReplicas].
 */
function recommendByPods({ metric, target }: Target, tolerance: number, view: ScalingView): number {
  const { ready, starting } = view;
  const replicas = ready + starting;
  const total = metricTotal(metric, view);
  const isUp = total > target * ready;
  const ratio = (isUp ? total : total + starting * target) / (target * replicas);
  if (isWithin(ratio, tolerance) || ratio > 1 !== isUp) return replicas;
  return Math.ceil(ratio * replicas);
}

/** The same of a sum from outside (`External`, `AverageValue`): ⌈sum / target⌉, whoever is ready. */
function recommendBySum({ metric, target }: Target, tolerance: number, view: ScalingView): number {
  const replicas = view.ready + view.starting;
  const total = metricTotal(metric, view);
  return isWithin(total / (target * replicas), tolerance) ? replicas : Math.ceil(total / target);
}

/**
 * Replicas wanted at each look. The highest of the metrics' recommendations counts; on the way down the highest of the
 * last `down_window`, what there was at the first look included; on the way up at most
 *   max(⌈n · (1 + up_ratio)⌉, n + up_replicas) in a look.
 */
export function horizontal(
  targets: readonly Target[],
  settings: HorizontalSettings,
  of: 'pods' | 'sum',
): (view: ScalingView) => number {
  const recommendations = timeWindow(settings.down_window);
  let isFirst = true;
  return view => {
    const replicas = view.ready + view.starting;
    if (isFirst) recommendations.add(view.nowMs, replicas);
    isFirst = false;
    // Nothing is left to take a mean over: only a sum can say that somebody waits.
    const recommend = of === 'sum' || replicas === 0 ? recommendBySum : recommendByPods;
    const recommended = Math.max(...targets.map(each => recommend(each, settings.tolerance, view)));
    recommendations.add(view.nowMs, recommended);
    const most = recommendations.max(view.nowMs);
    const stable = recommended > replicas ? recommended : Math.min(replicas, most);
    const fewest = Math.floor(replicas * (1 - settings.down_ratio));
    const up = Math.max(Math.ceil(replicas * (1 + settings.up_ratio)), replicas + settings.up_replicas);
    return Math.min(Math.max(stable, fewest), up);
  };
}
