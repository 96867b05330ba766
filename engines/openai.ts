// The OpenAI wire dialect as vLLM, NIM, SGLang and others speak it: request bodies, and one SSE payload read into
// what a measurement needs. Pure. Rule: a role-only chunk is no token, reasoning is one, an error in a 200 is an error.

export type OpenaiApi = 'chat' | 'completions' | 'tokens';

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

/** Messages for `chat`, text for `completions`, token ids for `tokens`. */
export type WirePrompt =
  | { api: 'chat'; messages: readonly ChatMessage[] }
  | { api: 'completions'; text: string }
  | { api: 'tokens'; tokenIds: readonly number[] };

export interface WireRequest {
  /** The model's name on the server. */
  model: string;
  prompt: WirePrompt;
  /** Exactly this many tokens are wanted (at least 1), reasoning included. */
  outputTokens: number;
  /** Of these, at the start. Only our emulator can be told; 0 elsewhere. */
  reasoningTokens: number;
  /** Only fields of OpenAI's own API: for providers that refuse unknown ones. Lengths are then an upper bound. */
  strict: boolean;
  /** Further fields of the body that this server takes. */
  fields?: Readonly<Record<string, unknown>>;
}

/** Path below the base URL, which ends in /v1. */
export const requestPath = (api: OpenaiApi): string =>
  api === 'chat' ? '/chat/completions' : '/completions';

/** The JSON body of a streamed call with a forced output length. */
export function requestBody(request: WireRequest): string {
  const { model, prompt, outputTokens, reasoningTokens, strict, fields } = request;
  const body: Record<string, unknown> = { model, stream: true, ...fields };
  if (prompt.api === 'chat') body.messages = prompt.messages;
  else if (prompt.api === 'completions') body.prompt = prompt.text;
  else body.prompt = prompt.tokenIds;
  body.stream_options = strict
    ? { include_usage: true }
    : { include_usage: true, continuous_usage_stats: true };
  if (strict) {
    body[prompt.api === 'chat' ? 'max_completion_tokens' : 'max_tokens'] = outputTokens;
    return JSON.stringify(body);
  }
  body.temperature = 0;
  body.max_tokens = outputTokens;
  body.min_tokens = outputTokens;
  body.ignore_eos = true;
  if (prompt.api === 'tokens') body.return_token_ids = true;
  if (reasoningTokens > 0) body.windtunnel = { reasoning_tokens: reasoningTokens };
  return JSON.stringify(body);
}

export interface Usage {
  promptTokens: number;
  completionTokens: number;
  cachedTokens: number | null;
  reasoningTokens: number | null;
}

/** One SSE payload of a stream, as far as it matters for measuring. */
export interface StreamDelta {
  /** Answer text in it, '' when none. */
  outputText: string;
  /** Reasoning text in it (`reasoning_content` or `reasoning`), '' when none. */
  reasoningText: string;
  /** It belongs to a choice: not the last, usage-only payload. */
  hasChoice: boolean;
  /** At least one generated token is in it (text, reasoning, a tool call or token ids). */
  hasToken: boolean;
  finishReason: string | null;
  /** Totals so far (continuous usage) or of the whole call. */
  usage: Usage | null;
  tokenIds: number[] | null;
  error: StreamError | null;
  /** The `[DONE]` mark. */
  done: boolean;
}

