// Prometheus' cumulative buckets: how many values were at or below each of a few bounds. They add and subtract exactly;
// a quantile is interpolated inside its bucket, so it is known only as well as the bucket is wide.

export interface BucketCounts {
  count: number;
  sum: number;
  /** [upper bound, count at or below it], in order; the last bound is null: none. */
  buckets: [number | null, number][];
}

/** Where a quantile lies. */
export interface BucketQuantile {
  /** Interpolated; the last bound where the value is above it. */
  value: number;
  /** Its bucket; `to` null: it has no upper bound. */
  from: number;
  to: number | null;
}

/**
 * All counted together. Bounds that only some have are left out: how many values of the others are at or below them is
 * not known.
 */
export function sumBuckets(all: readonly BucketCounts[]): BucketCounts | null {
  if (all.length === 0) return null;
  const bounds = new Map<number | null, { times: number; below: number }>();
  for (const { buckets } of all) {
    for (const [bound, below] of buckets) {
      const known = bounds.get(bound);
      if (known === undefined) bounds.set(bound, { times: 1, below });
      else {
        known.times++;
        known.below += below;
      }
    }
  }
  const shared = [...bounds].filter(([, { times }]) => times === all.length);
  return {
    count: all.reduce((sum, { count }) => sum + count, 0),
    sum: all.reduce((sum, each) => sum + each.sum, 0),
    buckets: shared
      .map(([bound, { below }]): [number | null, number] => [bound, below])
      .sort(([a], [b]) => (a ?? Number.POSITIVE_INFINITY) - (b ?? Number.POSITIVE_INFINITY)),
  };
}

/** What came between two looks at the same counters. */
export function bucketsSince(start: BucketCounts, end: BucketCounts): BucketCounts {
  const before = new Map(start.buckets);
  return {
    count: end.count - start.count,
    sum: end.sum - start.sum,
    buckets: end.buckets.map(([bound, below]) => [bound, below - (before.get(bound) ?? 0)]),
  };
}

export const bucketMean = ({ count, sum }: BucketCounts): number | null => (count > 0 ? sum / count : null);

/** The value below which `q` (0 to 1) of the mass lies, as if each bucket were filled evenly; null without values. */
export function bucketQuantile({ buckets }: BucketCounts, q: number): BucketQuantile | null {
  const count = buckets.at(-1)?.[1] ?? 0;
  if (!(count > 0)) return null;
  const rank = q * count;
  let from = 0;
  let before = 0;
  for (const [bound, below] of buckets) {
    if (below >= rank && below > before) {
      if (bound === null) return { value: from, from, to: null };
      return { value: from + ((bound - from) * (rank - before)) / (below - before), from, to: bound };
    }
    if (bound !== null) from = bound;
    before = Math.max(before, below);
  }
  return { value: from, from, to: null };
}
