// What the gateway remembers while it lasts: sessions, their calls, and the attempts that it makes of a call.

import type { PlannedSession } from '../scenarios/formats/plan.ts';
import type { AttemptKind, AttemptRecord, CancelRecord, Waste } from '../scenarios/formats/record.ts';
import type { BudgetRule, Reason, WorkflowRules } from '../scenarios/formats/rules.ts';
import type { CallResult, SendRequest } from '../scenarios/workflows/world.ts';
import type { BudgetUse } from './budgets/budgets.ts';
import type { Choice } from './choice/chooser.ts';
import type { Effective } from './effective.ts';
import type { Timer } from './timers.ts';

/** Something to do at an instant. */
export type Due = (nowMs: number) => void;

/** The teardown of a session, until nothing of it runs. */
export interface Teardown {
  readonly record: CancelRecord;
  /** Calls and tools that have not ended; while the session itself is being ended, that too. */
  left: number;
  /** Somebody ends the session now, and has not got to its end yet. */
  isBegun: boolean;
}

export interface GovernedSession {
  readonly id: string;
  readonly planned: PlannedSession;
  readonly workflow: string;
  readonly startMs: number;
  readonly rules: WorkflowRules | null;
  /** Its end reaches what is under way. */
  readonly propagates: boolean;
  /** Leaving, deadline and wall clock: off when it is over. */
  readonly timers: Timer<Due>[];
  /** Pause before each further call; 0: none. */
  throttleMs: number;
  /** Calls are made in this form from now on. */
  saves: BudgetRule['save'] | null;
  isFinalized: boolean;
  /** The replica that last answered a call of it; null: none has. */
  lastReplica: string | null;
  /** Why it is being cancelled; null: it is not. */
  reason: string | null;
  teardown: Teardown | null;
}

export interface GovernedCall {
  readonly ticket: number;
  readonly request: SendRequest;
  readonly session: GovernedSession;
  readonly rules: Effective;
  readonly askedMs: number;
  choice: Choice | null;
  /** Attempts made, and of these retries. */
  made: number;
  /** Attempts that have not ended below, whether or not they may still answer it. */
  under: number;
  retries: number;
  lastPauseMs: number;
  /** It counts among the retries under way. */
  isRetrying: boolean;
  firstSentMs: number | null;
  /** Attempts under way that may still answer it. */
  live: Attempt[];
  /** Targets that failed it; null: none has. */
  tried: string[] | null;
  /** What it waits for while nothing is under way. */
  timer: Timer<Due> | null;
  /** Since when it waits for a limit, a budget or a target; null: it does not. */
  waitsSinceMs: number | null;
  /** Since when it waits for its target to come back; null: it does not. */
  degradedSinceMs: number | null;
  /** Cap of its output; null: none. */
  capTokens: number | null;
  lastReplica: string | null;
  lastTarget: string | null;
  /** Of the last attempt that ended: its waste is told when it is known what came of it. */
  lastRecord: AttemptRecord | null;
  /** One that was not good enough, in case that there is no better; null: none. */
  answer: { readonly result: CallResult; readonly record: AttemptRecord | null } | null;
  isReserved: boolean;
  /** What its last attempt used, while nobody knows whether it was the last; null: it is settled. */
  unsettled: BudgetUse | null;
  /** Its session gave it up. */
  isAborted: boolean;
  /** It has been told upwards. */
  isDone: boolean;
}

export interface Attempt {
  readonly ticket: number;
  readonly call: GovernedCall;
  readonly n: number;
  readonly kind: AttemptKind;
  readonly because: Reason | null;
  readonly target: string;
  readonly wantedMs: number;
  readonly startMs: number;
  /** Its reservation: the call's, or one of its own beside it. */
  readonly budgetId: number;
  /** It has ended below. */
  isOver: boolean;
  hasBegun: boolean;
  cancelledMs: number | null;
  cancelledTokens: number | null;
  /** Why nobody waits for it any more; null: its answer counts. */
  gaveUp: Waste | null;
}

/** An attempt, or the wish for one, that came to nothing. */
export interface Failure {
  readonly reason: Reason;
  readonly error: string;
  readonly target: string;
  readonly hasBegun: boolean;
  readonly retryAfterMs: number | null;
  /** When its target may be there again; null: nobody knows. */
  readonly backMs: number | null;
  /** As the server told it; null: it was never sent. */
  readonly result: CallResult | null;
}
