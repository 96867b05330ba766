// What a live run knows beside its records: how well our own client kept up, and what the servers said of themselves.
import type { HistogramCounts } from '../base/histogram.ts';

/** Of a set of values in one unit; all 0 when there are none. */
export interface Spread {
  n: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

/** Our own client during a run: whether what it measured can be believed. */
export interface ClientReport {
  /** Threads that streamed; 1: the main one. */
  workers: number;
  /** Of calls: start minus the later of the plan and the last parent's end plus its gap. */
  lagMs: Spread;
  /** Of sessions: first call sent minus planned. */
  sessionLagMs: Spread;
  /** How late the event loop of the worst thread was. */
  loopDelayMs: Spread;
  /** CPU of the whole process over wall time: 1 is one core. */
  cpuCores: number;
  /** Pieces of streams with tokens that were read. */
  chunks: number;
  /** Between two successive such pieces of one call, ms; token gaps are the run's `itlMs`. */
  chunkGapMs: HistogramCounts;
  /** Session starts per second over the span of the starts, and the coefficient of variation of their gaps: as planned and as done. Null with fewer than three. */
  rate: { plannedPerSec: number; achievedPerSec: number; plannedCv: number; achievedCv: number } | null;
  /** Calls in flight at most: as we count them, and as the servers' metrics showed (sampled); null: they show none. */
  inFlightMax: number;
  serverInFlightMax: number | null;
  /** Connections opened in all. */
  socketsOpened: number;
}

/** Latencies that servers give histograms of. */
export const SERVER_LATENCIES = ['ttft', 'itl', 'e2e', 'queue', 'prefill', 'decode'] as const;
export type ServerLatency = (typeof SERVER_LATENCIES)[number];

/** What one server's metrics say of the run: differences between its end and its start. */
export interface ServerReport {
  pool: string;
  replica: string;
  /** `vllm`, `sglang`, `tensorrt-llm`, `nim`, `llama.cpp`…; null: not known. */
  engine: string | null;
  version: string | null;
  /** Cumulative Prometheus buckets, ms, of requests that ended meanwhile. */
  latencies: Partial<Record<ServerLatency, ServerHistogram>>;
  /** Null where it does not say. */
  promptTokens: number | null;
  outputTokens: number | null;
  prefixQueriedTokens: number | null;
  prefixHitTokens: number | null;
  preemptions: number | null;
  /** Its own requests beside ours show as a difference to our count. */
  requestsFinished: number | null;
  /** The server began anew meanwhile: counters fell. */
  restarted: boolean;
}

export interface ServerHistogram {
  count: number;
  sumMs: number;
  /** [upper bound in ms (Infinity is null), count at or below it]. */
  buckets: [number | null, number][];
}

/** One GPU as a DCGM exporter showed it. */
export interface GpuSample {
  atMs: number;
  gpu: string;
  /** 0 to 1; null: not shown. */
  utilization: number | null;
  memoryUsedBytes: number | null;
  powerW: number | null;
  smClockMhz: number | null;
  temperatureC: number | null;
}

/** All of it. */
export interface Measured {
  client: ClientReport;
  servers: ServerReport[];
  gpus: GpuSample[];
}
