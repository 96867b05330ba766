import { describe, expect, it } from 'vitest';
import { findGpu, findModel } from '../../engines/catalog.ts';
import { vllmDefaults } from '../../engines/defaults.ts';
import type { EngineKind } from '../../engines/engine.ts';
import { resolveLimits } from '../../engines/limits.ts';
import type { ReplicaSetup } from '../../engines/memory.ts';
import type { PoolFile } from '../../scenarios/formats/deployment/pool.ts';

const path = ['pools', 'main'];

function setup(model: string, gpu: string, rest: Partial<ReplicaSetup> = {}): ReplicaSetup {
  return {
    model: findModel(model),
    gpu: findGpu(gpu),
    tensorParallel: 1,
    weights: 'bf16',
    kv: 'bf16',
    ...rest,
  };
}

function resolve(
  replica: ReplicaSetup,
  limits: NonNullable<PoolFile['limits']> = {},
  engine: EngineKind = 'vllm',
) {
  return resolveLimits({ model: replica.model?.id ?? 'tiny', limits }, replica, engine, path);
}

describe('vLLM defaults by GPU memory', () => {
  it.each([
    ['b200-sxm', 16_384, 1024],
    ['mi300x', 16_384, 1024],
    ['h100-80gb-sxm', 8192, 1024],
    ['h200-141gb-sxm', 8192, 1024],
    ['rtx-pro-6000-server', 8192, 1024],
    ['a100-80gb-sxm', 2048, 256],
    ['l40s', 2048, 256],
  ])('%s: %d batched tokens, %d sequences', (gpu, maxBatchedTokens, maxSequences) => {
    expect(vllmDefaults(findGpu(gpu))).toEqual({ maxBatchedTokens, maxSequences });
  });

  it('are those of a CPU without a GPU, by its ranks', () => {
    expect(vllmDefaults(null)).toEqual({ maxBatchedTokens: 2048, maxSequences: 128 });
    expect(vllmDefaults(null, { worldSize: 2 })).toEqual({ maxBatchedTokens: 4096, maxSequences: 256 });
  });
});

describe('KV blocks', () => {
  it('are those that fit, told with the arithmetic', () => {
    const { limits, evidence } = resolve(setup('llama-3.1-8b', 'h100-80gb-sxm'));
    expect(limits).toMatchObject({
      blockTokens: 16,
      kvBlocks: 27169,
      maxModelTokens: 131_072,
      prefixCaching: true,
      maxQueuedRequests: null,
      maxQueuedTokens: null,
      asyncScheduling: true,
    });
    expect(evidence[0]).toBe(
      '27169 KV blocks of 16 tokens = 434704 tokens a replica: 92% of 85.0 GB - weights 16.1 GB (bf16, tensor_parallel 1) - 4.2 GB (sampling 1024 sequences) - 1.0 GB (CUDA, graphs) = 57.0 GB for KV, at 131072 bytes a token',
    );
  });

  it('can be given, and then nothing of the GPU is needed', () => {
    const replica: ReplicaSetup = { model: null, gpu: null, tensorParallel: 1, weights: 'bf16', kv: 'bf16' };
    expect(resolve(replica, { kv_blocks: 10, max_model_len: 160 }).limits?.kvBlocks).toBe(10);
  });
});

describe('what the file says of an engine', () => {
  it('is what its limits are', () => {
    const { limits } = resolve(setup('llama-3.1-8b', 'h100-80gb-sxm'), {
      async_scheduling: false,
      scheduling_policy: 'priority',
      enable_chunked_prefill: false,
      long_prefill_token_threshold: 2048,
      max_queued_requests: 12,
      max_queued_tokens: 40_000,
    });
    expect(limits).toMatchObject({
      asyncScheduling: false,
      schedulingPolicy: 'priority',
      chunkedPrefill: false,
      longPrefillTokens: 2048,
      maxQueuedRequests: 12,
      maxQueuedTokens: 40_000,
    });
  });

  it('performance_mode throughput doubles budget and batch', () => {
    const { limits } = resolve(setup('llama-3.1-8b', 'h100-80gb-sxm'), { performance_mode: 'throughput' });
    expect(limits).toMatchObject({ maxBatchedTokens: 16_384, maxSequences: 2048 });
  });

  it.each([
    ['sglang', { blockTokens: 1, maxBatchedTokens: 8192, maxSequences: 2048 }],
    ['tensorrt-llm', { blockTokens: 32, maxBatchedTokens: 8192, maxSequences: 2048 }],
  ] as const)('%s has defaults of its own', (engine, expected) => {
    const { limits } = resolve(setup('llama-3.1-8b', 'h100-80gb-sxm'), {}, engine);
    expect(limits).toMatchObject(expected);
  });

  it('a flag that only vLLM has is refused elsewhere', () => {
    const { issues } = resolve(
      setup('llama-3.1-8b', 'h100-80gb-sxm'),
      { long_prefill_token_threshold: 512 },
      'sglang',
    );
    expect(issues[0]).toMatchObject({
      code: 'WT1005',
      path: ['pools', 'main', 'limits', 'long_prefill_token_threshold'],
      message: '`long_prefill_token_threshold` is a flag of vLLM, not of sglang',
    });
  });
});

