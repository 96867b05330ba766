// Replicas priced operator by operator: GEMMs by shape, attention by heads and context, expert blocks, all-reduce, as
// vLLM runs them on six cards (aiconfigurator). Shapes between those measured are interpolated, larger ones scaled.
import type { Model } from '../catalog.ts';
import type { PlacedSetup } from '../memory.ts';
import { bilinear, linear } from '../steps/curve.ts';
import profile from './aiconfigurator.json' with { type: 'json' };
import { PCIE_NOTE, type ReplicaKernels } from './replica-kernels.ts';

type Card = (typeof profile.cards)[number];

/** Largest batch that vLLM captures in CUDA graphs; larger steps launch their kernels one by one. */
const GRAPH_TOKENS = 512;

/**
 * What a GEMM takes beyond reading its weights, in serving against the benchmark: prompts of 2k to 4k tokens of
 * CodeLlama-34B and Llama-2-7B on H100 (vLLM 0.11) took 13 to 15 % longer than the sum; clocks fall under lasting load.
 */
const SUSTAINED = 1.13;

/**
 * Norms, activation and rotary embedding were not measured. They read and write each token's vectors; on RTX PRO 6000,
 * where they were (served.ts), in 0.6 of the memory time of those bytes, as part of them stays in L2.
 */
const ELEMENTWISE_SHARE = 0.6;

/**
 * A layer and a sequence beside their kernels, us: chosen on 28 BLIS runs (vLLM 0.15; H100, A100, L40S), which they
 * leave with a mean TPOT error of 5 %; closed loops on H100 and B200, which had no part in the choice, have 10 %.
 */
const GAP_US = 24;
const SEQUENCE_US = 5;

/** Router of a layer with experts: a GEMM of the smallest size (4 us) and the choice of the top k, which no table has. */
const ROUTER_US = 10;

/** us of C[tokens,out] = A[tokens,into] B[into,out]. */
type Gemm = (tokens: number, out: number, into: number) => number;

function gemmOf(card: Card, weights: string): Gemm | null {
  const table = card.gemm.find(each => each.weights === weights);
  if (table === undefined) return null;
  const { gemmTokens, gemmOut: rows, gemmIn: columns } = profile;
  return (tokens, out, into) => {
    const byTokens = table.us.map(us => bilinear({ rows, columns, us }, out, into));
    const read = byTokens[0]!;
    return read + (linear(gemmTokens, byTokens, tokens) - read) * SUSTAINED;
  };
}

/** The routed experts of one layer, by tokens; null where this shape and split were not measured. */
function expertsOf(card: Card, setup: PlacedSetup, model: Model): ((tokens: number) => number) | null {
  const { moe } = model;
  if (moe === null) return () => 0;
  const table = card.moe.find(
    each =>
      each.weights === setup.weights &&
      each.hiddenSize === model.hiddenSize &&
      each.expertIntermediateSize === moe.expertIntermediateSize &&
      each.numExperts === moe.numExperts &&
      each.expertsPerToken === moe.expertsPerToken &&
      each.tensorParallel === setup.tensorParallel &&
      each.expertParallel === 1,
  );
  return table === undefined ? null : tokens => linear(table.tokens, table.us, tokens);
}

/** FP8 KV was not measured: half the bytes, so half of what a longer context adds to the launch. */
const halfRead = (us: readonly number[]): number[] => us.map(each => us[0]! + (each - us[0]!) / 2);

