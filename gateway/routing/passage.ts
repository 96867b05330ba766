// A passage of some sequence (a prompt, and what is generated behind it), told by where it lies there: a tree of prompts
// that is made of passages copies no content, and two prompts of one session are compared by their runs' identity alone.
import type { PromptMakeup, Run } from '../../scenarios/formats/prompt.ts';

const NO_RUNS: readonly Run[] = [];

/** A prompt and what is generated behind it, as lists that follow each other. None of them changes. */
export class Sequence {
  readonly head: readonly Run[];
  /** Of this list the first `bodyRuns` runs: it may be another sequence's as well, and grow. */
  readonly body: readonly Run[];
  readonly bodyRuns: number;
  readonly tail: readonly Run[];
  /** Where body and tail begin. */
  readonly bodyIndex: number;
  readonly tailIndex: number;
  /** Runs in all. */
  readonly length: number;

  constructor(prompt: readonly Run[], output: readonly Run[] = NO_RUNS, makeup?: PromptMakeup) {
    this.head = makeup?.head ?? NO_RUNS;
    this.body = makeup?.thread ?? prompt;
    this.bodyRuns = makeup?.threadRuns ?? prompt.length;
    this.tail = makeup === undefined ? output : makeup.tail.concat(output);
    this.bodyIndex = this.head.length;
    this.tailIndex = this.bodyIndex + this.bodyRuns;
    this.length = this.tailIndex + this.tail.length;
  }

  /** Of a prompt, told by how it was put together where that is known. */
  static of(
    told: { readonly prompt: readonly Run[]; readonly makeup?: PromptMakeup | undefined },
    output?: readonly Run[],
  ): Sequence {
    const { makeup } = told;
    return new Sequence(makeup === undefined ? told.prompt : NO_RUNS, output, makeup);
  }

  /** A run of it. */
  at(index: number): Run {
    if (index >= this.tailIndex) return this.tail[index - this.tailIndex]!;
    return index >= this.bodyIndex ? this.body[index - this.bodyIndex]! : this.head[index]!;
  }
}

/** Token `offset` of run `index`; behind the last token the number of runs, and 0. */
export interface Place {
  index: number;
  offset: number;
}

/** Moves a place `tokens` tokens on. */
export function forwards(of: Sequence, place: Place, tokens: number): void {
  const { length } = of;
  let { index, offset } = place;
  offset += tokens;
  while (index < length) {
    const has = of.at(index).tokens;
    if (offset < has) break;
    offset -= has;
    index += 1;
  }
  place.index = index;
  place.offset = offset;
}

/** Moves a place `tokens` tokens back. */
export function backwards(of: Sequence, place: Place, tokens: number): void {
  let { index, offset } = place;
  let left = tokens;
  while (offset < left) {
    left -= offset;
    index -= 1;
    offset = of.at(index).tokens;
  }
  place.index = index;
  place.offset = offset - left;
}

const scratch: Place = { index: 0, offset: 0 };

export class Passage {
  of: Sequence;
  /** Where it begins. */
  index: number;
  offset: number;
  /** Where it ends. */
  endIndex: number;
  endOffset: number;
  tokens = 0;

  /** Empty, at a place of the sequence. */
  constructor(of: Sequence, { index, offset }: Place) {
    this.of = of;
    this.index = index;
    this.offset = offset;
    this.endIndex = index;
    this.endOffset = offset;
  }

  /** Its tokens before run `index`, which lies in it or is the end. Sums the shorter way. */
  tokensBefore(index: number): number {
    const { of, endIndex } = this;
    if (index - this.index <= endIndex - index) {
      let before = 0 - this.offset;
      for (let i = this.index; i < index; i++) before += of.at(i).tokens;
      return before;
    }
    let after = this.endOffset;
    for (let i = index; i < endIndex; i++) after += of.at(i).tokens;
    return this.tokens - after;
  }

  /** It goes on to a place `tokens` tokens further on in its sequence. */
  extend(tokens: number, { index, offset }: Place): void {
    this.tokens += tokens;
    this.endIndex = index;
    this.endOffset = offset;
  }

  /** Only its first `tokens` tokens stay. */
  cut(tokens: number): void {
    if (tokens >= this.tokens) return;
    scratch.index = this.endIndex;
    scratch.offset = this.endOffset;
    backwards(this.of, scratch, this.tokens - tokens);
    this.endIndex = scratch.index;
    this.endOffset = scratch.offset;
    this.tokens = tokens;
  }

  /** Loses its first `tokens` tokens; returns them. */
  takeHead(tokens: number): Passage {
    const head = new Passage(this.of, this);
    scratch.index = this.index;
    scratch.offset = this.offset;
    forwards(this.of, scratch, tokens);
    head.extend(tokens, scratch);
    this.index = scratch.index;
    this.offset = scratch.offset;
    this.tokens -= tokens;
    return head;
  }

  /** The same content as another sequence has it, up to its place `end`: from `begin` on, where that is known. */
  retell(of: Sequence, end: Place, begin: Place | null): void {
    if (this.of === of) return;
    scratch.index = end.index;
    scratch.offset = end.offset;
    if (begin === null) backwards(of, scratch, this.tokens);
    this.index = begin === null ? scratch.index : begin.index;
    this.offset = begin === null ? scratch.offset : begin.offset;
    this.endIndex = end.index;
    this.endOffset = end.offset;
    this.of = of;
  }

  /** Takes over what another passage has right behind it, in whose sequence its own content stands as well. */
  join(behind: Passage): void {
    this.retell(behind.of, behind, null);
    this.tokens += behind.tokens;
    this.endIndex = behind.endIndex;
    this.endOffset = behind.endOffset;
  }
}
