// KV blocks against what measured engines had, and what each engine keeps for itself, by hand.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { findGpu, findModel, type Gpu, type Model } from '../../engines/catalog.ts';
import {
  type EngineMemory,
  type KvMemory,
  kvBytesPerToken,
  kvMemory,
  type PlacedSetup,
  weightBytes,
} from '../../engines/memory.ts';

const GIB = 1024 ** 3;
const DATA = join(import.meta.dirname, '../../../shared/data/ground-truth/experiments');

interface Measured {
  readonly id: string;
  readonly setup: PlacedSetup;
  readonly use: EngineMemory;
  readonly blocks: number;
}

/** Of an experiment file: what was served and on what, and the blocks that its engine had. */
function measured(file: string): Measured | null {
  const { id, hardware, model, engineConfig: config } = JSON.parse(readFileSync(join(DATA, file), 'utf8'));
  if (config.totalKvBlocks == null) return null;
  const like = findModel(model.moe === null ? 'llama-3.1-8b' : 'qwen3-30b-a3b') as Model;
  const gpu: Gpu = {
    ...(findGpu('h100-80gb-sxm') as Gpu),
    id: hardware.key,
    memoryType: hardware.key === 'RTX4090' ? 'GDDR6X' : 'HBM3',
    memoryBytes: hardware.memGiB * GIB,
  };
  return {
    id,
    blocks: config.totalKvBlocks,
    setup: {
      gpu,
      model: {
        ...like,
        id: model.name,
        totalParams: model.paramsTotalB * 1e9,
        numLayers: model.layers,
        hiddenSize: model.hidden,
        intermediateSize: model.intermediate,
        numKvHeads: model.kvHeads,
        vocabSize: model.vocab,
        tieWordEmbeddings: model.tieEmbeddings,
        moe: model.moe && {
          numExperts: model.moe.experts,
          expertsPerToken: model.moe.topK,
          expertIntermediateSize: model.intermediate,
          sharedExperts: 0,
          sharedExpertIntermediateSize: null,
          denseFirstLayers: 0,
        },
        kvBytesPerTokenBf16: model.kvBytesPerToken,
        kvBytesPerTokenGrowing: model.kvBytesPerToken,
      },
      tensorParallel: config.tp,
      weights: model.dtype === 'fp8' ? 'fp8' : 'bf16',
      kv: 'bf16',
    },
    use: {
      engine: 'vllm',
      utilization: config.gpuMemoryUtilization,
      maxBatchedTokens: config.maxNumBatchedTokens,
      maxSequences: config.maxNumSeqs,
      blockTokens: config.blockSize,
      // All of these engines are 0.19 or older.
      setsGraphsAside: false,
    },
  };
}

const blocksOf = (setup: PlacedSetup, use: EngineMemory): KvMemory => {
  const found = kvMemory(setup, use);
  if ('missing' in found) throw new Error(`${found.missing} is missing`);
  return found;
};

const placed = (model: string, gpu: string, rest: Partial<PlacedSetup> = {}): PlacedSetup => ({
  model: findModel(model) as Model,
  gpu: findGpu(gpu) as Gpu,
  tensorParallel: 1,
  weights: 'bf16',
  kv: 'bf16',
  ...rest,
});

const serving = (rest: Partial<EngineMemory> = {}): EngineMemory => ({
  engine: 'vllm',
  utilization: null,
  maxBatchedTokens: 8192,
  maxSequences: 1024,
  blockTokens: 16,
  setsGraphsAside: true,
  ...rest,
});

/** Scout: a multimodal model; vLLM's trial step runs its vision tower, of which these files say nothing. */
const MULTIMODAL = /llama-4-scout/;

describe.skipIf(!existsSync(DATA))('KV blocks of measured engines (../shared/data/ground-truth)', () => {
  const runs = (existsSync(DATA) ? readdirSync(DATA) : []).flatMap(file => measured(file) ?? []);

  test('are met within 0.6 %', () => {
    const rows = runs.map(({ id, setup, use, blocks }) => {
      const { kvBlocks, arithmetic } = blocksOf(setup, use);
      // The null block is one of those that an engine counts.
      return {
        id,
        measured: blocks,
        predicted: kvBlocks + 1,
        error: (kvBlocks + 1) / blocks - 1,
        arithmetic,
      };
    });
    for (const { id, measured: had, predicted, error } of rows)
      console.log(`${id.padEnd(54)} ${had} measured ${predicted} predicted ${(error * 100).toFixed(2)} %`);
    const text = rows.filter(({ id }) => !MULTIMODAL.test(id));
    expect(text.length).toBeGreaterThan(12);
    expect(text.filter(({ error }) => Math.abs(error) > 0.006)).toEqual([]);
  });
});

