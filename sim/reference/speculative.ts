// Speculative decoding: a decode also verifies tokens that a small model drafted. They take budget and KV slots like any
// other; those that the model agrees with appear together, the others are computed for nothing.
// vLLM v1/core/sched/scheduler.py: computed counts drafts when scheduled, and is set back by the rejected ones.
import type { PoolSpec } from '../../engines/engine.ts';
import type { Submission } from '../cluster.ts';
import { stepsInFlight } from './pipeline.ts';
import { type Request, targetTokens, tokensAtEnd } from './request.ts';
import type { Scheduled } from './scheduler.ts';

/** Tokens that its next step verifies: none while it computes a prompt, and none past the window. */
export function draftTokens({ speculative, limits }: PoolSpec, request: Request): number {
  if (speculative === null || request.generated + request.expected === 0) return 0;
  const target = targetTokens(request);
  if (request.computed !== target - 1) return 0;
  return Math.max(0, Math.min(speculative.draftTokens, limits.maxModelTokens - 1 - target));
}

/**
 * How many tokens a sequence gives at the end of a step: the mean of the pool, as whole numbers by accumulation, so that
 * neither chance nor order matters. Sets the request back by its rejected drafts.
 */
export function acceptedTokens(
  { speculative }: PoolSpec,
  { request, drafts, preemptions }: Scheduled,
): number {
  // Preempted since: its KV and its drafts are gone, the token sampled first stands.
  if (speculative === null || drafts === 0 || request.preemptions > preemptions) return 1;
  const mean = speculative.acceptedTokens;
  const j = request.verifications++;
  const left = request.submission.outputTokens - request.generated;
  const accepted = Math.min(Math.floor((j + 1) * mean) - Math.floor(j * mean), 1 + drafts, left);
  const rejected = 1 + drafts - accepted;
  request.drafted -= drafts;
  request.computed -= rejected;
  request.rejectedTokens += rejected;
  return accepted;
}

/** Tokens a request may ever hold in the KV cache: its own, and the drafts of its last steps. */
export function mostTokens(pool: PoolSpec, submission: Submission): number {
  const own = tokensAtEnd(submission);
  const drafts = (pool.speculative?.draftTokens ?? 0) * stepsInFlight(pool);
  return Math.max(own, Math.min(own + drafts, pool.limits.maxModelTokens - 1));
}
