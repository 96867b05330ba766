import { describe, expect, it } from 'vitest';
import { findGpu, findModel } from '../../engines/catalog.ts';
import {
  kvBytesPerToken,
  type ReplicaSetup,
  resolveLimits,
  vllmDefaults,
  weightBytes,
} from '../../engines/limits.ts';
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

function resolve(replica: ReplicaSetup, limits: NonNullable<PoolFile['limits']> = {}) {
  return resolveLimits({ model: replica.model?.id ?? 'tiny', limits }, replica, path);
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

  it('are those of a CPU without a GPU', () => {
    expect(vllmDefaults(null)).toEqual({ maxBatchedTokens: 2048, maxSequences: 128 });
  });
});

describe('KV blocks from memory', () => {
  it('are what is left, by hand: Llama 3.1 8B in bf16 on one H100', () => {
    const { limits, evidence } = resolve(setup('llama-3.1-8b', 'h100-80gb-sxm'));
    // 0.92 x 85,899,345,920 - 2 x 8,030,261,248 - 3.5e9 = 59,466,875,750 bytes; 16 x 131,072 a block; one null block.
    expect(limits?.kvBlocks).toBe(Math.floor(59_466_875_750 / 2_097_152) - 1);
    expect(limits).toMatchObject({
      blockTokens: 16,
      maxModelTokens: 131_072,
      prefixCaching: true,
      maxQueuedRequests: null,
    });
    expect(evidence[0]).toBe(
      '28355 KV blocks of 16 tokens = 453680 tokens a replica: 92% of 85.9 GB - weights 16.1 GB (bf16, tensor_parallel 1) - 3.5 GB for activations, graphs and CUDA = 59.5 GB for KV, at 131072 bytes a token',
    );
  });

  it('quantised weights leave the embeddings in bf16', () => {
    const model = findModel('mistral-small-4')!;
    const embeddings = 2 * 131_072 * 4096;
    expect(weightBytes(model, 'bf16')).toBe(2 * 119e9);
    expect(weightBytes(model, 'fp8')).toBe(119e9 + embeddings);
    expect(weightBytes(model, 'nvfp4')).toBe((119e9 - embeddings) * 0.5625 + 2 * embeddings);
  });

  it('split grouped-query KV over the ranks down to one head, and never the latent of MLA', () => {
    const grouped = findModel('ministral-3-14b')!;
    expect([1, 2, 4, 8, 16].map(tp => kvBytesPerToken(grouped, 'bf16', tp))).toEqual([
      163_840, 81_920, 40_960, 20_480, 20_480,
    ]);
    const latent = findModel('mistral-small-4')!;
    expect([1, 8].map(tp => kvBytesPerToken(latent, 'bf16', tp))).toEqual([23_040, 23_040]);
    expect(kvBytesPerToken(latent, 'fp8', 1)).toBe(11_520);
    expect(kvBytesPerToken(findModel('gpt-oss-20b')!, 'bf16', 1)).toBe(24_576);
  });

  it('can be given, and then nothing of the GPU is needed', () => {
    const replica: ReplicaSetup = { model: null, gpu: null, tensorParallel: 1, weights: 'bf16', kv: 'bf16' };
    expect(resolve(replica, { kv_blocks: 10, max_model_len: 160 }).limits?.kvBlocks).toBe(10);
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
      'mistral-small-4 does not fit on h200-141gb-sxm: 92% of 151.4 GB - weights 238.0 GB (bf16, tensor_parallel 1) - 3.5 GB for activations, graphs and CUDA = -102.2 GB for KV',
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
});
