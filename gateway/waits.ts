// What is waited for of attempts and calls, a lane for each length: rules are few, calls are many.
import type { Attempt, Due, GovernedCall } from './calls.ts';
import type { Lane, LaneOf, Timers } from './timers.ts';

/** Told when a wait is over. */
export interface WaitsOver {
  timedOut(attempt: Attempt, error: 'timeout' | 'ttft_timeout', nowMs: number): void;
  /** Nothing has been heard of it. */
  unheard(attempt: Attempt, nowMs: number): void;
  totalEnded(call: GovernedCall, nowMs: number): void;
}

const isLive = ({ isOver, gaveUp }: Attempt): boolean => !isOver && gaveUp === null;

/** Its call waits for its first token. */
export const isUnheard = (attempt: Attempt): boolean =>
  isLive(attempt) && !attempt.hasBegun && !attempt.call.isDone && !attempt.call.isAborted;

const startOf = ({ startMs }: Attempt): number => startMs;
const LIVE: LaneOf<Attempt> = { sinceMs: startOf, isWanted: isLive };
const UNHEARD: LaneOf<Attempt> = { sinceMs: startOf, isWanted: isUnheard };
const CALLS: LaneOf<GovernedCall> = {
  sinceMs: ({ askedMs }) => askedMs,
  isWanted: ({ isDone, isAborted }) => !isDone && !isAborted,
};

interface Lanes<W> {
  readonly known: Map<number, Lane<W>>;
  readonly of: LaneOf<W>;
  due(what: W, nowMs: number): void;
}
const lanes = <W>(of: LaneOf<W>, due: Lanes<W>['due']): Lanes<W> => ({ known: new Map(), of, due });

export class Waits {
  private readonly timers: Timers<Due>;
  /** By what is waited for: its lanes by length. */
  private readonly attempts: Lanes<Attempt>;
  private readonly firstTokens: Lanes<Attempt>;
  private readonly hedges: Lanes<Attempt>;
  private readonly totals: Lanes<GovernedCall>;

  constructor(timers: Timers<Due>, over: WaitsOver) {
    this.timers = timers;
    this.attempts = lanes(LIVE, (of, nowMs) => over.timedOut(of, 'timeout', nowMs));
    this.firstTokens = lanes(UNHEARD, (of, nowMs) => over.timedOut(of, 'ttft_timeout', nowMs));
    this.hedges = lanes(UNHEARD, (of, nowMs) => over.unheard(of, nowMs));
    this.totals = lanes(CALLS, (of, nowMs) => over.totalEnded(of, nowMs));
  }

  attempt(lengthMs: number, attempt: Attempt, nowMs: number): void {
    this.wait(this.attempts, lengthMs, attempt, nowMs);
  }
  ttft(lengthMs: number, attempt: Attempt, nowMs: number): void {
    this.wait(this.firstTokens, lengthMs, attempt, nowMs);
  }
  hedge(lengthMs: number, attempt: Attempt, nowMs: number): void {
    this.wait(this.hedges, lengthMs, attempt, nowMs);
  }
  total(lengthMs: number, call: GovernedCall, nowMs: number): void {
    this.wait(this.totals, lengthMs, call, nowMs);
  }

  private wait<W>({ known, of, due }: Lanes<W>, lengthMs: number, what: W, nowMs: number): void {
    let lane = known.get(lengthMs);
    if (lane === undefined) {
      lane = this.timers.lane(lengthMs, of, due);
      known.set(lengthMs, lane);
    }
    this.timers.wait(lane, what, nowMs + lengthMs, nowMs);
  }
}
