// Ray Serve LLM's prefix-aware power of two: while queues are even, the replica that was sent most of the prompt before,
// or the one with the smallest tree where none was sent enough; else power of two choices.
import { numberOptions } from './options.ts';
import { defineRoutingPolicy } from './policy.ts';
import { lessOfTwo } from './power-of-two.ts';
import { PrefixIndex } from './prefix-index.ts';

const DEFAULTS = {
  /** Queues are uneven if max - min > imbalanced_threshold, in requests. */
  imbalanced_threshold: 10,
  /** Matched / prompt from which on a match counts. */
  match_rate_threshold: 0.1,
  /** Of each replica's tree. Ray forgets nothing by default; with do_eviction, 400k characters, at 4 a token 100,000. */
  capacity_tokens: Number.POSITIVE_INFINITY,
};

/**
 * max - min > 10: power of two choices. Else, of the replicas with argmax matched if matched / L >= 0.1, otherwise of
 * those with the smallest tree, the one with the shortest queue; of several, the lowest row. The tree is by character,
 * ours by token [prefix_aware_router.py, PrefixCacheAffinityRouter].
 */
export default defineRoutingPolicy({
  name: 'ray-prefix-pow2',
  doc: 'Takes the replica that was sent most of the prompt before while queues are even; else the better of two drawn.',
  source: 'Ray Serve LLM `PrefixCacheAffinityRouter` (PrefixAwarePow2ReplicaRouter)',
  create(options) {
    const read = numberOptions('ray-prefix-pow2', options, DEFAULTS);
    const { imbalanced_threshold: spreadMax, match_rate_threshold: rateMin } = read;
    const index = new PrefixIndex({ chunkTokens: 1, capacityTokens: read.capacity_tokens });

    function byPrefix(
      matched: readonly number[],
      promptTokens: number,
      ids: readonly number[],
      outstanding: readonly number[],
    ): number {
      let most = 0;
      for (let row = 0; row < matched.length; row++) most = Math.max(most, matched[row]!);
      const isMatch = most >= rateMin * promptTokens;
      let best = 0;
      let bestSize = Number.POSITIVE_INFINITY;
      for (let row = 0; row < ids.length; row++) {
        // The longest match, or the smallest tree.
        const size = isMatch ? -matched[row]! : index.heldTokens(ids[row]!);
        if (size > bestSize || (size === bestSize && outstanding[row]! >= outstanding[best]!)) continue;
        best = row;
        bestSize = size;
      }
      return best;
    }

    return {
      route({ key, prompt, promptTokens }, { nowMs, ids, outstanding }) {
        let least = outstanding[0]!;
        let most = least;
        for (let row = 1; row < outstanding.length; row++) {
          least = Math.min(least, outstanding[row]!);
          most = Math.max(most, outstanding[row]!);
        }
        const row =
          most - least > spreadMax
            ? lessOfTwo(key, outstanding)
            : byPrefix(index.match(prompt, ids, nowMs), promptTokens, ids, outstanding);
        index.add(prompt, ids[row]!, nowMs);
        return row;
      },
      observe(event) {
        if (event.kind === 'left') index.forget(event.replicaId);
      },
    };
  },
});
