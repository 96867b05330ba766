// What a live run knows beside its records, for pages and terminals: our own client's figures, and the servers' beside
// ours. Server quantiles are interpolated in the servers' own buckets, and are known only as well as those are wide.
import {
  type BucketCounts,
  type BucketQuantile,
  bucketMean,
  bucketQuantile,
  sumBuckets,
} from '../scenarios/base/buckets.ts';
import {
  type GpuSample,
  lagLimitMs,
  type Measured,
  SERVER_LATENCIES,
  type ServerLatency,
  type ServerReport,
} from '../scenarios/formats/measured.ts';
import type { MetricName, MetricSummary, RunResult } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';
import { plural, showCount, showMs, showNumber, showRatio } from './numbers.ts';
import { thinnedBy } from './timeline.ts';

const GPU_SAMPLES_MAX = 2000;

/** The result's part: GPU samples thinned so that peaks of load and memory survive. Null: nothing was measured. */
export function measuredOf({ measured }: RunOutput): Measured | null {
  if (measured === undefined) return null;
  const gpus = Map.groupBy(measured.gpus, ({ gpu }) => gpu);
  const share = Math.max(2, Math.floor(GPU_SAMPLES_MAX / Math.max(1, gpus.size)));
  const thin = (samples: readonly GpuSample[]): GpuSample[] =>
    thinnedBy(samples, share, [
      ({ utilization }) => utilization ?? 0,
      ({ utilization }) => -(utilization ?? 0),
      ({ memoryUsedBytes }) => memoryUsedBytes ?? 0,
      ({ powerW }) => powerW ?? 0,
    ]);
  // Of more GPUs than that, the first ones, each with its first and last sample.
  return { ...measured, gpus: [...gpus.values()].flatMap(thin).slice(0, GPU_SAMPLES_MAX) };
}

/** One latency by the servers, beside ours. */
export interface LatencyRow {
  latency: ServerLatency;
  count: number;
  meanMs: number | null;
  p50: BucketQuantile | null;
  p95: BucketQuantile | null;
  /** As we measured it; undefined: we cannot see it, or no call came back. */
  ours: MetricSummary | undefined;
}

/** What we call it: queue, prefill and decode happen where we do not see them. */
const OURS: Partial<Record<ServerLatency, MetricName>> = { ttft: 'ttft', itl: 'itl', e2e: 'e2e' };

/** Latencies that any server has histograms of; of several servers summed. */
export function latencyRows({ measured, metrics }: RunResult): LatencyRow[] {
  return SERVER_LATENCIES.flatMap(latency => {
    const histograms = (measured?.servers ?? [])
      .map(({ latencies }) => latencies[latency])
      .filter((histogram): histogram is BucketCounts => histogram !== undefined);
    const all = sumBuckets(histograms);
    if (all === null || !(all.count > 0)) return [];
    const name = OURS[latency];
    return [
      {
        latency,
        count: all.count,
        meanMs: bucketMean(all),
        p50: bucketQuantile(all, 0.5),
        p95: bucketQuantile(all, 0.95),
        ours: name === undefined ? undefined : metrics[name],
      },
    ];
  });
}

/** `120 ms`; in the first bucket no more than that it is below its bound, in the last that it is above. */
export function showQuantile(quantile: BucketQuantile | null): string {
  if (quantile === null) return '–';
  const { value, from, to } = quantile;
  if (to === null) return `> ${showMs(from)}`;
  return from === 0 ? `< ${showMs(to)}` : showMs(value);
}

/** Of what servers say; null where none does. */
export function sumOf(
  servers: readonly ServerReport[],
  count: (server: ServerReport) => number | null,
): number | null {
  const known = servers.map(count).filter(value => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0);
}

/** Prompt tokens found over those looked up, by the servers that count both; null: none does. */
export function prefixHitRatio(servers: readonly ServerReport[]): number | null {
  const both = servers.filter(
    server => server.prefixQueriedTokens !== null && server.prefixHitTokens !== null,
  );
  const queried = sumOf(both, server => server.prefixQueriedTokens) ?? 0;
  return queried > 0 ? (sumOf(both, server => server.prefixHitTokens) ?? 0) / queried : null;
}

/** Ours of the calls that were answered; null: no server reports hits in its usage. */
export const ourHitRatio = ({ tokens, cacheBySegment }: RunResult): number | null =>
  cacheBySegment.length === 0 || tokens.prompt === 0 ? null : tokens.cached / tokens.prompt;

