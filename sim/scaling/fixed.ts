// Fixed: as many replicas as there were. What is lost is replaced.
import { numberOptions } from '../../gateway/routing/options.ts';
import { defineScalingPolicy } from './policy.ts';

const LOOK_MS = 15_000;

/** desired = `replicas`; without it (0), as many as at the first look. */
export default defineScalingPolicy({
  name: 'fixed',
  doc: 'As many replicas as there were; what is lost is replaced.',
  source: 'Kubernetes Deployment without an autoscaler',
  create(options) {
    const { replicas } = numberOptions('fixed', options, { replicas: 0 });
    let wanted = replicas;
    return {
      intervalMs: LOOK_MS,
      desired({ ready, starting }) {
        if (wanted === 0) wanted = ready + starting;
        return wanted;
      },
    };
  },
});
