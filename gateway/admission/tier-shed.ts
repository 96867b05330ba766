// Shedding by tier: while a replica has more calls than it should, calls below a tier are turned away.
import { atOnce } from './at-once.ts';
import { readOptions } from './options.ts';
import { defineAdmissionPolicy } from './policy.ts';
import { SPARE_OPTION } from './started.ts';

/**
 * Refuses when priority < `min_priority` and the largest number of calls at a replica > `overload` (default 0: any load,
 * as in BLIS). BLIS counts waiting, running and underway; the gateway's own count of calls without an end is their sum,
 * exact. Its classes are critical 4, standard 3, batch -1, sheddable -2, background -3, and it sheds those below standard;
 * here standard is the priority of a call that has none, 0, so `min_priority` is 0 by default.
 */
export default defineAdmissionPolicy({
  name: 'tier_shed',
  doc: 'Turns calls below a priority away while any replica of their pool has more calls than it should.',
  source: 'BLIS `tier-shed`',
  create(options) {
    const { overload, min_priority, spare_started } = readOptions('tier_shed', options, {
      overload: { usual: 0 },
      min_priority: { usual: 0, least: Number.NEGATIVE_INFINITY },
      ...SPARE_OPTION,
    });
    return atOnce(({ priority, pool }, pools) => {
      if (priority >= min_priority) return null;
      for (const calls of pools.view(pool).outstanding) if (calls > overload) return 'shed';
      return null;
    }, spare_started);
  },
});
