// The fitted factors of the physics step: one table for every GPU and model. Written from what `lab/fidelity/fit.ts`
// prints; docs/fidelity.md has the data, the forms that were tried and the errors on models that were left out.
import type { Gpu } from '../catalog.ts';
import { type Generation, generationOf, standIn } from './kernel-rates.ts';
import type { Term, Terms } from './operator-work.ts';

/** Terms whose factor differs by generation: gaps between kernels, the reading of the KV cache, the links. */
export const BY_GENERATION = [
  'kvRead',
  'layer',
  'moeLayer',
  'collectiveBytes',
] as const satisfies readonly Term[];
export type GenerationTerm = (typeof BY_GENERATION)[number];

/** Factors that hold everywhere: of the kernels' own time, or seconds of what is counted. */
export type SharedFactors = Omit<Terms, GenerationTerm>;
export type GenerationFactors = Readonly<Record<GenerationTerm, number>> & {
  /** Measured runs behind these figures. */
  readonly runs: number;
};

/** Everything that is fitted. */
export interface FactorTable {
  readonly shared: SharedFactors;
  readonly generations: Readonly<Record<Generation, GenerationFactors>>;
}

export const FITTED: FactorTable = {
  shared: {
    dense: 1.02,
    head: 1.11,
    experts: 0.947,
    expertTraffic: 1.35,
    expertCompute: 1.42,
    activations: 1.02,
    attention: 1.02,
    quantisedMoeLayer: 24.6e-6,
    promptLayer: 10.4e-6,
    collective: 5.1e-6,
    eagerCollective: 21.6e-6,
    sequence: 8.81e-6,
    step: 0.198e-3,
    prompt: 0.501e-3,
    idleStep: 0.906e-3,
    idleSequence: 9.54e-6,
    idlePrompt: 1.88e-3,
  },
  generations: {
    hopper: { kvRead: 1.02, layer: 38.9e-6, moeLayer: 42.7e-6, collectiveBytes: 0.95, runs: 224 },
    blackwell: { kvRead: 1.11, layer: 42.3e-6, moeLayer: 25e-6, collectiveBytes: 1.24, runs: 318 },
    ampere: { kvRead: 1.51, layer: 55.7e-6, moeLayer: 45e-6, collectiveBytes: 0.994, runs: 2 },
    ada: { kvRead: 1.1, layer: 35e-6, moeLayer: 40e-6, collectiveBytes: 1, runs: 1 },
    'ada-geforce': { kvRead: 1.1, layer: 35e-6, moeLayer: 40e-6, collectiveBytes: 1, runs: 1 },
    'blackwell-gddr': { kvRead: 1.23, layer: 35.4e-6, moeLayer: 30e-6, collectiveBytes: 1, runs: 1 },
  },
};

/** Runs from which a generation's own figures are more than an adjusted prior. */
const FEW_RUNS = 10;

/** The factors of a GPU, and what is to be said where they rest on little. */
export function factorsOf(gpu: Gpu, table: FactorTable = FITTED): { factors: Terms; note: string | null } {
  const generation = generationOf(gpu);
  const used = generation ?? standIn(gpu);
  const { runs, ...own } = table.generations[used];
  const factors = { ...table.shared, ...own };
  if (generation === null)
    return {
      factors,
      note: `kernels of ${gpu.id} (${gpu.architecture}) were not measured: ${used} stands in`,
    };
  const note = runs < FEW_RUNS ? `factors of ${generation} GPUs rest on ${runs} measured runs` : null;
  return { factors, note };
}
