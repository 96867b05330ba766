// Streams read as a client reads them: recorded from vLLM 0.32 (a random model, four tokens each), and as Anthropic and
// OpenAI document theirs.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { StreamDelta } from '../../../engines/wire/delta.ts';
import { dialectOf, type WireApi } from '../../../engines/wire/dialect.ts';
import { StreamMeter } from '../../../loadgen/measure.ts';
import { SseParser } from '../../../loadgen/sse.ts';

const FIXTURES = join(import.meta.dirname, '..', '..', 'fixtures', 'wire');

/** The deltas of a stream, with one reader for all of it. */
function deltasOf(api: WireApi, events: readonly { event?: string; data: string }[]): (StreamDelta | null)[] {
  const read = dialectOf(api).reader();
  return events.map(({ data, event = 'message' }) => read(data, event));
}

function recorded(name: string): { event: string; data: string }[] {
  const text = readFileSync(join(FIXTURES, name));
  const events: { event: string; data: string }[] = [];
  const parser = new SseParser((...args: unknown[]) => {
    const [first, second] = args;
    events.push(
      typeof first === 'object'
        ? (first as { event: string; data: string })
        : { event: String(first), data: String(second) },
    );
  });
  parser.push(text);
  parser.end();
  return events;
}

/** What a measurement has of it, a read an event and 10 ms apart. */
function measured(deltas: readonly (StreamDelta | null)[]): StreamMeter {
  const meter = new StreamMeter();
  for (const [index, delta] of deltas.entries()) {
    expect(delta).not.toBeNull();
    meter.take(delta!, index * 10);
  }
  return meter;
}

const json = (...payloads: object[]) => payloads.map(payload => ({ data: JSON.stringify(payload) }));

describe('recorded from vLLM 0.32', () => {
  test.each([
    ['chat', 'vllm-0.32-chat.sse', 26],
    ['tokens', 'vllm-0.32-tokens.sse', 5],
    ['responses', 'vllm-0.32-responses.sse', 26],
    ['messages', 'vllm-0.32-messages.sse', 26],
  ] as const)(
    '%s: four tokens, the prompt counted, the limit reached, and an end',
    (api, file, promptTokens) => {
      const meter = measured(deltasOf(api, recorded(file)));
      expect(meter.outputTokens).toBe(4);
      expect(meter.usage?.promptTokens).toBe(promptTokens);
      expect(meter.finishReason).toBe('length');
      expect(meter.done).toBe(true);
      expect(meter.reasoningTokens).toBe(0);
      expect(meter.outputText).toBe(api === 'tokens' ? ' dv. dv.' : 'xz:xz:');
    },
  );

  test('the first token of no dialect comes before text', () => {
    for (const api of ['chat', 'responses', 'messages'] as const) {
      const deltas = deltasOf(api, recorded(`vllm-0.32-${api}.sse`));
      const first = deltas.findIndex(delta => delta?.hasToken === true);
      expect(first).toBeGreaterThan(0);
      expect(deltas[first]?.outputText).toBe('xz');
    }
  });
});

