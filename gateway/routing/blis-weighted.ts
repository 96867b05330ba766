// BLIS's default router: llm-d's scheme with BLIS's own formulas, each normalised over the replicas as they stand.
import { KnownPrefixes } from './known-prefixes.ts';
import { refuseOptions } from './options.ts';
import { defineRoutingPolicy } from './policy.ts';
import {
  activeRequest,
  highestSum,
  kv,
  loadAware,
  loadBalance,
  moreIsBetter,
  noHitLru,
  queue,
  running,
  type Scorer,
  scorerWeights,
  vllmDp,
  weighted,
} from './scorers.ts';

const SCORERS = [
  'precise_prefix',
  'queue',
  'kv',
  'running',
  'load_balance',
  'active_requests',
  'load_aware',
  'vllm_dp',
  'no_hit_lru',
] as const;
type ScorerName = (typeof SCORERS)[number];

/** BLIS's `DefaultScorerConfigs` [sim/routing_scorers.go]. */
const WEIGHTS = { precise_prefix: 2, queue: 1, kv: 1 };

/** Cached tokens, the most 1 and the least 0; equal: 1. BLIS asks the caches; here it is as late as KV events are. */
const precisePrefix: Scorer = ({ cachedTokens, rows }, scores) => moreIsBetter(cachedTokens, rows, scores);

/**
 * Sum of weight * score, the highest wins, of equal ones a drawn one:
 *
 *     precise_prefix    (cached - min) / (max - min)                queue, running  (max - x) / (max - min), scraped
 *     kv                1 - KV in use, scraped                      active_requests (max - x) / max, 1 if none
 *     load_balance      1 / (1 + waiting + running + in hand)       load_aware      0.5 * (1 - min(queue, 128) / 128)
 *     vllm_dp           of 4 * waiting + running, as queue          no_hit_lru      as in llm-d
 *
 * Where engines tell no KV events, what was sent counts as cached. Left out: prefix-affinity (llm-d's `prefix`), LoRA.
 */
export default defineRoutingPolicy({
  name: 'blis-weighted',
  doc: 'Takes the replica of the highest weighted sum of cached prefix, short queue and free KV, as BLIS scores them.',
  source: 'BLIS (inference-sim) `weighted`: precise-prefix-cache 2, queue-depth 1, kv-utilization 1',
  create({ weights: given, ...options }, { blockTokens }) {
    refuseOptions('blis-weighted', options);
    const weights = scorerWeights<ScorerName>('blis-weighted', given, SCORERS, WEIGHTS);
    const isPrefixAsked = weights.precise_prefix !== undefined || weights.no_hit_lru !== undefined;
    const known = new KnownPrefixes({ remembered: { chunkTokens: blockTokens }, usesEvents: true });
    const cold = noHitLru();
    const scorers: Record<ScorerName, Scorer> = {
      precise_prefix: precisePrefix,
      queue,
      kv,
      running,
      load_balance: loadBalance,
      active_requests: activeRequest,
      load_aware: loadAware,
      vllm_dp: vllmDp(),
      no_hit_lru: cold.scorer,
    };
    const best = highestSum(weighted(scorers, weights));
    const rows: number[] = [];
    const none: number[] = [];
    return {
      route(arrival, view) {
        const { ids } = view;
        rows.length = none.length = ids.length;
        for (let row = 0; row < ids.length; row++) {
          rows[row] = row;
          none[row] = 0;
        }
        const cachedTokens = isPrefixAsked ? known.look(arrival, view).device : none;
        const row = best({ arrival, view, rows, cachedTokens });
        if (isPrefixAsked) known.sent(arrival, ids[row]!, view.nowMs);
        cold.sent(ids[row]!);
        return row;
      },
      observe(event) {
        if (event.kind === 'left') known.forget(event.replicaId);
      },
    };
  },
});
