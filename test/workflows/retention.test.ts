// What prefixes are worth keeping: said in the scenario, told to the engine by ranges of the prompt, and obeyed by one
// that retains by priority.
import { describe, expect, test } from 'vitest';
import { walk } from '../../scenarios/workflows/walk.ts';
import { planOf, sessionsOf } from '../builders/scenarios.ts';
import { simulated } from '../builders/worlds.ts';

const scenario = (keeping: string, prefix: string): string => `
windtunnel: 1
models: { m: { model: ministral-3-14b } }
prefixes:
  system: { tokens: 64${keeping} }
  tools: { tokens: 32 }
workflows:
  ask: { prefix: [${prefix}], steps: [ { llm: a, adds: 16, out: 4 } ] }
  other: { steps: [ { llm: b, adds: 200, out: 4 } ] }
traffic:
  - { name: first, workflow: ask, arrival: { at_once: true }, sessions: 1 }
  - { name: flood, workflow: other, arrival: { constant: { rate: 4/s } }, sessions: 8 }
  - { name: last, workflow: ask, start: 10s, arrival: { at_once: true }, sessions: 1 }
`;

const deployment = (engine: string): string => `
windtunnel: 1
deployment: small
pools:
  main:
    model: ministral-3-14b
    engine: ${engine}
    step: { model: affine, base: 10ms }
    limits: { max_model_len: 256, kv_blocks: 16, block_size: 32, max_num_seqs: 1, max_num_batched_tokens: 256 }
`;

describe('retention', () => {
  const said = (keeping: string) =>
    walk(sessionsOf(planOf(scenario(keeping, 'tools, system')))[0]!).calls[0]!.retention;

  test('a prefix with a priority or a ttl is a range of the prompt; others say nothing', () => {
    expect(said(', priority: 90, ttl: 60s')).toEqual([
      { fromToken: 32, toToken: 96, priority: 90, durationMs: 60_000 },
    ]);
    expect(said(', priority: 90')).toEqual([{ fromToken: 32, toToken: 96, priority: 90, durationMs: null }]);
    expect(said(', ttl: 5m')).toEqual([{ fromToken: 32, toToken: 96, priority: 100, durationMs: 300_000 }]);
    expect(said('')).toBeUndefined();
  });

  test('a label is a priority, where the prefix has no word of its own', () => {
    const priorities = (keeping: string) => said(keeping)?.map(({ priority }) => priority);
    expect(said(', retention: durable')).toEqual([
      { fromToken: 32, toToken: 96, priority: 80, durationMs: null },
    ]);
    // As much as the history, of which nothing is said.
    expect(priorities(', retention: session')).toEqual([35]);
    expect(priorities(', retention: ephemeral')).toEqual([10]);
    expect(priorities(', retention: durable, priority: 20')).toEqual([20]);
    expect(said(', retention: ephemeral, ttl: 5m')).toMatchObject([{ priority: 100, durationMs: 300_000 }]);
  });

  /** Of the last call: tokens found in the cache, after eight others went through one that holds little more than two. */
  const found = (keeping: string, engine: string) => {
    const plan = planOf(scenario(keeping, 'system, tools'));
    const { calls } = simulated(plan, deployment(engine));
    return calls.find(({ cohort }) => cohort === 'last')?.cachedTokens;
  };

  test('tensorrt-llm keeps what has a priority, for as long as it is to; vllm knows of none', () => {
    expect(found('', 'tensorrt-llm')).toBe(0);
    expect(found(', priority: 90', 'tensorrt-llm')).toBe(64);
    expect(found(', priority: 90, ttl: 60s', 'tensorrt-llm')).toBe(64);
    expect(found(', priority: 90, ttl: 100ms', 'tensorrt-llm')).toBe(0);
    expect(found(', priority: 90', 'vllm')).toBe(0);
    expect(found(', retention: durable', 'tensorrt-llm')).toBe(64);
    expect(found(', retention: session', 'tensorrt-llm')).toBe(0);
  });
});
