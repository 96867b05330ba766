// How far the physics step was tried: the measured experiments it was fitted on, its error there, and the loads.
import type { StepEvidence } from '../engine.ts';
import type { PlacedSetup } from '../memory.ts';
import { beyondRange } from './evidence.ts';

/** What can be said of a prediction for `setup`: in figures, and in one sentence. */
export function trustOf(_setup: PlacedSetup): { evidence: string; trust: StepEvidence } {
  const range = { decodes: 512, contextTokens: 8192, prefillTokens: 8192 };
  return {
    evidence: 'physics of the catalogue with factors fitted on measured vLLM runs: for ranking',
    trust: {
      error: { ttft: null, tpot: null, e2e: null },
      nearest: null,
      range,
      outOfRange: load => beyondRange(range, load),
    },
  };
}
