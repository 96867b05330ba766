// A call as every dialect can say it: the prompt, the wanted length, and which fields beyond the published API this
// server takes.
import type { WireApi, WireField } from '../../scenarios/formats/wire.ts';
import { ALL_FIELDS } from './servers.ts';

export type { WireApi, WireField };
/** Those that take messages. */
export type MessageApi = Extract<WireApi, 'chat' | 'responses' | 'messages'>;

/** A stretch of a message's text; `cache_control` marks the end of what is worth keeping (Anthropic's field). */
export interface TextPart {
  type: 'text';
  text: string;
  cache_control?: { type: 'ephemeral'; ttl: '5m' | '1h' };
}

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant';
  content: string | readonly TextPart[];
}

/** Messages, text for `completions`, token ids for `tokens`. */
export type WirePrompt =
  | { api: MessageApi; messages: readonly ChatMessage[] }
  | { api: 'completions'; text: string }
  | { api: 'tokens'; tokenIds: readonly number[] };
export type MessagePrompt = Extract<WirePrompt, { messages: unknown }>;
export type TextPrompt = Exclude<WirePrompt, MessagePrompt>;

export interface WireRequest<P extends WirePrompt = WirePrompt> {
  /** The model's name on the server. */
  model: string;
  prompt: P;
  /** Exactly this many tokens are wanted (at least 1), reasoning included; an upper bound where nothing can force it. */
  outputTokens: number;
  /** Of these, at the start. Only our emulator can be told; 0 elsewhere. */
  reasoningTokens: number;
  /** What the server takes; absent: every field. */
  takes?: readonly WireField[];
  /** Further fields of the body that this server takes. */
  fields?: Readonly<Record<string, unknown>>;
}

/** Whether a field may be sent. */
export const takes = ({ takes: given = ALL_FIELDS }: WireRequest, field: WireField): boolean =>
  given.includes(field);

/** What forces the length of an answer, of the fields that the server takes. */
export function forcedLength(request: WireRequest): Record<string, unknown> {
  const { outputTokens, reasoningTokens } = request;
  return {
    ...(takes(request, 'temperature') ? { temperature: 0 } : {}),
    ...(takes(request, 'min_tokens') ? { min_tokens: outputTokens } : {}),
    ...(takes(request, 'ignore_eos') ? { ignore_eos: true } : {}),
    ...(reasoningTokens > 0 && takes(request, 'windtunnel')
      ? { windtunnel: { reasoning_tokens: reasoningTokens } }
      : {}),
  };
}

/** What asks for usage in the stream. */
export function streamOptions(request: WireRequest): Record<string, unknown> {
  if (!takes(request, 'stream_options')) return {};
  const continuous = takes(request, 'continuous_usage') ? { continuous_usage_stats: true } : {};
  return { stream_options: { include_usage: true, ...continuous } };
}

/** The text of a message, its parts joined as they are. */
export const textOfMessage = ({ content }: ChatMessage): string =>
  typeof content === 'string' ? content : content.map(({ text }) => text).join(' ');
