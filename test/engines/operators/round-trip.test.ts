// A deployment to each target and back: what maps comes back as it was.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { operatorFiles, targets } from '../../../engines/operators/index.ts';
import { readOperators } from '../../../engines/operators/read.ts';
import type { DeploymentFile } from '../../../scenarios/formats/deployment/deployment.ts';
import { fileOf } from './files.ts';

type Fields = Record<string, unknown>;

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const count = (max: number) => maybe(fc.integer({ min: 1, max }));

const limits = fc.record({
  max_model_len: count(1_000_000),
  max_num_batched_tokens: count(100_000),
  max_num_seqs: count(4096),
  gpu_memory_utilization: maybe(fc.constantFrom(0.5, 0.85, 0.92, 1)),
  block_size: maybe(fc.constantFrom(16, 32, 128)),
  kv_blocks: count(1_000_000),
  enable_prefix_caching: maybe(fc.boolean()),
  enable_chunked_prefill: maybe(fc.boolean()),
  async_scheduling: maybe(fc.boolean()),
  long_prefill_token_threshold: maybe(fc.nat(10_000)),
  scheduling_policy: maybe(fc.constantFrom('fcfs', 'priority')),
  performance_mode: maybe(fc.constantFrom('balanced', 'throughput')),
  max_queued_tokens: count(1_000_000),
});
const horizontal = {
  metric: fc.constantFrom('queue', 'running', 'in_flight', 'rate'),
  target: fc.constantFrom(0.5, 1, 7, 12.25),
  also: maybe(fc.constant({ kv_usage: 0.8 })),
  min: fc.integer({ min: 1, max: 3 }),
  max: fc.integer({ min: 3, max: 64 }),
  tolerance: maybe(fc.constantFrom(0.05, 0.2)),
  down_window: maybe(fc.constantFrom('60s', '600s')),
  up_ratio: maybe(fc.constantFrom(0.25, 0.5)),
  up_replicas: count(8),
  down_ratio: maybe(fc.constantFrom(0.1, 0.5)),
};
const autoscaler = fc.oneof(
  fc.record({ policy: fc.constant('hpa'), ...horizontal }),
  fc.record({
    policy: fc.constant('keda'),
    ...horizontal,
    min: fc.integer({ min: 0, max: 3 }),
    polling: maybe(fc.constantFrom('10s', '30s')),
    cooldown: maybe(fc.constantFrom('120s')),
    activation: maybe(fc.integer({ min: 0, max: 5 })),
  }),
);
const machine = {
  replicas: count(16),
  tensor_parallel: maybe(fc.constantFrom(1, 2, 4)),
  pipeline_parallel: maybe(fc.constantFrom(1, 2)),
  data_parallel: maybe(fc.constantFrom(1, 2)),
  expert_parallel: maybe(fc.boolean()),
  limits: maybe(limits),
  precision: maybe(
    fc.record({
      weights: maybe(fc.constantFrom('bf16', 'fp8', 'nvfp4')),
      kv: maybe(fc.constantFrom('bf16', 'fp8')),
    }),
  ),
};
const model = fc.constantFrom('llama-3.1-8b', 'qwen3-30b-a3b', 'mistral-small-4', 'gpt-oss-120b');
const gpu = fc.constantFrom('h100-80gb-sxm', 'h200-141gb-sxm', 'a100-80gb-sxm', 'l40s', 'b200-sxm');
const speculative = maybe(
  fc.record({
    method: fc.constantFrom('mtp', 'eagle', 'ngram'),
    tokens: fc.integer({ min: 1, max: 8 }),
    accepted: fc.constant(1.5),
  }),
);

const aggregated = fc.record({ model, gpu, ...machine, speculative });
const scaled = fc.tuple(aggregated, autoscaler).map(([pool, scaler]) => ({ ...pool, autoscaler: scaler }));
const split = fc
  .record({
    model,
    gpu,
    precision: machine.precision,
    limits: machine.limits,
    prefill: fc.record(machine),
    decode: fc.record(machine),
  })
  .map(pool => ({ ...pool, link: { bandwidth: '50GB/s', latency: '10us' } }));

const whole = (pool: Fields, routing?: unknown): DeploymentFile =>
  fileOf(JSON.parse(JSON.stringify({ windtunnel: 1, deployment: 'drawn', pools: { main: pool }, routing })));

// ---- what must come back ----------------------------------------------------------------------------------------

const DEFAULTS: Fields = {
  replicas: 1,
  tensor_parallel: 1,
  pipeline_parallel: 1,
  data_parallel: 1,
  expert_parallel: false,
};
const RATES: Fields = { up_ratio: 1, up_replicas: 4, down_ratio: 1 };

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const without = (fields: Fields, keys: Fields): Fields =>
  Object.fromEntries(
    Object.entries(fields).filter(([key, value]) => value !== keys[key] && value !== undefined),
  );

