// vLLM in all five dialects: what it counts, which lengths it keeps, and what it says of itself.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { prepare } from '../../engines/prepare.ts';
import { startClock } from '../../loadgen/clock.ts';
import { firstCalls } from '../../loadgen/first-call.ts';
import { startReplay } from '../../loadgen/start.ts';
import { WIRE_APIS, type WireApi } from '../../scenarios/formats/wire.ts';
import { planOf, workflowText } from '../builders/scenarios.ts';
import { hasVllm, startVllm, type Vllm } from '../builders/vllm.ts';
import { deploymentOf, HEADER } from '../builders/worlds.ts';

const START_MS = 900_000;
const TEST_MS = 120_000;
const SCENARIO = workflowText(
  '[ { llm: a, prefix: [system], adds: 60, out: 12 }, { llm: b, adds: 30, out: 6 } ]',
  '',
  3,
);

async function replayedOn(url: string, api: WireApi) {
  const plan = planOf(SCENARIO);
  const deployment = deploymentOf(`
windtunnel: 1
deployment: vllm
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 4096, kv_blocks: 1024, block_size: 128, max_num_batched_tokens: 1024, max_num_seqs: 32 }
    step: { model: affine, base: 10ms, per_token: 1ms }
    endpoints: [ { url: ${url}, model: tiny, api: ${api} } ]
`);
  const environment = {};
  const targets = deployment.pools.map(({ name, endpoints }) => ({ what: name, endpoints }));
  const first = await firstCalls({ deployment, targets, environment, vocabTokens: 4096 });
  const replay = startReplay({
    plan,
    deployment: first.deployment,
    poolOf: prepare(plan, deployment).poolOf,
    header: HEADER,
    clock: startClock(),
    environment,
    vocabTokens: 4096,
  });
  return { first, planned: plan, output: await replay.run() };
}

describe.skipIf(!hasVllm)('vLLM (set WINDTUNNEL_VLLM to its executable)', () => {
  let vllm: Vllm;
  beforeAll(async () => {
    vllm = await startVllm();
  }, START_MS);
  afterAll(() => vllm?.close());

  test.each(WIRE_APIS)(
    '%s: every call is answered, counted and timed',
    async api => {
      const { first, output } = await replayedOn(vllm.url, api);
      expect(first.warnings).toEqual([]);
      expect(first.deployment.pools[0]?.endpoints[0]?.server.kind).toBe('vllm');
      expect(output.calls).toHaveLength(6);
      for (const call of output.calls) {
        const { outcome, error, promptTokens, outputTokens, sentMs, firstTokenMs, endMs } = call;
        expect([outcome, error]).toEqual(['ok', null]);
        const planned = call.parts.reduce((sum, part) => sum + part.tokens, 0);
        if (api === 'tokens') expect(promptTokens).toBe(planned);
        else expect(promptTokens).toBeGreaterThan(0);
        const wanted = call.call === 'a' ? 12 : 6;
        // vLLM's messages know no ignore_eos: the limit is all there is.
        if (api === 'messages') expect(outputTokens).toBeLessThanOrEqual(wanted);
        else expect(outputTokens).toBe(wanted);
        expect(sentMs!).toBeLessThan(firstTokenMs!);
        expect(firstTokenMs!).toBeLessThanOrEqual(endMs!);
      }
    },
    TEST_MS,
  );
});