export interface StreamError {
  /** The server's code or type as text, '' when it gave none. */
  code: string;
  message: string;
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const countOf = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null;

const EMPTY: StreamDelta = {
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

/**
 * Reads one SSE data payload of a chat or completions stream. Null when it is not an object of that kind
 * (not JSON, or neither choices, usage nor error in it).
 */
export function parseStreamData(data: string): StreamDelta | null {
  if (data === '[DONE]') return { ...EMPTY, done: true };
  const payload = parseJson(data);
  if (!isObject(payload)) return null;
  const error = errorOf(payload);
  if (error !== null) return { ...EMPTY, error };
  const usage = usageOf(payload.usage);
  const choice: unknown = Array.isArray(payload.choices) ? payload.choices[0] : undefined;
  if (!isObject(choice)) {
    return usage !== null || Array.isArray(payload.choices) ? { ...EMPTY, usage } : null;
  }
  const finishReason = typeof choice.finish_reason === 'string' ? choice.finish_reason : null;
  const tokenIds = tokenIdsOf(choice.token_ids);
  const base = { ...EMPTY, hasChoice: true, finishReason, usage, tokenIds };
  const hasIds = tokenIds !== null && tokenIds.length > 0;
  if (!isObject(choice.delta)) {
    const outputText = textOf(choice.text);
    return { ...base, outputText, hasToken: outputText !== '' || hasIds };
  }
  const delta = choice.delta;
  const reasoningText = textOf(delta.reasoning_content) || textOf(delta.reasoning);
  const outputText = textOf(delta.content) || textOf(delta.refusal);
  const hasToolCall = Array.isArray(delta.tool_calls) && delta.tool_calls.length > 0;
  const hasToken = reasoningText !== '' || outputText !== '' || hasToolCall || hasIds;
  return { ...base, outputText, reasoningText, hasToken };
}

/** The error of a JSON body or payload: OpenAI's `error` object, vLLM's older flat form, or FastAPI's `detail`. */
export function errorOf(payload: unknown): StreamError | null {
  if (!isObject(payload)) return null;
  const { error } = payload;
  if (isObject(error)) {
    return { code: String(error.code ?? error.type ?? ''), message: textOf(error.message) };
  }
  if (typeof error === 'string') return { code: '', message: error };
  if (payload.object === 'error') {
    return { code: String(payload.code ?? payload.type ?? ''), message: textOf(payload.message) };
  }
  if (payload.detail !== undefined && payload.choices === undefined) {
    const { detail } = payload;
    return { code: '', message: typeof detail === 'string' ? detail : JSON.stringify(detail) };
  }
  return null;
}

/** The error in a failed response's body; the text itself, shortened, when it is not JSON. */
export function errorOfBody(body: string): StreamError {
  return errorOf(parseJson(body)) ?? { code: '', message: body.trim().slice(0, 500) };
}

/** What servers say of a prompt that does not fit: OpenAI's code, else the words of vLLM, SGLang, TGI and Anthropic. */
const TOO_LONG =
  /context_length_exceeded|(maximum|max) (context|model|sequence) length|context window|longer than the model|prompt is too long|must be <= \d+/i;
/** OpenAI `content_policy_violation`, Azure `content_filter` and ResponsibleAIPolicyViolation. */
const NOT_ALLOWED =
  /content_policy_violation|content_filter|ResponsibleAIPolicyViolation|content management policy/i;

/**
 * The reason behind a 400 that is about the prompt itself, so that other models may be asked: `too_long`,
 * `content_policy`; null: it is about something else.
 */
export function promptRefusal({ code, message }: StreamError): 'too_long' | 'content_policy' | null {
  const said = `${code} ${message}`;
  if (NOT_ALLOWED.test(said)) return 'content_policy';
  return TOO_LONG.test(said) ? 'too_long' : null;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function usageOf(usage: unknown): Usage | null {
  if (!isObject(usage)) return null;
  const promptTokens = countOf(usage.prompt_tokens);
  const completionTokens = countOf(usage.completion_tokens);
  if (promptTokens === null || completionTokens === null) return null;
  const prompt = usage.prompt_tokens_details;
  const completion = usage.completion_tokens_details;
  return {
    promptTokens,
    completionTokens,
    cachedTokens: isObject(prompt) ? countOf(prompt.cached_tokens) : null,
    reasoningTokens: isObject(completion)
      ? countOf(completion.reasoning_tokens)
      : countOf(usage.reasoning_tokens),
  };
}

function tokenIdsOf(ids: unknown): number[] | null {
  return Array.isArray(ids) && ids.every(id => typeof id === 'number') ? ids : null;
}

/** What a live view or a calibration reads from /metrics. */
export type EngineMetric =
  | 'ttftSeconds'
  | 'itlSeconds'
  | 'e2eSeconds'
  | 'queueSeconds'
  | 'prefillSeconds'
  | 'decodeSeconds'
  | 'runningRequests'
  | 'waitingRequests'
  | 'kvUsedRatio'
  | 'prefixQueriesTokens'
  | 'prefixHitsTokens'
  | 'preemptions'
  | 'promptTokens'
  | 'generationTokens'
  | 'requestsFinished'
  | 'cacheConfig';

/**
 * vLLM's metric names, newest first; the first that a server exposes is meant. Older releases had other names, and
 * counters stood without `_total`.
 */
export const VLLM_METRICS: Readonly<Record<EngineMetric, readonly string[]>> = {
  ttftSeconds: ['vllm:time_to_first_token_seconds'],
  itlSeconds: ['vllm:inter_token_latency_seconds', 'vllm:time_per_output_token_seconds'],
  e2eSeconds: ['vllm:e2e_request_latency_seconds'],
  queueSeconds: ['vllm:request_queue_time_seconds'],
  prefillSeconds: ['vllm:request_prefill_time_seconds'],
  decodeSeconds: ['vllm:request_decode_time_seconds'],
  runningRequests: ['vllm:num_requests_running'],
  waitingRequests: ['vllm:num_requests_waiting'],
  kvUsedRatio: ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'],
  prefixQueriesTokens: [
    'vllm:prefix_cache_queries_total',
    'vllm:prefix_cache_queries',
    'vllm:gpu_prefix_cache_queries_total',
    'vllm:gpu_prefix_cache_queries',
  ],
  prefixHitsTokens: [
    'vllm:prefix_cache_hits_total',
    'vllm:prefix_cache_hits',
    'vllm:gpu_prefix_cache_hits_total',
    'vllm:gpu_prefix_cache_hits',
  ],
  preemptions: ['vllm:num_preemptions_total', 'vllm:num_preemptions'],
  promptTokens: ['vllm:prompt_tokens_total', 'vllm:prompt_tokens'],
  generationTokens: ['vllm:generation_tokens_total', 'vllm:generation_tokens'],
  requestsFinished: ['vllm:request_success_total', 'vllm:request_success'],
  cacheConfig: ['vllm:cache_config_info'],
};
