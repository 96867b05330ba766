// What lies below the fleet: worlds, which send calls and wait, and layers between, which are a world to what is above
// them and are told of ends by what is below.
//
//   Fleet ─send, delay, abort─▶ Gateway ─▶ ToolRuntimes ─▶ Network ─▶ simulation or live servers
//         ◀─callEnded, delayEnded, firstToken──────────────────────
//
// Laws: every call that is sent ends with one `callEnded`, an aborted one too; a delay ends with one `delayEnded` unless it
// is aborted; nothing is told from inside of `send`, `delay` or `abort`: who has an answer at once waits 0 ms first.
import type { Key } from '../base/key.ts';
import type { PlannedSession } from '../formats/plan.ts';
import type { CacheMiss, CallOutcome, Span, WorkflowStatus } from '../formats/record.ts';
import type { ToolRules } from '../formats/rules.ts';
import type { Call } from './progress.ts';

/** Carries out what is asked. Tickets are unique in a run. */
export interface World {
  /** Sends a call; ends with `callEnded(ticket, …)`. */
  send(ticket: number, request: SendRequest): void;
  /** Waits; ends with `delayEnded(ticket, …)`. Without `what` it is a timer of a layer above. */
  delay(ticket: number, delayMs: number, what?: DelayRequest): void;
  /** The call or delay is no longer wanted. A call still ends with `callEnded`, a delay does not end. */
  abort(ticket: number): void;
  /** A session starts; nothing of it has been asked for yet. */
  sessionStarted?(session: PlannedSession, nowMs: number): void;
  /** A session starts again; of its life so far only what had ended by `sinceMs` counts (null: nothing). */
  sessionRestarted?(session: string, sinceMs: number | null, nowMs: number): void;
  /** A session is over; nothing of it is under way any more, but for calls that were aborted. */
  sessionEnded?(session: string, workflow: string, status: WorkflowStatus): void;
  /** Nothing of a call or tool is under way here; where absent, nothing ever is. */
  isIdle?(): boolean;
  /** The run ends now: what is held here is told as unfinished. */
  stop?(nowMs: number): void;
  /** May a sub-agent start, so many inside of one another (1: the first)? null: yes; else the reason code why not. */
  refusesAgent?(session: string, path: string, depth: number): string | null;
  /** Output tokens of a live call that have appeared. */
  tokensOf?(ticket: number): number;
}

/** Is told of ends. `nowMs`: ms of the run. */
export interface Reports {
  callEnded(ticket: number, result: CallResult, nowMs: number): void;
  /** `failure`: undefined: as it was planned; null: it went well; else the reason code of why it did not. */
  delayEnded(ticket: number, nowMs: number, failure?: string | null): void;
  /** The first token of a live call is there. */
  firstToken(ticket: number, nowMs: number): void;
}

/** Stands between: a world to what is above it, told of ends by what is below it. */
export interface Layer extends World, Reports {}

/** What a layer is given when it is made. */
export interface LayerSetup {
  /** What it asks. */
  readonly below: World;
  /** What it tells. */
  readonly above: Reports;
  /** A ticket that nobody has, for timers and further attempts. */
  newTicket(): number;
  nowMs(): number;
}

/** What a layer may ask of the fleet; never from inside of `send`, `delay` or `abort`. */
export interface Sessions {
  /** Ends a session; what is live of it is aborted, sub-agents and tools too. */
  cancel(session: string, reason: string, nowMs: number): void;
  /** From now on only its steps of role `final` start; all others end at once, without an answer. */
  finalize(session: string, nowMs: number): void;
  /**
   * Its process was lost: what is live is aborted, and it starts again. Leaves that had ended by `sinceMs` (its last
   * checkpoint; null: none) are remembered and end at once.
   */
  restart(session: string, sinceMs: number | null, nowMs: number): void;
  /** All that has ended of it until now is saved: where it starts again after a failure, by its own rule. */
  checkpointed(session: string, nowMs: number): void;
}