/** `vLLM 0.32.0`; of several kinds each; null: no server shows metrics that we know. */
export function enginesOf(servers: readonly ServerReport[]): string | null {
  const names = servers
    .filter(({ engine }) => engine !== null)
    .map(({ engine, version }) => (version === null ? `${engine}` : `${engine} ${version}`));
  return names.length === 0 ? null : [...new Set(names)].join(', ');
}

/** Lag p99 above which a run is not valid, ms. */
export const lagLimitOf = ({ metrics }: RunResult): number => lagLimitMs(metrics.ttft?.p50 ?? 0);

/** Requests that the servers finished beyond those of ours that came back, where it is more than a few; else 0. */
function unlikeOurs({ measured, counts }: RunResult): number {
  const servers = measured?.servers ?? [];
  if (servers.some(({ engine }) => engine === null)) return 0;
  const finished = sumOf(servers, server => server.requestsFinished);
  const others = finished === null ? 0 : finished - counts.calls.ok;
  return Math.abs(others) > Math.max(2, 0.02 * counts.calls.planned) ? others : 0;
}

/** What must be known before the table of a server is compared with ours. */
export function serverNotes(result: RunResult): string[] {
  const { measured, counts } = result;
  const servers = measured?.servers ?? [];
  const silent = servers.filter(({ engine }) => engine === null).length;
  const restarted = servers.filter(server => server.restarted).map(({ replica }) => replica);
  const finished = sumOf(servers, server => server.requestsFinished);
  const others = unlikeOurs(result);
  const finishedText = `The servers finished ${plural(finished ?? 0, 'request')} and ${showCount(counts.calls.ok)} of ours came back:`;
  return [
    ...(silent > 0 && silent < servers.length
      ? [`${showCount(silent)} of ${plural(servers.length, 'server')} show no metrics that we know.`]
      : []),
    ...(restarted.length > 0
      ? [`${restarted.join(', ')} began anew during the run: what it counted just before is lost.`]
      : []),
    ...(others !== 0
      ? [
          others > 0
            ? `${finishedText} others used them meanwhile, or calls of ours ended early and were finished nevertheless.`
            : `${finishedText} what they show is a part of the run, as when several servers answer at one address.`,
        ]
      : []),
  ];
}

/** The client's figures, and the servers' beside ours: at most two lines. */
export function measuredLines(result: RunResult): string[] {
  const { measured } = result;
  if (measured === undefined) return [];
  const { client, servers } = measured;
  const lines = [
    [
      `client: lag p99 ${showMs(client.lagMs.p99)} (limit ${showMs(lagLimitOf(result))})`,
      `loop delay p99 ${showMs(client.loopDelayMs.p99)}`,
      `${showNumber(client.cpuCores)} cores`,
      rateText(client.rate),
    ].join(', '),
  ];
  const engines = enginesOf(servers);
  if (engines === null) return lines;
  const named = { ttft: 'TTFT', itl: 'ITL', e2e: 'E2E' } as const;
  const beside = latencyRows(result).flatMap(({ latency, p50, p95, ours }) =>
    latency in named && ours !== undefined && latency !== 'e2e'
      ? [
          `${named[latency as keyof typeof named]} p50/p95 ${showQuantile(p50)}/${showQuantile(p95)} beside ours ${showMs(ours.p50)}/${showMs(ours.p95)}`,
        ]
      : [],
  );
  const hits = prefixHitRatio(servers);
  const preemptions = sumOf(servers, server => server.preemptions);
  const others = unlikeOurs(result);
  const more = [
    ...beside,
    ...(hits === null ? [] : [`prefix hits ${showRatio(hits)}`]),
    ...(preemptions === null || preemptions === 0 ? [] : [plural(preemptions, 'preemption')]),
    ...(others > 0 ? [`${plural(others, 'request')} not of ours among them`] : []),
  ];
  return [...lines, `server (${engines}): ${more.length === 0 ? 'no request ended' : more.join(', ')}`];
}

/** `10 sessions/s as planned`, or what was planned beside what was done. */
export function rateText(rate: Measured['client']['rate']): string {
  if (rate === null) return 'too few sessions for a rate';
  const { plannedPerSec, achievedPerSec } = rate;
  const isAsPlanned = Math.abs(achievedPerSec - plannedPerSec) <= 0.01 * plannedPerSec;
  return isAsPlanned
    ? `${showNumber(achievedPerSec)} sessions/s as planned`
    : `${showNumber(achievedPerSec)} sessions/s of ${showNumber(plannedPerSec)} planned`;
}
