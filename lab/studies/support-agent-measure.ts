// What the study support-agent reads off a run: its turns, from a user's message to an answer that is checked, stage by
// stage, and what the fleet costs.
import { quantileSorted, sorted } from '../../scenarios/base/statistics.ts';
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import { type CallRecord, e2eMs, tpotMs, ttftMs } from '../../scenarios/formats/record.ts';
import type { Measure } from '../grid/case.ts';

/** What a turn must keep: from the message to the first token of the answer, intent included; then by token. */
export const SLO = { firstTokenMs: 2000, tpotMs: 50 } as const;
export const STAGES = ['intent', 'answer', 'safety'] as const;
export type Stage = (typeof STAGES)[number];

export interface SupportRun {
  readonly turns: number;
  /** Share of turns within the SLO. */
  readonly keptRatio: number;
  /** From the message to the first token of the answer, and to the end of its check. */
  readonly firstTokenMsP95: number;
  readonly wholeMsP95: number;
  /** p95 of each stage by itself: the whole call; of the answer to its first token. */
  readonly stageMsP95: Readonly<Record<Stage, number>>;
  readonly usdPerHour: number;
  /** Of the cost of work, by stage. */
  readonly workRatio: Readonly<Record<Stage, number>>;
}

const p95 = (values: readonly number[]): number =>
  values.length === 0 ? 0 : quantileSorted(sorted(values), 0.95);

const measure: Measure<SupportRun> = ({ calls, ledger, durationMs }) => {
  const turns = new Map<string, Partial<Record<Stage, CallRecord>>>();
  for (const call of calls) {
    const stage = STAGES.find(each => each === call.step);
    if (stage === undefined || call.outcome !== 'ok') continue;
    const key = `${call.session} ${call.iteration}`;
    const turn = turns.get(key) ?? {};
    turns.set(key, turn);
    turn[stage] = call;
  }
  const whole = [...turns.values()].flatMap(({ intent, answer, safety }) =>
    intent === undefined || answer === undefined || safety === undefined
      ? []
      : {
          intentMs: e2eMs(intent)!,
          answerMs: ttftMs(answer)!,
          safetyMs: e2eMs(safety)!,
          firstTokenMs: answer.firstTokenMs! - intent.plannedMs,
          wholeMs: safety.endMs! - intent.plannedMs,
          tpotMs: tpotMs(answer) ?? 0,
        },
  );
  const kept = whole.filter(turn => turn.firstTokenMs <= SLO.firstTokenMs && turn.tpotMs <= SLO.tpotMs);
  const nanosOf = (stage: Stage): number =>
    ledger.rows.step
      .filter(({ group }) => group === stage || group === `${stage}-again`)
      .reduce((sum, { nanos }) => sum + nanos, 0);
  const nanos = STAGES.map(nanosOf);
  const all = nanos.reduce((sum, each) => sum + each, 0);
  const [intent, answer, safety] = nanos.map(each => each / Math.max(1, all));
  return {
    turns: whole.length,
    keptRatio: kept.length / Math.max(1, whole.length),
    firstTokenMsP95: p95(whole.map(turn => turn.firstTokenMs)),
    wholeMsP95: p95(whole.map(turn => turn.wholeMs)),
    stageMsP95: {
      intent: p95(whole.map(turn => turn.intentMs)),
      answer: p95(whole.map(turn => turn.answerMs)),
      safety: p95(whole.map(turn => turn.safetyMs)),
    },
    usdPerHour: (ledger.totalNanos / NANOS_PER_USD) * (3_600_000 / durationMs),
    workRatio: { intent: intent!, answer: answer!, safety: safety! },
  };
};

export default measure;
