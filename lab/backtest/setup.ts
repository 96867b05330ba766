// An experiment as the virtual engine knows it: model, GPU, limits and step model of one pool. A GPU that the catalogue
// has counts with the catalogue's figures, so that what is tested here is what users get; any other with its own.

import { allModels, findGpu, type Gpu, type LatentAttention, type Model } from '../../engines/catalog.ts';
import { vllmDefaults } from '../../engines/defaults.ts';
import { type EngineLimits, NO_FRONT_END, type PoolSpec, type StepModel } from '../../engines/engine.ts';
import { kvBytesPerToken, kvMemory, type PlacedSetup } from '../../engines/memory.ts';
import type { KvType } from '../../scenarios/formats/deployment/pool.ts';
import {
  asyncByDefault,
  BLOCK_TOKENS,
  flagValue,
  generatedBudget,
  kvType,
  MEASURED_MAX_BATCHED_TOKENS,
  MEASURED_UTILIZATION,
  minorVersion,
  weightType,
} from './defaults.ts';
import { type Experiment, type ExperimentRun, isGapAnalysis, isInferenceX, Refused } from './experiment.ts';

/** Catalogue ids by the hardware keys of experiments, in lower case without separators. */
const GPU_IDS: Readonly<Record<string, string>> = {
  a10080gb: 'a100-80gb-sxm',
  a100sxm: 'a100-80gb-sxm',
  h100: 'h100-80gb-sxm',
  h100sxm: 'h100-80gb-sxm',
  h100pcie: 'h100-80gb-pcie',
  h200: 'h200-141gb-sxm',
  h200sxm: 'h200-141gb-sxm',
  b200: 'b200-sxm',
  b200sxm: 'b200-sxm',
  b300: 'b300-sxm',
  b300sxm: 'b300-sxm',
  gb200: 'gb200-nvl72',
  gb200sxm: 'gb200-nvl72',
  gb300: 'gb300-nvl72',
  gb300sxm: 'gb300-nvl72',
  l40s: 'l40s',
  l4: 'l4',
  a10g: 'a10g',
  rtx4090: 'rtx-4090',
  rtxpro6000: 'rtx-pro-6000-server',
  mi300x: 'mi300x',
  mi355x: 'mi355x',
};

const GIB = 1024 ** 3;

/** PCIe Gen4 x16, one way: what joins cards without NVLink, where nothing else is known. */
const PCIE_BYTES_PER_SEC = 32e9;
/** Of aiconfigurator's analytic fallback (policies.md §1.11). */
const P2P_LATENCY_SEC = 10e-6;
/** From this bandwidth on memory is HBM: no GDDR card reaches it, no HBM card since 2020 falls short of it. */
const HBM_BYTES_PER_SEC = 1.9e12;

/** The catalogue's card where it has one; what it does not know about it, and any other card, from the experiment. */
export function gpuOf({ hardware }: Experiment): Gpu {
  const key = hardware.key.toLowerCase().replace(/[^a-z0-9]/g, '');
  const id = Object.hasOwn(GPU_IDS, key) ? GPU_IDS[key] : undefined;
  const known = id === undefined ? null : findGpu(id);
  const flops = (tera: number | null): number | null => (tera === null || tera === 0 ? null : tera * 1e12);
  const nvlinkBytesPerSec = (hardware.nvlinkGBs ?? 0) * 1e9;
  const memoryBandwidthBytesPerSec = hardware.hbmTBs * 1e12;
  const own: Gpu = {
    id: hardware.key,
    name: hardware.name,
    vendor: 'as the experiment says',
    architecture: 'unknown',
    status: 'shipping',
    memoryType: memoryBandwidthBytesPerSec >= HBM_BYTES_PER_SEC ? 'HBM' : 'GDDR',
    memoryBytes: hardware.memGiB * GIB,
    memoryBandwidthBytesPerSec,
    bf16DenseFlops: flops(hardware.bf16TFlops),
    fp8DenseFlops: flops(hardware.fp8TFlops),
    fp4DenseFlops: flops(hardware.fp4TFlops),
    bf16AchievableFlops: null,
    fp8AchievableFlops: null,
    scaleUpBandwidthBytesPerSecPerDirection:
      nvlinkBytesPerSec > 0 ? nvlinkBytesPerSec / 2 : PCIE_BYTES_PER_SEC,
    scaleUpName: nvlinkBytesPerSec > 0 ? 'NVLink' : 'PCIe',
    scaleUpDomainGpus: 8,
    p2pLatencySec: P2P_LATENCY_SEC,
    prices: [],
    source: ['the experiment'],
  };
  if (known === null) return own;
  const stated = Object.entries(known).filter(([, value]) => value !== null);
  return { ...own, ...Object.fromEntries(stated) };
}

