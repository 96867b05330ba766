// Servers with tokenizers and templates that are not ours, in a few lines each.

import { textOfMessage, type WirePrompt } from '../../engines/wire/request.ts';
import type { Server } from '../../loadgen/prompts/learn.ts';
import { textKey } from '../../scenarios/base/key.ts';

/** Ids of a text. Id 0 is a line break. */
export type Tokenize = (text: string) => number[];

const idOf = (piece: string): number => 1 + ((textKey(piece).lo >>> 0) % 100_000);

/** By words with the space before them; `cost` is how many tokens a word has, behind a space or at a beginning. */
const byWords =
  (cost: (word: string, isFirst: boolean) => number): Tokenize =>
  text =>
    [...text.matchAll(/\n| ?[^\s]+/g)].flatMap(([piece]) => {
      if (piece === '\n') return [0];
      const word = piece.trim();
      const isFirst = !piece.startsWith(' ');
      return Array.from({ length: cost(word, isFirst) }, (_, i) => idOf(`${piece}${i === 0 ? '' : i}`));
    });

/** Every word is three tokens. */
export const threes = byWords(() => 3);

/** Like a byte-pair vocabulary of English: short words are one token, and one more at a beginning where they begin with a vowel. */
export const english = byWords((word, isFirst) => {
  const pieces = Math.max(1, Math.ceil((word.length - 2) / 4));
  return pieces + (isFirst && /^[aeiou]/.test(word) ? 1 : 0);
});

export interface Template {
  readonly promptTokens: number;
  readonly messageTokens: number;
}

export function countOf(prompt: WirePrompt, tokenize: Tokenize, template: Template): number {
  if (prompt.api === 'tokens') return prompt.tokenIds.length;
  if (prompt.api === 'completions') return 1 + tokenize(prompt.text).length;
  return prompt.messages.reduce(
    (sum, message) => sum + template.messageTokens + tokenize(textOfMessage(message)).length,
    template.promptTokens,
  );
}

export const aTemplate: Template = { promptTokens: 3, messageTokens: 5 };

/** `asked` holds what was asked of it. */
export function serverWith(
  tokenize: Tokenize,
  { template = aTemplate, showsTokenizer = true, counts = true } = {},
): Server & { asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    count: async prompt => {
      asked.push('count');
      return counts ? countOf(prompt, tokenize, template) : null;
    },
    tokenize: async text => {
      asked.push('tokenize');
      return showsTokenizer ? tokenize(text) : null;
    },
  };
}
