// Prompts as runs: content is named, never stored. A run is `tokens` tokens of the content `key`, starting at token
// `from` of it; equal (key, from) means equal tokens, in the simulator's KV blocks as in the live replay's text.
import type { Key } from '../base/key.ts';

/** `tokens` (> 0) tokens of the content named `key`, from its token `from` on. */
export interface Run {
  readonly key: Key;
  readonly from: number;
  readonly tokens: number;
}

/** One labelled part of a prompt, in order: a prefix segment's name, `history`, `reads` or `input`. */
export interface PromptPart {
  readonly segment: string;
  readonly tokens: number;
}

export const runTokens = (runs: readonly Run[]): number => runs.reduce((sum, run) => sum + run.tokens, 0);

/** Appends runs, merging those that continue the same content, so that equal content has equal runs. */
export function appendRuns(target: Run[], runs: readonly Run[]): void {
  for (const run of runs) {
    if (run.tokens <= 0) continue;
    const last = target[target.length - 1];
    const continues =
      last !== undefined &&
      last.key.lo === run.key.lo &&
      last.key.hi === run.key.hi &&
      last.from + last.tokens === run.from;
    if (continues) target[target.length - 1] = { ...last, tokens: last.tokens + run.tokens };
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
