// Earliest deadline first (Liu and Layland 1973): optimal on one machine while all deadlines can be kept, and known to
// fall apart when they cannot, as the calls that are late anyway go first.
import { refuseOptions } from '../routing/options.ts';
import { defineSchedulingPolicy } from './policy.ts';

/** Behind every instant that a run can reach. */
const WITHOUT_DEADLINE = Number.MAX_SAFE_INTEGER;

/** urgency = deadline, ms of the run: when the SLO of the step or of the workflow would have it ended. */
export default defineSchedulingPolicy({
  name: 'edf',
  doc: 'Takes the call with the earliest deadline by its SLO; those without one come last.',
  source: 'Liu and Layland (1973); llm-d `edf-ordering-policy`, `slo-deadline-ordering-policy`',
  create(options) {
    refuseOptions('edf', options);
    return { urgency: ({ deadlineMs }) => deadlineMs ?? WITHOUT_DEADLINE };
  },
});
