// The KV blocks of one replica and its prefix cache: the same as sim/reference/kv-cache.ts, block for block, but told in
// runs. Named content is a radix tree whose nodes are stretches of blocks; the free queue is a list of whole nodes, split
// when a part of one is touched. What a request costs depends on where its prompt leaves the tree, not on its length.
//
//   root ─ system prompt (24 blocks, 3 holders) ─ session a (900 blocks, free) ─ …
//
// Laws: free = blank + blocks of the nodes and copies in the queue. A node that nobody holds has no held child. Nodes lie
// in the queue in the order in which they were let go, a child before its parent; blocks leave from the deepest on.
import { invariant } from '../../scenarios/base/errors.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';

/** A number that token `offset` of a run has in common with its like in any other. */
const markOf = ({ key, from }: Run, offset: number): number =>
  (key.lo ^ Math.imul(from + offset, 0x9e3779b1)) >>> 0;

/** Content of a sequence, prompt and then output, read forwards. */
export class Reader {
  private prompt: readonly Run[];
  private output: readonly Run[];
  index = 0;
  offset = 0;

  constructor(prompt: readonly Run[], output: readonly Run[]) {
    this.prompt = prompt;
    this.output = output;
  }

  /** From the beginning, or from a place where another reader of the same sequence was. */
  restart(prompt: readonly Run[], output: readonly Run[], index = 0, offset = 0): void {
    this.prompt = prompt;
    this.output = output;
    this.index = index;
    this.offset = offset;
  }

  private at(index: number): Run {
    const { prompt, output } = this;
    return index < prompt.length ? prompt[index]! : output[index - prompt.length]!;
  }

  private get length(): number {
    return this.prompt.length + this.output.length;
  }

  /** A number that equal content at this place has in common, however it was cut. */
  mark(): number {
    return markOf(this.at(this.index), this.offset);
  }

  /** How many tokens from here on, at most `tokens`, are those of `runs`. Stays where it is. */
  common(runs: readonly Run[], tokens: number): number {
    let index = this.index;
    let offset = this.offset;
    let matched = 0;
    for (let i = 0; i < runs.length && matched < tokens; i++) {
      const theirs = runs[i]!;
      let done = 0;
      while (done < theirs.tokens) {
        if (index >= this.length) return Math.min(matched, tokens);
        const ours = this.at(index);
        if (ours !== theirs || offset !== done) {
          const { key } = theirs;
          const isSame = ours.key === key || (ours.key.lo === key.lo && ours.key.hi === key.hi);
          if (!isSame || ours.from + offset !== theirs.from + done) return Math.min(matched, tokens);
        }
        const left = ours.tokens - offset;
        const step = Math.min(left, theirs.tokens - done);
        matched += step;
        done += step;
        if (step === left) {
          index += 1;
          offset = 0;
        } else offset += step;
      }
    }
    return Math.min(matched, tokens);
  }

  skip(tokens: number): void {
    let left = tokens;
    while (left > 0) {
      const rest = this.at(this.index).tokens - this.offset;
      if (left < rest) {
        this.offset += left;
        return;
      }
      left -= rest;
      this.index += 1;
      this.offset = 0;
    }
  }

  /** Appends the next `tokens` tokens to `target` and moves past them. */
  read(target: Run[], tokens: number): void {
    let left = tokens;
    while (left > 0) {
      const run = this.at(this.index);
      const take = Math.min(left, run.tokens - this.offset);
      append(target, this.offset === 0 && take === run.tokens ? run : sliceOf(run, this.offset, take));
      left -= take;
      if (this.offset + take === run.tokens) {
        this.index += 1;
        this.offset = 0;
      } else this.offset += take;
    }
  }
}

const sliceOf = (run: Run, offset: number, tokens: number): Run => ({
  key: run.key,
  from: run.from + offset,
  tokens,
});

function append(target: Run[], run: Run): void {
  const last = target[target.length - 1];
  const continues =
    last !== undefined &&
    last.from + last.tokens === run.from &&
    last.key.lo === run.key.lo &&
    last.key.hi === run.key.hi;
  if (continues) target[target.length - 1] = sliceOf(last, 0, last.tokens + run.tokens);
  else target.push(run);
}

/** The runs of `tokens` tokens from `from` on. */
function cut(runs: readonly Run[], from: number, tokens: number): Run[] {
  const part: Run[] = [];
  let at = 0;
  for (const run of runs) {
    const begin = Math.max(from, at);
    const end = Math.min(from + tokens, at + run.tokens);
    if (begin < end) part.push(end - begin === run.tokens ? run : sliceOf(run, begin - at, end - begin));
    at += run.tokens;
  }
  return part;
}

