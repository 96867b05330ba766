// All that was ever computed, as a tree of stretches of content: when each was first computed behind what is before it, and
// by whom. Nothing is evicted here: what a cache should have and has not is what its misses are explained by.
// Laws: a stretch is computed no earlier than what is before it; who has computed one has computed the way to it.
import { IdTable } from '../../scenarios/base/id-table.ts';
import { keyNumber } from '../../scenarios/base/key.ts';
import { headOf, type Run, tailOf } from '../../scenarios/formats/prompt.ts';
import { Sequence } from '../routing/passage.ts';
import { nameOf, PromptWalk } from '../routing/prompt-walk.ts';

/** A cache that computes. */
export interface Place {
  readonly pool: string;
  /** null: an API, or the half of a pool that only answers. */
  readonly replica: string | null;
}

/** That a place has computed a stretch. */
export interface Hold {
  readonly place: Place;
  sinceMs: number;
  /** When it was used last, and the time before. */
  usedMs: number;
  beforeMs: number;
}

/** Who computes. */
export interface Author {
  readonly ticket: number;
  readonly session: string;
  /** Path of its call. */
  readonly path: string;
  /** A gateway sent it elsewhere than its workflow asked for. */
  readonly isDiverted: boolean;
}

/** Content that was there before, behind something else. */
export interface Seen {
  /** From the beginning of its stretch. */
  readonly fromToken: number;
  readonly tokens: number;
  readonly content: Content;
  /** It was an answer only: `own` behind what it answered, `read` by another step; null: it has stood in a prompt. */
  readonly answer: 'own' | 'read' | null;
}

/** All that is known of what one key names. */
export interface Content {
  fromToken: number;
  /** Exclusive. */
  toToken: number;
  readonly sinceMs: number;
  /** Behind what it was computed first. */
  readonly stretch: Stretch;
  /** It was generated, and has stood in no prompt but behind the one that it answers. */
  isAnswer: boolean;
  /** Of an answer, what it answered ends with; else what stood before it. */
  readonly before: Run | null;
}

const NO_HOLDS: Hold[] = [];

export class Stretch {
  /** No other stretch has had it. */
  readonly serial: number;
  parent: Stretch | null;
  /** Of its first token, behind its parent. */
  name: number;
  /** Content of exactly these tokens. */
  runs: readonly Run[];
  tokens: number;
  /** From the beginning of a prompt to its end. */
  readonly endTokens: number;
  /** When anybody computed it first, and who. */
  readonly sinceMs: number;
  readonly author: Author | null;
  /** When it was first computed for a call that went where it was meant to; Infinity: never. */
  plannedMs: number;
  childCount = 0;
  /** By places of which it is known. */
  holds: Hold[] = NO_HOLDS;
  /** Of its content, what was known when it was computed first; null: nothing. */
  seen: Seen[] | null = null;

  constructor(
    serial: number,
    parent: Stretch | null,
    name: number,
    runs: readonly Run[],
    { tokens, sinceMs, author }: { tokens: number; sinceMs: number; author: Author | null },
  ) {
    this.serial = serial;
    this.parent = parent;
    this.name = name;
    this.runs = runs;
    this.tokens = tokens;
    this.endTokens = (parent?.endTokens ?? 0) + tokens;
    this.sinceMs = sinceMs;
    this.author = author;
    this.plannedMs = author === null || !author.isDiverted ? sinceMs : Number.POSITIVE_INFINITY;
  }
}

export class ComputedContent {
  readonly root = new Stretch(0, null, 0, [], { tokens: 0, sinceMs: Number.NEGATIVE_INFINITY, author: null });
  /** All but the root, by name. */
  private readonly stretches = new IdTable<Stretch>();
  private readonly contents = new IdTable<Content>();
  private readonly walk = new PromptWalk();
  private serial = 0;

  /** The last stretch of what is known of a prompt, which ends where that does. */
  find(prompt: readonly Run[]): Stretch {
    return this.follow(prompt, this.walk.begin(prompt), this.root).stretch;
  }

  /**
   * A prompt was computed, or (`from` the end of its prompt) an answer: the stretch that ends where it does. Hot: once
   * per call.
   */
  computed(
    content: readonly Run[],
    author: Author,
    nowMs: number,
    { from = this.root, isAnswer = false }: { from?: Stretch; isAnswer?: boolean } = {},
  ): Stretch {
    const { stretch, left } = this.follow(content, this.walk.begin(content), from);
    if (!author.isDiverted) {
      for (let each = stretch; each.plannedMs > nowMs && each.parent !== null; each = each.parent)
        each.plannedMs = nowMs;
    }
    return left === 0 ? stretch : this.extend(stretch, left, author, nowMs, isAnswer);
  }

  /** As far as the tree goes: the walk stands behind it, with `left` tokens to go. */
  private follow(content: readonly Run[], tokens: number, from: Stretch): { stretch: Stretch; left: number } {
    const { walk } = this;
    walk.restart(new Sequence(content));
    let stretch = from;
    let left = tokens;
    while (left > 0 && stretch.childCount > 0) {
      const child = this.stretches.get(walk.name(1, stretch.serial));
      if (child === undefined) break;
      const common = walk.common(child.runs, Math.min(child.tokens, left));
      // Names are 53 bits: a wrong guess is no child.
      if (common === 0) break;
      walk.skip(common);
      left -= common;
      stretch = common < child.tokens ? this.split(child, common) : child;
    }
    return { stretch, left };
  }

