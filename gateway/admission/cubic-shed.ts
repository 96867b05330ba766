// Shedding by buckets of priority, each along a cubic ramp over the saturation of the pool: bulk goes first, and what is
// critical only once the pool is beyond full. After Netflix's prioritized load shedding.
import { extend, uniform } from '../../scenarios/base/key.ts';
import { atOnce } from './at-once.ts';
import { DETECTOR_OPTIONS, detector } from './detector.ts';
import { readOptions } from './options.ts';
import { defineAdmissionPolicy } from './policy.ts';

/** Tells this draw from others that are hashed from the same call. */
const DRAW = 0x63756265;
/** Bulk, best effort and degraded share the way from `from` to `to`; critical has as much behind it. */
const BELOW_CRITICAL = 3;

/**
 * Refuses with p = x^3, x from 0 to 1 over the bucket's part of the saturation. With w = (to - from) / 3 these are: bulk
 * [from, from + w], best effort the next w, degraded the next, to `to`, and critical [to, to + w]. A bucket is gone before
 * the next is touched. Netflix names the buckets, the order and the cubic ramp, from the autoscaler's target on; the bounds,
 * `from` 0.6 and `to` 1, are ours [Enhancing Netflix Reliability with Service-Level Prioritized Load Shedding, 2024].
 */
export default defineAdmissionPolicy({
  name: 'cubic_shed',
  doc: 'Turns calls away by chance, bulk before best effort before degraded before critical, along cubic ramps.',
  source: 'Netflix prioritized load shedding: CRITICAL, DEGRADED, BEST_EFFORT, BULK',
  create(options) {
    const settings = readOptions('cubic_shed', options, {
      critical: { usual: 1, least: Number.NEGATIVE_INFINITY },
      degraded: { usual: 0, least: Number.NEGATIVE_INFINITY },
      best_effort: { usual: -1, least: Number.NEGATIVE_INFINITY },
      from: { usual: 0.6 },
      to: { usual: 1 },
      spare_started: { usual: true },
      ...DETECTOR_OPTIONS,
    });
    const { critical, degraded, best_effort, from, to, spare_started } = settings;
    const saturation = detector(settings);
    const width = Math.max(0, to - from) / BELOW_CRITICAL;
    return atOnce(({ key, sessionKey, priority, pool }, pools) => {
      const view = pools.view(pool);
      if (view.replicas.length === 0) return null;
      const bucket = priority >= critical ? 3 : priority >= degraded ? 2 : priority >= best_effort ? 1 : 0;
      const into = saturation(view) - from - bucket * width;
      if (into <= 0) return null;
      const share = into < width ? (into / width) ** 3 : 1;
      // A session that is shed whole is judged once, whichever of its calls comes first.
      return uniform(extend(spare_started ? sessionKey : key, DRAW)) < share ? 'shed' : null;
    }, spare_started);
  },
});
