// The longest calls of a plan, by what serves them: what a server's context must hold. Of the first sessions of each
// cohort, walked in an ideal world.
import { sampleSessions } from '../../engines/prepare.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import { walk } from '../../scenarios/workflows/walk.ts';

export interface LongestCall {
  step: string;
  promptTokens: number;
  outputTokens: number;
}

const SESSIONS_PER_COHORT = 100;
const CALLS_PER_COHORT = 20_000;

/** By the name of the pool, or of the provider's model. */
export function longestCalls(plan: Plan, poolOf: (model: string) => string): Map<string, LongestCall> {
  const longest = new Map<string, LongestCall>();
  for (const cohort of plan.cohorts) {
    let seen = 0;
    for (const session of sampleSessions({ ...plan, cohorts: [cohort] }, SESSIONS_PER_COHORT)) {
      const { calls } = walk(session);
      for (const { step, model, promptTokens, outputTokens } of calls) {
        const pool = poolOf(model);
        const known = longest.get(pool);
        if (known !== undefined && known.promptTokens + known.outputTokens >= promptTokens + outputTokens)
          continue;
        longest.set(pool, { step, promptTokens, outputTokens });
      }
      seen += calls.length;
      if (seen >= CALLS_PER_COHORT) break;
    }
  }
  return longest;
}
