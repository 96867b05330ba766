// Program FCFS: a program that came first keeps its place for all of its calls, so that its later turns, whose KV is
// still there, do not queue behind programs that came after it. The scheduling half of Continuum.
import { refuseOptions } from '../routing/options.ts';
import { defineSchedulingPolicy } from './policy.ts';

/** urgency = when the session began, ms of the run (Continuum, arXiv 2511.02230). */
export default defineSchedulingPolicy({
  name: 'program_fcfs',
  doc: 'Takes the call whose program, its session, began first.',
  source: 'Continuum (arXiv 2511.02230), the order of its queue',
  create(options) {
    refuseOptions('program_fcfs', options);
    return { urgency: ({ sessionStartMs }) => sessionStartMs };
  },
});
