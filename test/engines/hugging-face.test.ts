// Rows from config.json: counted parameters against published ones, in every dialect; and what a config does not say.
import { describe, expect, it } from 'vitest';
import { allModels, type Model } from '../../engines/catalog.ts';
import { type ReadModel, readModel } from '../../engines/hugging-face.ts';

const ask = { id: 'mine', name: 'Mine', source: 'a test' };

function read(config: unknown): ReadModel {
  const found = readModel(config, ask);
  if (found === null || 'missing' in found) throw new Error('not a config');
  return found;
}

const LLAMA_8B = {
  model_type: 'llama',
  hidden_size: 4096,
  intermediate_size: 14_336,
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 8,
  vocab_size: 128_256,
  max_position_embeddings: 131_072,
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
};

/** As published with the checkpoints: the number of elements in their safetensors files. */
const PUBLISHED: readonly (readonly [name: string, total: number, config: object])[] = [
  ['Llama 3.1 8B', 8_030_261_248, LLAMA_8B],
  [
    'Llama 3.1 70B',
    70_553_706_496,
    {
      ...LLAMA_8B,
      hidden_size: 8192,
      intermediate_size: 28_672,
      num_attention_heads: 64,
      num_hidden_layers: 80,
    },
  ],
  [
    'Llama 2 7B, which names no KV heads',
    6_738_415_616,
    {
      model_type: 'llama',
      hidden_size: 4096,
      intermediate_size: 11_008,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      vocab_size: 32_000,
      tie_word_embeddings: false,
    },
  ],
  [
    'Qwen2.5 7B, with biases',
    7_615_616_512,
    {
      model_type: 'qwen2',
      hidden_size: 3584,
      intermediate_size: 18_944,
      num_attention_heads: 28,
      num_hidden_layers: 28,
      num_key_value_heads: 4,
      vocab_size: 152_064,
      tie_word_embeddings: false,
    },
  ],
  [
    'Mistral Nemo 12B, whose heads are narrower than hidden / heads',
    12_247_782_400,
    {
      model_type: 'mistral',
      hidden_size: 5120,
      head_dim: 128,
      intermediate_size: 14_336,
      num_attention_heads: 32,
      num_hidden_layers: 40,
      num_key_value_heads: 8,
      vocab_size: 131_072,
      tie_word_embeddings: false,
    },
  ],
  [
    'Mixtral 8x7B: num_local_experts',
    46_702_792_704,
    {
      model_type: 'mixtral',
      hidden_size: 4096,
      intermediate_size: 14_336,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 8,
      num_local_experts: 8,
      num_experts_per_tok: 2,
      vocab_size: 32_000,
      tie_word_embeddings: false,
    },
  ],
  [
    'Qwen3 30B-A3B: num_experts and moe_intermediate_size',
    30_532_122_624,
    {
      model_type: 'qwen3_moe',
      hidden_size: 2048,
      head_dim: 128,
      intermediate_size: 6144,
      moe_intermediate_size: 768,
      num_experts: 128,
      num_experts_per_tok: 8,
      decoder_sparse_step: 1,
      mlp_only_layers: [],
      num_attention_heads: 32,
      num_hidden_layers: 48,
      num_key_value_heads: 4,
      vocab_size: 151_936,
      tie_word_embeddings: false,
    },
  ],
];

describe('parameters of a config', () => {
  it.each(PUBLISHED)('%s: %d, to the last one', (_name, total, config) => {
    expect(read(config).model.computedTotalParams).toBe(total);
  });

  it('count the experts that a token goes through', () => {
    const mixtral = read(PUBLISHED[5]![2]).model;
    // 46.7 B less 6 of 8 experts of each layer.
    expect(mixtral.computedActiveParams).toBe(46_702_792_704 - 32 * 6 * 3 * 4096 * 14_336);
  });
});

