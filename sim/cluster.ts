// The cluster as one steppable object: `simulate` drives it on virtual time, the emulator on real time. Submitting
// behind now throws; a cancel acts at the next step boundary; odd polling changes no byte.
import type { Run } from '../scenarios/formats/prompt.ts';
import type { TimelineSample } from '../scenarios/formats/record.ts';

/** One request to a pool. `prompt` and `output` name their content, so that later prompts can hit it. */
export interface Submission {
  /** Unique among live requests. */
  id: number;
  pool: string;
  /** For affinity: requests of one session may be kept together. */
  session: string;
  prompt: readonly Run[];
  promptTokens: number;
  /** Exactly this many tokens will be generated (at least 1). */
  outputTokens: number;
  /** Names the generated tokens; sums to outputTokens. */
  output: readonly Run[];
  /** Leading prompt tokens that are already in the cache when the request arrives (a resumed session); 0 for none. */
  warmTokens: number;
}

export type ClusterEvent =
  /** First admitted by the engine: `cachedTokens` of the prompt were found in the KV cache. */
  | { kind: 'scheduled'; id: number; atNs: number; replica: string; cachedTokens: number }
  /** One output token; `index` from 0. */
  | { kind: 'token'; id: number; atNs: number; index: number }
  | { kind: 'end'; id: number; atNs: number; computedTokens: number; preemptions: number }
  /** Cancelled on request; the blocks are free again. */
  | { kind: 'cancelled'; id: number; atNs: number; computedTokens: number; preemptions: number }
  /** Refused: the request can never run here (`too_long`) or the queue is full (`queue_full`). */
  | {
      kind: 'rejected';
      id: number;
      atNs: number;
      reason: 'too_long' | 'queue_full' | 'no_pool';
      message: string;
    };

export interface Cluster {
  /** Throws when `atNs` lies behind the last `advanceTo`. */
  submit(atNs: number, submission: Submission): void;
  cancel(atNs: number, id: number): void;
  /** When something happens next, without further input; Infinity when idle. */
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
  maxModelTokens: number;
}
