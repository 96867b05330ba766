// The cluster as one steppable object: `simulate` drives it on virtual time, the emulator on real time. Submitting
// behind now throws; a cancel acts at the next step boundary; odd polling changes no byte.
import type { RoutingPolicy, RoutingView } from '../gateway/routing/policy.ts';
import type { HistogramCounts } from '../scenarios/base/histogram.ts';
import type { PromptMakeup, Retention, Run } from '../scenarios/formats/prompt.ts';
import type { ReplicaSpan, TimelineSample } from '../scenarios/formats/record.ts';
import type { CallFacts } from '../scenarios/workflows/world.ts';
import type { OracleView } from './scaling/policy.ts';

/** One request to a pool. `prompt` and `output` name their content, so that later prompts can hit it. */
export interface Submission {
  /** Unique among live requests. */
  id: number;
  pool: string;
  /** For affinity: requests of one session may be kept together. */
  session: string;
  prompt: readonly Run[];
  /** Of `prompt`, where it is known. */
  makeup?: PromptMakeup | undefined;
  promptTokens: number;
  /** Exactly this many tokens will be generated (at least 1). */
  outputTokens: number;
  /** What the client allows (`max_tokens`), all that an engine knows before the end; outputTokens where it is not given. */
  maxOutputTokens?: number;
  /**
   * Names the generated tokens; sums to outputTokens. Rule: while the request lives, no other generates this content and
   * no other's prompt has it.
   */
  output: readonly Run[];
  /** Leading prompt tokens that are already in the cache when the request arrives (a resumed session); 0 for none. */
  warmTokens: number;
  /** Lower goes first, where the engine schedules by priority. */
  priority: number;
  /** The replica that it goes to if that takes requests, and those that it goes to only if there is no other. */
  prefers?: string | null | undefined;
  avoids?: readonly string[] | null | undefined;
  /** Unknown to a server that is asked by a stranger. */
  call?: CallFacts;
  /** How long parts of the prompt are worth keeping, where the engine retains by priority (TensorRT-LLM); none by default. */
  retention?: readonly Retention[] | undefined;
}

export type ClusterEvent =
  /** First admitted by the engine: `cachedTokens` of the prompt were found in the KV cache. */
  | { kind: 'scheduled'; id: number; atNs: number; replica: string; cachedTokens: number }
  /** One output token; `index` from 0. The first one always; the others only where the cluster is asked for every token. */
  | { kind: 'token'; id: number; atNs: number; index: number }
  | ({ kind: 'end' } & Ended)
  /** Cancelled on request; the blocks are free again. */
  | ({ kind: 'cancelled' } & Ended)
  /** Its replica is gone. */
  | ({ kind: 'failed'; reason: 'replica_lost' } & Ended)
  /** Refused: the request can never run here (`too_long`) or the queue is full (`queue_full`). */
  | {
      kind: 'rejected';
      id: number;
      atNs: number;
      reason: 'too_long' | 'queue_full' | 'no_pool';
      message: string;
    };

/** What is known of a request when it is over. */
interface Ended {
  id: number;
  atNs: number;
  /** Tokens that appeared. */
  outputTokens: number;
  /** Tokens that went through the model, those computed again included. */
  computedTokens: number;
  preemptions: number;
  /** The longest gap between two of its tokens; 0 with fewer than two. */
  itlMaxNs: number;
  /** Its KV on the way from the replica that computed the prompt; absent: it was computed here. */
  transfer?: { readonly startNs: number; readonly endNs: number };
}

/** How a cluster is made. */
export interface ClusterOptions {
  /** Report every output token, not only the first: for an emulator that streams them. */
  everyToken?: boolean;
  /** Seed of what the cluster itself draws: cold starts. */
  seed?: number | string;
  /** In place of the deployment's: a policy from outside. */
  routing?: RoutingPolicy;
  /** What the plan wants and when, for an autoscaler that knows. */
  oracle?: (pool: string) => OracleView;
  /** Calls to a pool that a gate holds before they come here; without it none. */
  atGate?: (pool: string) => number;
}

