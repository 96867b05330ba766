// A place in a sequence (a prompt, and what is generated behind it) that moves forwards, for trees of prompts: it compares
// and names content that runs stand for, so that what it costs goes with the number of runs, not of tokens.
import type { Key } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';
import { backwards, forwards, type Passage, Sequence } from './passage.ts';

const mix = (h: number, x: number): number => {
  let k = Math.imul(h ^ x, 0x85ebca6b);
  k = Math.imul(k ^ (k >>> 13), 0xc2b2ae35);
  return k ^ (k >>> 16);
};

const isSame = (a: Key, b: Key): boolean => a === b || (a.lo === b.lo && a.hi === b.hi);

/**
 * 53 bits that equal content has in common under the same `seed`, however it was cut: of `tokens` tokens from token
 * `offset` of run `index` on.
 */
export function nameOf(of: Sequence, index: number, offset: number, tokens: number, seed: number): number {
  let high = mix(0x9747b28c, seed);
  let low = 0x1b873593;
  let last: Key | null = null;
  let lastEnd = 0;
  for (let left = tokens, at = index, skipped = offset; left > 0; at++, skipped = 0) {
    const { key, from, tokens: has } = of.at(at);
    const begin = from + skipped;
    // Named by where each piece begins: one that goes on where the last ended needs no name of its own.
    if (last === null || lastEnd !== begin || !isSame(last, key)) {
      high = mix(mix(high, key.hi ^ begin), left);
      low = mix(mix(low, key.lo ^ left), begin ^ high);
    }
    last = key;
    lastEnd = from + has;
    left -= has - skipped;
  }
  return (high >>> 0) * 2 ** 21 + (low >>> 11);
}

export class PromptWalk {
  private of = new Sequence([]);
  /** The place: token `offset` of run `index`. */
  index = 0;
  offset = 0;

  /** Goes to the beginning; returns how many tokens there are. */
  begin(prompt: readonly Run[]): number {
    this.restart(new Sequence(prompt));
    return this.leftTokens();
  }

  /** Goes to a place in a sequence, such as one where another walk of the same was. */
  restart(of: Sequence, index = 0, offset = 0): void {
    this.of = of;
    this.index = index;
    this.offset = offset;
  }

  private at(index: number): Run {
    return this.of.at(index);
  }

  /** Tokens from here to the end. */
  leftTokens(): number {
    const { length } = this.of;
    let tokens = 0 - this.offset;
    for (let i = this.index; i < length; i++) tokens += this.at(i).tokens;
    return tokens;
  }

  /** Whether there are `tokens` more. */
  has(tokens: number): boolean {
    const { length } = this.of;
    let left = tokens + this.offset;
    for (let i = this.index; left > 0 && i < length; i++) left -= this.at(i).tokens;
    return left <= 0;
  }

  /** Names the next `tokens` tokens, of which there are as many: see `nameOf`. */
  name(tokens: number, seed: number): number {
    return nameOf(this.of, this.index, this.offset, tokens, seed);
  }

  /**
   * Goes along the passage for as long as its content is that of the sequence, at most `most` tokens, and only whole
   * multiples of `unit`; returns how many.
   */
  follow(passage: Passage, most: number, unit: number): number {
    const own = this.of;
    const { of, endIndex } = passage;
    const { length } = own;
    const limit = Math.min(most, passage.tokens);
    let { index, offset } = this;
    let { index: i, offset: done } = passage;
    let matched = 0;
    while (matched < limit && index < length) {
      if (offset === done) {
        // Prompts of a session are mostly made of the very same runs, or of the very same list of them.
        const from = i;
        const run = index - own.bodyIndex;
        const theirRun = i - of.bodyIndex;
        if (run >= 0 && theirRun >= 0) {
          const runs = Math.min(own.bodyRuns - run, of.bodyRuns - theirRun, endIndex - i);
          let equal = own.body === of.body && run === theirRun ? Math.max(0, runs) : 0;
          while (equal < runs && own.body[run + equal] === of.body[theirRun + equal]) equal += 1;
          i += equal;
          index += equal;
        }
        if (i > from) {
          matched = passage.tokensBefore(i);
          offset = 0;
          done = 0;
          continue;
        }
      }
      const ours = own.at(index);
      const theirs = of.at(i);
      if (ours.from + offset !== theirs.from + done || !isSame(ours.key, theirs.key)) break;
      const ourLeft = ours.tokens - offset;
      const theirLeft = theirs.tokens - done;
      const step = Math.min(ourLeft, theirLeft);
      matched += step;
      offset += step;
      done += step;
      if (step === ourLeft) {
        index += 1;
        offset = 0;
      }
      if (step === theirLeft) {
        i += 1;
        done = 0;
      }
    }
    const whole = Math.min(matched, limit);
    const tokens = whole - (whole % unit);
    this.index = index;
    this.offset = offset;
    backwards(this.of, this, matched - tokens);
    return tokens;
  }

  /**
   * How many of the next tokens, at most `most`, are those of `runs` from token `theirOffset` of run `theirIndex` on.
   * Both have as many. Moves nothing.
   */
  common(runs: readonly Run[], most: number, theirIndex = 0, theirOffset = 0): number {
    let { index, offset } = this;
    let i = theirIndex;
    let done = theirOffset;
    let matched = 0;
    while (matched < most) {
      const ours = this.at(index);
      const theirs = runs[i]!;
      // Prompts of a session are mostly made of the very same runs.
      const goesOn =
        ours === theirs
          ? offset === done
          : ours.from + offset === theirs.from + done && isSame(ours.key, theirs.key);
      if (!goesOn) return matched;
      const ourLeft = ours.tokens - offset;
      const theirLeft = theirs.tokens - done;
      const step = Math.min(ourLeft, theirLeft);
      matched += step;
      offset += step;
      done += step;
      if (step === ourLeft) {
        index += 1;
        offset = 0;
      }
      if (step === theirLeft) {
        i += 1;
        done = 0;
      }
    }
    return most;
  }

  skip(tokens: number): void {
    forwards(this.of, this, tokens);
  }

  /** The next `tokens` tokens, of which there are as many, in a list of their own. Moves nothing. */
  read(tokens: number): Run[] {
    const runs: Run[] = [];
    let { offset } = this;
    for (let index = this.index, left = tokens; left > 0; index++, offset = 0) {
      const run = this.at(index);
      const take = Math.min(left, run.tokens - offset);
      runs.push(take === run.tokens ? run : { key: run.key, from: run.from + offset, tokens: take });
      left -= take;
    }
    return runs;
  }
}
