// A Hugging Face config.json as a row of the catalogue: dimensions under the names that each architecture gives them,
// parameters and KV bytes counted from them. What it assumes and what it leaves out is told with the row.
import type { LatentAttention, MixtureOfExperts, Model } from './catalog.ts';

type Config = Readonly<Record<string, unknown>>;

export interface ReadModel {
  model: Model;
  /** What the row rests on beyond the file, a sentence each. */
  assumed: string[];
  /** What the file has and the row leaves out. */
  unread: string[];
}

export interface ReadQuestion {
  id: string;
  name: string;
  /** Where the figures come from. */
  source: string;
}

/** The row, or the keys that are missing; null where the JSON is no config. */
export function readModel(json: unknown, ask: ReadQuestion): ReadModel | { missing: string[] } | null {
  if (!isConfig(json)) return null;
  const reader = new Reader(json);
  const shape = shapeOf(reader);
  if ('missing' in shape) return shape;
  const moe = expertsOf(reader, shape);
  const mla = latentOf(reader);
  const layers = layersOf(reader, shape);
  const params = paramsOf(reader, { ...shape, moe, mla, layers });
  const kv = kvOf(shape, mla, layers);
  leftOut(reader);
  const { numLayers, hiddenSize, numAttentionHeads, numKvHeads, headDim, vocabSize } = shape;
  const model: Model = {
    ...ask,
    vendor: 'yours',
    totalParams: null,
    activeParamsPerToken: null,
    computedTotalParams: params?.total ?? null,
    computedActiveParams: params?.active ?? null,
    numLayers,
    hiddenSize,
    numAttentionHeads,
    numKvHeads,
    headDim,
    intermediateSize: shape.intermediateSize,
    vocabSize,
    maxContextTokens: reader.number('max_position_embeddings', 'n_positions', 'max_seq_len', 'seq_length'),
    tieWordEmbeddings: shape.tied,
    attention: attentionName(mla, shape, layers),
    mla,
    moe,
    slidingWindow:
      layers.sliding === 0
        ? null
        : {
            windowTokens: layers.windowTokens,
            numSlidingLayers: layers.sliding,
            numFullLayers: layers.full,
          },
    linearAttention:
      layers.linear === 0 ? null : { numFullLayers: layers.full, numLinearLayers: layers.linear },
    kvBytesPerTokenBf16: kv.all,
    kvBytesPerTokenFp8: kv.all / 2,
    kvBytesPerTokenGrowing: kv.growing,
    nativeWeightDtype: dtypeOf(reader),
  };
  return { model, assumed: reader.assumed, unread: reader.unread };
}

// ---- the file ---------------------------------------------------------------------------------------------------

const isConfig = (value: unknown): value is Config =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Keys under which a model with several towers keeps its language model. */
const LANGUAGE_KEYS = ['text_config', 'llm_config', 'language_config'] as const;

/** One config, the language model's part before the whole; and what was assumed on the way. */
class Reader {
  readonly assumed: string[] = [];
  readonly unread: string[] = [];
  readonly whole: Config;
  private readonly language: Config;

  constructor(whole: Config) {
    this.whole = whole;
    const key = LANGUAGE_KEYS.find(each => isConfig(whole[each]));
    this.language = key === undefined ? whole : (whole[key] as Config);
  }

  private at(key: string): unknown {
    return this.language[key] ?? this.whole[key];
  }

  /** The first of these keys that holds a number above 0. */
  number(...keys: readonly string[]): number | null {
    for (const key of keys) {
      const value = this.at(key);
      if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
    }
    return null;
  }

  words(key: string): string {
    const value = this.at(key);
    return typeof value === 'string' ? value : '';
  }

  flag(key: string): boolean | null {
    const value = this.at(key);
    return typeof value === 'boolean' ? value : null;
  }

  list(key: string): readonly unknown[] | null {
    const value = this.at(key);
    return Array.isArray(value) ? value : null;
  }

  part(key: string): Config | null {
    const value = this.at(key);
    return isConfig(value) ? value : null;
  }
}

// ---- dimensions -------------------------------------------------------------------------------------------------