export interface Cluster {
  /** Throws when `atNs` lies behind the last `advanceTo`. */
  submit(atNs: number, submission: Submission): void;
  cancel(atNs: number, id: number): void;
  /** When something happens next, without further input; Infinity when idle and nobody looks at even times. */
  nextNs(): number;
  /**
   * Runs everything up to and including `ns`. A step that begins at `ns` stays open for requests of that instant: it is
   * closed, and its `scheduled` events are drained, when time passes `ns` (`nextNs` is then `ns + 1`).
   */
  advanceTo(ns: number): void;
  /** Events since the last drain, in order of time. */
  drain(): ClusterEvent[];
  /** The state of every replica now. */
  sample(atMs: number): TimelineSample[];
  /** Totals for /metrics, by replica. */
  counters(): ReplicaCounters[];
  /** Output tokens of a live request that have appeared; 0 of one that is not there. */
  generatedTokens(id: number): number;
  /** What the steps so far had that their step models were not tried with: a line for each pool that had any. */
  beyondRange(): string[];
  /** Gaps between the tokens of a request, over all of them, ms. */
  itlMs(): HistogramCounts;
}

/** A cluster with policies that hear of sessions, and replicas that come and go. */
export interface ManagedCluster extends Cluster {
  /** A session is over: policies that keep something of it may forget it. */
  sessionEnded(atNs: number, session: string, workflow: string): void;
  /** A ready replica of the pool, by a uniform draw, is lost with all it has; another is started. */
  crash(atNs: number, pool: string, draw: number): void;
  /** Pools where calls wait because no replica is ready. */
  heldAt(): string[];
  /** No request is here or on its way, whatever autoscalers may still look at. */
  isIdle(): boolean;
  /** What a gateway sees of a pool now; of a disaggregated one its decode half. */
  view(pool: string): RoutingView;
  /** When each replica was asked for, ready and gone. */
  replicaSpans(): ReplicaSpan[];
}

export interface ReplicaCounters {
  pool: string;
  replica: string;
  model: string;
  runningRequests: number;
  waitingRequests: number;
  kvBlocks: number;
  kvBlocksUsed: number;
  blockTokens: number;
  prefixQueriesTokens: number;
  prefixHitsTokens: number;
  preemptions: number;
  promptTokens: number;
  generationTokens: number;
  requestsFinished: number;
  /** Engine steps begun. */
  steps: number;
  /** Time so far with a step in flight, ns; of data-parallel ranks the mean. */
  busyNs: number;
  /** Cached blocks whose content was given up for a new block. */
  evictedBlocks: number;
  /** Prompt tokens whose KV came from a tier or from the prefill half, and the bytes of their blocks. */
  loadedTokens: number;
  transferredBytes: number;
  maxModelTokens: number;
}

/** What a replica counts as it goes. */
export const noTotals = () => ({
  prefixQueriesTokens: 0,
  prefixHitsTokens: 0,
  preemptions: 0,
  promptTokens: 0,
  generationTokens: 0,
  requestsFinished: 0,
  steps: 0,
  busyNs: 0,
});

/** Nothing will ever serve it. */
export const noPool = ({ id, pool }: Submission, isThere: boolean, atNs: number): ClusterEvent => ({
  kind: 'rejected',
  id,
  atNs,
  reason: 'no_pool',
  message: isThere ? `pool ${pool} has no replica` : `no pool ${pool}`,
});

/** Cancelled before it was sent anywhere. */
export const withdrawn = (id: number, atNs: number): ClusterEvent => ({
  kind: 'cancelled',
  id,
  atNs,
  outputTokens: 0,
  computedTokens: 0,
  preemptions: 0,
  itlMaxNs: 0,
});
