// Streamed calls of one shape at a fixed load, and what our client measured of each. The only place where the self-test
// touches the client; loads and results are plain data, so that threads can take shares of a load.
import { quantile } from '../../scenarios/base/distributions.ts';
import { Histogram, type HistogramCounts } from '../../scenarios/base/histogram.ts';
import { extend, seedKey, uniform } from '../../scenarios/base/key.ts';
import { createClient } from '../client.ts';
import { type ClockZero, startClock } from '../clock.ts';
import { createPacer } from '../pacer.ts';

export type Load = ClosedLoad | OpenLoad;

interface EachCall {
  /** In all. */
  calls: number;
  /** Of each call. */
  tokens: number;
}

/** Streams that begin a call when their last one has ended. */
export interface ClosedLoad extends EachCall {
  kind: 'closed';
  streams: number;
  /** Over which they start, so that they do not go in one wave. */
  staggerMs: number;
}

/** Calls that come as a Poisson process, whatever became of those before. */
export interface OpenLoad extends EachCall {
  kind: 'open';
  ratePerSec: number;
  seed: number;
}

/** Times are the clock's milliseconds; what did not happen is null. */
export interface DrivenCall {
  id: string;
  plannedMs: number;
  sentMs: number;
  firstTokenMs: number | null;
  outputTokens: number;
  itlMsMax: number | null;
  error: string | null;
}

export interface Driven {
  calls: DrivenCall[];
  /** Between the reads that held tokens. */
  chunkGapMs: HistogramCounts;
}

export interface Driver {
  /** Opens that many sockets, so that no call of a run waits for one. */
  connect(sockets: number): Promise<void>;
  run(load: Load): Promise<Driven>;
  close(): Promise<void>;
}

/** In this thread. `name` begins the ids of its calls. */
export function createDriver(zero: ClockZero, baseUrl: string, name = ''): Driver {
  const clock = startClock(zero);
  const chunkGapMs = new Histogram();
  const client = createClient({ clock, chunkGapMs });

  async function call(id: string, plannedMs: number, tokens: number): Promise<DrivenCall> {
    const { result } = client.stream({
      baseUrl,
      headers: { 'x-request-id': id },
      wire: {
        model: 'selftest',
        prompt: { api: 'chat', messages: [{ role: 'user', content: 'hello' }] },
        outputTokens: tokens,
        reasoningTokens: 0,
      },
    });
    const { sentMs, firstTokenMs, outputTokens, itlMsMax, error } = await result;
    return { id, plannedMs, sentMs, firstTokenMs, outputTokens, itlMsMax, error };
  }

  return {
    connect: async sockets => void (await client.warmUp(baseUrl, sockets)),
    async run(load) {
      chunkGapMs.clear();
      const pacer = createPacer(clock);
      const at = (atMs: number): Promise<void> => new Promise(begin => pacer.at(atMs, begin));
      const startMs = clock.nowMs();
      const calls: DrivenCall[] = [];
      let sent = 0;
      const one = async (plannedMs: number): Promise<void> => {
        calls.push(await call(`${name}${sent++}`, plannedMs, load.tokens));
      };
      const stream = async (beginMs: number): Promise<void> => {
        await at(beginMs);
        for (let plannedMs = beginMs; sent < load.calls; plannedMs = clock.nowMs()) await one(plannedMs);
      };
      const begun = startsOf(load).map(async offsetMs => {
        if (load.kind === 'closed') return stream(startMs + offsetMs);
        await at(startMs + offsetMs);
        await one(startMs + offsetMs);
      });
      await Promise.all(begun);
      return { calls, chunkGapMs: chunkGapMs.toCounts() };
    },
    close: () => client.close(),
  };
}

/** Milliseconds from the start, in order: of each stream, or of each call. */
function startsOf(load: Load): number[] {
  if (load.kind === 'closed') {
    const { streams, staggerMs } = load;
    return Array.from({ length: streams }, (_, index) => (staggerMs * index) / streams);
  }
  const { calls, ratePerSec, seed } = load;
  const root = seedKey(seed);
  let atMs = 0;
  return Array.from({ length: calls }, (_, index) => {
    atMs += quantile({ kind: 'exponential', mean: 1000 / ratePerSec }, uniform(extend(root, index)));
    return atMs;
  });
}

/** One of `shares` equal shares. */
export function shareOf(load: Load, index: number, shares: number): Load {
  const share = (whole: number): number =>
    Math.floor((whole * (index + 1)) / shares) - Math.floor((whole * index) / shares);
  const calls = share(load.calls);
  if (load.kind === 'closed') return { ...load, calls, streams: share(load.streams) };
  return { ...load, calls, ratePerSec: load.ratePerSec / shares, seed: load.seed * shares + index };
}
