// What a server counted during a run: its counters at the end less those at the start. A server that began anew counts
// from 0 again: the pieces are summed. Pure.
import { COUNTERS, type Counter } from '../engines/metrics/engine-metrics.ts';
import type { ServerReading } from '../engines/metrics/read.ts';
import { type BucketCounts, bucketsSince, sumBuckets } from '../scenarios/base/buckets.ts';
import { SERVER_LATENCIES, type ServerLatency } from '../scenarios/formats/measured.ts';

export type Counted = Pick<ServerReading, 'counters' | 'latencies' | 'startedUnixSec'>;

/** Clocks of a process's start differ by less than this from scrape to scrape. */
const SAME_START_SEC = 1;

export class ServerCounts {
  restarted = false;
  private pieces: Counted[] = [];
  private first: Counted | null = null;
  private last: Counted | null = null;

  take(reading: Counted): void {
    this.first ??= reading;
    if (this.last !== null && hasBegunAnew(this.last, reading)) {
      this.restarted = true;
      this.pieces.push(since(this.first, this.last));
      this.first = NOTHING;
    }
    this.last = reading;
  }

  /** From the first reading to the last. */
  total(): Pick<Counted, 'counters' | 'latencies'> {
    if (this.first === null || this.last === null) return NOTHING;
    const pieces = [...this.pieces, since(this.first, this.last)];
    const counters = { ...NOTHING.counters };
    for (const name of COUNTERS) {
      const known = pieces.map(piece => piece.counters[name]).filter(value => value !== null);
      if (known.length > 0) counters[name] = known.reduce((sum, value) => sum + value, 0);
    }
    const latencies: Partial<Record<ServerLatency, BucketCounts>> = {};
    for (const name of SERVER_LATENCIES) {
      const summed = sumBuckets(
        pieces.map(piece => piece.latencies[name]).filter(piece => piece !== undefined),
      );
      if (summed !== null) latencies[name] = summed;
    }
    return { counters, latencies };
  }
}

const NOTHING: Counted = {
  counters: Object.fromEntries(COUNTERS.map(name => [name, null])) as Record<Counter, null>,
  latencies: {},
  startedUnixSec: null,
};

function hasBegunAnew(before: Counted, now: Counted): boolean {
  const [was, is] = [before.startedUnixSec, now.startedUnixSec];
  if (was !== null && is !== null && Math.abs(is - was) > SAME_START_SEC) return true;
  const fell = (from: number | null | undefined, to: number | null | undefined): boolean =>
    from != null && from > (to ?? 0);
  return (
    COUNTERS.some(name => fell(before.counters[name], now.counters[name])) ||
    SERVER_LATENCIES.some(name => fell(before.latencies[name]?.count, now.latencies[name]?.count))
  );
}

/** A counter that was not there yet was 0. */
function since(start: Counted, end: Counted): Counted {
  const counters = { ...end.counters };
  for (const name of COUNTERS) {
    const value = end.counters[name];
    if (value !== null) counters[name] = value - (start.counters[name] ?? 0);
  }
  const latencies: Partial<Record<ServerLatency, BucketCounts>> = {};
  for (const name of SERVER_LATENCIES) {
    const [from, to] = [start.latencies[name], end.latencies[name]];
    if (to !== undefined) latencies[name] = from === undefined ? to : bucketsSince(from, to);
  }
  return { counters, latencies, startedUnixSec: end.startedUnixSec };
}