/** The catalogue's model of the same shape: it knows what the experiment does not say. */
const sameShape = ({ model }: Experiment): Model | null =>
  allModels().find(
    each =>
      each.numLayers === model.layers &&
      each.hiddenSize === model.hidden &&
      each.numAttentionHeads === model.heads &&
      each.vocabSize === model.vocab &&
      (each.moe?.numExperts ?? null) === (model.moe?.experts ?? null),
  ) ?? null;

/** DeepSeek's parts of a head, which every MLA model of the catalogue has: rotary, other and value dimensions. */
const LATENT_HEAD = { qkRopeHeadDim: 64, qkNopeHeadDim: 128, vHeadDim: 128 };

const isLatent = ({ model }: Experiment): boolean => model.mla !== null && model.mla !== false;

/**
 * As the experiment says, else as the catalogue's model of that shape, else as in every MLA model so far, with the rank
 * that its KV bytes leave.
 */
function latentAttention(experiment: Experiment, known: Model | null): LatentAttention | null {
  const { model } = experiment;
  if (!isLatent(experiment)) return null;
  const camel = (key: string): string =>
    key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const given = typeof model.mla === 'object' && model.mla !== null ? Object.entries(model.mla) : [];
  const stated = given
    .filter(([, value]) => typeof value === 'number')
    .map(([key, value]) => [camel(key), value]);
  const perLayer = model.kvBytesPerToken / model.layers / 2;
  const derived = { ...LATENT_HEAD, kvLoraRank: perLayer - LATENT_HEAD.qkRopeHeadDim, qLoraRank: null };
  const latent = { ...derived, ...known?.mla, ...Object.fromEntries(stated) };
  if (!(latent.kvLoraRank > 0 && Number.isInteger(latent.kvLoraRank)))
    throw new Refused(
      `model.mla.kvLoraRank: missing, and ${model.kvBytesPerToken} KV bytes a token over ${model.layers} layers leave none`,
    );
  return latent;
}

/** Layers that see the whole context: all of them, unless a model of the catalogue or the note says otherwise. */
function fullLayers({ model }: Experiment, known: Model | null): number {
  if (model.slidingWindow === null) return model.layers;
  const alternates = /alternat/i.test(model.note ?? '');
  return known?.slidingWindow?.numFullLayers ?? (alternates ? Math.ceil(model.layers / 2) : model.layers);
}

function headDimOf(experiment: Experiment): number {
  if (!isLatent(experiment)) throw new Refused('model.headDim: missing');
  return LATENT_HEAD.qkNopeHeadDim + LATENT_HEAD.qkRopeHeadDim;
}

