// Kairos: the call whose workflow is nearest to its end goes first. How far it is, is learned from the sessions of the
// same workflow that have ended: tools, people and queues between its calls are part of it.
import { refuseOptions } from '../routing/options.ts';
import { defineSchedulingPolicy } from './policy.ts';

/** Arrivals at one step, within one session. */
interface Visits {
  count: number;
  /** Sum of the instants of arrival, ms. */
  sumMs: number;
}

/** Times from a step to the end of the session, over all sessions that have ended. */
interface Remaining {
  count: number;
  sumMs: number;
}

function entry<V>(table: Map<string, V>, name: string, fresh: () => V): V {
  const found = table.get(name);
  if (found !== undefined) return found;
  const made = fresh();
  table.set(name, made);
  return made;
}

const none = (): { count: number; sumMs: number } => ({ count: 0, sumMs: 0 });

/**
 * urgency = mean over past visits of (end of the session - arrival at this step), ms, by workflow and step; 0 for a step
 * that no ended session has visited, so that it is learned soon. The paper orders agents by the distance of their whole
 * distributions, and calls of one agent by the start of their application; the mean gives the order that it reports, and
 * equal calls go in order of arrival. Memory: a row for each step of the workflows, and of each session that lives.
 */
export default defineSchedulingPolicy({
  name: 'kairos',
  doc: 'Takes the call whose session is expected to end soonest, as past sessions of its workflow went on from this step.',
  source: 'Kairos (arXiv 2508.06948), its workflow-aware priority scheduler',
  create(options) {
    refuseOptions('kairos', options);
    const learned = new Map<string, Map<string, Remaining>>();
    const sessions = new Map<string, Map<string, Visits>>();
    return {
      urgency({ session, workflow, step }, nowMs) {
        const visits = entry(
          entry(sessions, session, () => new Map<string, Visits>()),
          step,
          none,
        );
        visits.count += 1;
        visits.sumMs += nowMs;
        const past = learned.get(workflow)?.get(step);
        return past === undefined ? 0 : past.sumMs / past.count;
      },
      sessionEnded(session, workflow, nowMs) {
        const visited = sessions.get(session);
        if (visited === undefined) return;
        const steps = entry(learned, workflow, () => new Map<string, Remaining>());
        for (const [step, { count, sumMs }] of visited) {
          const remaining = entry(steps, step, none);
          remaining.count += count;
          remaining.sumMs += count * nowMs - sumMs;
        }
        sessions.delete(session);
      },
    };
  },
});
