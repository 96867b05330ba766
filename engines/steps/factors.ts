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
    dense: 0.98,
    head: 1.1,
    experts: 0.95,
    expertTraffic: 1.1,
    expertCompute: 1.1,
    activations: 1,
    attention: 1,
    quantisedMoeLayer: 20e-6,
    promptLayer: 10e-6,
    collective: 5e-6,
    eagerCollective: 20e-6,
    sequence: 8e-6,
    step: 0.2e-3,
    prompt: 0.5e-3,
    idleStep: 1e-3,
    idleSequence: 10e-6,
    idlePrompt: 2e-3,
  },
  generations: {
    hopper: { kvRead: 1.1, layer: 40e-6, moeLayer: 40e-6, collectiveBytes: 1, runs: 223 },
    blackwell: { kvRead: 1.1, layer: 40e-6, moeLayer: 25e-6, collectiveBytes: 1, runs: 318 },
    ampere: { kvRead: 1.5, layer: 55e-6, moeLayer: 45e-6, collectiveBytes: 1, runs: 2 },
    ada: { kvRead: 1.1, layer: 35e-6, moeLayer: 40e-6, collectiveBytes: 1, runs: 1 },
    'ada-geforce': { kvRead: 1.1, layer: 35e-6, moeLayer: 40e-6, collectiveBytes: 1, runs: 1 },
    'blackwell-gddr': { kvRead: 1.1, layer: 35e-6, moeLayer: 30e-6, collectiveBytes: 1, runs: 1 },
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
