// The cluster over time, a line per pool: replicas summed, thinned so that peaks survive.
import type { ReplicaSpan, TimelineSample, WorkflowRecord } from '../scenarios/formats/record.ts';
import type { TimelinePoint } from '../scenarios/formats/result.ts';

const POINTS_MAX = 2000;

/** Of times in order, how many are at or before an instant. */
export function countAtOrBefore(times: Float64Array, atMs: number): number {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle]! <= atMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many workflows were between their start and end at `atMs`. */
export function inFlightCounter(workflows: readonly WorkflowRecord[]): (atMs: number) => number {
  const starts = Float64Array.from(workflows, ({ startMs }) => startMs).sort();
  const ends = Float64Array.from(workflows, ({ endMs }) => endMs ?? Number.POSITIVE_INFINITY).sort();
  return atMs => countAtOrBefore(starts, atMs) - countAtOrBefore(ends, atMs);
}

/**
 * A point at each instant at which any replica of a pool was sampled: requests summed and KV use averaged over the
 * replicas that are there, each at its latest sample. Replicas of a live pool are scraped at slightly different times.
 */
function poolPoints(
  samples: readonly TimelineSample[],
  inFlightAt: (atMs: number) => number,
  goneMs: ReadonlyMap<string, number>,
): TimelinePoint[] {
  const latest = new Map<string, TimelineSample>();
  const points: TimelinePoint[] = [];
  for (const [i, sample] of samples.entries()) {
    latest.set(sample.replica, sample);
    if (samples[i + 1]?.atMs === sample.atMs) continue;
    if (goneMs.size > 0)
      for (const replica of latest.keys())
        if ((goneMs.get(replica) ?? Number.POSITIVE_INFINITY) <= sample.atMs) latest.delete(replica);
    let runningRequests = 0;
    let waitingRequests = 0;
    let kvUsedRatio = 0;
    for (const replica of latest.values()) {
      runningRequests += replica.runningRequests;
      waitingRequests += replica.waitingRequests;
      kvUsedRatio += replica.kvUsedRatio;
    }
    points.push({
      atMs: Math.round(sample.atMs * 1000) / 1000,
      pool: sample.pool,
      runningRequests,
      waitingRequests,
      kvUsedRatio: Math.round((kvUsedRatio / latest.size) * 1e4) / 1e4,
      inFlightWorkflows: inFlightAt(sample.atMs),
    });
  }
  return points;
}

const PEAKS: ((point: TimelinePoint) => number)[] = [
  point => point.waitingRequests,
  point => point.runningRequests,
  point => -point.runningRequests,
  point => point.kvUsedRatio,
  point => point.inFlightWorkflows,
];

/** At most `limit` points in order of time: in each equal slice, the peaks of every series and the batch's low. */
export const thinned = (points: readonly TimelinePoint[], limit: number): TimelinePoint[] =>
  thinnedBy(points, limit, PEAKS);

/** At most `limit` points in order: in each equal slice, the highest by each of `peaks`. */
export function thinnedBy<Point>(
  points: readonly Point[],
  limit: number,
  peaks: readonly ((point: Point) => number)[],
): Point[] {
  if (points.length <= limit) return [...points];
  const slices = Math.max(1, Math.floor((limit - 2) / peaks.length));
  const keep = new Set<number>([0, points.length - 1]);
  for (let slice = 0; slice < slices; slice++) {
    const from = Math.floor((slice * points.length) / slices);
    const to = Math.floor(((slice + 1) * points.length) / slices);
    for (const heightOf of peaks) {
      let best = from;
      for (let i = from + 1; i < to; i++) if (heightOf(points[i]!) > heightOf(points[best]!)) best = i;
      keep.add(best);
    }
  }
  return [...keep].sort((a, b) => a - b).map(i => points[i]!);
}

/** The points of each pool, pools in order of name. */
export function poolTimelines(
  samples: readonly TimelineSample[],
  workflows: readonly WorkflowRecord[],
  replicas: readonly ReplicaSpan[] = [],
): TimelinePoint[][] {
  const goneMs = new Map(
    replicas.flatMap(({ replica, goneMs }) => (goneMs === null ? [] : [[replica, goneMs] as const])),
  );
  const inFlightAt = inFlightCounter(workflows);
  return [...Map.groupBy(samples, ({ pool }) => pool)]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, own]) =>
      poolPoints(
        own.sort((a, b) => a.atMs - b.atMs || (a.replica < b.replica ? -1 : 1)),
        inFlightAt,
        goneMs,
      ),
    );
}

/** The timeline of the result: at most 2,000 points of each pool. */
export const timelineOf = (pools: readonly (readonly TimelinePoint[])[]): TimelinePoint[] =>
  pools.flatMap(points => thinned(points, POINTS_MAX));

/** Share of replica samples (0 to 1) at which `holds`; null without samples. */
export const shareOfSamples = (
  samples: readonly TimelineSample[],
  holds: (sample: TimelineSample) => boolean,
): number | null => (samples.length === 0 ? null : samples.filter(holds).length / samples.length);
