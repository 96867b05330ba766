// Reads the body of a request, in whatever dialect, into what the cluster needs. Pure. Rule: one word is one token, no
// template; a token-array prompt is taken id by id.
import { runOfTokenId } from '../../engines/words.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';

/** Text to runs. */
export type Tokenize = (text: string) => Run[];

/** An answer with OpenAI's error object as its body. */
export interface HttpError {
  status: number;
  message: string;
  type: string;
  code: string;
  /** When to come back; absent or null: it does not say. */
  retryAfterMs?: number | null;
}

export type EmulatedApi = 'chat' | 'completions' | 'responses' | 'messages';

export interface EmulatedRequest {
  api: EmulatedApi;
  /** As the client named it. */
  model: string;
  prompt: Run[];
  /** Ids of a token-array prompt were given, so ids are what later prompts will send back. */
  isTokenArray: boolean;
  returnTokenIds: boolean;
  /** Exactly this many will be generated. */
  outputTokens: number;
  /** Of these, at the start. */
  reasoningTokens: number;
  /** As vLLM: lower goes first, where the pool schedules by it. */
  priority: number;
  stream: boolean;
  includeUsage: boolean;
  continuousUsage: boolean;
}

/** Generated when a request sets no limit. */
const DEFAULT_OUTPUT_TOKENS = 16;

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const badRequest = (message: string): HttpError => ({
  status: 400,
  message,
  type: 'BadRequestError',
  code: 'invalid_request',
});

export const modelNotFound = (message: string): HttpError => ({
  status: 404,
  message,
  type: 'NotFoundError',
  code: 'model_not_found',
});

/** The request, or the error to answer with. `reasoning_tokens` beyond the output are cut to it. */
export function readRequest(
  api: EmulatedApi,
  body: unknown,
  tokenize: Tokenize,
): EmulatedRequest | HttpError {
  if (!isObject(body)) return badRequest('the body is not a JSON object');
  const prompt = api === 'responses' ? readInput(body, tokenize) : readPrompt(body, tokenize);
  if (prompt === null) return badRequest(NO_PROMPT[api]);
  if (prompt.runs.length === 0) return badRequest('the prompt is empty');
  if (typeof body.model !== 'string') return badRequest('model is missing');
  if (body.n !== undefined && body.n !== null && body.n !== 1) return badRequest('only n = 1 is emulated');
  const limit = api === 'responses' ? 'max_output_tokens' : 'max_tokens';
  const outputTokens = body.max_completion_tokens ?? body[limit] ?? DEFAULT_OUTPUT_TOKENS;
  if (typeof outputTokens !== 'number' || !Number.isSafeInteger(outputTokens) || outputTokens < 1) {
    return badRequest(`${limit} must be a whole number from 1 on, got ${JSON.stringify(outputTokens)}`);
  }
  const options = isObject(body.stream_options) ? body.stream_options : {};
  const extension = isObject(body.windtunnel) ? body.windtunnel : {};
  const reasoning = typeof extension.reasoning_tokens === 'number' ? extension.reasoning_tokens : 0;
  return {
    api,
    model: body.model,
    prompt: prompt.runs,
    isTokenArray: prompt.isTokenArray,
    returnTokenIds: body.return_token_ids === true,
    outputTokens,
    reasoningTokens: Math.min(Math.max(0, Math.floor(reasoning)), outputTokens),
    priority: typeof body.priority === 'number' && Number.isFinite(body.priority) ? body.priority : 0,
    stream: body.stream === true,
    includeUsage: options.include_usage === true,
    continuousUsage: options.continuous_usage_stats === true,
  };
}

const NO_PROMPT: Readonly<Record<EmulatedApi, string>> = {
  chat: 'messages is missing or not text',
  completions: 'prompt is missing or not text or ids',
  responses: 'input is missing or not text',
  messages: 'messages is missing or not text',
};

interface ReadPrompt {
  runs: Run[];
  isTokenArray: boolean;
}

/** The prompt of a body with `messages`, behind its `system` where that stands apart, or with `prompt`; null: none. */
export function readPrompt(body: Json, tokenize: Tokenize): ReadPrompt | null {
  if (body.messages !== undefined) {
    if (!Array.isArray(body.messages)) return null;
    return ofMessages([{ content: body.system }, ...body.messages], tokenize);
  }
  // A list of one prompt is that prompt.
  const { prompt: given } = body;
  const prompt: unknown =
    Array.isArray(given) && given.length === 1 && typeof given[0] !== 'number' ? given[0] : given;
  if (typeof prompt === 'string') return { runs: tokenize(prompt), isTokenArray: false };
  if (!Array.isArray(prompt) || !prompt.every(id => Number.isSafeInteger(id) && id >= 0)) return null;
  return { runs: prompt.map(runOfTokenId), isTokenArray: true };
}

/** The prompt of a body with `input`: text, or messages; items of other kinds count for nothing. */
function readInput({ instructions, input }: Json, tokenize: Tokenize): ReadPrompt | null {
  const items: unknown = typeof input === 'string' ? [{ content: input }] : input;
  return Array.isArray(items) ? ofMessages([{ content: instructions }, ...items], tokenize) : null;
}

function ofMessages(messages: readonly unknown[], tokenize: Tokenize): ReadPrompt | null {
  const texts = messages.map(messageText);
  if (texts.some(text => text === null)) return null;
  return { runs: texts.flatMap(text => tokenize(text!)), isTokenArray: false };
}

/** The text of a message, its text parts joined; null when it has other parts. */
function messageText(message: unknown): string | null {
  if (!isObject(message)) return null;
  const { content } = message;
  if (typeof content === 'string') return content;
  if (content === null || content === undefined) return '';
  if (!Array.isArray(content)) return null;
  const texts = content.map(part => (isObject(part) && typeof part.text === 'string' ? part.text : null));
  return texts.includes(null) ? null : texts.join(' ');
}
