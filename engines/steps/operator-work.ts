// What a step has to move and to compute, operator by operator, at the rates that measured kernels reach: the terms of
// the physics step, in seconds before any fitted factor. Rule: a step is their sum, never the largest of them.
import type { WeightType } from '../../scenarios/formats/deployment/pool.ts';
import type { Gpu, Model } from '../catalog.ts';
import { embeddingParams, kvBytesPerToken, type PlacedSetup, totalParams, WEIGHT_BYTES } from '../memory.ts';
import { type KernelRates, type KernelType, kernelRates } from './kernel-rates.ts';

/** Projections of one kind: bound by reading their weights or by computing; a share of the lesser is not hidden. */
export interface Projection {
  readSec: number;
  secPerToken: number;
  notHidden: number;
}

export interface ExpertWork {
  /** Reading the experts that n tokens touch, by n, until all are touched: the last entry holds for every larger n. */
  readSec: readonly number[];
  /** Activations to the experts and back. */
  trafficSecPerToken: number;
  computeSecPerToken: number;
  /** Of the lesser of reading and computing, the share that does not hide behind the other. */
  notHidden: number;
}

/** Of one GPU of a replica. */
export interface OperatorWork {
  dense: Projection;
  /** The unembedding: for sequences that give a token. */
  head: Projection;
  experts: ExpertWork;
  /** Norms, rotary embedding and activation functions: what they read and write. */
  activationSecPerToken: number;
  kvSecPerToken: number;
  attentionSecPerPair: number;
  layers: number;
  moeLayers: number;
  /** Of them, those whose activations are quantised on the way in. */
  quantisedMoeLayers: number;
  /** Collectives of a step, and their bytes for each token. */
  collectives: number;
  collectiveSecPerToken: number;
}

/** What a step is made of: a fitted factor each. Of the terms that count things it is in seconds. */
export const TERMS = [
  'dense',
  'head',
  'experts',
  'expertTraffic',
  'expertCompute',
  'activations',
  'kvRead',
  'attention',
  'layer',
  'moeLayer',
  'quantisedMoeLayer',
  'promptLayer',
  'collective',
  'eagerCollective',
  'collectiveBytes',
  'sequence',
  'step',
  'prompt',
  'idleStep',
  'idleSequence',
  'idlePrompt',
] as const;
export type Term = (typeof TERMS)[number];
export type Terms = Record<Term, number>;

/** vLLM captures CUDA graphs for steps of up to so many tokens (max_cudagraph_capture_size). */
export const CAPTURED_TOKENS = 512;

/**
 * Bytes for each token and layer that are not a projection's, in units of the hidden size: norms with the residual and
 * rotary embedding, and the MLP's activation function (lss-dense: 29 for Llama-3.1-8B at 2,048 tokens).
 */
const LAYER_WIDTHS = 14;
const MLP_WIDTHS = 15;

/** Parameters by how often a step reads them. */
interface Weights {
  /** Read by every step and multiplied with every token: attention, dense MLP, shared experts, router. */
  always: number;
  head: number;
  /** One routed expert of one layer; 0 for a dense model. */
  expert: number;
  moeLayers: number;
  experts: number;
  expertsPerToken: number;
}

/** A figure that the catalogue lacks. */
export interface MissingTerm {
  missing: string;
  of: 'model' | 'gpu';
}

const lacks = (of: MissingTerm['of'], missing: string): MissingTerm => ({ of, missing });

/** Splits a model's parameters; the name of the missing figure where the catalogue has null. */
function splitWeights(model: Model): Weights | string {
  const total = totalParams(model);
  if (total === null) return 'totalParams';
  const { stored, head } = embeddingParams(model);
  const always = total - stored;
  if (model.moe === null) return { always, head, expert: 0, moeLayers: 0, experts: 0, expertsPerToken: 0 };
  const { numExperts, expertsPerToken, expertIntermediateSize, denseFirstLayers } = model.moe;
  if (numExperts === null) return 'moe.numExperts';
  if (expertsPerToken === null) return 'moe.expertsPerToken';
  if (expertIntermediateSize === null) return 'moe.expertIntermediateSize';
  if (denseFirstLayers === null) return 'moe.denseFirstLayers';
  if (model.numLayers === null) return 'numLayers';
  if (model.hiddenSize === null) return 'hiddenSize';
  const moeLayers = model.numLayers - denseFirstLayers;
  const expert = 3 * model.hiddenSize * expertIntermediateSize;
  const routed = moeLayers * numExperts * expert;
  if (always <= routed) return 'moe layer pattern';
  return { always: always - routed, head, expert, moeLayers, experts: numExperts, expertsPerToken };
}

