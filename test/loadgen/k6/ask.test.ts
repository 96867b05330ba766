// One call as exported scripts make it, over modules that stand in for those of k6.
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Ask } from '../../../loadgen/k6/ask.ts';

const fake = vi.hoisted(() => ({
  http: { asyncRequest: (): unknown => null },
  sse: { open: (): unknown => null },
}));
vi.mock('k6/http', () => ({ default: fake.http }));
vi.mock('k6/x/sse', () => ({ default: fake.sse }));
const { ask } = await import('../../../loadgen/k6/ask.ts');
const { ask: askSse } = await import('../../../loadgen/k6/ask-sse.ts');

const TOKEN = JSON.stringify({ choices: [{ delta: { content: 'word' }, finish_reason: null }] });
const ROLE = JSON.stringify({
  choices: [{ delta: { role: 'assistant', content: '' }, finish_reason: null }],
});
const END = JSON.stringify({ choices: [{ delta: {}, finish_reason: 'length' }] });
const USAGE = JSON.stringify({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 2 } });
const EVENTS = [ROLE, TOKEN, TOKEN, END, USAGE, '[DONE]'];

let nowMs = 0;
let firstBytes: number[] = [];
let gaps: number[] = [];
const asked: Ask = {
  url: 'http://127.0.0.1:8000/v1/chat/completions',
  body: '{}',
  headers: {},
  tags: { step: 'a' },
  timeoutMs: 2500.2,
  nowMs: () => nowMs,
  onFirstByte: ms => void firstBytes.push(ms),
  onGap: ms => void gaps.push(ms),
};
beforeEach(() => {
  nowMs = 100;
  firstBytes = [];
  gaps = [];
});

const answered = (response: object, tookMs = 50) => {
  const seen: unknown[] = [];
  fake.http.asyncRequest = (...args: unknown[]) => {
    seen.push(args);
    nowMs += tookMs;
    return Promise.resolve({
      status: 200,
      body: '',
      error: '',
      error_code: 0,
      headers: {},
      timings: { waiting: 7 },
      ...response,
    });
  };
  return seen;
};

describe('over k6/http', () => {
  test('a stream is read once it has ended: its usage, and the first byte but no first token', async () => {
    const seen = answered({ body: EVENTS.map(event => `data: ${event}\n\n`).join('') });
    const reply = await ask(asked);
    expect(reply).toMatchObject({
      error: null,
      sentMs: 100,
      endMs: 150,
      firstTokenMs: null,
      promptTokens: 5,
      outputTokens: 2,
    });
    expect(firstBytes).toEqual([7]);
    expect(seen).toEqual([
      ['POST', asked.url, '{}', { headers: {}, tags: { step: 'a' }, timeout: '2501ms' }],
    ]);
  });

  test.each([
    [{ status: 0, error: 'request timeout', error_code: 1050 }, 'timeout'],
    [{ status: 0, error: 'connection refused', error_code: 1212 }, 'connect'],
    [{ status: 503, body: 'busy' }, 'http_503'],
    [{ body: `data: ${TOKEN}\n\n`, error: 'unexpected EOF', error_code: 1000 }, 'stream_cut'],
    [{ body: `data: ${TOKEN}\n\n`, error: 'request timeout', error_code: 1050 }, 'timeout'],
  ])('%j is %s', async (response, error) => {
    answered(response);
    expect((await ask(asked)).error).toBe(error);
  });

  test('a 429 says when to come back', async () => {
    answered({ status: 429, headers: { 'Retry-After': '2' } });
    expect(await ask(asked)).toMatchObject({ error: 'http_429', retryAfterMs: 2000, outputTokens: 0 });
  });
});

describe('over k6/x/sse', () => {
  const streamed = (events: readonly string[], response: object = { status: 200, error: '' }) => {
    fake.sse.open = ((_url: string, _params: object, set: (client: object) => void) => {
      const told: Record<string, (event: object) => void> = {};
      const on = (name: string, then: (event: object) => void): void => {
        told[name] = then;
      };
      set({ on, close: () => {} });
      for (const data of events) {
        nowMs += 10;
        told.event!({ data });
      }
      return response;
    }) as never;
  };

  test('the first token is timed, and the gaps behind it; a role is no token', async () => {
    streamed(EVENTS);
    const reply = await askSse(asked);
    expect(reply).toMatchObject({
      error: null,
      sentMs: 100,
      firstTokenMs: 120,
      promptTokens: 5,
      outputTokens: 2,
    });
    expect(gaps).toEqual([10]);
  });

  test('an error status and a refused connection are told apart', async () => {
    streamed([], { status: 500, error: '' });
    expect((await askSse(asked)).error).toBe('http_500');
    streamed([], { status: 0, error: 'refused' });
    expect((await askSse(asked)).error).toBe('connect');
  });
});
