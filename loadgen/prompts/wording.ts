// How a server reads what we write: which words to send, and what they and the template around them cost. Without it,
// one word is one token and there is no template: the emulator.

import type { WireApi } from '../../engines/wire/request.ts';

/** Tokens of a template. Messages of a user cost nothing beside: what the first costs is in `promptTokens`. */
export interface Frame {
  /** Of every prompt, one message of the user included. */
  readonly promptTokens: number;
  /** Of a system message. */
  readonly systemTokens: number;
  /** Of an answer that is sent back, and of the user's message behind it. */
  readonly exchangeTokens: number;
}

export const NO_FRAME: Frame = { promptTokens: 0, systemTokens: 0, exchangeTokens: 0 };

/** Plain data: threads are given it. */
export interface Wording {
  /** Each costs `wordTokens`; null: our own of 12 letters. */
  readonly words: readonly string[] | null;
  readonly wordTokens: number;
  readonly frame: Frame;
  /** Asks for long answers, in front of every prompt: where nothing can force them. */
  readonly lead: { readonly text: string; readonly tokens: number } | null;
  /** For token-id prompts: ids that the server is known to have, none of them special; null: not known. */
  readonly ids: readonly number[] | null;
  /** For token-id prompts without `ids`: the size of the vocabulary. */
  readonly vocabTokens: number;
  /** Where this is from, in words: `by /tokenize of the server: …`. */
  readonly how: string;
}

/** Every real vocabulary has as many. */
export const USUAL_VOCAB_TOKENS = 32_000;

/** One word, one token. */
export const OWN_WORDS: Wording = {
  words: null,
  wordTokens: 1,
  frame: NO_FRAME,
  lead: null,
  ids: null,
  vocabTokens: USUAL_VOCAB_TOKENS,
  how: 'one word is one token there, without a template',
};

/** What names a wording: where prompts go, and in which API. */
export const wordingName = (target: string, api: WireApi): string => `${target}/${api}`;

/** Wordings by name. */
export type Wordings = Readonly<Record<string, Wording>>;