interface Shape {
  numLayers: number;
  hiddenSize: number;
  numAttentionHeads: number;
  numKvHeads: number;
  headDim: number;
  intermediateSize: number | null;
  vocabSize: number;
  tied: boolean;
}

/** What no model can do without, under its several names. */
const NEEDED = {
  hidden_size: ['hidden_size', 'n_embd', 'd_model'],
  num_hidden_layers: ['num_hidden_layers', 'n_layer', 'num_layers', 'n_layers'],
  num_attention_heads: ['num_attention_heads', 'n_head', 'n_heads'],
  vocab_size: ['vocab_size', 'padded_vocab_size'],
} as const;

/** Families that share embedding and unembedding unless their config says otherwise; the others do not. */
const TIED_BY_DEFAULT = /^(gemma|gpt2|opt|bloom|falcon|cohere|phi1|starcoder2)/;

function shapeOf(reader: Reader): Shape | { missing: string[] } {
  const needed = Object.entries(NEEDED).map(([name, keys]) => ({ name, value: reader.number(...keys) }));
  const missing = needed.filter(({ value }) => value === null).map(({ name }) => name);
  if (missing.length > 0) return { missing };
  const [hiddenSize, numLayers, numAttentionHeads, vocabSize] = needed.map(
    ({ value }) => value as number,
  ) as [number, number, number, number];
  const headDim = reader.number('head_dim', 'kv_channels', 'attention_head_dim');
  const numKvHeads =
    reader.number('num_key_value_heads', 'num_kv_heads', 'multi_query_group_num', 'n_kv_heads') ??
    (reader.flag('multi_query') === true ? 1 : null);
  if (headDim === null && reader.number('kv_lora_rank') === null)
    reader.assumed.push(`head_dim is hidden_size / heads = ${hiddenSize / numAttentionHeads}`);
  if (numKvHeads === null) reader.assumed.push('every attention head has its own KV (num_key_value_heads)');
  const tied = reader.flag('tie_word_embeddings');
  const isTied = tied ?? TIED_BY_DEFAULT.test(reader.words('model_type'));
  if (tied === null)
    reader.assumed.push(
      `embedding and unembedding are ${isTied ? 'one' : 'two'}, as is usual there (tie_word_embeddings)`,
    );
  return {
    numLayers,
    hiddenSize,
    numAttentionHeads,
    vocabSize,
    headDim: headDim ?? hiddenSize / numAttentionHeads,
    numKvHeads: numKvHeads ?? numAttentionHeads,
    // Llama 4 has one width for experts and one for the layers without them.
    intermediateSize: reader.number(
      'intermediate_size_mlp',
      'intermediate_size',
      'ffn_hidden_size',
      'n_inner',
    ),
    tied: isTied,
  };
}

const EXPERT_COUNTS = ['num_local_experts', 'num_experts', 'n_routed_experts', 'moe_num_experts'];
const EXPERTS_CHOSEN = [
  'num_experts_per_tok',
  'num_experts_per_token',
  'experts_per_token',
  'moe_topk',
  'moe_k',
];
const EXPERT_WIDTHS = ['moe_intermediate_size', 'expert_ffn_hidden_size', 'intermediate_size'];

function expertsOf(reader: Reader, { numLayers }: Shape): MixtureOfExperts | null {
  const numExperts = reader.number(...EXPERT_COUNTS);
  if (numExperts === null || numExperts < 2) return null;
  const sharedWidth = reader.number('shared_expert_intermediate_size');
  const isLlama4 = /^llama4/.test(reader.words('model_type'));
  const shared =
    reader.number('n_shared_experts', 'num_shared_experts') ?? (sharedWidth !== null || isLlama4 ? 1 : 0);
  return {
    numExperts,
    expertsPerToken: reader.number(...EXPERTS_CHOSEN),
    sharedExperts: shared,
    expertIntermediateSize: reader.number(...EXPERT_WIDTHS),
    sharedExpertIntermediateSize: sharedWidth,
    denseFirstLayers: denseLayers(reader, numLayers),
  };
}

