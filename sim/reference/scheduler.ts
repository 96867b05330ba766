// One step of vLLM V1's scheduler (v1/core/sched/scheduler.py): who computes how many tokens, FCFS, chunked prefill,
// recompute preemption, the full-sequence admission gate.
// Rule: running requests first, in order of admission; nothing is admitted in a step that preempted.

import type { EngineLimits, StepLoad } from '../../engines/engine.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import type { KvCache } from './kv-cache.ts';
import { type Request, targetTokens } from './request.ts';

/** What one step computes. */
export interface StepPlan {
  scheduled: { request: Request; tokens: number }[];
  /** Out of `scheduled`: moved from waiting to running in this step. */
  admitted: Request[];
  /** Moved from running to the front of waiting, the last admitted first. */
  preempted: Request[];
  /** Tokens of the budget nobody took. */
  budgetLeft: number;
}

/** The part of a replica that scheduling reads and changes. */
export interface Schedulable {
  readonly limits: EngineLimits;
  readonly cache: KvCache;
  /** In order of admission. */
  readonly running: Request[];
  /** In order of arrival, preempted ones in front. */
  readonly waiting: Request[];
}

export function schedule(replica: Schedulable): StepPlan {
  const { limits, cache, running, waiting } = replica;
  const plan: StepPlan = { scheduled: [], admitted: [], preempted: [], budgetLeft: limits.maxBatchedTokens };

  // A. Running requests: decodes take one token, prefills what is left of their prompt or of the budget.
  for (let place = 0; place < running.length && plan.budgetLeft > 0; place++) {
    const request = running[place]!;
    const tokens = Math.min(targetTokens(request) - request.computed, plan.budgetLeft);
    if (tokens === 0) continue;
    while (place < running.length && !cache.canAllocate(request.blocks, [], request.computed + tokens)) {
      preemptLast(replica, plan);
    }
    if (place === running.length) break; // it was the last admitted itself
    cache.allocate(request.blocks, [], request.computed + tokens, request.hashes);
    take(plan, request, tokens);
  }
  if (plan.preempted.length > 0) return plan;

  // B. Waiting requests, in order. The first that does not fit stops the line: no small follower passes a big head.
  while (waiting.length > 0 && plan.budgetLeft > 0 && running.length < limits.maxSequences) {
    const request = waiting[0]!;
    const target = targetTokens(request);
    const hits = cache.hits(request.hashes, target);
    // The gate: all of the sequence must fit now, though only the blocks of this chunk are taken.
    if (!cache.canAllocate([], hits, target)) break;
    const hitTokens = hits.length * cache.blockTokens;
    const tokens = Math.min(target - hitTokens, plan.budgetLeft);
    cache.allocate(request.blocks, hits, hitTokens + tokens, request.hashes);
    waiting.shift();
    running.push(request);
    request.computed = hitTokens;
    request.hitTokens += hitTokens;
    plan.admitted.push(request);
    take(plan, request, tokens);
  }
  return plan;
}

function take(plan: StepPlan, request: Request, tokens: number): void {
  plan.scheduled.push({ request, tokens });
  plan.budgetLeft -= tokens;
}

/** Recompute preemption: the last admitted loses its blocks and waits in front; it normally hits them again. */
function preemptLast({ cache, running, waiting }: Schedulable, plan: StepPlan): void {
  const victim = running.pop()!;
  // First come, first served: the victim stands behind the one being scheduled. Only priorities would preempt a request
  // that already has tokens in this step, and would have to refund them to the budget.
  invariant(
    plan.scheduled.every(({ request }) => request !== victim),
    () => `request ${victim.submission.id} is preempted after it was scheduled in the same step`,
  );
  cache.release(victim.blocks);
  victim.lostTokens += victim.computed;
  victim.computed = 0;
  victim.preemptions += 1;
  waiting.unshift(victim);
  plan.preempted.push(victim);
}

/** What the step model is asked about. */
export function stepLoad(plan: StepPlan): StepLoad {
  const load: StepLoad = { newTokens: 0, sequences: 0, contextTokens: 0, attentionPairs: 0 };
  for (const { request, tokens } of plan.scheduled) {
    const before = request.computed;
    load.newTokens += tokens;
    load.sequences += 1;
    load.contextTokens += before + tokens;
    load.attentionPairs += tokens * before + (tokens * (tokens + 1)) / 2;
  }
  return load;
}
