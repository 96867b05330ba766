// The client against small servers that misbehave in one way each, over real sockets on loopback.
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { WireRequest } from '../../engines/wire/request.ts';
import { type Client, type ClientOptions, createClient } from '../../loadgen/client.ts';
import { startClock } from '../../loadgen/clock.ts';
import { Histogram } from '../../scenarios/base/histogram.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer((request, response) => {
    request.resume();
    listener(request, response);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise(resolve => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
}

function aClient(options: Partial<ClientOptions> = {}): Client {
  const client = createClient({ clock: startClock(), ...options });
  cleanups.push(() => client.close());
  return client;
}

const wire: WireRequest = {
  model: 'm',
  prompt: { api: 'chat', messages: [{ role: 'user', content: 'hi' }] },
  outputTokens: 3,
  reasoningTokens: 0,
};

const call = (baseUrl: string, options: Partial<ClientOptions> = {}) =>
  aClient(options).stream({ baseUrl, wire }).result;

const sse = (response: ServerResponse) => response.writeHead(200, { 'content-type': 'text/event-stream' });
const chunk = (delta: object, finish: string | null = null, more: object = {}): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }], ...more })}\n\n`;
const usage = (completion_tokens: number) => ({
  usage: { prompt_tokens: 9, completion_tokens, total_tokens: 9 + completion_tokens },
});

describe('a call that fails is a result', () => {
  test('refused: connect', async () => {
    const server = createTcpServer();
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise(resolve => server.close(resolve));
    const result = await call(`http://127.0.0.1:${port}/v1`);
    expect(result).toMatchObject({
      outcome: 'error',
      error: 'connect',
      httpStatus: null,
      firstTokenMs: null,
    });
    expect(result.message).toContain('ECONNREFUSED');
    expect(result.endMs).toBeGreaterThanOrEqual(result.sentMs);
  });

  test('reset before an answer: connect', async () => {
    const url = await serve((_, response) => response.destroy());
    expect(await call(url)).toMatchObject({ outcome: 'error', error: 'connect' });
  });

  test('429 with a body: its message and its Retry-After', async () => {
    const url = await serve((_, response) => {
      response.writeHead(429, { 'content-type': 'application/json', 'retry-after': '2' });
      response.end(JSON.stringify({ error: { message: 'slow down', code: 'rate_limited' } }));
    });
    expect(await call(url)).toMatchObject({
      outcome: 'error',
      error: 'http_429',
      httpStatus: 429,
      message: 'rate_limited: slow down',
      retryAfterMs: 2000,
      outputTokens: 0,
    });
  });

  test.each([
    ['seconds', () => ({ 'retry-after': '1.5' }), 1500, 1500],
    ['exact milliseconds first', () => ({ 'retry-after': '7', 'retry-after-ms': '250' }), 250, 250],
    // A date has whole seconds.
    ['a date', () => ({ 'retry-after': new Date(Date.now() + 9000).toUTCString() }), 6000, 9000],
    ['a date that is over', () => ({ 'retry-after': new Date(Date.now() - 5000).toUTCString() }), null, null],
    ['a word', () => ({ 'retry-after': 'soon' }), null, null],
  ])('when to come back: %s', async (_, headers, leastMs, mostMs) => {
    const url = await serve((_, response) => response.writeHead(429, headers()).end());
    const { retryAfterMs } = await call(url);
    if (leastMs === null) expect(retryAfterMs).toBeNull();
    else {
      expect(retryAfterMs).toBeGreaterThanOrEqual(leastMs);
      expect(retryAfterMs).toBeLessThanOrEqual(mostMs);
    }
  });

  test('what the server says of trying again', async () => {
    const told = async (headers: Record<string, string>) => {
      const url = await serve((_, response) => response.writeHead(500, headers).end());
      return (await call(url)).shouldRetry;
    };
    expect(await told({ 'x-should-retry': 'false' })).toBe(false);
    expect(await told({ 'x-should-retry': 'true' })).toBe(true);
    expect(await told({})).toBeNull();
  });

  test.each([
    [400, 'context_length_exceeded', 'too_long'],
    [400, 'content_policy_violation', 'content_policy'],
    [400, 'invalid_request', 'http_400'],
    [413, 'too_large', 'http_413'],
    [500, 'context_length_exceeded', 'http_500'],
  ])('%i %s: %s', async (status, code, error) => {
    const url = await serve((_, response) =>
      response
        .writeHead(status, { 'content-type': 'application/json' })
        .end(JSON.stringify({ error: { message: 'no', code } })),
    );
    expect(await call(url)).toMatchObject({ outcome: 'error', error, httpStatus: status });
  });

  test('an answer that a filter ends: content_policy, with what had come', async () => {
    const url = await serve((_, response) => {
      sse(response).write(chunk({ content: 'a' }));
      response.end(`${chunk({}, 'content_filter', usage(1))}data: [DONE]\n\n`);
    });
    expect(await call(url)).toMatchObject({ outcome: 'error', error: 'content_policy', outputTokens: 1 });
  });

  test('503 without a body', async () => {
    const url = await serve((_, response) => response.writeHead(503).end());
    expect(await call(url)).toMatchObject({ error: 'http_503', message: '', retryAfterMs: null });
  });

  test('no byte for too long: stall, before the head and in mid stream', async () => {
    const silent = await serve(() => {});
    expect(await call(silent, { idleTimeoutMs: 60 })).toMatchObject({ error: 'stall', headersMs: null });
    const stuck = await serve((_, response) => void sse(response).write(chunk({ content: 'a' })));
    const result = await call(stuck, { idleTimeoutMs: 60 });
    expect(result).toMatchObject({ outcome: 'error', error: 'stall', outputTokens: 1, outputText: 'a' });
    expect(result.endMs - result.firstTokenMs!).toBeGreaterThan(50);
  });

  test('bytes, but no end in time: timeout', async () => {
    const url = await serve((_, response) => {
      sse(response);
      const timer = setInterval(() => response.write(chunk({ content: 'a' })), 10);
      response.on('close', () => clearInterval(timer));
    });
    expect(await call(url, { idleTimeoutMs: 50, timeoutMs: 120 })).toMatchObject({ error: 'timeout' });
  });

  test('an error inside a 200 stream: stream_error', async () => {
    const url = await serve((_, response) => {
      sse(response).write(chunk({ content: 'a' }));
      response.end(
        `data: ${JSON.stringify({ error: { message: 'engine died', code: 500 } })}\n\ndata: [DONE]\n\n`,
      );
    });
    expect(await call(url)).toMatchObject({
      outcome: 'error',
      error: 'stream_error',
      message: '500: engine died',
    });
  });

  test.each([
    ['an orderly end', (response: ServerResponse) => response.end()],
    ['a reset', (response: ServerResponse) => response.destroy()],
  ])('a stream cut by %s: stream_cut', async (_, cut) => {
    const url = await serve((_, response) => {
      sse(response).write(chunk({ content: 'a' }));
      setTimeout(() => cut(response), 20);
    });
    expect(await call(url)).toMatchObject({ outcome: 'error', error: 'stream_cut', outputText: 'a' });
  });

  test('its gaps are in no percentile', async () => {
    const url = await serve((_, response) => {
      sse(response).write(chunk({ content: 'a' }));
      setTimeout(() => response.write(chunk({ content: 'b' })), 20);
      setTimeout(() => response.destroy(), 40);
    });
    const itlMs = new Histogram();
    const chunkGapMs = new Histogram();
    const result = await call(url, { itlMs, chunkGapMs });
    expect(result).toMatchObject({ error: 'stream_cut', outputTokens: 2, chunks: 2 });
    expect(result.itlMsMax).toBeGreaterThan(15);
    expect([itlMs.count, chunkGapMs.count]).toEqual([0, 0]);
  });

  test('a 200 that is no stream, or holds none of its chunks: bad_response', async () => {
    const plain = await serve((_, response) => response.end('<html>login</html>'));
    expect(await call(plain)).toMatchObject({
      error: 'bad_response',
      message: 'not an event stream: <html>login</html>',
    });
    const odd = await serve((_, response) => sse(response).end('data: {"hello":1}\n\n'));
    expect(await call(odd)).toMatchObject({ error: 'bad_response' });
    const empty = await serve((_, response) => sse(response).end('data: [DONE]\n\n'));
    expect(await call(empty)).toMatchObject({ error: 'bad_response' });
  });

  test('an invalid header or URL: bad_request', async () => {
    const client = aClient();
    const header = client.stream({ baseUrl: 'http://127.0.0.1:9/v1', wire, headers: { 'x-a': 'a\nb' } });
    expect(await header.result).toMatchObject({ outcome: 'error', error: 'bad_request' });
    expect(await client.stream({ baseUrl: 'nowhere', wire }).result).toMatchObject({ error: 'bad_request' });
  });
});