/** A stretch of full blocks with the same history and the same holders, or one more copy of a single block. */
export class Node {
  parent: Node | null;
  /** By mark of the first token; siblings with one mark are chained by `alike`. */
  children: IdTable<Node> | null = null;
  childCount = 0;
  alike: Node | null = null;
  mark: number;
  blocks: number;
  /** Content of at least these blocks. */
  runs: Run[];
  /** Requests that hold it. */
  refs = 0;
  /** Further copies of a single block's content, oldest first; null for none. */
  copies: Node[] | null = null;
  /** What this is a copy of; null in the tree. */
  copyOf: Node | null = null;
  /** Neighbours in the free queue, the next to go first. */
  before: Node | null = null;
  after: Node | null = null;

  constructor(parent: Node | null, mark: number, blocks: number, runs: Run[]) {
    this.parent = parent;
    this.mark = mark;
    this.blocks = blocks;
    this.runs = runs;
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
  /** Where in the runs of its sequence those end. */
  index = 0;
  offset = 0;
  /** All blocks it holds. */
  blocks = 0;
  copies: OwnCopy[] | null = null;
}

const NO_RUNS: Run[] = [];

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
  readonly root = new Node(null, 0, 0, []);
  /** Free blocks without content: always the next to go. */
  private blank: number;
  /** Free blocks with content. */
  private kept = 0;
  private head: Node | null = null;
  private tail: Node | null = null;
  evictedBlocks = 0;
  private readonly reader = new Reader([], []);
  private readonly found: Match = { blocks: 0, freeBlocks: 0 };
  /** Of the last match: the deepest node, and how many of its blocks. */
  private deepest: Node;
  private deepestBlocks = 0;

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
  match(prompt: readonly Run[], output: readonly Run[], tokens: number): Match {
    const { found } = this;
    found.blocks = 0;
    found.freeBlocks = 0;
    this.deepest = this.root;
    this.deepestBlocks = 0;
    this.reader.restart(prompt, output);
    if (this.prefixCaching) {
      this.descend(Math.floor((tokens - 1) / this.blockTokens));
    }
    return found;
  }

  /** Follows the reader into the tree, `most` blocks deep at most. */
  private descend(most: number): void {
    const { found, reader, blockTokens } = this;
    while (found.blocks < most) {
      const next = this.childOf(this.deepest, most - found.blocks);
      if (next === null) return;
      found.blocks += this.deepestBlocks;
      if (next.refs === 0) found.freeBlocks += this.deepestBlocks;
      reader.skip(this.deepestBlocks * blockTokens);
      this.deepest = next;
      if (this.deepestBlocks < next.blocks) return;
    }
  }

  /** The child that goes on as the reader does for at least a block; says in `deepestBlocks` for how many. */
  private childOf(node: Node, most: number): Node | null {
    if (node.children === null) return null;
    for (let child = node.children.get(this.reader.mark()); child; child = child.alike ?? undefined) {
      const tokens = Math.min(child.blocks, most) * this.blockTokens;
      const blocks = Math.floor(this.reader.common(child.runs, tokens) / this.blockTokens);
      if (blocks === 0) continue;
      this.deepestBlocks = blocks;
      return child;
    }
    return null;
  }

  /** Whether a sequence of `tokens` tokens would fit, with what the last match found. */
  fits(tokens: number): boolean {
    const { blocks, freeBlocks } = this.found;
    return this.blocksFor(tokens) - blocks + freeBlocks <= this.free;
  }

