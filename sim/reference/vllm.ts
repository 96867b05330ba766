// vLLM V1: the step of scheduler.ts over the blocks of kv-cache.ts, which a retention policy may rank.
import type { StepModel } from '../../engines/engine.ts';
import { addSequence, emptyLoad } from '../../engines/step-load.ts';
import { beyondCache } from '../refusal.ts';
import { retentionPolicy } from '../retention/index.ts';
import type { Engine, Queues } from './engine.ts';
import { KvCache } from './kv-cache.ts';
import { Prefetches } from './prefetches.ts';
import { Retained } from './retained.ts';
import { schedule } from './scheduler.ts';
import { mostTokens } from './speculative.ts';

const NS_PER_MS = 1e6;

export function vllm(queues: Queues): Engine {
  const { pool, limits } = queues;
  const { blockTokens } = limits;
  const cache = new KvCache(limits);
  const { tiers } = queues.loads;
  if (tiers !== null) cache.onEvicted = hash => tiers.evicted.push(hash);
  const retained = retainedOf(queues, cache);
  return {
    cache,
    get usedBlocks() {
      return cache.usedBlocks;
    },
    get evictedBlocks() {
      return cache.evictedBlocks;
    },
    refusal: submission => beyondCache(mostTokens(pool, submission), limits),
    arrived: (request, atNs) => retained?.arrived(atNs, request),
    seed({ submission, hashes }) {
      if (submission.warmTokens === 0) return;
      cache.seed(hashes.slice(0, Math.floor(submission.warmTokens / blockTokens)));
    },
    cachedTokens: ({ submission, hashes }) =>
      cache.hits(hashes, submission.promptTokens).length * blockTokens,
    schedule(atNs) {
      retained?.expire(atNs);
      const plan = schedule({ ...queues, cache }, atNs);
      retained?.admitted(atNs, plan.admitted);
      tiers?.writeEvicted(atNs, cache);
      return plan;
    },
    stepEnded: (plan, atNs) => tiers?.writeComputed(atNs, plan),
    loaded({ blocks, computed, hashes }) {
      cache.allocate(blocks, [], blocks.length * blockTokens, hashes, computed);
    },
    release(request, atNs) {
      if (retained === null) cache.release(request.blocks);
      else retained.release(atNs, request);
    },
    sessionEnded: (session, atNs) => retained?.sessionEnded(atNs, session),
  };
}

/** The pool's retention policy at work here; null where blocks go as in vLLM. */
function retainedOf({ pool, limits, loads }: Queues, cache: KvCache): Retained | null {
  if (pool.retention === null || !limits.prefixCaching) return null;
  const { policy, options } = pool.retention;
  const prefillMs = (tokens: number) => prefillNs(pool.step, tokens, limits.maxBatchedTokens) / NS_PER_MS;
  const { tiers } = loads;
  const keeper = retentionPolicy(policy).create(options, {
    blockTokens: limits.blockTokens,
    prefillMs,
    restoreMs: tokens =>
      tiers === null ? prefillMs(tokens) : Math.min(prefillMs(tokens), tiers.readNs(tokens) / NS_PER_MS),
  });
  if (keeper === null) return null;
  return new Retained(keeper, cache, tiers === null ? null : new Prefetches(tiers, cache, loads.totals));
}

/** A prompt alone in its steps, in chunks of the whole token budget. */
function prefillNs(step: StepModel, tokens: number, chunkTokens: number): number {
  let ns = 0;
  for (let before = 0; before < tokens; before += chunkTokens) {
    const load = emptyLoad();
    addSequence(load, before, Math.min(chunkTokens, tokens - before), true);
    ns += step.stepNs(load);
  }
  return ns;
}
