// How far a step model can be trusted, in words: its error, and what lies beyond the loads it was tried with.
import type { StepEvidence, StepLoad, StepRange } from '../engine.ts';

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

/** The errors that are known: "mean error: TTFT 8 %, TPOT 2.1 %". */
export function errorText(error: StepEvidence['error']): string {
  const known = (['ttft', 'tpot', 'e2e'] as const).flatMap(key =>
    error[key] === null ? [] : [`${key.toUpperCase()} ${Math.round(error[key] * 1000) / 10} %`],
  );
  return known.length === 0 ? 'its error was not measured' : `mean error: ${known.join(', ')}`;
}
