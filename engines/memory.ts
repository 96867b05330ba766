// How a GPU's memory is shared out: weights, working space, and the KV blocks that fit into the rest. An engine
// measures its working space in a trial step at start; the form here meets those of thirteen measured engines
// (test/engines/memory.test.ts).
import type { KvType, WeightType } from '../scenarios/formats/deployment/pool.ts';
import type { Gpu, Model } from './catalog.ts';
import type { EngineKind } from './engine.ts';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

/** Bytes of one weight. NVFP4 has an FP8 scale for every 16 weights: 0.5 + 1/16. */
export const WEIGHT_BYTES: Record<WeightType, number> = { bf16: 2, fp8: 1, nvfp4: 0.5625 };

/** What a replica is made of, with the defaults filled in. */
export interface ReplicaSetup {
  model: Model | null;
  gpu: Gpu | null;
  tensorParallel: number;
  /** Stages that split the layers; default 1. */
  pipelineParallel?: number;
  /** Data-parallel ranks that the experts are spread over as well; default 1. */
  expertRanks?: number;
  weights: WeightType;
  kv: KvType;
  /** Whether the next step is scheduled while one runs; default true, as vLLM's. */
  asyncScheduling?: boolean;
  /** A second, small model on the same GPUs, for speculative decoding. */
  draft?: Model | null;
}

/** Embedding and unembedding, which quantised checkpoints keep in bf16; 0 where the vocabulary is not known. */
export function embeddingParams(model: Model): { head: number; stored: number } {
  const head = (model.vocabSize ?? 0) * (model.hiddenSize ?? 0);
  return { head, stored: model.tieWordEmbeddings === true ? head : 2 * head };
}

/**
 * Parameters of the text model as stored: as published, else as computed. Kimi K2's are published as 1 T, fewer than its
 * experts have: then the dimensions count.
 */
export function totalParams(model: Model): number | null {
  const { totalParams: published, computedTotalParams: computed } = model;
  if (published === null || computed === null) return published ?? computed;
  return published < (routedParams(model) ?? 0) ? computed : published;
}

/** Bytes of all weights; null where the catalogue has no count. */
export function weightBytes(model: Model, type: WeightType): number | null {
  const total = totalParams(model);
  if (total === null) return null;
  const kept = Math.min(total, embeddingParams(model).stored);
  return (total - kept) * WEIGHT_BYTES[type] + kept * WEIGHT_BYTES.bf16;
}

/** Parameters of all routed experts: 0 of a dense model, null where a figure is missing. */
export function routedParams(model: Model): number | null {
  if (model.moe === null) return 0;
  const { numExperts, expertIntermediateSize, denseFirstLayers } = model.moe;
  const { numLayers, hiddenSize } = model;
  if (numExperts === null || expertIntermediateSize === null || denseFirstLayers === null) return null;
  if (numLayers === null || hiddenSize === null) return null;
  return (numLayers - denseFirstLayers) * numExperts * 3 * hiddenSize * expertIntermediateSize;
}

/**
 * KV bytes of one token on each GPU of a replica. Grouped-query attention divides its KV heads over the ranks, down
 * to one head a rank; the latent of MLA is one, and every rank holds it whole. Layers behind a sliding window are
 * left out: they stop growing.
 */
export function kvBytesPerToken(model: Model, type: KvType, tensorParallel: number): number | null {
  const all = type === 'fp8' ? model.kvBytesPerTokenFp8 : model.kvBytesPerTokenBf16;
  if (all === null || model.kvBytesPerTokenBf16 === null || model.kvBytesPerTokenGrowing === null)
    return null;
  const growing = (all * model.kvBytesPerTokenGrowing) / model.kvBytesPerTokenBf16;
  if (model.mla !== null) return growing;
  if (model.numKvHeads === null) return null;
  return (growing * Math.max(1, Math.ceil(model.numKvHeads / tensorParallel))) / model.numKvHeads;
}

// ---- what each engine leaves for KV ---------------------------------------------------------------------------

