// SGLang's KV cache (mem_cache/radix_cache.py): a tree of token sequences, so that any common prefix is shared to the
// token, and slots of single tokens behind it. What a request computes is its own until it is put into the tree.
// Rule: a node that a request stands on is locked, with all above it; eviction takes unlocked leaves, oldest first.
import { invariant } from '../../scenarios/base/errors.ts';
import {
  appendRuns,
  commonTokens,
  headOf,
  type Run,
  runTokens,
  tailOf,
} from '../../scenarios/formats/prompt.ts';

interface Node {
  /** The tokens between its parent and it. */
  runs: readonly Run[];
  tokens: number;
  parent: Node | null;
  /** By their first token. */
  readonly children: Map<string, Node>;
  /** Requests that stand on it or below. */
  locks: number;
  /** Ordinal of the last match or insert that passed it. */
  lastUse: number;
}

/** What one request has in the cache. */
export interface Holding {
  /** In the tree, locked: the node it stands on, and the tokens from the root to there. */
  node: Node;
  sharedTokens: number;
  /** Slots of its own. */
  ownTokens: number;
}

export class RadixCache {
  readonly capacityTokens: number;
  /** Tokens of nodes taken out of the tree for others. */
  evictedTokens = 0;
  private readonly prefixCaching: boolean;
  private readonly root: Node = newNode([], null, 0);
  private treeTokens = 0;
  private lockedTokens = 0;
  private ownTokens = 0;
  private uses = 0;

  constructor(capacityTokens: number, prefixCaching: boolean) {
    this.capacityTokens = capacityTokens;
    this.prefixCaching = prefixCaching;
  }

  /** Slots without content. */
  get availableTokens(): number {
    return this.capacityTokens - this.treeTokens - this.ownTokens;
  }

  /** Slots of content that nobody stands on. */
  get evictableTokens(): number {
    return this.treeTokens - this.lockedTokens;
  }

  /** Slots that requests hold. */
  get heldTokens(): number {
    return this.lockedTokens + this.ownTokens;
  }

  /** Takes the longest prefix of `sequence` that is in the tree, for as long as the request lives. */
  hold(sequence: readonly Run[]): Holding {
    const { node, tokens } = this.match(sequence);
    this.lock(node, 1);
    return { node, sharedTokens: tokens, ownTokens: 0 };
  }

  /** Takes `tokens` slots for what a step will compute, from the available ones and then from the oldest content. */
  grow(holding: Holding, tokens: number): void {
    this.makeRoom(tokens);
    invariant(
      tokens <= this.availableTokens,
      () => `${tokens} KV slots are taken, ${this.availableTokens} are available: ask before taking`,
    );
    holding.ownTokens += tokens;
    this.ownTokens += tokens;
  }

  /** Gives back slots of the last tokens (rejected drafts). */
  shrink(holding: Holding, tokens: number): void {
    holding.ownTokens -= tokens;
    this.ownTokens -= tokens;
  }

  /** Evicts where fewer than `tokens` slots are available: then as many tokens or more, leaf by leaf, as SGLang does. */
  makeRoom(tokens: number): void {
    if (this.availableTokens >= tokens) return;
    let left = tokens;
    for (let leaf = this.oldestLeaf(); left > 0 && leaf !== null; leaf = this.oldestLeaf()) {
      left -= leaf.tokens;
      this.treeTokens -= leaf.tokens;
      this.evictedTokens += leaf.tokens;
      leaf.parent!.children.delete(firstToken(leaf.runs));
    }
  }

  /** Puts what a request computed so far into the tree, where others find it; it stands on the end of it. */
  share(holding: Holding, sequence: readonly Run[]): void {
    if (!this.prefixCaching) return;
    const tokens = runTokens(sequence);
    const node = this.insert(sequence);
    this.lock(node, 1);
    this.lock(holding.node, -1);
    holding.node = node;
    // Slots that the tree had already are free again, the others are the tree's.
    this.shrink(holding, tokens - holding.sharedTokens);
    holding.sharedTokens = tokens;
  }

  /** Lets go of everything. */
  release(holding: Holding): void {
    this.lock(holding.node, -1);
    this.shrink(holding, holding.ownTokens);
  }

  /** Content that is there from the start, as far as slots are left or content to evict for it. */
  seed(sequence: readonly Run[]): void {
    if (!this.prefixCaching) return;
    const holding = this.hold(sequence); // not evicted for its own end
    const room = this.availableTokens + this.evictableTokens;
    const tokens = Math.min(runTokens(sequence) - holding.sharedTokens, room);
    this.grow(holding, tokens);
    this.share(holding, headOf(sequence, holding.sharedTokens + tokens));
    this.release(holding);
  }

  private match(sequence: readonly Run[]): { node: Node; tokens: number } {
    let node = this.root;
    let rest = sequence;
    let tokens = 0;
    this.uses += 1;
    while (rest.length > 0) {
      const child = node.children.get(firstToken(rest));
      if (child === undefined) break;
      const common = commonTokens(child.runs, rest);
      node = common < child.tokens ? split(child, common) : child;
      node.lastUse = this.uses;
      child.lastUse = this.uses;
      tokens += common;
      rest = tailOf(rest, common);
      if (node !== child) break;
    }
    return { node, tokens };
  }

  private insert(sequence: readonly Run[]): Node {
    const { node, tokens } = this.match(sequence);
    const runs = normal(tailOf(sequence, tokens));
    if (runs.length === 0) return node;
    const leaf = newNode(runs, node, this.uses);
    node.children.set(firstToken(runs), leaf);
    this.treeTokens += leaf.tokens;
    return leaf;
  }

  /** Locks a node and all above it once more, or (-1) once less. */
  private lock(from: Node, times: 1 | -1): void {
    for (let node = from; node.parent !== null; node = node.parent) {
      const isEdge = times === 1 ? node.locks === 0 : node.locks === 1;
      if (isEdge) this.lockedTokens += times * node.tokens;
      node.locks += times;
    }
  }

  private oldestLeaf(): Node | null {
    let oldest: Node | null = null;
    const open = [...this.root.children.values()];
    for (let node = open.pop(); node !== undefined; node = open.pop()) {
      if (node.children.size > 0) open.push(...node.children.values());
      else if (node.locks === 0 && (oldest === null || node.lastUse < oldest.lastUse)) oldest = node;
    }
    return oldest;
  }
}

function newNode(runs: readonly Run[], parent: Node | null, lastUse: number): Node {
  return { runs, tokens: runTokens(runs), parent, children: new Map(), locks: 0, lastUse };
}

/** Puts a node of the first `tokens` tokens of `node` in front of it; whoever locked `node` stands below both. */
function split(node: Node, tokens: number): Node {
  const parent = node.parent!;
  const head = newNode(headOf(node.runs, tokens), parent, node.lastUse);
  head.locks = node.locks;
  parent.children.set(firstToken(head.runs), head);
  node.runs = tailOf(node.runs, tokens);
  node.tokens -= tokens;
  node.parent = head;
  head.children.set(firstToken(node.runs), node);
  return head;
}

/** Runs that are equal where their content is. */
function normal(sequence: readonly Run[]): Run[] {
  const runs: Run[] = [];
  appendRuns(runs, sequence);
  return runs;
}

const firstToken = ([run]: readonly Run[]): string => `${run!.key.hi} ${run!.key.lo} ${run!.from}`;
