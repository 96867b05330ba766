// Which prompts each replica has in hand, from when they are sent until they end: a radix tree of their content, in
// which a beginning that several share is counted once, as an engine keeps it (Dynamo `ActiveSequences`).
import { IdTable } from '../../scenarios/base/id-table.ts';
import { extend, type Key } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';

/** A stretch of content: `tokens` tokens from token `offset` of run `index` on. What it is part of outlives it. */
class Node {
  parent: Node | null;
  /** Names the first token. */
  mark: number;
  runs: readonly Run[];
  index: number;
  offset: number;
  tokens: number;
  /** By mark. */
  children: IdTable<Node> | null = null;
  /** Replicas, and how many prompts of each go through here. */
  ids: number[] = [];
  counts: number[] = [];

  constructor(
    parent: Node | null,
    mark: number,
    runs: readonly Run[],
    index: number,
    offset: number,
    tokens: number,
  ) {
    this.parent = parent;
    this.mark = mark;
    this.runs = runs;
    this.index = index;
    this.offset = offset;
    this.tokens = tokens;
  }
}

/** Where a prompt ends in the tree. */
export type PromptEnd = Node;

const isSame = (a: Key, b: Key): boolean => a === b || (a.lo === b.lo && a.hi === b.hi);

/** Equal for equal content: 53 bits of the key of (content, token). */
function markOf({ key, from }: Run, offset: number): number {
  const { hi, lo } = extend(key, from + offset);
  return hi * 2 ** 21 + (lo >>> 11);
}

export class PromptsInHand {
  private readonly root = new Node(null, 0, [], 0, 0, 0);
  /** By replica. */
  private readonly held: number[] = [];
  private readonly rows: number[] = [];
  private readonly found: number[] = [];
  /** Where in the prompt the walk is. */
  private index = 0;
  private offset = 0;

  /** Tokens of all prompts that the replica has in hand, shared beginnings once. */
  tokens(id: number): number {
    return this.held[id] ?? 0;
  }

  /**
   * For each of `ids`, tokens at the start of the prompt that some prompt in its hand starts with too. The same array
   * each time. Hot: once per request.
   */
  shared(prompt: readonly Run[], ids: readonly number[]): readonly number[] {
    const { found, rows } = this;
    found.length = ids.length;
    for (let row = 0; row < ids.length; row++) {
      found[row] = 0;
      rows[ids[row]!] = row;
    }
    this.index = this.offset = 0;
    for (let at = 0, node = this.root; this.index < prompt.length; ) {
      const child = this.childOf(node, prompt);
      const tokens = child === undefined ? 0 : this.common(prompt, child);
      if (tokens === 0) break;
      at += tokens;
      node = child!;
      for (const id of node.ids) if (ids[rows[id]!] === id) found[rows[id]!] = at;
      if (tokens < node.tokens) break;
      this.skip(prompt, tokens);
    }
    return found;
  }

  /** The replica has a prompt in hand, until it is released. Hot: once per request. */
  add(prompt: readonly Run[], id: number): PromptEnd {
    this.index = this.offset = 0;
    let node = this.root;
    while (this.index < prompt.length) {
      const child = this.childOf(node, prompt);
      const tokens = child === undefined ? 0 : this.common(prompt, child);
      if (tokens === 0) {
        node = this.extend(node, prompt);
        break;
      }
      node = tokens < child!.tokens ? this.split(child!, tokens) : child!;
      this.skip(prompt, tokens);
    }
    for (let each = node; each.parent !== null; each = each.parent) {
      const place = each.ids.indexOf(id);
      if (place >= 0) {
        each.counts[place]! += 1;
        continue;
      }
      each.ids.push(id);
      each.counts.push(1);
      this.held[id] = this.tokens(id) + each.tokens;
    }
    return node;
  }

  /** Once for each `add`, with what it returned. */
  release(end: PromptEnd, id: number): void {
    for (let node = end; node.parent !== null; node = node.parent) {
      const place = node.ids.indexOf(id);
      node.counts[place]! -= 1;
      if (node.counts[place]! > 0) continue;
      this.held[id]! -= node.tokens;
      node.ids[place] = node.ids[node.ids.length - 1]!;
      node.ids.pop();
      node.counts[place] = node.counts[node.counts.length - 1]!;
      node.counts.pop();
      // Nobody has what is behind it either.
      if (node.ids.length > 0) continue;
      const siblings = node.parent.children!;
      if (siblings.get(node.mark) === node) siblings.delete(node.mark);
      if (siblings.size === 0) node.parent.children = null;
    }
  }

  /** The child that may go on as the prompt does. */
  private childOf(node: Node, prompt: readonly Run[]): Node | undefined {
    return node.children?.get(markOf(prompt[this.index]!, this.offset));
  }

  /** Tokens of the node's content that the prompt goes on with. Moves nothing. */
  private common(prompt: readonly Run[], node: Node): number {
    const { runs, tokens } = node;
    let { index, offset } = this;
    let theirIndex = node.index;
    let theirOffset = node.offset;
    let matched = 0;
    while (matched < tokens && index < prompt.length) {
      const ours = prompt[index]!;
      const theirs = runs[theirIndex]!;
      if (ours.from + offset !== theirs.from + theirOffset || !isSame(ours.key, theirs.key)) break;
      const ourLeft = ours.tokens - offset;
      const theirLeft = theirs.tokens - theirOffset;
      const step = Math.min(ourLeft, theirLeft, tokens - matched);
      matched += step;
      offset += step;
      theirOffset += step;
      if (step === ourLeft) {
        index += 1;
        offset = 0;
      }
      if (step === theirLeft) {
        theirIndex += 1;
        theirOffset = 0;
      }
    }
    return matched;
  }

  private skip(prompt: readonly Run[], tokens: number): void {
    this.offset += tokens;
    while (this.index < prompt.length && this.offset >= prompt[this.index]!.tokens) {
      this.offset -= prompt[this.index]!.tokens;
      this.index += 1;
    }
  }

  /** Puts what is left of the prompt behind the node. */
  private extend(node: Node, prompt: readonly Run[]): Node {
    const { index, offset } = this;
    let tokens = -offset;
    for (let i = index; i < prompt.length; i++) tokens += prompt[i]!.tokens;
    const child = new Node(node, markOf(prompt[index]!, offset), prompt, index, offset, tokens);
    node.children ??= new IdTable(4);
    node.children.set(child.mark, child);
    return child;
  }

  /** Parts a node behind its first `tokens` tokens; returns the new upper part. */
  private split(node: Node, tokens: number): Node {
    const { parent, runs } = node;
    let index = node.index;
    let offset = node.offset + tokens;
    while (offset >= runs[index]!.tokens) {
      offset -= runs[index]!.tokens;
      index += 1;
    }
    const upper = new Node(parent, node.mark, runs, node.index, node.offset, tokens);
    upper.ids = [...node.ids];
    upper.counts = [...node.counts];
    parent!.children!.set(upper.mark, upper);
    node.mark = markOf(runs[index]!, offset);
    node.parent = upper;
    node.index = index;
    node.offset = offset;
    node.tokens -= tokens;
    upper.children = new IdTable(4);
    upper.children.set(node.mark, node);
    return upper;
  }
}