describe('a call that ends well', () => {
  test('has its first token after a late role-only chunk', async () => {
    const url = await serve((_, response) => {
      sse(response);
      response.flushHeaders();
      setTimeout(() => response.write(chunk({ role: 'assistant', content: '' })), 30);
      setTimeout(() => response.write(chunk({ reasoning_content: 'hm' })), 60);
      setTimeout(() => response.end(`${chunk({ content: 'a' }, 'stop')}data: [DONE]\n\n`), 80);
    });
    const result = await call(url);
    expect(result).toMatchObject({
      outcome: 'ok',
      error: null,
      finishReason: 'stop',
      usageFromServer: false,
    });
    expect(result).toMatchObject({
      outputTokens: 2,
      reasoningTokens: 1,
      reasoningText: 'hm',
      promptTokens: null,
    });
    expect(result.headersMs! - result.sentMs).toBeLessThan(result.firstTokenMs! - result.sentMs - 40);
    expect(result.firstTokenMs! - result.sentMs).toBeGreaterThan(55);
    expect(result.endMs).toBeGreaterThanOrEqual(result.lastTokenMs!);
  });

  test('counts several tokens in a chunk and shares the gap among them', async () => {
    const url = await serve((_, response) => {
      sse(response).write(chunk({ content: 'a b c d' }, null, usage(4)));
      setTimeout(() => {
        response.write(chunk({ content: ' e f g h' }, 'length', usage(8)));
        response.end(`data: ${JSON.stringify({ choices: [], ...usage(8) })}\n\ndata: [DONE]\n\n`);
      }, 40);
    });
    const itlMs = new Histogram();
    const result = await call(url, { itlMs });
    expect(result).toMatchObject({ outcome: 'ok', outputTokens: 8, promptTokens: 9, cachedTokens: null });
    expect(result.itlMsMax).toBeGreaterThan(35);
    expect(itlMs.count).toBe(7);
    expect(itlMs.max).toBeCloseTo(result.itlMsMax! / 4, 6);
  });

  test('is complete with a finish_reason, whatever the socket does then', async () => {
    const url = await serve((_, response) => {
      sse(response).write(chunk({ content: 'a' }, 'stop'));
      setTimeout(() => response.destroy(), 20);
    });
    expect(await call(url)).toMatchObject({ outcome: 'ok', outputTokens: 1 });
  });

  test('leaves its socket to the next one', async () => {
    const ports = new Set<number | undefined>();
    const url = await serve((request, response) => {
      ports.add(request.socket.remotePort);
      sse(response).end(`${chunk({ content: 'a' }, 'stop')}data: [DONE]\n\n`);
    });
    const client = aClient();
    for (let i = 0; i < 5; i++)
      expect((await client.stream({ baseUrl: url, wire }).result).outcome).toBe('ok');
    expect(ports.size).toBe(1);
    expect(client.inFlight).toBe(0);
  });
});

