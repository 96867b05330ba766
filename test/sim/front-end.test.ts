import { describe, expect, test } from 'vitest';
import { ttftMs } from '../../scenarios/formats/record.ts';
import { planOf } from '../builders/scenarios.ts';
import { deploymentOf, simulated } from '../builders/worlds.ts';

const PROFILE = {
  windtunnel_profile: 1,
  name: 'p',
  measured: { engine: 'vllm', model: 'm', gpu: 'cpu', at: '2026-11-20', by: 'test' },
  step: { base_ms: 10, per_prefill_token_us: 100 },
  range: { decodes: 64, context_tokens: 4096, prefill_tokens: 4096 },
  expected_error: { ttft: null, tpot: null, e2e: null },
};

const deployment = (frontend: object, more = ''): string => `
windtunnel: 1
deployment: test
pools:
  main:
    model: m
    limits: { max_model_len: 4096, kv_blocks: 4096, max_num_batched_tokens: 4096, max_num_seqs: 64, async_scheduling: false }
    step: { model: profile, file: ${JSON.stringify({ ...PROFILE, frontend })} }
    ${more}
`;

/** Times to the first tokens of `sessions` calls of 100 prompt tokens that come at once, in order. */
function firstTokensMs(text: string, sessions: number): number[] {
  const plan = planOf(`
windtunnel: 1
name: burst
models:
  m: { model: m }
workflows:
  one:
    steps:
      - { llm: call, adds: 100, out: 1 }
traffic:
  - { workflow: one, arrival: { closed: { agents: ${sessions} } }, sessions: ${sessions} }
`);
  return simulated(plan, text)
    .calls.map(call => ttftMs(call)!)
    .sort((a, b) => a - b);
}

describe('the way to the engine of a calibrated profile', () => {
  test('takes its time, and more with longer prompts', () => {
    // 5 ms, 100 tokens of 20 us, and a step of 10 + 100 x 0.1 ms.
    expect(firstTokensMs(deployment({ base_ms: 5, per_prompt_token_us: 20 }), 1)).toEqual([27]);
  });

  test('gives way to what the pool itself says', () => {
    const text = deployment({ base_ms: 5, per_prompt_token_us: 20, serial_ms: 5 }, 'api_latency: 1ms');
    expect(firstTokensMs(text, 2)).toEqual([31, 31]);
  });

  test('is taken together where nothing of it is serial', () => {
    expect(firstTokensMs(deployment({ base_ms: 6 }), 3)).toEqual([46, 46, 46]);
  });

  test('keeps calls that come at once behind each other: the first is computed alone', () => {
    // At the engine after 6, 10 and 14 ms; the first step is 20 ms, the second has the other two: 30 ms.
    expect(firstTokensMs(deployment({ base_ms: 6, serial_ms: 4 }), 3)).toEqual([26, 56, 56]);
  });

  test('is shared by the replicas of a pool, each of which has its own', () => {
    const { frontEnd } = deploymentOf(deployment({ base_ms: 6, serial_ms: 4 }, 'replicas: 2')).pools[0]!;
    expect(frontEnd).toEqual({ ms: 6, msPerToken: 0, serialMs: 2 });
  });
});
