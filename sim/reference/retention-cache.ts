// TensorRT-LLM's KV blocks (batch_manager/kvCacheManager.cpp, evictionPolicy.cpp): a tree of blocks by content, in which
// a block may be reused in part, and free blocks in classes of priority. Rule: the lowest class is reused first, within
// a class the block that has been free longest; when a block's duration is over it falls to the default class.
import { invariant } from '../../scenarios/base/errors.ts';
import { Heap } from '../../scenarios/base/heap.ts';
import { commonTokens, headOf, type Run, runTokens, tailOf } from '../../scenarios/formats/prompt.ts';
import type { BlockHash } from './block-hash.ts';

/** What a block is worth without a word about it. */
export const DEFAULT_PRIORITY = 35;

const NS_PER_MS = 1e6;

/** What a block is worth once no request holds it. */
export interface Worth {
  priority: number;
  /** After so long without use it is worth the default again; null: never. */
  durationMs: number | null;
}

export interface RetainedBlock extends Worth {
  readonly id: number;
  /** Its content, while others may find it: the tokens behind its parent. Empty otherwise. */
  runs: readonly Run[];
  tokens: number;
  /** Names its content and all before it, where it is full. */
  hash: BlockHash | null;
  parent: RetainedBlock | null;
  /** By their first token; several may begin with the same one. */
  readonly children: Map<string, RetainedBlock[]>;
  /** Requests that hold it. */
  refs: number;
  /** Times it became free: an expiry of an earlier time does not count. */
  releases: number;
}

/** What of a sequence is there: whole blocks, and a part of one more. */
export interface Match {
  blocks: RetainedBlock[];
  part: { block: RetainedBlock; tokens: number } | null;
}

export class RetentionCache {
  readonly blockTokens: number;
  /** Cached blocks whose content was given up for new content. */
  evictedBlocks = 0;
  readonly blocks: readonly RetainedBlock[];
  freeCount = 0;
  private readonly prefixCaching: boolean;
  private readonly root = newBlock(-1);
  /** The full blocks of the tree by content. */
  private readonly index = new Map<BlockHash, RetainedBlock>();
  /** Free blocks without content, reused before any other. */
  private readonly empty = new Set<RetainedBlock>();
  /** Free blocks by priority; in each class the one that has been free longest first. */
  private readonly classes = new Map<number, Set<RetainedBlock>>();
  private readonly expiries = new Heap<{ atNs: number; block: RetainedBlock; releases: number }>((a, b) =>
    a.atNs !== b.atNs
      ? a.atNs < b.atNs
      : a.block.id !== b.block.id
        ? a.block.id < b.block.id
        : a.releases < b.releases,
  );

  constructor({ kvBlocks, blockTokens, prefixCaching }: RetentionCacheOptions) {
    this.blockTokens = blockTokens;
    this.prefixCaching = prefixCaching;
    this.blocks = Array.from({ length: kvBlocks }, (_, id) => newBlock(id));
    for (const block of this.blocks) this.addFree(block);
  }

  /** Free blocks, the next to be reused first. */
  free(): RetainedBlock[] {
    const priorities = [...this.classes.keys()].sort((a, b) => a - b);
    return [...this.empty, ...priorities.flatMap(priority => [...this.classes.get(priority)!])];
  }

  /** What of `sequence` is cached; `hashes` are of its whole blocks, and may go on behind its end. */
  match(sequence: readonly Run[], hashes: readonly BlockHash[]): Match {
    const match: Match = { blocks: [], part: null };
    if (!this.prefixCaching) return match;
    const whole = Math.floor(runTokens(sequence) / this.blockTokens);
    for (let i = 0; i < whole; i++) {
      const block = this.index.get(hashes[i]!);
      if (block === undefined) break;
      match.blocks.push(block);
    }
    const behind = match.blocks.length * this.blockTokens;
    const wanted = headOf(tailOf(sequence, behind), this.blockTokens);
    match.part = bestPart(match.blocks.at(-1) ?? this.root, wanted);
    return match;
  }

  tokensOf({ blocks, part }: Match): number {
    return blocks.length * this.blockTokens + (part?.tokens ?? 0);
  }

  /**
   * Takes what is cached. Of a block reused in part, the request gets a copy, or the block itself if nobody else has a
   * use for it. `worthOf`, where it says anything, is what the request thinks of its block of that ordinal.
   */
  hold({ blocks, part }: Match, worthOf: (block: number) => Worth | null): RetainedBlock[] {
    for (const [i, block] of blocks.entries()) {
      this.claim(block);
      Object.assign(block, worthOf(i));
    }
    const held = [...blocks];
    if (part === null) return held;
    const isOwn = part.block.refs === 0 && part.block.children.size === 0;
    if (isOwn) {
      this.detach(part.block);
      this.claim(part.block);
      held.push(Object.assign(part.block, worthOf(blocks.length)));
    } else held.push(this.take(worthOf(blocks.length)));
    return held;
  }

  /** The next free block, held once; what it cached, and what was cached behind it, is lost. */
  take(worth: Worth | null): RetainedBlock {
    const block = this.nextFree();
    invariant(block !== undefined, () => 'a KV block is taken but none is free: reserve before taking');
    if (block.tokens > 0) this.evictedBlocks += 1;
    this.detach(block);
    this.claim(block);
    return Object.assign(block, worth ?? { priority: DEFAULT_PRIORITY, durationMs: null });
  }