/** A row of the catalogue in its architecture's dialect. */
function configOf(row: Model): object {
  const { moe, mla } = row;
  const type =
    row.linearAttention !== null
      ? 'qwen3_next'
      : row.id.startsWith('qwen3')
        ? 'qwen3'
        : row.slidingWindow !== null
          ? 'gpt_oss'
          : 'llama';
  return {
    model_type: type,
    hidden_size: row.hiddenSize,
    num_hidden_layers: row.numLayers,
    num_attention_heads: row.numAttentionHeads,
    num_key_value_heads: row.numKvHeads,
    head_dim: row.headDim ?? undefined,
    intermediate_size: row.intermediateSize ?? undefined,
    vocab_size: row.vocabSize,
    tie_word_embeddings: row.tieWordEmbeddings,
    ...(mla === null
      ? {}
      : {
          kv_lora_rank: mla.kvLoraRank,
          q_lora_rank: mla.qLoraRank,
          qk_rope_head_dim: mla.qkRopeHeadDim,
          qk_nope_head_dim: mla.qkNopeHeadDim,
          v_head_dim: mla.vHeadDim,
        }),
    ...(moe === null
      ? {}
      : {
          n_routed_experts: moe.numExperts,
          num_experts_per_tok: moe.expertsPerToken,
          n_shared_experts: moe.sharedExperts,
          moe_intermediate_size: moe.expertIntermediateSize,
          first_k_dense_replace: moe.denseFirstLayers,
        }),
    ...(row.slidingWindow === null
      ? {}
      : {
          sliding_window: row.slidingWindow.windowTokens,
          layer_types: Array.from({ length: row.numLayers! }, (_, layer) =>
            layer % 2 === 0 ? 'sliding_attention' : 'full_attention',
          ),
        }),
  };
}

describe('the rows that ship', () => {
  const rows = allModels().filter(row => row.computedTotalParams !== null);

  it.each(rows.map(row => [row.id, row] as const))(
    '%s: KV bytes, and parameters as published',
    (_id, row) => {
      const { model } = read(configOf(row));
      expect(model.kvBytesPerTokenBf16).toBe(row.kvBytesPerTokenBf16);
      expect(model.kvBytesPerTokenGrowing).toBe(row.kvBytesPerTokenGrowing);
      expect(model.computedTotalParams! / row.computedTotalParams! - 1).toBeCloseTo(0, 3);
      expect(model.computedActiveParams! / row.computedActiveParams! - 1).toBeCloseTo(0, 3);
      // Published counts are rounded; Kimi K2's to the nearest hundred billion.
      const rounded = row.id.startsWith('kimi') ? 0.03 : 0.005;
      if (row.totalParams !== null)
        expect(Math.abs(model.computedTotalParams! / row.totalParams - 1)).toBeLessThan(rounded);
    },
  );

  it('are most of the catalogue', () => {
    expect(rows.length).toBeGreaterThan(15);
  });
});

