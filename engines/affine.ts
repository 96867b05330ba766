// A step that costs a constant, and so much for each token, sequence and KV entry: what a calibration measures, or
// what a test wants to compute by hand. The rule of every step model: quantise once, then only whole numbers.
import { InvariantError, UserError } from '../scenarios/base/errors.ts';
import type { StepFile } from '../scenarios/formats/deployment/pool.ts';
import type { StepLoad, StepModel } from './engine.ts';

export type AffineStep = Extract<StepFile, { model: 'affine' }>;

/** Fixed-point units of one nanosecond. A power of two, so that dividing by it is exact. */
export const UNITS_PER_NS = 1024;

/** A cost in seconds as whole units of ns/1024. */
export const toUnits = (seconds: number): number => Math.round(seconds * 1e9 * UNITS_PER_NS);

/** Whole nanoseconds, at least 1; throws where a sum of units is no longer exact (a step of 2.4 hours). */
export function unitsToNs(units: number): number {
  if (units >= 0 && units <= Number.MAX_SAFE_INTEGER) return Math.max(1, Math.floor(units / UNITS_PER_NS));
  if (!(units > 0)) throw new InvariantError(`a step of ${units} ns/1024`);
  throw new UserError('an engine step takes more than 2.4 hours, the longest that is counted exactly', {
    hint: 'look at the costs of the `step` and the `gpu_figures` of the deployment: one of them has the wrong unit',
  });
}

/** The step model with the costs that the deployment file gives. */
export function affine(step: AffineStep): StepModel {
  const fromMs = (ms: number | undefined): number => toUnits((ms ?? 0) / 1000);
  const base = fromMs(step.base);
  const perToken = fromMs(step.per_token);
  const perSequence = fromMs(step.per_sequence);
  const perContextToken = fromMs(step.per_context_token);
  const perPair = fromMs(step.per_attention_pair);
  return {
    name: 'affine',
    evidence: `affine step with the costs of the deployment file (${step.base} ms + ${step.per_token ?? 0} ms a token): as good as the calibration they come from`,
    /** Hot: once per engine step. */
    stepNs(load: StepLoad): number {
      return unitsToNs(
        base +
          perToken * (load.decodes + load.prefillTokens) +
          perSequence * (load.decodes + load.prefills) +
          perContextToken * (load.decodeContextTokens + load.prefillContextTokens) +
          perPair * (load.decodeContextTokens + load.prefillPairs),
      );
    },
    decodeLine: decodes => ({
      interceptUnits: base + (perToken + perSequence) * decodes,
      slopeUnits: perContextToken + perPair,
      untilContextTokens: Number.POSITIVE_INFINITY,
    }),
  };
}
