// What one event of a stream means for a measurement, whatever the dialect. Rule: a role alone is no token, reasoning is
// one, an error in a 200 is an error.
import type { StreamError } from './errors.ts';

/** Of a call, prompt tokens found in a cache included. */
export interface Usage {
  promptTokens: number;
  completionTokens: number;
  /** Of the prompt; null: the server does not say. */
  cachedTokens: number | null;
  /** Of the completion. */
  reasoningTokens: number | null;
}

export interface StreamDelta {
  /** Answer text in it, '' when none. */
  outputText: string;
  /** Reasoning text in it, '' when none. */
  reasoningText: string;
  /** It belongs to the answer: not an event around it, such as a last one with usage only. */
  hasChoice: boolean;
  /** At least one generated token is in it (text, reasoning, a tool call or token ids). */
  hasToken: boolean;
  /** In OpenAI's words: stop, length, tool_calls, content_filter. */
  finishReason: string | null;
  /** Totals so far (continuous usage) or of the whole call. */
  usage: Usage | null;
  tokenIds: number[] | null;
  error: StreamError | null;
  /** Nothing more will come. */
  done: boolean;
}

/** Reads the events of one call's stream in order; it may keep state. Null: not an event of this dialect. */
export type StreamReader = (data: string, event: string) => StreamDelta | null;

/** An event that says nothing to a measurement. */
export const NO_DELTA: Readonly<StreamDelta> = {
  outputText: '',
  reasoningText: '',
  hasChoice: false,
  hasToken: false,
  finishReason: null,
  usage: null,
  tokenIds: null,
  error: null,
  done: false,
};

export const outputDelta = (text: string): StreamDelta => ({
  ...NO_DELTA,
  outputText: text,
  hasChoice: true,
  hasToken: text !== '',
});

export const reasoningDelta = (text: string): StreamDelta => ({
  ...NO_DELTA,
  reasoningText: text,
  hasChoice: true,
  hasToken: text !== '',
});

/** Of a tool call, or of reasoning that is not shown. */
export const unseenDelta = (hasToken: boolean): StreamDelta => ({ ...NO_DELTA, hasChoice: true, hasToken });
