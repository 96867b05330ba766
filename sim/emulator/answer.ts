// What an answer is made of, and what every dialect of it can write. Pure.
import type { EmulatedRequest, HttpError } from './request.ts';

/** Tokens by index. */
export interface Answer {
  id: string;
  /** Seconds since 1970. */
  createdUnixS: number;
  request: EmulatedRequest;
  promptTokens: number;
  words: readonly string[];
  /** Null when the request did not ask for ids. */
  tokenIds: readonly number[] | null;
}

/** Writes one answer in a dialect: server-sent events, in ASCII, or the body of an answer that is not streamed. */
export interface AnswerWriter {
  /** What stands before the first token. */
  begin(): string;
  /** Hot: tokens `from` (inclusive) to `to` (exclusive). */
  tokens(from: number, to: number): string;
  /** What stands behind the last one. */
  end(cachedTokens: number): string;
  /** The end of an answer that a filter broke off after so many tokens. */
  filtered(cachedTokens: number, outputTokens: number): string;
  /** Not streamed; `filteredAfter`: a filter broke it off after so many tokens. */
  whole(cachedTokens: number, filteredAfter?: number | null): string;
}

/** JSON in ASCII, so that it can be written as latin1. */
export const asciiJson = (value: unknown): string =>
  JSON.stringify(value).replace(
    /[\u0080-\uffff]/g,
    c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** An event with a type, as Anthropic and OpenAI's Responses send it. */
export const typedEvent = (type: string, fields: string): string =>
  `event: ${type}\ndata: {"type":"${type}"${fields}}\n\n`;

/** Words `from` to `to` of a text that begins with word `textFrom`. They need no escaping, which makes a chunk cheap. */
export function wordsText(words: readonly string[], from: number, to: number, textFrom: number): string {
  let text = '';
  for (let i = from; i < to; i++) text += i === textFrom ? words[i]! : ` ${words[i]!}`;
  return text;
}

/** The body of a refusal, or of an error inside a stream. */
export function errorJson(api: EmulatedRequest['api'], { message, type, code }: HttpError): string {
  return api === 'messages'
    ? asciiJson({ type: 'error', error: { type, message } })
    : asciiJson({ error: { message, type, param: null, code } });
}
