// The law of the way out: each key of a deployment is in what operators paste, or listed as not in it.
import { describe, expect, test } from 'vitest';
import { operatorFiles, targets } from '../../../engines/operators/index.ts';
import { ledgerOf, pathText } from '../../../engines/operators/ledger.ts';
import type { DeploymentFile } from '../../../scenarios/formats/deployment/deployment.ts';
import { fileOf } from './files.ts';

type Fields = Record<string, unknown>;
type Path = (string | number)[];

/** No value is the one that is there without it. */
const machine = {
  replicas: 3,
  tensor_parallel: 2,
  pipeline_parallel: 2,
  data_parallel: 2,
  expert_parallel: true,
  precision: { weights: 'fp8', kv: 'fp8' },
  limits: {
    max_model_len: 32_768,
    max_num_seqs: 64,
    max_num_batched_tokens: 4096,
    gpu_memory_utilization: 0.85,
    block_size: 32,
    kv_blocks: 5000,
    enable_prefix_caching: false,
    max_queued_requests: 10,
    max_queued_tokens: 1000,
    async_scheduling: false,
    performance_mode: 'throughput',
    scheduling_policy: 'priority',
    enable_chunked_prefill: false,
    long_prefill_token_threshold: 100,
    cpu_offload_gb: 2,
  },
  price: '3/h',
  gpu_figures: { memory: '80GB' },
  cold_start: '60s',
  spot: { rate: '1/d', notice: '20s' },
  drain: 'workflows',
  drain_max: '20m',
};
const horizontal = { metric: 'queue', target: 3, also: { kv_usage: 0.7 }, min: 2, max: 9, signal_age: '1s' };
const rates = {
  interval: '20s',
  tolerance: 0.2,
  down_window: '60s',
  up_ratio: 0.5,
  up_replicas: 2,
  down_ratio: 0.5,
};
const everything = fileOf({
  windtunnel: 1,
  deployment: 'everything',
  description: 'all of it',
  places: { here: { kind: 'region' }, there: { kind: 'provider' } },
  links: { between: { between: ['here', 'there'], rtt: '5ms' } },
  pools: {
    main: {
      model: 'qwen3-30b-a3b',
      gpu: 'h200-141gb-sxm',
      engine: 'vllm',
      ...machine,
      speculative: { method: 'draft', tokens: 3, accepted: 2, model: 'qwen3-0.6b' },
      autoscaler: { policy: 'hpa', ...horizontal, ...rates },
      step: { model: 'affine', base: '8ms' },
      kv_tiers: [{ tier: 'cpu', capacity: '100GB', read: '50GB/s' }],
      retention: { policy: 'ttl', ttl: '1m' },
      lora: { adapters: ['a'] },
      place: 'here',
      api_latency: '2ms',
      endpoints: [{ url: 'http://127.0.0.1:8000/v1', model: 'm', key_env: 'KEY' }],
    },
    split: {
      model: 'llama-3.1-70b',
      gpu: 'h100-80gb-sxm',
      limits: { max_model_len: 8192 },
      prefill: { replicas: 2, tensor_parallel: 2, limits: { max_num_seqs: 8 } },
      decode: {
        gpu: 'b200-sxm',
        autoscaler: {
          policy: 'keda',
          ...horizontal,
          ...rates,
          polling: '10s',
          cooldown: '1m',
          activation: 1,
        },
      },
      link: { bandwidth: '50GB/s', latency: '10us', overlap: true, first_token: 'decode', local_below: 100 },
    },
    known: {
      model: 'llama-3.1-8b',
      gpu: 'l40s',
      autoscaler: { policy: 'knative', max: 4, concurrency: 10 },
      limits: { scheduling_policy: 'edf' },
    },
    other: { model: 'llama-3.1-8b', gpu: 'l40s', engine: 'sglang' },
  },
  providers: { vendor: { models: { 'gpt-5-mini': {} }, place: 'there' } },
  tools: { sandbox: { warm_pool: 2 } },
  stores: { memory: { kind: 'kv', read: '1ms' } },
  agents: { place: 'here' },
  gateway: {
    admission: { policy: 'dynamo_queue', order: 'session_las', threshold: 8, queue: 3 },
    breaker: {},
  },
  routing: { policy: 'dynamo-kv', temperature: 0.5, host_credit: 0.5, index: 'predicted' },
  signals: { scrape: '1s' },
  allow_hosts: ['example.com'],
});

/** Paths of everything that is no mapping and no list. */
function* leaves(value: unknown, path: Path = []): Generator<Path> {
  if (typeof value !== 'object' || value === null || Object.keys(value).length === 0) yield path;
  else
    for (const [key, inner] of Object.entries(value))
      if (inner !== undefined) yield* leaves(inner, [...path, Array.isArray(value) ? Number(key) : key]);
}

function withoutLeaf(file: DeploymentFile, path: Path): DeploymentFile {
  const copy = structuredClone(file);
  let at = copy as unknown as Fields;
  for (const key of path.slice(0, -1)) at = at[key] as Fields;
  delete at[path.at(-1) as string];
  return copy;
}

const textOf = (file: DeploymentFile, target: string): string =>
  operatorFiles(file, [target])
    .map(({ text }) => text.replace(/^#(?! pool).*\n/gm, ''))
    .join('');

/** Names of the file itself, and keys without which a file is none. */
const NAMES =
  /^(windtunnel|deployment|description)$|\.(engine|model|policy|metric|target|max|method|tokens)$/;

describe.each(targets.map(({ name }) => name))('to %s', target => {
  test('each key changes what is written, or is listed', () => {
    const whole = textOf(everything, target);
    const told = operatorFiles(everything, [target]).flatMap(({ unmapped }) =>
      unmapped.map(({ path }) => path),
    );
    const silent: string[] = [];
    for (const path of leaves(everything)) {
      const text = pathText(path);
      const isTold = told.some(
        each => text === each || text.startsWith(`${each}.`) || text.startsWith(`${each}[`),
      );
      if (isTold || NAMES.test(text)) continue;
      if (textOf(withoutLeaf(everything, path), target) === whole) silent.push(text);
    }
    expect(silent).toEqual([]);
  });
});

test('a ledger tells a mapping once where nothing of it was used', () => {
  const ledger = ledgerOf({ a: { b: 1, c: { d: [1, { e: 2 }] } }, f: { g: 1 }, h: {} });
  expect(ledger.take('a', 'c', 'd', 1)).toEqual({ e: 2 });
  expect(ledger.left().map(pathText)).toEqual(['a.b', 'a.c.d[0]', 'f', 'h']);
});
