// llm-d's endpoint picker (EPP): replicas that a filter left get scores from 0 to 1, and the highest weighted sum wins.
// Its saturation detector and flow control stand before routing: gateway/admission.

import { IdTable } from '../../scenarios/base/id-table.ts';
import { extend, type Key, keyNumber, uniform } from '../../scenarios/base/key.ts';
import { KvLoad } from './kv-load.ts';
import { numberOptions } from './options.ts';
import { defineRoutingPolicy, type RoutingArrival, type RoutingEvent } from './policy.ts';
import { PrefixIndex } from './prefix-index.ts';
import {
  activeRequest,
  highestSum,
  kv,
  loadAware,
  noHitLru,
  type Question,
  queue,
  running,
  type Scorer,
  scorerWeights,
  weighted,
} from './scorers.ts';

const SCORERS = [
  'queue',
  'running',
  'kv',
  'prefix',
  'precise_prefix',
  'load_aware',
  'active_request',
  'token_load',
  'session_affinity',
  'no_hit_lru',
] as const;
type ScorerName = (typeof SCORERS)[number];
/** Those that ask what was sent before. */
const PREFIX_SCORERS = ['prefix', 'precise_prefix', 'token_load', 'no_hit_lru'] as const;

/** Weights of llm-d's default configuration [policies.md 2.2]. */
const WEIGHTS = { queue: 2, kv: 2, prefix: 3 };

const DEFAULTS = {
  /** The filter keeps replicas with this much of the prompt or more; 0: no filter. llm-d's own is 0.80. */
  affinity_threshold: 0,
  /** Share of calls that the filter lets pass, to seed other caches. */
  exploration: 0.01,
  /** The filter keeps all when the best of the kept would take so much longer to a first token; 0: never. */
  max_ttft_penalty_ms: 5_000,
  /** For that: prompt tokens a replica computes per second; Qwen 32B on 2 H100 [filter/prefixcacheaffinity]. */
  prefill_tokens_per_sec: 15_928,
};
const MOST = { affinity_threshold: 1, exploration: 1 };

/** The approximate index: blocks of so many tokens, of a prompt the first 256, of a replica the last 31,250. */
const BLOCK_TOKENS = 16;
const BLOCKS_OF_PROMPT = 256;
const BLOCKS_OF_REPLICA = 31_250;

/** What a cached token is worth by tier [llm-d-kv-cache `DefaultKVCacheBackendConfig`: gpu, cpu, storage]. */
const HOST_WORTH = 0.8;
const DISK_WORTH = 0.3;

/** In-flight tokens that score 0: 128 requests of 32k [token_load.go `tokenQueueThresholdDefault`]. */
const TOKENS_MAX = 4_194_304;

/** Sessions whose replica is remembered: two generations of so many. llm-d itself has the client carry the name. */
const SESSIONS = 1 << 16;

/** Tells this draw from others of the same call. */
const EXPLORE = 0xe7;

/**
 * Sum of weight * score, the highest wins, of equal ones a drawn one:
 *
 *     queue, running    (max - x) / (max - min), scraped            kv   1 - KV in use, scraped
 *     prefix            cached blocks / blocks, of 16 tokens, as sent; of the first 256, the replica's last 31,250
 *     precise_prefix    cached tokens, host 0.8 and disk 0.3, / tokens of whole blocks, by KV events; without: prefix
 *     load_aware        0.5 * (1 - min(queue, 128) / 128)           active_request   (max - x) / max, 1 if none
 *     token_load        1 - min(t, 4,194,304) / 4,194,304, t uncached tokens without a first token, with this call's
 *     session_affinity  1 where the session's last answer came from, else 0
 *     no_hit_lru        of a call cached nowhere: 1 - rank by its last such call / (n - 1); else 0.5
 *
 * The prefix-affinity filter comes before them. Left out: LoRA and context length (nothing here has them), predicted
 * latency (a model of its own that is trained on the run).
 */
