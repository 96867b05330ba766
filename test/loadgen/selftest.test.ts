// The server of the self-test against its own promises, and our client against the server's truth. Limits are wide: what
// is wrong by kind (a role chunk taken for a token, deadlines that drift) is wrong by more than a busy machine.
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createClient } from '../../loadgen/client.ts';
import { startClock } from '../../loadgen/clock.ts';
import { type ServerProcess, startServer } from '../../loadgen/selftest/child.ts';
import { verdictOf } from '../../loadgen/selftest/command.ts';
import { costed, createDriver, type Load } from '../../loadgen/selftest/drive.ts';
import { type OwnError, ownError } from '../../loadgen/selftest/error.ts';
import { type Level, searchLimit } from '../../loadgen/selftest/selftest.ts';
import { type Behaviour, listen, type ServerTruth, USUAL } from '../../loadgen/selftest/server.ts';
import { Histogram } from '../../scenarios/base/histogram.ts';
import { quantile } from '../../scenarios/base/statistics.ts';
import { emptyFolder, windtunnel } from '../cli/run.ts';

const clock = startClock();
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function aServer(changes: Partial<Behaviour> = {}): Promise<ServerProcess> {
  const server = await startServer(clock.zero, changes);
  cleanups.push(() => server.close());
  return server;
}

/** The payloads of one streamed answer, read without our client. */
async function payloads(server: ServerProcess, body: object): Promise<string[]> {
  const response = await fetch(`${server.baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  return (await response.text())
    .split('\n\n')
    .filter(event => event !== '')
    .map(event => event.replace(/^data: /, ''));
}

describe('the deadline server', { retry: 2 }, () => {
  test('streams as vLLM does: role with the first token, finish_reason with the last, then usage and [DONE]', async () => {
    const server = await aServer({ ttftMs: 1, itlMs: 1 });
    const lines = await payloads(server, { max_tokens: 3 });
    expect(lines.at(-1)).toBe('[DONE]');
    const chunks = lines.slice(0, -1).map(line => JSON.parse(line));
    expect(chunks.map(({ object }) => object)).toEqual(Array(4).fill('chat.completion.chunk'));
    expect(chunks.slice(0, 3).map(({ choices }) => choices[0].delta)).toEqual([
      { role: 'assistant', content: ' word' },
      { content: ' word' },
      { content: ' word' },
    ]);
    expect(chunks.slice(0, 3).map(({ choices }) => choices[0].finish_reason)).toEqual([null, null, 'length']);
    expect(chunks.slice(0, 3).map(({ usage }) => usage)).toEqual([undefined, undefined, undefined]);
    expect(chunks[3]).toMatchObject({ choices: [], usage: { completion_tokens: 3, total_tokens: 35 } });
  });

  test('counts usage in every chunk for who asks', async () => {
    const server = await aServer({ ttftMs: 1, itlMs: 1, tokensPerChunk: 2 });
    const lines = await payloads(server, { max_tokens: 5, stream_options: { continuous_usage_stats: true } });
    const usages = lines.slice(0, -1).map(line => JSON.parse(line).usage.completion_tokens);
    expect(usages).toEqual([2, 4, 5, 5]);
  });

  test('is never early, knows each call by its id, and resets to other settings', async () => {
    const server = await aServer({ ttftMs: 50, itlMs: 10 });
    const driver = createDriver(1, clock.zero, server.baseUrl);
    cleanups.push(() => driver.close());
    const load: Load = { kind: 'closed', streams: 5, staggerMs: 20, calls: 10, tokens: 20 };
    const laws = (truth: ServerTruth, ttftMs: number): void => {
      expect(truth).toMatchObject({ arrivals: 10, inFlight: 0, inFlightMax: 5, chunks: 200 });
      expect(new Set(truth.calls.map(({ id }) => id)).size).toBe(10);
      for (const { arrivalMs, firstMs, lastMs, chunks } of truth.calls) {
        expect(firstMs - arrivalMs).toBeGreaterThanOrEqual(ttftMs);
        expect(lastMs - arrivalMs).toBeGreaterThanOrEqual(ttftMs + 19 * 10);
        expect(chunks).toBe(20);
      }
      expect(truth.gapMs.count).toBe(190);
      expect(truth.lateMs.min).toBeGreaterThanOrEqual(0);
    };
    await driver.run(load);
    laws(await server.truth(), 50);
    await server.reset({ ttftMs: 80 });
    await driver.run(load);
    laws(await server.truth(), 80);
  });

  test('sends late chunks at once and keeps the deadlines after them', async () => {
    const [chunks, blockMs] = [40, 200];
    const server = await listen({ ...USUAL, ttftMs: 20, itlMs: 20, tokens: chunks }, clock.zero);
    cleanups.push(() => server.close());
    const socket = connect(server.port, '127.0.0.1');
    cleanups.push(async () => socket.destroy());
    let text = '';
    socket.on('data', bytes => {
      text += bytes;
    });
    socket.write('POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}');
    await expect.poll(() => text, { timeout: 5000, interval: 5 }).toContain(' word');
    // The server is in this thread: it sleeps too.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, blockMs);
    await expect.poll(() => text, { timeout: 5000 }).toContain('[DONE]');
    const stats = await fetch(`http://127.0.0.1:${server.port}/stats`);
    const { calls, gapMs, lateMs } = (await stats.json()) as ServerTruth;
    expect(gapMs.max).toBeGreaterThan(blockMs - 50);
    // Those of the sleep came together, without a gap; re-based ones would have kept theirs.
    expect(gapMs.buckets.reduce((sum, [, count]) => sum + count, 0)).toBe(chunks - 1);
    expect(Histogram.from(gapMs).quantile(5 / chunks)).toBeLessThan(5);
    const { arrivalMs, lastMs } = calls[0]!;
    expect(lastMs - arrivalMs).toBeLessThan(20 + (chunks - 1) * 20 + blockMs / 2);
    expect(lateMs.max).toBeGreaterThan(blockMs - 50);
  });
});

