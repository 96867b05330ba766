// The blocks no request holds, next to be reused first: a doubly linked list, so that a hit can take a block out of its
// middle (vLLM v1/core/kv_cache_utils.py, FreeKVCacheBlockQueue). Rule: a block is in here exactly while refs is 0.
import { invariant } from '../../scenarios/base/errors.ts';
import type { BlockHash } from './block-hash.ts';

/** One KV block of a replica. */
export interface Block {
  readonly id: number;
  /** Content it holds, or will hold after the step that is being scheduled; null while it is not full. */
  hash: BlockHash | null;
  /** Requests that hold it. */
  refs: number;
  previous: Block | null;
  next: Block | null;
}

export class FreeQueue {
  count = 0;
  private head: Block | null = null;
  private tail: Block | null = null;

  append(block: Block): void {
    block.previous = this.tail;
    block.next = null;
    if (this.tail === null) this.head = block;
    else this.tail.next = block;
    this.tail = block;
    this.count += 1;
  }

  prepend(block: Block): void {
    block.previous = null;
    block.next = this.head;
    if (this.head === null) this.tail = block;
    else this.head.previous = block;
    this.head = block;
    this.count += 1;
  }

  remove(block: Block): void {
    if (block.previous === null) this.head = block.next;
    else block.previous.next = block.next;
    if (block.next === null) this.tail = block.previous;
    else block.next.previous = block.previous;
    block.previous = null;
    block.next = null;
    this.count -= 1;
  }

  popHead(): Block {
    const block = this.head;
    invariant(block !== null, () => 'a KV block is taken but none is free: ask canAllocate before allocate');
    this.remove(block);
    return block;
  }

  /** From the next block to be reused to the last. */
  toArray(): Block[] {
    const blocks: Block[] = [];
    for (let block = this.head; block !== null; block = block.next) blocks.push(block);
    return blocks;
  }
}
