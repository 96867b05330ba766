// A chunk of a chat or completions stream, as vLLM, SGLang, NIM, TensorRT-LLM, llama.cpp and OpenAI send it.
import { NO_DELTA, type StreamDelta, type Usage } from './delta.ts';
import { errorOf } from './errors.ts';
import { countOf, isObject, parseJson, textOf } from './json.ts';

/**
 * Reads one SSE data payload of a chat or completions stream. Null when it is not an object of that kind
 * (not JSON, or neither choices, usage nor error in it).
 */
export function parseStreamData(data: string): StreamDelta | null {
  if (data === '[DONE]') return { ...NO_DELTA, done: true };
  const payload = parseJson(data);
  if (!isObject(payload)) return null;
  const error = errorOf(payload);
  if (error !== null) return { ...NO_DELTA, error };
  const usage = usageOf(payload.usage);
  const choice: unknown = Array.isArray(payload.choices) ? payload.choices[0] : undefined;
  if (!isObject(choice)) {
    return usage !== null || Array.isArray(payload.choices) ? { ...NO_DELTA, usage } : null;
  }
  const finishReason = typeof choice.finish_reason === 'string' ? choice.finish_reason : null;
  const tokenIds = tokenIdsOf(choice.token_ids);
  const hasIds = tokenIds !== null && tokenIds.length > 0;
  const { delta } = choice;
  const isChat = isObject(delta);
  const reasoningText = isChat ? textOf(delta.reasoning_content) || textOf(delta.reasoning) : '';
  const outputText = isChat ? textOf(delta.content) || textOf(delta.refusal) : textOf(choice.text);
  const hasToolCall = isChat && Array.isArray(delta.tool_calls) && delta.tool_calls.length > 0;
  // Written out: this is made for every token.
  return {
    outputText,
    reasoningText,
    hasChoice: true,
    hasToken: reasoningText !== '' || outputText !== '' || hasToolCall || hasIds,
    finishReason,
    usage,
    tokenIds,
    error: null,
    done: false,
  };
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