/**
 * The driver shows less than the data sheet: of HBM 99 % (H100 79.19 of 80 GiB, H200 139.81 of 141, B200 178.36 of
 * 180), of GDDR 98 % (RTX 3090 23.58 of 24), as PyTorch's own messages say.
 */
const VISIBLE_HBM = 0.99;
const VISIBLE_GDDR = 0.98;

/** Defaults: vLLM gpu_memory_utilization [config/cache.py], TensorRT-LLM free_gpu_memory_fraction (policies §1.7). */
const VLLM_UTILIZATION = 0.92;
const TRT_LLM_FRACTION = 0.9;

/**
 * vLLM's working space, two constants fitted on 13 engines of ../shared/data/ground-truth (vLLM 0.11 to 0.19, H100
 * and RTX 4090, TP 1 to 4), whose KV they meet within 0.5 %: outside PyTorch, and once ranks talk (NCCL and custom
 * all-reduce buffers; aiconfigurator has 342 to 392 MB for NCCL alone).
 */
const CUDA_BYTES = 0.22e9;
const COLLECTIVE_BYTES = 0.52e9;
/**
 * Sampling at start, for each sequence and word: logits in bf16 and fp32, sorted values and indices, and the sort's
 * double buffer. The RTX 4090 run says at most 32 bytes; a log of an H100 with 1,024 sequences (Llama 3.1 8B with
 * EAGLE, 51.63 GiB for KV at 90 %) agrees within 1 %.
 */
const SAMPLER_BYTES = 32;
/** vLLM of today sets CUDA graphs aside too (policies §1.2): as logged by 0.11 for its default sizes, 0.72 GiB. */
const GRAPH_BYTES = 0.72 * GIB;

/** Non-model memory of TensorRT-LLM: NVIDIA's aiconfigurator (policies §1.11). */
const TRT_LLM_OTHER_BYTES = 3.5e9;

/** What decides how much an engine keeps for itself. */
export interface EngineMemory {
  engine: EngineKind;
  /** Share of memory that the engine may use; TensorRT-LLM's is of what the weights leave. Null: its default. */
  utilization: number | null;
  maxBatchedTokens: number;
  maxSequences: number;
  blockTokens: number;
  /** Whether CUDA graphs are set aside before KV: vLLM of today does, 0.19 and older did not. */
  setsGraphsAside: boolean;
}

export interface KvMemory {
  /** KV blocks of one engine; the null block that vLLM reserves is not counted. Below 1 where nothing fits. */
  kvBlocks: number;
  /** Bytes of one GPU that are left for KV; negative where the weights alone are too much. */
  kvBytes: number;
  /** KV bytes of one token on one GPU. */
  bytesPerToken: number;
  /** The sum, in words and GB. */
  arithmetic: string;
}

/** A figure of the catalogue that is null and needed. */
export interface MissingFigure {
  missing: string;
  /** What for. */
  need: string;
}

export type PlacedSetup = ReplicaSetup & { model: Model; gpu: Gpu };

/** Bytes of a GPU's memory that programs see. */
export const visibleBytes = (gpu: Gpu): number =>
  Math.floor(gpu.memoryBytes * (gpu.memoryType.startsWith('GDDR') ? VISIBLE_GDDR : VISIBLE_HBM));

/** Memory of one GPU of a replica, and the KV blocks in it. */
export function kvMemory(setup: PlacedSetup, use: EngineMemory): KvMemory | MissingFigure {
  const { model, draft = null } = setup;
  if (model.linearAttention !== null)
    return { missing: 'linearAttention.stateBytes', need: 'the KV blocks (linear layers hold state)' };
  const weights = weightBytesPerGpu(setup);
  if (typeof weights !== 'number') return weights;
  const perToken = kvBytesPerToken(model, setup.kv, setup.tensorParallel);
  if (perToken === null) return { missing: 'kvBytesPerTokenBf16', need: 'the KV blocks' };
  const bytesPerToken =
    perToken * stageShare(setup) +
    (draft === null ? 0 : (kvBytesPerToken(draft, setup.kv, setup.tensorParallel) ?? 0));
  const left = { vllm: leftByVllm, sglang: leftBySglang, 'tensorrt-llm': leftByTrtLlm }[use.engine];
  const rest = left(setup, use, weights);
  if ('missing' in rest) return rest;
  const blocks = Math.floor(rest.kvBytes / (use.blockTokens * bytesPerToken));
  return {
    ...rest,
    kvBlocks: use.engine === 'vllm' ? blocks - 1 : blocks,
    bytesPerToken,
  };
}

