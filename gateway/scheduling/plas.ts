// PLAS, program-level attained service (Autellix): the less service a program has had, the sooner its next call goes.
// It needs no idea of how long a program will be; short programs overtake long ones.
import { countServed, levelOf, levelOptions, newStarvation, type Starvation } from './levels.ts';
import { defineSchedulingPolicy } from './policy.ts';

/** What one program has had so far. */
interface Program extends Starvation {
  attainedMs: number;
}

/**
 * urgency = level of the service that all ended calls of the session have had in this pool; 0 while it is lifted out of
 * starvation. An engine takes a call's priority once, when it comes: a call is not demoted while it runs, its program is
 * with its next call.
 */
export default defineSchedulingPolicy({
  name: 'plas',
  doc: 'Takes the call whose program has had the least service so far, by levels, and lifts those that starve.',
  source: 'Autellix PLAS (arXiv 2502.13965); Dynamo `session_las` is the same without levels',
  create(options) {
    const settings = levelOptions('plas', options);
    const programs = new Map<string, Program>();
    return {
      urgency({ session }) {
        const program = programs.get(session);
        return program === undefined || program.isLifted ? 0 : levelOf(program.attainedMs, settings);
      },
      ended(call) {
        let program = programs.get(call.session);
        if (program === undefined) {
          program = { attainedMs: 0, ...newStarvation() };
          programs.set(call.session, program);
        }
        program.attainedMs += call.servedMs;
        countServed(program, call, settings.beta);
      },
      sessionEnded(session) {
        programs.delete(session);
      },
    };
  },
});
