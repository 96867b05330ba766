// vLLM production-stack `kvaware`: the replica whose cache has most of the prompt, as the LMCache controller knows it, if
// that leaves little to compute; else the session's replica on a hash ring.
import { HashRing } from './hash-ring.ts';
import { numberOptions } from './options.ts';
import { defineRoutingPolicy } from './policy.ts';

const DEFAULTS = {
  /** Tokens that may be missing of a match [kv_aware_threshold, routing_logic.py]. */
  threshold_tokens: 2000,
};

/** Points of a replica on the ring of sessions: uhashring's default. */
const VIRTUAL_NODES = 160;

/**
 * argmax matched tokens (in any tier: LMCache holds them all; of several, the lowest row) if anything matched and
 * matched >= max(L - threshold, 0); else by session. Every request of ours has a session, so the fallback to the lowest
 * rate of requests never applies. Without KV events nothing is known to match: every request goes by its session.
 */
export default defineRoutingPolicy({
  name: 'production-stack-kv',
  doc: 'Takes the replica whose KV cache has all but a little of the prompt, by KV events; else goes by session.',
  source: 'vLLM production-stack `kvaware` (a6c01db0, routing_logic.py) with the LMCache controller',
  create(options) {
    const { threshold_tokens: threshold } = numberOptions('production-stack-kv', options, DEFAULTS);
    const ring = new HashRing(VIRTUAL_NODES);
    return {
      route({ sessionKey, promptTokens }, view) {
        const hits = view.prefixHits();
        let best = 0;
        let matched = 0;
        for (let row = 0; hits !== null && row < view.ids.length; row++) {
          const tokens = hits.device[row]! + hits.host[row]! + hits.disk[row]!;
          if (tokens <= matched) continue;
          best = row;
          matched = tokens;
        }
        if (matched > 0 && matched >= promptTokens - threshold) return best;
        return ring.rowAt(ring.find(view.replicas, sessionKey));
      },
    };
  },
});
