// Probabilistic shedding: the fuller the pool, the more calls of a low priority are turned away, by chance. Found by
// search in BLIS and merged into llm-d's endpoint picker.
import { extend, uniform } from '../../scenarios/base/key.ts';
import { atOnce } from './at-once.ts';
import { DETECTOR_OPTIONS, detector } from './detector.ts';
import { readOptions } from './options.ts';
import { defineAdmissionPolicy } from './policy.ts';
import { SPARE_OPTION } from './started.ts';

/** Tells this draw from others that are hashed from the same call. */
const DRAW = 0x73686564;

/**
 * Refuses when priority < `priority_below` (default 0) with p = min(k * saturation^power, 1), k 300 and power 5: 2.3 % at
 * 0.15, 73 % at 0.3, all from 0.32 on [llm-d-router `probabilistic-admitter`]. No replicas: nobody is turned away.
 */
export default defineAdmissionPolicy({
  name: 'probabilistic',
  doc: 'Turns calls of a low priority away by chance, the more of them the fuller the replicas of their pool are.',
  source: 'llm-d `probabilistic-admitter`',
  create(options) {
    const settings = readOptions('probabilistic', options, {
      priority_below: { usual: 0, least: Number.NEGATIVE_INFINITY },
      power: { usual: 5 },
      k: { usual: 300 },
      ...SPARE_OPTION,
      ...DETECTOR_OPTIONS,
    });
    const saturation = detector(settings);
    return atOnce(({ key, sessionKey, priority, pool }, pools) => {
      if (priority >= settings.priority_below) return null;
      const view = pools.view(pool);
      if (view.replicas.length === 0) return null;
      const chance = settings.k * saturation(view) ** settings.power;
      const drawn = settings.spare_started ? sessionKey : key;
      return uniform(extend(drawn, DRAW)) < chance ? 'shed' : null;
    }, settings.spare_started);
  },
});
