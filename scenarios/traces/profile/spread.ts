// A distribution of a trace in bounded memory: exact while it is small, then a histogram whose quantiles are within 0.4 %.
import { Histogram } from '../../base/histogram.ts';
import { quantileSorted, sorted } from '../../base/statistics.ts';
import type { Cdf, Spread } from '../../formats/trace-profile.ts';

/** Values kept before the histogram takes over: 128 kB. */
const EXACT_MAX = 16_384;

/** Shares at which a curve is drawn: every percent, and closer in the tail. */
const CURVE_SHARES = [
  ...Array.from({ length: 99 }, (_, index) => (index + 1) / 100),
  ...[0.995, 0.999, 0.9999, 1],
];

export class SpreadSketch {
  private readonly whole: boolean;
  private exact: number[] | null = [];
  private readonly histogram = new Histogram();
  private sum = 0;
  n = 0;

  /** `whole`: values are counts, and so are their quantiles. */
  constructor(options: { whole: boolean } = { whole: false }) {
    this.whole = options.whole;
  }

  record(value: number): void {
    this.n += 1;
    this.sum += value;
    if (this.exact === null) {
      this.histogram.record(value);
      return;
    }
    this.exact.push(value);
    if (this.exact.length < EXACT_MAX) return;
    for (const each of this.exact) this.histogram.record(each);
    this.exact = null;
  }

  /** Null when nothing was recorded. */
  spread(): Spread | null {
    if (this.n === 0) return null;
    const at = this.quantiles();
    return {
      n: this.n,
      mean: this.sum / this.n,
      min: at(0),
      p5: at(0.05),
      p25: at(0.25),
      p50: at(0.5),
      p75: at(0.75),
      p90: at(0.9),
      p99: at(0.99),
      max: at(1),
    };
  }

  /** The cumulative distribution at about a hundred shares, one point per value. */
  cdf(): Cdf {
    if (this.n === 0) return [];
    const at = this.quantiles();
    const shareOf = new Map<number, number>();
    for (const share of CURVE_SHARES) shareOf.set(at(share), share);
    return [...shareOf];
  }

  /** Quantiles by nearest rank; 0 is the least value, 1 the most. */
  quantiles(): (share: number) => number {
    const { exact, histogram, whole } = this;
    if (exact !== null) {
      const values = sorted(exact);
      return share => quantileSorted(values, share);
    }
    return share => {
      if (share <= 0) return histogram.min;
      if (share >= 1) return histogram.max;
      const value = histogram.quantile(share);
      return whole ? Math.floor(value) : value;
    };
  }
}
