// The KV blocks of one replica and its prefix cache: the same as sim/reference/kv-cache.ts, block for block, but told in
// runs. Named content is a radix tree whose nodes are stretches of blocks; the free queue is a list of whole nodes, split
// when a part of one is touched. What a request costs depends on where its prompt leaves the tree, not on its length.
//
//   root ─ system prompt (24 blocks, 3 holders) ─ session a (900 blocks, free) ─ …
//
// Laws: free = blank + blocks of the nodes and copies in the queue. A node that nobody holds has no held child. Nodes lie
// in the queue in the order in which they were let go, a child before its parent; blocks leave from the deepest on.
import { Passage, type Place, Sequence } from '../../gateway/routing/passage.ts';
import { nameOf, PromptWalk } from '../../gateway/routing/prompt-walk.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';

/** A stretch of full blocks with the same history and the same holders, or one more copy of a single block. */
export class Node {
  /** No other node of the tree has had it; copies have none. */
  readonly serial: number;
  parent: Node | null;
  childCount = 0;
  /** Of its first block, behind its parent. */
  name: number;
  blocks: number;
  /** Content of at least these blocks, in a sequence whose beginning is the way to here. */
  content: Passage;
  /** Requests that hold it. */
  refs = 0;
  /** Further copies of a single block's content, oldest first; null for none. */
  copies: Node[] | null = null;
  /** What this is a copy of; null in the tree. */
  copyOf: Node | null = null;
  /** Neighbours in the free queue, the next to go first. */
  before: Node | null = null;
  after: Node | null = null;

  constructor(serial: number, parent: Node | null, name: number, blocks: number, content: Passage) {
    this.serial = serial;
    this.parent = parent;
    this.name = name;
    this.blocks = blocks;
    this.content = content;
  }
}

/** A block of content that was there already, which a request has computed once more. */
interface OwnCopy {
  node: Node;
  copy: Node;
}

/** What one request holds. */
export class Hold {
  /** The deepest node of its path; the root for none. */
  node: Node | null = null;
  /** Leading blocks of its sequence that are named in the tree. */
  named = 0;
  /** Where in its sequence those end. */
  index = 0;
  offset = 0;
  /** A block of its sequence, and where that begins: the first of the node it was found in; -1 for none. */
  fromBlocks = -1;
  readonly from: Place = { index: 0, offset: 0 };
  /** All blocks it holds. */
  blocks = 0;
  copies: OwnCopy[] | null = null;
}

const NOTHING = new Passage(new Sequence([]), { index: 0, offset: 0 });

/** Of the first block of a passage. */
const nameAt = ({ of, index, offset }: Passage, blockTokens: number, seed: number): number =>
  nameOf(of, index, offset, blockTokens, seed);

/** What `match` found. */
export interface Match {
  blocks: number;
  /** Of these, blocks that nobody holds. */
  freeBlocks: number;
}

export interface PrefixTreeOptions {
  kvBlocks: number;
  blockTokens: number;
  prefixCaching: boolean;
}

export class PrefixTree {
  readonly blockTokens: number;
  readonly kvBlocks: number;
  readonly prefixCaching: boolean;
  readonly root = new Node(0, null, 0, 0, NOTHING);
  /** All but the root and copies, by name. */
  private readonly nodes = new IdTable<Node>();
  private serial = 0;
  /** Free blocks without content: always the next to go. */
  private blank: number;
  /** Free blocks with content. */
  private kept = 0;
  private head: Node | null = null;
  private tail: Node | null = null;
  evictedBlocks = 0;
  private readonly walk = new PromptWalk();
  private readonly found: Match = { blocks: 0, freeBlocks: 0 };
  /** Of the last match: the deepest node, and how many of its blocks. */
  private deepest: Node;
  private deepestBlocks = 0;
  /** Where that node begins in the sequence. */
  private readonly deepestFrom: Place = { index: 0, offset: 0 };

  constructor({ kvBlocks, blockTokens, prefixCaching }: PrefixTreeOptions) {
    this.kvBlocks = kvBlocks;
    this.blockTokens = blockTokens;
    this.prefixCaching = prefixCaching;
    this.blank = kvBlocks;
    this.deepest = this.root;
  }

