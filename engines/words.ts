// The one-word-one-token vocabulary: token i of content K is one lowercase word (chat, completions) or one token id
// (token-array prompts). Rule: equal (key, index) is equal text, and equal text is an equal KV block, in both worlds.
import { extend, type Key, keyIndex, textKey } from '../scenarios/base/key.ts';
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
export const wordsOfRuns = (runs: readonly Run[]): string =>
  runs
    .filter(run => run.tokens > 0)
    .map(({ key, from, tokens }) => spelled(key, from, from + tokens, null))
    .join(' ');

/**
 * Words `from` to `to` (exclusive) of the content `key`, joined by single spaces: our own, or of a list in which each has
 * a space before it. Hot: 50 ns a word of a list.
 */
export function spelled(key: Key, from: number, to: number, spaced: readonly string[] | null): string {
  let text = '';
  for (let i = from; i < to; i++)
    text += spaced === null ? ` ${wordOf(key, i)}` : spaced[placeOf(key, i, spaced.length)]!;
  return text.slice(1);
}

/** Which of `count` words is the one at `index` of the content `key`. */
const placeOf = (key: Key, index: number, count: number): number =>
  Math.floor(((extend(key, index, WORD_SALT).hi >>> 0) / 2 ** 32) * count);

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
  return RESERVED_IDS + keyIndex(extend(key, index, TOKEN_ID_SALT), vocabTokens - 2 * RESERVED_IDS);
}

/** The same out of ids that are known to be good. */
export const knownIdOf = (key: Key, index: number, ids: readonly number[]): number =>
  ids[keyIndex(extend(key, index, TOKEN_ID_SALT), ids.length)]!;

const idSpace: Key = textKey('token id');

/** The run of one token id. Ids and words never share content. */
export const runOfTokenId = (id: number): Run => ({ key: extend(idSpace, id), from: 0, tokens: 1 });
