// What a live run measured beside its records: two vLLM servers and a client that kept its times.
import { Histogram } from '../../scenarios/base/histogram.ts';
import type {
  ClientReport,
  GpuSample,
  Measured,
  ServerReport,
  Spread,
} from '../../scenarios/formats/measured.ts';

const spread = (p99: number, n = 200): Spread => ({ n, p50: p99 / 4, p95: p99 / 2, p99, max: p99 * 2 });

export function aClient(fields: Partial<ClientReport> = {}): ClientReport {
  const gaps = new Histogram();
  gaps.record(20, 900);
  gaps.record(35, 100);
  return {
    workers: 2,
    lagMs: spread(3),
    sessionLagMs: spread(2, 60),
    loopDelayMs: spread(2, 5000),
    cpuCores: 0.35,
    chunks: 1000,
    chunkGapMs: gaps.toCounts(),
    rate: { plannedPerSec: 10, achievedPerSec: 10, plannedCv: 1, achievedCv: 1.01 },
    inFlightMax: 40,
    serverInFlightMax: 38,
    socketsOpened: 48,
    ...fields,
  };
}

/** 100 first tokens, half of them within 100 ms and all within 250 ms. */
export const aServer = (fields: Partial<ServerReport> = {}): ServerReport => ({
  pool: 'main',
  replica: 'main/0',
  engine: 'vllm',
  version: '0.32.0',
  latencies: {
    ttft: {
      count: 100,
      sum: 12_000,
      buckets: [
        [50, 0],
        [100, 50],
        [250, 100],
        [null, 100],
      ],
    },
    queue: {
      count: 100,
      sum: 400,
      buckets: [
        [300, 100],
        [null, 100],
      ],
    },
    e2e: {
      count: 100,
      sum: 900_000,
      buckets: [
        [2500, 0],
        [null, 100],
      ],
    },
  },
  promptTokens: 100_000,
  outputTokens: 10_000,
  prefixQueriedTokens: 100_000,
  prefixHitTokens: 61_000,
  preemptions: 2,
  requestsFinished: 100,
  restarted: false,
  kvBlocks: 2048,
  blockTokens: 16,
  scrapes: 30,
  scrapesFailed: 0,
  ...fields,
});

/** Two GPUs, `seconds` long. */
export const someGpus = (seconds: number): GpuSample[] =>
  Array.from({ length: seconds }, (_, second) => second).flatMap(second =>
    [0, 1].map(gpu => ({
      atMs: second * 1000,
      gpu: `node-1/${gpu}`,
      utilization: second % 7 === 0 ? 0.2 : 0.9 - gpu * 0.3,
      memoryUsedBytes: (40 + gpu) * 2 ** 30,
      powerW: 300 + 50 * gpu + (second % 5) * 10,
      smClockMhz: 1980 - second,
      temperatureC: null,
    })),
  );

export const aMeasured = (fields: Partial<Measured> = {}): Measured => ({
  client: aClient(),
  servers: [aServer(), aServer({ replica: 'main/1' })],
  gpus: someGpus(30),
  ...fields,
});
