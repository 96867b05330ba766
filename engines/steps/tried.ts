// How far the physics step was tried: every model on every card that was measured, with the error of predictions by
// factors that knew nothing of that model, and the largest loads. Written from `backtest --cross-validate model`.
import type { WeightType } from '../../scenarios/formats/deployment/pool.ts';
import { findGpu } from '../catalog.ts';
import type { StepEvidence, StepRange } from '../engine.ts';
import { type PlacedSetup, totalParams } from '../memory.ts';
import { beyondRange } from './evidence.ts';
import { generationOf } from './kernel-rates.ts';

/** A model on a card. Errors are means over its runs, 0-1. */
interface Tried {
  gpuId: string;
  model: string;
  /** Parameters in billions. */
  billions: number;
  experts: number;
  weights: WeightType;
  tensorParallel: readonly number[];
  runs: number;
  error: { tpot: number; ttft: number; e2e: number | null };
  range: StepRange;
}

type Row = [
  ...[gpuId: string, model: string, billions: number, experts: number, weights: WeightType],
  ...[tensorParallel: number[], runs: number, tpot: number, ttft: number, e2e: number | null],
  ...[decodes: number, contextTokens: number, prefillTokens: number],
];

// biome-ignore format: a row per line
const ROWS: readonly Row[] = [
  ['a100-80gb-sxm', 'CodeLlama-34b', 33.7, 0, 'bf16', [2], 1, 0.048, 0.033, 0.047, 42, 821, 2048],
  ['a100-80gb-sxm', 'Llama-3.1-8B', 8, 0, 'bf16', [1], 1, 0.059, 0.076, 0.059, 21, 821, 2048],
  ['b200-sxm', 'Llama-3.1-70B', 70.6, 0, 'nvfp4', [1,2,4,8], 40, 0.126, 0.206, null, 64, 9216, 8192],
  ['b200-sxm', 'Llama-3.1-70B', 70.6, 0, 'fp8', [1,2,4,8], 40, 0.053, 0.173, null, 64, 9216, 8192],
  ['b200-sxm', 'MiniMax-M2.5', 228.7, 256, 'nvfp4', [1,2,4,8], 77, 0.086, 0.272, null, 1024, 9216, 16384],
  ['b200-sxm', 'MiniMax-M2.5', 228.7, 256, 'fp8', [2,4], 63, 0.082, 0.262, null, 512, 9216, 16384],
  ['b200-sxm', 'gpt-oss-120b', 116.8, 128, 'nvfp4', [1,2,4,8], 44, 0.123, 0.205, null, 128, 9216, 8192],
  ['b300-sxm', 'MiniMax-M2.5', 228.7, 256, 'fp8', [1,2,4], 54, 0.049, 0.146, null, 1024, 9216, 16384],
  ['h100-80gb-sxm', 'CodeLlama-34b', 33.7, 0, 'bf16', [1,2], 7, 0.059, 0.076, 0.057, 82, 8192, 4096],
  ['h100-80gb-sxm', 'Llama-2-7b', 6.7, 0, 'bf16', [1], 5, 0.074, 0.116, 0.071, 71, 4000, 4096],
  ['h100-80gb-sxm', 'Llama-3.1-70B', 70.6, 0, 'bf16', [4], 2, 0.04, 0.029, 0.04, 48, 840, 8192],
  ['h100-80gb-sxm', 'Llama-3.1-70B', 70.6, 0, 'fp8', [2,4,8], 30, 0.079, 0.118, null, 64, 9216, 8192],
  ['h100-80gb-sxm', 'Llama-3.1-8B', 8, 0, 'bf16', [1], 5, 0.025, 0.03, 0.024, 43, 840, 8192],
  ['h100-80gb-sxm', 'Llama-4-Scout', 107.8, 16, 'fp8', [2], 3, 0.068, 0.139, 0.068, 62, 2531, 2048],
  ['h100-80gb-sxm', 'MiniMax-M2.5', 228.7, 256, 'fp8', [4], 20, 0.088, 0.382, null, 64, 9216, 8192],
  ['h100-80gb-sxm', 'Mistral-Nemo', 12.2, 0, 'bf16', [1,2], 2, 0.087, 0.135, 0.088, 26, 840, 2048],
  ['h100-80gb-sxm', 'Mixtral-8x7B', 46.7, 8, 'bf16', [2], 5, 0.072, 0.192, 0.074, 101, 849, 2048],
  ['h100-80gb-sxm', 'Qwen2.5-7B', 7.6, 0, 'bf16', [1], 1, 0.087, 0.111, 0.087, 11, 2531, 1024],
  ['h100-80gb-sxm', 'Qwen3-32B', 32.8, 0, 'bf16', [2,4], 60, 0.086, 0.205, null, 128, 5120, 8192],
  ['h100-80gb-sxm', 'Yi-34B', 34.4, 0, 'bf16', [2], 1, 0.045, 0.06, 0.045, 23, 821, 2048],
  ['h200-141gb-sxm', 'Llama-3.1-8B', 8, 0, 'fp8', [1,2,4,8], 21, 0.138, 0.591, null, 128, 10000, 8192],
  ['h200-141gb-sxm', 'MiniMax-M2.5', 228.7, 256, 'fp8', [4,8], 22, 0.162, 0.368, null, 128, 9216, 8192],
  ['h200-141gb-sxm', 'gpt-oss-120b', 116.8, 128, 'nvfp4', [1,2,4,8], 40, 0.055, 0.147, null, 64, 9216, 8192],
  ['l40s', 'Llama-3.1-8B', 8, 0, 'bf16', [1], 1, 0.006, 0.029, 0.007, 45, 821, 2048],
  ['rtx-4090', 'Llama-3.1-8B', 8, 0, 'bf16', [1], 1, 0.024, 0.008, 0.012, 256, 4765, 2048],
  ['rtx-pro-6000-server', 'Llama-3.1-8B', 8, 0, 'bf16', [1], 1, 0.114, 0.267, 0.152, 128, 4765, 2048],
];