describe('our client against the truth', { retry: 2 }, () => {
  test('reads TTFT and gaps as they were, and in causal order', async () => {
    const server = await aServer({ ttftMs: 50, itlMs: 20 });
    const driver = createDriver(1, clock.zero, server.baseUrl);
    cleanups.push(() => driver.close());
    await driver.connect(20);
    await server.reset();
    const load: Load = { kind: 'open', ratePerSec: 40, calls: 60, tokens: 20, seed: 3 };
    const driven = await costed(driver, load);
    const truth = await server.truth();
    const own = ownError(driven, truth);
    expect(own).toMatchObject({ calls: 60, failures: 0, chunks: 60 * 20 });
    expect(own.ttftErrorMs.p50).toBeLessThan(20);
    expect(own.itlErrorMs.p50).toBeLessThan(5);
    expect(own.lagMs.p50).toBeLessThan(20);
    expect(own.cores).toBeGreaterThan(0);
    // Two processes, one clock: each anchors it within a moment.
    const slackMs = 5;
    const byId = new Map(truth.calls.map(call => [call.id, call]));
    for (const { id, plannedMs, sentMs, firstTokenMs } of driven.calls) {
      const { arrivalMs, firstMs } = byId.get(id)!;
      expect(sentMs).toBeGreaterThanOrEqual(plannedMs);
      expect(arrivalMs).toBeGreaterThan(sentMs - slackMs);
      expect(firstTokenMs).toBeGreaterThan(firstMs - slackMs);
    }
  });

  test('two threads share a load: as many calls, of their own names', async () => {
    const server = await aServer({ ttftMs: 5, itlMs: 2 });
    const driver = createDriver(2, clock.zero, server.baseUrl);
    cleanups.push(() => driver.close());
    await driver.connect(4);
    await server.reset();
    const load: Load = { kind: 'open', ratePerSec: 50, calls: 25, tokens: 5, seed: 1 };
    const own = ownError(await costed(driver, load), await server.truth());
    expect(own).toMatchObject({ calls: 25, failures: 0, chunks: 125 });
  });

  test('headers and the role come first, then reasoning, then the answer, four tokens to a chunk', async () => {
    const server = await aServer({ earlyRole: true, reasoningChunks: 5, tokensPerChunk: 4 });
    const [itlMs, chunkGapMs] = [new Histogram(), new Histogram()];
    const client = createClient({ clock, itlMs, chunkGapMs });
    cleanups.push(() => client.close());
    const ttfts: number[] = [];
    for (let i = 0; i < 3; i++) {
      const { result } = client.stream({
        baseUrl: server.baseUrl,
        wire: {
          model: 'selftest',
          prompt: { api: 'chat', messages: [{ role: 'user', content: 'hello' }] },
          outputTokens: 100,
          reasoningTokens: 0,
        },
      });
      const call = await result;
      expect(call).toMatchObject({
        outcome: 'ok',
        outputTokens: 100,
        reasoningTokens: 20,
        usageFromServer: true,
      });
      expect(call.reasoningText).toBe(' word'.repeat(20));
      expect(call.outputText).toBe(' word'.repeat(80));
      const ttftMs = call.firstTokenMs! - call.sentMs;
      ttfts.push(ttftMs);
      // 24 gaps of 20 ms carry 96 of the 99 tokens after the first: 4.85 ms a token.
      const tpotMs = (call.lastTokenMs! - call.firstTokenMs!) / (call.outputTokens - 1);
      expect(tpotMs).toBeGreaterThan(3.5);
      expect(tpotMs).toBeLessThan(8);
    }
    // The role chunk came at once, the answer at 200 ms.
    expect(Math.min(...ttfts)).toBeGreaterThan(95);
    expect(quantile(ttfts, 0.5)).toBeLessThan(190);
    expect(itlMs.count).toBe(3 * 99);
    expect(chunkGapMs.quantile(0.5)).toBeGreaterThan(15);
    expect(chunkGapMs.quantile(0.5)).toBeLessThan(30);
    expect(itlMs.quantile(0.5)).toBeLessThan(8);
  });
});

