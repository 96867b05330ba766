// Prompts on a real vLLM: it counts as many tokens as planned, and finds in its cache what the plan says it has.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { CallRecord } from '../../scenarios/formats/record.ts';
import type { WireApi } from '../../scenarios/formats/wire.ts';
import { hasVllm, startVllm, type Vllm } from '../builders/vllm.ts';
import { type Governed, replayed } from './live.ts';

/** Its start takes a minute or two where nothing else runs. */
const VLLM_TEST_MS = 1_200_000;
const BLOCK_TOKENS = 128;

/** One after the other, so that what is cached does not depend on the time. */
const scenario = (steps: string, sessions: number, rules = 256): string => `
windtunnel: 1
seed: 11
models: { main: { model: ministral-3-14b } }
prefixes: { rules: { tokens: ${rules}, scope: global } }
workflows: { main: { model: main, prefix: [rules], steps: [ ${steps} ] } }
traffic: [ { workflow: main, arrival: { closed: { agents: 1, think: 10ms } }, sessions: ${sessions} } ]
`;

const deployment = (url: string, api: WireApi): string => `
windtunnel: 1
deployment: vllm
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 4096, kv_blocks: 1024, block_size: 128, max_num_batched_tokens: 1024, max_num_seqs: 32 }
    step: { model: affine, base: 10ms, per_token: 1ms }
    endpoints: [ { url: ${url}, model: tiny, api: ${api}, server: vllm } ]
gateway: { budget: { llm_calls: 100000 } }
`;

const plannedOf = ({ parts }: CallRecord): number => parts.reduce((sum, part) => sum + part.tokens, 0);

describe.skipIf(!hasVllm)('prompts on vLLM (set WINDTUNNEL_VLLM to its executable)', () => {
  let vllm: Vllm;
  beforeAll(async () => {
    vllm = await startVllm();
  }, VLLM_TEST_MS);
  afterAll(() => vllm?.close());

  test.each(['chat', 'responses', 'messages', 'completions', 'tokens'] as const)(
    '%s: prompts of 50 to 3,000 tokens are counted within 1 %',
    async api => {
      const adds = [49, 60, 200, 700, 1980];
      const steps = adds.map((tokens, i) => `{ llm: ask${i}, adds: ${tokens}, out: 2 }`);
      const run = await replayed(scenario(steps.join(', '), 2, 1), deployment(vllm.url, api));
      expect(run.calls.map(({ outcome }) => outcome)).toEqual(Array.from({ length: 10 }, () => 'ok'));
      expect(Math.max(...run.calls.map(plannedOf))).toBeGreaterThan(2990);
      for (const call of run.calls)
        expect(Math.abs(call.promptTokens / plannedOf(call) - 1)).toBeLessThanOrEqual(0.01);
      console.log(run.header.evidence.at(-1));
    },
    VLLM_TEST_MS,
  );

  test('a session that goes on is counted as planned, and finds what it was sent and answered before', async () => {
    const turns = '{ repeat: turns, times: 4, steps: [ { llm: ask, adds: 300, out: 64 } ] }';
    const run: Governed = await replayed(scenario(turns, 4), deployment(vllm.url, 'chat'));
    const [report] = run.measured!.prompts!;
    console.log(run.header.evidence.at(-1));
    expect(report!.offTokens / report!.plannedTokens).toBeLessThan(0.01);
    // The first session finds nothing, later ones the rules; a turn finds at least the prompt of the one before it.
    const blocks = (tokens: number) => Math.floor(tokens / BLOCK_TOKENS) * BLOCK_TOKENS;
    const prompts = run.calls.map(plannedOf);
    const planned = prompts.reduce(
      (sum, _, i) => sum + (i % 4 > 0 ? blocks(prompts[i - 1]!) : i === 0 ? 0 : blocks(256)),
      0,
    );
    const { prefixHitTokens } = run.measured!.servers[0]!;
    console.log(`found in the cache: ${prefixHitTokens} tokens, planned at least ${planned}`);
    expect(prefixHitTokens!).toBeGreaterThanOrEqual(planned);
  });
});