describe('weights', () => {
  it('that are quantised leave the embeddings in bf16', () => {
    const model = findModel('mistral-small-4')!;
    const embeddings = 2 * 131_072 * 4096;
    expect(weightBytes(model, 'bf16')).toBe(2 * 119e9);
    expect(weightBytes(model, 'fp8')).toBe(119e9 + embeddings);
    expect(weightBytes(model, 'nvfp4')).toBe((119e9 - embeddings) * 0.5625 + 2 * embeddings);
  });

  it('are shared by tensor ranks and stages; data-parallel ranks share the experts alone', () => {
    const kv = (rest: Partial<PlacedSetup>) =>
      blocksOf(placed('deepseek-r1', 'h200-141gb-sxm', { weights: 'fp8', ...rest }), serving()).kvBytes;
    const experts = 58 * 256 * 3 * 7168 * 2048;
    const all = weightBytes(findModel('deepseek-r1')!, 'fp8')!;
    const own = all - experts;
    // From 4 to 8 ranks each GPU loses 1/8 of the experts' bytes, and nothing of what is not an expert.
    expect(kv({ expertRanks: 8 }) - kv({ expertRanks: 4 })).toBeCloseTo(experts / 8, -3);
    // Stages share both; 61 layers make the fuller stage 31 of them.
    expect(kv({ expertRanks: 8, pipelineParallel: 2 }) - kv({ expertRanks: 8 })).toBeCloseTo(
      ((own + experts / 8) * 30) / 61,
      -3,
    );
  });
});

describe('KV bytes of a token', () => {
  it('split grouped-query heads over the ranks down to one, and never the latent of MLA', () => {
    const grouped = findModel('ministral-3-14b')!;
    expect([1, 2, 4, 8, 16].map(tp => kvBytesPerToken(grouped, 'bf16', tp))).toEqual([
      163_840, 81_920, 40_960, 20_480, 20_480,
    ]);
    const latent = findModel('mistral-small-4')!;
    expect([1, 8].map(tp => kvBytesPerToken(latent, 'bf16', tp))).toEqual([23_040, 23_040]);
    expect(kvBytesPerToken(latent, 'fp8', 1)).toBe(11_520);
    expect(kvBytesPerToken(findModel('gpt-oss-20b')!, 'bf16', 1)).toBe(24_576);
  });
});

describe('what an engine keeps for itself', () => {
  const llama = placed('llama-3.1-8b', 'h100-80gb-sxm');
  const visible = Math.floor(0.99 * 80 * GIB);
  const weights = 2 * 8_030_261_248;

  it('vLLM: by hand, with 1,024 sequences to sample', () => {
    const peak = 32 * 1024 * 128_256;
    const fixed = 0.22e9 + 0.72 * GIB;
    const { kvBytes, kvBlocks } = blocksOf(llama, serving());
    expect(kvBytes).toBe(Math.floor(0.92 * visible - weights - peak - fixed));
    expect(kvBlocks).toBe(Math.floor(kvBytes / (16 * 131_072)) - 1);
  });

  it('vLLM: the largest peak counts, and collectives where there are ranks', () => {
    const few = { maxSequences: 16, setsGraphsAside: false };
    const of = (setup: PlacedSetup, use: Partial<EngineMemory>) => blocksOf(setup, serving(use)).arithmetic;
    expect(of(llama, few)).toContain('1.1 GB (the embedding, twice at start) - 0.2 GB (CUDA)');
    expect(of(llama, { ...few, maxBatchedTokens: 16_384 })).toContain('1.9 GB (activations of 16384 tokens)');
    expect(of({ ...llama, tensorParallel: 2 }, few)).toContain('0.7 GB (CUDA, NCCL)');
  });

  it('vLLM: a log of 0.9 on an H100 (utilisation 90 %, 1,024 sequences, EAGLE) within 2 %', () => {
    const { kvBytes } = blocksOf(llama, serving({ utilization: 0.9, setsGraphsAside: false }));
    expect(Math.abs(kvBytes / GIB / 51.63 - 1)).toBeLessThan(0.02);
  });

  it('a draft model takes its weights and its KV', () => {
    const draft = findModel('qwen3-0.6b')!;
    const alone = blocksOf(placed('qwen3-8b', 'h100-80gb-sxm'), serving());
    const both = blocksOf(placed('qwen3-8b', 'h100-80gb-sxm', { draft }), serving());
    expect(alone.kvBytes - both.kvBytes).toBeCloseTo(weightBytes(draft, 'bf16')!, 0);
    expect(both.bytesPerToken - alone.bytesPerToken).toBe(114_688);
  });

  it('SGLang: its reserve, at least 10 GB on a large GPU; or the share that is given', () => {
    const use = serving({ engine: 'sglang', blockTokens: 1 });
    const reserve = (512 + 1.5 * 8192 + 1024 / 8 + 2 * 160) * 1024 ** 2;
    expect(blocksOf(llama, use).kvBytes).toBe(Math.floor(visible - reserve - weights));
    const small = { ...use, maxBatchedTokens: 2048 };
    expect(blocksOf(llama, small).kvBytes).toBe(visible - 10e9 - weights);
    expect(blocksOf(llama, { ...use, utilization: 0.85 }).kvBytes).toBe(Math.floor(0.85 * visible) - weights);
  });

  it('TensorRT-LLM: 90 % of what is free beside the model', () => {
    const { kvBytes } = blocksOf(llama, serving({ engine: 'tensorrt-llm', blockTokens: 32 }));
    expect(kvBytes).toBe(Math.floor(0.9 * (visible - weights - 3.5e9)));
  });

  it('a figure that is missing is named', () => {
    expect(kvMemory(placed('qwen3.5-27b', 'h200-141gb-sxm'), serving())).toMatchObject({
      missing: 'linearAttention.stateBytes',
    });
  });
});
