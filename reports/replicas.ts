// The replicas of a simulated run: how many there were, what they cost, and, where they come and go, their number over
// time beside the calls that wanted them.
import { mean } from '../scenarios/base/statistics.ts';
import { type CallRecord, gpuHours, type ReplicaSpan } from '../scenarios/formats/record.ts';
import type { ReplicaPoint, ReplicaRow } from '../scenarios/formats/result.ts';
import { plural, showMs, showNumber } from './numbers.ts';
import { countAtOrBefore, thinnedBy } from './timeline.ts';

const POINTS_MAX = 1000;
/** Even instants beside those at which the number changes: they show the demand. */
const SLICES = 300;

/** `main`, or `main/prefill` of a disaggregated pool: names of replicas end in their number. */
const setOf = ({ replica }: ReplicaSpan): string => replica.slice(0, replica.lastIndexOf('/'));

const sortedTimes = (times: readonly number[]): Float64Array => Float64Array.from(times).sort();

/** Replicas asked for, ready and gone up to an instant. */
interface Counts {
  readonly ready: number;
  readonly starting: number;
}

function countsOf(spans: readonly ReplicaSpan[]): (atMs: number) => Counts {
  const ever = (span: ReplicaSpan): number => span.goneMs ?? Number.POSITIVE_INFINITY;
  const asked = sortedTimes(spans.map(({ askedMs }) => askedMs));
  const gone = sortedTimes(spans.map(ever));
  const served = spans.filter(({ readyMs }) => readyMs !== null);
  const ready = sortedTimes(served.map(({ readyMs }) => readyMs as number));
  const servedGone = sortedTimes(served.map(ever));
  return atMs => {
    const readyNow = countAtOrBefore(ready, atMs) - countAtOrBefore(servedGone, atMs);
    const there = countAtOrBefore(asked, atMs) - countAtOrBefore(gone, atMs);
    return { ready: readyNow, starting: there - readyNow };
  };
}

/** Instants within the run at which the number of replicas may change, its start among them. */
function changesOf(spans: readonly ReplicaSpan[], durationMs: number): number[] {
  const times = spans.flatMap(({ askedMs, readyMs, goneMs }) => [askedMs, readyMs ?? askedMs, goneMs ?? 0]);
  return [...new Set([0, ...times])].filter(atMs => atMs <= durationMs).sort((a, b) => a - b);
}

/** Calls of the pool that were sent and had not ended. */
function inFlightCounter(calls: readonly CallRecord[]): (atMs: number) => number {
  const sent = calls.filter(({ sentMs }) => sentMs !== null);
  const starts = sortedTimes(sent.map(({ sentMs }) => sentMs as number));
  const ends = sortedTimes(sent.map(({ endMs }) => endMs ?? Number.POSITIVE_INFINITY));
  return atMs => countAtOrBefore(starts, atMs) - countAtOrBefore(ends, atMs);
}

const PEAKS: ((point: ReplicaPoint) => number)[] = [
  point => point.ready,
  point => -point.ready,
  point => point.starting,
  point => point.inFlightCalls,
];

function rowOf(
  name: string,
  spans: readonly ReplicaSpan[],
  calls: readonly CallRecord[],
  durationMs: number,
): ReplicaRow {
  const at = countsOf(spans);
  const changes = changesOf(spans, durationMs);
  const ready = changes.map(atMs => at(atMs).ready);
  const replicaMs = changes.reduce(
    (sum, atMs, i) => sum + ready[i]! * ((changes[i + 1] ?? durationMs) - atMs),
    0,
  );
  const coldMs = spans
    .filter(({ askedMs }) => askedMs > 0)
    .flatMap(({ askedMs, readyMs }) => (readyMs === null || readyMs > durationMs ? [] : [readyMs - askedMs]));
  const hours = spans.map(span => gpuHours(span, durationMs));
  const isPriced = spans.every(({ usdPerGpuHour }) => usdPerGpuHour !== null);
  const { pool } = spans[0]!;
  return {
    pool,
    name,
    readyMin: Math.min(...ready),
    readyMax: Math.max(...ready),
    readyMean: durationMs > 0 ? replicaMs / durationMs : ready[0]!,
    coldStarts: coldMs.length,
    coldStartMsMean: coldMs.length === 0 ? null : mean(coldMs),
    lost: spans.filter(({ isLost }) => isLost).length,
    gpuHours: hours.reduce((sum, each) => sum + each, 0),
    usd: isPriced ? spans.reduce((sum, span, i) => sum + hours[i]! * (span.usdPerGpuHour ?? 0), 0) : null,
    points: changes.length > 1 ? pointsOf(calls, changes, at, durationMs) : [],
  };
}

function pointsOf(
  calls: readonly CallRecord[],
  changes: readonly number[],
  at: (atMs: number) => Counts,
  durationMs: number,
): ReplicaPoint[] {
  const inFlightAt = inFlightCounter(calls);
  const even = Array.from({ length: SLICES + 1 }, (_, i) => (i * durationMs) / SLICES);
  const points = [...new Set([...changes, ...even])]
    .sort((a, b) => a - b)
    .map(atMs => ({ atMs, ...at(atMs), inFlightCalls: inFlightAt(atMs) }));
  return thinnedBy(points, POINTS_MAX, PEAKS);
}

/** A row for each set of replicas, in order of name. */
export function replicaRows(
  spans: readonly ReplicaSpan[],
  calls: readonly CallRecord[],
  durationMs: number,
): ReplicaRow[] {
  const sets = new Map<string, ReplicaSpan[]>();
  for (const span of spans) {
    const set = sets.get(setOf(span));
    if (set === undefined) sets.set(setOf(span), [span]);
    else set.push(span);
  }
  return [...sets]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, own]) => {
      const { pool } = own[0]!;
      return rowOf(
        name,
        own,
        calls.filter(call => call.pool === pool),
        durationMs,
      );
    });
}

/** Replicas come or go in it. */
export const comeAndGo = ({ points }: ReplicaRow): boolean => points.length > 0;

/** `main: 1 to 8 replicas, mean 4.2, 7 cold starts of 32 s`. */
export function replicaText(row: ReplicaRow): string {
  const { name, readyMin, readyMax, readyMean, coldStarts, coldStartMsMean, lost } = row;
  const range = readyMin === readyMax ? plural(readyMax, 'replica') : `${readyMin} to ${readyMax} replicas`;
  return [
    `${name}: ${range}, mean ${showNumber(readyMean)}`,
    ...(coldStarts === 0 ? [] : [`${plural(coldStarts, 'cold start')} of ${showMs(coldStartMsMean)}`]),
    ...(lost === 0 ? [] : [`${lost} lost`]),
  ].join(', ');
}

/** `3.1 GPU-hours, 10.5 USD`, over all pools. */
export function costText(rows: readonly ReplicaRow[]): string {
  const hours = rows.reduce((sum, row) => sum + row.gpuHours, 0);
  const isPriced = rows.every(({ usd }) => usd !== null);
  const usd = rows.reduce((sum, row) => sum + (row.usd ?? 0), 0);
  return `${showNumber(hours)} GPU-hours${isPriced ? `, ${showNumber(usd)} USD` : ''}`;
}
