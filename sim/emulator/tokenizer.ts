// The emulator's tokenizer: one word is one token. Remembers the runs of words it has seen, since the prompts of an
// agent repeat nearly all of their words and naming a word costs half a microsecond.
import { runOfWord, splitWords } from '../../engines/words.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';

/** Size of the id space: of token-array outputs and of /tokenize. */
export const EMULATOR_VOCAB_TOKENS = 131_072;

/** Words remembered, about 150 bytes each; beyond, all are forgotten. */
const WORDS_MAX = 500_000;

export class Tokenizer {
  private readonly runs = new Map<string, Run>();

  /** One run of one token per word of the text. */
  tokenize(text: string): Run[] {
    return splitWords(text).map(word => this.runOf(word));
  }

  /** The run of one word. */
  runOf(word: string): Run {
    const known = this.runs.get(word);
    if (known !== undefined) return known;
    const run = runOfWord(word);
    if (this.runs.size >= WORDS_MAX) this.runs.clear();
    this.runs.set(word, run);
    return run;
  }
}
