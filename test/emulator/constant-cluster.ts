// The smallest cluster there is, for tests of the server alone: every request gets its first token after `firstNs` and
// one each `gapNs`, whatever else runs; nothing is ever cached.
import type { HistogramCounts } from '../../scenarios/base/histogram.ts';
import type { Cluster, ClusterEvent, ReplicaCounters, Submission } from '../../sim/cluster.ts';

const ended = (id: number, outputTokens: number) => ({
  id,
  outputTokens,
  computedTokens: 0,
  preemptions: 0,
  itlMaxNs: 0,
});

interface Options {
  firstNs?: number;
  gapNs?: number;
  /** Live requests beyond which `queue_full` is answered. */
  liveMax?: number;
  promptTokensMax?: number;
}

export class ConstantCluster implements Cluster {
  readonly submissions: Submission[] = [];
  readonly cancelledIds: number[] = [];
  private readonly options: Required<Options>;
  private readonly live = new Map<number, { submission: Submission; nextNs: number; index: number }>();
  private events: ClusterEvent[] = [];
  private nowNs = 0;

  constructor(options: Options = {}) {
    this.options = { firstNs: 20e6, gapNs: 2e6, liveMax: 1000, promptTokensMax: 1000, ...options };
  }

  get liveRequests(): number {
    return this.live.size;
  }

  submit(atNs: number, submission: Submission): void {
    if (atNs < this.nowNs) throw new Error(`submitted at ${atNs}, behind ${this.nowNs}`);
    const { id, promptTokens } = submission;
    this.submissions.push(submission);
    const { firstNs, liveMax, promptTokensMax } = this.options;
    if (promptTokens > promptTokensMax) {
      this.events.push({ kind: 'rejected', id, atNs, reason: 'too_long', message: `${promptTokens} tokens` });
    } else if (this.live.size >= liveMax) {
      this.events.push({ kind: 'rejected', id, atNs, reason: 'queue_full', message: 'the queue is full' });
    } else {
      this.events.push({ kind: 'scheduled', id, atNs, replica: 'main/0', cachedTokens: 0 });
      this.live.set(id, { submission, nextNs: atNs + firstNs, index: 0 });
    }
  }

  cancel(atNs: number, id: number): void {
    if (!this.live.delete(id)) return;
    this.cancelledIds.push(id);
    this.events.push({ kind: 'cancelled', atNs, ...ended(id, 0) });
  }

  nextNs(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...[...this.live.values()].map(live => live.nextNs));
  }

  advanceTo(ns: number): void {
    for (let atNs = this.nextNs(); atNs <= ns; atNs = this.nextNs()) {
      for (const [id, live] of this.live) {
        if (live.nextNs !== atNs) continue;
        this.events.push({ kind: 'token', id, atNs, index: live.index++ });
        live.nextNs += this.options.gapNs;
        if (live.index < live.submission.outputTokens) continue;
        this.live.delete(id);
        this.events.push({ kind: 'end', atNs, ...ended(id, live.index) });
      }
    }
    this.nowNs = ns;
  }

  drain(): ClusterEvent[] {
    const drained = this.events;
    this.events = [];
    return drained;
  }

  generatedTokens(id: number): number {
    return this.live.get(id)?.index ?? 0;
  }

  beyondRange(): string[] {
    return [];
  }

  itlMs(): HistogramCounts {
    return { count: 0, sum: 0, min: 0, max: 0, buckets: [] };
  }

  sample(): [] {
    return [];
  }

  counters(): ReplicaCounters[] {
    return [
      {
        pool: 'main',
        replica: 'main/0',
        model: 'made-up',
        runningRequests: this.live.size,
        waitingRequests: 0,
        kvBlocks: 100,
        kvBlocksUsed: 0,
        blockTokens: 16,
        prefixQueriesTokens: 0,
        prefixHitsTokens: 0,
        preemptions: 0,
        promptTokens: 0,
        generationTokens: 0,
        requestsFinished: 0,
        steps: 0,
        busyNs: 0,
        evictedBlocks: 0,
        loadedTokens: 0,
        transferredBytes: 0,
        maxModelTokens: this.options.promptTokensMax,
      },
    ];
  }
}
