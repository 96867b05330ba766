// Streamed calls of one shape at a fixed load, and what our client measured of each. The only place where the self-test
// touches the client.
import { resolveEndpoint } from '../../engines/endpoint.ts';
import { quantile } from '../../scenarios/base/distributions.ts';
import type { HistogramCounts } from '../../scenarios/base/histogram.ts';
import { extend, seedKey, textKey, uniform } from '../../scenarios/base/key.ts';
import { mergedCounts } from '../client-report.ts';
import { type ClockZero, startClock } from '../clock.ts';
import { createPacer } from '../pacer.ts';
import { OWN_WORDS, wordingName } from '../prompts/wording.ts';
import type { SentResult } from '../sender.ts';
import { openSenders } from '../threads.ts';

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

const NAME = 'selftest';
/** What every call asks; the server answers the same to all. */
const HELLO = { key: textKey('hello'), from: 0, tokens: 1 };

/** Calls go the way of a replay's: through the senders of `workers` threads, each call a session of its own. */
export function createDriver(workers: number, zero: ClockZero, baseUrl: string): Driver {
  const clock = startClock(zero);
  const endpoint = resolveEndpoint({ url: baseUrl }, NAME, 'vllm');
  const pending = new Map<number, PromiseWithResolvers<SentResult>>();
  const senders = openSenders(
    workers,
    {
      zero,
      environment: {},
      targets: [{ name: NAME, modelId: NAME, endpoints: [endpoint], isHosted: false }],
    },
    { firstToken() {}, ended: (ticket, result) => pending.get(ticket)?.resolve(result) },
    error => {
      for (const { reject } of pending.values()) reject(error);
    },
  );
  let tickets = 0;

  async function call(plannedMs: number, outputTokens: number): Promise<DrivenCall> {
    const ticket = tickets++;
    const id = `${ticket}`;
    const ending = Promise.withResolvers<SentResult>();
    pending.set(ticket, ending);
    senders.send({
      ticket,
      session: id,
      target: NAME,
      row: 0,
      call: { prompt: [HELLO], parts: [], output: [], outputTokens, reasoningTokens: 0 },
      headers: { 'x-request-id': id },
      fields: {},
      breakpoints: [],
    });
    const { sentMs, firstTokenMs, outputTokens: received, itlMsMax, error } = await ending.promise;
    pending.delete(ticket);
    senders.forget(id);
    return { id, plannedMs, sentMs, firstTokenMs, outputTokens: received, itlMsMax, error };
  }

  /** Nothing that was measured before counts. */
  const connect = (sockets: number): Promise<void> =>
    senders.warmUp({ wordings: { [wordingName(NAME, endpoint.api)]: OWN_WORDS }, sockets, calls: 0 });

  return {
    connect,
    async run(load) {
      await connect(0);
      const pacer = createPacer(clock);
      const at = (atMs: number): Promise<void> => new Promise(begin => pacer.at(atMs, begin));
      const startMs = clock.nowMs();
      const calls: DrivenCall[] = [];
      let sent = 0;
      const one = async (plannedMs: number): Promise<void> => {
        sent++;
        calls.push(await call(plannedMs, load.tokens));
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
      const reports = await senders.report();
      return { calls, chunkGapMs: mergedCounts(reports.map(({ chunkGapMs }) => chunkGapMs)) };
    },
    close: () => senders.close(),
  };
}

/** With the CPU of this process, all its threads, from the first call's start to the last one's end. */
export interface Costed extends Driven {
  cpuMs: number;
  elapsedMs: number;
}

export async function costed(driver: Driver, load: Load): Promise<Costed> {
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const driven = await driver.run(load);
  const { user, system } = process.cpuUsage(cpu);
  return { ...driven, cpuMs: (user + system) / 1000, elapsedMs: performance.now() - startMs };
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