  get free(): number {
    return this.blank + this.kept;
  }

  /** Free blocks that can be taken without evicting anything. */
  get blankBlocks(): number {
    return this.blank;
  }

  get usedBlocks(): number {
    return this.kvBlocks - this.free;
  }

  blocksFor(tokens: number): number {
    return Math.ceil(tokens / this.blockTokens);
  }

  /** The cached blocks that a sequence of `tokens` tokens begins with; at least one token stays to be computed. */
  match(of: Sequence, tokens: number): Match {
    const { found } = this;
    found.blocks = 0;
    found.freeBlocks = 0;
    this.deepest = this.root;
    this.deepestBlocks = 0;
    this.deepestFrom.index = 0;
    this.deepestFrom.offset = 0;
    this.walk.restart(of);
    if (this.prefixCaching) this.descend(Math.floor((tokens - 1) / this.blockTokens));
    return found;
  }

  /** Follows the sequence into the tree, `most` blocks deep at most. */
  private descend(most: number): void {
    const { found } = this;
    while (found.blocks < most) {
      const next = this.childOf(this.deepest, most - found.blocks);
      if (next === null) return;
      found.blocks += this.deepestBlocks;
      if (next.refs === 0) found.freeBlocks += this.deepestBlocks;
      this.deepest = next;
      if (this.deepestBlocks < next.blocks) return;
    }
  }

  /**
   * The child that goes on as the sequence does for at least a block: the walk goes along it, and `deepestBlocks` says
   * how far.
   */
  private childOf(node: Node, most: number): Node | null {
    if (node.childCount === 0) return null;
    const { walk, blockTokens, deepestFrom } = this;
    const child = this.nodes.get(walk.name(blockTokens, node.serial));
    if (child === undefined) return null;
    const { index, offset } = walk;
    this.trim(child);
    const tokens = walk.follow(child.content, most * blockTokens, blockTokens);
    if (tokens === 0) return null;
    deepestFrom.index = index;
    deepestFrom.offset = offset;
    this.deepestBlocks = tokens / blockTokens;
    return child;
  }

  /** Whether a sequence of `tokens` tokens would fit and leave `reserved` blocks, with what the last match found. */
  fits(tokens: number, reserved = 0): boolean {
    const { blocks, freeBlocks } = this.found;
    return this.blocksFor(tokens) - blocks + freeBlocks + reserved <= this.free;
  }

  /** Takes what the last match found. The hold is empty before. */
  takeMatch(hold: Hold): void {
    let node = this.deepest;
    if (node !== this.root && this.deepestBlocks < node.blocks) node = this.split(node, this.deepestBlocks);
    hold.node = node;
    hold.named = this.found.blocks;
    hold.blocks = this.found.blocks;
    hold.fromBlocks = this.found.blocks - this.deepestBlocks;
    hold.from.index = this.deepestFrom.index;
    hold.from.offset = this.deepestFrom.offset;
    this.mark(hold);
    for (let each = node; each.parent !== null; each = each.parent) {
      if (each.refs === 0) this.unqueue(each);
      each.refs += 1;
    }
  }

  /**
   * Grows a hold to `tokens` tokens; those blocks that are full then are named, so that a sibling in the same step can
   * share them. `read` is the sequence, prompt and then output.
   */
  grow(hold: Hold, tokens: number, of: Sequence): void {
    this.reserve(hold, tokens);
    this.fill(hold, tokens, of);
  }

  /** Grows a hold to `tokens` tokens whose KV is still to come. */
  reserve(hold: Hold, tokens: number): void {
    const blocks = this.blocksFor(tokens);
    this.take(blocks - hold.blocks);
    hold.blocks = blocks;
  }

  /** The KV of the first `tokens` tokens of a hold is there. */
  fill(hold: Hold, tokens: number, of: Sequence): void {
    this.name(hold, Math.floor(tokens / this.blockTokens), of);
  }

  /** The first `full` blocks of a hold are full: those not in the tree yet go there. */
  private name(hold: Hold, full: number, of: Sequence): void {
    if (!this.prefixCaching || full <= hold.named) return;
    this.walk.restart(of, hold.index, hold.offset);
    hold.node ??= this.root;
    while (hold.named < full) {
      const there = this.childOf(hold.node, 1);
      if (there !== null) this.copyOne(hold, there);
      else {
        this.extend(hold, full - hold.named, of);
        hold.named = full;
      }
    }
    this.mark(hold);
  }

