// Replicas that were profiled kernel by kernel as they serve: three models on two cards (LLMServingSim, vLLM 0.19).
// Times are us of one GPU, for its share of the tensor-parallel split.
import { findModel, type Model } from '../catalog.ts';
import type { ReplicaSetup } from '../memory.ts';
import { bilinear, type Grid, linear } from '../steps/curve.ts';
import profile from './llmservingsim.json' with { type: 'json' };
import { PCIE_NOTE, type ReplicaKernels } from './replica-kernels.ts';

/**
 * The one fitted constant: with it Llama-3.1-8B comes out 0.6 % short on RTX PRO 6000 (E2E mean) and 2.6 % long on RTX
 * 4090, without it 6.6 % short and 1.0 % long. A fit on other cards found the same 13 us (fidelity.md §5).
 */
const SEQUENCE_US = 13;

type Replica = (typeof profile.replicas)[number];

/** What kernels see of a model: two models of one shape take the same time. */
const shapeOf = ({ hiddenSize, intermediateSize, numLayers, numAttentionHeads, ...model }: Model): string =>
  [
    ...[hiddenSize, numLayers, numAttentionHeads, model.numKvHeads, model.headDim, model.vocabSize],
    ...(model.moe === null ? [intermediateSize] : [model.moe.numExperts, model.moe.expertsPerToken]),
  ].join();

/** Kernels of a profiled replica of this very card, shape and split, in bf16; null where there is none. */
export function servedKernels(setup: ReplicaSetup): ReplicaKernels | null {
  const { model, gpu, tensorParallel, weights, kv } = setup;
  if (model === null || gpu === null || weights !== 'bf16' || kv !== 'bf16') return null;
  const found = profile.replicas.find(each => {
    const profiled = findModel(each.model);
    return (
      each.gpu === gpu.id &&
      each.tensorParallel === tensorParallel &&
      profiled !== null &&
      shapeOf(profiled) === shapeOf(model) &&
      (model.moe === null || 'moe' in each)
    );
  });
  return found === undefined ? null : kernelsOf(found, model, setup.expertRanks ?? 1);
}

function kernelsOf(replica: Replica, model: Model, expertRanks: number): ReplicaKernels {
  const { tokens, layerUs, stepUs, sequences, sequencesUs, decode, prefill, beside } = replica;
  const { reduceUs, exchangeUs } = linksOf(replica, model, expertRanks);
  const expertsUs = 'moe' in replica ? expertsOf(replica.moe, model, expertRanks) : () => 0;
  const chunks: Grid = { rows: prefill.chunkTokens, columns: prefill.beforeTokens, us: prefill.us };
  const besides = { rows: beside.decodes, columns: beside.contextTokens };
  return {
    layers: model.numLayers!,
    tokenKnots: [0, ...tokens],
    layerUs: count =>
      linear(tokens, layerUs, count) + 2 * reduceUs(count) + expertsUs(count) + exchangeUs(count),
    stepUs: count => linear(tokens, stepUs, count) + reduceUs(count),
    sequenceKnots: [0, ...sequences],
    sequencesUs: samples => (samples === 0 ? 0 : linear(sequences, sequencesUs, samples)),
    decode: { rows: decode.decodes, columns: decode.contextTokens, us: decode.us },
    prefillUs(count, pairs, prefills) {
      // Several chunks run as one of all their tokens with as many pairs: for the same tokens, time is linear in
      // pairs. They take no less than the mean chunk does alone.
      const mean = count / prefills;
      return Math.max(
        chunkUs(chunks, count, pairs / count - (count + 1) / 2),
        chunkUs(chunks, mean, Math.max(0, pairs / count - (mean + 1) / 2)),
      );
    },
    besideUs(prefillTokens, decodes, context) {
      const byChunk = beside.us.map(us => bilinear({ ...besides, us }, decodes, context));
      return linear(beside.chunkTokens, byChunk, prefillTokens);
    },
    gapUs: 0,
    sequenceUs: SEQUENCE_US,
    source: `every kernel of ${replica.model} on ${replica.gpu} with tensor_parallel ${replica.tensorParallel}, profiled in vLLM 0.19 (LLMServingSim)`,
    error: { ttft: 0.03, tpot: 0.01, e2e: 0.03 },
    nearest: 'Llama-3.1-8B on RTX PRO 6000 and on RTX 4090, vLLM 0.19',
    note: replica.tensorParallel > 1 || expertRanks > 1 ? PCIE_NOTE : null,
    range: {
      decodes: decode.decodes.at(-1)!,
      contextTokens: decode.contextTokens.at(-1)!,
      prefillTokens: tokens.at(-1)!,
    },
  };
}

/** Attention of one chunk behind `before` tokens; below 0, many short prompts have fewer pairs than one long one. */
function chunkUs(chunks: Grid, tokens: number, before: number): number {
  const fresh = bilinear(chunks, tokens, 0);
  if (before >= 0) return bilinear(chunks, tokens, before);
  const second = chunks.columns.find(each => each >= SLOPE_TOKENS)!;
  return fresh + ((bilinear(chunks, tokens, second) - fresh) / second) * before;
}
/** The slope at 0 is taken up to here: closer knots differ by launch jitter. */
const SLOPE_TOKENS = 256;

/** Collectives between the cards of the profiled machine, which has PCIe and no NVLink. */
function linksOf(replica: Replica, { hiddenSize }: Model, expertRanks: number) {
  const link = profile.collectives.find(each => each.gpu === replica.gpu);
  const over = (us: readonly number[] | undefined, tokens: number): number =>
    link === undefined || us === undefined ? 0 : linear(link.bytes, us, tokens * hiddenSize! * 2);
  return {
    /** Tensor parallel: after attention and after the MLP, and once for the embedding. */
    reduceUs: (tokens: number): number => (replica.tensorParallel > 1 ? over(link?.allReduceUs, tokens) : 0),
    /** Experts on other ranks: every rank gathers the tokens of all, and takes back its own. */
    exchangeUs: (tokens: number): number =>
      expertRanks > 1 ? over(link?.allGatherUs, tokens) + over(link?.reduceScatterUs, tokens) : 0,
  };
}

interface ExpertTable {
  tokens: number[];
  activatedExperts: number[];
  us: number[][];
}

/** Routed experts of a layer by tokens: as many experts are read as the tokens touch, E(1 - (1 - k/E)^n) of them. */
function expertsOf(table: ExpertTable, { moe }: Model, ranks: number): (tokens: number) => number {
  const experts = moe!.numExperts!;
  const grid: Grid = { rows: table.tokens, columns: table.activatedExperts, us: table.us };
  const missed = [1];
  const missedBy = (tokens: number): number => {
    while (missed.length <= tokens && missed.at(-1)! > 1e-6)
      missed.push(missed.at(-1)! * (1 - moe!.expertsPerToken! / experts));
    return missed[tokens] ?? 0;
  };
  // Each rank brings as many tokens, and does its share of the work of all on its share of the experts.
  return tokens => bilinear(grid, tokens, (experts / ranks) * (1 - missedBy(tokens * ranks)));
}
