// What goes out in each dialect, to each kind of server.
import { describe, expect, test } from 'vitest';
import { missingVariables, secretHeaders, takenBy } from '../../../engines/endpoint.ts';
import { dialectOf, type WireApi } from '../../../engines/wire/dialect.ts';
import type { ChatMessage, WirePrompt, WireRequest } from '../../../engines/wire/request.ts';
import { fieldsOf, serverOf } from '../../../engines/wire/servers.ts';
import { SERVER_KINDS } from '../../../scenarios/formats/wire.ts';

const MARK = { type: 'ephemeral', ttl: '5m' } as const;
const messages: ChatMessage[] = [
  {
    role: 'system',
    content: [
      { type: 'text', text: 'be brief', cache_control: MARK },
      { type: 'text', text: 'now' },
    ],
  },
  { role: 'user', content: 'hi' },
  { role: 'assistant', content: 'yes' },
  { role: 'user', content: 'more' },
];
const prompts: Record<WireApi, WirePrompt> = {
  chat: { api: 'chat', messages },
  responses: { api: 'responses', messages },
  messages: { api: 'messages', messages },
  completions: { api: 'completions', text: 'hi' },
  tokens: { api: 'tokens', tokenIds: [1, 2] },
};
const body = (api: WireApi, fields: Partial<WireRequest> = {}): Record<string, unknown> =>
  JSON.parse(
    dialectOf(api).body({ model: 'm', prompt: prompts[api], outputTokens: 7, reasoningTokens: 2, ...fields }),
  );

describe('bodies', () => {
  test('of responses: input, the limit as max_output_tokens, and nothing kept', () => {
    expect(body('responses', { takes: ['ignore_eos'] })).toEqual({
      model: 'm',
      stream: true,
      store: false,
      input: [
        { role: 'system', content: 'be brief now' },
        { role: 'user', content: 'hi' },
        { role: 'assistant', content: 'yes' },
        { role: 'user', content: 'more' },
      ],
      max_output_tokens: 7,
      ignore_eos: true,
    });
  });

  test('of messages: the system apart, with its marks', () => {
    expect(body('messages', { takes: [] })).toEqual({
      model: 'm',
      stream: true,
      system: messages[0]!.content,
      messages: messages.slice(1),
      max_tokens: 7,
    });
  });

  test('of messages: instructions between messages stay there, and the user is first', () => {
    const later: ChatMessage[] = [
      { role: 'assistant', content: 'a' },
      { role: 'system', content: 'b' },
    ];
    const sent = body('messages', { prompt: { api: 'messages', messages: later }, takes: [] });
    expect(sent).not.toHaveProperty('system');
    expect(sent.messages).toEqual([
      { role: 'user', content: '.' },
      { role: 'assistant', content: 'a' },
      { role: 'user', content: 'b' },
    ]);
  });

  test('hold no field beyond the published API where a server takes none', () => {
    const published: Record<WireApi, string[]> = {
      chat: ['model', 'stream', 'messages', 'max_completion_tokens', 'stream_options'],
      completions: ['model', 'stream', 'prompt', 'max_tokens', 'stream_options'],
      tokens: ['model', 'stream', 'prompt', 'max_tokens', 'stream_options'],
      responses: ['model', 'stream', 'store', 'input', 'max_output_tokens'],
      messages: ['model', 'stream', 'system', 'messages', 'max_tokens'],
    };
    for (const api of Object.keys(published) as WireApi[]) {
      const sent = body(api, { takes: fieldsOf('hosted') });
      expect(Object.keys(sent).sort()).toEqual(published[api].toSorted());
      if (sent.stream_options !== undefined) expect(sent.stream_options).toEqual({ include_usage: true });
    }
  });

  test.each(SERVER_KINDS)('%s is sent what it takes, and nothing else', kind => {
    const sent = body('tokens', { takes: fieldsOf(kind) });
    const takes = new Set<string>(fieldsOf(kind));
    for (const field of ['min_tokens', 'ignore_eos', 'return_token_ids', 'temperature', 'windtunnel'])
      expect([field, field in sent]).toEqual([field, takes.has(field)]);
    const options = sent.stream_options as Record<string, unknown>;
    expect('continuous_usage_stats' in options).toBe(takes.has('continuous_usage'));
  });
});

test('a server says whose it is in its list of models', () => {
  const models = (owned_by: string) => ({ object: 'list', data: [{ id: 'm', owned_by }] });
  expect(
    ['vllm', 'sglang', 'tensorrt_llm', 'llamacpp', 'windtunnel', 'openai'].map(by => serverOf(models(by))),
  ).toEqual(['vllm', 'sglang', 'tensorrt-llm', 'llama.cpp', 'windtunnel', null]);
  expect([undefined, {}, { data: [] }, { data: 'x' }].map(serverOf)).toEqual([null, null, null, null]);
});

describe('what a request to an endpoint carries', () => {
  const endpoint = (api: WireApi, kind: (typeof SERVER_KINDS)[number]) => ({
    api,
    keyEnv: 'KEY',
    headersEnv: { 'X-Team': 'TEAM' },
    server: { kind, isGuess: false },
  });
  const environment = { KEY: 'sesame', TEAM: 'red' };

  test("is its key in the dialect's way, and the headers of its variables", () => {
    expect(secretHeaders(endpoint('responses', 'hosted'), environment)).toEqual({
      authorization: 'Bearer sesame',
      'x-team': 'red',
    });
    expect(secretHeaders(endpoint('messages', 'hosted'), environment)).toEqual({
      'x-api-key': 'sesame',
      'x-team': 'red',
    });
    // vLLM looks for a bearer whatever the dialect.
    expect(secretHeaders(endpoint('messages', 'vllm'), environment)).toMatchObject({
      'x-api-key': 'sesame',
      authorization: 'Bearer sesame',
    });
  });

  test('is less where a variable is not set, and missing ones are named', () => {
    expect(secretHeaders(endpoint('chat', 'vllm'), { TEAM: '' })).toEqual({});
    expect(missingVariables(endpoint('chat', 'vllm'), { TEAM: '' })).toEqual(['KEY', 'TEAM']);
    expect(missingVariables(endpoint('chat', 'vllm'), environment)).toEqual([]);
  });

  test('has the fields of its server, or those that the file says', () => {
    const server = { kind: 'hosted', isGuess: false } as const;
    expect(takenBy({ server, takes: null })).toEqual(['stream_options']);
    expect(takenBy({ server, takes: ['max_tokens'] })).toEqual(['max_tokens']);
  });
});