/** FLOPs of one (query, key) pair over all layers and heads: scores and values, a multiply and an add each. */
function pairFlops(model: Model): number | string {
  if (model.numLayers === null) return 'numLayers';
  if (model.numAttentionHeads === null) return 'numAttentionHeads';
  const full = model.linearAttention as { numFullLayers?: number } | null;
  const kv = model.kvBytesPerTokenBf16 ?? 0;
  const growing = kv > 0 ? (model.kvBytesPerTokenGrowing ?? kv) / kv : 1;
  const layers = (full?.numFullLayers ?? model.numLayers) * growing;
  if (model.mla !== null) {
    const { qkNopeHeadDim, qkRopeHeadDim, vHeadDim } = model.mla;
    return 2 * layers * model.numAttentionHeads * (qkNopeHeadDim + qkRopeHeadDim + vHeadDim);
  }
  if (model.headDim === null) return 'headDim';
  return 4 * layers * model.numAttentionHeads * model.headDim;
}

/** Precision of what is not a routed expert: four-bit checkpoints of mixtures of experts keep it in bf16. */
const denseType = (model: Model, type: WeightType): WeightType =>
  type === 'nvfp4' && model.moe !== null ? 'bf16' : type;

/** How projections of such weights are computed: four bits without cores for them, or as integers, are unpacked. */
const projectionType = ({ model, gpu }: PlacedSetup, type: WeightType): Exclude<KernelType, 'mxfp4'> =>
  type === 'nvfp4' && (!gpu.fp4DenseFlops || /int4/.test(model.nativeWeightDtype ?? '')) ? 'int4' : type;

/** The same of experts. */
function expertType(setup: PlacedSetup): KernelType {
  const type = projectionType(setup, setup.weights);
  return type === 'nvfp4' && /mxfp4/.test(setup.model.nativeWeightDtype ?? '') ? 'mxfp4' : type;
}

/** Dense FLOP/s of the data sheet. */
const peakFlops = (gpu: Gpu, type: KernelType): number | null =>
  ({
    bf16: gpu.bf16DenseFlops,
    fp8: gpu.fp8DenseFlops,
    nvfp4: gpu.fp4DenseFlops,
    mxfp4: gpu.fp8DenseFlops,
    int4: gpu.bf16DenseFlops,
  })[type];

/** All operators of `setup`, or the figure that is missing. */
export function operatorWork(setup: PlacedSetup): OperatorWork | MissingTerm {
  const { model, gpu, tensorParallel: tp, expertRanks = 1 } = setup;
  const weights = splitWeights(model);
  if (typeof weights === 'string') return lacks('model', weights);
  const flopsPerPair = pairFlops(model);
  if (typeof flopsPerPair === 'string') return lacks('model', flopsPerPair);
  const kvBytes = kvBytesPerToken(model, setup.kv, tp);
  if (kvBytes === null) return lacks('model', 'kvBytesPerTokenBf16');
  const { numLayers: layers, hiddenSize } = model;
  if (layers === null) return lacks('model', 'numLayers');
  if (hiddenSize === null) return lacks('model', 'hiddenSize');
  const others = denseType(model, setup.weights);
  const bf16Flops = gpu.bf16DenseFlops;
  const denseFlops = peakFlops(gpu, projectionType(setup, others));
  const expertFlops = peakFlops(gpu, expertType(setup));
  if (bf16Flops === null) return lacks('gpu', 'bf16DenseFlops');
  if (denseFlops === null || expertFlops === null) return lacks('gpu', `${setup.weights}DenseFlops`);

  const rates = kernelRates(gpu);
  const bandwidth = gpu.memoryBandwidthBytesPerSec;
  const { always, head, moeLayers } = weights;
  const projection = (params: number, type: WeightType, flops: number): Projection => {
    const { read, compute, notHidden } = rates.gemm[projectionType(setup, type)];
    return {
      readSec: ((params * WEIGHT_BYTES[type]) / tp / bandwidth) * read,
      secPerToken: ((2 * params) / tp / flops) * compute,
      notHidden,
    };
  };
  const ranks = tp * expertRanks;
  return {
    dense: projection(always, others, denseFlops),
    head: projection(head, 'bf16', bf16Flops),
    experts: expertWork({
      weights,
      type: setup.weights,
      kernel: expertType(setup),
      hiddenSize,
      ranks,
      expertRanks,
      gpu,
      expertFlops,
      rates,
    }),
    activationSecPerToken:
      (hiddenSize * (layers * LAYER_WIDTHS + ((layers - moeLayers) * MLP_WIDTHS) / tp)) / bandwidth,
    kvSecPerToken: kvBytes / bandwidth,
    attentionSecPerPair: (flopsPerPair / tp / bf16Flops) * rates.attention,
    layers,
    moeLayers,
    quantisedMoeLayers: setup.weights === 'fp8' ? moeLayers : 0,
    ...collectives(setup, layers, moeLayers, hiddenSize),
  };
}