  /** The walk stands where the named blocks of the hold end. */
  private mark(hold: Hold): void {
    hold.index = this.walk.index;
    hold.offset = this.walk.offset;
  }

  /** The next block of the hold has content that is cached already: it becomes a copy of its own. */
  private copyOne(hold: Hold, there: Node): void {
    let node = there;
    if (node.blocks > 1) node = this.split(node, 1);
    const copy = new Node(0, null, 0, 1, NOTHING);
    copy.copyOf = node;
    copy.refs = 1;
    node.copies ??= [];
    node.copies.push(copy);
    hold.copies ??= [];
    hold.copies.push({ node, copy });
    hold.node = node;
    hold.named += 1;
  }

  /** Names the next `blocks` blocks behind the hold's node, in it where nobody else has it. */
  private extend(hold: Hold, blocks: number, of: Sequence): void {
    const { walk } = this;
    const node = hold.node!;
    const tokens = blocks * this.blockTokens;
    const isOwn =
      node !== this.root &&
      node.refs === 1 &&
      node.childCount === 0 &&
      node.copies === null &&
      !this.isCopied(hold, node);
    if (isOwn) {
      this.trim(node);
      // The sequence that goes on is told by one that does: an older one can go.
      node.content.retell(of, walk, hold.named - node.blocks === hold.fromBlocks ? hold.from : null);
      node.blocks += blocks;
      walk.skip(tokens);
      node.content.extend(tokens, walk);
    } else {
      const name = walk.name(this.blockTokens, node.serial);
      const child = new Node(++this.serial, node, name, blocks, new Passage(of, walk));
      child.refs = 1;
      node.childCount += 1;
      this.nodes.set(name, child);
      hold.node = child;
      walk.skip(tokens);
      child.content.extend(tokens, walk);
    }
  }

  private isCopied(hold: Hold, node: Node): boolean {
    return hold.copies?.some(own => own.node === node) ?? false;
  }

  /** Names are 53 bits: of two nodes of one name, only the later is ever found. */
  private unname(node: Node): void {
    if (this.nodes.get(node.name) === node) this.nodes.delete(node.name);
  }

  /** Parts a node behind its first `blocks` blocks; returns the new upper part. Holders stay with the lower one. */
  private split(node: Node, blocks: number): Node {
    const head = node.content.takeHead(blocks * this.blockTokens);
    const upper = new Node(++this.serial, node.parent, node.name, blocks, head);
    upper.refs = node.refs;
    upper.childCount = 1;
    if (this.nodes.get(node.name) === node) this.nodes.set(node.name, upper);
    node.blocks -= blocks;
    node.name = nameAt(node.content, this.blockTokens, upper.serial);
    node.parent = upper;
    this.nodes.set(node.name, node);
    if (node.refs === 0) this.enqueueBehind(node, upper);
    return upper;
  }

  /** Forgets content behind the node's blocks. */
  private trim(node: Node): void {
    node.content.cut(node.blocks * this.blockTokens);
  }

  /**
   * Lets go of all of a hold whose sequence has `tokens` tokens, its tail first: full blocks wait at the end of the
   * queue, a partial one has no content and is next to be reused.
   */
  release(hold: Hold, tokens: number, of: Sequence): void {
    if (hold.blocks === 0) return;
    this.name(hold, Math.floor(tokens / this.blockTokens), of);
    this.blank += hold.blocks - hold.named;
    for (let node = hold.node; node !== null && node.parent !== null; ) {
      const { parent } = node;
      const own = hold.copies?.find(each => each.node === node);
      // A copy whose original went has become the node itself.
      const block: Node = own === undefined || own.copy.copyOf === null ? node : own.copy;
      block.refs -= 1;
      if (block.refs === 0) this.enqueue(block);
      node = parent;
    }
    hold.node = null;
    hold.named = 0;
    hold.index = 0;
    hold.offset = 0;
    hold.blocks = 0;
    hold.copies = null;
    hold.fromBlocks = -1;
  }

