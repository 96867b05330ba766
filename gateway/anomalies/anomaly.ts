// The contract of an anomaly rule: it watches one session, and says when that session is no longer usual.
import type { Key } from '../../scenarios/base/key.ts';
import type { AnomalyRule } from '../../scenarios/formats/rules.ts';

/** A call of a session, as it arrives. */
export interface SeenCall {
  readonly session: string;
  readonly step: string;
  /** Equal for equal arguments; null: not known, and never a repetition. */
  readonly argsKey: Key | null;
  readonly promptTokens: number;
  /** Of the last call that ended; 0 before the first. */
  readonly outputTokens: number;
}

/** What sessions of a workflow use as a rule. */
export interface Expected {
  readonly tokensMean: number;
  readonly callsMean: number;
  readonly callsSd: number;
}

/** What one rule remembers of one session. Each method says whether the rule fires now. */
export interface SessionWatch {
  call?(seen: SeenCall, expected: Expected | null): boolean;
  tool?(step: string, argsKey: Key | null): boolean;
  /** A call has ended; `tokens`: all that the session has used so far. */
  ended?(tokens: number, expected: Expected | null): boolean;
}

export interface AnomalyDetector {
  /** As records name it. */
  readonly name: string;
  readonly doc: string;
  /** null: the deployment does not ask for this rule. */
  watch(rule: AnomalyRule): SessionWatch | null;
}
