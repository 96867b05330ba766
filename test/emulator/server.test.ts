// The emulator over real sockets, driven by our own client: with a cluster of constant rate, and with the reference.
import { afterEach, describe, expect, test } from 'vitest';
import type { WirePrompt, WireRequest } from '../../engines/wire/request.ts';
import { splitWords, wordsOfRuns } from '../../engines/words.ts';
import { type CallResult, createClient } from '../../loadgen/client.ts';
import { startClock } from '../../loadgen/clock.ts';
import { PromptWriter } from '../../loadgen/prompts.ts';
import { textKey } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';
import type { Cluster } from '../../sim/cluster.ts';
import { type Emulator, startEmulator } from '../../sim/emulator/server.ts';
import { createCluster } from '../../sim/reference/cluster.ts';
import { affineStep } from '../builders/steps.ts';
import { deployment, limits, pool } from '../sim/reference/build.ts';
import { ConstantCluster } from './constant-cluster.ts';

const clock = startClock();
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function emulate(cluster: Cluster, speed = 1): Promise<Emulator> {
  const models = [
    { name: 'tiny', pool: 'main' },
    { name: 'homeless', pool: 'nowhere' },
  ];
  const emulator = await startEmulator({ cluster, clock: clock.nowMs, models, nonce: 'test', speed });
  cleanups.push(() => emulator.close());
  return emulator;
}

function clientOf(emulator: Emulator) {
  const client = createClient({ clock });
  cleanups.push(() => client.close());
  const send = (
    prompt: WirePrompt,
    fields: Partial<WireRequest> = {},
    headers: Record<string, string> = {},
  ) => {
    const wire = { model: 'tiny', outputTokens: 5, reasoningTokens: 0, ...fields, prompt };
    return client.stream({ baseUrl: `${emulator.url}/v1`, wire, headers });
  };
  const call = (...args: Parameters<typeof send>): Promise<CallResult> => send(...args).result;
  return { client, send, call };
}

const say = (text: string): WirePrompt => ({ api: 'chat', messages: [{ role: 'user', content: text }] });
const words = (tokens: number): string => wordsOfRuns([{ key: textKey('prompt'), from: 0, tokens }]);