  /** Lets others find the blocks of `sequence` in `held`; `withPart`: the last one too, though it is not full. */
  store(
    held: readonly RetainedBlock[],
    sequence: readonly Run[],
    hashes: readonly BlockHash[],
    withPart: boolean,
  ): void {
    if (!this.prefixCaching) return;
    let parent = this.root;
    let rest = sequence;
    for (const [i, own] of held.entries()) {
      const runs = headOf(rest, this.blockTokens);
      rest = tailOf(rest, this.blockTokens);
      const tokens = runTokens(runs);
      if (tokens === 0 || (tokens < this.blockTokens && !withPart)) break;
      const hash = tokens === this.blockTokens ? hashes[i]! : null;
      const found = hash === null ? undefined : this.index.get(hash);
      if (found === undefined) {
        this.detach(own);
        this.attach(own, parent, { runs, tokens, hash });
      }
      parent = found ?? own;
    }
  }

  /** Lets go of all of `held`, its tail first. */
  release(held: RetainedBlock[], atNs: number): void {
    for (let block = held.pop(); block !== undefined; block = held.pop()) {
      block.refs -= 1;
      if (block.refs > 0) continue;
      block.releases += 1;
      this.addFree(block);
      if (block.durationMs === null || block.priority === DEFAULT_PRIORITY) continue;
      const expiresNs = atNs + Math.round(block.durationMs * NS_PER_MS);
      this.expiries.push({ atNs: expiresNs, block, releases: block.releases });
    }
  }

  /** What was worth keeping until now is worth it no longer. */
  expire(atNs: number): void {
    for (let next = this.expiries.peek(); next !== undefined; next = this.expiries.peek()) {
      if (next.atNs > atNs) return;
      this.expiries.pop();
      const { block, releases } = next;
      if (block.refs > 0 || block.releases !== releases) continue;
      this.removeFree(block);
      block.priority = DEFAULT_PRIORITY;
      block.durationMs = null;
      this.addFree(block);
    }
  }

  private claim(block: RetainedBlock): void {
    if (block.refs === 0) this.removeFree(block);
    block.refs += 1;
  }

  private nextFree(): RetainedBlock | undefined {
    for (const block of this.empty) return block;
    const lowest = Math.min(...this.classes.keys());
    for (const block of this.classes.get(lowest) ?? []) return block;
    return undefined;
  }

  private addFree(block: RetainedBlock): void {
    this.freeCount += 1;
    if (block.tokens === 0) {
      this.empty.add(block);
      return;
    }
    const like = this.classes.get(block.priority);
    if (like === undefined) this.classes.set(block.priority, new Set([block]));
    else like.add(block);
  }

  private removeFree(block: RetainedBlock): void {
    this.freeCount -= 1;
    if (this.empty.delete(block)) return;
    const like = this.classes.get(block.priority)!;
    like.delete(block);
    if (like.size === 0) this.classes.delete(block.priority);
  }

  private attach(
    block: RetainedBlock,
    parent: RetainedBlock,
    content: Pick<RetainedBlock, 'runs' | 'tokens' | 'hash'>,
  ): void {
    Object.assign(block, content, { parent });
    if (content.hash !== null) this.index.set(content.hash, block);
    const first = firstToken(content.runs);
    const siblings = parent.children.get(first);
    if (siblings === undefined) parent.children.set(first, [block]);
    else siblings.push(block);
  }

  /** Out of the tree, with all that is behind it: nobody can find it without its beginning. */
  private detach(block: RetainedBlock): void {
    if (block.parent === null) return;
    const first = firstToken(block.runs);
    const siblings = block.parent.children.get(first)!.filter(each => each !== block);
    if (siblings.length > 0) block.parent.children.set(first, siblings);
    else block.parent.children.delete(first);
    const open = [block];
    for (let each = open.pop(); each !== undefined; each = open.pop()) {
      open.push(...[...each.children.values()].flat());
      const isFree = each.refs === 0;
      if (isFree) this.removeFree(each);
      if (each.hash !== null) this.index.delete(each.hash);
      each.runs = [];
      each.tokens = 0;
      each.hash = null;
      each.parent = null;
      each.children.clear();
      if (isFree) this.addFree(each);
    }
  }
}

export interface RetentionCacheOptions {
  kvBlocks: number;
  blockTokens: number;
  prefixCaching: boolean;
}

const newBlock = (id: number): RetainedBlock => ({
  id,
  runs: [],
  tokens: 0,
  hash: null,
  parent: null,
  children: new Map(),
  refs: 0,
  releases: 0,
  priority: DEFAULT_PRIORITY,
  durationMs: null,
});

const firstToken = ([run]: readonly Run[]): string => `${run!.key.hi} ${run!.key.lo} ${run!.from}`;

/** The block behind `parent` that begins with most of `wanted`; the first stored of equals. */
function bestPart(parent: RetainedBlock, wanted: readonly Run[]): Match['part'] {
  let best: Match['part'] = null;
  if (wanted.length === 0) return best;
  for (const block of parent.children.get(firstToken(wanted)) ?? []) {
    const tokens = commonTokens(block.runs, wanted);
    if (tokens > (best?.tokens ?? 0)) best = { block, tokens };
  }
  return best;
}
