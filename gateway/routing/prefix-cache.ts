// Prefix cache, as AIBrix routes by it: while the replicas are evenly loaded, the one that was sent most of this prompt
// before; else the least loaded. The router remembers what it sent; what an engine evicted since, it does not know.
import { refuseOptions } from './options.ts';
import { lowestRow } from './picker.ts';
import { defineRoutingPolicy } from './policy.ts';
import { PrefixIndex } from './prefix-index.ts';

/** Beyond this spread of outstanding requests the least loaded is taken [AIBrix prefix_cache.go; policies.md 2.3]. */
const SPREAD_MAX = 8;
/** AIBRIX_PREFIX_CACHE_BLOCK_SIZE: 128 characters, at 4 characters a token. */
const CHUNK_TOKENS = 32;
/** AIBRIX_PREFIX_CACHE_BLOCK_NUMBER: 200,000 blocks of each pod. */
const CAPACITY_TOKENS = 200_000 * CHUNK_TOKENS;

/** Mean plus one standard deviation: AIBrix takes no replica above it for its prefix. */
function crowded(outstanding: readonly number[]): number {
  let sum = 0;
  let squares = 0;
  for (let row = 0; row < outstanding.length; row++) {
    sum += outstanding[row]!;
    squares += outstanding[row]! * outstanding[row]!;
  }
  const mean = sum / outstanding.length;
  return mean + Math.sqrt(Math.max(0, squares / outstanding.length - mean * mean));
}

/**
 * max - min > 8: argmin outstanding. Else, among the replicas with outstanding <= mean + 1 standard deviation, argmax
 * matched, of several the one with the fewest outstanding, then the lowest row (AIBrix takes any of those); where
 * nothing matched, argmin outstanding.
 */
export default defineRoutingPolicy({
  name: 'prefix-cache',
  doc: 'Takes the replica that was sent most of the prompt before, unless load is uneven: then the least outstanding.',
  source:
    'AIBrix `prefix-cache` (e3e10f9e); like llm-d `prefix-cache` and vLLM production-stack `prefixaware` it remembers what it sent',
  create(options) {
    refuseOptions('prefix-cache', options);
    const index = new PrefixIndex({ chunkTokens: CHUNK_TOKENS, capacityTokens: CAPACITY_TOKENS });
    return {
      route({ prompt, makeup }, { nowMs, ids, outstanding }) {
        const least = lowestRow(outstanding);
        let most = outstanding[least]!;
        for (let row = 0; row < outstanding.length; row++) most = Math.max(most, outstanding[row]!);
        let best = least;
        if (most - outstanding[least]! <= SPREAD_MAX) {
          const matched = index.match(prompt, ids, nowMs, makeup);
          const limit = crowded(outstanding);
          for (let row = 0, tokens = 0; row < matched.length; row++) {
            if (matched[row] === 0 || outstanding[row]! > limit) continue;
            const gap = matched[row]! - tokens;
            if (gap < 0 || (gap === 0 && outstanding[row]! >= outstanding[best]!)) continue;
            best = row;
            tokens = matched[row]!;
          }
        }
        index.add(prompt, ids[best]!, nowMs, makeup);
        return best;
      },
      observe(event) {
        if (event.kind === 'left') index.forget(event.replicaId);
      },
    };
  },
});