/** A machine with its pool's fields, defaults and what no target can say left out. */
function canonical(machine: Fields): Fields {
  const { precision, limits: own, speculative: drafts, autoscaler: scaler, drain_max, ...rest } = machine;
  const { weights = 'bf16', kv = 'bf16' } = (precision ?? {}) as Fields;
  const { accepted: _, ...said } = (drafts ?? {}) as Fields;
  const { prefill: _p, decode: _d, link: _l, step: _s, price: _c, api_latency: _a, ...fields } = rest;
  return plain({
    ...without(fields, DEFAULTS),
    precision: { weights, kv },
    limits: own ?? {},
    speculative: said,
    autoscaler: scaler === undefined ? null : without(scaler as Fields, RATES),
    drain_max,
  }) as Fields;
}

function parts(file: DeploymentFile): Fields {
  return Object.fromEntries(
    Object.entries(file.pools ?? {}).flatMap(([name, pool]) => {
      if (pool.prefill === undefined) return [[name, canonical(pool)]];
      return (['prefill', 'decode'] as const).map(half => {
        const own = pool[half] as Fields;
        const { prefill: _p, decode: _d, link: _l, ...shared } = pool as Fields;
        const merged = {
          ...shared,
          ...own,
          limits: { ...(shared.limits as Fields), ...(own.limits as Fields) },
        };
        return [`${name} ${half}`, canonical(merged)];
      });
    }),
  );
}

function back(file: DeploymentFile, target: string): DeploymentFile {
  const text = operatorFiles(file, [target])
    .map(each => each.text)
    .join(target === 'vllm' ? '\n' : '---\n');
  const read = readOperators(text, { file: 'written', name: null, gpu: null, added: [] });
  if ('issues' in read) throw new Error(JSON.stringify(read.issues));
  return fileOf(read.deployment.value);
}

describe.each(targets.map(({ name }) => name))('to %s and back', target => {
  test('an aggregated pool keeps its fields', () => {
    fc.assert(
      fc.property(aggregated, pool => {
        const file = whole(pool);
        expect(parts(back(file, target))).toEqual(parts(file));
      }),
      { numRuns: 30 },
    );
  });

  test('a split pool keeps the fields of both halves', () => {
    fc.assert(
      fc.property(split, pool => {
        const file = whole(pool);
        expect(parts(back(file, target))).toEqual(parts(file));
      }),
      { numRuns: 30 },
    );
  });

  test('is the same text again when what came back is written', () => {
    const file = whole(
      { model: 'mistral-small-4', gpu: 'h200-141gb-sxm', replicas: 3, limits: { max_num_seqs: 64 } },
      'random',
    );
    const named = { ...back(file, target), deployment: 'drawn' };
    const commands = (text: string): string => text.replace(/^#.*\n/gm, '');
    expect(operatorFiles(named, [target]).map(each => commands(each.text))).toEqual(
      operatorFiles(file, [target]).map(each => commands(each.text)),
    );
  });
});

describe.each(['kubernetes', 'dynamo', 'llm-d'])('to %s and back', target => {
  test('HPA and KEDA keep target, bounds, rates and windows', () => {
    fc.assert(
      fc.property(scaled, pool => {
        const file = whole({ ...pool, drain_max: '900s' });
        expect(parts(back(file, target))).toEqual(parts(file));
      }),
      { numRuns: 30 },
    );
  });
});

describe('routing', () => {
  const pool = { model: 'llama-3.1-8b', gpu: 'h100-80gb-sxm', replicas: 2 };
  const dynamoKv = {
    policy: 'dynamo-kv',
    temperature: 0.5,
    prefill_load_scale: 1.5,
    host_credit: 0.6,
    disk_credit: 0.1,
    credit_decay: 0.2,
    active_request_weight: 2,
    predicted_ttl_ms: 60_000,
    burst_ttl_ms: 3000,
    burst_index: true,
    index: 'predicted',
  };
  const llmD = {
    policy: 'llm-d',
    weights: { queue: 1, precise_prefix: 2, token_load: 0.5 },
    affinity_threshold: 0.7,
    exploration: 0.02,
    max_ttft_penalty_ms: 4000,
    prefill_tokens_per_sec: 9866,
  };
  test.each([
    ['dynamo', 'dynamo-kv'],
    ['dynamo', 'round-robin'],
    ['dynamo', 'random'],
    ['dynamo', 'power-of-two'],
    ['dynamo', 'least-outstanding'],
    ['dynamo', dynamoKv],
    ['llm-d', 'llm-d'],
    ['llm-d', 'session-affinity'],
    ['llm-d', 'least-outstanding'],
    ['llm-d', 'random'],
    ['llm-d', llmD],
    ['kubernetes', 'random'],
  ])('of %s comes back: %j', (target, routing) => {
    const file = whole(pool, routing);
    expect(back(file, target).routing).toEqual(routing);
    const unmapped = operatorFiles(file, [target]).flatMap(each => each.unmapped);
    expect(unmapped.filter(({ path }) => path.startsWith('routing'))).toEqual([]);
  });

  test("Dynamo's queue is admission", () => {
    const admission = { policy: 'dynamo_queue', threshold: 4, order: 'wspt' };
    const file = fileOf({
      windtunnel: 1,
      deployment: 'queue',
      pools: { main: pool },
      gateway: { admission },
      routing: 'dynamo-kv',
    });
    expect(back(file, 'dynamo').gateway?.admission).toEqual(admission);
  });
});
