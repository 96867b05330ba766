// Servers and networks that fail under load: every call ends in time and under the right name, other endpoints go on, and
// the summary counts what was lost.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { prepare } from '../../engines/prepare.ts';
import { startClock } from '../../loadgen/clock.ts';
import type { Replay } from '../../loadgen/replay.ts';
import { startReplay } from '../../loadgen/start.ts';
import { sha256 } from '../../reports/publish.ts';
import { summarise } from '../../reports/summary.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { type FaultyProxy, proxyTo } from '../builders/proxy.ts';
import { planOf } from '../builders/scenarios.ts';
import { deploymentOf, HEADER } from '../builders/worlds.ts';
import { emulator, type LiveEmulator, liveDeployment } from './live.ts';

const STALL_MS = 600;

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function served(): Promise<{ server: LiveEmulator; proxy: FaultyProxy }> {
  const server = await emulator();
  open.push(server);
  const proxy = await proxyTo(server.url);
  open.push(proxy);
  return { server, proxy };
}

/** Six sessions of four calls, half of them on a pool behind a proxy and half on another that nothing happens to. */
const scenario = (outTokens: number): string => `
windtunnel: 1
seed: 5
models: { main: { model: ministral-3-14b }, spare: { model: ministral-3-14b } }
workflows:
  struck: { model: main, steps: [ { repeat: four, times: 4, steps: [ { llm: ask, adds: 20, out: ${outTokens} } ] } ] }
  spared: { model: spare, steps: [ { repeat: four, times: 4, steps: [ { llm: ask, adds: 20, out: ${outTokens} } ] } ] }
traffic:
  - { workflow: struck, arrival: { at_once: true }, sessions: 6 }
  - { workflow: spared, arrival: { at_once: true }, sessions: 6 }
`;

async function run(
  proxy: FaultyProxy,
  during: (replay: Replay) => unknown,
): Promise<{ output: RunOutput; tookMs: number }> {
  const spare = await emulator();
  open.push(spare);
  const plan = planOf(scenario(150));
  const deployment = deploymentOf(liveDeployment({ main: [proxy.url], spare: [spare.url] }));
  const { poolOf } = prepare(plan, deployment);
  const replay = startReplay({
    plan,
    deployment,
    poolOf,
    header: HEADER,
    clock: startClock(),
    environment: {},
    idleTimeoutMs: STALL_MS,
  });
  const startedMs = performance.now();
  const running = replay.run();
  // Warm-up streams as well, one at a time.
  await expect.poll(() => proxy.streaming, { timeout: 10_000, interval: 5 }).toBe(6);
  await during(replay);
  const output = await running;
  const spared = output.calls.filter(({ pool }) => pool === 'spare');
  expect(spared).toHaveLength(24);
  expect(spared.every(({ outcome }) => outcome === 'ok')).toBe(true);
  const struck = output.workflows.filter(({ workflow }) => workflow === 'struck');
  expect(struck).toHaveLength(6);
  return { output, tookMs: performance.now() - startedMs };
}

/** Errors of the struck pool, by code, and the same from the summary. */
function errorsOf(output: RunOutput): Record<string, number> {
  const { counts } = summarise(output, sha256);
  expect(counts.calls.planned).toBe(counts.calls.ok + counts.calls.error);
  expect(Object.values(counts.errors).reduce((sum, count) => sum + count, 0)).toBe(counts.calls.error);
  return counts.errors;
}

describe('a network that', () => {
  test('goes silent under open streams: they end as `stall` after --stall', async () => {
    const { proxy } = await served();
    const { output } = await run(proxy, () => proxy.set('silent'));
    expect(errorsOf(output)).toEqual({ stall: 6 });
    for (const call of output.calls.filter(({ error }) => error === 'stall')) {
      expect(call.firstTokenMs).not.toBe(null);
      const lastedMs = (call.endMs as number) - (call.sentMs as number);
      expect(lastedMs).toBeGreaterThanOrEqual(STALL_MS);
      expect(lastedMs).toBeLessThan(STALL_MS + 3000);
    }
  });

  test('resets every connection: streams end as `stream_cut` at once, later calls go on', async () => {
    const { proxy } = await served();
    const { output, tookMs } = await run(proxy, () => proxy.reset());
    expect(errorsOf(output)).toEqual({ stream_cut: 6 });
    expect(tookMs).toBeLessThan(10_000);
  });

  test('refuses everybody from some time on: `connect`, and nothing waits', async () => {
    const { proxy } = await served();
    const { output } = await run(proxy, () => {
      proxy.set('refusing');
      proxy.reset();
    });
    // A workflow ends with the first call that fails: those under way were cut.
    expect(errorsOf(output)).toEqual({ stream_cut: 6 });
    proxy.set('refusing');
    const later = await runDead(proxy.url);
    expect(errorsOf(later)).toEqual({ connect: 6 });
  });
});

test('an endpoint that takes requests and says nothing: no first byte within --stall is a `stall`', async () => {
  const server = createServer((request, response) => {
    if (request.method === 'GET') response.writeHead(404).end();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  open.push({
    close: async () => {
      server.closeAllConnections();
      server.close();
    },
  });
  const output = await runDead(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`);
  expect(errorsOf(output)).toEqual({ stall: 6 });
  for (const { sentMs, endMs } of output.calls)
    expect((endMs as number) - (sentMs as number)).toBeLessThan(STALL_MS + 2000);
});

test('an endpoint that is alive and far too slow ends calls as `timeout` after --timeout', async () => {
  const { proxy } = await served();
  const slow = await runDead(proxy.url, { outTokens: 900, timeoutMs: 1500 });
  expect(errorsOf(slow)).toEqual({ timeout: 6 });
  for (const { sentMs, endMs } of slow.calls) {
    expect((endMs as number) - (sentMs as number)).toBeGreaterThanOrEqual(1499);
    expect((endMs as number) - (sentMs as number)).toBeLessThan(4000);
  }
});

/** The struck sessions alone. */
async function runDead(url: string, { outTokens = 60, timeoutMs = 30_000 } = {}): Promise<RunOutput> {
  const plan = planOf(scenario(outTokens).replace(/ {2}- \{ workflow: spared.*\n/, ''));
  const deployment = deploymentOf(liveDeployment({ main: [url], spare: [url] }));
  const { poolOf } = prepare(plan, deployment);
  return startReplay({
    plan,
    deployment,
    poolOf,
    header: HEADER,
    clock: startClock(),
    environment: {},
    idleTimeoutMs: STALL_MS,
    timeoutMs,
  }).run();
}
