// Step models for tests: affine in what a step computes, so that expected times can be worked out by hand.
import { UNITS_PER_NS } from '../../engines/affine.ts';
import type { StepModel } from '../../engines/engine.ts';

export interface AffineCosts {
  baseNs?: number;
  perTokenNs?: number;
  perSequenceNs?: number;
  perContextTokenNs?: number;
  perPairNs?: number;
  /** Beside perContextTokenNs: ns/1024 for each KV entry. */
  perContextTokenUnits?: number;
}

/** 100 ns a step unless told otherwise; every cost left out is 0. */
export function affineStep(costs: AffineCosts = { baseNs: 100 }): StepModel {
  const { baseNs = 0, perTokenNs = 0, perSequenceNs = 0, perContextTokenNs = 0, perPairNs = 0 } = costs;
  const { perContextTokenUnits = 0 } = costs;
  return {
    name: 'affine',
    evidence: 'made up for tests',
    stepNs: load =>
      baseNs +
      perTokenNs * (load.decodes + load.prefillTokens) +
      perSequenceNs * (load.decodes + load.prefills) +
      perContextTokenNs * (load.decodeContextTokens + load.prefillContextTokens) +
      perPairNs * (load.decodeContextTokens + load.prefillPairs) +
      Math.floor((perContextTokenUnits * load.decodeContextTokens) / UNITS_PER_NS),
    decodeLine: decodes => ({
      interceptUnits: (baseNs + (perTokenNs + perSequenceNs) * decodes) * UNITS_PER_NS,
      slopeUnits: (perContextTokenNs + perPairNs) * UNITS_PER_NS + perContextTokenUnits,
      untilContextTokens: Number.POSITIVE_INFINITY,
    }),
  };
}

/** Decodes cost `units` (ns/1024) more for each KV entry of their batch behind `knotTokens`: lines that end, as of tables. */
export function kinkedStep(costs: AffineCosts, knotTokens: number, units: number): StepModel {
  const plain = affineStep(costs);
  const decodeLine: StepModel['decodeLine'] = (decodes, contextTokens) => {
    const line = plain.decodeLine(decodes, contextTokens);
    if (contextTokens <= knotTokens) return { ...line, untilContextTokens: knotTokens };
    const { interceptUnits, slopeUnits } = line;
    return { ...line, interceptUnits: interceptUnits - units * knotTokens, slopeUnits: slopeUnits + units };
  };
  return {
    ...plain,
    name: 'kinked',
    stepNs(load) {
      if (load.prefills > 0) return plain.stepNs(load);
      const { interceptUnits, slopeUnits } = decodeLine(load.decodes, load.decodeContextTokens);
      return Math.max(1, Math.floor((interceptUnits + slopeUnits * load.decodeContextTokens) / UNITS_PER_NS));
    },
    decodeLine,
  };
}
