// Which prompts each replica has in hand, from when they are sent until they end: a radix tree of their content, in
// which a beginning that several share is counted once, as an engine keeps it (Dynamo `ActiveSequences`).
import { IdTable } from '../../scenarios/base/id-table.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';
import { Sequence } from './passage.ts';
import { nameOf, PromptWalk } from './prompt-walk.ts';

/** A stretch of content behind its parent's: `tokens` tokens of a prompt from token `offset` of run `index` on. */
class Node {
  readonly serial: number;
  parent: Node | null;
  /** Names the first token, under the parent's serial. */
  name: number;
  readonly prompt: readonly Run[];
  index: number;
  offset: number;
  tokens: number;
  /** Replicas, and how many prompts of each go through here. */
  ids: number[] = [];
  counts: number[] = [];

  constructor(
    serial: number,
    parent: Node | null,
    prompt: readonly Run[],
    index: number,
    offset: number,
    tokens: number,
  ) {
    this.serial = serial;
    this.parent = parent;
    this.name = parent === null ? 0 : nameOf(new Sequence(prompt), index, offset, 1, parent.serial);
    this.prompt = prompt;
    this.index = index;
    this.offset = offset;
    this.tokens = tokens;
  }
}

/** Where a prompt ends in the tree. */
export type PromptEnd = Node;

export class PromptsInHand {
  private readonly root = new Node(0, null, [], 0, 0, 0);
  /** All but the root, by name. */
  private readonly nodes = new IdTable<Node>();
  private serial = 0;
  private readonly walk = new PromptWalk();
  /** By replica. */
  private readonly held: number[] = [];
  private readonly rows: number[] = [];
  private readonly found: number[] = [];

  /** Tokens of all prompts that the replica has in hand, shared beginnings once. */
  tokens(id: number): number {
    return this.held[id] ?? 0;
  }

  /**
   * For each of `ids`, tokens at the start of the prompt that some prompt in its hand starts with too. The same array
   * each time. Hot: once per request.
   */
  shared(prompt: readonly Run[], ids: readonly number[]): readonly number[] {
    const { found, rows, walk } = this;
    found.length = ids.length;
    for (let row = 0; row < ids.length; row++) {
      found[row] = 0;
      rows[ids[row]!] = row;
    }
    const end = walk.begin(prompt);
    for (let at = 0, node = this.root; at < end; ) {
      const child = this.childOf(node);
      const tokens = child === undefined ? 0 : this.common(child, end - at);
      if (tokens === 0) break;
      at += tokens;
      node = child!;
      for (const id of node.ids) if (ids[rows[id]!] === id) found[rows[id]!] = at;
      if (tokens < node.tokens) break;
      walk.skip(tokens);
    }
    return found;
  }

  /** The replica has a prompt in hand, until it is released. Hot: once per request. */
  add(prompt: readonly Run[], id: number): PromptEnd {
    const { walk } = this;
    const end = walk.begin(prompt);
    let node = this.root;
    for (let at = 0; at < end; ) {
      const child = this.childOf(node);
      const tokens = child === undefined ? 0 : this.common(child, end - at);
      if (tokens === 0) {
        node = this.insert(node, prompt, walk.index, walk.offset, end - at);
        break;
      }
      node = tokens < child!.tokens ? this.split(child!, tokens) : child!;
      at += tokens;
      walk.skip(tokens);
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
      const { ids, counts } = node;
      const place = ids.indexOf(id);
      counts[place]! -= 1;
      if (counts[place]! > 0) continue;
      this.held[id]! -= node.tokens;
      ids[place] = ids[ids.length - 1]!;
      ids.pop();
      counts[place] = counts[counts.length - 1]!;
      counts.pop();
      if (ids.length === 0 && this.nodes.get(node.name) === node) this.nodes.delete(node.name);
    }
  }

  /** The child that may go on as the prompt does. */
  private childOf(node: Node): Node | undefined {
    return this.nodes.get(this.walk.name(1, node.serial));
  }

  /** Tokens of the node's content that the prompt goes on with, at most `most`. */
  private common({ prompt, index, offset, tokens }: Node, most: number): number {
    return this.walk.common(prompt, Math.min(tokens, most), index, offset);
  }

  private insert(parent: Node, prompt: readonly Run[], index: number, offset: number, tokens: number): Node {
    const node = new Node(++this.serial, parent, prompt, index, offset, tokens);
    this.nodes.set(node.name, node);
    return node;
  }

  /** Parts a node behind its first `tokens` tokens; returns the new upper part. What ends in it ends in the lower. */
  private split(node: Node, tokens: number): Node {
    const { prompt } = node;
    const upper = this.insert(node.parent!, prompt, node.index, node.offset, tokens);
    upper.ids = [...node.ids];
    upper.counts = [...node.counts];
    node.parent = upper;
    node.tokens -= tokens;
    node.offset += tokens;
    for (; node.offset >= prompt[node.index]!.tokens; node.index++) node.offset -= prompt[node.index]!.tokens;
    node.name = nameOf(new Sequence(prompt), node.index, node.offset, 1, upper.serial);
    this.nodes.set(node.name, node);
    return upper;
  }
}