/** Layers without experts: the first ones, those named, or all but every n-th. */
function denseLayers(reader: Reader, numLayers: number): number {
  const first = reader.number('first_k_dense_replace', 'num_dense_layers', 'moe_layer_start_index') ?? 0;
  const dense = reader.list('mlp_only_layers')?.length ?? 0;
  const named = reader.list('moe_layers');
  const frequency = reader.list('moe_layer_freq');
  const step = reader.number('decoder_sparse_step', 'interleave_moe_layer_step') ?? 1;
  const count =
    named !== null
      ? numLayers - named.length
      : frequency !== null
        ? frequency.filter(each => each === 0).length
        : Math.max(first, dense, numLayers - Math.floor(numLayers / step));
  if (count > first)
    reader.assumed.push(`${count} of ${numLayers} layers have no experts; they count as if they came first`);
  return count;
}

function latentOf(reader: Reader): LatentAttention | null {
  const kvLoraRank = reader.number('kv_lora_rank');
  const qkRopeHeadDim = reader.number('qk_rope_head_dim');
  const qkNopeHeadDim = reader.number('qk_nope_head_dim');
  const vHeadDim = reader.number('v_head_dim');
  if (kvLoraRank === null || qkRopeHeadDim === null || qkNopeHeadDim === null || vHeadDim === null)
    return null;
  return { kvLoraRank, qLoraRank: reader.number('q_lora_rank'), qkRopeHeadDim, qkNopeHeadDim, vHeadDim };
}

/** How many layers see everything, a window, or keep a state; others (Mamba, MLP) have no KV. */
interface Layers {
  full: number;
  sliding: number;
  linear: number;
  windowTokens: number;
  /** Layers that are neither attention nor a linear attention that can be counted. */
  other: number;
}

function layersOf(reader: Reader, { numLayers }: Shape): Layers {
  const types = layerTypes(reader, numLayers);
  const count = (test: RegExp): number => types.filter(each => test.test(each)).length;
  const windowTokens = reader.number('sliding_window', 'sliding_window_size') ?? 0;
  const sliding = windowTokens > 0 ? count(/sliding|^local/) : 0;
  const linear = count(/linear|lightning/);
  const other = count(/mamba|mlp|recurrent/);
  const full = numLayers - sliding - linear - other;
  if (full === 0 && sliding > 0) {
    reader.assumed.push(
      `all layers have a window of ${windowTokens} tokens; KV counts as if it kept growing`,
    );
    return { full: sliding, sliding: 0, linear, windowTokens: 0, other };
  }
  return { full, sliding, linear, windowTokens, other };
}

/** The kind of every layer, from whichever of the ways the file has to say it. */
function layerTypes(reader: Reader, numLayers: number): string[] {
  const all = (kind: (layer: number) => string): string[] =>
    Array.from({ length: numLayers }, (_, layer) => kind(layer));
  const named = reader.list('layer_types') ?? reader.list('layers_block_type');
  if (named !== null && named.length === numLayers) return named.map(String);
  const pattern = reader.words('hybrid_override_pattern');
  if (pattern.length === numLayers)
    return [...pattern].map(letter => (letter === '*' ? 'full' : letter === 'M' ? 'mamba' : 'mlp'));
  const kinds = reader.list('attn_type_list');
  if (kinds !== null) return kinds.map(each => (each === 0 ? 'lightning' : 'full'));
  const interval = reader.number('full_attention_interval');
  if (interval !== null) return all(layer => ((layer + 1) % interval === 0 ? 'full' : 'linear'));
  if (reader.number('sliding_window', 'sliding_window_size') === null) return all(() => 'full');
  if (reader.flag('use_sliding_window') === false) return all(() => 'full');
  const every = reader.number('sliding_window_pattern', '_sliding_window_pattern');
  if (every !== null) return all(layer => ((layer + 1) % every === 0 ? 'full' : 'sliding'));
  return all(() => 'sliding');
}

// ---- counts -----------------------------------------------------------------------------------------------------

interface Counted extends Shape {
  moe: MixtureOfExperts | null;
  mla: LatentAttention | null;
  layers: Layers;
}

/** Families whose MLP is two matrices; all others have gate, up and down. */
const TWO_MATRICES =
  /^(gpt2|gpt_neox|gptj|opt|falcon|phi$|phi-msft|starcoder2|gpt_bigcode|bloom|mpt|nemotron)/;
