// KV that lies on another replica, and what its request brings from there.
import type { Travel } from './transfers.ts';

/** A load that could begin now. */
export interface Load {
  /** Leading tokens of the sequence, hits included, whose KV is there once it has arrived. */
  readonly tokens: number;
  readonly bytes: number;
  start(atNs: number, arrived: (atNs: number) => void): Travel;
}

/** The KV of a prompt on the replica that computed it, kept there until it is closed. */
export interface Handover {
  /** What there is behind `hitBlocks` blocks that are here already; null when those are all. */
  find(hitBlocks: number): Load | null;
  close(atNs: number): void;
}

/** What a request brings from the replica that computed its prompt. */
export interface Carried {
  /** Null when nothing is left there: it was preempted while its first token was on its way. */
  readonly handover: Handover | null;
  /** Prompt tokens that were found in the cache there. */
  readonly cachedTokens: number;
  /** Tokens that appeared already: the first, or none. */
  readonly generated: number;
  readonly lastTokenNs: number;
  readonly computedTokens: number;
  readonly preemptions: number;
}
