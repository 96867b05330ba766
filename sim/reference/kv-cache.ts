// The KV blocks of one replica and its prefix cache, as in vLLM V1 (v1/core/block_pool.py, kv_cache_manager.py): only
// full blocks are shared, and a freed block keeps its content until it is reused.
// Rule: eviction is LRU by the end of the request, and within a request from its suffix to its root; where a policy
// gives ranks (sim/retention), within each rank.
import { invariant } from '../../scenarios/base/errors.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import type { BlockHash } from './block-hash.ts';
import { type Block, FreeQueue, newBlock } from './free-queue.ts';
import type { Lease } from './lease.ts';

export interface KvCacheOptions {
  kvBlocks: number;
  blockTokens: number;
  prefixCaching: boolean;
}

export class KvCache {
  readonly blockTokens: number;
  readonly prefixCaching: boolean;
  /** By id; free and used. */
  readonly blocks: readonly Block[];
  readonly free = new FreeQueue();
  /** Named blocks that were taken for other content. */
  evictedBlocks = 0;
  /** Told of each block whose content is given up. */
  onEvicted: ((hash: BlockHash) => void) | null = null;
  /** The first block of each content; the others hang on it as twins, in the order in which they were named. */
  private readonly index = new IdTable<Block>();

  constructor({ kvBlocks, blockTokens, prefixCaching }: KvCacheOptions) {
    this.blockTokens = blockTokens;
    this.prefixCaching = prefixCaching;
    this.blocks = Array.from({ length: kvBlocks }, (_, id) => newBlock(id));
    for (const block of this.blocks) this.free.append(block);
  }

  get usedBlocks(): number {
    return this.blocks.length - this.free.count;
  }

  blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.blockTokens);
  }

  /** The block that a lookup of this content finds, if any. */
  cached(hash: BlockHash): Block | undefined {
    return this.index.get(hash);
  }

  /** The cached blocks a sequence of `tokens` tokens begins with. At least one of its tokens stays to be computed. */
  hits(hashes: readonly BlockHash[], tokens: number): Block[] {
    const hits: Block[] = [];
    if (!this.prefixCaching) return hits;
    const most = Math.floor((tokens - 1) / this.blockTokens);
    for (let i = 0; i < most && i < hashes.length; i++) {
      const block = this.cached(hashes[i]!);
      if (block === undefined) break;
      hits.push(block);
    }
    return hits;
  }

  /**
   * Whether `held`, grown by `hits` and new blocks to hold `tokens` tokens, fits and leaves `reserved` blocks free. A
   * free hit takes a free block too.
   */
  canAllocate(held: readonly Block[], hits: readonly Block[], tokens: number, reserved = 0): boolean {
    const fresh = this.blocksFor(tokens) - held.length - hits.length;
    const freeHits = hits.filter(block => block.refs === 0).length;
    return fresh + freeHits + reserved <= this.free.count;
  }

  /**
   * Grows `held` by `hits` and by new blocks until it holds `tokens` tokens, for a step that will have computed them
   * all. Every block this fills gets its hash now, so that a sibling admitted in the same step can share it; but for
   * tokens behind `knownTokens`, drafts that may be rejected. Precondition: canAllocate with the same arguments.
   */
  allocate(
    held: Block[],
    hits: readonly Block[],
    tokens: number,
    hashes: readonly BlockHash[],
    knownTokens = tokens,
  ): void {
    invariant(hits.length === 0 || held.length === 0, () => 'hits come first, before any other block');
    for (const block of hits) {
      if (block.refs === 0) this.free.remove(block);
      block.refs += 1;
      held.push(block);
    }
    while (held.length < this.blocksFor(tokens)) held.push(this.takeBlock());
    if (!this.prefixCaching) return;
    const full = Math.floor(Math.min(tokens, knownTokens) / this.blockTokens);
    for (let i = full - 1; i >= 0 && held[i]!.hash === null; i--) this.name(held[i]!, hashes[i]!);
  }

  /**
   * Lets go of all of `held`, its tail first: full blocks wait at the end of their rank, a partial one is next to be
   * reused. `lease`, if any, says what the full ones are worth.
   */
  release(held: Block[], lease: Lease | null = null): void {
    for (let block = held.pop(); block !== undefined; block = held.pop()) {
      block.refs -= 1;
      if (block.hash !== null) lease?.claim(block, held.length);
      if (block.refs > 0) continue;
      if (block.hash === null) this.free.prepend(block);
      else this.free.append(block);
    }
  }

  /**
   * Puts the leading blocks of a sequence into the cache as if a request had just released them: unheld, most recently
   * used, others evicted for them in their order; with a `lease`, only those that are worth less. What no free block is
   * left for is left out.
   */
  seed(hashes: readonly BlockHash[], lease: Lease | null = null): void {
    if (!this.prefixCaching) return;
    const present = hashes.map(hash => this.cached(hash));
    for (const block of present) if (block?.refs === 0) this.free.remove(block); // not evicted for its own suffix
    const below = lease?.rank ?? Number.POSITIVE_INFINITY;
    const released: Block[] = [];
    let chained = true; // a block behind one that is missing could never be hit
    for (const [i, hash] of hashes.entries()) {
      let block = present[i];
      if (block === undefined) {
        chained = chained && this.free.count > 0 && this.free.headRank < below;
        if (!chained) continue;
        block = this.takeBlock();
        block.refs = 0;
        this.name(block, hash);
        lease?.claim(block, i);
      }
      if (block.refs === 0) released.push(block);
    }
    for (const block of released.reverse()) this.free.append(block);
  }

  /** The next block to be reused, held once; what it cached is lost, and what it was worth. */
  private takeBlock(): Block {
    const block = this.free.popHead();
    if (block.hash !== null) {
      this.onEvicted?.(block.hash);
      this.unname(block, block.hash);
      this.evictedBlocks += 1;
      block.lease?.lose();
      block.lease = null;
      block.rank = 0;
      block.untilNs = Number.POSITIVE_INFINITY;
      block.isShared = false;
    }
    block.refs = 1;
    return block;
  }

  private name(block: Block, hash: BlockHash): void {
    block.hash = hash;
    let last = this.index.get(hash);
    if (last === undefined) this.index.set(hash, block);
    else {
      while (last.twin !== null) last = last.twin;
      last.twin = block;
    }
  }

  private unname(block: Block, hash: BlockHash): void {
    let before = this.index.get(hash)!;
    if (before !== block) {
      while (before.twin !== block) before = before.twin!;
      before.twin = block.twin;
    } else if (block.twin === null) this.index.delete(hash);
    else this.index.set(hash, block.twin);
    block.twin = null;
    block.hash = null;
  }
}
