// KEDA: from zero to one replica and back by itself, HPA in between (policies §3.1).
import { numberOptions } from '../../gateway/routing/options.ts';
import { HORIZONTAL_DEFAULTS, horizontal } from './horizontal.ts';
import { metricTotal } from './metrics.ts';
import { targetOptions } from './options.ts';
import { defineScalingPolicy } from './policy.ts';

const DEFAULTS = {
  ...HORIZONTAL_DEFAULTS,
  /** pollingInterval, ms. */
  polling: 30_000,
  /** cooldownPeriod, ms: only for the way to zero. */
  cooldown: 300_000,
  /** activationThreshold of each trigger: active is what is above. */
  activation: 0,
};

/**
 * With `min: 0`: at zero, looked at every `polling`, one replica once a metric's sum is above `activation`; back to zero
 * when none has been for `cooldown`, or never was (initialCooldownPeriod 0). Otherwise the HPA's rule on the sum from
 * outside, desired = ⌈sum / target⌉, at least 1.
 */
export default defineScalingPolicy({
  name: 'keda',
  doc: 'From zero to one replica and back by itself, the HPA in between.',
  source: 'KEDA ScaledObject with a Prometheus trigger (AverageValue)',
  create(options) {
    const { targets, rest } = targetOptions('keda', options);
    const { polling, cooldown, activation, ...settings } = numberOptions('keda', rest, DEFAULTS, {
      most: { down_ratio: 1 },
    });
    const between = horizontal(targets, settings, 'sum');
    let activeMs = Number.NEGATIVE_INFINITY;
    const autoscaler = {
      intervalMs: settings.interval,
      desired(view: Parameters<typeof between>[0]) {
        const isActive = targets.some(({ metric }) => metricTotal(metric, view) > activation);
        if (isActive) activeMs = view.nowMs;
        const isZero = view.ready + view.starting === 0;
        autoscaler.intervalMs = isZero && !isActive ? polling : settings.interval;
        if (view.min > 0) return between(view);
        if (isZero) return isActive ? 1 : 0;
        if (view.nowMs - activeMs >= cooldown) {
          autoscaler.intervalMs = polling;
          return 0;
        }
        return Math.max(1, between(view));
      },
    };
    return autoscaler;
  },
});
