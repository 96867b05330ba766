// How many tokens a step of speculative decoding yields: golden mean accepted lengths of InferenceX
// (golden_al_distribution; coding prompts, thinking on), with the token that is sampled anyway. Acceptance falls along a
// draft, so there is a figure for each length of it, not one rate.
import type { Speculative } from './engine.ts';

/** Who drafts, as a deployment file says it. */
export type DraftMethod = 'mtp' | 'eagle' | 'draft' | 'ngram';

interface Acceptance {
  /** Catalogue ids begin with one of these. */
  readonly models: readonly string[];
  readonly method: DraftMethod;
  /** Mean tokens of a step by tokens drafted, from 1 on. */
  readonly acceptedTokens: readonly number[];
}

const ACCEPTANCES: readonly Acceptance[] = [
  { models: ['qwen3.5-397b'], method: 'mtp', acceptedTokens: [1.93, 2.73, 3.39, 3.97] },
  { models: ['deepseek-v4-pro'], method: 'mtp', acceptedTokens: [1.79, 2.27, 2.49, 2.54] },
  { models: ['kimi-k2.5'], method: 'eagle', acceptedTokens: [1.83, 2.43, 2.88, 3.24] },
  { models: ['glm-5.2'], method: 'mtp', acceptedTokens: [1.84, 2.5, 2.99, 3.33] },
];

/**
 * Mean tokens of a step of this model with so many drafted tokens; null where none was measured: by another method, of
 * another model, or for a longer draft.
 */
export function acceptedTokens(
  modelId: string,
  method: DraftMethod,
  draftTokens: Speculative['draftTokens'],
): Speculative['acceptedTokens'] | null {
  const row = ACCEPTANCES.find(
    each =>
      each.method === method && each.models.some(name => modelId === name || modelId.startsWith(`${name}-`)),
  );
  return row?.acceptedTokens[draftTokens - 1] ?? null;
}