/** What gateway and engine may know of a call beside its prompt. */
export interface CallFacts {
  /** Names the call: what policies draw is hashed from it. */
  readonly key: Key;
  readonly workflow: string;
  readonly tenant: string | null;
  readonly step: string;
  readonly sessionStartMs: number;
  /** When it should have ended, by an SLO; null: none. */
  readonly deadlineMs: number | null;
  /** Tickets of the calls of its session whose ends released it. */
  readonly parents: readonly number[];
}

export interface SendRequest {
  readonly call: Call;
  readonly path: string;
  readonly session: PlannedSession;
  /** The pool, or the model of a provider, that serves it. */
  readonly pool: string;
  /** When the workflow wanted it, ms. */
  readonly plannedMs: number;
  readonly facts: CallFacts;
  /** No call of its session has come before. */
  readonly isFirst: boolean;
  /** The replica that has its prefix, of an attempt after the first; absent: none is preferred. */
  readonly prefers?: string | null;
  /** Replicas that have failed too often. */
  readonly avoids?: readonly string[] | null;
  /** From 0, over all attempts of the call; absent: 0. */
  readonly attempt?: number;
}

/** What is waited for. */
export type DelayRequest = {
  readonly path: string;
  readonly step: string;
  readonly session: PlannedSession;
} & (
  | { readonly kind: 'human' | 'wait' }
  | {
      readonly kind: 'tool';
      readonly rules: ToolRules;
      /** What is drawn anew for attempt `n` (0: the first); `fails`: null, or its reason code. */
      attempt(n: number): { readonly delayMs: number; readonly fails: string | null };
      /** Names the run: what policies draw is hashed from it. */
      readonly key: Key;
      /** Names what it is asked: equal for equal arguments, as far as the scenario says. */
      readonly argsKey: Key;
      readonly resultTokens: number;
    }
);

/** What became of a call. Times in ms of the run. */
export interface CallResult {
  outcome: CallOutcome;
  error: string | null;
  /** The pool, or the model of a provider, that served it; null: the one it was sent to. */
  pool: string | null;
  replica: string | null;
  sentMs: number | null;
  scheduledMs: number | null;
  firstTokenMs: number | null;
  endMs: number | null;
  /** As the server counted them; null: as planned. */
  promptTokens: number | null;
  cachedTokens: number | null;
  computedTokens: number | null;
  /** Prompt tokens that an API wrote to its cache, at a price of their own; null: none, or it does not say. */
  cacheWriteTokens: number | null;
  outputTokens: number;
  reasoningTokens: number;
  itlMsMax: number | null;
  preemptions: number | null;
  /** Of its time, that on links; absent: none that is known. */
  transfers?: readonly Span[];
  /** Why its cache missed what it missed; absent: nobody looked. */
  misses?: CacheMiss[];
  /** What a 429 or 503 said of when to come back. */
  retryAfterMs: number | null;
  /** The server itself says whether to try again; absent or null: it says nothing. */
  shouldRetry?: boolean | null;
  /** Attempts that a gateway made of it; 1 without one. */
  attempts: number;
  /** It ended in an error, and its workflow goes on without its answer. */
  isSkipped: boolean;
  /** Output tokens that its workflow goes on with; null: as planned. */
  answerTokens: number | null;
}

/** A call of which no server has heard yet. */
export const unsent = (): CallResult => ({
  outcome: 'unfinished',
  error: null,
  pool: null,
  replica: null,
  sentMs: null,
  scheduledMs: null,
  firstTokenMs: null,
  endMs: null,
  promptTokens: null,
  cachedTokens: null,
  computedTokens: null,
  cacheWriteTokens: null,
  outputTokens: 0,
  reasoningTokens: 0,
  itlMsMax: null,
  preemptions: null,
  retryAfterMs: null,
  attempts: 1,
  isSkipped: false,
  answerTokens: null,
});
