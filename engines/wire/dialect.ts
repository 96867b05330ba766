// How a kind of API is spoken: where a call goes, what its body says, and how its stream is read. One file a dialect,
// one line in the registry below.
import { parseStreamData, requestBody, requestPath, type StreamDelta, type WireRequest } from '../openai.ts';

export type WireApi = 'chat' | 'completions' | 'tokens';

/** Reads the events of one call's stream in order; it may keep state. Null: not an event of this dialect. */
export type StreamReader = (data: string, event: string) => StreamDelta | null;

export interface Dialect {
  /** Below the base URL, which ends in /v1. */
  readonly path: string;
  /** Sent with every call, beside the key's. */
  readonly headers: Readonly<Record<string, string>>;
  /** The header that carries the key. */
  keyHeader(key: string): Readonly<Record<string, string>>;
  /** JSON. */
  body(request: WireRequest): string;
  /** A new one for each call. */
  reader(): StreamReader;
}

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

const openai = (api: 'chat' | 'completions' | 'tokens'): Dialect => ({
  path: requestPath(api),
  headers: {},
  keyHeader: bearer,
  body: requestBody,
  reader: () => parseStreamData,
});

const DIALECTS: Readonly<Record<WireApi, Dialect>> = {
  chat: openai('chat'),
  completions: openai('completions'),
  tokens: openai('tokens'),
};

export const dialectOf = (api: WireApi): Dialect => DIALECTS[api];
