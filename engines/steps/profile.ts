// The step of a calibrated engine: the terms that `calibrate` fitted on a live one, summed in whole units (ns/1024).
import type { EngineProfile } from '../../scenarios/formats/engine-profile.ts';
import { toUnits, unitsToNs } from '../affine.ts';
import type { StepLoad, StepModel } from '../engine.ts';
import { beyondRange, errorText } from './evidence.ts';

/** The step model of a profile. */
export function profileStep({
  name,
  measured,
  step,
  frontend,
  range,
  expected_error: error,
}: EngineProfile): StepModel {
  const fromUs = (us = 0): number => toUnits(us / 1e6);
  const base = toUnits(step.base_ms / 1e3);
  const perDecode = fromUs(step.per_decode_us);
  const perContextToken = fromUs(step.per_context_token_us);
  const perPrefill = fromUs(step.per_prefill_us);
  const perPrefillToken = fromUs(step.per_prefill_token_us);
  const perPrefillContextToken = fromUs(step.per_prefill_context_token_us);
  const perPair = fromUs(step.per_pair_us);
  const perSample = fromUs(step.per_sample_us);
  const tried = {
    decodes: range.decodes,
    contextTokens: range.context_tokens,
    prefillTokens: range.prefill_tokens,
  };
  const where = `${measured.engine}, ${measured.model} on ${measured.gpus ?? 1} x ${measured.gpu}`;
  return {
    name: 'profile',
    evidence: `profile "${name}": ${where}, measured ${measured.at} by ${measured.by}; ${errorText(error)}; tried up to ${tried.decodes} decodes, ${tried.contextTokens} tokens of context and ${tried.prefillTokens} prompt tokens a step`,
    trust: { error, nearest: where, range: tried, outOfRange: load => beyondRange(tried, load) },
    ...(frontend === undefined
      ? {}
      : {
          frontEnd: {
            ms: frontend.base_ms,
            msPerToken: (frontend.per_prompt_token_us ?? 0) / 1e3,
            serialMs: Math.min(frontend.base_ms, frontend.serial_ms ?? 0),
          },
        }),
    /** Hot: once per engine step. */
    stepNs(load: StepLoad): number {
      return unitsToNs(
        base +
          perDecode * load.decodes +
          perContextToken * load.decodeContextTokens +
          perPrefill * load.prefills +
          perPrefillToken * load.prefillTokens +
          perPrefillContextToken * load.prefillContextTokens +
          perPair * load.prefillPairs +
          perSample * load.samples,
      );
    },
    decodeLine: decodes => ({
      interceptUnits: base + (perDecode + perSample) * decodes,
      slopeUnits: perContextToken,
      untilContextTokens: Number.POSITIVE_INFINITY,
    }),
  };
}
