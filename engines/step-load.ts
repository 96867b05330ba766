// What a step has to do, sequence by sequence: the one place that says what is a decode and what a prefill.
import type { StepLoad } from './engine.ts';

export const emptyLoad = (): StepLoad => ({
  decodes: 0,
  decodeContextTokens: 0,
  prefills: 0,
  prefillTokens: 0,
  prefillContextTokens: 0,
  prefillPairs: 0,
  samples: 0,
});

/** Adds a sequence that has `before` tokens in the KV cache and computes `tokens` more; `samples` when it gives a token. */
export function addSequence(load: StepLoad, before: number, tokens: number, samples: boolean): void {
  if (tokens === 1) {
    load.decodes += 1;
    load.decodeContextTokens += before + 1;
  } else {
    load.prefills += 1;
    load.prefillTokens += tokens;
    load.prefillContextTokens += before + tokens;
    load.prefillPairs += tokens * before + (tokens * (tokens + 1)) / 2;
  }
  if (samples) load.samples += 1;
}

/** A step of `decodes` decodes over `contextTokens` KV entries, all of which give a token. */
export const decodeLoad = (decodes: number, contextTokens: number): StepLoad => ({
  ...emptyLoad(),
  decodes,
  decodeContextTokens: contextTokens,
  samples: decodes,
});
