// The blocks no request holds, next to be reused first: blank ones, then by rank, within a rank the one that was let go
// first. Where no policy gives ranks this is vLLM's queue (v1/core/kv_cache_utils.py, FreeKVCacheBlockQueue): doubly
// linked lists, so that a hit can take a block out of the middle. Rule: a block is in here exactly while refs is 0.
import { invariant } from '../../scenarios/base/errors.ts';
import type { BlockHash } from './block-hash.ts';
import type { Lease } from './lease.ts';

/** One KV block of a replica. */
export interface Block {
  readonly id: number;
  /** Content it holds, or will hold after the step that is being scheduled; null while it is not full. */
  hash: BlockHash | null;
  /** The next block of the same content: siblings that compute it at once each keep their copy. */
  twin: Block | null;
  /** Requests that hold it. */
  refs: number;
  /** The lowest goes first; 0 where nobody says anything. */
  rank: number;
  /** When the rank falls to 0; Infinity: never. */
  untilNs: number;
  /** Whose word the rank is; null: nobody's. */
  lease: Lease | null;
  /** Left by more than one session. */
  isShared: boolean;
  /** When it was let go, as an ordinal of the queue. */
  turn: number;
  /** Its neighbours, and the list it lies in; null while it is held. */
  previous: Block | null;
  next: Block | null;
  home: Rank | null;
}

/** Free blocks of one rank, the one that was let go first in front. */
interface Rank {
  readonly rank: number;
  head: Block | null;
  tail: Block | null;
}

/** Of blocks without content: they go before all others. */
const BLANK = Number.NEGATIVE_INFINITY;

export const newBlock = (id: number): Block => ({
  id,
  hash: null,
  twin: null,
  refs: 0,
  rank: 0,
  untilNs: Number.POSITIVE_INFINITY,
  lease: null,
  isShared: false,
  turn: 0,
  previous: null,
  next: null,
  home: null,
});

export class FreeQueue {
  count = 0;
  private turns = 0;
  /** The lowest first; none is empty. */
  private readonly ranks: Rank[] = [];

  /** Let go just now; behind all others of its rank. */
  append(block: Block): void {
    block.turn = ++this.turns;
    const home = this.rankOf(block.hash === null ? BLANK : block.rank);
    this.link(block, home, home.tail);
  }

  /** A block without content, next to be reused. */
  prepend(block: Block): void {
    this.link(block, this.rankOf(BLANK), null);
  }

  /** Gives free blocks another rank: among those they lie by when they were let go. */
  move(blocks: readonly Block[], rank: number): void {
    let near: Block | null = null;
    for (const block of blocks) {
      this.remove(block);
      block.rank = rank;
      const home = this.rankOf(rank);
      // Blocks of one call were let go one after the other: each belongs close to the one before.
      if (near?.home !== home) near = home.tail;
      while (near !== null && near.turn > block.turn) near = near.previous;
      for (let next = near?.next ?? null; next !== null && next.turn < block.turn; next = next.next)
        near = next;
      this.link(block, home, near);
      near = block;
    }
  }

  remove(block: Block): void {
    const home = block.home!;
    if (block.previous === null) home.head = block.next;
    else block.previous.next = block.next;
    if (block.next === null) home.tail = block.previous;
    else block.next.previous = block.previous;
    block.previous = null;
    block.next = null;
    block.home = null;
    this.count -= 1;
    if (home.head === null) this.ranks.splice(this.ranks.indexOf(home), 1);
  }

  /** The rank of the next block to be reused, -Infinity of a blank one; Infinity where none is free. */
  get headRank(): number {
    return this.ranks[0]?.rank ?? Number.POSITIVE_INFINITY;
  }

  popHead(): Block {
    const block = this.ranks[0]?.head ?? null;
    invariant(block !== null, () => 'a KV block is taken but none is free: ask canAllocate before allocate');
    this.remove(block);
    return block;
  }

  /** From the next block to be reused to the last. */
  toArray(): Block[] {
    const blocks: Block[] = [];
    for (const { head } of this.ranks)
      for (let block = head; block !== null; block = block.next) blocks.push(block);
    return blocks;
  }

  private link(block: Block, home: Rank, previous: Block | null): void {
    const next = previous === null ? home.head : previous.next;
    block.previous = previous;
    block.next = next;
    block.home = home;
    if (previous === null) home.head = block;
    else previous.next = block;
    if (next === null) home.tail = block;
    else next.previous = block;
    this.count += 1;
  }

  /** The list of this rank, made where there is none. */
  private rankOf(rank: number): Rank {
    const { ranks } = this;
    let place = ranks.length;
    while (place > 0 && ranks[place - 1]!.rank >= rank) place -= 1;
    const found = ranks[place];
    if (found?.rank === rank) return found;
    const made: Rank = { rank, head: null, tail: null };
    ranks.splice(place, 0, made);
    return made;
  }
}