describe('the search for the limit', () => {
  /** A machine that sustains so many streams. */
  const machine = (limit: number, { hiccupAt = 0, server = 'fine' as Level['server'] } = {}) => {
    const tried: number[] = [];
    const level = async (streams: number) => {
      tried.push(streams);
      const isHiccup = streams === hiccupAt && tried.filter(each => each === streams).length === 1;
      return { problems: streams > limit || isHiccup ? ['late'] : [], server };
    };
    return { tried, level };
  };

  test.each([7, 30, 100, 730, 5000])('finds %i streams to a quarter, and never more', async limit => {
    const { level } = machine(limit);
    const { streams } = await searchLimit(level, () => true);
    expect(streams).toBeLessThanOrEqual(limit);
    expect(streams).toBeGreaterThan(limit / 1.4);
  });

  test('tries a level again before it believes that it fails', async () => {
    const { level, tried } = machine(1000, { hiccupAt: 200 });
    const { streams } = await searchLimit(level, () => true);
    expect(tried.slice(0, 4)).toEqual([100, 200, 200, 400]);
    expect(streams).toBeGreaterThan(700);
  });

  test.each([
    ['fine', 'client'],
    ['saturated', 'server'],
    ['starved', 'machine'],
  ] as const)('where the server is %s, the limit is set by the %s', async (server, limitedBy) => {
    expect(await searchLimit(machine(300, { server }).level, () => true)).toMatchObject({ limitedBy });
  });

  test('ends when its time is over, and has the fewest where nothing is sustained', async () => {
    let left = 2;
    const cut = await searchLimit(machine(10_000).level, () => left-- > 0);
    expect(cut).toEqual({ streams: 200, limitedBy: 'time' });
    const none = await searchLimit(machine(0).level, () => true);
    expect(none).toEqual({ streams: 5, limitedBy: 'client' });
  });
});

describe('the verdict', () => {
  const own = {
    chunksPerSec: 9000.4,
    callsPerSec: 180.2,
    ttftErrorMs: { p50: 0, p99: 1 },
    itlErrorMs: { p50: 0, p99: 2 },
  };
  const trusted = { streams: 200, own: own as OwnError, problems: [], server: 'fine' as const };

  test('names the load that can be trusted', () => {
    const text = verdictOf({ trusted, isInconclusive: false });
    expect(text).toContain('trusted with 9000 chunks/s: 200 streams, or 180 req/s of 50 tokens');
    expect(text).not.toContain('Inconclusive');
  });

  test('says that it is inconclusive on a busy machine', () => {
    expect(verdictOf({ trusted: null, isInconclusive: true })).toMatch(/^Do not trust .* Inconclusive: /);
  });
});

test.each([
  [['--seconds', '2'], '--seconds 2: expected at least 10'],
  [['--workers', '0'], '--workers 0: expected 1 to 64'],
])('windtunnel selftest %j is refused', (args, message) => {
  const { code, err } = windtunnel(['selftest', ...args], emptyFolder());
  expect(code).toBe(104);
  expect(err).toContain(message);
});
