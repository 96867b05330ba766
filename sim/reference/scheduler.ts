// One step of vLLM V1's scheduler (v1/core/sched/scheduler.py, async_scheduler.py): who computes how many tokens, in
// order of arrival or of priority; chunked prefill, recompute preemption, the full-sequence admission gate.
// Rule: running requests first, in order of admission; nothing is admitted in a step that preempted.
import type { StepLoad } from '../../engines/engine.ts';
import { addSequence, emptyLoad } from '../../engines/step-load.ts';
import type { Queues } from './engine.ts';
import type { KvCache } from './kv-cache.ts';
import { awaitsToken } from './pipeline.ts';
import { isEnding, knownTokens, type Request, targetTokens } from './request.ts';
import { draftTokens } from './speculative.ts';

/** A request's part of a step. */
export interface Scheduled {
  request: Request;
  tokens: number;
  /** The last of `tokens`, drafted and not yet verified. */
  drafts: number;
  /** Whether its next token appears when the step ends. */
  samples: boolean;
  /** The request's preemptions so far: a later one means that the KV of this step is lost. */
  preemptions: number;
  /** Its tokens whose KV is there at the end of the step, drafts included. */
  computed: number;
}

/** What one step computes. */
export interface StepPlan {
  scheduled: Scheduled[];
  /** Out of `scheduled`: moved from waiting to running in this step. */
  admitted: Request[];
  /** Moved from running to waiting. */
  preempted: Request[];
  /** Tokens of the budget nobody took. */
  budgetLeft: number;
  load: StepLoad;
}

/** `waiting` is in order of `goesBefore`; first come, first served, preempted ones in front. */
export interface Schedulable extends Queues {
  readonly cache: KvCache;
}

/** By priority, lower first, then by arrival. */
export const goesBefore = (a: Request, b: Request): boolean =>
  a.submission.priority < b.submission.priority ||
  (a.submission.priority === b.submission.priority && a.arrival < b.arrival);

export function schedule(replica: Schedulable, atNs: number): StepPlan {
  const { pool, limits, cache, running, waiting, loads } = replica;
  const plan = newPlan(limits.maxBatchedTokens);
  /** A long prompt leaves room for others, if there are any. */
  const capped = (tokens: number): number => {
    const { longPrefillTokens } = limits;
    const alone = running.length + waiting.length + loads.count <= 1;
    return longPrefillTokens > 0 && !alone ? Math.min(tokens, longPrefillTokens) : tokens;
  };

  // A. Running requests: decodes take one token, prefills what is left of their prompt or of the budget.
  for (let place = 0; place < running.length && plan.budgetLeft > 0; place++) {
    const request = running[place]!;
    if (isEnding(request) || awaitsToken(pool, request)) continue;
    const missing = targetTokens(request) - request.computed;
    const tokens = Math.min(capped(missing + draftTokens(pool, request)), plan.budgetLeft);
    if (tokens === 0) continue;
    const drafts = Math.max(0, tokens - missing);
    let isVictim = false;
    while (!isVictim && !cache.canAllocate(request.blocks, [], request.computed + tokens)) {
      const victim = victimOf(replica);
      if (running.indexOf(victim) < place) place -= 1;
      preempt(replica, plan, victim);
      isVictim = victim === request;
    }
    if (isVictim) break;
    cache.allocate(request.blocks, [], request.computed + tokens, request.hashes, knownTokens(request));
    take(plan, request, tokens, drafts);
  }

  // B. Waiting requests, in order. The first that does not fit stops the line: no small follower passes a big head.
  while (plan.preempted.length === 0 && plan.budgetLeft > 0 && running.length < limits.maxSequences) {
    const queue = loads.done.length > 0 ? loads.done : waiting;
    const request = queue[0];
    if (request === undefined || awaitsToken(pool, request)) break;
    const target = targetTokens(request);
    const isLoaded = queue === loads.done;
    const hits = isLoaded ? [] : cache.hits(request.hashes, target);
    const hitTokens = hits.length * cache.blockTokens;
    const load = isLoaded ? null : loads.find(request, hits.length);
    if (load !== null) {
      if (!cache.canAllocate([], hits, target, loads.reservedBlocks(cache, running))) break;
      cache.allocate(request.blocks, hits, load.tokens, [], 0); // named when their KV is there
      waiting.shift();
      loads.start(atNs, request, load, hitTokens);
      continue;
    }
    const before = isLoaded ? request.computed : hitTokens;
    const wanted = capped(target - before);
    if (!limits.chunkedPrefill && wanted > plan.budgetLeft) break;
    // The gate: all of the sequence must fit now, though only the blocks of this chunk are taken.
    if (!cache.canAllocate(request.blocks, hits, target)) break;
    const tokens = Math.min(wanted, plan.budgetLeft);
    cache.allocate(request.blocks, hits, before + tokens, request.hashes);
    queue.shift();
    running.push(request);
    request.computed = before;
    request.hitTokens += hitTokens;
    loads.admitted(atNs, request);
    plan.admitted.push(request);
    take(plan, request, tokens);
  }
  commit(plan);
  return plan;
}

/** A step of nobody yet. */
export const newPlan = (budgetTokens: number): StepPlan => ({
  scheduled: [],
  admitted: [],
  preempted: [],
  budgetLeft: budgetTokens,
  load: emptyLoad(),
});

export function take(plan: StepPlan, request: Request, tokens: number, drafts = 0): void {
  const { preemptions } = request;
  plan.scheduled.push({ request, tokens, drafts, samples: false, preemptions, computed: 0 });
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
  loseTokens(victim);
  const place = limits.schedulingPolicy === 'fcfs' ? 0 : waiting.findIndex(each => goesBefore(victim, each));
  waiting.splice(place < 0 ? waiting.length : place, 0, victim);
  plan.preempted.push(victim);
}

/** What a preempted request had computed is lost. */
export function loseTokens(request: Request): void {
  request.lostTokens += request.computed;
  request.computed = 0;
  request.drafted = 0;
  request.preemptions += 1;
}

/** The step is decided: its tokens count as computed, and what it will emit as expected. */
export function commit(plan: StepPlan): void {
  for (const entry of plan.scheduled) {
    const { request, tokens, drafts } = entry;
    const before = request.computed;
    request.computed += tokens;
    entry.computed = request.computed;
    request.drafted += drafts;
    entry.samples = request.computed === targetTokens(request);
    if (entry.samples) request.expected += 1;
    addSequence(plan.load, before, tokens, entry.samples);
    plan.load.samples += drafts; // logits are needed at each drafted token too
  }
}