/** Share of the layers in the fullest pipeline stage. */
function stageShare({ model, pipelineParallel: stages = 1 }: ReplicaSetup): number {
  const layers = model?.numLayers ?? null;
  return layers === null ? 1 / stages : Math.ceil(layers / stages) / layers;
}

/** Experts are spread over all ranks; what is not an expert stands on each data-parallel rank whole. */
function weightBytesPerGpu(setup: PlacedSetup): number | MissingFigure {
  const { model, tensorParallel, expertRanks = 1, draft = null } = setup;
  const need = 'the weight bytes';
  const all = weightBytes(model, setup.weights);
  if (all === null) return { missing: 'totalParams', need };
  const routed = expertRanks === 1 ? 0 : routedParams(model);
  if (routed === null) return { missing: 'moe.expertIntermediateSize', need };
  const spread = routed * WEIGHT_BYTES[setup.weights];
  const own = (all - spread + spread / expertRanks) * stageShare(setup);
  const drafting = draft === null ? 0 : weightBytes(draft, setup.weights);
  if (drafting === null) return { missing: 'totalParams', need: `${need} of the draft model` };
  return (own + drafting) / tensorParallel;
}

type Left = { kvBytes: number; arithmetic: string };

/**
 * The largest of three peaks of the trial step: activations of a full token budget (two residuals and two norms of the
 * hidden size, gate, up and their product: 8 x hidden + 6 x width bytes a token), the embedding shard, which
 * start-up holds twice, and the sampler.
 */
function vllmPeak(setup: PlacedSetup, use: EngineMemory): { bytes: number; of: string } | MissingFigure {
  const { model, tensorParallel: tp } = setup;
  const { hiddenSize, intermediateSize, moe } = model;
  if (hiddenSize === null) return { missing: 'hiddenSize', need: 'the memory of activations' };
  const dense = intermediateSize === null ? 0 : (6 * intermediateSize) / tp;
  let experts = 0;
  if (moe !== null && moe.expertsPerToken !== null && moe.expertIntermediateSize !== null) {
    const width = moe.expertIntermediateSize / tp;
    experts = 2 * moe.expertsPerToken * (Math.max(2 * width, hiddenSize) + width);
  }
  if (dense + experts === 0) return { missing: 'intermediateSize', need: 'the memory of activations' };
  const sampled = Math.min(use.maxSequences, use.maxBatchedTokens);
  const peaks = [
    {
      of: `activations of ${use.maxBatchedTokens} tokens`,
      bytes: use.maxBatchedTokens * (8 * hiddenSize + Math.max(dense, experts)),
    },
    { of: 'the embedding, twice at start', bytes: (embeddingParams(model).head * WEIGHT_BYTES.bf16) / tp },
    { of: `sampling ${sampled} sequences`, bytes: SAMPLER_BYTES * sampled * (model.vocabSize ?? 0) },
  ];
  return peaks.reduce((most, each) => (each.bytes > most.bytes ? each : most));
}

const ranks = ({ tensorParallel, pipelineParallel = 1, expertRanks = 1 }: ReplicaSetup): number =>
  tensorParallel * pipelineParallel * expertRanks;

