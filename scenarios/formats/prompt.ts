// Prompts as runs: content is named, never stored. A run is `tokens` tokens of the content `key`, starting at token
// `from` of it; equal (key, from) means equal tokens, in the simulator's KV blocks as in the live replay's text.
import type { Key } from '../base/key.ts';

/** `tokens` (> 0) tokens of the content named `key`, from its token `from` on. */
export interface Run {
  readonly key: Key;
  readonly from: number;
  readonly tokens: number;
}

/**
 * How a prompt was put together, run by run the same: prompts of one thread share its list, which only grows, so that
 * what they have in common is known without a look at it.
 */
export interface PromptMakeup {
  readonly head: readonly Run[];
  /** Of this list the first `threadRuns` runs. */
  readonly thread: readonly Run[];
  readonly threadRuns: number;
  readonly tail: readonly Run[];
}

/** The prompt as one list. */
export function wholePrompt({ head, thread, threadRuns, tail }: PromptMakeup): readonly Run[] {
  return head.concat(thread.length === threadRuns ? thread : thread.slice(0, threadRuns), tail);
}

/** One labelled part of a prompt, in order: a prefix segment's name, `history`, `reads` or `input`. */
export interface PromptPart {
  readonly segment: string;
  readonly tokens: number;
}

/** A range of prompt tokens and what their KV blocks are worth to an engine once no request holds them. */
export interface Retention {
  readonly fromToken: number;
  /** Exclusive; null: to the end of the prompt. */
  readonly toToken: number | null;
  /** 1 to 100; the lowest is evicted first, and 35 is what blocks have without a range. */
  readonly priority: number;
  /** After so long without use they are worth 35 again; null: never. */
  readonly durationMs: number | null;
}

export const runTokens = (runs: readonly Run[]): number => runs.reduce((sum, run) => sum + run.tokens, 0);

/** Whether the content of a run continues another's. */
export const goesOn = (last: Run, next: Run): boolean =>
  last.key.lo === next.key.lo && last.key.hi === next.key.hi && last.from + last.tokens === next.from;

/** Appends runs, merging those that continue the same content, so that equal content has equal runs. */
export function appendRuns(target: Run[], runs: readonly Run[]): void {
  for (const run of runs) {
    if (run.tokens <= 0) continue;
    const last = target[target.length - 1];
    if (last !== undefined && goesOn(last, run))
      target[target.length - 1] = { ...last, tokens: last.tokens + run.tokens };
    else target.push(run);
  }
}

/** The first `tokens` tokens of `runs`. */
export function headOf(runs: readonly Run[], tokens: number): Run[] {
  const head: Run[] = [];
  let left = tokens;
  for (const run of runs) {
    if (left <= 0) break;
    const take = Math.min(left, run.tokens);
    head.push(take === run.tokens ? run : { ...run, tokens: take });
    left -= take;
  }
  return head;
}

/** What is left of `runs` behind their first `tokens` tokens. */
export function tailOf(runs: readonly Run[], tokens: number): Run[] {
  const tail: Run[] = [];
  let skip = tokens;
  for (const run of runs) {
    if (skip >= run.tokens) skip -= run.tokens;
    else {
      tail.push(skip === 0 ? run : { ...run, from: run.from + skip, tokens: run.tokens - skip });
      skip = 0;
    }
  }
  return tail;
}

/** Tokens that both begin with. */
export function commonTokens(a: readonly Run[], b: readonly Run[]): number {
  let common = 0;
  let [i, inA, j, inB] = [0, 0, 0, 0]; // runs, and tokens of each that are behind
  while (i < a.length && j < b.length) {
    const runA = a[i]!;
    const runB = b[j]!;
    const isEqual = runA.key.hi === runB.key.hi && runA.key.lo === runB.key.lo;
    if (!isEqual || runA.from + inA !== runB.from + inB) break;
    const tokens = Math.min(runA.tokens - inA, runB.tokens - inB);
    common += tokens;
    inA += tokens;
    inB += tokens;
    if (inA === runA.tokens) [i, inA] = [i + 1, 0];
    if (inB === runB.tokens) [j, inB] = [j + 1, 0];
  }
  return common;
}
