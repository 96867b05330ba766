// SGLang router `cache_aware`, its default: the replica that was sent most of the prompt before, if that is enough of it
// and load is even; the least loaded while load is uneven. Its tree of past prompts is approximate: engines tell nothing.
import { choiceOption, numberOptions } from './options.ts';
import { lowestRow } from './picker.ts';
import { defineRoutingPolicy } from './policy.ts';
import { PrefixIndex } from './prefix-index.ts';

const DEFAULTS = {
  /** Load is uneven if max - min > balance_abs_threshold and max > balance_rel_threshold * min, in requests. */
  balance_abs_threshold: 64,
  balance_rel_threshold: 1.5,
  /** A match counts if matched / prompt > cache_threshold. */
  cache_threshold: 0.3,
  /** 2^26 characters of each replica's tree, at 4 characters a token. SGLang trims it once a minute, we at once. */
  max_tree_tokens: 2 ** 24,
};

/**
 * Uneven load: argmin outstanding. Else matched / L > cache_threshold: argmax matched. Else `fallback`: least_load, as
 * the code does (argmin outstanding), or smallest_tree, as the comment at its head says (argmin tokens in its tree). Of
 * several, the lowest row; the code takes any of those that match. The tree is by character, ours by token. Whatever
 * the reason, the prompt enters the tree of the replica chosen [sgl-model-gateway 0.3.2, policies/cache_aware.rs].
 */
export default defineRoutingPolicy({
  name: 'sglang-cache-aware',
  doc: 'Takes the replica that was sent most of the prompt before, if enough of it; the least loaded if load is uneven.',
  source: 'SGLang router `cache_aware` (0.3.2)',
  create(options) {
    const read = numberOptions('sglang-cache-aware', options, DEFAULTS, { besides: ['fallback'] });
    const fallback = choiceOption('sglang-cache-aware', options, 'fallback', ['least_load', 'smallest_tree']);
    const { balance_abs_threshold: spreadMax, balance_rel_threshold: ratioMax, cache_threshold } = read;
    const index = new PrefixIndex({ chunkTokens: 1, capacityTokens: read.max_tree_tokens });

    function smallestTree(ids: readonly number[]): number {
      let best = 0;
      for (let row = 1; row < ids.length; row++)
        if (index.heldTokens(ids[row]!) < index.heldTokens(ids[best]!)) best = row;
      return best;
    }

    return {
      route({ prompt, promptTokens }, { nowMs, ids, outstanding }) {
        let row = lowestRow(outstanding);
        const least = outstanding[row]!;
        let most = least;
        for (let i = 0; i < outstanding.length; i++) most = Math.max(most, outstanding[i]!);
        const isUneven = most - least > spreadMax && most > ratioMax * least;
        if (!isUneven) {
          const matched = index.match(prompt, ids, nowMs);
          let best = 0;
          for (let i = 1; i < matched.length; i++) if (matched[i]! > matched[best]!) best = i;
          if (matched[best]! > cache_threshold * promptTokens) row = best;
          else if (fallback === 'smallest_tree') row = smallestTree(ids);
        }
        index.add(prompt, ids[row]!, nowMs);
        return row;
      },
      observe(event) {
        if (event.kind === 'left') index.forget(event.replicaId);
      },
    };
  },
});
