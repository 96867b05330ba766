// The contract of a retention policy: what the KV blocks that a call leaves behind are worth to its engine, as ranks.
// Free blocks are reused by rank, the lowest first, and within a rank the one that was let go first. An engine has a
// policy of its own and sees the calls that come to it; nobody tells it what a workflow will do next.
import type { Retention, Run } from '../../scenarios/formats/prompt.ts';

/** A call, as its engine knows it. */
export interface RetentionCall {
  readonly session: string;
  readonly workflow: string;
  readonly tenant: string | null;
  readonly step: string;
  readonly prompt: readonly Run[];
  readonly promptTokens: number;
  /** What the call says of ranges of its prompt. */
  readonly retention: readonly Retention[];
}

/** What a call left in the cache; the same object for as long as any of it may be there. */
export interface Left {
  readonly call: RetentionCall;
  readonly atMs: number;
  /** Of its prompt and output, those whose KV was there. */
  readonly tokens: number;
  /** Blocks whose rank is still this call's word; 0: nobody needs to remember it. */
  readonly blocks: number;
}

/** What the blocks `fromBlock` (from 0) to `toBlock` (exclusive, or Infinity) of a sequence are worth. */
export interface Worth {
  readonly fromBlock: number;
  readonly toBlock: number;
  /** A block of which nobody says anything has 0, and so have those whose time is over. */
  readonly rank: number;
  /** Infinity: for as long as it is there. */
  readonly untilMs: number;
}

export interface Decision {
  /** The first range that a block lies in counts; of a block in none nothing is said. */
  readonly worth: readonly Worth[];
  /** When to fetch from the tiers behind what is missing by then; not at all where it is left out. */
  readonly prefetchMs?: number;
}

export type RetentionEvent =
  | { readonly kind: 'arrived'; readonly call: RetentionCall; readonly atMs: number }
  /** The engine begins its work; `queuedMs` since it arrived. */
  | {
      readonly kind: 'admitted';
      readonly call: RetentionCall;
      readonly atMs: number;
      readonly queuedMs: number;
      readonly cachedTokens: number;
    }
  | { readonly kind: 'session_ended'; readonly session: string; readonly atMs: number };

/** A new rank for all that a call left and that is still its word. What other sessions left too is never lowered. */
export interface Change {
  readonly left: Left;
  readonly rank: number;
  readonly untilMs: number;
  /** Blocks of a higher rank than this keep it; where it is left out, all change. */
  readonly upTo?: number;
  readonly prefetchMs?: number;
}

/** A policy at work in one engine. */
export interface Keeper {
  /** A call lets go of its blocks; asked once for each. Where two sessions disagree on a block, the higher rank stands. */
  letGo(left: Left): Decision;
  /** What it sees, and what of that changes the worth of what earlier calls left. */
  observe?(event: RetentionEvent): readonly Change[];
  /** Where two sessions disagree on a block, the later word stands instead. */
  readonly lastWordWins?: boolean;
}

/** The engine that a policy is made for. */
export interface RetentionSetup {
  readonly blockTokens: number;
  /** What it takes to have a context of so many tokens again, ms: computed, or loaded where that is quicker. */
  restoreMs(tokens: number): number;
  /** What it takes to compute a prompt of so many tokens, ms. */
  prefillMs(tokens: number): number;
}

export interface RetentionPolicy {
  name: string;
  /** One line for --help and the catalogue. */
  doc: string;
  /** Systems and papers that have it, under their own names. */
  source: string;
  /** Options as in the deployment file, durations in ms; throws UserError for others. Null: the engine's own order. */
  create(options: Record<string, unknown>, setup: RetentionSetup): Keeper | null;
}

export const defineRetentionPolicy = (policy: RetentionPolicy): RetentionPolicy => policy;

/** One word for all that a call left. */
export const wholly = (rank: number, untilMs: number = Number.POSITIVE_INFINITY): readonly Worth[] => [
  { fromBlock: 0, toBlock: Number.POSITIVE_INFINITY, rank, untilMs },
];
