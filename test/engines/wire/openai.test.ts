import { describe, expect, test } from 'vitest';
import { parseStreamData } from '../../../engines/wire/chunk.ts';
import { dialectOf } from '../../../engines/wire/dialect.ts';
import { errorOfBody } from '../../../engines/wire/errors.ts';
import type { WireRequest } from '../../../engines/wire/request.ts';
import { PUBLISHED_FIELDS } from '../../../engines/wire/servers.ts';

const requestBody = (request: WireRequest): string => dialectOf(request.prompt.api).body(request);

const chat: WireRequest = {
  model: 'm',
  prompt: { api: 'chat', messages: [{ role: 'user', content: 'hi' }] },
  outputTokens: 7,
  reasoningTokens: 0,
};
const payload = (choice: object, more: object = {}) =>
  parseStreamData(
    JSON.stringify({ id: 'x', choices: [{ index: 0, finish_reason: null, ...choice }], ...more }),
  );
const usage = { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 };

describe('request bodies', () => {
  test('force the length and ask for usage on every chunk', () => {
    expect(JSON.parse(requestBody(chat))).toEqual({
      model: 'm',
      messages: [{ role: 'user', content: 'hi' }],
      stream: true,
      stream_options: { include_usage: true, continuous_usage_stats: true },
      temperature: 0,
      max_tokens: 7,
      min_tokens: 7,
      ignore_eos: true,
    });
  });

  test('tell only our emulator about reasoning, and only when there is some', () => {
    expect(JSON.parse(requestBody({ ...chat, reasoningTokens: 3 })).windtunnel).toEqual({
      reasoning_tokens: 3,
    });
  });

  test('hold nothing beyond the API of OpenAI where a server takes nothing else', () => {
    const body = JSON.parse(requestBody({ ...chat, takes: PUBLISHED_FIELDS, reasoningTokens: 3 }));
    expect(Object.keys(body).sort()).toEqual(
      ['max_completion_tokens', 'messages', 'model', 'stream', 'stream_options'].sort(),
    );
  });

  test('carry further fields of a server, which never replace those of the call', () => {
    const body = JSON.parse(requestBody({ ...chat, fields: { priority: -2, max_tokens: 1 } }));
    expect(body).toMatchObject({ priority: -2, max_tokens: 7 });
  });

  test('carry token ids as the prompt and ask for ids back', () => {
    const body = JSON.parse(requestBody({ ...chat, prompt: { api: 'tokens', tokenIds: [11, 12] } }));
    expect(body).toMatchObject({ prompt: [11, 12], return_token_ids: true });
  });
});

describe('stream payloads', () => {
  test('a role-only chunk is no token', () => {
    expect(payload({ delta: { role: 'assistant', content: '' } })).toMatchObject({
      hasToken: false,
      hasChoice: true,
    });
  });

  test.each(['reasoning_content', 'reasoning'])('%s is a token', field => {
    expect(payload({ delta: { [field]: 'hm' } })).toMatchObject({
      hasToken: true,
      reasoningText: 'hm',
      outputText: '',
    });
  });

  test('a tool call is a token without text', () => {
    const delta = { tool_calls: [{ index: 0, function: { arguments: '{' } }] };
    expect(payload({ delta })).toMatchObject({ hasToken: true, outputText: '' });
  });

  test('completions chunks carry text, and ids when asked for', () => {
    expect(payload({ text: ' a b', token_ids: [4, 5] })).toMatchObject({
      hasToken: true,
      outputText: ' a b',
      tokenIds: [4, 5],
    });
  });

  test('usage beside a choice is read with its details', () => {
    const details = {
      ...usage,
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 1 },
    };
    expect(payload({ delta: { content: 'a' } }, { usage: details })?.usage).toEqual({
      promptTokens: 5,
      completionTokens: 3,
      cachedTokens: 4,
      reasoningTokens: 1,
    });
    expect(payload({ delta: { content: 'a' } }, { usage: null })?.usage).toBeNull();
  });

  test('the usage-only payload is neither token nor choice', () => {
    const delta = parseStreamData(JSON.stringify({ choices: [], usage }));
    expect(delta).toMatchObject({ hasToken: false, hasChoice: false, usage: { cachedTokens: null } });
  });

  test('an error object is an error wherever it comes', () => {
    const error = { message: 'out of memory', type: 'InternalServerError', code: 500 };
    expect(parseStreamData(JSON.stringify({ error }))?.error).toEqual({
      code: '500',
      message: 'out of memory',
    });
    expect(errorOfBody(JSON.stringify({ object: 'error', message: 'm', code: 400 }))).toEqual({
      code: '400',
      message: 'm',
    });
    expect(errorOfBody('{"detail":"Not Found"}').message).toBe('Not Found');
    expect(errorOfBody('<html>Bad Gateway</html>').message).toBe('<html>Bad Gateway</html>');
  });

  test('[DONE] ends, and anything else that is no chunk is refused', () => {
    expect(parseStreamData('[DONE]')?.done).toBe(true);
    for (const data of ['', 'hello', '[]', '3', '{}', 'null']) expect(parseStreamData(data)).toBeNull();
  });
});
