// The session that a gateway had most to do with, attempt by attempt: retries, hedges, fallbacks, and where it was ended.
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import type { AttemptRecord, GovernedRecords } from '../../scenarios/formats/record.ts';
import type { AttemptBar, TroubledSession } from '../../scenarios/formats/result.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';

const ATTEMPTS_MAX = 60;
/** An end before its time tells more than one retry. */
const CANCEL_WEIGHT = 3;

/** The session with most attempts beyond the first, ends counted too; of equal ones the first by name. */
function mostTroubled({ attempts, cancels }: GovernedRecords): string | null {
  const trouble = new Map<string, number>();
  const add = (session: string, weight: number) => trouble.set(session, (trouble.get(session) ?? 0) + weight);
  for (const { session, kind, outcome } of attempts)
    if (kind !== 'first' || outcome === 'error') add(session, 1);
  for (const { session } of cancels) add(session, CANCEL_WEIGHT);
  let worst: string | null = null;
  let most = 0;
  for (const [session, weight] of trouble) {
    if (weight < most || (weight === most && worst !== null && session > worst)) continue;
    worst = session;
    most = weight;
  }
  return worst;
}

/** Microseconds are enough to draw. */
const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;

/** null: every call went well at its first attempt, and no session was ended. */
export function troubledSession(output: RunOutput): TroubledSession | null {
  const { governed, workflows, ledger, durationMs } = output;
  const worst = governed === undefined ? null : mostTroubled(governed);
  const workflow = workflows.find(({ session }) => session === worst);
  if (governed === undefined || workflow === undefined) return null;
  const zeroMs = workflow.plannedMs;
  const bar = (attempt: AttemptRecord, row: number): AttemptBar => ({
    call: attempt.call,
    attempt: attempt.attempt,
    kind: attempt.kind,
    because: attempt.because,
    target: attempt.target,
    outcome: attempt.outcome,
    error: attempt.error,
    startMs: rounded((attempt.sentMs ?? attempt.wantedMs) - zeroMs),
    firstTokenMs: attempt.firstTokenMs === null ? null : rounded(attempt.firstTokenMs - zeroMs),
    endMs: rounded((attempt.endMs ?? durationMs) - zeroMs),
    usd: ledger === undefined ? null : ledger.attemptNanos[row]! / NANOS_PER_USD,
  });
  const bars = governed.attempts
    .flatMap((attempt, row) => (attempt.session === worst ? [bar(attempt, row)] : []))
    .sort((a, b) => a.startMs - b.startMs || a.attempt - b.attempt || (a.call < b.call ? -1 : 1));
  const cancel = governed.cancels.find(({ session }) => session === worst);
  return {
    session: workflow.session,
    workflow: workflow.workflow,
    status: workflow.status,
    attempts: bars.slice(0, ATTEMPTS_MAX),
    attemptsLeftOut: Math.max(0, bars.length - ATTEMPTS_MAX),
    cancel:
      cancel === undefined
        ? null
        : {
            reason: cancel.reason,
            atMs: rounded(cancel.atMs - zeroMs),
            cleanMs: rounded(cancel.cleanMs - zeroMs),
          },
  };
}
