// OpenAI Responses: typed events, of which the deltas hold tokens and the last one the usage. There is no [DONE].
import { bearer } from './credentials.ts';
import { NO_DELTA, outputDelta, reasoningDelta, type StreamDelta, type Usage, unseenDelta } from './delta.ts';
import type { Dialect } from './dialect.ts';
import { errorOf } from './errors.ts';
import { countOf, isObject, type Json, parseJson, textOf } from './json.ts';
import { forcedLength, type MessagePrompt, textOfMessage } from './request.ts';

export const responses: Dialect<MessagePrompt> = {
  path: '/responses',
  headers: {},
  keyHeader: bearer,
  body: request => {
    const { model, prompt, outputTokens, fields } = request;
    return JSON.stringify({
      model,
      stream: true,
      // Nothing of a load test is to be kept.
      store: false,
      ...fields,
      input: prompt.messages.map(message => ({ role: message.role, content: textOfMessage(message) })),
      max_output_tokens: outputTokens,
      ...forcedLength(request),
    });
  },
  reader: () => readEvent,
};

/** One event, told by the `type` in it. Null: it has none, and is no error. */
function readEvent(data: string): StreamDelta | null {
  if (data === '[DONE]') return { ...NO_DELTA, done: true };
  const payload = parseJson(data);
  if (!isObject(payload)) return null;
  const type = textOf(payload.type);
  switch (type) {
    case 'response.output_text.delta':
    case 'response.refusal.delta':
      return outputDelta(textOf(payload.delta));
    case 'response.reasoning_text.delta':
    case 'response.reasoning_summary_text.delta':
      return reasoningDelta(textOf(payload.delta));
    case 'response.completed':
    case 'response.incomplete':
      return endOf(isObject(payload.response) ? payload.response : {});
    case 'response.failed':
      return { ...NO_DELTA, error: failureOf(payload.response) };
    case 'error':
      return { ...NO_DELTA, error: errorOf(payload) ?? flatError(payload) };
    default:
      break;
  }
  // Arguments of functions, input of tools, code: generated as well.
  if (/^response\..*\.delta$/.test(type)) return unseenDelta(textOf(payload.delta) !== '');
  if (type.startsWith('response.')) return NO_DELTA;
  const error = errorOf(payload);
  return error === null ? null : { ...NO_DELTA, error };
}

/** vLLM ends a response that reached its limit with `response.completed` too: its status tells. */
function endOf({ status, incomplete_details: details, usage }: Json): StreamDelta {
  const reason = isObject(details) ? textOf(details.reason) : '';
  const isWhole = status !== 'incomplete' && reason === '';
  const finishReason = isWhole ? 'stop' : reason === 'content_filter' ? 'content_filter' : 'length';
  return { ...NO_DELTA, finishReason, usage: usageOf(usage), done: true };
}

const flatError = ({ code, message }: Json) => ({ code: String(code ?? ''), message: textOf(message) });

function failureOf(response: unknown) {
  const error = errorOf(response);
  return error ?? { code: '', message: 'the response failed, without a reason' };
}

function usageOf(usage: unknown): Usage | null {
  if (!isObject(usage)) return null;
  const promptTokens = countOf(usage.input_tokens);
  const completionTokens = countOf(usage.output_tokens);
  if (promptTokens === null || completionTokens === null) return null;
  const input = usage.input_tokens_details;
  const output = usage.output_tokens_details;
  return {
    promptTokens,
    completionTokens,
    cachedTokens: isObject(input) ? countOf(input.cached_tokens) : null,
    reasoningTokens: isObject(output) ? countOf(output.reasoning_tokens) : null,
  };
}
