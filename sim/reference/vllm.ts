// vLLM V1: the step of scheduler.ts over the blocks of kv-cache.ts.
import { beyondCache } from '../refusal.ts';
import type { Engine, Queues } from './engine.ts';
import { KvCache } from './kv-cache.ts';
import { schedule } from './scheduler.ts';
import { mostTokens } from './speculative.ts';

export function vllm(queues: Queues): Engine {
  const { pool, limits } = queues;
  const { blockTokens } = limits;
  const cache = new KvCache(limits);
  const { tiers } = queues.loads;
  if (tiers !== null) cache.onEvicted = hash => tiers.evicted.push(hash);
  return {
    cache,
    get usedBlocks() {
      return cache.usedBlocks;
    },
    get evictedBlocks() {
      return cache.evictedBlocks;
    },
    refusal: submission => beyondCache(mostTokens(pool, submission), limits),
    seed({ submission, hashes }) {
      cache.seed(hashes.slice(0, Math.floor(submission.warmTokens / blockTokens)));
    },
    cachedTokens: ({ submission, hashes }) =>
      cache.hits(hashes, submission.promptTokens).length * blockTokens,
    schedule(atNs) {
      const plan = schedule({ ...queues, cache }, atNs);
      tiers?.writeEvicted(atNs, cache);
      return plan;
    },
    stepEnded: (plan, atNs) => tiers?.writeComputed(atNs, plan),
    loaded({ blocks, computed, hashes }) {
      cache.allocate(blocks, [], blocks.length * blockTokens, hashes, computed);
    },
    release: ({ blocks }) => cache.release(blocks),
  };
}
