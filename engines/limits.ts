// The limits of one replica: vLLM's defaults by GPU memory, and how many KV blocks are left in that memory once
// weights and working space are in. What does not fit is refused with the arithmetic.
import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import type { KvType, PoolFile, WeightType } from '../scenarios/formats/deployment/pool.ts';
import { type Gpu, type Model, unknownFigure } from './catalog.ts';
import type { EngineLimits } from './engine.ts';

const GIB = 1024 ** 3;

/** vLLM's default gpu_memory_utilization and block size [vllm config/cache.py]. */
const UTILIZATION = 0.92;
const BLOCK_TOKENS = 16;

/**
 * Peak activations, CUDA context and graphs of one GPU: 3.5 GB, the non-model memory of NVIDIA's aiconfigurator
 * (policies §1.11); and what NCCL takes once ranks talk, the upper of its 342 to 392 MB.
 */
const OTHER_BYTES = 3.5e9;
const NCCL_BYTES = 392e6;

/** What a hint proposes fits with a little to spare: part of a block, and the null block. */
const FIT_MARGIN = 1.01;

/** Bytes of one weight. NVFP4 has an FP8 scale for every 16 weights: 0.5 + 1/16. */
export const WEIGHT_BYTES: Record<WeightType, number> = { bf16: 2, fp8: 1, nvfp4: 0.5625 };

/** max_num_batched_tokens of the server and max_num_seqs by GPU [vllm engine/arg_utils.py]; null: a CPU. */
export function vllmDefaults(gpu: Gpu | null): { maxBatchedTokens: number; maxSequences: number } {
  if (gpu === null) return { maxBatchedTokens: 2048, maxSequences: 128 };
  if (gpu.memoryBytes >= 160 * GIB) return { maxBatchedTokens: 16_384, maxSequences: 1024 };
  const large = gpu.memoryBytes >= 70 * GIB && !gpu.id.startsWith('a100');
  return large
    ? { maxBatchedTokens: 8192, maxSequences: 1024 }
    : { maxBatchedTokens: 2048, maxSequences: 256 };
}

/** Embedding and unembedding, which quantised checkpoints keep in bf16; 0 where the vocabulary is not known. */
export function embeddingParams(model: Model): { head: number; stored: number } {
  const head = (model.vocabSize ?? 0) * (model.hiddenSize ?? 0);
  return { head, stored: model.tieWordEmbeddings === true ? head : 2 * head };
}

/** Parameters of the text model as stored; the published count before the computed one. */
export const totalParams = (model: Model): number | null => model.totalParams ?? model.computedTotalParams;

