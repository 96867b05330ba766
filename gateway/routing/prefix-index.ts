// What a router remembers of what it sent: a radix tree of prompts, whose nodes are stretches of content and the replicas
// that were sent them. What an engine evicted since, it does not know; it forgets by its own age limit and capacity.
// Laws: a replica that holds a node holds the way to it, and uses the way no earlier: what is forgotten are ends.
import { IdTable } from '../../scenarios/base/id-table.ts';
import type { PromptMakeup, Run } from '../../scenarios/formats/prompt.ts';
import { Passage, type Place, Sequence } from './passage.ts';
import { nameOf, PromptWalk } from './prompt-walk.ts';

export interface PrefixIndexOptions {
  /** Prefixes are known by whole chunks of so many tokens. */
  chunkTokens: number;
  /** What was not sent for so long is forgotten; without it, never. */
  ttlMs?: number;
  /** Of each replica; beyond it what was sent least recently is forgotten. Without it, no limit. */
  capacityTokens?: number;
  /** Only so many tokens at the start of a prompt are looked at and remembered; without it, all. */
  promptTokensMax?: number;
  /**
   * Of all replicas together; beyond it a replica forgets its oldest for each that it is sent. It bounds our memory,
   * at some 600 bytes each, and is beyond what the systems hold. 2^19 without it.
   */
  stretchesMax?: number;
}

/** A stretch of content that a replica was sent. */
export interface Stretch {
  readonly tokens: number;
  /** When it was last sent, and how often. */
  readonly usedMs: number;
  readonly uses: number;
  /** The next to go after this one. */
  readonly younger: Stretch | null;
}

/** An empty list that is pushed to takes room for 17: most nodes have one hold. */
const NO_HOLDS: Hold[] = [];

class Node {
  /** No other node has had it. */
  readonly serial: number;
  parent: Node | null;
  /** Of its first chunk, behind its parent. */
  name: number;
  readonly content: Passage;
  childCount = 0;
  holds: Hold[] = NO_HOLDS;

  constructor(serial: number, parent: Node | null, name: number, content: Passage) {
    this.serial = serial;
    this.parent = parent;
    this.name = name;
    this.content = content;
  }

  get tokens(): number {
    return this.content.tokens;
  }
}

/** That one replica was sent one node; a place in the replica's list by time of use. */
class Hold implements Stretch {
  readonly node: Node;
  readonly holder: Holder;
  usedMs: number;
  uses: number;
  older: Hold | null = null;
  younger: Hold | null = null;

  constructor(node: Node, holder: Holder, usedMs: number, uses: number) {
    this.node = node;
    this.holder = holder;
    this.usedMs = usedMs;
    this.uses = uses;
  }

  get tokens(): number {
    return this.node.tokens;
  }
}

/** A replica. */
class Holder {
  tokens = 0;
  oldest: Hold | null = null;
  youngest: Hold | null = null;
  /** Its row among the ids asked for; -1 for one that is not. */
  row = -1;
}

const NOTHING = new Sequence([]);
const BEGINNING: Place = { index: 0, offset: 0 };

