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

export class Waits {
  private readonly timers: Timers<Due>;
  private readonly over: WaitsOver;
  private readonly lanes = {
    attempt: new Map<number, Lane<Attempt>>(),
    ttft: new Map<number, Lane<Attempt>>(),
    hedge: new Map<number, Lane<Attempt>>(),
    total: new Map<number, Lane<GovernedCall>>(),
  };

  constructor(timers: Timers<Due>, over: WaitsOver) {
    this.timers = timers;
    this.over = over;
  }

  attempt(lengthMs: number, attempt: Attempt, nowMs: number): void {
    const { over, timers, lanes } = this;
    let lane = lanes.attempt.get(lengthMs);
    if (lane === undefined) {
      lane = timers.lane(lengthMs, LIVE, (of, now) => over.timedOut(of, 'timeout', now));
      lanes.attempt.set(lengthMs, lane);
    }
    timers.wait(lane, attempt, nowMs + lengthMs, nowMs);
  }

  ttft(lengthMs: number, attempt: Attempt, nowMs: number): void {
    const { over, timers, lanes } = this;
    let lane = lanes.ttft.get(lengthMs);
    if (lane === undefined) {
      lane = timers.lane(lengthMs, UNHEARD, (of, now) => over.timedOut(of, 'ttft_timeout', now));
      lanes.ttft.set(lengthMs, lane);
    }
    timers.wait(lane, attempt, nowMs + lengthMs, nowMs);
  }

  hedge(lengthMs: number, attempt: Attempt, nowMs: number): void {
    const { over, timers, lanes } = this;
    let lane = lanes.hedge.get(lengthMs);
    if (lane === undefined) {
      lane = timers.lane(lengthMs, UNHEARD, (of, now) => over.unheard(of, now));
      lanes.hedge.set(lengthMs, lane);
    }
    timers.wait(lane, attempt, nowMs + lengthMs, nowMs);
  }

  total(lengthMs: number, call: GovernedCall, nowMs: number): void {
    const { over, timers, lanes } = this;
    let lane = lanes.total.get(lengthMs);
    if (lane === undefined) {
      lane = timers.lane(lengthMs, CALLS, (of, now) => over.totalEnded(of, now));
      lanes.total.set(lengthMs, lane);
    }
    timers.wait(lane, call, nowMs + lengthMs, nowMs);
  }
}
