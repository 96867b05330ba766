// A log-linear histogram of non-negative values: 128 buckets to the octave (0.8 % wide at most, so a quantile is
// within 0.4 %), merged exactly by adding counts. For token gaps, of which a run has too many to keep.

const SUB_BUCKETS = 128;
const MIN_EXPONENT = -20; // values under 2^-20 (1e-6) share bucket 0
const OCTAVES = 60;
/** Buckets there are. */
export const BUCKETS = OCTAVES * SUB_BUCKETS + 1;

/** Sparse form that goes into records and merges exactly. */
export interface HistogramCounts {
  count: number;
  sum: number;
  min: number;
  max: number;
  /** [bucket, count] in ascending order. */
  buckets: [number, number][];
}

const word = new DataView(new ArrayBuffer(8));

/** The bucket of a value: never lower for a larger one. */
export function bucketOf(value: number): number {
  if (!(value >= 2 ** MIN_EXPONENT)) return 0;
  word.setFloat64(0, value);
  const high = word.getUint32(0);
  const exponent = ((high >>> 20) & 0x7ff) - 1023;
  const sub = (high >>> 13) & (SUB_BUCKETS - 1);
  return Math.min((exponent - MIN_EXPONENT) * SUB_BUCKETS + sub + 1, OCTAVES * SUB_BUCKETS);
}

function bucketMiddle(bucket: number): number {
  if (bucket === 0) return 0;
  const exponent = Math.floor((bucket - 1) / SUB_BUCKETS) + MIN_EXPONENT;
  const sub = (bucket - 1) % SUB_BUCKETS;
  return 2 ** exponent * (1 + (sub + 0.5) / SUB_BUCKETS);
}

export class Histogram {
  private readonly counts = new Map<number, number>();
  count = 0;
  sum = 0;
  min = Number.POSITIVE_INFINITY;
  max = Number.NEGATIVE_INFINITY;

  record(value: number, times = 1): void {
    const bucket = bucketOf(value);
    this.counts.set(bucket, (this.counts.get(bucket) ?? 0) + times);
    this.count += times;
    this.sum += value * times;
    if (value < this.min) this.min = value;
    if (value > this.max) this.max = value;
  }

  /** Forgets everything. */
  clear(): void {
    this.counts.clear();
    this.count = 0;
    this.sum = 0;
    this.min = Number.POSITIVE_INFINITY;
    this.max = Number.NEGATIVE_INFINITY;
  }

  merge(other: HistogramCounts): void {
    for (const [bucket, times] of other.buckets)
      this.counts.set(bucket, (this.counts.get(bucket) ?? 0) + times);
    this.count += other.count;
    this.sum += other.sum;
    if (other.count > 0) {
      this.min = Math.min(this.min, other.min);
      this.max = Math.max(this.max, other.max);
    }
  }

  /** The value below which `q` (0 to 1) of the mass lies; NaN when empty. */
  quantile(q: number): number {
    if (this.count === 0) return Number.NaN;
    const rank = Math.max(1, Math.ceil(q * this.count));
    let seen = 0;
    for (const [bucket, times] of this.sorted()) {
      seen += times;
      if (seen >= rank) return Math.min(Math.max(bucketMiddle(bucket), this.min), this.max);
    }
    return this.max;
  }

  private sorted(): [number, number][] {
    return [...this.counts].sort((a, b) => a[0] - b[0]);
  }

  toCounts(): HistogramCounts {
    const empty = this.count === 0;
    return {
      count: this.count,
      sum: this.sum,
      min: empty ? 0 : this.min,
      max: empty ? 0 : this.max,
      buckets: this.sorted(),
    };
  }

  static from(counts: HistogramCounts): Histogram {
    const histogram = new Histogram();
    histogram.merge(counts);
    return histogram;
  }
}