function leftByVllm(setup: PlacedSetup, use: EngineMemory, weights: number): Left | MissingFigure {
  const share = use.utilization ?? VLLM_UTILIZATION;
  const peak = vllmPeak(setup, use);
  if ('missing' in peak) return peak;
  const visible = visibleBytes(setup.gpu);
  const collectives = ranks(setup) > 1 ? COLLECTIVE_BYTES : 0;
  const graphs = use.setsGraphsAside ? GRAPH_BYTES : 0;
  const fixed = CUDA_BYTES + collectives + graphs;
  const kvBytes = Math.floor(share * visible - weights - peak.bytes - fixed);
  const what = ['CUDA', collectives > 0 ? 'NCCL' : '', graphs > 0 ? 'graphs' : ''].filter(
    each => each !== '',
  );
  const parts = [
    `${percent(share)} of ${gb(visible)}`,
    weightText(setup, weights),
    `${gb(peak.bytes)} (${peak.of})`,
    `${gb(fixed)} (${what.join(', ')})`,
  ];
  return { kvBytes, arithmetic: `${parts.join(' - ')} = ${gb(kvBytes)} for KV` };
}

/** SGLang's reserve (policies §1.8): 512 MiB, activations by chunk, 1 GiB for eight ranks, 2 MiB a graph size. */
function leftBySglang(setup: PlacedSetup, use: EngineMemory, weights: number): Left {
  const { gpu, tensorParallel: tp, pipelineParallel = 1 } = setup;
  const visible = visibleBytes(gpu);
  const graphs = 2 * sglangGraphBatch(gpu, tp);
  const chunk = 1.5 * Math.max(use.maxBatchedTokens, 2048);
  const reserve = (512 + chunk + ((tp * pipelineParallel) / 8) * 1024 + graphs) * MIB;
  const kept = gpu.memoryBytes > 60 * GIB ? Math.max(reserve, 10e9) : reserve;
  const budget = use.utilization === null ? visible - kept : use.utilization * visible;
  const kvBytes = Math.floor(budget - weights);
  const first =
    use.utilization === null
      ? `${gb(visible)} - ${gb(kept)} that SGLang reserves`
      : `${percent(use.utilization)} of ${gb(visible)}`;
  return { kvBytes, arithmetic: `${first} - ${weightText(setup, weights)} = ${gb(kvBytes)} for KV` };
}

/** Largest CUDA-graph batch of SGLang by memory, fewer and more than four ranks (policies §1.8). */
function sglangGraphBatch(gpu: Gpu, tensorParallel: number): number {
  const [few, many] =
    gpu.memoryBytes < 20 * GIB
      ? [8, 8]
      : gpu.memoryBytes < 60 * GIB
        ? [48, 160]
        : gpu.memoryBytes < 160 * GIB
          ? [160, 256]
          : [512, 512];
  return tensorParallel < 4 ? few : many;
}

/** TensorRT-LLM gives a share of what is free once the model is loaded. */
function leftByTrtLlm(setup: PlacedSetup, use: EngineMemory, weights: number): Left {
  const share = use.utilization ?? TRT_LLM_FRACTION;
  const visible = visibleBytes(setup.gpu);
  const other = TRT_LLM_OTHER_BYTES + (ranks(setup) > 1 ? COLLECTIVE_BYTES : 0);
  const free = visible - weights - other;
  const kvBytes = free > 0 ? Math.floor(share * free) : free;
  const parts = [gb(visible), weightText(setup, weights), `${gb(other)} (activations, CUDA and graphs)`];
  const taken = free > 0 ? `, ${percent(share)} of it = ${gb(kvBytes)} for KV` : ' for KV';
  return { kvBytes, arithmetic: `${parts.join(' - ')} = ${gb(free)}${taken}` };
}

const gb = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
const percent = (ratio: number): string => `${Math.round(ratio * 1000) / 10}%`;

function weightText(setup: PlacedSetup, bytes: number): string {
  const { tensorParallel, pipelineParallel = 1, expertRanks = 1, weights, draft = null } = setup;
  const split = [
    `tensor_parallel ${tensorParallel}`,
    ...(pipelineParallel > 1 ? [`pipeline_parallel ${pipelineParallel}`] : []),
    ...(expertRanks > 1 ? [`experts over ${expertRanks} ranks`] : []),
    ...(draft === null ? [] : [`with the draft ${draft.id}`]),
  ];
  return `weights ${gb(bytes)} (${weights}, ${split.join(', ')})`;
}
