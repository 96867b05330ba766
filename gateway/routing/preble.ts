// Preble's E2, exploitation and exploration: a prompt of which more is cached somewhere than not goes there; any other
// goes where it costs least, counting what the replica has had to do, what it would evict, and the prompt's own prefill.
import { IdTable } from '../../scenarios/base/id-table.ts';
import { numberOptions } from './options.ts';
import { defineRoutingPolicy } from './policy.ts';
import { PrefixIndex, type Stretch } from './prefix-index.ts';

const DEFAULTS = {
  /** H: how far back a replica's load is counted [arXiv 2407.00023; SlidingWindowHistogram]. */
  window_ms: 180_000,
  /** Output tokens that a request is taken to have [AIBRIX_ROUTER_PREBLE_DECODING_LENGTH]. */
  decode_tokens: 45,
  /** Per output token, until a replica has ended a request; then the median of its last 200 [both codes]. */
  decode_token_ms: 150,
  /**
   * Prefill time, a line in the tokens, to be fitted for each GPU and model. These are Mistral 7B on an A6000 from 384
   * tokens on, without attention [AIBrix prefix_cache_preble.go].
   */
  prefill_base_ms: 4.21,
  prefill_token_ms: 0.1084,
};

/** Requests whose time per token is remembered. */
const TIMES = 200;

/** What a replica was given within the window, and how fast it answers. */
class Load {
  private sent: { atMs: number; prefillMs: number }[] = [];
  private start = 0;
  private prefillMs = 0;
  /** The last times per token as they came, and in order of size. */
  private readonly times: number[] = [];
  private readonly ordered: number[] = [];

  add(atMs: number, prefillMs: number): void {
    this.sent.push({ atMs, prefillMs });
    this.prefillMs += prefillMs;
  }

  answered(tokenMs: number): void {
    const { times, ordered } = this;
    if (times.length === TIMES) ordered.splice(ordered.indexOf(times.shift()!), 1);
    times.push(tokenMs);
    const place = ordered.findIndex(each => each > tokenMs);
    ordered.splice(place < 0 ? ordered.length : place, 0, tokenMs);
  }

  /** Prefill time of what was sent after `sinceMs`, and decode time of as many requests. */
  costMs(sinceMs: number, decodeTokens: number, tokenMs: number): number {
    const { sent, ordered } = this;
    while (this.start < sent.length && sent[this.start]!.atMs <= sinceMs)
      this.prefillMs -= sent[this.start++]!.prefillMs;
    const count = sent.length - this.start;
    if (count === 0) this.prefillMs = 0; // nothing is left of rounding either
    if (this.start > 64 && this.start > count) {
      this.sent = sent.slice(this.start);
      this.start = 0;
    }
    const median = ordered.length === 0 ? tokenMs : ordered[ordered.length >>> 1]!;
    return this.prefillMs + count * decodeTokens * median;
  }
}

/**
 * matched = most tokens of the prompt that any replica was sent. matched > L - matched: of those replicas the one with
 * the least load. Else argmin load + eviction + prefill, with
 *   load     = sum over requests of the last H of prefillMs(not matched) + decode_tokens * median time per token
 *   eviction = sum over stretches beyond the KV capacity, oldest first, used within H, of prefillMs(tokens) * uses
 *   prefill  = prefillMs(L - matched)
 *   prefillMs(n) = prefill_base_ms + n * prefill_token_ms
 * Uses are counted since a stretch came, not within H. Left out: the paper's moving of prefixes from a replica with
 * many times the load of another, which the authors' code has switched off [global_scheduler_with_time.py].
 */
export default defineRoutingPolicy({
  name: 'preble',
  doc: 'Goes where most of the prompt is cached, if that is more than half; else where load, eviction and prefill cost least.',
  source: 'Preble E2 (arXiv 2407.00023), AIBrix `prefix-cache-preble`',
  create(options, { blockTokens, kvTokens }) {
    const read = numberOptions('preble', options, DEFAULTS);
    const index = new PrefixIndex({ chunkTokens: blockTokens, capacityTokens: kvTokens });
    const loads = new IdTable<Load>();
    /** Of live requests, by id. */
    const firstTokenMs = new IdTable<number>();

    const prefillMs = (tokens: number): number =>
      tokens <= 0 ? 0 : read.prefill_base_ms + tokens * read.prefill_token_ms;

    function loadMs(id: number, nowMs: number): number {
      const load = loads.get(id);
      if (load === undefined) return 0;
      return load.costMs(nowMs - read.window_ms, read.decode_tokens, read.decode_token_ms);
    }

    function evictionMs(id: number, tokens: number, nowMs: number): number {
      let over = index.heldTokens(id) + tokens - kvTokens;
      let costMs = 0;
      let stretch: Stretch | null = index.oldest(id);
      for (; stretch !== null && over > 0; stretch = stretch.younger) {
        const goes = Math.min(over, stretch.tokens);
        if (stretch.usedMs > nowMs - read.window_ms) costMs += prefillMs(goes) * stretch.uses;
        over -= goes;
      }
      return costMs;
    }

    return {
      route({ prompt, promptTokens }, { nowMs, ids }) {
        const matched = index.match(prompt, ids, nowMs);
        let most = 0;
        for (let row = 0; row < matched.length; row++) most = Math.max(most, matched[row]!);
        const isCached = most > promptTokens - most;
        let best = -1;
        let bestMs = Number.POSITIVE_INFINITY;
        for (let row = 0; row < ids.length; row++) {
          if (isCached && matched[row]! < most) continue;
          const id = ids[row]!;
          let costMs = loadMs(id, nowMs);
          if (!isCached) {
            const left = promptTokens - matched[row]!;
            costMs += evictionMs(id, left, nowMs) + prefillMs(left);
          }
          if (best >= 0 && costMs >= bestMs) continue;
          best = row;
          bestMs = costMs;
        }
        const id = ids[best]!;
        let load = loads.get(id);
        if (load === undefined) {
          load = new Load();
          loads.set(id, load);
        }
        load.add(nowMs, prefillMs(promptTokens - matched[best]!));
        index.add(prompt, id, nowMs);
        return best;
      },
      observe(event) {
        if (event.kind === 'left') {
          index.forget(event.replicaId);
          loads.delete(event.replicaId);
        } else if (event.kind === 'first_token') firstTokenMs.set(event.id, event.atMs);
        else {
          const firstMs = firstTokenMs.get(event.id);
          firstTokenMs.delete(event.id);
          if (firstMs === undefined || event.outputTokens < 2) return;
          loads.get(event.replicaId)?.answered((event.atMs - firstMs) / (event.outputTokens - 1));
        }
      },
    };
  },
});