export default defineRoutingPolicy({
  name: 'llm-d',
  doc: 'Takes the replica of the highest weighted sum of scores: queue, KV in use and cached prefix, or others.',
  source: 'llm-d endpoint picker (llm-d-router, scorers and max-score-picker), default weights 2, 2, 3',
  create(options, { blockTokens }) {
    const weights = scorerWeights<ScorerName>('llm-d', options.weights, SCORERS, WEIGHTS);
    const given = numberOptions('llm-d', options, DEFAULTS, { most: MOST, besides: ['weights'] });
    const hasFilter = given.affinity_threshold > 0;
    const isPrefixAsked = hasFilter || PREFIX_SCORERS.some(name => weights[name] !== undefined);
    const sentBefore = new PrefixIndex({
      chunkTokens: BLOCK_TOKENS,
      capacityTokens: BLOCKS_OF_REPLICA * BLOCK_TOKENS,
      promptTokensMax: BLOCKS_OF_PROMPT * BLOCK_TOKENS,
    });
    const load = new KvLoad({ countsPrompts: false });
    const sessions = new LastReplicas();
    const cold = noHitLru();
    const scorers: Record<ScorerName, Scorer> = {
      queue,
      running,
      kv,
      prefix: sentShare,
      precise_prefix: preciseShare(blockTokens),
      load_aware: loadAware,
      active_request: activeRequest,
      token_load({ view: { ids }, rows, arrival, cachedTokens }, scores) {
        for (const row of rows) {
          const own = Math.max(0, arrival.promptTokens - cachedTokens[row]!);
          scores[row] = 1 - Math.min(load.prefillTokens(ids[row]!) + own, TOKENS_MAX) / TOKENS_MAX;
        }
      },
      session_affinity({ view: { ids }, rows, arrival }, scores) {
        const last = sessions.of(arrival.sessionKey);
        for (const row of rows) scores[row] = ids[row] === last ? 1 : 0;
      },
      no_hit_lru: cold.scorer,
    };
    const best = highestSum(weighted(scorers, weights));
    const all: number[] = [];
    const none: number[] = [];
    const shares: number[] = [];

    /** The prefix-affinity filter: the rows that have the prompt, unless they are too far behind the others. */
    function sticky(question: Question): Question {
      const { arrival, view, rows } = question;
      if (!hasFilter || uniform(extend(arrival.key, EXPLORE)) < given.exploration) return question;
      sentShare(question, shares);
      let keptTokens = Number.POSITIVE_INFINITY;
      let otherTokens = Number.POSITIVE_INFINITY;
      const kept = rows.filter(row => {
        const tokens = load.prefillTokens(view.ids[row]!);
        const isKept = shares[row]! >= given.affinity_threshold;
        if (isKept) keptTokens = Math.min(keptTokens, tokens);
        else otherTokens = Math.min(otherTokens, tokens);
        return isKept;
      });
      if (kept.length === 0) return question;
      const penaltyMs = ((keptTokens - otherTokens) / given.prefill_tokens_per_sec) * 1000;
      const isTooSlow = given.max_ttft_penalty_ms > 0 && penaltyMs > given.max_ttft_penalty_ms;
      return isTooSlow ? question : { ...question, rows: kept };
    }

    return {
      route(arrival, view) {
        const { ids, nowMs } = view;
        all.length = none.length = ids.length;
        for (let row = 0; row < ids.length; row++) {
          all[row] = row;
          none[row] = 0;
        }
        const cachedTokens = isPrefixAsked ? sentBefore.match(arrival.prompt, ids, nowMs) : none;
        const row = best(sticky({ arrival, view, rows: all, cachedTokens }));
        const id = ids[row]!;
        load.add(arrival, id, Math.max(0, arrival.promptTokens - cachedTokens[row]!));
        if (isPrefixAsked) sentBefore.add(arrival.prompt, id, nowMs);
        cold.sent(id);
        if (weights.session_affinity !== undefined) sessions.sent(arrival);
        return row;
      },
      observe(event) {
        load.observe(event);
        sessions.observe(event);
        if (event.kind === 'left') sentBefore.forget(event.replicaId);
      },
    };
  },
});

/** Cached blocks over blocks, of those that the approximate index looks at. */
const sentShare: Scorer = ({ arrival, rows, cachedTokens }, scores) => {
  const blocks = Math.min(Math.floor(arrival.promptTokens / BLOCK_TOKENS), BLOCKS_OF_PROMPT);
  for (const row of rows) scores[row] = blocks === 0 ? 0 : cachedTokens[row]! / BLOCK_TOKENS / blocks;
};

/** Cached tokens, by the worth of their tier, over those of whole blocks. */
function preciseShare(blockTokens: number): Scorer {
  return (question, scores) => {
    const { arrival, view, rows } = question;
    const hits = view.prefixHits();
    if (hits === null) return sentShare(question, scores);
    const tokens = arrival.promptTokens - (arrival.promptTokens % blockTokens);
    for (const row of rows) {
      const worth = hits.device[row]! + HOST_WORTH * hits.host[row]! + DISK_WORTH * hits.disk[row]!;
      scores[row] = tokens === 0 ? 0 : worth / tokens;
    }
  };
}

/** The replica that a session's last answer came from. */
class LastReplicas {
  private young = new Map<number, number>();
  private old = new Map<number, number>();
  /** By request. */
  private readonly waiting = new IdTable<number>();

  of(session: Key): number | undefined {
    const name = keyNumber(session);
    return this.young.get(name) ?? this.old.get(name);
  }

  sent({ id, sessionKey }: RoutingArrival): void {
    this.waiting.set(id, keyNumber(sessionKey));
  }

  observe(event: RoutingEvent): void {
    if (event.kind !== 'ended') return;
    const name = this.waiting.get(event.id);
    if (name === undefined) return;
    this.waiting.delete(event.id);
    this.young.set(name, event.replicaId);
    if (this.young.size < SESSIONS) return;
    this.old = this.young;
    this.young = new Map();
  }
}
