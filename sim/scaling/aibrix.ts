// AIBrix APA: the HPA's proportion with bounds on one change, over a window of metrics (policies §3.3).
import { numberOptions } from '../../gateway/routing/options.ts';
import { metricTotal } from './metrics.ts';
import { targetOptions } from './options.ts';
import { defineScalingPolicy } from './policy.ts';
import { timeWindow } from './window.ts';

/** podautoscaler/context/context.go; durations in ms. */
const DEFAULTS = {
  /** Up and down fluctuation tolerance. */
  tolerance: 0.1,
  /** max-scale-up-rate. */
  max_up: 2,
  /** max-scale-down-rate. */
  max_down: 2,
  /** Scale-down cooldown window: on the way down the highest recommendation in it counts. */
  cooldown: 300_000,
  /** Stable window of the metric. */
  window: 180_000,
  /** Between two looks: general knowledge, not read in source. */
  interval: 10_000,
};

/**
 * With r = mean of the metric over the window / target and n replicas:
 *   r > 1 + tolerance: min(⌈n · r⌉, ⌈max_up · n⌉);  r < 1 - tolerance: max(⌈n · r⌉, ⌊n / max_down⌋);  else n.
 * Replicas that start count as 0 on the way up and as at their target on the way down (its pending guard), and then
 * never turn the direction. From zero, one replica once anything waits.
 */
export default defineScalingPolicy({
  name: 'aibrix',
  doc: 'In proportion to a metric over a window, at most twice or half as many at once.',
  source: 'AIBrix PodAutoscaler APA, algorithm/apa.go',
  create(options) {
    const { targets, rest } = targetOptions('aibrix', options);
    const settings = numberOptions('aibrix', rest, DEFAULTS, { most: { tolerance: 1 } });
    const { tolerance, max_up, max_down } = settings;
    const windows = targets.map(() => timeWindow(settings.window));
    const recommendations = timeWindow(settings.cooldown);

    function recommend(ratio: number, ready: number, starting: number): number {
      const replicas = ready + starting;
      if (ratio > 1 + tolerance)
        return Math.max(replicas, Math.min(Math.ceil(ratio * ready), Math.ceil(max_up * replicas)));
      if (ratio >= 1 - tolerance) return replicas;
      return Math.min(
        replicas,
        Math.max(Math.ceil(ratio * ready + starting), Math.floor(replicas / max_down)),
      );
    }

    return {
      intervalMs: settings.interval,
      desired(view) {
        const { nowMs, ready, starting } = view;
        const replicas = ready + starting;
        let recommended = 0;
        for (const [index, { metric, target }] of targets.entries()) {
          const total = metricTotal(metric, view);
          const window = windows[index]!;
          // A mean over pods needs a pod.
          if (ready > 0) window.add(nowMs, total / ready);
          const wish =
            replicas > 0
              ? recommend(window.mean(nowMs) / target, ready, starting)
              : Math.ceil(Math.min(1, total));
          recommended = Math.max(recommended, wish);
        }
        recommendations.add(nowMs, recommended);
        return recommended < replicas ? Math.min(replicas, recommendations.max(nowMs)) : recommended;
      },
    };
  },
});
