// Step time of any model on any GPU of the catalogue: bytes over bandwidth and FLOPs over rate for each class of
// operators, times factors fitted on measured vLLM runs, summed. For ranking; a calibrated model is better.
import type { InputPath, Issue } from '../scenarios/base/issue.ts';
import type { WeightType } from '../scenarios/formats/deployment/pool.ts';
import { toUnits, unitsToNs } from './affine.ts';
import { type Gpu, type Model, unknownFigure } from './catalog.ts';
import type { StepLoad, StepModel } from './engine.ts';
import { embeddingParams, kvBytesPerToken, type ReplicaSetup, totalParams, WEIGHT_BYTES } from './memory.ts';

const EVIDENCE =
  'analytic roofline with factors fitted on vLLM 0.11-0.15, H100/A100/L40S: for ranking; expected TPOT error about 6-15 %';

/**
 * Fitted on decode steps of vLLM 0.15.1 on H100, A100 and L40S (fidelity.md §5, 8-parameter form, TPOT error 6.1 %
 * on runs it had not seen): weight bytes at 1.007 x bandwidth time, 77 us a layer (kernel gaps, norms, rope,
 * sampling), 61 us more a MoE layer, and 0.14 of the compute time that does not hide behind the weights. The fit saw
 * decode only; that weights leave the same 0.14 beside a prefill's compute is assumed.
 */
const WEIGHT_READ = 1.007;
const LAYER_SEC = 77e-6;
const MOE_LAYER_SEC = 61e-6;
const NOT_HIDDEN = 0.14;

/** KV read against its own bandwidth time, from the same fit; by memory type where a card was not measured. */
const KV_READ: Readonly<Record<string, number>> = {
  'h100-80gb-sxm': 1.75,
  'a100-80gb-sxm': 5.86,
  l40s: 2.78,
};
const KV_READ_HBM_PRIOR = 1.75;
/**
 * L40S's. RTX PRO 6000 and RTX 4090 were measured at 0.12 and 0.21 ms a request in flight, which this gives if their
 * contexts averaged some 500 tokens; that length is assumed.
 */
const KV_READ_GDDR_PRIOR = 2.78;

/**
 * Serving reaches this share of the best GEMM rate: vLLM 0.11.0 on H100 prefills CodeLlama-34B at 93.3 us a token
 * (0.90 of 794.5 TFLOP/s) and Llama-2-7B at 17.4 us (0.94). Two models on one card: elsewhere a prior.
 */
const GEMM_SHARE = 0.92;
/** Best GEMM rate where none was measured, of the dense peak: H100's BF16 (policies §1.11)… */
const GEMM_OF_PEAK = 0.8;
/** …and for Ada cards, an assumption: times the ratio of BLIS's prefill MFUs, L40S .32 to H100 .45. */
const GEMM_OF_PEAK_ADA = 0.57;
/**
 * Prefill attention, of the dense BF16 peak: the quadratic term of CodeLlama-34B's prefill up to 7k tokens, 2.7 ms at
 * 1000 tokens (Llama-2-7B's says 0.16, and gets the worse fit). Not measured beyond 7k tokens, where kernels may do better.
 */
const ATTENTION_OF_PEAK = 0.29;

function kvReadFactor(gpu: Gpu): { factor: number; note: string | null } {
  const measured = Object.hasOwn(KV_READ, gpu.id) ? KV_READ[gpu.id] : undefined;
  if (measured !== undefined) return { factor: measured, note: null };
  const factor = gpu.memoryType.startsWith('HBM') ? KV_READ_HBM_PRIOR : KV_READ_GDDR_PRIOR;
  return {
    factor,
    note: `KV reads at ${factor} x their bandwidth time is a prior: ${gpu.id} was not in the fit`,
  };
}

/** GEMM rate in serving, FLOP/s; null where the catalogue has no peak. */
function gemmFlops(gpu: Gpu, type: WeightType): number | null {
  const ofPeak = gpu.architecture === 'Ada' ? GEMM_OF_PEAK_ADA : GEMM_OF_PEAK;
  const dense = { bf16: gpu.bf16DenseFlops, fp8: gpu.fp8DenseFlops, nvfp4: gpu.fp4DenseFlops }[type];
  const best = { bf16: gpu.bf16AchievableFlops, fp8: gpu.fp8AchievableFlops, nvfp4: null }[type];
  if (best !== null) return best * GEMM_SHARE;
  return dense === null ? null : dense * ofPeak * GEMM_SHARE;
}

