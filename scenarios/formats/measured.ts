// What a live run knows beside its records: how well our own client kept up, and what the servers said of themselves.
import type { BucketCounts } from '../base/buckets.ts';
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
  /** Of a run that several machines made together. */
  shards?: ShardReport[];
}

/** One machine's part of a live run. */
export interface ShardReport {
  /** `shard 1 of 3`. */
  name: string;
  /** Who made it: a name of the machine and process; null: nobody took it. */
  worker: string | null;
  /** `lost`: what it delivered before counts, the rest is missing. */
  state: 'whole' | 'stopped' | 'lost';
  sessions: number;
  calls: number;
  /** Of its calls; null: none was sent. */
  lagMsP99: number | null;
  /** Its clock minus that of the queue, ms, and how wrong that may be; null: it was never measured. */
  clockOffsetMs: number | null;
  clockErrorMs: number | null;
}

/** Latencies that servers give histograms of. */
export const SERVER_LATENCIES = ['ttft', 'itl', 'e2e', 'queue', 'prefill', 'decode'] as const;
export type ServerLatency = (typeof SERVER_LATENCIES)[number];

/** What one server's metrics say of the run: differences between its end and its start. */
export interface ServerReport {
  pool: string;
  replica: string;
  /** `vllm`, `sglang`, `tensorrt-llm`, `nim`, `llama.cpp`…; null: it shows no metrics that we know. */
  engine: string | null;
  version: string | null;
  /** Cumulative Prometheus buckets, ms, of what it counted meanwhile: its first tokens, and its requests that ended. */
  latencies: Partial<Record<ServerLatency, BucketCounts>>;
  /** Null where it does not say. */
  promptTokens: number | null;
  outputTokens: number | null;
  prefixQueriedTokens: number | null;
  prefixHitTokens: number | null;
  preemptions: number | null;
  /** Its own requests beside ours show as a difference to our count. */
  requestsFinished: number | null;
  /** The server began anew meanwhile: counters fell. What it counted between the last look and its end is lost. */
  restarted: boolean;
  /** KV cache, of all engines behind the address; null where it does not say. */
  kvBlocks: number | null;
  blockTokens: number | null;
  /** Looks that were answered, and those that were not. */
  scrapes: number;
  scrapesFailed: number;
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

/** How near prompts and answers came to their planned lengths, of the calls to one target that went well. */
export interface PromptReport {
  /** A pool, or a provider's model. */
  target: string;
  api: string;
  /** What the lengths rest on, in words. */
  how: string;
  calls: number;
  /** Of these, prompts that the server counted; what follows is of them. */
  callsCounted: number;
  plannedTokens: number;
  countedTokens: number;
  /** Sum of the differences, either way. */
  offTokens: number;
  /** The largest difference of one prompt, as a share of what was planned for it. */
  offRatioMax: number;
  /** Answers with fewer tokens than planned. */
  shortAnswers: number;
}

/** All of it. */
export interface Measured {
  client: ClientReport;
  /** Absent: another driver sent the calls. */
  prompts?: PromptReport[];
  servers: ServerReport[];
  gpus: GpuSample[];
}

/** Above this lag p99 a run says more of our client than of the server: 50 ms, or 5 % of its median TTFT. (DESIGN) */
export const lagLimitMs = (ttftMsMedian: number): number => Math.max(50, 0.05 * ttftMsMedian);
