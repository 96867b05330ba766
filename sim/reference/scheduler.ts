// One step of vLLM V1's scheduler (v1/core/sched/scheduler.py, async_scheduler.py): who computes how many tokens, in
// order of arrival or of priority; chunked prefill, recompute preemption, the full-sequence admission gate.
// Rule: running requests first, in order of admission; nothing is admitted in a step that preempted.
import type { EngineLimits, StepLoad } from '../../engines/engine.ts';
import { addSequence, emptyLoad } from '../../engines/step-load.ts';
import type { KvCache } from './kv-cache.ts';
import { isEnding, type Request, targetTokens } from './request.ts';

/** What one step computes. */
export interface StepPlan {
  scheduled: { request: Request; tokens: number; samples: boolean }[];
  /** Out of `scheduled`: moved from waiting to running in this step. */
  admitted: Request[];
  /** Moved from running to waiting. */
  preempted: Request[];
  /** Tokens of the budget nobody took. */
  budgetLeft: number;
  load: StepLoad;
}

/** The part of a replica that scheduling reads and changes. */
export interface Schedulable {
  readonly limits: EngineLimits;
  readonly cache: KvCache;
  /** In order of admission. */
  readonly running: Request[];
  /** In order of `goesBefore`; first come, first served, preempted ones in front. */
  readonly waiting: Request[];
}

/** By priority, lower first, then by arrival. */
export const goesBefore = (a: Request, b: Request): boolean =>
  a.submission.priority < b.submission.priority ||
  (a.submission.priority === b.submission.priority && a.arrival < b.arrival);

export function schedule(replica: Schedulable): StepPlan {
  const { limits, cache, running, waiting } = replica;
  const plan: StepPlan = {
    scheduled: [],
    admitted: [],
    preempted: [],
    budgetLeft: limits.maxBatchedTokens,
    load: emptyLoad(),
  };
  /** A long prompt leaves room for others, if there are any. */
  const capped = (tokens: number): number => {
    const { longPrefillTokens } = limits;
    const alone = running.length + waiting.length <= 1;
    return longPrefillTokens > 0 && !alone ? Math.min(tokens, longPrefillTokens) : tokens;
  };

  // A. Running requests: decodes take one token, prefills what is left of their prompt or of the budget.
  for (let place = 0; place < running.length && plan.budgetLeft > 0; place++) {
    const request = running[place]!;
    if (isEnding(request)) continue;
    const tokens = Math.min(capped(targetTokens(request) - request.computed), plan.budgetLeft);
    if (tokens === 0) continue;
    let isVictim = false;
    while (!isVictim && !cache.canAllocate(request.blocks, [], request.computed + tokens)) {
      const victim = victimOf(replica);
      if (running.indexOf(victim) < place) place -= 1;
      preempt(replica, plan, victim);
      isVictim = victim === request;
    }
    if (isVictim) break;
    cache.allocate(request.blocks, [], request.computed + tokens, request.hashes);
    take(plan, request, tokens);
  }

  // B. Waiting requests, in order. The first that does not fit stops the line: no small follower passes a big head.
  while (
    plan.preempted.length === 0 &&
    waiting.length > 0 &&
    plan.budgetLeft > 0 &&
    running.length < limits.maxSequences
  ) {
    const request = waiting[0]!;
    const target = targetTokens(request);
    const hits = cache.hits(request.hashes, target);
    const hitTokens = hits.length * cache.blockTokens;
    const wanted = capped(target - hitTokens);
    if (!limits.chunkedPrefill && wanted > plan.budgetLeft) break;
    // The gate: all of the sequence must fit now, though only the blocks of this chunk are taken.
    if (!cache.canAllocate([], hits, target)) break;
    const tokens = Math.min(wanted, plan.budgetLeft);
    cache.allocate(request.blocks, hits, hitTokens + tokens, request.hashes);
    waiting.shift();
    running.push(request);
    request.computed = hitTokens;
    request.hitTokens += hitTokens;
    plan.admitted.push(request);
    take(plan, request, tokens);
  }
  commit(plan);
  return plan;
}

function take(plan: StepPlan, request: Request, tokens: number): void {
  plan.scheduled.push({ request, tokens, samples: false });
  plan.budgetLeft -= tokens;
}

/** The last admitted; by priority, the one that would wait longest. */
function victimOf({ limits, running }: Schedulable): Request {
  if (limits.schedulingPolicy === 'fcfs') return running.at(-1)!;
  return running.reduce((worst, request) => (goesBefore(worst, request) ? request : worst));
}

/** Recompute preemption: the victim loses its blocks and waits in front of its like; it normally hits them again. */
function preempt(replica: Schedulable, plan: StepPlan, victim: Request): void {
  const { cache, running, waiting, limits } = replica;
  running.splice(running.indexOf(victim), 1);
  // Only by priority: a victim that has tokens in this step already gives them back.
  const taken = plan.scheduled.findIndex(({ request }) => request === victim);
  if (taken >= 0) plan.budgetLeft += plan.scheduled.splice(taken, 1)[0]!.tokens;
  cache.release(victim.blocks);
  victim.lostTokens += victim.computed;
  victim.computed = 0;
  victim.preemptions += 1;
  const place = limits.schedulingPolicy === 'fcfs' ? 0 : waiting.findIndex(each => goesBefore(victim, each));
  waiting.splice(place < 0 ? waiting.length : place, 0, victim);
  plan.preempted.push(victim);
}

/** The step is decided: its tokens count as computed, and what it will emit as expected. */
function commit(plan: StepPlan): void {
  for (const entry of plan.scheduled) {
    const { request, tokens } = entry;
    const before = request.computed;
    request.computed += tokens;
    entry.samples = request.computed === targetTokens(request);
    if (entry.samples) request.expected += 1;
    addSequence(plan.load, before, tokens, entry.samples);
  }
}
