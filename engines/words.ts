// The one-word-one-token vocabulary: token i of content K is one lowercase word (chat, completions) or one token id
// (token-array prompts). Rule: equal (key, index) is equal text, and equal text is an equal KV block, in both worlds.
import { extend, type Key, textKey } from '../scenarios/base/key.ts';
import type { Run } from '../scenarios/formats/prompt.ts';

const WORD_SALT = 0x57544b31;
const TOKEN_ID_SALT = 0x57544b32;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz';

/** Every 14-bit number as three letters (26^3 = 17,576 are enough); four of them make a word of 56 bits. */
const TRIPLES: readonly string[] = Array.from(
  { length: 1 << 14 },
  (_, n) => LETTERS[n % 26]! + LETTERS[Math.floor(n / 26) % 26]! + LETTERS[Math.floor(n / 676)]!,
);

/** The word of token `index` (from 0) of the content `key`: 12 letters a-z, 56 bits. */
export function wordOf(key: Key, index: number): string {
  const { hi, lo } = extend(key, index, WORD_SALT);
  return (
    TRIPLES[hi >>> 18]! + TRIPLES[(hi >>> 4) & 0x3fff]! + TRIPLES[lo >>> 18]! + TRIPLES[(lo >>> 4) & 0x3fff]!
  );
}

/** The words of `runs`, in order, joined by single spaces. */
export function wordsOfRuns(runs: readonly Run[]): string {
  const words: string[] = [];
  for (const { key, from, tokens } of runs) {
    for (let i = from; i < from + tokens; i++) words.push(wordOf(key, i));
  }
  return words.join(' ');
}

/** The words of a text: what lies between its white space. As many tokens as this has items. */
export function splitWords(text: string): string[] {
  return text.match(/\S+/g) ?? [];
}

/** The run of one word: its content is the word itself, wherever it stands. */
export const runOfWord = (word: string): Run => ({ key: textKey(word), from: 0, tokens: 1 });

/** Ids kept free at both ends of a vocabulary, where special tokens (BOS, EOS, padding) are. */
const RESERVED_IDS = 10;

/** The id of token `index` of the content `key`, in [10, vocabTokens - 10); `vocabTokens` is over 20. */
export function tokenIdOf(key: Key, index: number, vocabTokens: number): number {
  const { hi } = extend(key, index, TOKEN_ID_SALT);
  return RESERVED_IDS + (hi % (vocabTokens - 2 * RESERVED_IDS));
}

const idSpace: Key = textKey('token id');

/** The run of one token id. Ids and words never share content. */
export const runOfTokenId = (id: number): Run => ({ key: extend(idSpace, id), from: 0, tokens: 1 });