  /** Takes what the last match found. The hold is empty before. */
  takeMatch(hold: Hold): void {
    let node = this.deepest;
    if (node !== this.root && this.deepestBlocks < node.blocks) node = this.split(node, this.deepestBlocks);
    hold.node = node;
    hold.named = this.found.blocks;
    hold.blocks = this.found.blocks;
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
  grow(hold: Hold, tokens: number, prompt: readonly Run[], output: readonly Run[]): void {
    const blocks = this.blocksFor(tokens);
    this.take(blocks - hold.blocks);
    hold.blocks = blocks;
    this.name(hold, Math.floor(tokens / this.blockTokens), prompt, output);
  }

  /** The first `full` blocks of a hold are full: those not in the tree yet go there. */
  private name(hold: Hold, full: number, prompt: readonly Run[], output: readonly Run[]): void {
    if (!this.prefixCaching || full <= hold.named) return;
    const { reader } = this;
    reader.restart(prompt, output, hold.index, hold.offset);
    hold.node ??= this.root;
    while (hold.named < full) {
      const there = hold.node.children === null ? null : this.childOf(hold.node, full - hold.named);
      if (there !== null) this.copyOne(hold, there);
      else {
        this.extend(hold, full - hold.named);
        hold.named = full;
      }
    }
    this.mark(hold);
  }

  /** The reader stands where the named blocks of the hold end. */
  private mark(hold: Hold): void {
    hold.index = this.reader.index;
    hold.offset = this.reader.offset;
  }

  /** The next block of the hold has content that is cached already: it becomes a copy of its own. */
  private copyOne(hold: Hold, there: Node): void {
    let node = there;
    if (node.blocks > 1) node = this.split(node, 1);
    const copy = new Node(null, 0, 1, []);
    copy.copyOf = node;
    copy.refs = 1;
    node.copies ??= [];
    node.copies.push(copy);
    hold.copies ??= [];
    hold.copies.push({ node, copy });
    hold.node = node;
    hold.named += 1;
    this.reader.skip(this.blockTokens);
  }

  /** Names the next `blocks` blocks behind the hold's node, in it where nobody else has it. */
  private extend(hold: Hold, blocks: number): void {
    const node = hold.node!;
    const tokens = blocks * this.blockTokens;
    const isOwn =
      node !== this.root &&
      node.refs === 1 &&
      node.children === null &&
      node.copies === null &&
      !this.isCopied(hold, node);
    if (isOwn) {
      this.trim(node);
      this.reader.read(node.runs, tokens);
      node.blocks += blocks;
      return;
    }
    const mark = this.reader.mark();
    const child = new Node(node, mark, blocks, []);
    this.reader.read(child.runs, tokens);
    child.refs = 1;
    this.attach(node, child);
    hold.node = child;
  }

  private isCopied(hold: Hold, node: Node): boolean {
    return hold.copies?.some(own => own.node === node) ?? false;
  }

  private attach(parent: Node, child: Node): void {
    parent.children ??= new IdTable(4);
    child.alike = parent.children.get(child.mark) ?? null;
    parent.children.set(child.mark, child);
    parent.childCount += 1;
  }

  private detach(child: Node): void {
    const parent = child.parent!;
    const children = parent.children!;
    const first = children.get(child.mark)!;
    if (first === child) {
      if (child.alike === null) children.delete(child.mark);
      else children.set(child.mark, child.alike);
    } else {
      let each = first;
      while (each.alike !== child) each = each.alike!;
      each.alike = child.alike;
    }
    child.alike = null;
    parent.childCount -= 1;
    if (parent.childCount === 0) parent.children = null;
  }

  /** Parts a node behind its first `blocks` blocks; returns the new upper part. Holders stay with the lower one. */
  private split(node: Node, blocks: number): Node {
    const parent = node.parent!;
    const tokens = blocks * this.blockTokens;
    const upper = new Node(parent, node.mark, blocks, cut(node.runs, 0, tokens));
    upper.refs = node.refs;
    this.detach(node);
    this.attach(parent, upper);
    node.runs = cut(node.runs, tokens, (node.blocks - blocks) * this.blockTokens);
    node.blocks -= blocks;
    node.mark = markOf(node.runs[0]!, 0);
    node.parent = upper;
    this.attach(upper, node);
    if (node.refs === 0) this.enqueueBehind(node, upper);
    return upper;
  }

  /** Forgets content behind the node's blocks. */
  private trim(node: Node): void {
    const tokens = node.blocks * this.blockTokens;
    let has = 0;
    for (const run of node.runs) has += run.tokens;
    if (has > tokens) node.runs = cut(node.runs, 0, tokens);
  }

  /**
   * Lets go of all of a hold whose sequence has `tokens` tokens, its tail first: full blocks wait at the end of the
   * queue, a partial one has no content and is next to be reused.
   */
  release(hold: Hold, tokens: number, prompt: readonly Run[], output: readonly Run[]): void {
    if (hold.blocks === 0) return;
    this.name(hold, Math.floor(tokens / this.blockTokens), prompt, output);
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
  }

  /** At the end of the queue; joined with the child that went just before it, if that is all that hangs on it. */
  private enqueue(node: Node): void {
    this.kept += node.blocks;
    const last = this.tail;
    const joins =
      last !== null &&
      last.parent === node &&
      node.childCount === 1 &&
      last.children === null &&
      node.copies === null &&
      last.copies === null;
    if (joins) {
      this.trim(node);
      for (const run of last.runs) append(node.runs, run);
      node.blocks += last.blocks;
      node.children = null;
      node.childCount = 0;
      node.before = last.before;
      if (last.before === null) this.head = node;
      else last.before.after = node;
      node.after = null;
      this.tail = node;
      // What is dead points at nothing, or the garbage collector would carry on whole chains of it.
      last.parent = null;
      last.before = null;
      last.runs = NO_RUNS;
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
      invariant(node.children === null, () => 'a cached prefix goes before what follows it');
      this.detach(node);
      node.parent = null;
      node.runs = NO_RUNS;
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
    this.match(prompt, [], blocks * this.blockTokens + 1);
    const hold = new Hold();
    this.takeMatch(hold);
    const missing = Math.min(blocks - hold.blocks, this.free);
    if (missing > 0) this.grow(hold, (hold.blocks + missing) * this.blockTokens, prompt, []);
    this.release(hold, hold.blocks * this.blockTokens, prompt, []);
  }

  /** For tests: blocks in the queue, counted one by one. */
  countFree(): number {
    let blocks = this.blank;
    for (let node = this.head; node !== null; node = node.after) blocks += node.blocks;
    return blocks;
  }
}