function areSame(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export class PrefixIndex {
  private readonly chunkTokens: number;
  private readonly ttlMs: number;
  private readonly capacityTokens: number;
  private readonly promptTokensMax: number;
  private readonly stretchesMax: number;
  private readonly root = new Node(0, null, 0, new Passage(NOTHING, BEGINNING));
  /** All but the root, by name. */
  private readonly nodes = new IdTable<Node>();
  private serial = 0;
  private readonly holders = new Map<number, Holder>();
  /** Nothing is too old before. */
  private expiryMs = Number.POSITIVE_INFINITY;
  private readonly matched: number[] = [];
  /** The ids that rows of holders are of, and whether each has a holder. */
  private ids: readonly number[] = [];
  private areAllHolders = false;
  private stretches = 0;
  /** The prompt that was followed last. */
  private followed: readonly Run[] = [];
  private of = NOTHING;
  /** Whether the tree is as it was then. */
  private isFollowed = false;
  /** Stands where that prompt leaves the tree, behind `deepestTokens` tokens of the deepest node. */
  private readonly walk = new PromptWalk();
  private deepest = this.root;
  private deepestTokens = 0;
  /** Where that node begins in the prompt. */
  private readonly deepestFrom: Place = { index: 0, offset: 0 };
  /** Of the prompt: those in the tree, and those that count. */
  private commonTokens = 0;
  private wholeTokens = 0;

  constructor({
    chunkTokens,
    ttlMs = Number.POSITIVE_INFINITY,
    capacityTokens = Number.POSITIVE_INFINITY,
    promptTokensMax = Number.POSITIVE_INFINITY,
    stretchesMax = 2 ** 19,
  }: PrefixIndexOptions) {
    this.chunkTokens = chunkTokens;
    this.ttlMs = ttlMs;
    this.capacityTokens = capacityTokens;
    this.promptTokensMax = promptTokensMax;
    this.stretchesMax = stretchesMax;
  }

  /**
   * For each of `ids`, tokens at the start of the prompt that it was sent before, in whole chunks. The same array each
   * time. Hot: once per request.
   */
  match(
    prompt: readonly Run[],
    ids: readonly number[],
    nowMs: number,
    makeup?: PromptMakeup,
  ): readonly number[] {
    const { matched } = this;
    this.expire(nowMs);
    this.ask(ids);
    for (let row = 0; row < ids.length; row++) matched[row] = 0;
    this.follow(prompt, makeup);
    let at = this.commonTokens;
    let own = this.deepestTokens;
    let known = 0;
    for (let node = this.deepest; node.parent !== null; node = node.parent) {
      // Who holds a node holds the way to it: with as many holders, they are the same.
      const { holds } = node;
      if (holds.length > known) {
        known = holds.length;
        if (this.areAllHolders && known === this.holders.size) {
          for (let row = 0; row < ids.length; row++) if (matched[row] === 0) matched[row] = at;
          break;
        }
        for (let i = 0; i < known; i++) {
          const { row } = holds[i]!.holder;
          if (row >= 0 && matched[row] === 0) matched[row] = at;
        }
      }
      at -= own;
      own = node.parent.tokens;
    }
    return matched;
  }

  /** Rows are those of `ids` from now on. */
  private ask(ids: readonly number[]): void {
    const { holders } = this;
    if (areSame(ids, this.ids)) return;
    this.ids = ids.slice();
    this.matched.length = ids.length;
    for (const holder of holders.values()) holder.row = -1;
    this.areAllHolders = true;
    for (const [row, id] of ids.entries()) {
      const holder = holders.get(id);
      if (holder === undefined) this.areAllHolders = false;
      else holder.row = row;
    }
  }

  /** The prompt is sent to the replica. Hot: once per request. */
  add(prompt: readonly Run[], id: number, nowMs: number, makeup?: PromptMakeup): void {
    let holder = this.holders.get(id);
    if (holder === undefined) {
      holder = new Holder();
      this.holders.set(id, holder);
      this.ids = [];
    }
    this.expire(nowMs);
    this.follow(prompt, makeup);
    let node = this.deepest;
    const { deepestTokens } = this;
    const restTokens = this.wholeTokens - this.commonTokens;
    if (deepestTokens < node.tokens) node = this.split(node, deepestTokens);
    if (restTokens > 0) node = this.extend(node, restTokens, holder);
    this.expiryMs = Math.min(this.expiryMs, nowMs + this.ttlMs);
    // From the end to the beginning, so that a beginning is always younger than what follows it.
    for (; node.parent !== null; node = node.parent) this.use(node, holder, nowMs);
    while (holder.tokens > this.capacityTokens) this.evict(holder, holder.tokens - this.capacityTokens);
    while (this.stretches > this.stretchesMax && holder.oldest !== null) this.remove(holder.oldest);
  }

  /** The replica is gone, and all it was sent. */
  forget(id: number): void {
    const holder = this.holders.get(id);
    if (holder === undefined) return;
    while (holder.oldest !== null) this.remove(holder.oldest);
    this.holders.delete(id);
    this.ids = [];
  }

  /** Tokens that the replica was sent and that are not forgotten, shared beginnings once. */
  heldTokens(id: number): number {
    return this.holders.get(id)?.tokens ?? 0;
  }

  /** What the replica was sent least recently. */
  oldest(id: number): Stretch | null {
    return this.holders.get(id)?.oldest ?? null;
  }

  private whole(tokens: number): number {
    return tokens - (tokens % this.chunkTokens);
  }

  /** Goes as deep into the tree as the prompt does: once, where a prompt is sent right after it was asked for. */
  private follow(prompt: readonly Run[], makeup?: PromptMakeup): void {
    if (this.isFollowed && this.followed === prompt) return;
    const { walk, deepestFrom, promptTokensMax } = this;
    this.followed = prompt;
    this.of = new Sequence(prompt, undefined, makeup);
    walk.restart(this.of);
    let at = 0;
    let node = this.root;
    let tokens = 0;
    while (tokens === node.tokens) {
      const { index, offset } = walk;
      const child = this.childOf(node, promptTokensMax - at);
      const inChild =
        child === undefined ? 0 : walk.follow(child.content, promptTokensMax - at, this.chunkTokens);
      if (inChild === 0) break;
      node = child!;
      tokens = inChild;
      at += tokens;
      deepestFrom.index = index;
      deepestFrom.offset = offset;
    }
    this.isFollowed = true;
    this.deepest = node;
    this.deepestTokens = tokens;
    this.commonTokens = at;
    this.wholeTokens = this.whole(Math.min(at + walk.leftTokens(), promptTokensMax));
  }

  /** The tree changes. */
  private unfollow(): void {
    this.isFollowed = false;
    this.deepest = this.root;
  }

  /** The child that may go on as the prompt does, which has at most `most` more tokens that count. */
  private childOf(node: Node, most: number): Node | undefined {
    const { walk, chunkTokens } = this;
    if (node.childCount === 0 || most < chunkTokens || !walk.has(chunkTokens)) return undefined;
    return this.nodes.get(walk.name(chunkTokens, node.serial));
  }

  /** Puts the next `tokens` tokens of the prompt behind the node: in it, where only this replica has it. */
  private extend(node: Node, tokens: number, holder: Holder): Node {
    const { walk } = this;
    if (node.childCount === 0 && node.holds.length === 1 && node.holds[0]!.holder === holder) {
      // The prompt that goes on tells the whole of it from now on.
      node.content.retell(this.of, walk, this.deepestFrom);
      walk.skip(tokens);
      node.content.extend(tokens, walk);
      holder.tokens += tokens;
      this.unfollow();
      return node;
    }
    this.unfollow();
    const rest = new Sequence(walk.read(tokens).slice()); // of its length, without room to grow
    const name = nameOf(rest, 0, 0, this.chunkTokens, node.serial);
    const content = new Passage(rest, BEGINNING);
    content.extend(tokens, { index: rest.length, offset: 0 });
    const child = new Node(++this.serial, node, name, content);
    this.nodes.set(name, child);
    node.childCount += 1;
    return child;
  }

  /** Parts a node behind its first `tokens` tokens; returns the new upper part. */
  private split(node: Node, tokens: number): Node {
    this.unfollow();
    const upper = new Node(++this.serial, node.parent, node.name, node.content.takeHead(tokens));
    if (this.nodes.get(node.name) === node) this.nodes.set(node.name, upper);
    const { of, index, offset } = node.content;
    node.name = nameOf(of, index, offset, this.chunkTokens, upper.serial);
    node.parent = upper;
    this.nodes.set(node.name, node);
    upper.childCount = 1;
    for (const hold of node.holds) this.link(new Hold(upper, hold.holder, hold.usedMs, hold.uses), hold);
    return upper;
  }

  private use(node: Node, holder: Holder, nowMs: number): void {
    const { holds } = node;
    let hold: Hold | undefined;
    for (let i = 0; i < holds.length && hold === undefined; i++)
      if (holds[i]!.holder === holder) hold = holds[i];
    if (hold === undefined) {
      this.link(new Hold(node, holder, nowMs, 1), holder.youngest);
      holder.tokens += node.tokens;
      return;
    }
    hold.usedMs = nowMs;
    hold.uses += 1;
    if (holder.youngest === hold) return;
    this.unqueue(hold);
    this.enqueue(hold, holder.youngest);
  }

  private link(hold: Hold, older: Hold | null): void {
    if (hold.node.holds === NO_HOLDS) hold.node.holds = [hold];
    else hold.node.holds.push(hold);
    this.stretches += 1;
    this.enqueue(hold, older);
  }

  private enqueue(hold: Hold, older: Hold | null): void {
    const { holder } = hold;
    hold.older = older;
    hold.younger = older === null ? holder.oldest : older.younger;
    if (hold.older === null) holder.oldest = hold;
    else hold.older.younger = hold;
    if (hold.younger === null) holder.youngest = hold;
    else hold.younger.older = hold;
  }

  private unqueue({ holder, older, younger }: Hold): void {
    if (older === null) holder.oldest = younger;
    else older.younger = younger;
    if (younger === null) holder.youngest = older;
    else younger.older = older;
  }

  private expire(nowMs: number): void {
    if (nowMs < this.expiryMs) return;
    const { ttlMs } = this;
    this.expiryMs = Number.POSITIVE_INFINITY;
    for (const holder of this.holders.values()) {
      while (holder.oldest !== null && holder.oldest.usedMs + ttlMs <= nowMs) this.remove(holder.oldest);
      if (holder.oldest !== null) this.expiryMs = Math.min(this.expiryMs, holder.oldest.usedMs + ttlMs);
    }
  }

  /** Forgets the least recent, `tokens` tokens of it at least and no chunk more. */
  private evict(holder: Holder, tokens: number): void {
    const hold = holder.oldest!;
    const { node } = hold;
    const stays = this.whole(Math.max(0, hold.tokens - tokens));
    if (stays > 0 && node.childCount === 0 && node.holds.length === 1) {
      // Nothing hangs on what goes.
      this.unfollow();
      holder.tokens -= node.tokens - stays;
      node.content.cut(stays);
      return;
    }
    if (stays > 0) this.split(node, stays);
    this.remove(hold);
  }

  private remove(hold: Hold): void {
    const { node, holder } = hold;
    this.unfollow();
    this.unqueue(hold);
    this.stretches -= 1;
    holder.tokens -= node.tokens;
    node.holds[node.holds.indexOf(hold)] = node.holds[node.holds.length - 1]!;
    node.holds.pop();
    if (node.holds.length > 0) return;
    // Nobody has what is behind it either.
    node.parent!.childCount -= 1;
    // Names are 53 bits: two nodes of one name cost a wrong guess, and nothing else.
    if (this.nodes.get(node.name) === node) this.nodes.delete(node.name);
  }
}
