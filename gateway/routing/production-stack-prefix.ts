// vLLM production-stack `prefixaware`: any of the replicas that were sent most of this prompt before, drawn. It forgets
// nothing and sees no load: a prefix that all share draws everything to where it was first.
import { refuseOptions } from './options.ts';
import { drawnRow } from './picker.ts';
import { defineRoutingPolicy } from './policy.ts';
import { PrefixIndex } from './prefix-index.ts';

/** The hash trie has chunks of 128 characters [hashtrie.py]; a token is taken for 4 characters, as llm-d does. */
const CHUNK_TOKENS = 32;

/**
 * Drawn evenly among argmax matched chunks; the least match is 0, so that a prompt nobody was sent goes anywhere. The
 * trie also hashes a last chunk that is not full, which tells only replicas of a whole equal prompt apart: left out.
 */
export default defineRoutingPolicy({
  name: 'production-stack-prefix',
  doc: 'Draws one of the replicas that were sent most of the prompt before; forgets nothing, sees no load.',
  source: 'vLLM production-stack `prefixaware` (a6c01db0, prefix/hashtrie.py)',
  create(options) {
    refuseOptions('production-stack-prefix', options);
    const index = new PrefixIndex({ chunkTokens: CHUNK_TOKENS });
    return {
      route({ key, prompt }, { nowMs, ids }) {
        const matched = index.match(prompt, ids, nowMs);
        let most = 0;
        let count = 0;
        for (let row = 0; row < matched.length; row++) {
          if (matched[row]! > most) {
            most = matched[row]!;
            count = 1;
          } else if (matched[row] === most) count += 1;
        }
        let left = drawnRow(key, 0, count);
        let row = 0;
        while (matched[row] !== most || left-- > 0) row += 1;
        index.add(prompt, ids[row]!, nowMs);
        return row;
      },
      observe(event) {
        if (event.kind === 'left') index.forget(event.replicaId);
      },
    };
  },
});
