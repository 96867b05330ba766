// Kubernetes HPA: replicas in proportion to how far a metric is from its target, looked at every 15 s.
import { horizontal, horizontalOptions } from './horizontal.ts';
import { targetOptions } from './options.ts';
import { defineScalingPolicy } from './policy.ts';

/**
 * desired = ⌈replicas · metric / target⌉ unless within the tolerance (horizontal.ts), the metric as the mean over pods.
 * Several metrics (`also`): the highest answer. `min: 0` needs the HPAScaleToZero gate there, and wakes by what waits at
 * the gateway: `queue`, `in_flight` or `rate`.
 */
export default defineScalingPolicy({
  name: 'hpa',
  doc: 'Replicas in proportion to how far a metric is from its target.',
  source: 'Kubernetes horizontal pod autoscaler, autoscaling/v2',
  create(options) {
    const { targets, rest } = targetOptions('hpa', options);
    const settings = horizontalOptions('hpa', rest);
    return { intervalMs: settings.interval, desired: horizontal(targets, settings, 'pods') };
  },
});
