// LMetric: the product of what a prompt would still have to be computed and of the batch it would join. A product needs
// no weight between the two: any would cancel out of the comparison.
import { KnownPrefixes } from './known-prefixes.ts';
import { KvLoad } from './kv-load.ts';
import { numberOptions } from './options.ts';
import { lowestDrawn } from './picker.ts';
import { defineRoutingPolicy } from './policy.ts';

/** Tiers as in `dynamo-kv`, of which this is a variant [policies.md 2.1]. */
const DEFAULTS = { host_credit: 0.75, disk_credit: 0.25, predicted_ttl_ms: 120_000 };

/**
 *     cost = max(0, prefillTokens + promptTokens - (device + 0.75 * host + 0.25 * disk)) * (requests in hand + 1)
 *
 * `prefillTokens`: uncached tokens sent there that have no first token yet. The lowest cost, of equal ones a drawn one.
 * In a decode pool the prompt is computed already: requests in hand alone. Where engines tell no KV events, what was
 * sent within `predicted_ttl_ms` counts as cached.
 */
export default defineRoutingPolicy({
  name: 'lmetric',
  doc: 'Takes the replica of the least product: uncached prompt tokens, with those that wait, times requests in hand.',
  source: 'Zhang et al., LMetric (arXiv 2603.15202); llm-d `lmetric-scorer`, SGLang and Dynamo `lmetric`',
  create(options, { role, blockTokens }) {
    const { host_credit, disk_credit, predicted_ttl_ms } = numberOptions('lmetric', options, DEFAULTS);
    const known = new KnownPrefixes({
      remembered: { chunkTokens: blockTokens, ttlMs: predicted_ttl_ms },
      usesEvents: true,
    });
    const load = new KvLoad({ countsPrompts: false });
    const costs: number[] = [];
    const uncached: number[] = [];

    return {
      route(arrival, view) {
        const { ids, outstanding } = view;
        if (role === 'decode') return lowestDrawn(outstanding, arrival.key);
        const { device, host, disk } = known.look(arrival, view);
        costs.length = ids.length;
        for (let row = 0; row < ids.length; row++) {
          const cached = device[row]! + host_credit * host[row]! + disk_credit * disk[row]!;
          uncached[row] = Math.max(0, arrival.promptTokens - cached);
          costs[row] = (load.prefillTokens(ids[row]!) + uncached[row]!) * (outstanding[row]! + 1);
        }
        const row = lowestDrawn(costs, arrival.key);
        load.add(arrival, ids[row]!, uncached[row]!);
        known.sent(arrival, ids[row]!, view.nowMs);
        return row;
      },
      observe(event) {
        load.observe(event);
        if (event.kind === 'left') known.forget(event.replicaId);
      },
    };
  },
});
