// Prefix blocks of prompts whose text a trace holds: a block is 64 characters, taken for 16 tokens, and is named by all
// text before its end. Only ids in order of first sight leave this file: neither text nor a hash of it.
import { extend, extendText, type Key, keyNumber, textKey } from '../../base/key.ts';
import type { RecordedSession } from '../../formats/recorded.ts';
import { countSession, type Tally } from '../importer.ts';
import type { BlockMinter } from './blocks.ts';
import type { FileCache } from './hits.ts';

/** English text and code come near it; other scripts have more tokens per character. */
const CHARS_PER_TOKEN = 4;
export const TEXT_BLOCK_TOKENS = 16;
const BLOCK_CHARS = TEXT_BLOCK_TOKENS * CHARS_PER_TOKEN;

/** Tokens of so many characters: an estimate. */
export const tokensOfChars = (chars: number): number => Math.ceil(chars / CHARS_PER_TOKEN);

/** Blocks remembered at least since they were last seen: 32 MB of text. */
const KEPT = 1 << 19;

/** Ids of blocks by what they hold. What was not seen for long is forgotten, so that memory is bounded. */
export class TextBlocks {
  private recent = new Map<number, number>();
  private older = new Map<number, number>();
  private readonly mint: BlockMinter;

  constructor(mint: BlockMinter) {
    this.mint = mint;
  }

  idOf(key: Key): number {
    const name = keyNumber(key);
    const known = this.recent.get(name);
    if (known !== undefined) return known;
    if (this.recent.size >= KEPT) {
      this.older = this.recent;
      this.recent = new Map();
    }
    const id = this.older.get(name) ?? this.mint.next();
    this.recent.set(name, id);
    return id;
  }
}

const EMPTY = textKey('prompt');

/** A prompt as it is put together, message by message. */
export class PromptText {
  private readonly names: TextBlocks;
  private key: Key;
  private readonly ids: number[];
  chars: number;

  /** Empty, or a copy of the prompt that it goes on from. */
  constructor(names: TextBlocks, from?: PromptText) {
    this.names = names;
    this.key = from?.key ?? EMPTY;
    this.ids = [...(from?.ids ?? [])];
    this.chars = from?.chars ?? 0;
  }

  get tokens(): number {
    return tokensOfChars(this.chars);
  }

  /** Ids of the full blocks so far. */
  blocks(): number[] {
    return [...this.ids];
  }

  /** Adds a message. The role has no length, but the same text in another role is another prompt. */
  add(role: string, text: string): void {
    this.key = extendText(this.key, role);
    this.feed(text.length, (from, to) => extendText(this.key, text.slice(from, to)));
  }

  /** Adds text that the trace does not hold, such as an answer; `name` says which, once in a file. */
  addUnknown(name: string, tokens: number): void {
    this.key = extendText(this.key, name);
    this.feed(tokens * CHARS_PER_TOKEN, from => extend(this.key, from, tokens));
  }

  /** Takes the characters in pieces that end where blocks do. */
  private feed(chars: number, keyOf: (from: number, to: number) => Key): void {
    for (let from = 0; from < chars; ) {
      const to = Math.min(chars, from + BLOCK_CHARS - (this.chars % BLOCK_CHARS));
      this.key = keyOf(from, to);
      this.chars += to - from;
      from = to;
      if (this.chars % BLOCK_CHARS === 0) this.ids.push(this.names.idOf(this.key));
    }
  }
}

/** Counts a session, with what an infinite cache that saw the file up to here holds of its prompts. */
export function countTextSession(session: RecordedSession, cache: FileCache, tally: Tally): void {
  const sum = { hitBlocks: 0, hitTokens: 0 };
  for (const { blocks, promptTokens } of session.calls) {
    const { hitBlocks, hitTokens } = cache.hits(blocks, promptTokens, session.blockTokens);
    sum.hitBlocks += hitBlocks;
    sum.hitTokens += hitTokens;
  }
  countSession(tally, session, sum);
}
