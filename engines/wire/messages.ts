// Anthropic Messages, as Anthropic, vLLM, SGLang and llama.cpp serve it. Its `input_tokens` are those that no cache had:
// here, as everywhere, the prompt is all of them.
import { apiKey } from './credentials.ts';
import { NO_DELTA, outputDelta, reasoningDelta, type StreamDelta, type Usage, unseenDelta } from './delta.ts';
import type { Dialect } from './dialect.ts';
import { errorOf } from './errors.ts';
import { countOf, isObject, type Json, parseJson, textOf } from './json.ts';
import { type ChatMessage, forcedLength, type MessagePrompt, type TextPart } from './request.ts';

export const messages: Dialect<MessagePrompt> = {
  path: '/messages',
  headers: { 'anthropic-version': '2023-06-01' },
  keyHeader: apiKey,
  body: request => {
    const { model, prompt, outputTokens, fields } = request;
    const [system, rest] = apart(prompt.messages);
    return JSON.stringify({
      model,
      stream: true,
      ...fields,
      ...(system.length === 0 ? {} : { system: systemOf(system) }),
      messages: dialogue(rest),
      max_tokens: outputTokens,
      ...forcedLength(request),
    });
  },
  reader: () => {
    const reader = new MessageReader();
    return data => reader.read(data);
  },
};

/** Instructions at the start stand apart from the messages; later ones stay where they are, for the prefix's sake. */
function apart(all: readonly ChatMessage[]): [system: ChatMessage[], rest: ChatMessage[]] {
  const first = all.findIndex(({ role }) => role !== 'system');
  const end = first === -1 ? all.length : first;
  return [all.slice(0, end), all.slice(end)];
}

const systemOf = (system: readonly ChatMessage[]): string | readonly TextPart[] =>
  system.length === 1 ? system[0]!.content : system.flatMap(partsOf);

const partsOf = ({ content }: ChatMessage): readonly TextPart[] =>
  typeof content === 'string' ? [{ type: 'text', text: content }] : content;

/** There is at least one, the first is the user's, and none is the system's. */
function dialogue(rest: readonly ChatMessage[]): readonly ChatMessage[] {
  const spoken = rest.map((each): ChatMessage => (each.role === 'system' ? { ...each, role: 'user' } : each));
  return spoken[0]?.role === 'user' ? spoken : [{ role: 'user', content: '.' }, ...spoken];
}

/** Anthropic's reasons to stop in OpenAI's words. */
const FINISH: Readonly<Record<string, string>> = {
  end_turn: 'stop',
  stop_sequence: 'stop',
  pause_turn: 'stop',
  max_tokens: 'length',
  model_context_window_exceeded: 'length',
  tool_use: 'tool_calls',
  refusal: 'content_filter',
};

/** The prompt is counted in the first event, the answer in one of the last. */
class MessageReader {
  private prompt: Pick<Usage, 'promptTokens' | 'cachedTokens'> | null = null;

  read(data: string): StreamDelta | null {
    const payload = parseJson(data);
    if (!isObject(payload)) return null;
    const { type, message, delta, content_block: block } = payload;
    switch (type) {
      case 'message_start':
        this.takePrompt(isObject(message) ? message.usage : null);
        return NO_DELTA;
      case 'content_block_delta':
        return isObject(delta) ? contentDelta(delta) : null;
      case 'content_block_start':
        // Reasoning that is not shown comes as a whole.
        return unseenDelta(isObject(block) && block.type === 'redacted_thinking');
      case 'message_delta':
        return this.ending(delta, payload.usage);
      case 'message_stop':
        return { ...NO_DELTA, done: true };
      case 'content_block_stop':
      case 'ping':
        return NO_DELTA;
      default: {
        const error = errorOf(payload);
        return error === null ? null : { ...NO_DELTA, error };
      }
    }
  }

  /** A usage that counts the prompt counts it whole: vLLM knows what was cached only at the end. */
  private takePrompt(usage: unknown): void {
    if (!isObject(usage)) return;
    const input = countOf(usage.input_tokens);
    if (input === null) return;
    const read = countOf(usage.cache_read_input_tokens);
    const written = countOf(usage.cache_creation_input_tokens) ?? 0;
    this.prompt = { promptTokens: input + (read ?? 0) + written, cachedTokens: read };
  }

  private ending(delta: unknown, usage: unknown): StreamDelta {
    this.takePrompt(usage);
    const reason = isObject(delta) ? textOf(delta.stop_reason) : '';
    const finishReason = reason === '' ? null : (FINISH[reason] ?? reason);
    const completionTokens = isObject(usage) ? countOf(usage.output_tokens) : null;
    const details = isObject(usage) ? usage.output_tokens_details : null;
    const reasoningTokens = isObject(details) ? countOf(details.thinking_tokens) : null;
    const { prompt } = this;
    if (prompt === null || completionTokens === null) return { ...NO_DELTA, finishReason };
    return { ...NO_DELTA, finishReason, usage: { ...prompt, completionTokens, reasoningTokens } };
  }
}

function contentDelta({ type, text, thinking, partial_json: json }: Json): StreamDelta {
  switch (type) {
    case 'text_delta':
      return outputDelta(textOf(text));
    case 'thinking_delta':
      return reasoningDelta(textOf(thinking));
    case 'input_json_delta':
      return unseenDelta(textOf(json) !== '');
    default:
      // A signature or a citation is none of the model's tokens.
      return unseenDelta(false);
  }
}