/** Parameters by how often a step reads them. */
interface Weights {
  /** Read by every step and multiplied with every token: attention, dense MLP, shared experts, router. */
  always: number;
  /** Unembedding, read by every step, in bf16. */
  head: number;
  /** One routed expert of one layer; 0 for a dense model. */
  expert: number;
  moeLayers: number;
  experts: number;
  expertsPerToken: number;
}

/** Splits a model's parameters; the name of the missing figure where the catalogue has null. */
function splitWeights(model: Model): Weights | string {
  const total = totalParams(model);
  if (total === null) return 'totalParams';
  const { stored, head } = embeddingParams(model);
  const dense: Weights = {
    always: total - stored,
    head,
    expert: 0,
    moeLayers: 0,
    experts: 0,
    expertsPerToken: 0,
  };
  if (model.moe === null) return dense;
  const { numExperts, expertsPerToken, expertIntermediateSize, denseFirstLayers } = model.moe;
  if (numExperts === null) return 'moe.numExperts';
  if (expertsPerToken === null) return 'moe.expertsPerToken';
  if (expertIntermediateSize === null) return 'moe.expertIntermediateSize';
  if (denseFirstLayers === null) return 'moe.denseFirstLayers';
  if (model.numLayers === null) return 'numLayers';
  if (model.hiddenSize === null) return 'hiddenSize';
  const moeLayers = model.numLayers - denseFirstLayers;
  const expert = 3 * model.hiddenSize * expertIntermediateSize;
  const always = dense.always - moeLayers * numExperts * expert;
  if (always <= 0) return 'moe layer pattern';
  return { always, head, expert, moeLayers, experts: numExperts, expertsPerToken };
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

/**
 * Time to read the experts that n tokens touch, by n: E(1 - (1 - k/E)^n) of them, until all are. By repeated
 * multiplication, which is the same on every machine.
 */
function expertReadTable(experts: number, expertsPerToken: number, allExpertsSec: number): number[] {
  const table = [0];
  const keep = 1 - expertsPerToken / experts;
  let missed = 1;
  while (missed > 1e-4) {
    missed *= keep;
    table.push(toUnits(allExpertsSec * (1 - missed)));
  }
  table.push(toUnits(allExpertsSec));
  return table;
}

/** Seconds of the two all-reduces of every layer: fixed, and for each token. */
function allReduceSec(gpu: Gpu, tensorParallel: number, layers: number, hiddenSize: number) {
  if (tensorParallel === 1) return { fixed: 0, perToken: 0 };
  const bandwidth = gpu.scaleUpBandwidthBytesPerSecPerDirection ?? Number.POSITIVE_INFINITY;
  const bytes = hiddenSize * 2;
  const share = (2 * (tensorParallel - 1)) / tensorParallel;
  return { fixed: 2 * layers * (gpu.p2pLatencySec ?? 0), perToken: (2 * layers * share * bytes) / bandwidth };
}

export interface RooflineResult {
  step: StepModel | null;
  /** Priors that this pool rests on. */
  notes: string[];
  issues: Issue[];
}

/** The step model of `setup`; issues name the catalogue's missing figures. */
export function roofline(setup: ReplicaSetup & { model: Model; gpu: Gpu }, path: InputPath): RooflineResult {
  const { model, gpu, tensorParallel: tp } = setup;
  const need = (id: string, key: string, at: string): RooflineResult => {
    const instead = 'give `step: { model: affine, … }`';
    return {
      step: null,
      notes: [],
      issues: [unknownFigure([...path, at], id, key, 'the roofline step', instead)],
    };
  };
  const weights = splitWeights(model);
  if (typeof weights === 'string') return need(model.id, weights, 'model');
  const flopsPerPair = pairFlops(model);
  if (typeof flopsPerPair === 'string') return need(model.id, flopsPerPair, 'model');
  const kvBytes = kvBytesPerToken(model, setup.kv, tp);
  if (kvBytes === null) return need(model.id, 'kvBytesPerTokenBf16', 'model');
  if (model.numLayers === null) return need(model.id, 'numLayers', 'model');
  if (model.hiddenSize === null) return need(model.id, 'hiddenSize', 'model');
  const rate = gemmFlops(gpu, setup.weights);
  if (rate === null || gpu.bf16DenseFlops === null) return need(gpu.id, 'bf16DenseFlops', 'gpu');
  if (tp > 1 && gpu.p2pLatencySec === null) return need(gpu.id, 'p2pLatencySec', 'gpu');

  const readSec = (bytes: number): number => (bytes / tp / gpu.memoryBandwidthBytesPerSec) * WEIGHT_READ;
  const perWeight = WEIGHT_BYTES[setup.weights];
  const routed = weights.moeLayers * weights.expert;
  const denseRead = toUnits(readSec(weights.always * perWeight + weights.head * WEIGHT_BYTES.bf16));
  const denseSecPerToken = (2 * weights.always) / tp / rate;
  const expertRead =
    routed === 0
      ? [0]
      : expertReadTable(
          weights.experts,
          weights.expertsPerToken,
          readSec(routed * weights.experts * perWeight),
        );
  const expertSecPerToken = (2 * routed * weights.expertsPerToken) / tp / rate;

  const densePerToken = toUnits(denseSecPerToken);
  const densePerTokenNotHidden = toUnits(denseSecPerToken * NOT_HIDDEN);
  const denseReadNotHidden = Math.round(denseRead * NOT_HIDDEN);
  const expertPerToken = toUnits(expertSecPerToken);
  const expertPerTokenNotHidden = toUnits(expertSecPerToken * NOT_HIDDEN);
  const expertReadNotHidden = expertRead.map(read => Math.round(read * NOT_HIDDEN));
  const lastExpertRow = expertRead.length - 1;

  const kvRead = kvReadFactor(gpu);
  const perContextToken = toUnits((kvBytes / gpu.memoryBandwidthBytesPerSec) * kvRead.factor);
  const perPair = toUnits(flopsPerPair / tp / (gpu.bf16DenseFlops * ATTENTION_OF_PEAK));
  const reduce = allReduceSec(gpu, tp, model.numLayers, model.hiddenSize);
  const fixed = toUnits(model.numLayers * LAYER_SEC + weights.moeLayers * MOE_LAYER_SEC + reduce.fixed);
  const reducePerToken = toUnits(reduce.perToken);

  const notes = kvRead.note === null ? [] : [kvRead.note];
  if (tp > 1 && !/NVLink|xGMI/.test(gpu.scaleUpName ?? '')) {
    notes.push(`tensor parallel over ${gpu.scaleUpName}: measured runs were 21-36 % slower than such models`);
  }
  /** What n tokens cost beside attention. A class is bound by memory or by compute; the lesser hides but for a part. */
  const linearUnits = (n: number): number => {
    const row = n < lastExpertRow ? n : lastExpertRow;
    const dense = Math.max(denseRead + densePerTokenNotHidden * n, densePerToken * n + denseReadNotHidden);
    const experts = Math.max(
      expertRead[row]! + expertPerTokenNotHidden * n,
      expertPerToken * n + expertReadNotHidden[row]!,
    );
    return fixed + dense + experts + reducePerToken * n;
  };
  const step: StepModel = {
    name: 'roofline',
    evidence: EVIDENCE,
    /** Hot: once per engine step. */
    stepNs(load: StepLoad): number {
      const contextTokens = load.decodeContextTokens + load.prefillContextTokens;
      // A prompt's attention is its compute beyond the read of its context.
      const prefillPairs = Math.max(0, load.prefillPairs - load.prefillContextTokens);
      const attention = perContextToken * contextTokens + perPair * prefillPairs;
      return unitsToNs(linearUnits(load.decodes + load.prefillTokens) + attention);
    },
    decodeLine: decodes => ({
      interceptUnits: linearUnits(decodes),
      slopeUnits: perContextToken,
      untilContextTokens: Number.POSITIVE_INFINITY,
    }),
  };
  return { step, notes, issues: [] };
}
