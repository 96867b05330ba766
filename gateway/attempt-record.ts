// An attempt as its record.
import type { AttemptRecord, Waste } from '../scenarios/formats/record.ts';
import { reasonOf } from '../scenarios/formats/rules.ts';
import type { CallResult } from '../scenarios/workflows/world.ts';
import type { Attempt } from './calls.ts';

export function attemptRecord(
  { call, n, kind, because, target, wantedMs, cancelledMs, cancelledTokens }: Attempt,
  result: CallResult,
  waste: Waste | null,
  isGood: boolean | null,
): AttemptRecord {
  const { request, session } = call;
  const { step, role, model, promptTokens } = request.call;
  const { tenant, user } = session.planned;
  const { outcome, error } = result;
  return {
    session: session.id,
    call: request.path,
    workflow: session.workflow,
    tenant,
    user,
    step,
    role,
    attempt: n,
    kind,
    because,
    model,
    target: result.pool ?? target,
    replica: result.replica,
    promptTokens: result.promptTokens ?? promptTokens,
    cachedTokens: result.cachedTokens,
    computedTokens: result.computedTokens,
    cacheWriteTokens: result.cacheWriteTokens,
    outputTokens: result.outputTokens,
    wantedMs,
    sentMs: result.sentMs,
    scheduledMs: result.scheduledMs,
    firstTokenMs: result.firstTokenMs,
    endMs: result.endMs,
    outcome,
    reason: outcome === 'ok' || error === null ? null : reasonOf(error),
    error,
    cancelledMs,
    cancelledTokens,
    isGood,
    waste,
  };
}
