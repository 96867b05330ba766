// What an engine calls its metrics: one file an engine, one line in index.ts. A meaning has names, newest first; the
// first that a server shows is meant.
import type { ServerLatency } from '../../scenarios/formats/measured.ts';

/** A value now. */
export type Gauge = 'runningRequests' | 'waitingRequests' | 'kvUsedRatio' | 'kvBlocks' | 'blockTokens';

/** Values that only grow while a server lives. */
export const COUNTERS = [
  'promptTokens',
  'outputTokens',
  'prefixQueriedTokens',
  'prefixHitTokens',
  'preemptions',
  'requestsFinished',
] as const;
export type Counter = (typeof COUNTERS)[number];

/** A metric: summed over its series, or over those with these labels. */
export type MetricName =
  | string
  | { readonly name: string; readonly where: Readonly<Record<string, string>> }
  /** The number in a label of an `…_info` metric. */
  | { readonly name: string; readonly label: string }
  /** Several metrics that are parts of one; all of them must be there. */
  | { readonly sum: readonly string[] };

export interface EngineMetrics {
  /** As a report names it: `vllm`. */
  readonly engine: string;
  /** With what the names of its metrics begin; or, where they have no prefix, names that only it has. */
  readonly mark: { readonly prefix: string } | { readonly names: readonly string[] };
  readonly gauges: Partial<Record<Gauge, readonly MetricName[]>>;
  readonly counters: Partial<Record<Counter, readonly MetricName[]>>;
  /** Histograms in seconds. */
  readonly latencies: Partial<Record<ServerLatency, readonly string[]>>;
  /** Where it tells its version, below its root: JSON with that key. */
  readonly version: { readonly path: string; readonly key: string } | null;
}

/** A counter as newer and older releases spell it. */
export const counter = (...names: readonly string[]): string[] =>
  names.flatMap(name => [`${name}_total`, name]);
