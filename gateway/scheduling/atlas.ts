// ATLAS, adaptive thread-level attained service (Autellix): PLAS for programs with parallel calls. What counts is not
// the sum of all service but the longest chain that leads to a call, an estimate of the critical path from below.
import { IdTable } from '../../scenarios/base/id-table.ts';
import { countServed, levelOf, levelOptions, newStarvation, type Starvation } from './levels.ts';
import { defineSchedulingPolicy } from './policy.ts';

/** What is known of one program; its calls by id are in the table of chains. */
interface Program extends Starvation {
  calls: number[];
}

/**
 * chain(call) = max over its parents of chain(parent) + service(parent), 0 without parents; urgency = its level, 0 while
 * the program is lifted. Parents in other pools count as 0 here. Memory: a number for each call of the sessions that live.
 */
export default defineSchedulingPolicy({
  name: 'atlas',
  doc: 'Takes the call with the least service on the longest chain of calls that led to it, by levels.',
  source: 'Autellix ATLAS (arXiv 2502.13965)',
  create(options) {
    const settings = levelOptions('atlas', options);
    const programs = new Map<string, Program>();
    /** By call: the chain before it, and once it has ended with it, ms. */
    const chains = new IdTable<number>();
    return {
      urgency({ id, session, parents }) {
        let chainMs = 0;
        for (const parent of parents) chainMs = Math.max(chainMs, chains.get(parent) ?? 0);
        let program = programs.get(session);
        if (program === undefined) {
          program = { calls: [], ...newStarvation() };
          programs.set(session, program);
        }
        if (!chains.has(id)) program.calls.push(id);
        chains.set(id, chainMs);
        return program.isLifted ? 0 : levelOf(chainMs, settings);
      },
      ended(call) {
        const program = programs.get(call.session);
        const chainMs = chains.get(call.id);
        if (program === undefined || chainMs === undefined) return;
        chains.set(call.id, chainMs + call.servedMs);
        countServed(program, call, settings.beta);
      },
      sessionEnded(session) {
        for (const id of programs.get(session)?.calls ?? []) chains.delete(id);
        programs.delete(session);
      },
    };
  },
});
