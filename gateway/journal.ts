// What a gateway tells of a run: attempts, tool runs, decisions, ends before their time. Every layer writes into one
// journal, in order of time.
import type {
  AnomalyRecord,
  AttemptRecord,
  CancelRecord,
  DecisionRecord,
  GovernedRecords,
  ToolRecord,
} from '../scenarios/formats/record.ts';

/** Told of each record as it is written. */
export interface JournalListener {
  onAttempt?(record: AttemptRecord): void;
  onTool?(record: ToolRecord): void;
  onDecision?(record: DecisionRecord): void;
}

export class Journal {
  readonly records: GovernedRecords = {
    attempts: [],
    tools: [],
    decisions: [],
    cancels: [],
    anomalies: [],
    classifierUsd: 0,
    idleToolsUsd: 0,
  };
  private readonly keeps: boolean;
  private readonly listener: JournalListener;

  /** `keeps` false: records are told and not kept, so that memory stays flat. */
  constructor(keeps = true, listener: JournalListener = {}) {
    this.keeps = keeps;
    this.listener = listener;
  }

  get wantsAttempts(): boolean {
    return this.keeps || this.listener.onAttempt !== undefined;
  }

  get wantsTools(): boolean {
    return this.keeps || this.listener.onTool !== undefined;
  }

  attempt(record: AttemptRecord): void {
    this.listener.onAttempt?.(record);
    if (this.keeps) this.records.attempts.push(record);
  }

  tool(record: ToolRecord): void {
    this.listener.onTool?.(record);
    if (this.keeps) this.records.tools.push(record);
  }

  decision(
    atMs: number,
    session: string,
    call: string | null,
    policy: DecisionRecord['policy'],
    decision: string,
    why: string,
  ): void {
    if (!this.keeps && this.listener.onDecision === undefined) return;
    const record = { atMs, session, call, policy, decision, why };
    this.listener.onDecision?.(record);
    if (this.keeps) this.records.decisions.push(record);
  }

  cancel(record: CancelRecord): void {
    if (this.keeps) this.records.cancels.push(record);
  }

  anomaly(record: AnomalyRecord): void {
    if (this.keeps) this.records.anomalies.push(record);
  }

  /** Told at the end of the run what waited for nothing. */
  readonly atEnd: ((nowMs: number) => void)[] = [];

  finish(nowMs: number): GovernedRecords {
    for (const tell of this.atEnd) tell(nowMs);
    return this.records;
  }

  classified(usd: number): void {
    this.records.classifierUsd += usd;
  }
}
