// What a replay knows of its servers at its end, through the run itself: on the emulator, which counts exactly.
import { afterEach, expect, test } from 'vitest';
import { prepare } from '../../engines/prepare.ts';
import { startClock } from '../../loadgen/clock.ts';
import { startReplay } from '../../loadgen/start.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { planOf } from '../builders/scenarios.ts';
import { deploymentOf, HEADER } from '../builders/worlds.ts';
import { emulator, liveDeployment } from './live.ts';

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

const SCENARIO = `
windtunnel: 1
seed: 3
models: { main: { model: ministral-3-14b }, spare: { model: ministral-3-14b } }
prefixes: { system: { tokens: 320, scope: global } }
workflows:
  w:
    steps:
      - { llm: first, model: main, prefix: [ system ], adds: 64, out: 20 }
      - { llm: second, model: spare, adds: 32, out: 10 }
traffic: [ { workflow: w, arrival: { poisson: { rate: 40/s } }, sessions: 30 } ]
`;

async function replayed(url: string): Promise<RunOutput> {
  const plan = planOf(SCENARIO);
  const deployment = deploymentOf(liveDeployment({ main: [url], spare: [url] }));
  const { poolOf, issues } = prepare(plan, deployment);
  expect(issues).toEqual([]);
  return startReplay({
    plan,
    deployment,
    poolOf,
    header: HEADER,
    clock: startClock(),
    environment: {},
  }).run();
}

test('each server is reported by itself, and counts what we sent it: no warm-up, no other model', async () => {
  const server = await emulator();
  open.push(server.close);
  // An earlier run, which is not of this one.
  await replayed(server.url);
  const { calls, measured, timeline } = await replayed(server.url);
  expect(measured!.servers.map(({ replica }) => replica)).toEqual(['main/0', 'spare/0']);
  for (const report of measured!.servers) {
    const own = calls.filter(({ pool }) => pool === report.pool);
    expect(own.every(({ outcome }) => outcome === 'ok')).toBe(true);
    const sum = (of: (call: (typeof own)[number]) => number): number =>
      own.reduce((total, call) => total + of(call), 0);
    expect(report).toMatchObject({
      engine: 'vllm',
      restarted: false,
      requestsFinished: own.length,
      promptTokens: sum(call => call.promptTokens),
      outputTokens: sum(call => call.outputTokens),
      prefixQueriedTokens: sum(call => call.promptTokens),
      prefixHitTokens: sum(call => call.cachedTokens ?? 0),
      preemptions: 0,
      kvBlocks: 65_536,
      blockTokens: 16,
      scrapesFailed: 0,
    });
    const { ttft, e2e, itl } = report.latencies;
    expect(ttft!.count).toBe(own.length);
    expect(e2e!.count).toBe(own.length);
    expect(itl!.count).toBe(sum(call => call.outputTokens - 1));
    // Ours counts from the plan and holds the way there and back: never less than the server's.
    const ours = sum(call => call.endMs! - call.sentMs!) / own.length;
    expect(e2e!.sum / e2e!.count).toBeLessThanOrEqual(ours);
  }
  expect(measured!.gpus).toEqual([]);
  expect(new Set(timeline.map(({ pool }) => pool))).toEqual(new Set(['main', 'spare']));
  expect(measured!.client.serverInFlightMax).not.toBeNull();
});
