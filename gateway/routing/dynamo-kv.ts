// NVIDIA Dynamo's KV router: the replica on which a call costs the least blocks, those that its prompt still has to be
// computed for and those that live there meanwhile. It keeps its own account of load, exact for what it sent itself.
import { falling, pickIndex } from '../../scenarios/base/distributions.ts';
import { extend, uniform } from '../../scenarios/base/key.ts';
import { KnownPrefixes } from './known-prefixes.ts';
import { KvLoad } from './kv-load.ts';
import { choiceOption, numberOptions } from './options.ts';
import { lowestDrawn } from './picker.ts';
import { defineRoutingPolicy } from './policy.ts';

/** Defaults of Dynamo 1.6.1 [lib/kv-router/src/scheduling/selector/default.rs; policies.md 2.1]. */
const DEFAULTS = {
  /** 0: the lowest cost. Above: drawn with weights exp(-(cost - min) / ((max - min) * temperature)). */
  temperature: 0,
  /** Weight of prefill beside decode; `overlap_score_weight` of older versions. */
  prefill_load_scale: 1,
  /** What a cached token takes off the prefill, by tier; 1 on the device. */
  host_credit: 0.75,
  disk_credit: 0.25,
  /** How fast the credit of the device falls with the prefill that waits there beyond the least of all. */
  credit_decay: 0,
  /** Blocks that each request in hand counts for besides its own. */
  active_request_weight: 0,
  /** How long what was sent counts as cached: where there are no KV events, and beside late ones (`burst_index`). */
  predicted_ttl_ms: 120_000,
  burst_ttl_ms: 5_000,
};

/** Tells this draw from others of the same call. */
const SOFTMAX = 0x50f;

/**
 *     prefill = max(0, (prefillTokens + promptTokens - credit) / block)
 *     credit  = decay * device + 0.75 * host + 0.25 * disk                    tokens cached
 *     decay   = 1 / (1 + d * (prefillTokens - least of all) / block / blocks of the prompt)
 *     decode  = (tokens of all prompts in hand, with this one, shared beginnings once) / block
 *     cost    = prefill_load_scale * prefill + decode + active_request_weight * requests in hand
 *
 * The lowest cost is taken, of equal ones a drawn one. A prefill pool counts no decode; a decode pool nothing else, for
 * it gets its KV sent. `index`: `events` are the engines' own, and where they tell none, or with `predicted`, what was
 * sent within `predicted_ttl_ms`. `burst_index` adds what was sent within `burst_ttl_ms` to late events, for siblings
 * that come together. Prompts are counted to the token where Dynamo counts whole blocks; output tokens are not tracked,
 * as they are not there without hints of their number.
 */
export default defineRoutingPolicy({
  name: 'dynamo-kv',
  doc: 'Takes the replica of least cost: blocks of the prompt to compute there, less those cached, and blocks in use.',
  source: 'NVIDIA Dynamo 1.6.1 `--router-mode kv`, lib/kv-router/src/scheduling/selector/default.rs',
  create(options, { role, blockTokens }) {
    const besides = ['index', 'burst_index'];
    const given = numberOptions('dynamo-kv', options, DEFAULTS, { besides });
    const index = choiceOption('dynamo-kv', options, 'index', ['events', 'predicted']);
    const hasBurstIndex = choiceOption('dynamo-kv', options, 'burst_index', [false, true]);
    const { temperature, prefill_load_scale, host_credit, disk_credit, credit_decay } = given;
    const known = new KnownPrefixes({
      remembered: { chunkTokens: blockTokens, ttlMs: given.predicted_ttl_ms },
      usesEvents: index === 'events',
      burstTtlMs: hasBurstIndex ? given.burst_ttl_ms : 0,
    });
    const load = new KvLoad({ countsPrompts: role !== 'prefill' });
    const costs: number[] = [];

    return {
      route(arrival, view) {
        const { prompt, promptTokens, key } = arrival;
        const { ids, outstanding } = view;
        const hits = role === 'decode' ? null : known.look(arrival, view);
        const shared = load.prompts?.shared(prompt, ids);
        const promptBlocks = Math.max(1, Math.ceil(promptTokens / blockTokens));
        let least = Number.POSITIVE_INFINITY;
        if (credit_decay > 0) for (const id of ids) least = Math.min(least, load.prefillTokens(id));
        costs.length = ids.length;
        for (let row = 0; row < ids.length; row++) {
          const id = ids[row]!;
          let cost = given.active_request_weight * outstanding[row]!;
          if (hits !== null) {
            const waiting = load.prefillTokens(id);
            const excess = credit_decay > 0 ? (waiting - least) / blockTokens / promptBlocks : 0;
            const device = hits.device[row]! / (1 + credit_decay * excess);
            const credit = device + host_credit * hits.host[row]! + disk_credit * hits.disk[row]!;
            cost += (prefill_load_scale * Math.max(0, waiting + promptTokens - credit)) / blockTokens;
          }
          if (shared !== undefined)
            cost += (load.prompts!.tokens(id) + promptTokens - shared[row]!) / blockTokens;
          costs[row] = cost;
        }
        const row =
          temperature > 0
            ? drawn(costs, temperature, uniform(extend(key, SOFTMAX)))
            : lowestDrawn(costs, key);
        const id = ids[row]!;
        if (hits === null) load.add(arrival, id, 0);
        else {
          const cached = hits.device[row]! + host_credit * hits.host[row]! + disk_credit * hits.disk[row]!;
          load.add(arrival, id, Math.max(0, promptTokens - cached));
          known.sent(arrival, id, view.nowMs);
        }
        return row;
      },
      observe(event) {
        load.observe(event);
        if (event.kind === 'left') known.forget(event.replicaId);
      },
    };
  },
});

/** A row by its weight exp(-(cost - min) / ((max - min) * temperature)); equal costs have equal weights. */
function drawn(costs: readonly number[], temperature: number, sample: number): number {
  const min = Math.min(...costs);
  const range = Math.max(...costs) - min;
  const weights = costs.map(cost => (range === 0 ? 1 : falling(-(cost - min) / (range * temperature))));
  return pickIndex(weights, sample);
}
