// What a measured time consists of: how often each cost of the step form, and of the way to the engine, occurs in it.
// The time is the sum of counts times costs, so that costs are found by linear least squares.
import type { StepLoad } from '../../engines/engine.ts';
import { addSequence, emptyLoad } from '../../engines/step-load.ts';

export const TERMS = [
  'frontend',
  'frontend_token',
  'base',
  'decode',
  'context_token',
  'prefill',
  'prefill_token',
  'prefill_context',
  'pair',
] as const;
export type Term = (typeof TERMS)[number];
export type Counts = Readonly<Record<Term, number>>;
/** Costs, ms. */
export type Costs = Readonly<Record<Term, number>>;

export const TERM_WORDS: Readonly<Record<Term, string>> = {
  frontend: 'the way of a request to the engine and of its tokens back',
  frontend_token: 'each prompt token on that way',
  base: 'a step',
  decode: 'each sequence that decodes in it',
  context_token: 'each KV entry that those read',
  prefill: 'each prompt in it',
  prefill_token: 'each prompt token in it',
  prefill_context: 'each KV entry that they read',
  pair: 'each (query, key) pair of prompts',
};

export const timeMs = (counts: Counts, costs: Costs): number =>
  TERMS.reduce((sum, term) => sum + counts[term] * costs[term], 0);

/** Counts of whole steps, and of what calls met on their way. */
export function countsOf(loads: readonly StepLoad[], way: { calls: number; promptTokens: number }): Counts {
  const sum = (of: (load: StepLoad) => number): number => loads.reduce((total, load) => total + of(load), 0);
  return {
    frontend: way.calls,
    frontend_token: way.promptTokens,
    base: loads.length,
    decode: sum(load => load.decodes),
    context_token: sum(load => load.decodeContextTokens),
    prefill: sum(load => load.prefills),
    prefill_token: sum(load => load.prefillTokens),
    prefill_context: sum(load => load.prefillContextTokens),
    pair: sum(load => load.prefillPairs),
  };
}

export interface PromptWork {
  promptTokens: number;
  /** Of them in the KV cache. */
  cachedTokens: number;
  /** Token budget of a step (max_num_batched_tokens). */
  budgetTokens: number;
  /** Sequences that decode beside it: each takes one token of the budget. */
  decodes?: number;
}

/** The steps of one prompt, the decodes beside it not counted. */
export function promptSteps({
  promptTokens,
  cachedTokens,
  budgetTokens,
  decodes = 0,
}: PromptWork): StepLoad[] {
  const loads: StepLoad[] = [];
  const room = Math.max(1, budgetTokens - decodes);
  for (let at = cachedTokens; at < promptTokens; ) {
    const tokens = Math.min(room, promptTokens - at);
    const load = emptyLoad();
    at += tokens;
    addSequence(load, at - tokens, tokens, at === promptTokens);
    loads.push(load);
  }
  return loads;
}
