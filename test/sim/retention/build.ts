// Calls and what they leave, for tests of retention policies; everything a test is not about has a default.
import type { Retention } from '../../../scenarios/formats/prompt.ts';
import type { Left, RetentionCall, RetentionSetup } from '../../../sim/retention/policy.ts';
import { run } from '../reference/build.ts';

/** Blocks of 4 tokens; a token takes 1 ms to compute. */
export const setup: RetentionSetup = {
  blockTokens: 4,
  prefillMs: tokens => tokens,
  restoreMs: tokens => tokens,
};

/** A call of a session whose prompt is the first `promptTokens` tokens of what the session says. */
export function call(
  session: string,
  promptTokens: number,
  some: Partial<RetentionCall> & { retention?: readonly Retention[] } = {},
): RetentionCall {
  return {
    session,
    workflow: 'workflow',
    tenant: null,
    step: 'step',
    prompt: [run(`thread of ${session}`, promptTokens)],
    promptTokens,
    retention: [],
    ...some,
  };
}

export const left = (of: RetentionCall, atMs: number, tokens = of.promptTokens): Left => ({
  call: of,
  atMs,
  tokens,
  blocks: 1,
});