  private extend(
    parent: Stretch,
    tokens: number,
    author: Author,
    sinceMs: number,
    isAnswer: boolean,
  ): Stretch {
    const name = this.walk.name(1, parent.serial);
    const runs = this.walk.read(tokens).slice(); // of its length, without room to grow
    const child = new Stretch(++this.serial, parent, name, runs, { tokens, sinceMs, author });
    parent.childCount += 1;
    this.stretches.set(name, child);
    let at = 0;
    let before = parent.runs.at(-1) ?? null;
    for (const run of runs) {
      this.learn(child, { run, before, at, isAnswer });
      at += run.tokens;
      if (!isAnswer) before = run;
    }
    return child;
  }

  /** `run` stands at token `at` of a new stretch, behind `before`. */
  private learn(
    stretch: Stretch,
    { run, before, at, isAnswer }: { run: Run; before: Run | null; at: number; isAnswer: boolean },
  ): void {
    const id = keyNumber(run.key);
    const toToken = run.from + run.tokens;
    const content = this.contents.get(id);
    if (content === undefined) {
      const { sinceMs } = stretch;
      this.contents.set(id, { fromToken: run.from, toToken, sinceMs, stretch, isAnswer, before });
      return;
    }
    const begin = Math.max(run.from, content.fromToken);
    const tokens = Math.min(toToken, content.toToken) - begin;
    if (tokens > 0) {
      stretch.seen ??= [];
      const answer = !content.isAnswer ? null : endAlike(before, content.before) ? 'own' : 'read';
      stretch.seen.push({ fromToken: at + begin - run.from, tokens, content, answer });
      content.isAnswer &&= isAnswer;
    }
    content.fromToken = Math.min(content.fromToken, run.from);
    content.toToken = Math.max(content.toToken, toToken);
  }

  /** Parts a stretch behind its first `tokens` tokens; returns the new upper part. The lower one stays itself. */
  private split(lower: Stretch, tokens: number): Stretch {
    const { parent, name, sinceMs, author } = lower;
    const upper = new Stretch(++this.serial, parent, name, headOf(lower.runs, tokens), {
      tokens,
      sinceMs,
      author,
    });
    upper.plannedMs = lower.plannedMs;
    upper.childCount = 1;
    upper.holds = lower.holds.length === 0 ? NO_HOLDS : lower.holds.map(hold => ({ ...hold }));
    if (this.stretches.get(name) === lower) this.stretches.set(name, upper);
    lower.parent = upper;
    lower.runs = tailOf(lower.runs, tokens);
    lower.tokens -= tokens;
    lower.name = nameOf(new Sequence(lower.runs), 0, 0, 1, upper.serial);
    this.stretches.set(lower.name, lower);
    if (lower.seen !== null) [upper.seen, lower.seen] = partedAt(lower.seen, tokens);
    return upper;
  }
}

/** Both end with the same token. */
const endAlike = (a: Run | null, b: Run | null): boolean =>
  a === b ||
  (a !== null &&
    b !== null &&
    a.key.hi === b.key.hi &&
    a.key.lo === b.key.lo &&
    a.from + a.tokens === b.from + b.tokens);

function partedAt(seen: readonly Seen[], tokens: number): [Seen[] | null, Seen[] | null] {
  const before: Seen[] = [];
  const after: Seen[] = [];
  for (const each of seen) {
    const head = Math.min(each.tokens, Math.max(0, tokens - each.fromToken));
    const tail = each.tokens - head;
    if (head > 0) before.push({ ...each, tokens: head });
    if (tail > 0) after.push({ ...each, fromToken: Math.max(0, each.fromToken - tokens), tokens: tail });
  }
  return [before.length > 0 ? before : null, after.length > 0 ? after : null];
}

/** That `place` has a stretch, if it has by `atMs`. */
export function holdOf({ holds }: Stretch, place: Place, atMs: number): Hold | null {
  for (let i = 0; i < holds.length; i++) {
    const hold = holds[i]!;
    if (hold.place === place) return hold.sinceMs <= atMs ? hold : null;
  }
  return null;
}

/** The place has computed a stretch and the way to it. `counts`: uses of what it had before are noted too. */
export function hold(end: Stretch, place: Place, sinceMs: number, usedMs: number, counts: boolean): void {
  for (let stretch = end; stretch.parent !== null; stretch = stretch.parent) {
    const known = holdOf(stretch, place, Number.POSITIVE_INFINITY);
    if (known === null) {
      const added = { place, sinceMs, usedMs, beforeMs: Number.NEGATIVE_INFINITY };
      // Nearly always it is the only one: an array of exactly that size.
      if (stretch.holds.length === 0) stretch.holds = [added];
      else stretch.holds.push(added);
      continue;
    }
    // Calls are told of as they end: one that began earlier may come later.
    if (!counts && known.sinceMs <= sinceMs) return;
    known.sinceMs = Math.min(known.sinceMs, sinceMs);
    if (usedMs <= known.usedMs) continue;
    known.beforeMs = known.usedMs;
    known.usedMs = usedMs;
  }
}
