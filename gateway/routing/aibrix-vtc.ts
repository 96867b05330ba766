// AIBrix virtual token counter (basic): a user who had more tokens lately is pointed at a replica further down the list,
// so that heavy users share some replicas and light ones others; load and a little chance weigh in. After Sheng et al.,
// Fairness in Serving Large Language Models (OSDI 24), of whose scheduler it keeps the counters only.
import { extend, uniform } from '../../scenarios/base/key.ts';
import { numberOptions } from './options.ts';
import { drawnRow, lowestDrawn } from './picker.ts';
import { defineRoutingPolicy } from './policy.ts';

/** Defaults of AIBrix [vtc/vtc_basic.go, token_tracker.go, token_estimator.go; policies.md 2.3]. */
const DEFAULTS = {
  fairness_weight: 1,
  utilization_weight: 1,
  /** Running requests that count as full. */
  max_load: 100,
  input_weight: 1,
  output_weight: 2,
  window_ms: 300_000,
};
/** Output tokens are guessed as so many times the prompt's. */
const OUTPUT_RATIO = 1.5;
/** A step down the list is as many weighted tokens as the mean of the least and the most user, and at least this. */
const STEP_MIN = 1000;
/** Of the most user, as long as there is none. */
const MOST_BY_DEFAULT = 8000;
/** Up to this much is added by chance, to break ties. */
const CHANCE = 0.1;

interface Charge {
  readonly user: string;
  /** Whole seconds, as AIBrix's buckets. */
  readonly second: number;
  tokens: number;
}

/** Weighted tokens by user within a sliding window. */
class TokenCounters {
  private readonly totals = new Map<string, number>();
  private readonly latest = new Map<string, Charge>();
  /** Ascending; those before `first` are over. */
  private charges: Charge[] = [];
  private first = 0;

  forgetBefore(second: number): void {
    const { charges, totals, latest } = this;
    for (; this.first < charges.length && charges[this.first]!.second < second; this.first++) {
      const charge = charges[this.first]!;
      totals.set(charge.user, totals.get(charge.user)! - charge.tokens);
      if (latest.get(charge.user) !== charge) continue;
      latest.delete(charge.user);
      totals.delete(charge.user);
    }
    if (this.first < 1024 || this.first * 2 < charges.length) return;
    this.charges = charges.slice(this.first);
    this.first = 0;
  }

  of(user: string): number {
    return this.totals.get(user) ?? 0;
  }

  charge(user: string, second: number, tokens: number): void {
    this.totals.set(user, this.of(user) + tokens);
    const last = this.latest.get(user);
    if (last?.second === second) {
      last.tokens += tokens;
      return;
    }
    const charge = { user, second, tokens };
    this.latest.set(user, charge);
    this.charges.push(charge);
  }

  /** Mean of the users with the least and the most tokens. */
  middle(): number {
    let least = Number.POSITIVE_INFINITY;
    let most = 0;
    for (const total of this.totals.values()) {
      least = Math.min(least, total);
      most = Math.max(most, total);
    }
    return most === 0 ? (STEP_MIN + MOST_BY_DEFAULT) / 2 : (least + most) / 2;
  }
}

/**
 *     place = min(tokens of the user / max(1000, (least user + most user) / 2), replicas - 1)
 *     cost  = fairness_weight * |row - place| + utilization_weight * min(running / 100, 1) + 0.1 * chance
 *
 * The lowest cost is taken. Tokens of the last five minutes, prompts once and outputs, guessed as 1.5 times the prompt,
 * twice, are counted when a call is sent. A user is a tenant; a call without one is sent at random.
 */
export default defineRoutingPolicy({
  name: 'aibrix-vtc',
  doc: 'Points tenants with more tokens lately at replicas further down the list, and weighs in running requests.',
  source: 'AIBrix `vtc-basic` (pkg/plugins/gateway/algorithms/vtc)',
  create(options) {
    const given = numberOptions('aibrix-vtc', options, DEFAULTS);
    const counters = new TokenCounters();
    const costs: number[] = [];
    return {
      route({ key, tenant, promptTokens }, { ids, running, nowMs }) {
        const count = ids.length;
        if (tenant === null) return drawnRow(key, count, count);
        counters.forgetBefore(Math.floor((nowMs - given.window_ms) / 1000));
        const place = Math.min(counters.of(tenant) / Math.max(STEP_MIN, counters.middle()), count - 1);
        costs.length = count;
        for (let row = 0; row < count; row++) {
          const utilization = Math.min(running[row]! / given.max_load, 1);
          costs[row] =
            given.fairness_weight * Math.abs(row - place) +
            given.utilization_weight * utilization +
            CHANCE * uniform(extend(key, row));
        }
        const outputTokens = Math.ceil(OUTPUT_RATIO * promptTokens);
        const tokens = given.input_weight * promptTokens + given.output_weight * outputTokens;
        counters.charge(tenant, Math.floor(nowMs / 1000), tokens);
        return lowestDrawn(costs, key);
      },
    };
  },
});
