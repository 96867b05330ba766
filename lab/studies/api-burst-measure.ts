// What the study api-burst reads off a run: how many requests were refused and how many answers came, second by second.
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import { reasonOf } from '../../scenarios/formats/rules.ts';
import type { Measure } from '../grid/case.ts';

export interface BurstFigures {
  readonly calls: number;
  /** Requests that a limit refused. */
  readonly refused: number;
  /** When the last of them was; null: none was. */
  readonly lastRefusedMs: number | null;
  /** Refused requests in each second of the run. */
  readonly refusedPerSec: readonly number[];
  readonly answers: number;
  /** When the last of them came; null: none came. */
  readonly lastAnswerMs: number | null;
  /** Answers that were in at the end of each second. */
  readonly answersBySec: readonly number[];
  /** Answers that were in when the first call was given up for good; null: none was. */
  readonly answersAtFailure: number | null;
  readonly usd: number;
}

/** The chat that a library scenario has beside the scan is left out. */
const CHAT = 'chat';

const burstFigures: Measure<BurstFigures> = ({ calls: all, governed, durationMs, ledger }) => {
  const calls = all.filter(({ workflow }) => workflow !== CHAT);
  const seconds = Math.floor(durationMs / 1000) + 1;
  const perSec = (times: readonly number[]): number[] => {
    const counts = Array.from({ length: seconds }, () => 0);
    for (const atMs of times) counts[Math.floor(atMs / 1000)]! += 1;
    return counts;
  };
  const requests = governed?.attempts.filter(({ workflow }) => workflow !== CHAT) ?? calls;
  const refusedMs = requests.flatMap(({ error, endMs }) =>
    error !== null && endMs !== null && reasonOf(error) === '429' ? [endMs] : [],
  );
  const endsMs = (outcome: 'ok' | 'error'): number[] =>
    calls.flatMap(call => (call.outcome === outcome && call.endMs !== null ? [call.endMs] : []));
  const answersMs = endsMs('ok');
  const failuresMs = endsMs('error');
  const latest = (times: readonly number[]): number | null =>
    times.length === 0 ? null : Math.max(...times);
  const firstFailureMs = failuresMs.length === 0 ? null : Math.min(...failuresMs);
  let answers = 0;
  return {
    calls: calls.length,
    refused: refusedMs.length,
    lastRefusedMs: latest(refusedMs),
    refusedPerSec: perSec(refusedMs),
    answers: answersMs.length,
    lastAnswerMs: latest(answersMs),
    answersBySec: perSec(answersMs).map(count => {
      answers += count;
      return answers;
    }),
    answersAtFailure:
      firstFailureMs === null ? null : answersMs.filter(atMs => atMs <= firstFailureMs).length,
    usd: ledger.totalNanos / NANOS_PER_USD,
  };
};

export default burstFigures;
