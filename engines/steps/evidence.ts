// What lies beyond the loads that a step model was fitted or measured with.
import type { StepLoad, StepRange } from '../engine.ts';

/** What of the load lies beyond the range, in words; null when all of it lies within. */
export function beyondRange(range: StepRange, load: StepLoad): string | null {
  const { decodes, decodeContextTokens, prefills, prefillTokens, prefillContextTokens } = load;
  const mean = (tokens: number, sequences: number): number => (sequences === 0 ? 0 : tokens / sequences);
  const context = Math.max(mean(decodeContextTokens, decodes), mean(prefillContextTokens, prefills));
  const parts = [
    { found: decodes, most: range.decodes, what: 'sequences decode' },
    { found: Math.round(context), most: range.contextTokens, what: 'tokens of context' },
    { found: prefillTokens, most: range.prefillTokens, what: 'prompt tokens in a step' },
  ].filter(({ found, most }) => found > most);
  return parts.length === 0
    ? null
    : parts.map(({ found, most, what }) => `${found} ${what}, tried up to ${most}`).join('; ');
}