/** Kernels of this card for this model's shapes, or what of them was not measured. */
export function operatorKernels(setup: PlacedSetup): ReplicaKernels | string {
  const { model, gpu, tensorParallel: tp, weights } = setup;
  const card = profile.cards.find(each => each.gpu === gpu.id);
  if (card === undefined) return `no kernels were measured on ${gpu.id}`;
  if (model.mla !== null) return 'attention over a latent (MLA) was not measured';
  if (model.linearAttention !== null) return 'linear attention was not measured';
  if (model.slidingWindow !== null) return 'attention in a window was not measured';
  if ((setup.expertRanks ?? 1) > 1) return 'the exchange between data-parallel ranks was not measured';
  const { hiddenSize: hidden, numLayers, numAttentionHeads, numKvHeads, headDim, vocabSize, moe } = model;
  if (hidden === null || numLayers === null || numAttentionHeads === null || vocabSize === null)
    return `the catalogue lacks figures of ${model.id}`;
  const decode = card.decode.find(each => each.headDim === headDim);
  const prefill = card.prefill.find(each => each.headDim === headDim);
  if (decode === undefined || prefill === undefined || headDim === null || numKvHeads === null)
    return `attention with heads of ${headDim} was not measured on ${gpu.id}`;
  const gemm = gemmOf(card, weights);
  const headGemm = gemmOf(card, 'bf16');
  if (gemm === null || headGemm === null) return `${weights} was not measured on ${gpu.id}`;
  const expertsUs = expertsOf(card, setup, model);
  if (expertsUs === null)
    return `the experts of ${model.id} with tensor_parallel ${tp} and ${weights} were not measured`;
  const reduce = card.allReduce.find(each => each.ranks === tp);
  if (tp > 1 && reduce === undefined) return `the all-reduce of ${tp} GPUs was not measured`;
  const denseShare = moe === null ? 1 : (moe.denseFirstLayers ?? 0) / numLayers;
  const denseInner = model.intermediateSize;
  if (denseShare > 0 && denseInner === null) return `the catalogue has no "intermediateSize" for ${model.id}`;
  const sharedInner =
    (moe?.sharedExperts ?? 0) * (moe?.sharedExpertIntermediateSize ?? moe?.expertIntermediateSize ?? 0);

  const heads = Math.ceil(numAttentionHeads / tp);
  const kvHeads = Math.max(1, Math.ceil(numKvHeads / tp));
  /** Gate and up in one, then down. */
  const mlpUs = (tokens: number, inner: number): number =>
    inner === 0 ? 0 : gemm(tokens, (2 * inner) / tp, hidden) + gemm(tokens, hidden, inner / tp);
  const reduceUs = (tokens: number): number =>
    reduce === undefined
      ? 0
      : linear(reduce.bytes, tokens > GRAPH_TOKENS ? reduce.eagerUs : reduce.graphUs, tokens * hidden * 2);
  // Two norms read and write the residual and its sum; the activation reads two vectors and writes one; rotary
  // embedding reads and writes queries and keys. Two bytes a value.
  const inner = (denseShare * (denseInner ?? 0) + sharedInner) / tp;
  const vectorBytes = 2 * (8 * hidden + 3 * inner + 2 * (heads + kvHeads) * headDim);
  const elementwiseUs = ((vectorBytes * ELEMENTWISE_SHARE) / gpu.memoryBandwidthBytesPerSec) * 1e6;
  const us = setup.kv === 'fp8' ? decode.us.map(halfRead) : decode.us;
  const streams = { rows: decode.streams, columns: decode.contextTokens, us };
  return {
    layers: numLayers,
    tokenKnots: [0, 1, 2, 4, 8, ...profile.gemmTokens.slice(1), GRAPH_TOKENS + 1].sort((a, b) => a - b),
    layerUs: tokens =>
      gemm(tokens, (heads + 2 * kvHeads) * headDim, hidden) +
      gemm(tokens, hidden, heads * headDim) +
      denseShare * mlpUs(tokens, denseInner ?? 0) +
      (1 - denseShare) * (ROUTER_US + expertsUs(tokens) + mlpUs(tokens, sharedInner)) +
      elementwiseUs * tokens +
      2 * reduceUs(tokens),
    stepUs: reduceUs,
    sequenceKnots: [0, ...profile.gemmTokens],
    sequencesUs: samples => (samples === 0 ? 0 : headGemm(samples, vocabSize / tp, hidden)),
    decode: { ...streams, rows: streams.rows.map(each => each / kvHeads) },
    prefillUs: (tokens, pairs) =>
      prefill.launchUs +
      tokens * (heads * prefill.tokenHeadUs + kvHeads * prefill.tokenKvHeadUs) +
      pairs * heads * prefill.pairHeadUs,
    // One kernel takes both: the launch is in the prompts' time already.
    besideUs: (_tokens, decodes, context) =>
      Math.max(0, bilinear(streams, decodes * kvHeads, context) - prefill.launchUs),
    gapUs: GAP_US,
    sequenceUs: SEQUENCE_US,
    source: `the operators of ${model.id} on ${gpu.id} with tensor_parallel ${tp} in ${weights}, measured as vLLM runs them (aiconfigurator)`,
    error: { ttft: 0.2, tpot: 0.08, e2e: 0.05 },
    nearest:
      'ten models on H100, A100 and L40S (BLIS, vLLM 0.15), three in closed loops on H100 and B200 (InferenceX)',
    note: tp > 1 && !/NVLink/.test(gpu.scaleUpName ?? '') ? PCIE_NOTE : null,
    range: {
      decodes: Math.floor(decode.streams.at(-1)! / kvHeads),
      contextTokens: decode.contextTokens.at(-1)!,
      prefillTokens: profile.gemmTokens.at(-1)!,
    },
  };
}
