// One look at a deployment, as questions ask for it: evaluated, or an error that says what failed.
import { EXIT, UserError } from '../../../scenarios/base/errors.ts';
import type { Evaluation, PromiseKept, Trial } from '../evaluate.ts';
import type { Asking } from '../question.ts';
import { type Stretch, trafficKind } from '../traffic.ts';

const SPAN_MIN_MS = 60_000;

/** In the order of the trials. */
export async function evaluated(
  { evaluator }: Pick<Asking, 'evaluator'>,
  trials: readonly Trial[],
): Promise<Evaluation[]> {
  const found = await evaluator.evaluate(trials);
  return found.map((evaluation, i) => {
    if (evaluation === null)
      throw new UserError('stopped before there was an answer', { exitCode: EXIT.interrupted });
    if (evaluation.failure === null) return evaluation;
    const { message, hint, exitCode } = evaluation.failure;
    throw new UserError(`${trials[i]!.candidate.name}: ${message}`, { hint, exitCode });
  });
}

/** Of steady traffic, at more of it less time holds as many calls; the start takes as long as ever. */
export function stretchAt(
  { evaluator, stretch }: Pick<Asking, 'evaluator' | 'stretch'>,
  loadRatio: number,
): Stretch {
  const { warmMs, spanMs } = stretch;
  if (loadRatio <= 1 || trafficKind(evaluator.loaded, evaluator.plan) !== 'steady') return stretch;
  return { warmMs, spanMs: Math.max(Math.min(spanMs, SPAN_MIN_MS), Math.ceil(spanMs / loadRatio)) };
}

/** The broken promise with the least room. */
export const firstBroken = ({ promises }: Evaluation): PromiseKept | null =>
  promises
    .filter(({ verdict }) => verdict === 'broken')
    .reduce<PromiseKept | null>(
      (worst, each) => (worst === null || each.marginRatio < worst.marginRatio ? each : worst),
      null,
    );
