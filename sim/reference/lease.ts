// What a call left in the cache of its engine, for as long as any of it is there: the blocks whose rank is its word.
// Rule: a block has one lease at most, and knows it; a lease holds no memory, it only says who goes first.
import type { Left, RetentionCall, Worth } from '../retention/policy.ts';
import type { BlockHash } from './block-hash.ts';
import type { Block } from './free-queue.ts';

const NS_PER_MS = 1e6;
/** Below it a list of blocks is not worth tidying. */
const FEW = 64;

export interface LeaseOptions {
  readonly call: RetentionCall;
  readonly atNs: number;
  readonly tokens: number;
  /** Of the full blocks that were let go. */
  readonly hashes: readonly BlockHash[];
  /** Its word stands against that of other sessions, whatever they said. */
  readonly lastWordWins: boolean;
}

export class Lease implements Left {
  readonly call: RetentionCall;
  readonly atNs: number;
  readonly tokens: number;
  readonly hashes: readonly BlockHash[];
  /** Blocks whose rank is its word. */
  blocks = 0;
  /** What it says; the first range that a block lies in counts. */
  worth: readonly Worth[] = [];
  private readonly lastWordWins: boolean;
  /** Its blocks, and some that no longer are. */
  private claimed: Block[] = [];

  constructor({ call, atNs, tokens, hashes, lastWordWins }: LeaseOptions) {
    this.call = call;
    this.atNs = atNs;
    this.tokens = tokens;
    this.hashes = hashes;
    this.lastWordWins = lastWordWins;
  }

  get atMs(): number {
    return this.atNs / NS_PER_MS;
  }

  /** The highest that it gives. */
  get rank(): number {
    return this.worth.reduce((most, { rank }) => Math.max(most, rank), Number.NEGATIVE_INFINITY);
  }

  /**
   * Has its say on the block of this ordinal, which is not in the free queue. What another session said of it stands if
   * it keeps the block longer.
   */
  claim(block: Block, ordinal: number): void {
    const worth = this.worthOf(ordinal);
    if (worth === null) return;
    const { rank } = worth;
    const untilNs = toNs(worth.untilMs);
    const other = block.lease;
    if (other !== null && other.call.session !== this.call.session) {
      block.isShared = true;
      const isLess = rank < block.rank || (rank === block.rank && untilNs < block.untilNs);
      if (isLess && !this.lastWordWins) return;
    }
    other?.lose();
    block.lease = this;
    block.rank = rank;
    block.untilNs = untilNs;
    this.blocks += 1;
    this.claimed.push(block);
  }

  private worthOf(ordinal: number): Worth | null {
    for (const each of this.worth) if (each.fromBlock <= ordinal && ordinal < each.toBlock) return each;
    return null;
  }

  /** One of its blocks is another's, or has lost its content. */
  lose(): void {
    this.blocks -= 1;
    if (this.claimed.length > FEW && this.blocks * 2 < this.claimed.length)
      this.claimed = this.claimed.filter(({ lease }) => lease === this);
  }

  /** Its blocks, in the order in which it had its say; one that came back by a prefetch was claimed twice. */
  own(): Block[] {
    return [...new Set(this.claimed)].filter(({ lease }) => lease === this);
  }
}

/** To the nanosecond; Infinity stays what it is. */
export const toNs = (ms: number): number =>
  ms === Number.POSITIVE_INFINITY ? ms : Math.max(0, Math.round(ms * NS_PER_MS));
