// A place in a sequence (a prompt, and what is generated behind it) that moves forwards, for trees of prompts: it compares
// and names content that runs stand for, so that what it costs goes with the number of runs, not of tokens.
import type { Key } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';

const mix = (h: number, x: number): number => {
  let k = Math.imul(h ^ x, 0x85ebca6b);
  k = Math.imul(k ^ (k >>> 13), 0xc2b2ae35);
  return k ^ (k >>> 16);
};

const isSame = (a: Key, b: Key): boolean => a === b || (a.lo === b.lo && a.hi === b.hi);

const NO_RUNS: readonly Run[] = [];

/**
 * 53 bits that equal content has in common under the same `seed`, however it was cut: of `tokens` tokens from token
 * `offset` of run `index` on. `more` follows the runs.
 */
export function nameOf(
  runs: readonly Run[],
  index: number,
  offset: number,
  tokens: number,
  seed: number,
  more: readonly Run[] = NO_RUNS,
): number {
  let high = mix(0x9747b28c, seed);
  let low = 0x1b873593;
  let last: Key | null = null;
  let lastEnd = 0;
  for (let left = tokens; left > 0; index++, offset = 0) {
    const { key, from, tokens: has } = index < runs.length ? runs[index]! : more[index - runs.length]!;
    const begin = from + offset;
    // Named by where each piece begins: one that goes on where the last ended needs no name of its own.
    if (last === null || lastEnd !== begin || !isSame(last, key)) {
      high = mix(mix(high, key.hi ^ begin), left);
      low = mix(mix(low, key.lo ^ left), begin ^ high);
    }
    last = key;
    lastEnd = from + has;
    left -= has - offset;
  }
  return (high >>> 0) * 2 ** 21 + (low >>> 11);
}

export class PromptWalk {
  private prompt: readonly Run[] = NO_RUNS;
  private output: readonly Run[] = NO_RUNS;
  /** The place: token `offset` of run `index`. */
  index = 0;
  offset = 0;

  /** Goes to the beginning; returns how many tokens there are. */
  begin(prompt: readonly Run[]): number {
    this.restart(prompt, NO_RUNS);
    let tokens = 0;
    for (let i = 0; i < prompt.length; i++) tokens += prompt[i]!.tokens;
    return tokens;
  }

  /** Goes to a place in a prompt and its output, such as one where another walk of the same was. */
  restart(prompt: readonly Run[], output: readonly Run[], index = 0, offset = 0): void {
    this.prompt = prompt;
    this.output = output;
    this.index = index;
    this.offset = offset;
  }

  private at(index: number): Run {
    const { prompt } = this;
    return index < prompt.length ? prompt[index]! : this.output[index - prompt.length]!;
  }

  /** Names the next `tokens` tokens, of which there are as many: see `nameOf`. */
  name(tokens: number, seed: number): number {
    return nameOf(this.prompt, this.index, this.offset, tokens, seed, this.output);
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
    const length = this.prompt.length + this.output.length;
    this.offset += tokens;
    while (this.index < length) {
      const has = this.at(this.index).tokens;
      if (this.offset < has) return;
      this.offset -= has;
      this.index += 1;
    }
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
