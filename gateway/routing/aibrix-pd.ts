// AIBrix's router of disaggregated pools: prefill goes where the prompt was sent before, decode where there are few
// requests, much throughput and free KV; where a replica does both, both scores are added.
import { numberOptions } from './options.ts';
import { lowestDrawn } from './picker.ts';
import { defineRoutingPolicy } from './policy.ts';
import { PrefixIndex } from './prefix-index.ts';

/** Defaults of AIBrix [pd/prefill_scorer.go, pd/decode_scorer.go, prefixcacheindexer; policies.md 2.3]. */
const DEFAULTS = {
  /** A match of less counts as none, per cent. */
  min_match_percent: 0,
  running_weight: 1,
  throughput_weight: 1,
};
/** A percentage point of the prompt that was not sent there before. */
const MISS_WEIGHT = 0.1;
/** What was sent is forgotten after so long, and of each replica beyond so many blocks. */
const REMEMBERED_MS = 20 * 60_000;
const REMEMBERED_BLOCKS = 200_000;
/** Free KV counts as this much at least, per cent. */
const FREE_MIN = 0.1;
/** Throughput is what ended in the last whole interval; ours, about vLLM's log interval. */
const INTERVAL_MS = 10_000;

/** Output tokens of one replica by interval. */
interface Output {
  interval: number;
  tokens: number;
  tokensBefore: number;
}

/**
 *     prefill = 0.1 * (100 - match %) + requests / most requests
 *     decode  = (requests / most requests + 1 - throughput / most throughput) / (free KV / most free KV)
 *
 * The lowest is taken, of equal ones a drawn one; in a pool that does both, prefill / most prefill + decode / most
 * decode. Requests in hand are exact, free KV is scraped, throughput is learnt from the requests that end: AIBrix reads
 * the engine's own figure. `most requests`, of throughput and of free KV are at least 1.
 */
export default defineRoutingPolicy({
  name: 'aibrix-pd',
  doc: 'Sends prefills where the prompt was sent before, decodes where requests are few and KV is free; else by both.',
  source: 'AIBrix `pd` (pkg/plugins/gateway/algorithms/pd: prefix_cache and load_balancing)',
  create(options, { role, blockTokens }) {
    const { min_match_percent, running_weight, throughput_weight } = numberOptions(
      'aibrix-pd',
      options,
      DEFAULTS,
    );
    const index = new PrefixIndex({
      chunkTokens: blockTokens,
      ttlMs: REMEMBERED_MS,
      capacityTokens: REMEMBERED_BLOCKS * blockTokens,
    });
    /** By replica. */
    const outputs: (Output | undefined)[] = [];
    const prefill: number[] = [];
    const decode: number[] = [];
    const throughput: number[] = [];

    function outputOf(id: number, nowMs: number): Output {
      const interval = Math.floor(nowMs / INTERVAL_MS);
      let output = outputs[id];
      if (output === undefined) {
        output = { interval, tokens: 0, tokensBefore: 0 };
        outputs[id] = output;
      }
      if (output.interval !== interval) {
        output.tokensBefore = output.interval === interval - 1 ? output.tokens : 0;
        output.tokens = 0;
        output.interval = interval;
      }
      return output;
    }

    return {
      route({ prompt, promptTokens, key }, view) {
        const { ids, outstanding, nowMs } = view;
        const count = ids.length;
        const requestsMost = Math.max(1, most(outstanding));
        if (role !== 'decode') {
          prefill.length = count;
          const sent = index.match(prompt, ids, nowMs);
          for (let row = 0; row < count; row++) {
            const percent = promptTokens === 0 ? 0 : Math.floor((100 * sent[row]!) / promptTokens);
            const match = percent < min_match_percent ? 0 : percent;
            prefill[row] = MISS_WEIGHT * (100 - match) + outstanding[row]! / requestsMost;
          }
        }
        if (role !== 'prefill') {
          const { kvUsedRatio } = view;
          decode.length = count;
          let freeMost = 1;
          let throughputMost = 1;
          for (let row = 0; row < count; row++) {
            throughput[row] = (outputOf(ids[row]!, nowMs).tokensBefore / INTERVAL_MS) * 1000;
            throughputMost = Math.max(throughputMost, throughput[row]!);
            freeMost = Math.max(freeMost, 100 - 100 * kvUsedRatio[row]!);
          }
          for (let row = 0; row < count; row++) {
            const free = Math.max(FREE_MIN, 100 - 100 * kvUsedRatio[row]!);
            const busy = running_weight * (outstanding[row]! / requestsMost);
            const slow = throughput_weight * (1 - throughput[row]! / throughputMost);
            decode[row] = (busy + slow) / (free / freeMost);
          }
        }
        if (role === 'both') {
          const prefillMost = most(prefill) || 1;
          const decodeMost = most(decode) || 1;
          for (let row = 0; row < count; row++)
            prefill[row] = prefill[row]! / prefillMost + decode[row]! / decodeMost;
        }
        const row = lowestDrawn(role === 'decode' ? decode : prefill, key);
        if (role !== 'decode') index.add(prompt, ids[row]!, nowMs);
        return row;
      },
      observe(event) {
        if (event.kind === 'ended') outputOf(event.replicaId, event.atMs).tokens += event.outputTokens;
        else if (event.kind === 'left') {
          outputs[event.replicaId] = undefined;
          index.forget(event.replicaId);
        }
      },
    };
  },
});

/** The highest of numbers from 0 on; 0 without any. */
function most(column: readonly number[]): number {
  let found = 0;
  for (const value of column) found = Math.max(found, value);
  return found;
}
