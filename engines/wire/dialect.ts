// How a kind of API is spoken: where a call goes, what its body says, and how its stream is read. One file a dialect,
// one line in the registry below.
import { chat } from './chat.ts';
import { completions } from './completions.ts';
import type { StreamReader } from './delta.ts';
import { messages } from './messages.ts';
import type { WireApi, WirePrompt, WireRequest } from './request.ts';
import { responses } from './responses.ts';

export type { StreamReader, WireApi };

export interface Dialect<P extends WirePrompt = WirePrompt> {
  /** Below the base URL, which ends in /v1. */
  readonly path: string;
  /** Sent with every call, beside the key's. */
  readonly headers: Readonly<Record<string, string>>;
  /** The header that carries the key. */
  keyHeader(key: string): Readonly<Record<string, string>>;
  /** JSON of a streamed call. */
  body(request: WireRequest<P>): string;
  /** A new one for each call. */
  reader(): StreamReader;
}

const DIALECTS: Readonly<Record<WireApi, Dialect>> = {
  chat,
  completions,
  tokens: completions,
  responses,
  messages,
};

export const dialectOf = (api: WireApi): Dialect => DIALECTS[api];
