// The first sessions of every cohort, walked in an ideal world: what `check` announces and lints rests on them.
import { sampleSessions } from '../engines/prepare.ts';
import type { Plan, PlannedSession } from '../scenarios/formats/plan.ts';
import type { NodeRecord } from '../scenarios/formats/record.ts';
import type { WalkedCall, WalkedSession } from '../scenarios/lint/lint.ts';
import type { Call } from '../scenarios/workflows/progress.ts';
import { type Walked, walk } from '../scenarios/workflows/walk.ts';
import { SeenContent } from './seen-content.ts';

/** Nominal length of a call while walking, ms: only the order of things depends on it. */
const NOMINAL_CALL_MS = 2000;
const CACHE_BLOCK_TOKENS = 16;
const SESSIONS_PER_COHORT = 100;
/** Calls walked in all, shared by the cohorts; each has at least one session. */
const MAX_CALLS = 6000;
/** Runs of their prompts in all, likewise: a thread of thousands of calls has many in each. */
const MAX_RUNS = 2_000_000;

/** Walks the first sessions of every cohort, in the order of the cohorts, before one infinite cache. */
export function walkedSessions(plan: Plan): WalkedSession[] {
  const walks: WalkedSession[] = [];
  const seen = new SeenContent();
  const cohorts = Math.max(1, plan.cohorts.length);
  for (const cohort of plan.cohorts) {
    let calls = 0;
    let runs = 0;
    for (const session of sampleSessions({ ...plan, cohorts: [cohort] }, SESSIONS_PER_COHORT)) {
      const walked = walk(session, () => NOMINAL_CALL_MS);
      walks.push(walkedSession(session, walked, seen));
      calls += walked.calls.length;
      runs = walked.calls.reduce((sum, { prompt }) => sum + prompt.length, runs);
      if (calls >= MAX_CALLS / cohorts || runs >= MAX_RUNS / cohorts) break;
    }
  }
  return walks;
}

function walkedSession(session: PlannedSession, walked: Walked, seen: SeenContent): WalkedSession {
  const { calls, nodes, toolCalls, makespanMs, widthMax } = walked;
  return {
    session,
    calls: calls.map(call => withoutContent(call, seen)),
    toolCalls,
    makespanMs,
    widthMax,
    chain: chainOf(nodes),
  };
}

function withoutContent({ prompt, output, warmTokens, ...call }: Call, seen: SeenContent): WalkedCall {
  // At least one token is computed, and only whole blocks hit.
  const known = Math.min(Math.max(seen.knownTokens(prompt), warmTokens), call.promptTokens - 1);
  seen.add([...prompt, ...output]);
  return { ...call, cachedTokens: Math.floor(known / CACHE_BLOCK_TOKENS) * CACHE_BLOCK_TOKENS };
}

/** The longest chain: back from the last node along what released it. */
function chainOf(nodes: readonly NodeRecord[]): { calls: number; toolMs: number } {
  const byPath = new Map(
    nodes
      .filter(node => node.status === 'completed' || node.status === 'failed')
      .map(node => [node.call, node]),
  );
  let last: NodeRecord | undefined;
  for (const node of byPath.values()) if (last === undefined || node.endMs > last.endMs) last = node;
  let calls = 0;
  let toolMs = 0;
  for (let node = last; node !== undefined; node = node.cause === null ? undefined : byPath.get(node.cause)) {
    if (node.kind === 'llm') calls++;
    else toolMs += node.endMs - node.startMs;
  }
  return { calls, toolMs };
}
