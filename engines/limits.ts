// The limits of one engine: what the file gives, else its defaults, and the KV blocks that fit beside the weights. What
// does not fit, or cannot be split so, is refused with the arithmetic.
import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import type { LimitsFile, PoolFile } from '../scenarios/formats/deployment/pool.ts';
import { unknownFigure } from './catalog.ts';
import { ENGINE_DEFAULTS } from './defaults.ts';
import type { EngineKind, EngineLimits } from './engine.ts';
import { type EngineMemory, kvMemory, type PlacedSetup, type ReplicaSetup } from './memory.ts';

/** What a hint proposes fits with a little to spare: part of a block, and the null block. */
const FIT_MARGIN = 1.01;

export interface ResolvedLimits {
  limits: EngineLimits | null;
  evidence: string[];
  issues: Issue[];
}

const refused = (...issues: Issue[]): ResolvedLimits => ({ limits: null, evidence: [], issues });

// ---- what an engine cannot be -----------------------------------------------------------------------------------

/** Why a precision cannot run on a GPU; null when it can. */
function precisionIssue(setup: ReplicaSetup, path: InputPath): Issue | null {
  const { gpu, weights, kv } = setup;
  if (gpu === null) return null;
  const has = `${gpu.id} (${gpu.architecture})`;
  const at = [...path, 'precision'];
  const hasNvfp4 = /Blackwell|Rubin|as the file says/.test(gpu.architecture) && gpu.fp4DenseFlops !== null;
  if (weights === 'nvfp4' && !hasNvfp4) {
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

/**
 * Heads are split over ranks, so their number must divide; KV heads are split evenly, or each stands on equally many
 * ranks [vLLM model_executor/models/llama.py, LlamaAttention]. Of MLA the catalogue may have the count as KV heads.
 */
function tensorParallelIssue(setup: ReplicaSetup, path: InputPath): Issue | null {
  const { model, gpu, tensorParallel } = setup;
  const at = [...path, 'tensor_parallel'];
  if (tensorParallel === 1 || gpu === null) return null;
  const domain = gpu.scaleUpDomainGpus;
  if (domain === null || gpu.scaleUpBandwidthBytesPerSecPerDirection === null) {
    const key = 'scaleUpBandwidthBytesPerSecPerDirection';
    const instead = 'use 1';
    return unknownFigure(at, gpu.id, key, 'tensor_parallel > 1', instead);
  }
  if (tensorParallel > domain) {
    const message = `expected at most ${domain}, the GPUs that ${gpu.scaleUpName} joins; got ${tensorParallel}`;
    return issue(at, 'WT1005', message, 'split the layers too: pipeline_parallel');
  }
  if (model === null) return null;
  const { mla, numAttentionHeads, numKvHeads } = model;
  const heads = numAttentionHeads ?? (mla === null ? null : numKvHeads);
  if (heads === null) return null;
  const kvHeads = mla === null ? (numKvHeads ?? heads) : heads;
  const splits = (ranks: number): boolean => heads % ranks === 0;
  const splitsKv = (ranks: number): boolean => kvHeads % ranks === 0 || ranks % kvHeads === 0;
  if (splits(tensorParallel) && splitsKv(tensorParallel)) return null;
  const message = splits(tensorParallel)
    ? `the ${kvHeads} KV heads of ${model.id} can be neither split over ${tensorParallel} GPUs nor repeated on them`
    : `the ${heads} attention heads of ${model.id} cannot be split over ${tensorParallel} GPUs`;
  const ways = Array.from({ length: domain }, (_, index) => index + 1);
  const hint = `use one of ${ways.filter(each => splits(each) && splitsKv(each)).join(', ')}`;
  return issue(at, 'WT1005', message, hint);
}

/** Stages need layers. */
function stageIssue({ model, pipelineParallel: stages = 1 }: ReplicaSetup, path: InputPath): Issue | null {
  const layers = model?.numLayers ?? null;
  if (model === null || layers === null || stages <= layers) return null;
  const message = `the ${layers} layers of ${model.id} cannot be split over ${stages} stages`;
  return issue([...path, 'pipeline_parallel'], 'WT1005', message, `use at most ${layers}`);
}

/** Ranks that share experts have whole ones, or equal parts of each [vLLM fused_moe/layer.py]. */
function expertIssue(pool: PoolFile, { model, tensorParallel }: ReplicaSetup, path: InputPath): Issue | null {
  if (model === null) return null;
  if (pool.expert_parallel !== true) return expertPartsIssue(pool, { model, tensorParallel }, path);
  const at = [...path, 'expert_parallel'];
  if (model.moe === null) {
    const hint = 'leave it out: a dense model has no experts';
    return issue(at, 'WT1005', `${model.id} is dense: there are no experts to spread`, hint);
  }
  const ranks = tensorParallel * (pool.data_parallel ?? 1);
  const experts = model.moe.numExperts ?? Number.POSITIVE_INFINITY;
  if (ranks === 1)
    return issue(at, 'WT1005', 'one GPU has all experts', 'give tensor_parallel or data_parallel above 1');
  if (ranks <= experts) return null;
  const message = `the ${experts} experts of ${model.id} cannot be spread over ${ranks} ranks`;
  return issue(at, 'WT1005', message, `use at most ${experts} ranks`);
}

function expertPartsIssue(
  { data_parallel: ranks = 1 }: PoolFile,
  { model, tensorParallel }: Pick<PlacedSetup, 'model' | 'tensorParallel'>,
  path: InputPath,
): Issue | null {
  const width = model.moe?.expertIntermediateSize ?? null;
  const parts = tensorParallel * ranks;
  if (width === null || width % parts === 0) return null;
  const key = ranks > 1 ? 'data_parallel' : 'tensor_parallel';
  const message = `the experts of ${model.id}, ${width} wide, cannot be cut into ${parts} equal parts (tensor_parallel x data_parallel)`;
  return issue([...path, key], 'WT1005', message, 'keep them whole: expert_parallel: true');
}

/** Flags that only vLLM has. */
const VLLM_ONLY = ['long_prefill_token_threshold', 'max_queued_tokens', 'performance_mode'] as const;

function foreignIssue(engine: EngineKind, given: LimitsFile, path: InputPath): Issue | null {
  const key = engine === 'vllm' ? undefined : VLLM_ONLY.find(each => given[each] !== undefined);
  if (key === undefined) return null;
  return issue([...path, 'limits', key], 'WT1005', `\`${key}\` is a flag of vLLM, not of ${engine}`, null, {
    atKey: true,
  });
}

/** Why there can be no such engine, whatever its memory; null when there can. */
export function impossible(
  pool: PoolFile,
  setup: ReplicaSetup,
  engine: EngineKind,
  path: InputPath,
): Issue | null {
  return (
    precisionIssue(setup, path) ??
    tensorParallelIssue(setup, path) ??
    stageIssue(setup, path) ??
    expertIssue(pool, setup, path) ??
    foreignIssue(engine, pool.limits ?? {}, path)
  );
}

// ---- KV blocks --------------------------------------------------------------------------------------------------

interface BlockQuestion {
  setup: ReplicaSetup;
  use: EngineMemory;
  path: InputPath;
  maxModelTokens: number;
}

/** KV blocks that fit into memory. */
function blocksInMemory(ask: BlockQuestion): { blocks: number | null; evidence: string[]; issues: Issue[] } {
  const { setup, use, path, maxModelTokens } = ask;
  const { model, gpu } = setup;
  const refuse = (found: Issue) => ({ blocks: null, evidence: [], issues: [found] });
  if (model === null || gpu === null) {
    return refuse(
      issue([...path, 'limits', 'kv_blocks'], 'WT1004', 'missing key "kv_blocks"', 'needed without a GPU'),
    );
  }
  const at = [...path, 'model'];
  const room = kvMemory({ ...setup, model, gpu }, use);
  if ('missing' in room)
    return refuse(unknownFigure(at, model.id, room.missing, room.need, 'give limits.kv_blocks'));
  const { kvBlocks, kvBytes, bytesPerToken, arithmetic } = room;
  const { blockTokens } = use;
  if (kvBlocks * blockTokens >= maxModelTokens) {
    const counted = `${kvBlocks} KV blocks of ${blockTokens} tokens = ${kvBlocks * blockTokens} tokens a replica`;
    const line = `${counted}: ${arithmetic}, at ${Math.round(bytesPerToken)} bytes a token`;
    return { blocks: kvBlocks, evidence: [line], issues: [] };
  }
  const held = Math.max(0, kvBlocks) * blockTokens;
  const what =
    kvBytes <= 0
      ? `${model.id} does not fit on ${gpu.id}`
      : `a request of max_model_len ${maxModelTokens} tokens does not fit into the KV cache of ${gpu.id} (${held} tokens)`;
  const ways = waysToFit({ ...setup, model, gpu }, use, maxModelTokens);
  if (held > 0) ways.push(`limits.max_model_len: ${held}`);
  const hint = ways.length === 0 ? 'use a larger GPU' : `try ${ways.join(', or ')}`;
  return refuse(issue(at, 'WT1203', `${what}: ${arithmetic}`, hint));
}

/** What would hold the model and one request of full length: more ranks, or smaller weights. */
function waysToFit(setup: PlacedSetup, use: EngineMemory, maxModelTokens: number): string[] {
  const fits = (changed: Partial<Pick<ReplicaSetup, 'tensorParallel' | 'weights'>>): boolean => {
    const room = kvMemory({ ...setup, ...changed }, use);
    return 'kvBytes' in room && room.kvBytes >= room.bytesPerToken * maxModelTokens * FIT_MARGIN;
  };
  const split = ranksThatFit(
    setup,
    tensorParallel =>
      tensorParallelIssue({ ...setup, tensorParallel }, []) === null && fits({ tensorParallel }),
  );
  const smaller = setup.weights === 'bf16' && setup.gpu.fp8DenseFlops !== null && fits({ weights: 'fp8' });
  return [
    ...(split === null ? [] : [`tensor_parallel: ${split}`]),
    ...(smaller ? ['precision.weights: fp8'] : []),
  ];
}

function ranksThatFit({ tensorParallel, gpu }: PlacedSetup, fits: (ranks: number) => boolean): number | null {
  for (let ranks = tensorParallel * 2; ranks <= (gpu.scaleUpDomainGpus ?? 1); ranks *= 2)
    if (fits(ranks)) return ranks;
  return null;
}

/** The fewest GPUs (a power of two) that hold the model and one request of full length; null: none do. */
export function fewestGpus(pool: PoolFile, setup: PlacedSetup, engine: EngineKind): number | null {
  const most = setup.gpu.scaleUpDomainGpus ?? 1;
  for (let tensorParallel = 1; tensorParallel <= most; tensorParallel *= 2)
    if (resolveLimits(pool, { ...setup, tensorParallel }, engine, []).limits !== null) return tensorParallel;
  return null;
}

// ---- all limits -------------------------------------------------------------------------------------------------

/** The context window: as given, else the model's. */
function windowOf(given: LimitsFile, { model }: ReplicaSetup, path: InputPath): number | Issue {
  const at = [...path, 'limits', 'max_model_len'];
  const own = model?.maxContextTokens ?? null;
  const tokens = given.max_model_len ?? own;
  if (tokens === null) {
    if (model === null)
      return issue(at, 'WT1004', 'missing key "max_model_len"', 'needed for a model outside the catalogue');
    const instead = 'give limits.max_model_len';
    return unknownFigure([...path, 'model'], model.id, 'maxContextTokens', 'the context window', instead);
  }
  if (own === null || tokens <= own) return tokens;
  return issue(
    at,
    'WT1005',
    `max_model_len ${tokens} is beyond the context window of ${model?.id}, ${own} tokens`,
  );
}

/** The limits of each engine of a pool. */
export function resolveLimits(
  pool: PoolFile,
  setup: ReplicaSetup,
  engine: EngineKind,
  path: InputPath,
): ResolvedLimits {
  const given = pool.limits ?? {};
  const at = [...path, 'limits'];
  const never = impossible(pool, setup, engine, path);
  if (never !== null) return refused(never);
  const maxModelTokens = windowOf(given, setup, path);
  if (typeof maxModelTokens !== 'number') return refused(maxModelTokens);

  const defaults = ENGINE_DEFAULTS[engine](setup.gpu, {
    worldSize: setup.tensorParallel * (setup.pipelineParallel ?? 1),
    forThroughput: given.performance_mode === 'throughput',
  });
  const blockTokens = given.block_size ?? defaults.blockTokens;
  const chunkedPrefill = given.enable_chunked_prefill ?? true;
  // Without chunks the longest prompt must go into one step [vLLM engine/arg_utils.py, config/scheduler.py].
  const longestPrompt = engine === 'vllm' && !chunkedPrefill ? maxModelTokens : 0;
  const maxBatchedTokens = given.max_num_batched_tokens ?? Math.max(defaults.maxBatchedTokens, longestPrompt);
  // SGLang's batch is settled once its KV tokens are known; the others do not look at them.
  const sequences = (kvTokens: number): number => {
    const usual = defaults.maxSequences(kvTokens, maxModelTokens);
    return given.max_num_seqs ?? (engine === 'vllm' ? Math.min(usual, maxBatchedTokens) : usual);
  };
  if (engine === 'vllm' && maxBatchedTokens < sequences(0)) {
    const message = `max_num_batched_tokens ${maxBatchedTokens} is below max_num_seqs ${sequences(0)}`;
    const hint = 'each running sequence needs one token of the budget: vLLM refuses this too';
    return refused(issue([...at, 'max_num_batched_tokens'], 'WT1005', message, hint));
  }
  if (maxBatchedTokens < longestPrompt) {
    const message = `max_num_batched_tokens ${maxBatchedTokens} is below max_model_len ${maxModelTokens}, and enable_chunked_prefill is false`;
    const hint =
      'a prompt of that length would fit into no step, vLLM refuses this too: leave it out, or allow chunks';
    return refused(issue([...at, 'max_num_batched_tokens'], 'WT1005', message, hint));
  }
  const use: EngineMemory = {
    engine,
    utilization: given.gpu_memory_utilization ?? null,
    maxBatchedTokens,
    maxSequences: sequences(0),
    blockTokens,
    setsGraphsAside: true,
  };
  const memory =
    given.kv_blocks === undefined
      ? blocksInMemory({ setup, use, path, maxModelTokens })
      : {
          blocks: given.kv_blocks,
          evidence: [`${given.kv_blocks} KV blocks of ${blockTokens} tokens, as given`],
          issues: [],
        };
  if (memory.blocks === null) return refused(...memory.issues);
  const held = memory.blocks * blockTokens;
  if (held < maxModelTokens) {
    const message = `kv_blocks ${memory.blocks} of ${blockTokens} tokens hold ${held} tokens, fewer than max_model_len ${maxModelTokens}`;
    const hint = `a request of that length could never run: set max_model_len: ${held} or kv_blocks: ${Math.ceil(maxModelTokens / blockTokens)}`;
    return refused(issue([...at, 'kv_blocks'], 'WT1203', message, hint));
  }
  return {
    limits: {
      blockTokens,
      kvBlocks: memory.blocks,
      maxBatchedTokens,
      maxSequences: sequences(held),
      maxModelTokens,
      prefixCaching: given.enable_prefix_caching ?? defaults.prefixCaching,
      maxQueuedRequests: given.max_queued_requests ?? null,
      maxQueuedTokens: given.max_queued_tokens ?? null,
      asyncScheduling: given.async_scheduling ?? true,
      schedulingPolicy: (given.scheduling_policy ?? 'fcfs') === 'fcfs' ? 'fcfs' : 'priority',
      chunkedPrefill,
      longPrefillTokens: given.long_prefill_token_threshold ?? 0,
    },
    evidence: memory.evidence,
    issues: [],
  };
}
