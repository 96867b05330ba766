// Shedding by saturation: calls of a low priority are turned away while the replicas behind are saturated. The legacy
// admission of llm-d's endpoint picker (EPP), which its Gateway API Inference Extension had before flow control.
import { atOnce } from './at-once.ts';
import { DETECTOR_OPTIONS, detector } from './detector.ts';
import { readOptions } from './options.ts';
import { defineAdmissionPolicy } from './policy.ts';
import { SPARE_OPTION } from './started.ts';

/** Refuses when priority < `priority_below` (default 0) and saturation >= 1 [llm-d-router requestcontrol/admission.go]. */
export default defineAdmissionPolicy({
  name: 'saturation',
  doc: 'Turns calls of a low priority away while the replicas of their pool are saturated.',
  source: 'llm-d EPP `LegacyAdmissionController`; BLIS `gaie-legacy`',
  create(options) {
    const settings = readOptions('saturation', options, {
      priority_below: { usual: 0, least: Number.NEGATIVE_INFINITY },
      ...SPARE_OPTION,
      ...DETECTOR_OPTIONS,
    });
    const saturation = detector(settings);
    return atOnce(
      ({ priority, pool }, pools) =>
        priority < settings.priority_below && saturation(pools.view(pool)) >= 1 ? 'shed' : null,
      settings.spare_started,
    );
  },
});
