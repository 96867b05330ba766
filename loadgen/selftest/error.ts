// How wrong our own measurements were: the client's against the server's truth, call by call.
import { Histogram } from '../../scenarios/base/histogram.ts';
import { deviation, mean, quantileSorted, sorted } from '../../scenarios/base/statistics.ts';
import type { Costed } from './drive.ts';
import type { ServerTruth } from './server.ts';

/** Half of the values lie below the first, 99 % below the second. */
export interface P50P99 {
  p50: number;
  p99: number;
}

/** Of one run. */
export interface OwnError {
  calls: number;
  /** Without a good end, or unknown to the server. */
  failures: number;
  chunks: number;
  chunksPerSec: number;
  callsPerSec: number;
  /** Of the times between arrivals at the server; 1 for a Poisson process. */
  arrivalCv: number;
  /** As the server saw them. */
  inFlightMax: number;
  connections: number;
  /** Client's TTFT less the server's, of each call, regardless of sign. */
  ttftErrorMs: P50P99;
  /** Quantiles of the gaps as we report them, and as they were. */
  itlMs: P50P99;
  itlTrueMs: P50P99;
  /** Between the two, regardless of sign. */
  itlErrorMs: P50P99;
  /** Longest gap of each call, as read less as sent, regardless of sign. */
  longestGapErrorMs: P50P99;
  /** Sent less planned. */
  lagMs: P50P99;
  /** The server's own: sent less due. */
  serverLateMs: P50P99;
  /** Of our process. */
  cpuMsPer1000Chunks: number;
  cores: number;
  serverCpuMsPer1000Chunks: number;
  serverCores: number;
}

const both = (of: (q: number) => number): P50P99 => ({ p50: of(0.5), p99: of(0.99) });

function both50And99(values: number[]): P50P99 {
  const ordered = sorted(values);
  return both(q => quantileSorted(ordered, q));
}

export function ownError(driven: Costed, truth: ServerTruth): OwnError {
  const truths = new Map(truth.calls.map(call => [call.id, call]));
  const joined = driven.calls.flatMap(call => {
    const server = truths.get(call.id);
    const { firstTokenMs } = call;
    return call.error === null && firstTokenMs !== null && server !== undefined
      ? [{ call, server, ttftMs: firstTokenMs - call.sentMs }]
      : [];
  });
  const client = Histogram.from(driven.chunkGapMs);
  const gaps = Histogram.from(truth.gapMs);
  const late = Histogram.from(truth.lateMs);
  const spanSec = ((truth.lastSendMs ?? 0) - (truth.firstArrivalMs ?? 0)) / 1000;
  const arrivalsMs = truth.calls.map(({ arrivalMs }) => arrivalMs);
  const between = arrivalsMs.slice(1).map((atMs, index) => atMs - arrivalsMs[index]!);
  const arrivalSpanSec = (arrivalsMs.at(-1)! - arrivalsMs[0]!) / 1000;
  return {
    calls: driven.calls.length,
    failures: driven.calls.length - joined.length,
    chunks: truth.chunks,
    chunksPerSec: truth.chunks / spanSec,
    callsPerSec: between.length / arrivalSpanSec,
    arrivalCv: deviation(between) / mean(between),
    inFlightMax: truth.inFlightMax,
    connections: truth.connections,
    ttftErrorMs: both50And99(
      joined.map(({ ttftMs, server }) => Math.abs(ttftMs - (server.firstMs - server.arrivalMs))),
    ),
    itlMs: both(q => client.quantile(q)),
    itlTrueMs: both(q => gaps.quantile(q)),
    itlErrorMs: both(q => Math.abs(client.quantile(q) - gaps.quantile(q))),
    longestGapErrorMs: both50And99(
      joined.map(({ call, server }) => Math.abs((call.itlMsMax ?? 0) - server.gapMsMax)),
    ),
    lagMs: both50And99(driven.calls.map(({ sentMs, plannedMs }) => sentMs - plannedMs)),
    serverLateMs: both(q => late.quantile(q)),
    cpuMsPer1000Chunks: (driven.cpuMs / truth.chunks) * 1000,
    cores: driven.cpuMs / driven.elapsedMs,
    serverCpuMsPer1000Chunks: (truth.cpuMs / truth.chunks) * 1000,
    serverCores: truth.cpuMs / driven.elapsedMs,
  };
}