/** Families with a bias on the query, key and value projections whatever `attention_bias` says. */
const BIASED = /^qwen2/;
/** Families that normalise queries and keys, head by head. */
const NORMALISED = /^(qwen3|gemma3|olmo2|minimax_m2)/;

/** Parameters in all, and those that a token goes through; null where a layer's size cannot be told. */
function paramsOf(reader: Reader, counted: Counted): { total: number; active: number } | null {
  const { moe, layers, hiddenSize, vocabSize, tied, numLayers } = counted;
  if (layers.other > 0) {
    reader.unread.push(`${layers.other} layers of another kind (Mamba, MLP): parameters are not counted`);
    return null;
  }
  const linear = layers.linear === 0 ? 0 : linearAttentionParams(reader, counted);
  if (linear === null) return null;
  const attention = attentionParams(reader, counted) * (numLayers - layers.linear) + linear * layers.linear;
  const norms = (2 * numLayers + 1) * hiddenSize;
  const embeddings = vocabSize * hiddenSize * (tied ? 1 : 2);
  const dense = counted.moe === null ? numLayers : (counted.moe.denseFirstLayers ?? 0);
  const width = counted.intermediateSize;
  if (dense > 0 && width === null) {
    reader.unread.push('intermediate_size is missing: parameters are not counted');
    return null;
  }
  const matrices = TWO_MATRICES.test(reader.words('model_type')) ? 2 : 3;
  const common = embeddings + norms + attention + dense * matrices * hiddenSize * (width ?? 0);
  if (moe === null) return { total: common, active: common };
  return withExperts(reader, common, numLayers - dense, hiddenSize, moe);
}

function withExperts(
  reader: Reader,
  common: number,
  moeLayers: number,
  hiddenSize: number,
  moe: MixtureOfExperts,
): { total: number; active: number } | null {
  const { numExperts, expertsPerToken, expertIntermediateSize: width, sharedExperts } = moe;
  if (numExperts === null || width === null) return null;
  if (expertsPerToken === null) {
    reader.unread.push('experts chosen for a token (num_experts_per_tok): parameters are not counted');
    return null;
  }
  const expert = 3 * hiddenSize * width;
  const shared = (sharedExperts ?? 0) * 3 * hiddenSize * (moe.sharedExpertIntermediateSize ?? width);
  // Qwen gates its shared expert.
  const gate = moe.sharedExpertIntermediateSize === null ? 0 : hiddenSize;
  const each = shared + gate + numExperts * hiddenSize;
  return {
    total: common + moeLayers * (each + numExperts * expert),
    active: common + moeLayers * (each + expertsPerToken * expert),
  };
}

function attentionParams(reader: Reader, { mla, ...shape }: Counted): number {
  const { hiddenSize: hidden, numAttentionHeads: heads, numKvHeads, headDim } = shape;
  if (mla !== null) {
    const { kvLoraRank: latent, qLoraRank, qkRopeHeadDim: rope, qkNopeHeadDim: nope, vHeadDim: value } = mla;
    const query =
      qLoraRank === null
        ? hidden * heads * (nope + rope)
        : hidden * qLoraRank + qLoraRank + qLoraRank * heads * (nope + rope);
    return (
      query + hidden * (latent + rope) + latent + latent * heads * (nope + value) + heads * value * hidden
    );
  }
  const rows = (heads + 2 * numKvHeads) * headDim;
  const type = reader.words('model_type');
  const hasBias = (reader.flag('attention_bias') ?? reader.flag('qkv_bias') ?? false) || BIASED.test(type);
  // A gate on the output doubles the query projection (Qwen3-Next and 3.5).
  const gate = reader.flag('attn_output_gate') === true || /^qwen3_(next|5)/.test(type) ? heads * headDim : 0;
  const norms = NORMALISED.test(type) ? 2 * headDim : 0;
  return hidden * (rows + gate) + heads * headDim * hidden + (hasBias ? rows : 0) + norms;
}

