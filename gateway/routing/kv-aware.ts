// KV-aware as inference-lab has it: the least prefill work on the request's way, what is queued there and what it adds.
// On the decode half of a disaggregated pool, the least KV to move and the smallest batch to join, where it fits.
import { numberOptions } from './options.ts';
import { defineRoutingPolicy, type RoutingArrival, type RoutingView } from './policy.ts';
import { PrefixIndex } from './prefix-index.ts';

const DEFAULTS = {
  /** Weight of a prefill token queued there against one that this request adds. */
  load_weight: 1,
  /** Decode half: tokens of KV to move that a sequence in the batch is worth. */
  decode_load_weight: 64,
};

/**
 * argmin (L - cached) + load_weight * queued prefill tokens; of several, the lowest row. `cached` counts all tiers, by KV
 * events; without them it is what the router sent there before, in blocks, up to the KV capacity of a replica. Queued
 * are the prompts that this router sent and that have no first token: whole ones, where inference-lab sees what is left.
 *
 * Decode half: argmin (L - device) + decode_load_weight * running among those with (1 - KV used) * capacity >= L - device,
 * or among all where it fits in none; running and KV used are scraped [inference-lab 24d40112, src/router/mod.rs].
 */
export default defineRoutingPolicy({
  name: 'kv-aware',
  doc: 'Takes the replica with the least prefill work in the way: prompt tokens not cached there, and those queued.',
  source: 'inference-lab `kv_aware` and, on decode replicas, `kv_aware_decode` (24d40112)',
  create(options, { role, blockTokens, kvTokens }) {
    const read = numberOptions('kv-aware', options, DEFAULTS);
    const { load_weight: loadWeight, decode_load_weight: decodeWeight } = read;
    const index = new PrefixIndex({ chunkTokens: blockTokens, capacityTokens: kvTokens });

    function forPrefill({ prompt, promptTokens }: RoutingArrival, view: RoutingView): number {
      const { ids, nowMs, prefillTokens } = view;
      const hits = view.prefixHits();
      const sent = hits === null ? index.match(prompt, ids, nowMs) : null;
      let best = 0;
      let bestCost = Number.POSITIVE_INFINITY;
      for (let row = 0; row < ids.length; row++) {
        const cached = sent === null ? hits!.device[row]! + hits!.host[row]! + hits!.disk[row]! : sent[row]!;
        const cost = Math.max(0, promptTokens - cached) + loadWeight * prefillTokens[row]!;
        if (cost >= bestCost) continue;
        best = row;
        bestCost = cost;
      }
      if (sent !== null) index.add(prompt, ids[best]!, nowMs);
      return best;
    }

    function forDecode({ promptTokens }: RoutingArrival, view: RoutingView): number {
      const { ids, running, kvUsedRatio } = view;
      const device = view.prefixHits()?.device;
      let best = 0;
      let bestCost = Number.POSITIVE_INFINITY;
      let isBestFit = false;
      for (let row = 0; row < ids.length; row++) {
        const moved = Math.max(0, promptTokens - (device?.[row] ?? 0));
        const cost = moved + decodeWeight * running[row]!;
        const isFit = (1 - kvUsedRatio[row]!) * kvTokens >= moved;
        if (isFit === isBestFit ? cost >= bestCost : isBestFit) continue;
        best = row;
        bestCost = cost;
        isBestFit = isFit;
      }
      return best;
    }

    return {
      route: role === 'decode' ? forDecode : forPrefill,
      observe(event) {
        if (event.kind === 'left') index.forget(event.replicaId);
      },
    };
  },
});
