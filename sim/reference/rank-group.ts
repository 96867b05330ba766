// One replica of data-parallel ranks: engines with a batch and a KV cache of their own behind one front end, which
// spreads requests over them. A replica without ranks is a group of one.
// vLLM v1/engine/core_client.py, DPLBAsyncMPClient; v1/engine/coordinator.py.
import type { EngineKind, PoolSpec } from '../../engines/engine.ts';
import type { TimelineSample } from '../../scenarios/formats/record.ts';
import type { ReplicaCounters } from '../cluster.ts';
import { LockStep } from './lock-step.ts';
import { Replica, type ReplicaOptions, type ReplicaSink } from './replica.ts';

/** vLLM's ranks tell the front end their counts so often. */
const REFRESH_NS = 100e6;

/** What begins and ends steps: an engine alone, or ranks together. */
export interface Stepper {
  readonly canBegin: boolean;
  beginStep(atNs: number): number | null;
  endStep(atNs: number): void;
}

/** A rank as its front end last heard of it. */
interface Count {
  waiting: number;
  running: number;
  kvUsedRatio: number;
}

export class RankGroup {
  readonly name: string;
  /** None once it is gone. */
  ranks: readonly Replica[];
  /** Of each rank, what steps it. */
  steppers: readonly Stepper[];
  /** What it counted before it went; null while it is there. */
  private last: ReplicaCounters | null = null;
  private readonly engine: EngineKind;
  private counts: Count[];
  /** Of which refresh `counts` are. */
  private refresh = 0;
  /** Where the search begins, so that equal ranks take turns. */
  private start = 0;

  constructor(pool: PoolSpec, name: string, sink: ReplicaSink, optionsOf: () => ReplicaOptions) {
    this.name = name;
    this.engine = pool.engine;
    this.ranks = Array.from(
      { length: pool.dataParallelRanks },
      () => new Replica(pool, name, sink, optionsOf()),
    );
    const lockStep = pool.ranksInLockStep && this.ranks.length > 1 ? new LockStep(this.ranks) : null;
    this.steppers = this.ranks.map(rank => lockStep ?? rank);
    this.counts = this.ranks.map(countsOf);
  }

  /** It is gone, and what it had fails. */
  stop(atNs: number): void {
    for (const rank of this.ranks) rank.stop(atNs);
    this.last = this.counters(atNs);
    this.ranks = [];
    this.steppers = [];
  }

  get isStopped(): boolean {
    return this.last !== null;
  }

  /** Before anything at `atNs` changes a rank: if counts were sent since the last change, they are those of now. */
  observe(atNs: number): void {
    const refresh = Math.floor(atNs / REFRESH_NS);
    if (refresh === this.refresh) return;
    this.refresh = refresh;
    this.counts = this.ranks.map(countsOf);
  }

  /** The rank that a request of this instant goes to. */
  choose(atNs: number): Replica {
    this.observe(atNs);
    const { ranks, counts, start } = this;
    let best = start;
    let bestScore = Number.POSITIVE_INFINITY;
    for (let i = 0; i < ranks.length; i++) {
      const row = (start + i) % ranks.length;
      const score = scores[this.engine](ranks[row]!, counts[row]!);
      if (score >= bestScore) continue;
      best = row;
      bestScore = score;
    }
    counts[best]!.waiting += 1;
    this.start = (start + 1) % ranks.length;
    return ranks[best]!;
  }

  sample(atMs: number): TimelineSample {
    const samples = this.ranks.map(rank => rank.sample(atMs));
    return {
      ...samples[0]!,
      runningRequests: sum(samples.map(({ runningRequests }) => runningRequests)),
      waitingRequests: sum(samples.map(({ waitingRequests }) => waitingRequests)),
      kvUsedRatio: sum(samples.map(({ kvUsedRatio }) => kvUsedRatio)) / samples.length,
    };
  }

  counters(nowNs: number): ReplicaCounters {
    if (this.last !== null) return this.last;
    const counters = this.ranks.map(rank => rank.counters(nowNs));
    const total = (key: keyof ReplicaCounters) => sum(counters.map(each => each[key] as number));
    return {
      ...counters[0]!,
      runningRequests: total('runningRequests'),
      waitingRequests: total('waitingRequests'),
      kvBlocks: total('kvBlocks'),
      kvBlocksUsed: total('kvBlocksUsed'),
      prefixQueriesTokens: total('prefixQueriesTokens'),
      prefixHitsTokens: total('prefixHitsTokens'),
      preemptions: total('preemptions'),
      promptTokens: total('promptTokens'),
      generationTokens: total('generationTokens'),
      requestsFinished: total('requestsFinished'),
      steps: total('steps'),
      busyNs: total('busyNs') / counters.length,
      evictedBlocks: total('evictedBlocks'),
      loadedTokens: total('loadedTokens'),
      transferredBytes: total('transferredBytes'),
    };
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

const countsOf = (rank: Replica): Count => ({
  waiting: rank.waitingRequests,
  running: rank.running.length,
  kvUsedRatio: rank.engine.usedBlocks / rank.limits.kvBlocks,
});

/** The least goes first: what the front end knows exactly of its own requests, and what the ranks told it last. */
const scores: Record<EngineKind, (rank: Replica, count: Count) => number> = {
  vllm: (rank, { waiting, running, kvUsedRatio }) =>
    Math.max(rank.running.length + rank.waitingRequests, waiting + running) +
    waiting * 6 * Math.max(0, kvUsedRatio - 0.5),
  /** Round robin (--load-balance-method, its default). */
  sglang: () => 0,
  /** Attention DP gives each rank as many requests. */
  'tensorrt-llm': rank => rank.running.length + rank.waitingRequests,
};
