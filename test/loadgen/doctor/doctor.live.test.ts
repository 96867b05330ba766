// The doctor, and what a run knows of its server, on a real vLLM.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepare } from '../../../engines/prepare.ts';
import { startClock } from '../../../loadgen/clock.ts';
import { createAsker } from '../../../loadgen/doctor/ask.ts';
import { diagnose } from '../../../loadgen/doctor/diagnose.ts';
import { endpointYaml } from '../../../loadgen/doctor/text.ts';
import { startReplay } from '../../../loadgen/start.ts';
import { planOf } from '../../builders/scenarios.ts';
import { hasVllm, startVllm, type Vllm } from '../../builders/vllm.ts';
import { deploymentOf, HEADER } from '../../builders/worlds.ts';

describe.skipIf(!hasVllm)('a real vLLM', () => {
  let vllm: Vllm;
  beforeAll(async () => {
    vllm = await startVllm();
  }, 600_000);
  afterAll(() => vllm.close());

  async function examined(url: string, model: string | null = null) {
    const { ask, close } = createAsker(60_000);
    try {
      return await diagnose({ url, model, key: null, keyEnv: null, ask, salt: `visit ${Date.now()}` });
    } finally {
      close();
    }
  }

  test('is found to have all but our tokenizer, and hits in its usage', async () => {
    const { findings, endpoint, contextTokens, exitCode } = await examined(vllm.url);
    expect(exitCode).toBe(0);
    expect(contextTokens).toBe(4096);
    expect(findings.filter(({ state }) => state === 'missing').map(({ name }) => name)).toEqual([
      'tokenizer',
    ]);
    const says = (name: string) => findings.find(finding => finding.name === name)?.says;
    expect(says('metrics')).toMatch(/^vllm \d+\.\d+.* at \/metrics; KV cache of [\d,]+ blocks x 128 tokens$/);
    expect(says('vocabulary')).toBe('refuses ids from 4,096 on; a replay keeps below');
    expect(says('prefix cache')).toMatch(
      /^the same prompt again: 256 of 300 tokens found, by metrics alone$/,
    );
    expect(says('cancelling')).toMatch(/nothing ran$/);
    expect(endpoint).toMatchObject({
      url: vllm.url,
      model: 'tiny',
      api: 'tokens',
      server: 'vllm',
      takes: null,
    });
  }, 120_000);

  test('a wrong path and a wrong model are answered with the right ones', async () => {
    const path = await examined(vllm.url.replace(/\/v1$/, ''));
    expect(path.findings.find(({ name }) => name === 'path')?.write).toBe(`url: ${vllm.url}`);
    const model = await examined(vllm.url, 'tinny');
    expect(model.exitCode).toBe(99);
    expect(model.findings.at(-1)?.says).toContain('did you mean "tiny"?');
  }, 120_000);

  test('the endpoint that it writes is replayed on, and the server counts the same as we', async () => {
    const { endpoint } = await examined(vllm.url);
    const plan = planOf(`
windtunnel: 1
seed: 5
models: { main: { model: ministral-3-14b } }
prefixes: { system: { tokens: 256, scope: global } }
workflows:
  w:
    steps:
      - { llm: first, prefix: [ system ], adds: 64, out: 20 }
      - { llm: second, adds: 32, out: 10 }
traffic: [ { workflow: w, arrival: { poisson: { rate: 2/s } }, sessions: 6 } ]
`);
    const deployment = deploymentOf(`
windtunnel: 1
deployment: live
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 4096, kv_blocks: 2048, block_size: 128 }
    step: { model: affine, base: 10ms }
    ${endpointYaml(endpoint!).replaceAll('\n', '\n    ')}`);
    const { poolOf } = prepare(plan, deployment);
    const replay = startReplay({
      plan,
      deployment,
      poolOf,
      header: HEADER,
      clock: startClock(),
      environment: {},
      vocabTokens: 4096,
    });
    const { calls, measured } = await replay.run();
    expect(calls.map(({ outcome }) => outcome)).toEqual(Array(12).fill('ok'));
    const [server] = measured!.servers;
    const sum = (of: (call: (typeof calls)[number]) => number): number =>
      calls.reduce((total, call) => total + of(call), 0);
    expect(server).toMatchObject({
      engine: 'vllm',
      restarted: false,
      requestsFinished: 12,
      promptTokens: sum(call => call.promptTokens),
      outputTokens: sum(call => call.outputTokens),
      preemptions: 0,
      blockTokens: 128,
    });
    expect(server!.version).toMatch(/^0\./);
    expect(server!.latencies.ttft!.count).toBe(12);
    expect(server!.prefixHitTokens).toBeGreaterThanOrEqual(11 * 256);
    // Arrival to first token at the server is inside of ours.
    const oursMs = sum(call => call.firstTokenMs! - call.sentMs!) / 12;
    expect(server!.latencies.ttft!.sum / 12).toBeLessThan(oursMs);
    expect(server!.latencies.ttft!.sum / 12).toBeGreaterThan(0.5 * oursMs);
  }, 180_000);
});