describe('what cannot be served is refused with the reason', () => {
  const only = (replica: ReplicaSetup, limits: NonNullable<PoolFile['limits']> = {}) => {
    const result = resolve(replica, limits);
    expect(result.limits).toBeNull();
    expect(result.issues).toHaveLength(1);
    return result.issues[0]!;
  };

  it('a model that does not fit, with the arithmetic and what would fit', () => {
    const found = only(setup('mistral-small-4', 'h200-141gb-sxm'));
    expect(found).toMatchObject({ code: 'WT1203', path: ['pools', 'main', 'model'] });
    expect(found.message).toBe(
      'mistral-small-4 does not fit on h200-141gb-sxm: 92% of 149.9 GB - weights 238.0 GB (bf16, tensor_parallel 1) - 4.3 GB (sampling 1024 sequences) - 1.0 GB (CUDA, graphs) = -105.4 GB for KV',
    );
    expect(found.hint).toBe('try tensor_parallel: 2, or precision.weights: fp8');
  });

  it('a context window that does not fit, with the largest that does', () => {
    const found = only(setup('ministral-3-14b', 'l40s'));
    expect(found.code).toBe('WT1203');
    expect(found.message).toContain(
      'a request of max_model_len 262144 tokens does not fit into the KV cache',
    );
    expect(found.hint).toMatch(/limits\.max_model_len: \d+$/);
    const length = Number(found.hint?.match(/\d+$/)?.[0]);
    expect(resolve(setup('ministral-3-14b', 'l40s'), { max_model_len: length }).issues).toEqual([]);
    expect(only(setup('ministral-3-14b', 'l40s'), { max_model_len: length + 1 }).code).toBe('WT1203');
  });

  it('given blocks that cannot hold one request', () => {
    const found = only(setup('llama-3.1-8b', 'h100-80gb-sxm'), { kv_blocks: 10, max_model_len: 161 });
    expect(found).toMatchObject({ code: 'WT1203', path: ['pools', 'main', 'limits', 'kv_blocks'] });
    expect(found.hint).toContain('set max_model_len: 160 or kv_blocks: 11');
  });

  it('a figure that the catalogue does not have, by its key', () => {
    expect(only(setup('deepseek-v4-pro', 'b200-sxm')).message).toContain(
      'no "totalParams" for deepseek-v4-pro',
    );
    expect(only(setup('mistral-medium-3.5', 'b300-sxm'))).toMatchObject({
      code: 'WT1202',
      message: 'the catalogue has no "kvBytesPerTokenBf16" for mistral-medium-3.5, needed for the KV blocks',
      hint: 'give limits.kv_blocks',
    });
    expect(only(setup('qwen3.5-27b', 'h200-141gb-sxm')).message).toContain('linear layers hold state');
  });

  it.each([
    [
      'a100-80gb-sxm',
      { weights: 'fp8' },
      'fp8 weights need FP8 tensor cores; a100-80gb-sxm (Ampere) has none',
    ],
    ['a100-80gb-sxm', { kv: 'fp8' }, 'fp8 kv need FP8 tensor cores; a100-80gb-sxm (Ampere) has none'],
    [
      'h200-141gb-sxm',
      { weights: 'nvfp4' },
      'nvfp4 weights need Blackwell or later; h200-141gb-sxm (Hopper) is not',
    ],
  ] as const)('a precision that %s cannot run', (gpu, precision, message) => {
    expect(only(setup('llama-3.1-8b', gpu, precision))).toMatchObject({ code: 'WT1005', message });
  });

  it('a split that the heads, the link or the domain do not allow', () => {
    expect(only(setup('ministral-3-14b', 'h200-141gb-sxm', { tensorParallel: 3 })).message).toContain(
      '32 attention heads',
    );
    expect(only(setup('ministral-3-14b', 'h200-141gb-sxm', { tensorParallel: 16 })).message).toContain(
      'at most 8',
    );
    expect(only(setup('llama-3.1-8b', 'rtx-4090', { tensorParallel: 2 })).code).toBe('WT1202');
  });

  it('KV heads that are neither split evenly nor repeated evenly, though the attention heads are', () => {
    // 96 attention heads, 8 KV heads: 6 GPUs would have 1.33 each.
    expect(only(setup('mistral-medium-3.5', 'h200-141gb-sxm', { tensorParallel: 6 }))).toMatchObject({
      code: 'WT1005',
      message: 'the 8 KV heads of mistral-medium-3.5 can be neither split over 6 GPUs nor repeated on them',
      hint: 'use one of 1, 2, 4, 8',
    });
    // 32 attention heads, 2 KV heads: on 8 GPUs each stands four times.
    const repeated = setup('qwen3.5-397b-a17b', 'b300-sxm', { tensorParallel: 8, weights: 'fp8' });
    expect(resolve(repeated, { kv_blocks: 20_000 }).issues).toEqual([]);
    // MLA: 128 attention heads that share one latent.
    expect(only(setup('deepseek-r1', 'b300-sxm', { tensorParallel: 3 })).message).toContain(
      '128 attention heads',
    );
  });

  it('stages without layers, and ranks without experts', () => {
    const spread = (replica: ReplicaSetup, rest: Partial<PoolFile>) =>
      resolveLimits(
        { model: replica.model!.id, limits: { max_model_len: 4096 }, ...rest },
        replica,
        'vllm',
        path,
      );
    const message = (result: ReturnType<typeof spread>) => result.issues.map(each => each.message);
    const dense = setup('llama-3.1-8b', 'h100-80gb-sxm');
    expect(message(spread({ ...dense, pipelineParallel: 33 }, {}))).toEqual([
      'the 32 layers of llama-3.1-8b cannot be split over 33 stages',
    ]);
    expect(message(spread(dense, { expert_parallel: true, data_parallel: 2 }))).toEqual([
      'llama-3.1-8b is dense: there are no experts to spread',
    ]);
    const few = setup('gpt-oss-20b', 'h100-80gb-sxm');
    expect(message(spread(few, { expert_parallel: true }))).toEqual(['one GPU has all experts']);
    expect(message(spread(few, { expert_parallel: true, data_parallel: 64 }))).toEqual([
      'the 32 experts of gpt-oss-20b cannot be spread over 64 ranks',
    ]);
    expect(spread(few, { expert_parallel: true, data_parallel: 4 }).issues).toEqual([]);
  });

  it('experts that the ranks cannot cut into equal parts', () => {
    const replica = setup('qwen3-30b-a3b', 'h100-80gb-sxm');
    const over = (rest: Partial<PoolFile>) =>
      resolveLimits(
        { model: replica.model!.id, limits: { max_model_len: 4096 }, ...rest },
        replica,
        'vllm',
        path,
      ).issues;
    expect(over({ data_parallel: 5 })[0]).toMatchObject({
      code: 'WT1005',
      path: ['pools', 'main', 'data_parallel'],
      message:
        'the experts of qwen3-30b-a3b, 768 wide, cannot be cut into 5 equal parts (tensor_parallel x data_parallel)',
    });
    expect(over({ data_parallel: 3 })).toEqual([]);
    expect(over({ data_parallel: 5, expert_parallel: true })).toEqual([]);
  });

  it('a window beyond the model, and a step budget below the batch', () => {
    const replica = setup('qwen3-8b', 'h100-80gb-sxm');
    expect(only(replica, { max_model_len: 50_000 }).message).toContain(
      'beyond the context window of qwen3-8b, 40960',
    );
    expect(only(replica, { max_num_batched_tokens: 100, max_num_seqs: 200 }).message).toContain(
      'is below max_num_seqs 200',
    );
    expect(resolve(replica, { max_num_batched_tokens: 100 }).limits?.maxSequences).toBe(100);
  });

  it('a step budget below the window where prompts are not computed in chunks', () => {
    const replica = setup('qwen3-8b', 'h100-80gb-sxm');
    const whole = { enable_chunked_prefill: false, max_model_len: 20_000 };
    expect(only(replica, { ...whole, max_num_batched_tokens: 19_999 })).toMatchObject({
      code: 'WT1005',
      path: ['pools', 'main', 'limits', 'max_num_batched_tokens'],
      message:
        'max_num_batched_tokens 19999 is below max_model_len 20000, and enable_chunked_prefill is false',
    });
    // Left out, the budget is as long as the window, as vLLM makes it.
    expect(resolve(replica, whole).limits?.maxBatchedTokens).toBe(20_000);
    expect(resolve(replica, { ...whole, max_model_len: 4096 }).limits?.maxBatchedTokens).toBe(8192);
  });
});
