// How many sessions of a plan are under way together whatever the server does: agents of a loop, and all that start at once.
import type { Cohort, Plan } from '../scenarios/formats/plan.ts';

/** A plan with more sessions at its start is not counted further. */
const COUNTED_MAX = 100_000;

export const sessionsTogether = ({ cohorts }: Pick<Plan, 'cohorts'>): number =>
  cohorts.reduce((sum, cohort) => sum + together(cohort), 0);

function together(cohort: Cohort): number {
  if (cohort.kind === 'closed') return cohort.agents;
  if (cohort.arrival.kind !== 'at-once') return 0;
  let count = 0;
  for (const _ of cohort.sessions()) if (++count >= COUNTED_MAX) break;
  return count;
}
