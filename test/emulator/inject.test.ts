// Faults that the emulator brings about: read, drawn, and seen by our own client.
import { afterEach, describe, expect, test } from 'vitest';
import { readServer } from '../../engines/metrics/read.ts';
import { type Client, createClient } from '../../loadgen/client.ts';
import { startClock } from '../../loadgen/clock.ts';
import { INJECT_EXAMPLE, injectedFault, parseInjection } from '../../sim/emulator/inject.ts';
import { type Emulator, startEmulator } from '../../sim/emulator/server.ts';
import { createCluster } from '../../sim/reference/cluster.ts';
import { affineStep } from '../builders/steps.ts';
import { deployment, limits, pool } from '../sim/reference/build.ts';

const SOME = { blockTokens: 16, kvBlocks: 1000, maxBatchedTokens: 512, maxModelTokens: 4000 };
const clock = startClock();
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function serving(inject: string): Promise<{ emulator: Emulator; client: Client }> {
  const step = affineStep({ baseNs: 1e6, perTokenNs: 2e4 });
  const cluster = createCluster(deployment([pool({ name: 'main', step, limits: limits(SOME) })]), {
    everyToken: true,
  });
  const injection = parseInjection(inject, 1);
  const models = [{ name: 'tiny', pool: 'main' }];
  const emulator = await startEmulator({ cluster, clock: clock.nowMs, models, injection });
  const client = createClient({ clock, idleTimeoutMs: 2000 });
  cleanups.push(
    () => emulator.close(),
    () => client.close(),
  );
  return { emulator, client };
}

const calling = ({ emulator, client }: Awaited<ReturnType<typeof serving>>, outputTokens = 20) =>
  client.stream({
    baseUrl: `${emulator.url}/v1`,
    wire: {
      model: 'tiny',
      prompt: { api: 'chat', messages: [{ role: 'user', content: 'one two three' }] },
      outputTokens,
      reasoningTokens: 0,
    },
  });

async function running({ emulator }: { emulator: Emulator }): Promise<number | null> {
  const text = await (await fetch(`${emulator.url}/metrics`)).text();
  return readServer(text)?.gauges.runningRequests ?? null;
}

describe('what is drawn', () => {
  test('is the same for the same seed and request, and as often as asked for', () => {
    const injection = parseInjection('error=20%,429=10%:2s', 7);
    const faults = Array.from({ length: 20_000 }, (_, i) => injectedFault(injection, i + 1));
    expect(faults).toEqual(
      faults.map((_, i) => injectedFault(parseInjection('error=20%,429=10%:2s', 7), i + 1)),
    );
    const shareOf = (status: number) =>
      faults.filter(fault => fault?.kind === 'refuse' && fault.status === status).length / faults.length;
    // Four standard deviations of 20,000 draws.
    expect(Math.abs(shareOf(500) - 0.2)).toBeLessThan(0.0114);
    expect(Math.abs(shareOf(429) - 0.1)).toBeLessThan(0.0085);
    expect(faults.map((_, i) => injectedFault(parseInjection('error=20%,429=10%:2s', 8), i + 1))).not.toEqual(
      faults,
    );
  });

  test('the example of the help is read whole', () => {
    const { faults, slowStartMs } = parseInjection(INJECT_EXAMPLE, 1);
    expect(slowStartMs).toBe(10_000);
    expect(faults).toEqual([
      { share: 0.05, fault: { kind: 'refuse', status: 500, retryAfterMs: null } },
      { share: 0.1, fault: { kind: 'refuse', status: 429, retryAfterMs: 2000 } },
      { share: 0.02, fault: { kind: 'stall', ms: 5000 } },
      { share: 0.01, fault: { kind: 'cut' } },
      { share: 0.01, fault: { kind: 'content_filter' } },
    ]);
  });

  test.each([
    ['eror=5%', /did you mean "error"/],
    ['error', /ratio|share|such as/],
    ['error=5%:99', /status from 400 to 599/],
    ['429=5%:2', /ms|s/],
    ['cut=5%:2s', /share only/],
    ['cut=60%,error=50%', /together they are at most 100%/],
    ['cut=1%,cut=2%', /twice/],
    ['slow_start=5%', /units: ns, us, ms, s/],
  ])('%s is refused with what to write', (text, hint) => {
    expect(() => parseInjection(text, 1)).toThrowError(
      expect.objectContaining({ hint: expect.stringMatching(hint) }),
    );
  });
});

describe('what a client sees', () => {
  test('refusals, with a Retry-After to the millisecond where one is given', async () => {
    expect(await calling(await serving('error=100%:503')).result).toMatchObject({ error: 'http_503' });
    expect(await calling(await serving('429=100%:1500ms')).result).toMatchObject({
      error: 'http_429',
      retryAfterMs: 1500,
    });
  });

  test.each([
    ['cut=100%', 'stream_cut'],
    ['content_filter=100%', 'content_policy'],
  ])('%s: half of the answer, then %s; the engine stops with it', async (inject, error) => {
    const served = await serving(inject);
    expect(await calling(served, 400).result).toMatchObject({ outcome: 'error', error, outputTokens: 200 });
    await expect.poll(() => running(served), { timeout: 1000 }).toBe(0);
  });

  test('a stall that ends: all tokens, late; one that does not is ended by the client, and the engine stops', async () => {
    const late = await calling(await serving('stall=100%:300ms')).result;
    expect(late).toMatchObject({ outcome: 'ok', outputTokens: 20 });
    expect(late.itlMsMax!).toBeGreaterThan(280);
    const served = await serving('stall=100%');
    const stuck = calling(served, 3900);
    await expect.poll(() => stuck.outputTokens).toBeGreaterThan(0);
    expect(await running(served)).toBe(1);
    stuck.abort();
    expect(await stuck.result).toMatchObject({ outcome: 'cancelled' });
    await expect.poll(() => running(served), { timeout: 1000 }).toBe(0);
  });

  test('a slow start: the first calls wait for it', async () => {
    const served = await serving('slow_start=300ms');
    const { outcome, firstTokenMs, sentMs } = await calling(served).result;
    expect(outcome).toBe('ok');
    expect(firstTokenMs! - sentMs).toBeGreaterThan(200);
    const next = await calling(served).result;
    expect(next.firstTokenMs! - next.sentMs).toBeLessThan(200);
  });

  test('an answer that is not streamed fails the same ways', async () => {
    const ask = async (inject: string) => {
      const { emulator } = await serving(inject);
      const body = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }], max_tokens: 8 };
      return fetch(`${emulator.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body) });
    };
    expect(await (await ask('content_filter=100%')).json()).toMatchObject({
      choices: [{ finish_reason: 'content_filter' }],
      usage: { completion_tokens: 4 },
    });
    await expect(ask('cut=100%')).rejects.toThrow();
    expect((await ask('error=100%')).status).toBe(500);
  });
});