describe('a connection', () => {
  test('that the server has closed is not used again', async () => {
    const ports = new Set<number | undefined>();
    const url = await serve((request, response) => {
      ports.add(request.socket.remotePort);
      sse(response).end(`${chunk({ content: 'a' }, 'stop')}data: [DONE]\n\n`);
      setTimeout(() => request.socket.destroy(), 10);
    });
    const client = aClient();
    for (let i = 0; i < 3; i++) {
      expect(await client.stream({ baseUrl: url, wire }).result).toMatchObject({ outcome: 'ok' });
      await new Promise(resolve => setTimeout(resolve, 40));
    }
    expect(ports.size).toBe(3);
    expect(client.socketsOpened).toBe(3);
  });

  test('that rests for too long is closed by us', async () => {
    let open = 0;
    const server = createTcpServer(socket => {
      open++;
      socket.on('close', () => open--);
      socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}'));
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => new Promise(resolve => server.close(resolve)));
    const client = aClient({ keepAliveMs: 100 });
    expect(await client.warmUp(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, 3)).toBe(3);
    expect(open).toBe(3);
    await expect.poll(() => open, { timeout: 2000 }).toBe(0);
  });
});

describe('abort', () => {
  test('closes the socket and gives what had come', async () => {
    let closed = (_: unknown): void => {};
    const gone = new Promise(resolve => {
      closed = resolve;
    });
    const url = await serve((_, response) => {
      sse(response).write(chunk({ content: 'a' }));
      response.on('close', closed);
    });
    const handle = aClient().stream({ baseUrl: url, wire });
    setTimeout(() => handle.abort(), 30);
    expect(await handle.result).toMatchObject({ outcome: 'cancelled', error: 'cancelled', outputTokens: 1 });
    await gone;
    handle.abort();
  });

  test('after [DONE] leaves a complete call complete, though the server never ends its response', async () => {
    const url = await serve(
      (_, response) => void sse(response).write(`${chunk({ content: 'a' }, 'stop')}data: [DONE]\n\n`),
    );
    const handle = aClient().stream({ baseUrl: url, wire });
    setTimeout(() => handle.abort(), 60);
    expect(await handle.result).toMatchObject({ outcome: 'ok', outputTokens: 1 });
  });

  test('before the request is written: it never is', async () => {
    let requests = 0;
    const url = await serve(() => requests++);
    const client = aClient();
    const handle = client.stream({ baseUrl: url, wire });
    handle.abort();
    expect(await handle.result).toMatchObject({ outcome: 'cancelled', writtenMs: null });
    await new Promise(resolve => setTimeout(resolve, 20));
    expect(requests).toBe(0);
  });
});

test('a warm-up opens the sockets that a wave then uses', async () => {
  const ports = new Set<number | undefined>();
  const url = await serve((request, response) => {
    ports.add(request.socket.remotePort);
    if (request.method === 'GET') setTimeout(() => response.end('{}'), 30);
    else sse(response).end(`${chunk({ content: 'a' }, 'stop')}data: [DONE]\n\n`);
  });
  const client = aClient();
  expect(await client.warmUp(url, 4)).toBe(4);
  await Promise.all(Array.from({ length: 4 }, () => client.stream({ baseUrl: url, wire }).result));
  expect(ports.size).toBe(4);
  expect(await client.warmUp('http://127.0.0.1:1/v1', 1)).toBe(0);
});
