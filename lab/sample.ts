// The first sessions of every cohort, walked in an ideal world: what `check` announces and lints rests on them.
import { sampleSessions } from '../engines/prepare.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import type { WalkedSession } from '../scenarios/lint/lint.ts';
import type { Call } from '../scenarios/workflows/progress.ts';
import { walk } from '../scenarios/workflows/walk.ts';
import { SeenContent } from './seen-content.ts';

/** Nominal length of a call while walking, ms: only the order of things depends on it. */
const NOMINAL_CALL_MS = 2000;
const CACHE_BLOCK_TOKENS = 16;
const SESSIONS_PER_COHORT = 100;
/** Calls walked in all, shared by the cohorts; each has at least one session. */
const MAX_CALLS = 40_000;

export interface Sample {
  readonly walks: readonly WalkedSession[];
  /** Prompt tokens of a call that an infinite cache of 16-token blocks would hold. */
  cachedTokens(call: Call): number;
}

export function sampleOf(plan: Plan): Sample {
  const walks: WalkedSession[] = [];
  const cached = new Map<Call, number>();
  const seen = new SeenContent();
  const share = MAX_CALLS / Math.max(1, plan.cohorts.length);
  for (const cohort of plan.cohorts) {
    let calls = 0;
    for (const session of sampleSessions({ ...plan, cohorts: [cohort] }, SESSIONS_PER_COHORT)) {
      const walked = walk(session, () => NOMINAL_CALL_MS);
      walks.push({ session, walked });
      for (const call of walked.calls) {
        // At least one token is computed, and only whole blocks hit.
        const known = Math.min(seen.knownTokens(call.prompt), call.promptTokens - 1);
        cached.set(call, Math.floor(known / CACHE_BLOCK_TOKENS) * CACHE_BLOCK_TOKENS);
        seen.add([...call.prompt, ...call.output]);
      }
      calls += walked.calls.length;
      if (calls >= share) break;
    }
  }
  return { walks, cachedTokens: call => cached.get(call) ?? 0 };
}