/** Bytes of all weights; null where the catalogue has no count. */
export function weightBytes(model: Model, type: WeightType): number | null {
  const total = totalParams(model);
  if (total === null) return null;
  const kept = Math.min(total, embeddingParams(model).stored);
  return (total - kept) * WEIGHT_BYTES[type] + kept * WEIGHT_BYTES.bf16;
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

/** What a replica is made of, with the defaults filled in. */
export interface ReplicaSetup {
  model: Model | null;
  gpu: Gpu | null;
  tensorParallel: number;
  /** Stages that split the layers; default 1. */
  pipelineParallel?: number;
  /** Further ranks that experts are spread over (data parallel with expert parallel); default 1. */
  expertRanks?: number;
  weights: WeightType;
  kv: KvType;
}

export interface ResolvedLimits {
  limits: EngineLimits | null;
  evidence: string[];
  issues: Issue[];
}

interface KvRoom {
  budgetBytes: number;
  weightBytesPerGpu: number;
  otherBytes: number;
  kvBytes: number;
}

function kvRoom(gpu: Gpu, weights: number, tensorParallel: number, utilization: number): KvRoom {
  const budgetBytes = Math.floor(utilization * gpu.memoryBytes);
  const weightBytesPerGpu = weights / tensorParallel;
  const otherBytes = OTHER_BYTES + (tensorParallel > 1 ? NCCL_BYTES : 0);
  return {
    budgetBytes,
    weightBytesPerGpu,
    otherBytes,
    kvBytes: budgetBytes - weightBytesPerGpu - otherBytes,
  };
}

const gb = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

/** Why a precision cannot run on a GPU; null when it can. */
function precisionIssue(setup: ReplicaSetup, path: InputPath): Issue | null {
  const { gpu, weights, kv } = setup;
  if (gpu === null) return null;
  const has = `${gpu.id} (${gpu.architecture})`;
  const at = [...path, 'precision'];
  if (weights === 'nvfp4' && !/Blackwell|Rubin/.test(gpu.architecture)) {
    return issue(
      [...at, 'weights'],
      'WT1005',
      `nvfp4 weights need Blackwell or later; ${has} is not`,
      'use fp8 or bf16',
    );
  }
  if ((weights === 'fp8' || kv === 'fp8') && gpu.fp8DenseFlops === null) {
    const key = weights === 'fp8' ? 'weights' : 'kv';
    return issue([...at, key], 'WT1005', `fp8 ${key} need FP8 tensor cores; ${has} has none`, 'use bf16');
  }
  return null;
}

/** vLLM splits heads over ranks: both counts must divide one way or the other. */
function parallelIssue(setup: ReplicaSetup, path: InputPath): Issue | null {
  const { model, gpu, tensorParallel } = setup;
  const at = [...path, 'tensor_parallel'];
  if (tensorParallel === 1 || gpu === null) return null;
  const domain = gpu.scaleUpDomainGpus;
  if (domain === null || gpu.scaleUpBandwidthBytesPerSecPerDirection === null) {
    return unknownFigure(
      at,
      gpu.id,
      'scaleUpBandwidthBytesPerSecPerDirection',
      'tensor_parallel > 1',
      'use 1',
    );
  }
  if (tensorParallel > domain) {
    return issue(
      at,
      'WT1005',
      `expected at most ${domain}, the GPUs that ${gpu.scaleUpName} joins; got ${tensorParallel}`,
    );
  }
  const heads = model?.numAttentionHeads ?? null;
  if (model === null || heads === null || heads % tensorParallel === 0) return null;
  return issue(
    at,
    'WT1005',
    `the ${heads} attention heads of ${model.id} cannot be split over ${tensorParallel} GPUs`,
  );
}

/** The smallest split over GPUs whose memory holds the model and one request of full length. */
function splitThatFits(setup: ReplicaSetup, gpu: Gpu, weights: number, utilization: number, tokens: number) {
  const { model, kv } = setup;
  for (let tp = setup.tensorParallel * 2; tp <= (gpu.scaleUpDomainGpus ?? 1); tp *= 2) {
    const perToken = model === null ? null : kvBytesPerToken(model, kv, tp);
    if (perToken === null) return null;
    const needed = (perToken / (setup.pipelineParallel ?? 1)) * tokens * FIT_MARGIN;
    if (kvRoom(gpu, weights, tp, utilization).kvBytes >= needed) return tp;
  }
  return null;
}

interface BlockQuestion {
  setup: ReplicaSetup;
  pool: PoolFile;
  path: InputPath;
  blockTokens: number;
  maxModelTokens: number;
}

/** KV blocks that fit into memory, less the null block that vLLM reserves. */
function blocksInMemory(ask: BlockQuestion): { blocks: number | null; evidence: string[]; issues: Issue[] } {
  const { setup, pool, path, blockTokens, maxModelTokens } = ask;
  const { model, gpu, tensorParallel } = setup;
  const refuse = (found: Issue) => ({ blocks: null, evidence: [], issues: [found] });
  const instead = 'give limits.kv_blocks';
  if (model === null || gpu === null) {
    return refuse(
      issue([...path, 'limits', 'kv_blocks'], 'WT1004', 'missing key "kv_blocks"', 'needed without a GPU'),
    );
  }
  const at = [...path, 'model'];
  const all = weightBytes(model, setup.weights);
  if (all === null) return refuse(unknownFigure(at, model.id, 'totalParams', 'the weight bytes', instead));
  const { pipelineParallel: stages = 1, expertRanks = 1 } = setup;
  const weights = all / stages / expertRanks;
  if (model.linearAttention !== null) {
    const key = 'linearAttention.stateBytes';
    return refuse(
      unknownFigure(at, model.id, key, 'the KV blocks (its linear layers hold state per sequence)', instead),
    );
  }
  const inAllStages = kvBytesPerToken(model, setup.kv, tensorParallel);
  if (inAllStages === null)
    return refuse(unknownFigure(at, model.id, 'kvBytesPerTokenBf16', 'the KV blocks', instead));
  const perToken = inAllStages / stages;

  const utilization = pool.limits?.gpu_memory_utilization ?? UTILIZATION;
  const room = kvRoom(gpu, weights, tensorParallel, utilization);
  const blocks = Math.floor(room.kvBytes / (blockTokens * perToken)) - 1;
  const percent = `${Math.round(utilization * 1000) / 10}%`;
  const arithmetic = `${percent} of ${gb(gpu.memoryBytes)} - weights ${gb(room.weightBytesPerGpu)} (${setup.weights}, tensor_parallel ${tensorParallel}) - ${gb(room.otherBytes)} for activations, graphs and CUDA = ${gb(room.kvBytes)} for KV`;
  if (blocks * blockTokens >= maxModelTokens) {
    const counted = `${blocks} KV blocks of ${blockTokens} tokens = ${blocks * blockTokens} tokens a replica`;
    return { blocks, evidence: [`${counted}: ${arithmetic}, at ${perToken} bytes a token`], issues: [] };
  }
  const split = splitThatFits(setup, gpu, weights, utilization, maxModelTokens);
  const shorter = blocks >= 1 ? `limits.max_model_len: ${blocks * blockTokens}` : null;
  const larger = split === null ? null : `tensor_parallel: ${split}`;
  const fp8 = gpu.fp8DenseFlops === null ? null : weightBytes(model, 'fp8');
  const fp8Room =
    fp8 === null ? 0 : kvRoom(gpu, fp8 / stages / expertRanks, tensorParallel, utilization).kvBytes;
  const fp8Fits = setup.weights === 'bf16' && fp8Room >= perToken * maxModelTokens * FIT_MARGIN;
  const smaller = fp8Fits ? 'precision.weights: fp8' : null;
  const ways = [larger, smaller, shorter].filter(way => way !== null).join(', or ');
  const what =
    room.kvBytes <= 0
      ? `${model.id} does not fit on ${gpu.id}`
      : `a request of max_model_len ${maxModelTokens} tokens does not fit into the KV cache of ${gpu.id} (${Math.max(0, blocks) * blockTokens} tokens)`;
  return refuse(
    issue(at, 'WT1203', `${what}: ${arithmetic}`, ways === '' ? 'use a larger GPU' : `try ${ways}`),
  );
}

/** The limits of each replica of a pool. */
export function resolveLimits(pool: PoolFile, setup: ReplicaSetup, path: InputPath): ResolvedLimits {
  const { model, gpu } = setup;
  const given = pool.limits ?? {};
  const at = [...path, 'limits'];
  const first = precisionIssue(setup, path) ?? parallelIssue(setup, path);
  if (first !== null) return { limits: null, evidence: [], issues: [first] };

  const maxModelTokens = given.max_model_len ?? model?.maxContextTokens ?? null;
  if (maxModelTokens === null) {
    const found =
      model === null
        ? issue(
            [...at, 'max_model_len'],
            'WT1004',
            'missing key "max_model_len"',
            'needed for a model outside the catalogue',
          )
        : unknownFigure(
            [...path, 'model'],
            model.id,
            'maxContextTokens',
            'the context window',
            'give limits.max_model_len',
          );
    return { limits: null, evidence: [], issues: [found] };
  }
  const window = model?.maxContextTokens ?? null;
  if (window !== null && maxModelTokens > window) {
    const message = `max_model_len ${maxModelTokens} is beyond the context window of ${model?.id}, ${window} tokens`;
    return { limits: null, evidence: [], issues: [issue([...at, 'max_model_len'], 'WT1005', message)] };
  }
  const defaults = vllmDefaults(gpu);
  const maxBatchedTokens = given.max_num_batched_tokens ?? defaults.maxBatchedTokens;
  const maxSequences = given.max_num_seqs ?? Math.min(defaults.maxSequences, maxBatchedTokens);
  if (maxBatchedTokens < maxSequences) {
    const message = `max_num_batched_tokens ${maxBatchedTokens} is below max_num_seqs ${maxSequences}`;
    const hint = 'each running sequence needs one token of the budget: vLLM refuses this too';
    return {
      limits: null,
      evidence: [],
      issues: [issue([...at, 'max_num_batched_tokens'], 'WT1005', message, hint)],
    };
  }
  const blockTokens = given.block_size ?? BLOCK_TOKENS;
  const memory =
    given.kv_blocks === undefined
      ? blocksInMemory({ setup, pool, path, blockTokens, maxModelTokens })
      : {
          blocks: given.kv_blocks,
          evidence: [`${given.kv_blocks} KV blocks of ${blockTokens} tokens, as given`],
          issues: [],
        };
  if (memory.blocks === null) return { limits: null, evidence: [], issues: memory.issues };
  if (memory.blocks * blockTokens < maxModelTokens) {
    const held = memory.blocks * blockTokens;
    const message = `kv_blocks ${memory.blocks} of ${blockTokens} tokens hold ${held} tokens, fewer than max_model_len ${maxModelTokens}`;
    const hint = `a request of that length could never run: set max_model_len: ${held} or kv_blocks: ${Math.ceil(maxModelTokens / blockTokens)}`;
    return { limits: null, evidence: [], issues: [issue([...at, 'kv_blocks'], 'WT1203', message, hint)] };
  }
  return {
    limits: {
      blockTokens,
      kvBlocks: memory.blocks,
      maxBatchedTokens,
      maxSequences,
      maxModelTokens,
      prefixCaching: given.enable_prefix_caching ?? true,
      maxQueuedRequests: given.max_queued_requests ?? null,
      maxQueuedTokens: null,
      asyncScheduling: true,
      schedulingPolicy: 'fcfs',
      chunkedPrefill: true,
      longPrefillTokens: 0,
    },
    evidence: memory.evidence,
    issues: [],
  };
}