/** The experiment's model in the catalogue's terms. */
export function modelOf(experiment: Experiment): Model {
  const { model } = experiment;
  const known = sameShape(experiment);
  const full = fullLayers(experiment, known);
  return {
    id: known?.id ?? model.name,
    name: model.name,
    vendor: 'as the experiment says',
    totalParams: model.paramsTotalB * 1e9,
    activeParamsPerToken: model.paramsActiveB === null ? null : model.paramsActiveB * 1e9,
    computedTotalParams: null,
    computedActiveParams: null,
    numLayers: model.layers,
    hiddenSize: model.hidden,
    numAttentionHeads: model.heads,
    numKvHeads: model.kvHeads,
    headDim: model.headDim ?? headDimOf(experiment),
    intermediateSize: model.intermediate,
    vocabSize: model.vocab,
    maxContextTokens: experiment.engineConfig.maxModelLen,
    tieWordEmbeddings: model.tieEmbeddings ?? false,
    attention: isLatent(experiment) ? 'MLA' : 'GQA',
    mla: latentAttention(experiment, known),
    moe:
      model.moe === null
        ? null
        : {
            numExperts: model.moe.experts,
            expertsPerToken: model.moe.topK,
            sharedExperts: model.moe.sharedExperts ?? 0,
            expertIntermediateSize: model.moe.moeIntermediate,
            sharedExpertIntermediateSize: known?.moe?.sharedExpertIntermediateSize ?? null,
            denseFirstLayers: model.moe.denseLayers ?? 0,
          },
    slidingWindow:
      model.slidingWindow === null
        ? null
        : {
            windowTokens: model.slidingWindow,
            numSlidingLayers: model.layers - full,
            numFullLayers: full,
          },
    linearAttention: null,
    kvBytesPerTokenBf16: model.kvBytesPerToken,
    kvBytesPerTokenFp8: model.kvBytesPerToken / 2,
    kvBytesPerTokenGrowing: (model.kvBytesPerToken * full) / model.layers,
    nativeWeightDtype: known?.nativeWeightDtype ?? model.dtype,
    source: 'the experiment',
  };
}

/**
 * The KV cache's precision. InferenceX's scripts of the rows that do not say it pass `--kv-cache-dtype fp8` on Blackwell
 * and nothing on Hopper (benchmarks/70b_b200_docker.sh, 70b_h100_slurm.sh): so do the concurrencies at which those runs
 * begin to queue.
 */
function kvOf(experiment: Experiment, gpu: Gpu): KvType {
  const { kvCacheDtype } = experiment.engineConfig;
  const isUnsaid = kvCacheDtype === null && isInferenceX(experiment);
  const isQuantised = weightType(experiment.model.dtype) !== 'bf16';
  return isUnsaid && isQuantised && /Blackwell/.test(gpu.architecture) ? 'fp8' : kvType(kvCacheDtype);
}

/** InferenceX's scripts pass `async-scheduling: true` to versions that would not have it by themselves. */
const schedulesAhead = (experiment: Experiment): boolean =>
  isInferenceX(experiment) || asyncByDefault(experiment.engine.version);

/**
 * Data-parallel ranks. Rows with dp = tp and experts over tp x dp count the same GPUs twice (attention is data
 * parallel over them): they repeat the latencies of the rows with tp alone within 5 %, and are one engine of tp GPUs.
 */
function ranksOf({ engineConfig: { tp, dp, moeEp } }: Experiment): number {
  const isCountedTwice = tp > 1 && dp === tp && moeEp === tp * dp;
  return isCountedTwice ? 1 : (dp ?? 1);
}

/** What a replica of the experiment is made of: the question that limits and step models answer. */
export function replicaOf(experiment: Experiment): PlacedSetup {
  const { model, engineConfig } = experiment;
  const ranks = ranksOf(experiment);
  const spreadsExperts = engineConfig.expertParallel === true || (engineConfig.moeEp ?? 1) > engineConfig.tp;
  const gpu = gpuOf(experiment);
  return {
    model: modelOf(experiment),
    gpu,
    tensorParallel: engineConfig.tp,
    pipelineParallel: engineConfig.pp ?? 1,
    expertRanks: spreadsExperts ? ranks : 1,
    weights: weightType(model.dtype),
    kv: kvOf(experiment, gpu),
    asyncScheduling: schedulesAhead(experiment),
  };
}

/** Requests are as long as they are: a window that is not published limits none of them. */
const NO_WINDOW_TOKENS = 1_048_576;