/** A layer of gated delta rule (Qwen3-Next and 3.5) or lightning attention (MiniMax). */
function linearAttentionParams(reader: Reader, counted: Counted): number | null {
  const { hiddenSize: hidden, numAttentionHeads: heads, headDim } = counted;
  const keyHeads = reader.number('linear_num_key_heads');
  const valueHeads = reader.number('linear_num_value_heads');
  const keyDim = reader.number('linear_key_head_dim');
  const valueDim = reader.number('linear_value_head_dim');
  const kernel = reader.number('linear_conv_kernel_dim');
  if (keyHeads !== null && valueHeads !== null && keyDim !== null && valueDim !== null && kernel !== null) {
    const keys = keyHeads * keyDim;
    const values = valueHeads * valueDim;
    const projections = hidden * (2 * keys + 2 * values + 2 * valueHeads) + values * hidden;
    return projections + kernel * (2 * keys + values) + 2 * valueHeads + valueDim;
  }
  if (reader.list('attn_type_list') !== null) return 5 * hidden * heads * headDim;
  reader.unread.push('the dimensions of its linear attention: parameters are not counted');
  return null;
}

/** KV bytes of a token in bf16: all layers that keep any, and those that keep growing. */
function kvOf(
  { numKvHeads, headDim }: Shape,
  mla: LatentAttention | null,
  { full, sliding }: Layers,
): { all: number; growing: number } {
  const layer = mla === null ? 2 * numKvHeads * headDim : mla.kvLoraRank + mla.qkRopeHeadDim;
  return { all: (full + sliding) * layer * 2, growing: full * layer * 2 };
}

// ---- words ------------------------------------------------------------------------------------------------------

function attentionName(mla: LatentAttention | null, shape: Shape, { linear, other }: Layers): string {
  const { numKvHeads, numAttentionHeads } = shape;
  const base =
    mla !== null ? 'MLA' : numKvHeads === numAttentionHeads ? 'MHA' : numKvHeads === 1 ? 'MQA' : 'GQA';
  return linear + other > 0 ? `hybrid, ${base}` : base;
}

/** Type of the weights as stored: of the quantisation, else of the tensors. */
function dtypeOf(reader: Reader): string | null {
  const quantization = reader.part('quantization_config') ?? reader.part('compression_config');
  const method = quantization?.quant_method;
  if (quantization === null) {
    const dtype = reader.words('torch_dtype') || reader.words('dtype');
    return dtype === '' ? null : dtype.replace('bfloat16', 'bf16').replace('float16', 'fp16');
  }
  if (method === 'compressed-tensors') {
    const [group] = Object.values(isConfig(quantization.config_groups) ? quantization.config_groups : {});
    const weights = isConfig(group) && isConfig(group.weights) ? group.weights : {};
    return `${weights.type === 'float' ? 'fp' : 'int'}${String(weights.num_bits ?? '')}`;
  }
  if (method === 'modelopt') return String(quantization.quant_algo ?? method).toLowerCase();
  if (method === 'awq' || method === 'gptq') return `int${String(quantization.bits ?? '')}`;
  return typeof method === 'string' ? method : null;
}

/** Parts of a model that serve no text token, and attention that is more than it counts as. */
const LEFT_OUT: readonly (readonly [key: string, what: string])[] = [
  ['vision_config', 'the vision tower: weights and images are not counted'],
  ['audio_config', 'the audio tower: weights and sound are not counted'],
  ['num_nextn_predict_layers', 'layers that predict further tokens: not counted'],
  ['mtp_num_hidden_layers', 'layers that predict further tokens: not counted'],
  [
    'index_topk',
    'the index of sparse attention: its KV is not counted, and attention costs as if it were dense',
  ],
  ['attention_chunk_size', 'attention in chunks: KV counts as if every layer saw everything'],
  ['num_kv_shared_layers', 'layers that share the KV of others: counted as if each had its own'],
];

function leftOut(reader: Reader): void {
  for (const [key, what] of LEFT_OUT) {
    const value = reader.part(key) ?? reader.number(key);
    if (value !== null) reader.unread.push(what);
  }
  const scaling = reader.part('rope_scaling') ?? reader.part('rope_parameters');
  const factor = scaling?.factor;
  if (typeof factor === 'number' && factor > 1 && scaling?.original_max_position_embeddings === undefined)
    reader.assumed.push('the window is max_position_embeddings, not longer by rope_scaling');
}