describe('Anthropic messages', () => {
  const start = (usage: object) => ({
    type: 'message_start',
    message: { id: 'm', role: 'assistant', usage },
  });
  const delta = (delta: object) => ({ type: 'content_block_delta', index: 0, delta });

  test('the prompt is what was new, read from a cache and written to it; thinking comes first', () => {
    const meter = measured(
      deltasOf(
        'messages',
        json(
          start({
            input_tokens: 7,
            cache_read_input_tokens: 1000,
            cache_creation_input_tokens: 30,
            output_tokens: 1,
          }),
          { type: 'content_block_start', index: 0, content_block: { type: 'thinking', thinking: '' } },
          { type: 'ping' },
          delta({ type: 'thinking_delta', thinking: 'Let me' }),
          delta({ type: 'signature_delta', signature: 'EqQB' }),
          { type: 'content_block_stop', index: 0 },
          { type: 'content_block_start', index: 1, content_block: { type: 'text', text: '' } },
          delta({ type: 'text_delta', text: 'Hello' }),
          { type: 'content_block_stop', index: 1 },
          {
            type: 'message_delta',
            delta: { stop_reason: 'end_turn' },
            usage: { output_tokens: 15, output_tokens_details: { thinking_tokens: 9 } },
          },
          { type: 'message_stop' },
        ),
      ),
    );
    expect(meter.usage).toEqual({
      promptTokens: 1037,
      cachedTokens: 1000,
      completionTokens: 15,
      reasoningTokens: 9,
    });
    // The fourth event is the first with a token: neither a ping nor the start of a block is one.
    expect(meter.firstTokenMs).toBe(30);
    expect(meter).toMatchObject({
      reasoningText: 'Let me',
      outputText: 'Hello',
      finishReason: 'stop',
      done: true,
    });
  });

  test('a prompt counted again at the end, as vLLM does, is not counted twice', () => {
    const { usage } = measured(
      deltasOf(
        'messages',
        json(start({ input_tokens: 26, output_tokens: 0 }), delta({ type: 'text_delta', text: 'x' }), {
          type: 'message_delta',
          delta: { stop_reason: 'max_tokens' },
          usage: { input_tokens: 10, cache_read_input_tokens: 16, output_tokens: 1 },
        }),
      ),
    );
    expect(usage).toMatchObject({ promptTokens: 26, cachedTokens: 16, completionTokens: 1 });
  });

  test('arguments of a tool and thinking that is not shown are tokens without text', () => {
    const deltas = deltasOf(
      'messages',
      json(
        { type: 'content_block_start', index: 0, content_block: { type: 'redacted_thinking', data: 'x' } },
        delta({ type: 'input_json_delta', partial_json: '{"a"' }),
        delta({ type: 'input_json_delta', partial_json: '' }),
      ),
    );
    expect(deltas.map(each => each?.hasToken)).toEqual([true, true, false]);
    expect(deltas.map(each => each?.outputText)).toEqual(['', '', '']);
  });

  test('an error in the stream, and reasons to stop in the words of OpenAI', () => {
    const error = { type: 'overloaded_error', message: 'Overloaded' };
    expect(deltasOf('messages', json({ type: 'error', error }))[0]?.error).toEqual({
      code: 'overloaded_error',
      message: 'Overloaded',
    });
    const reasons = { tool_use: 'tool_calls', refusal: 'content_filter', max_tokens: 'length' };
    for (const [stop_reason, finishReason] of Object.entries(reasons))
      expect(deltasOf('messages', json({ type: 'message_delta', delta: { stop_reason } }))[0]).toMatchObject({
        finishReason,
      });
  });
});

describe('OpenAI responses', () => {
  const completed = (response: object, type = 'response.completed') => ({ type, response });

  test('reasoning, its summary, refusals and arguments are tokens; events around them are not', () => {
    const deltas = deltasOf(
      'responses',
      json(
        { type: 'response.created', response: { usage: null } },
        { type: 'response.reasoning_text.delta', delta: 'hm' },
        { type: 'response.reasoning_summary_text.delta', delta: 'so' },
        { type: 'response.output_text.delta', delta: 'yes' },
        { type: 'response.refusal.delta', delta: 'no' },
        { type: 'response.function_call_arguments.delta', delta: '{' },
        { type: 'response.output_text.done', text: 'yes' },
      ),
    );
    expect(deltas.map(each => each?.hasToken)).toEqual([false, true, true, true, true, true, false]);
    expect(deltas.map(each => each?.reasoningText).join('')).toBe('hmso');
    expect(deltas.map(each => each?.outputText).join('')).toBe('yesno');
  });

  test('the last event has the usage, what was cached and what was reasoned included', () => {
    const usage = {
      input_tokens: 90,
      input_tokens_details: { cached_tokens: 64 },
      output_tokens: 40,
      output_tokens_details: { reasoning_tokens: 30 },
      total_tokens: 130,
    };
    expect(deltasOf('responses', json(completed({ status: 'completed', usage })))[0]).toMatchObject({
      usage: { promptTokens: 90, cachedTokens: 64, completionTokens: 40, reasoningTokens: 30 },
      finishReason: 'stop',
      done: true,
    });
  });

  test('an incomplete response says why, whatever its event is called', () => {
    const incomplete = (reason: string) => ({ status: 'incomplete', incomplete_details: { reason } });
    const ends = deltasOf(
      'responses',
      json(
        completed(incomplete('max_output_tokens'), 'response.incomplete'),
        completed(incomplete('max_output_tokens')),
        completed(incomplete('content_filter'), 'response.incomplete'),
      ),
    );
    expect(ends.map(each => each?.finishReason)).toEqual(['length', 'length', 'content_filter']);
    expect(ends.every(each => each?.done)).toBe(true);
  });

  test('a failed response and an error are errors', () => {
    const error = { code: 'server_error', message: 'it broke' };
    const deltas = deltasOf(
      'responses',
      json(
        completed({ status: 'failed', error }, 'response.failed'),
        { type: 'error', ...error, param: null },
        { error },
      ),
    );
    expect(deltas.map(each => each?.error)).toEqual([error, error, error]);
  });
});

test('what is no event of a dialect is refused by it', () => {
  for (const api of ['responses', 'messages'] as const) {
    const [first, ...rest] = deltasOf(api, [
      { data: 'hello' },
      { data: '{}' },
      { data: '[]' },
      { data: '{"x":1}' },
    ]);
    expect([first, ...rest]).toEqual([null, null, null, null]);
  }
});