describe('what is special', () => {
  it('Llama 4 Scout: the language part, experts with a shared one, a vision tower left out', () => {
    const { model, unread } = read({
      model_type: 'llama4',
      vision_config: { hidden_size: 1408 },
      text_config: {
        model_type: 'llama4_text',
        hidden_size: 5120,
        intermediate_size: 8192,
        intermediate_size_mlp: 16_384,
        interleave_moe_layer_step: 1,
        num_attention_heads: 40,
        num_key_value_heads: 8,
        head_dim: 128,
        num_hidden_layers: 48,
        num_local_experts: 16,
        num_experts_per_tok: 1,
        attention_chunk_size: 8192,
        vocab_size: 202_048,
        tie_word_embeddings: false,
      },
    });
    // As the ground truth counts it: 107.769 B.
    expect(model.computedTotalParams! / 107.769e9).toBeCloseTo(1, 4);
    expect(model.moe).toMatchObject({ sharedExperts: 1, denseFirstLayers: 0 });
    expect(unread.join('\n')).toMatch(/vision tower.*\n.*chunks/);
  });

  it('layers in turn, half of them with experts, are told as an assumption', () => {
    const { model, assumed } = read({
      ...PUBLISHED[6]![2],
      num_hidden_layers: 48,
      interleave_moe_layer_step: 2,
      decoder_sparse_step: undefined,
    });
    expect(model.moe?.denseFirstLayers).toBe(24);
    expect(assumed).toContain('24 of 48 layers have no experts; they count as if they came first');
  });

  it('hybrid linear attention keeps KV in its full layers alone', () => {
    const { model } = read({
      model_type: 'qwen3_next',
      hidden_size: 2048,
      head_dim: 256,
      intermediate_size: 5120,
      moe_intermediate_size: 512,
      shared_expert_intermediate_size: 512,
      num_experts: 512,
      num_experts_per_tok: 10,
      num_attention_heads: 16,
      num_key_value_heads: 2,
      num_hidden_layers: 48,
      full_attention_interval: 4,
      linear_num_key_heads: 16,
      linear_num_value_heads: 32,
      linear_key_head_dim: 128,
      linear_value_head_dim: 128,
      linear_conv_kernel_dim: 4,
      vocab_size: 151_936,
      tie_word_embeddings: false,
    });
    expect(model.linearAttention).toEqual({ numFullLayers: 12, numLinearLayers: 36 });
    expect(model.kvBytesPerTokenBf16).toBe(12 * 2 * 2 * 256 * 2);
    // Sold as 80B-A3B.
    expect(model.computedTotalParams! / 80e9).toBeCloseTo(1, 1);
    expect(model.computedActiveParams! / 3.9e9).toBeCloseTo(1, 1);
  });

  it('a window on every sixth layer but the last, and one that is switched off', () => {
    const gemma = { ...LLAMA_8B, model_type: 'gemma3_text', sliding_window: 1024, sliding_window_pattern: 6 };
    expect(read({ ...gemma, num_hidden_layers: 36 }).model.slidingWindow).toEqual({
      windowTokens: 1024,
      numSlidingLayers: 30,
      numFullLayers: 6,
    });
    expect(
      read({ ...LLAMA_8B, sliding_window: 4096, use_sliding_window: false }).model.slidingWindow,
    ).toBeNull();
    const all = read({ ...LLAMA_8B, sliding_window: 4096 });
    expect(all.model.kvBytesPerTokenGrowing).toBe(131_072);
    expect(all.assumed.join()).toContain('all layers have a window of 4096');
  });

  it.each([
    [{ torch_dtype: 'bfloat16' }, 'bf16'],
    [{ quantization_config: { quant_method: 'fp8' } }, 'fp8'],
    [{ quantization_config: { quant_method: 'mxfp4' } }, 'mxfp4'],
    [{ quantization_config: { quant_method: 'awq', bits: 4 } }, 'int4'],
    [{ quantization_config: { quant_method: 'modelopt', quant_algo: 'NVFP4' } }, 'nvfp4'],
    [
      {
        quantization_config: {
          quant_method: 'compressed-tensors',
          config_groups: { group_0: { weights: { num_bits: 8, type: 'float' } } },
        },
      },
      'fp8',
    ],
  ])('%j is stored as %s', (config, dtype) => {
    expect(read({ ...LLAMA_8B, torch_dtype: undefined, ...config }).model.nativeWeightDtype).toBe(dtype);
  });

  it('Mamba layers are not counted, and that is said', () => {
    const { model, unread } = read({
      ...LLAMA_8B,
      num_hidden_layers: 8,
      hybrid_override_pattern: 'MEM*EME*',
    });
    expect(model.computedTotalParams).toBeNull();
    expect(model.kvBytesPerTokenBf16).toBe(2 * 2 * 8 * 128 * 2);
    expect(unread[0]).toMatch(/^6 layers of another kind/);
  });

  it('says what it had to assume', () => {
    const { hidden_size, num_attention_heads, num_hidden_layers, vocab_size, intermediate_size } = LLAMA_8B;
    const bare = { hidden_size, num_attention_heads, num_hidden_layers, vocab_size, intermediate_size };
    expect(read(bare).assumed).toEqual([
      'head_dim is hidden_size / heads = 128',
      'every attention head has its own KV (num_key_value_heads)',
      'embedding and unembedding are two, as is usual there (tie_word_embeddings)',
    ]);
  });

  it('names what no model can do without', () => {
    expect(readModel({ model_type: 'llama', vocab_size: 9 }, ask)).toEqual({
      missing: ['hidden_size', 'num_hidden_layers', 'num_attention_heads'],
    });
    expect(readModel([1], ask)).toBeNull();
  });
});