  /** At the end of the queue; joined with the child that went just before it, if that is all that hangs on it. */
  private enqueue(node: Node): void {
    this.kept += node.blocks;
    const last = this.tail;
    const joins =
      last !== null &&
      last.parent === node &&
      node.childCount === 1 &&
      last.childCount === 0 &&
      node.copies === null &&
      last.copies === null;
    if (joins) {
      this.trim(node);
      this.trim(last);
      node.content.join(last.content);
      node.blocks += last.blocks;
      node.childCount = 0;
      this.unname(last);
      node.before = last.before;
      if (last.before === null) this.head = node;
      else last.before.after = node;
      node.after = null;
      this.tail = node;
      // What is dead points at nothing, or the garbage collector would carry on whole chains of it.
      last.parent = null;
      last.before = null;
      last.content = NOTHING;
      return;
    }
    node.before = last;
    node.after = null;
    if (last === null) this.head = node;
    else last.after = node;
    this.tail = node;
  }

  /** Puts `node` into the queue right behind `child`, whose upper part it was: no block more is free than before. */
  private enqueueBehind(child: Node, node: Node): void {
    node.before = child;
    node.after = child.after;
    if (child.after === null) this.tail = node;
    else child.after.before = node;
    child.after = node;
  }

  private unqueue(node: Node): void {
    this.kept -= node.blocks;
    this.unlink(node);
  }

  private unlink(node: Node): void {
    if (node.before === null) this.head = node.after;
    else node.before.after = node.after;
    if (node.after === null) this.tail = node.before;
    else node.after.before = node.before;
    node.before = null;
    node.after = null;
  }

  /** Takes `blocks` free blocks, those without content first; what the others cached is lost. */
  take(blocks: number): void {
    const fromBlank = Math.min(blocks, this.blank);
    this.blank -= fromBlank;
    let left = blocks - fromBlank;
    if (left > 0) this.evictedBlocks += left;
    while (left > 0) {
      const node = this.head;
      invariant(node !== null, () => 'KV blocks are taken but none is free: ask before');
      if (node.blocks > left) {
        node.blocks -= left;
        this.kept -= left;
        return;
      }
      left -= node.blocks;
      this.unqueue(node);
      this.drop(node);
    }
  }

  /** The content of a node that has left the queue is gone, unless there is another copy. */
  private drop(node: Node): void {
    const original = node.copyOf;
    if (original !== null) {
      original.copies!.splice(original.copies!.indexOf(node), 1);
      if (original.copies!.length === 0) original.copies = null;
      return;
    }
    const heir = node.copies?.shift();
    if (heir === undefined) {
      invariant(node.childCount === 0, () => 'a cached prefix goes before what follows it');
      this.unname(node);
      node.parent!.childCount -= 1;
      node.parent = null;
      node.content = NOTHING;
      return;
    }
    if (node.copies!.length === 0) node.copies = null;
    heir.copyOf = null;
    node.refs = heir.refs;
    if (heir.refs > 0) return;
    // It takes the heir's place in the queue.
    node.before = heir.before;
    node.after = heir.after;
    if (heir.before === null) this.head = node;
    else heir.before.after = node;
    if (heir.after === null) this.tail = node;
    else heir.after.before = node;
  }

  /**
   * Puts the leading `blocks` blocks of a resumed session into the cache as if a request had just let go of them. What
   * no free block is left for is left out.
   */
  seed(prompt: readonly Run[], blocks: number): void {
    if (!this.prefixCaching || blocks === 0) return;
    const of = new Sequence(prompt);
    this.match(of, blocks * this.blockTokens + 1);
    const hold = new Hold();
    this.takeMatch(hold);
    const missing = Math.min(blocks - hold.blocks, this.free);
    if (missing > 0) this.grow(hold, (hold.blocks + missing) * this.blockTokens, of);
    this.release(hold, hold.blocks * this.blockTokens, of);
  }

  /** For tests: blocks in the queue, counted one by one. */
  countFree(): number {
    let blocks = this.blank;
    for (let node = this.head; node !== null; node = node.after) blocks += node.blocks;
    return blocks;
  }
}
