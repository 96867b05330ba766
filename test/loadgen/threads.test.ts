// Threads against one: a run is the same, whoever streams it.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startClock } from '../../loadgen/clock.ts';
import type { SenderTarget } from '../../loadgen/sender.ts';
import { ThreadedSenders } from '../../loadgen/threads.ts';
import type { CallRecord } from '../../scenarios/formats/record.ts';
import { emulator, type Governed, isIdle, type LiveEmulator, liveDeployment, replayed } from './live.ts';

/** Sessions whose later calls send back what the earlier ones answered. */
const SCENARIO = `
windtunnel: 1
seed: 5
models: { main: { model: ministral-3-14b } }
tools: { look: { latency: 10ms, result: 20 } }
prefixes: { rules: { tokens: 200, scope: global } }
workflows:
  main:
    model: main
    prefix: [rules]
    steps: [ { repeat: turns, times: 3, steps: [ { llm: ask, adds: 30, out: 8 }, look ] } ]
traffic: [ { workflow: main, arrival: { poisson: { rate: 40/s } }, sessions: 40 } ]
`;

const facts = ({ session, call, outcome, promptTokens, outputTokens }: CallRecord): string =>
  `${session} ${call} ${outcome} ${promptTokens} ${outputTokens}`;

describe('a run with three threads', () => {
  let server: LiveEmulator;
  let one: Governed;
  let three: Governed;
  const budget = '{ budget: { llm_calls: 100000 } }';
  beforeAll(async () => {
    server = await emulator();
    one = await replayed(SCENARIO, liveDeployment({ main: [server.url] }, budget));
    three = await replayed(SCENARIO, liveDeployment({ main: [server.url] }, budget), { workers: 3 });
  });
  afterAll(() => server.close());

  test('makes the same calls, with prompts of the same length', () => {
    expect(three.calls.map(facts).sort()).toEqual(one.calls.map(facts).sort());
    expect(one.calls.length).toBeGreaterThan(60);
    expect(three.calls.every(({ outcome }) => outcome === 'ok')).toBe(true);
  });

  test('sends back what was answered: later turns find the earlier ones in the cache', () => {
    const later = three.calls.filter(({ iteration }) => iteration === 2);
    for (const { cachedTokens, promptTokens } of later) expect(promptTokens - cachedTokens!).toBeLessThan(70);
  });

  test('knows what each thread measured', () => {
    const { client } = three.measured!;
    expect(client.workers).toBe(3);
    expect(three.itlMs.count).toBe(one.itlMs.count);
    expect(client.chunkGapMs.count).toBe(client.chunks - three.calls.length);
    expect(client.rate!.plannedPerSec).toBeCloseTo(one.measured!.client.rate!.plannedPerSec, 9);
    expect(client.lagMs.n).toBe(three.calls.length);
    expect(client.loopDelayMs.n).toBeGreaterThan(10);
  });
});

test('calls of a thread can be given up', async () => {
  const server = await emulator();
  const output = await replayed(
    SCENARIO,
    liveDeployment({ main: [server.url] }, '{ budget: { llm_calls: 100000 } }'),
    {
      workers: 2,
      during: async replay => {
        await expect
          .poll(() => replay.progress.callsInFlight, { interval: 5, timeout: 10_000 })
          .toBeGreaterThan(2);
        replay.interrupt();
      },
    },
  );
  expect(output.interrupted).toBe(true);
  expect(output.calls.some(({ outcome }) => outcome === 'unfinished')).toBe(true);
  await isIdle(server);
  await server.close();
});

test('a thread that breaks is told of, and closing does not wait for it', async () => {
  const broken: Error[] = [];
  const target = { name: 'main', modelId: 'm', isHosted: true, endpoints: [null] };
  const senders = new ThreadedSenders(
    2,
    { zero: startClock().zero, environment: {}, targets: [target as unknown as SenderTarget] },
    { firstToken() {}, ended() {} },
    error => broken.push(error),
  );
  await expect.poll(() => broken.length, { timeout: 10_000 }).toBeGreaterThan(0);
  expect(await senders.report()).toEqual([]);
  await senders.close();
});
