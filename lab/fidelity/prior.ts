// What the factors are expected to be before any served run is looked at, and how far from it they may well be. A factor
// of kernels that were measured is 1, as serving runs the same kernels; the rest are counted gaps between them.
import type { FactorTable } from '../../engines/steps/factors.ts';
import type { Term } from '../../engines/steps/operator-work.ts';
import { flatten } from './fit.ts';

const NOT_COUNTED = { runs: 0 };

export const PRIOR: FactorTable = {
  shared: {
    dense: 1,
    head: 1.1,
    experts: 0.95,
    expertTraffic: 1.1,
    expertCompute: 1.1,
    activations: 1,
    attention: 1,
    // Two quantising kernels before the experts' projections, two before the attention's: 5 us each.
    quantisedMoeLayer: 20e-6,
    promptLayer: 10e-6,
    // vLLM's all-reduce of a small message inside CUDA graphs, and outside (aic-allreduce-vllm).
    collective: 5e-6,
    eagerCollective: 20e-6,
    sequence: 8e-6,
    step: 0.2e-3,
    prompt: 0.5e-3,
    idleStep: 1e-3,
    idleSequence: 10e-6,
    idlePrompt: 2e-3,
  },
  // A layer is four GEMMs, attention, two norms, rotary embedding and activation, each with a few us of its own: on
  // Hopper 4 x 4 + 13 + 4 x 2.5 (aic-gemm, aic-attention-decode, lss-dense). MoE kernels have 25 to 45 us on Hopper.
  generations: {
    hopper: { kvRead: 1.1, layer: 40e-6, moeLayer: 40e-6, collectiveBytes: 1, ...NOT_COUNTED },
    blackwell: { kvRead: 1.1, layer: 40e-6, moeLayer: 25e-6, collectiveBytes: 1, ...NOT_COUNTED },
    ampere: { kvRead: 1.5, layer: 55e-6, moeLayer: 45e-6, collectiveBytes: 1, ...NOT_COUNTED },
    ada: { kvRead: 1.1, layer: 35e-6, moeLayer: 40e-6, collectiveBytes: 1, ...NOT_COUNTED },
    'ada-geforce': { kvRead: 1.1, layer: 35e-6, moeLayer: 40e-6, collectiveBytes: 1, ...NOT_COUNTED },
    'blackwell-gddr': { kvRead: 1.1, layer: 35e-6, moeLayer: 30e-6, collectiveBytes: 1, ...NOT_COUNTED },
  },
};

/** As shares of the expected value: little for kernels that were measured themselves, much for what nobody measured. */
export const SPREAD: Readonly<Record<Term, number>> = {
  dense: 0.1,
  head: 0.15,
  experts: 0.15,
  expertTraffic: 0.5,
  expertCompute: 0.5,
  activations: 0.3,
  kvRead: 0.25,
  attention: 0.3,
  layer: 0.25,
  moeLayer: 0.4,
  quantisedMoeLayer: 0.7,
  promptLayer: 1,
  collective: 0.3,
  eagerCollective: 0.5,
  collectiveBytes: 0.5,
  sequence: 0.7,
  step: 0.7,
  prompt: 1,
  idleStep: 0.5,
  idleSequence: 0.7,
  idlePrompt: 1,
};

/** Both in the order of the fit. */
const { names, values } = flatten(PRIOR);
export const PRIOR_VALUES: readonly number[] = values;
export const SPREAD_VALUES: readonly number[] = names.map(name => SPREAD[name.split('.').at(-1) as Term]);

/** Weight of the prior, where models and cards that were left out come out best on the whole (docs/fidelity.md). */
export const RIDGE = 0.001;