interface ExpertQuestion {
  weights: Weights;
  type: WeightType;
  kernel: KernelType;
  hiddenSize: number;
  /** GPUs that share the experts. */
  ranks: number;
  /** Batches that meet in the experts. */
  expertRanks: number;
  gpu: Gpu;
  expertFlops: number;
  rates: KernelRates;
}

/** E(1 - (1 - k/E)^n) of E experts are touched by n tokens; by repeated multiplication, the same on every machine. */
function expertWork(ask: ExpertQuestion): ExpertWork {
  const { weights, type, kernel, hiddenSize, ranks, expertRanks, gpu, expertFlops, rates } = ask;
  const { expert, moeLayers, experts, expertsPerToken } = weights;
  if (moeLayers === 0) return { readSec: [0], trafficSecPerToken: 0, computeSecPerToken: 0, notHidden: 0 };
  const bandwidth = gpu.memoryBandwidthBytesPerSec;
  const allSec =
    ((moeLayers * experts * expert * WEIGHT_BYTES[type]) / ranks / bandwidth) * rates.experts.read;
  const readSec = [0];
  let keep = 1;
  for (let batch = 0; batch < expertRanks; batch++) keep *= 1 - expertsPerToken / experts;
  for (let missed = keep; missed > 1e-4; missed *= keep) readSec.push(allSec * (1 - missed));
  readSec.push(allSec);
  const activationBytes = 2 * hiddenSize * (2 + 2 * expertsPerToken);
  const flops = 2 * moeLayers * expert * expertsPerToken * expertRanks;
  return {
    readSec,
    trafficSecPerToken: ((moeLayers * activationBytes) / bandwidth) * rates.experts.traffic,
    computeSecPerToken: (flops / ranks / expertFlops) * rates.experts.compute[kernel],
    notHidden: rates.experts.notHidden,
  };
}

/** Two all-reduces a layer over the ranks of tensor parallelism; two exchanges a MoE layer over those of the experts. */
function collectives(setup: PlacedSetup, layers: number, moeLayers: number, hiddenSize: number) {
  const { gpu, tensorParallel: tp, expertRanks = 1 } = setup;
  const link = gpu.scaleUpBandwidthBytesPerSecPerDirection ?? 0;
  const perByte = link > 0 ? kernelRates(gpu).collective / link : 0;
  const bytes = 2 * hiddenSize;
  const reduced = tp > 1 ? 2 * layers : 0;
  const exchanged = expertRanks > 1 ? 2 * moeLayers : 0;
  const sent = reduced * bytes * ((2 * (tp - 1)) / tp) + exchanged * bytes * (expertRanks - 1);
  return { collectives: reduced + exchanged, collectiveSecPerToken: sent * perByte };
}

/** The terms that such a replica has work for. `idle`: its GPU waits while the next step is scheduled. */
export function usedTerms(work: OperatorWork, idle: boolean): Term[] {
  const absent = new Set<Term>([
    ...(work.moeLayers === 0 ? (['experts', 'expertTraffic', 'expertCompute', 'moeLayer'] as const) : []),
    ...(work.quantisedMoeLayers === 0 ? (['quantisedMoeLayer'] as const) : []),
    ...(work.collectives === 0 ? (['collective', 'eagerCollective', 'collectiveBytes'] as const) : []),
    ...(idle ? [] : (['idleStep', 'idleSequence', 'idlePrompt'] as const)),
  ]);
  return TERMS.filter(term => !absent.has(term));
}