const TRIED: readonly Tried[] = ROWS.map(
  ([gpuId, model, billions, experts, weights, tensorParallel, runs, tpot, ttft, e2e, ...range]) => {
    const [decodes, contextTokens, prefillTokens] = range;
    const error = { tpot, ttft, e2e };
    const of = { gpuId, model, billions, experts, weights, tensorParallel, runs };
    return { ...of, error, range: { decodes, contextTokens, prefillTokens } };
  },
);

/** Runs of all rows. */
const RUNS = TRIED.reduce((sum, { runs }) => sum + runs, 0);

/**
 * How unlike two replicas are, for naming the nearest: a card of another kind counts most, then another kind of model,
 * then another precision, then size.
 */
function distance(setup: PlacedSetup, tried: Tried): number {
  const { model, gpu, weights, tensorParallel } = setup;
  const other = findGpu(tried.gpuId);
  const sameKind = other !== null && generationOf(other) === generationOf(gpu);
  const card = tried.gpuId === gpu.id ? 0 : sameKind ? 4 : 12;
  const kind = tried.experts > 0 === (model.moe !== null) ? 0 : 6;
  const ours = (totalParams(model) ?? tried.billions * 1e9) / 1e9;
  const ratio = Math.max(ours / tried.billions, tried.billions / ours);
  const split = tried.tensorParallel.includes(tensorParallel) ? 0 : 0.5;
  return card + kind + (tried.weights === weights ? 0 : 2) + split + Math.min(2, ratio - 1);
}

const nearestOf = (setup: PlacedSetup): Tried =>
  TRIED.reduce((best, each) => (distance(setup, each) < distance(setup, best) ? each : best));

const percent = (ratio: number): string => `${Math.round(ratio * 100)} %`;

const named = ({ model, weights, gpuId, tensorParallel }: Tried): string =>
  `${model} ${weights} on ${gpuId}, TP ${tensorParallel.join(', ')}`;

/** What measured runs say of predictions for such replicas. */
export function evidenceOf(setup: PlacedSetup): StepEvidence {
  const nearest = nearestOf(setup);
  const { error, range } = nearest;
  return { error, nearest: named(nearest), range, outOfRange: load => beyondRange(range, load) };
}

/** What no measured run had anything of: its step times serve for ranking. */
function untried({ model, gpu, pipelineParallel = 1 }: PlacedSetup): string[] {
  return [
    generationOf(gpu) === null ? `no card like ${gpu.id}` : null,
    model.mla === null ? null : 'no latent attention (MLA)',
    model.linearAttention === null ? null : 'no linear attention',
    pipelineParallel === 1 ? null : 'no pipeline stages',
  ].filter(each => each !== null);
}

/** The same in one sentence. */
export function evidenceLine(setup: PlacedSetup): string {
  const nearest = nearestOf(setup);
  const { error, range } = nearest;
  const { decodes, contextTokens, prefillTokens } = range;
  const off = `TPOT ${percent(error.tpot)} and TTFT ${percent(error.ttft)} off with that model left out`;
  const strange = untried(setup);
  const stamp = strange.length === 0 ? '' : `for ranking only, ${strange.join(', ')} was measured; `;
  return `${stamp}physics of the catalogue with factors fitted on ${RUNS} measured vLLM runs; nearest: ${named(nearest)} (${off}; up to ${decodes} decodes, ${contextTokens} tokens of context, ${prefillTokens} prompt tokens a step)`;
}