async function post(emulator: Emulator, path: string, body: unknown) {
  const response = await fetch(emulator.url + path, { method: 'POST', body: JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as Record<string, never> };
}

describe('a streamed chat', () => {
  test('counts the prompt by words and gives as many as asked for, in time', async () => {
    const emulator = await emulate(new ConstantCluster({ firstNs: 60e6, gapNs: 10e6 }));
    const { call } = clientOf(emulator);
    await call(say('warm up')); // the JIT and the first connection are not what is measured
    const result = await call(say(words(300)), { outputTokens: 11 });
    expect(result).toMatchObject({
      outcome: 'ok',
      finishReason: 'length',
      promptTokens: 300,
      outputTokens: 11,
      cachedTokens: 0,
      usageFromServer: true,
    });
    expect(splitWords(result.outputText)).toHaveLength(11);
    const ttftMs = result.firstTokenMs! - result.sentMs;
    expect(ttftMs).toBeGreaterThan(59.9);
    expect(ttftMs).toBeLessThan(160); // a loaded machine may be late; it may never be early
    expect(result.lastTokenMs! - result.sentMs).toBeGreaterThan(159.9);
    expect(result.headersMs!).toBeLessThan(result.firstTokenMs!);
  });

  test('starts with its reasoning, apart from the answer', async () => {
    const { call } = clientOf(await emulate(new ConstantCluster({ gapNs: 0.1e6 })));
    const result = await call(say('think'), { outputTokens: 8, reasoningTokens: 3 });
    expect(result).toMatchObject({ outcome: 'ok', outputTokens: 8, reasoningTokens: 3 });
    expect([splitWords(result.reasoningText).length, splitWords(result.outputText).length]).toEqual([3, 5]);
  });

  test('never gives the same output twice', async () => {
    const { call } = clientOf(await emulate(new ConstantCluster()));
    const [a, b] = await Promise.all([call(say('same')), call(say('same'))]);
    expect(a!.outputText).not.toBe(b!.outputText);
  });

  test('sends the role alone first, and usage only when asked', async () => {
    const emulator = await emulate(new ConstantCluster({ firstNs: 1e6 }));
    const body = {
      model: 'tiny',
      messages: [{ role: 'user', content: 'a b c' }],
      max_tokens: 2,
      stream: true,
    };
    const response = await fetch(`${emulator.url}/v1/chat/completions`, {
      method: 'POST',
      body: JSON.stringify(body),
    });
    const text = await response.text();
    const payloads = text.split('\n\n').filter(line => line !== '');
    expect(payloads.at(-1)).toBe('data: [DONE]');
    const chunks = payloads.slice(0, -1).map(line => JSON.parse(line.slice('data: '.length)));
    expect(chunks[0].choices[0].delta).toEqual({ role: 'assistant', content: '' });
    expect(chunks[1].choices[0].delta.content).toMatch(/^[a-z]{12}/);
    expect(chunks.at(-1).choices[0].finish_reason).toBe('length');
    for (const chunk of chunks)
      expect(chunk).toMatchObject({ object: 'chat.completion.chunk', model: 'tiny' });
    expect(text).not.toContain('usage');
  });

  test('passes the session on for affinity', async () => {
    const cluster = new ConstantCluster();
    const { call } = clientOf(await emulate(cluster));
    await call(say('hi'), {}, { 'x-session-id': 'agent-7' });
    expect(cluster.submissions[0]!.session).toBe('agent-7');
  });

  test('is cancelled in the cluster when the client goes away', async () => {
    const cluster = new ConstantCluster({ firstNs: 5e6, gapNs: 5e6 });
    const { send } = clientOf(await emulate(cluster));
    const handle = send(say('hi'), { outputTokens: 900 });
    setTimeout(() => handle.abort(), 50);
    expect(await handle.result).toMatchObject({ outcome: 'cancelled' });
    for (let i = 0; i < 100 && cluster.liveRequests > 0; i++)
      await new Promise(resolve => setTimeout(resolve, 5));
    expect(cluster.cancelledIds).toEqual([1]);
  });

  test('runs faster than the wall at a higher speed', async () => {
    const { call } = clientOf(await emulate(new ConstantCluster({ firstNs: 2000e6, gapNs: 100e6 }), 50));
    const result = await call(say('hi'), { outputTokens: 11 });
    expect(result.endMs - result.sentMs).toBeGreaterThan(59);
    expect(result.endMs - result.sentMs).toBeLessThan(300);
  });
});

describe('a refusal has the body of OpenAI', () => {
  test.each([
    ['too long', 400, 'context_length_exceeded', { content: words(1001) }],
    ['an output of any length', 400, 'context_length_exceeded', { max_tokens: 1_000_000_000 }],
    ['an unknown model', 404, 'model_not_found', { model: 'gpt-0' }],
    ['no messages', 400, 'invalid_request', { content: 7 }],
    ['an empty prompt', 400, 'invalid_request', { content: ' ' }],
    ['no output', 400, 'invalid_request', { max_tokens: 0 }],
  ])('%s: %i %s', async (_, status, code, { content = 'hi', ...fields }: Record<string, unknown>) => {
    const emulator = await emulate(new ConstantCluster());
    const body = { model: 'tiny', messages: [{ role: 'user', content }], stream: true, ...fields };
    const answer = await post(emulator, '/v1/chat/completions', body);
    expect(answer).toMatchObject({ status, body: { error: { code } } });
  });

  test('a full queue: 503', async () => {
    const { call } = clientOf(await emulate(new ConstantCluster({ liveMax: 0 })));
    expect(await call(say('hi'))).toMatchObject({ outcome: 'error', error: 'http_503' });
  });

  test('a body that is not JSON, an unknown path', async () => {
    const emulator = await emulate(new ConstantCluster());
    const response = await fetch(`${emulator.url}/v1/completions`, { method: 'POST', body: '{' });
    expect(response.status).toBe(400);
    await response.text();
    expect((await fetch(`${emulator.url}/nothing`)).status).toBe(404);
  });
});

describe('beside streams', () => {
  test('an unstreamed answer comes whole', async () => {
    const emulator = await emulate(new ConstantCluster({ gapNs: 0.1e6 }));
    const { body } = await post(emulator, '/v1/completions', { model: 'tiny', prompt: 'a b', max_tokens: 4 });
    expect(body).toMatchObject({
      object: 'text_completion',
      choices: [{ finish_reason: 'length' }],
      usage: { prompt_tokens: 2, completion_tokens: 4, prompt_tokens_details: { cached_tokens: 0 } },
    });
  });

  test('tokens are counted without generating', async () => {
    const emulator = await emulate(new ConstantCluster());
    const messages = [
      { role: 'system', content: 'a b' },
      { role: 'user', content: [{ type: 'text', text: 'c' }] },
    ];
    expect((await post(emulator, '/tokenize', { model: 'tiny', messages })).body).toMatchObject({ count: 3 });
    expect((await post(emulator, '/tokenize', { model: 'tiny', prompt: 'a b' })).body).toMatchObject({
      count: 2,
    });
  });

  test('models and health are told', async () => {
    const emulator = await emulate(new ConstantCluster());
    expect((await fetch(`${emulator.url}/health`)).status).toBe(200);
    const models = (await (await fetch(`${emulator.url}/v1/models`)).json()) as { data: unknown[] };
    expect(models.data[0]).toMatchObject({ id: 'tiny', max_model_len: 1000 });
  });

  test('metrics carry the names and labels of vLLM', async () => {
    const emulator = await emulate(new ConstantCluster({ firstNs: 30e6, gapNs: 1e6 }));
    await clientOf(emulator).call(say('hi'), { outputTokens: 3 });
    const text = await (await fetch(`${emulator.url}/metrics`)).text();
    const labels = 'engine="0",model_name="tiny"';
    expect(text).toContain(`vllm:num_requests_running{${labels}} 0\n`);
    expect(text).toContain(`vllm:time_to_first_token_seconds_bucket{${labels},le="0.02"} 0\n`);
    expect(text).toContain(`vllm:time_to_first_token_seconds_bucket{${labels},le="0.04"} 1\n`);
    expect(text).toContain(`vllm:inter_token_latency_seconds_count{${labels}} 2\n`);
    expect(text).toContain(`vllm:e2e_request_latency_seconds_sum{${labels}} 0.032\n`);
    expect(text).toContain(`vllm:cache_config_info{${labels},block_size="16",num_gpu_blocks="100"} 1\n`);
  });
});

describe('with the reference cluster behind it', () => {
  const reference = () => {
    const step = affineStep({ baseNs: 1e6, perTokenNs: 2e4 });
    const some = { blockTokens: 16, kvBlocks: 1000, maxBatchedTokens: 512, maxModelTokens: 4000 };
    return createCluster(deployment([pool({ name: 'main', step, limits: limits(some) })]), {
      everyToken: true,
    });
  };
  const system: Run = { key: textKey('system'), from: 0, tokens: 160 };
  const question: Run = { key: textKey('question'), from: 0, tokens: 16 };
  const output: Run = { key: textKey('answer'), from: 0, tokens: 32 };
  const parts = [
    { segment: 'system', tokens: 160 },
    { segment: 'history', tokens: 1000 },
  ];

  test.each(['chat', 'completions', 'tokens'] as const)(
    '%s: what was received and sent back is found in the cache',
    async api => {
      const { call } = clientOf(await emulate(reference()));
      const writer = new PromptWriter({ api });
      const first = await call(writer.write([system, question], parts), { outputTokens: 32 });
      expect(first).toMatchObject({ outcome: 'ok', promptTokens: 176, cachedTokens: 0, outputTokens: 32 });
      writer.registerOutput([output], 0, first);
      const next = { ...question, from: 16 };
      const second = await call(writer.write([system, question, output, next], parts), { outputTokens: 2 });
      // All blocks of the prompt and of the output but the last, whose last token was never computed.
      expect(second).toMatchObject({ outcome: 'ok', promptTokens: 224, cachedTokens: 176 + 16 });
      // Content that was not received, but only planned, is another one.
      const other = await call(new PromptWriter({ api }).write([system, question, output], parts), {
        outputTokens: 2,
      });
      expect(other).toMatchObject({ promptTokens: 208, cachedTokens: 176 });
    },
  );

  test('reasoning that is not sent back is not found', async () => {
    const { call } = clientOf(await emulate(reference()));
    const writer = new PromptWriter({ api: 'chat' });
    const first = await call(writer.write([system, question]), { outputTokens: 32, reasoningTokens: 16 });
    writer.registerOutput([output], 16, first);
    const answer = { ...output, from: 16, tokens: 16 };
    const second = await call(writer.write([system, question, answer, { ...question, from: 16 }]), {});
    expect(second).toMatchObject({ outcome: 'ok', promptTokens: 208, cachedTokens: 176 });
  });

  test('a model without a pool is not found, a prompt beyond the context is refused', async () => {
    const { call } = clientOf(await emulate(reference()));
    expect(await call(say('hi'), { model: 'homeless' })).toMatchObject({ error: 'http_404' });
    const refused = await call(say(words(4000)), { outputTokens: 100 });
    expect(refused.error).toBe('too_long');
    expect(refused.message).toContain('context_length_exceeded');
  });
});
