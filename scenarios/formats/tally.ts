// What a run leaves in constant memory, however many calls it made: counters and histograms, in whole numbers, so that
// the tallies of shards, cells and seeds merge exactly and in any order.
import { Histogram, type HistogramCounts } from '../base/histogram.ts';
import type { CallOutcome, WorkflowStatus } from './record.ts';

export const TALLY_VERSION = 1;

export const TALLIED_METRICS = ['ttft', 'tpot', 'e2e', 'queue', 'makespan'] as const;
export type TalliedMetric = (typeof TALLIED_METRICS)[number];

/** One assertion line: values or counts, enough to judge it on the whole of several parts. */
export interface AssertionTally {
  readonly text: string;
  /** Of lines on latencies: whole microseconds; empty where a tally cannot know. Null: the line counts. */
  readonly valuesUs: HistogramCounts | null;
  /** Of shares: how many, or how many tokens, of `whole`. A plain count is `whole`. */
  readonly part: number;
  readonly whole: number;
}

export interface RunTally {
  readonly version: number;
  /** Simulated or measured time to the last end, whole microseconds; of several parts the longest. */
  readonly durationUs: number;
  /** To the start of the last session. */
  readonly windowUs: number;
  readonly calls: Readonly<Record<CallOutcome, number>>;
  /** Failed calls by their reason code, sorted by it. */
  readonly errors: Readonly<Record<string, number>>;
  readonly sessions: Readonly<Record<WorkflowStatus, number>>;
  readonly toolCalls: number;
  /** Of calls that an engine took up. */
  readonly tokens: {
    readonly prompt: number;
    /** Prompt tokens of calls whose server says what was cached, and what was. */
    readonly looked: number;
    readonly cached: number;
    readonly computed: number;
    readonly output: number;
  };
  readonly preemptions: number;
  /** Latencies of calls that came back whole and of sessions that completed, whole microseconds. */
  readonly us: Readonly<Record<TalliedMetric, HistogramCounts>>;
  /** Gaps between tokens, ms, over all calls; its sum is no whole number. */
  readonly itlMs: HistogramCounts;
  /** In the order of the plan. */
  readonly assertions: readonly AssertionTally[];
  /** Paid for, in whole GPU-milliseconds; their price in nano-dollars, null where a pool has none. */
  readonly gpuMs: number;
  readonly gpuNanos: number | null;
  /** Bills of providers, nano-dollars. */
  readonly apiNanos: number;
}

/** The counts of two histograms as one. */
export function mergedCounts(counts: readonly HistogramCounts[]): HistogramCounts {
  const all = new Histogram();
  for (const each of counts) all.merge(each);
  return all.toCounts();
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function mergedNumbers<K extends string>(parts: readonly Readonly<Record<K, number>>[]): Record<K, number> {
  const names = [...new Set(parts.flatMap(part => Object.keys(part) as K[]))];
  return Object.fromEntries(names.map(name => [name, sum(parts.map(part => part[name] ?? 0))])) as Record<
    K,
    number
  >;
}

/** In the order of their names, whoever was first. */
const inOrder = (counts: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));

/**
 * Several parts of one run, or runs of several seeds, as one. Parts of one run lasted as long as the longest and cost what
 * all cost. They must have the same assertion lines.
 */
export function mergedTally(parts: readonly [RunTally, ...RunTally[]]): RunTally {
  const [first] = parts;
  const of = <T>(value: (part: RunTally) => T): T[] => parts.map(value);
  const longest = (values: readonly number[]): number => Math.max(...values);
  return {
    version: TALLY_VERSION,
    durationUs: longest(of(part => part.durationUs)),
    windowUs: longest(of(part => part.windowUs)),
    calls: mergedNumbers(of(part => part.calls)),
    errors: inOrder(mergedNumbers(of(part => part.errors))),
    sessions: mergedNumbers(of(part => part.sessions)),
    toolCalls: sum(of(part => part.toolCalls)),
    tokens: mergedNumbers(of(part => part.tokens)),
    preemptions: sum(of(part => part.preemptions)),
    us: Object.fromEntries(
      TALLIED_METRICS.map(metric => [metric, mergedCounts(of(part => part.us[metric]))]),
    ) as Record<TalliedMetric, HistogramCounts>,
    itlMs: mergedCounts(of(part => part.itlMs)),
    assertions: first.assertions.map(({ text, valuesUs }, i) => ({
      text,
      valuesUs: valuesUs === null ? null : mergedCounts(of(part => part.assertions[i]!.valuesUs!)),
      part: sum(of(part => part.assertions[i]!.part)),
      whole: sum(of(part => part.assertions[i]!.whole)),
    })),
    gpuMs: sum(of(part => part.gpuMs)),
    gpuNanos: parts.some(part => part.gpuNanos === null) ? null : sum(of(part => part.gpuNanos ?? 0)),
    apiNanos: sum(of(part => part.apiNanos)),
  };
}
