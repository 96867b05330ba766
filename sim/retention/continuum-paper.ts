// Continuum as the paper has it (CacheTTL in later versions): a time to live for what each call leaves, from what tools
// took so far, what it would cost to have the context again, and what its memory costs meanwhile.
import { numberOptions } from '../../gateway/routing/options.ts';
import { quantile } from '../../scenarios/base/distributions.ts';
import { unreachable } from '../../scenarios/base/errors.ts';
import { unpinned } from './continuum-code.ts';
import { defineRetentionPolicy, wholly } from './policy.ts';
import { Sessions, StepTable } from './sessions.ts';
import { PINNED } from './ttl.ts';

const DEFAULTS = {
  /** What a second of holding costs, in seconds of benefit. */
  price: 1,
  /** Mean of the exponential that stands for tools while nothing is known, ms. */
  prior_mean: 1000,
  /** Samples up to which the prior, and then those of all steps together, stand for a step's own. */
  cold_samples: 100,
};
/** The latest gaps of a step that count, and waits in the queue. */
const GAPS_MAX = 1000;
const WAITS_MAX = 256;

/** The latest of some numbers, in order of size. */
class Latest {
  private readonly inOrder: number[] = [];
  private readonly bySize: number[] = [];
  private readonly most: number;

  constructor(most: number) {
    this.most = most;
  }

  get sorted(): readonly number[] {
    return this.bySize;
  }

  add(value: number): void {
    this.inOrder.push(value);
    this.bySize.splice(this.place(value), 0, value);
    if (this.inOrder.length > this.most) this.bySize.splice(this.place(this.inOrder.shift()!), 1);
  }

  /** The first place of what is not less. */
  private place(value: number): number {
    let from = 0;
    let to = this.bySize.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.bySize[middle]! < value) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** The last waits in the queue, and their mean. */
class Waits {
  private readonly values: number[] = [];
  private sum = 0;

  add(ms: number): void {
    this.values.push(ms);
    this.sum += ms;
    if (this.values.length > WAITS_MAX) this.sum -= this.values.shift()!;
  }

  get meanMs(): number {
    return this.values.length === 0 ? 0 : this.sum / this.values.length;
  }
}

/**
 * How much a session's calls so far say of those to come: minus the correlation of calls done, k, and calls left, N - k,
 * over k = 1 to N - 1 of every session that is over. 1 where all are equally long, 0 where nothing is known.
 */
class Progress {
  private pairs = 0;
  private sum = 0;
  private squares = 0;
  private products = 0;

  add(calls: number): void {
    const n = calls - 1;
    if (n < 1) return;
    const sum = (n * calls) / 2;
    const squares = (n * calls * (2 * calls - 1)) / 6;
    this.pairs += n;
    this.sum += sum;
    this.squares += squares;
    this.products += calls * sum - squares;
  }

  /** Both sides have the same sums: k and N - k run over the same numbers. */
  get eta(): number {
    const { pairs, sum, squares, products } = this;
    const variance = pairs * squares - sum * sum;
    return variance === 0 ? 0 : (sum * sum - pairs * products) / variance;
  }
}

/** argmax over the samples, and 0, of F(t) * benefit - price * t; the shortest of equals. */
export function bestTtlMs(sorted: readonly number[], benefitMs: number, price: number): number {
  let best = 0;
  let most = 0;
  for (const [i, ms] of sorted.entries()) {
    const worth = ((i + 1) / sorted.length) * benefitMs - price * ms;
    if (worth > most) [best, most] = [ms, worth];
  }
  return best;
}

/** The same for an exponential of this mean: its density falls to price / benefit at mean * ln(benefit / (price * mean)). */
export function bestExponentialTtlMs(meanMs: number, benefitMs: number, price: number): number {
  const costMs = price * meanMs;
  if (benefitMs <= costMs) return 0;
  return costMs === 0
    ? Number.POSITIVE_INFINITY
    : quantile({ kind: 'exponential', mean: meanMs }, 1 - costMs / benefitMs);
}

/**
 * TTL = argmax over t of F(t) * benefit - price * t, where F is the empirical distribution of the gaps behind the step
 * (of all steps while it has too few, an exponential while all have), and
 * benefit = eta * mean wait in the queue + time to have the context again. While a step's F is not known, eta is 1.
 * Rank 1 for so long; a session that ends is unpinned. Holding is charged to the end of the TTL: charged to the return
 * at the latest, the rule would be to keep while the hazard of F is above price / benefit.
 */
export default defineRetentionPolicy({
  name: 'continuum-paper',
  doc: 'Keeps what a call leaves for as long as the odds that its tool is back are worth the memory.',
  source:
    'Continuum (arXiv 2511.02230), TTL and cold start as in its later versions, under the name CacheTTL, §4.2',
  create(options, { restoreMs }) {
    const { price, prior_mean, cold_samples } = numberOptions('continuum-paper', options, DEFAULTS);
    const sessions = new Sessions();
    const gaps = new StepTable(() => new Latest(GAPS_MAX));
    const allGaps = new Latest(GAPS_MAX);
    const waits = new Waits();
    const progress = new Progress();
    return {
      letGo(left) {
        sessions.letGo(left);
        const own = gaps.of(left.call).sorted;
        const isCold = allGaps.sorted.length <= cold_samples;
        const benefitMs = (isCold ? 1 : progress.eta) * waits.meanMs + restoreMs(left.tokens);
        const ttlMs = isCold
          ? bestExponentialTtlMs(prior_mean, benefitMs, price)
          : bestTtlMs(own.length <= cold_samples ? allGaps.sorted : own, benefitMs, price);
        return { worth: ttlMs === 0 ? wholly(0) : wholly(PINNED, left.atMs + ttlMs) };
      },
      observe(event) {
        switch (event.kind) {
          case 'arrived': {
            const back = sessions.arrived(event.call, event.atMs);
            if (back === null) return [];
            gaps.of(back.left.call).add(back.gapMs);
            allGaps.add(back.gapMs);
            return [];
          }
          case 'admitted':
            waits.add(event.queuedMs);
            return [];
          case 'session_ended':
            progress.add(sessions.get(event.session)?.calls ?? 0);
            return unpinned(sessions, event.session);
          default:
            return unreachable(event);
        }
      },
    };
  },
});
