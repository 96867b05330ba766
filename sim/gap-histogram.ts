// Gaps between tokens, recorded in whole nanoseconds and told in ms. The sum is kept in nanoseconds, where it is exact:
// neither the order of recording nor how a run of steps was cut changes a byte.
import { BUCKETS, bucketOf, type HistogramCounts } from '../scenarios/base/histogram.ts';
import type { StepSum } from './step-sum.ts';

const NS_PER_MS = 1e6;
/** Steps that are cheaper to record one by one than to look for the end of their bucket. */
const FEW_STEPS = 3;

export class GapHistogram {
  private readonly counts = new Float64Array(BUCKETS);
  private count = 0;
  private sumNs = 0;
  private minNs = Number.POSITIVE_INFINITY;
  private maxNs = 0;

  record(gapNs: number, times: number): void {
    if (times === 0) return;
    this.counts[bucketOf(gapNs / NS_PER_MS)]! += times;
    this.count += times;
    this.sumNs += gapNs * times;
    if (gapNs < this.minNs) this.minNs = gapNs;
    if (gapNs > this.maxNs) this.maxNs = gapNs;
  }

  /** A gap before `tokens` tokens that appear together: they share it, as they do where a client reads them as one chunk. */
  share(gapNs: number, tokens: number): void {
    const eachNs = Math.floor(gapNs / tokens);
    const restNs = gapNs - eachNs * tokens;
    this.record(eachNs, tokens - restNs);
    this.record(eachNs + 1, restNs);
  }

  /** The lengths of steps `from` to `to` - 1, each `times` times: equal or growing, so bucket by bucket. */
  recordSteps(steps: StepSum, from: number, to: number, times: number): void {
    if (times === 0) return;
    let i = from;
    while (i < to) {
      if (to - i <= FEW_STEPS) {
        this.record(steps.lengthNs(i), times);
        i += 1;
        continue;
      }
      const firstNs = steps.lengthNs(i);
      const bucket = bucketOf(firstNs / NS_PER_MS);
      let low = i; // in the bucket
      let high = to; // not in it
      if (bucketOf(steps.lengthNs(to - 1) / NS_PER_MS) === bucket) low = to - 1;
      while (high - low > 1) {
        const middle = (low + high) >>> 1;
        if (bucketOf(steps.lengthNs(middle) / NS_PER_MS) === bucket) low = middle;
        else high = middle;
      }
      this.counts[bucket]! += (high - i) * times;
      this.count += (high - i) * times;
      this.sumNs += (steps.sumNs(high) - steps.sumNs(i)) * times;
      if (firstNs < this.minNs) this.minNs = firstNs;
      const lastNs = steps.lengthNs(high - 1);
      if (lastNs > this.maxNs) this.maxNs = lastNs;
      i = high;
    }
  }

  toCountsMs(): HistogramCounts {
    const { count, counts } = this;
    const buckets: [number, number][] = [];
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const times = counts[bucket]!;
      if (times > 0) buckets.push([bucket, times]);
    }
    return {
      count,
      sum: this.sumNs / NS_PER_MS,
      min: count === 0 ? 0 : this.minNs / NS_PER_MS,
      max: this.maxNs / NS_PER_MS,
      buckets,
    };
  }
}