/** Token budget and batch where no flag says them. */
function unsaidBudget(experiment: Experiment, setup: PlacedSetup) {
  const { engine, workload } = experiment;
  if (isGapAnalysis(experiment) && workload.isl !== null) return generatedBudget(workload.isl);
  const defaults = vllmDefaults(setup.gpu);
  const minor = minorVersion(engine.version);
  const isOlder = minor === null || minor < 20;
  const most = isOlder ? MEASURED_MAX_BATCHED_TOKENS : Number.POSITIVE_INFINITY;
  return { ...defaults, maxBatchedTokens: Math.min(most, defaults.maxBatchedTokens) };
}

function limitsOf(experiment: Experiment, run: ExperimentRun, setup: PlacedSetup): EngineLimits {
  const { engineConfig: flags, workload } = experiment;
  const unsaid = unsaidBudget(experiment, setup);
  const terms = { concurrency: run.concurrency, isl: workload.isl, osl: workload.osl };
  const maxBatchedTokens =
    flagValue('maxNumBatchedTokens', flags.maxNumBatchedTokens, terms) ?? unsaid.maxBatchedTokens;
  const maxSequences = flagValue('maxNumSeqs', flags.maxNumSeqs, terms) ?? unsaid.maxSequences;
  const budget = {
    blockTokens: flags.blockSize ?? BLOCK_TOKENS,
    maxBatchedTokens: Math.max(maxBatchedTokens, maxSequences),
    maxSequences,
  };
  return {
    ...budget,
    kvBlocks: flags.totalKvBlocks ?? blocksInMemory(setup, flags.gpuMemoryUtilization, budget),
    maxModelTokens: flags.maxModelLen ?? NO_WINDOW_TOKENS,
    // Words stand where the prompts are random: then it does not matter.
    prefixCaching: flags.prefixCaching !== false,
    maxQueuedRequests: null,
    maxQueuedTokens: null,
    asyncScheduling: setup.asyncScheduling ?? true,
    schedulingPolicy: 'fcfs',
    chunkedPrefill: flags.chunkedPrefill ?? true,
    longPrefillTokens: 0,
  };
}

/** KV blocks of one engine, from its memory. */
function blocksInMemory(
  setup: PlacedSetup,
  utilization: number | null,
  limits: Pick<EngineLimits, 'maxBatchedTokens' | 'maxSequences' | 'blockTokens'>,
): number {
  const memory = kvMemory(setup, {
    engine: 'vllm',
    utilization: utilization ?? MEASURED_UTILIZATION,
    setsGraphsAside: false,
    ...limits,
  });
  if ('missing' in memory)
    throw new Refused(`model or hardware: no ${memory.missing}, needed for ${memory.need}`);
  if (memory.kvBlocks < 1) throw new Refused(`engineConfig: nothing is left for KV: ${memory.arithmetic}`);
  return memory.kvBlocks;
}

export const POOL = 'measured';

/** The pool that served a run. */
export function poolOf(
  experiment: Experiment,
  run: ExperimentRun,
  setup: PlacedSetup,
  step: StepModel,
): PoolSpec {
  const ranks = ranksOf(experiment);
  return {
    name: POOL,
    modelId: setup.model.id,
    gpuId: setup.gpu.id,
    replicas: 1,
    tensorParallel: setup.tensorParallel,
    engine: 'vllm',
    limits: limitsOf(experiment, run, setup),
    step,
    pipelineStages: setup.pipelineParallel ?? 1,
    dataParallelRanks: ranks,
    // Experts join what the ranks compute in every layer: none is ahead of the others.
    ranksInLockStep: ranks > 1 && experiment.model.moe !== null,
    speculative: null,
    kvTiers: [],
    disaggregation: null,
    kvBytesPerToken: kvBytesPerToken(setup.model, setup.kv, setup.tensorParallel),
    frontEnd: NO_FRONT_END,
    place: null,
    endpoints: [],
    usdPerGpuHour: null,
    scheduling: { policy: 'fcfs', options: {} },
    retention: null,
    scaling: null,
    coldStart: null,
    spot: null,
    evidence: [],
  };
}
