// What the study api-burst reads off a run: how many calls were refused and came back, second by second.
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { reasonOf } from '../../scenarios/formats/rules.ts';
import type { Ledger } from '../../scenarios/formats/ledger.ts';
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';

export interface BurstFigures {
  /** Requests that a limit refused. */
  readonly refused: number;
  /** When the last of them was; null: none was. */
  readonly lastRefusedMs: number | null;
  /** Refused requests in each second of the run. */
  readonly refusedPerSec: readonly number[];
  /** Answers that were in at the end of each second. */
  readonly answersBySec: readonly number[];
  readonly answers: number;
  /** When the last answer came; null: none came. */
  readonly lastAnswerMs: number | null;
  /** Answers that were in when the first call was given up for good; null: none was. */
  readonly answersAtFailure: number | null;
  readonly usd: number;
}

export default function burstFigures({ calls, governed, durationMs, ledger }: RunOutput & { ledger: Ledger }): BurstFigures {
  const seconds = Math.floor(durationMs / 1000) + 1;
  const perSec = (times: readonly number[]): number[] => {
    const counts = Array.from({ length: seconds }, () => 0);
    for (const atMs of times) counts[Math.floor(atMs / 1000)]! += 1;
    return counts;
  };
  // A run whose calls have one attempt each keeps none of them.
  const attempts = governed !== undefined && governed.attempts.length > 0 ? governed.attempts : calls;
  const refusedMs = attempts.flatMap(({ error, endMs }) =>
    error !== null && endMs !== null && reasonOf(error) === '429' ? [endMs] : [],
  );
  const endsMs = (outcome: 'ok' | 'error'): number[] =>
    calls.flatMap(call => (call.outcome === outcome && call.endMs !== null ? [call.endMs] : []));
  const answersMs = endsMs('ok');
  const failedMs = endsMs('error');
  const firstFailureMs = failedMs.length === 0 ? null : Math.min(...failedMs);
  let answers = 0;
  return {
    refused: refusedMs.length,
    lastRefusedMs: refusedMs.length === 0 ? null : Math.max(...refusedMs),
    refusedPerSec: perSec(refusedMs),
    answersBySec: perSec(answersMs).map(count => (answers += count)),
    answers: answersMs.length,
    lastAnswerMs: answersMs.length === 0 ? null : Math.max(...answersMs),
    answersAtFailure: firstFailureMs === null ? null : answersMs.filter(atMs => atMs <= firstFailureMs).length,
    usd: ledger.totalNanos / NANOS_PER_USD,
  };
}
