// What a plan costs at most by the token, before anything is sent: its first sessions, walked in an ideal world, at the
// price of who serves each call, without any cache.
import type { DeploymentSpec } from '../engines/engine.ts';
import { sampleSessions, serverOf } from '../engines/prepare.ts';
import type { CostBasis } from '../scenarios/formats/ledger.ts';
import type { Cohort, Plan } from '../scenarios/formats/plan.ts';
import { walk } from '../scenarios/workflows/walk.ts';

export interface Estimate {
  /** Of all sessions, or of one where their number is not known beforehand. */
  readonly usd: number;
  readonly sessions: number | null;
}

const SESSIONS_PER_COHORT = 100;
const CALLS_PER_COHORT = 2000;
/** Sessions counted one by one; a plan with more is priced by the session. */
const SESSIONS_MAX = 100_000;

/** Null: nothing of it is sold by the token, or a price is not known. */
export function estimateOf(
  plan: Plan,
  deployment: DeploymentSpec,
  price: CostBasis['price'],
): Estimate | null {
  let usd = 0;
  let sessions = 0;
  let isCounted = true;
  let isSold = false;
  for (const cohort of plan.cohorts) {
    let sampled = 0;
    let calls = 0;
    let cost = 0;
    for (const session of sampleSessions({ ...plan, cohorts: [cohort] }, SESSIONS_PER_COHORT)) {
      const walked = walk(session);
      for (const { model, promptTokens, outputTokens } of walked.calls) {
        const server = serverOf(model, plan, deployment);
        if (server?.kind !== 'hosted') continue;
        const each = price(server.hosted.name, model);
        if (each === null) return null;
        isSold = true;
        cost += (promptTokens * Math.max(each.in, each.cacheWrite) + outputTokens * each.out) / 1e6;
      }
      sampled += 1;
      calls += walked.calls.length;
      if (calls >= CALLS_PER_COHORT) break;
    }
    const count = sessionsOf(cohort);
    if (count === null) isCounted = false;
    sessions += count ?? 0;
    usd += (cost / Math.max(1, sampled)) * (count ?? 1);
  }
  if (!isSold) return null;
  return { usd, sessions: isCounted ? sessions : null };
}

/** Null: there is no end, or it depends on how fast the servers are. */
function sessionsOf(cohort: Cohort): number | null {
  if (cohort.kind === 'closed') return null;
  let count = 0;
  for (const _ of cohort.sessions()) if (++count > SESSIONS_MAX) return null;
  return count;
}
