// Whether a failed attempt is made again: what failed, what it may have done already, and how many retries
// are under way.
import type { Reason, RetryRule } from '../../scenarios/formats/rules.ts';
import { type PauseAsk, pauseMs } from './backoff.ts';

/** Why there is no other attempt. */
export type NoRetry = 'max' | 'reason' | 'server' | 'began' | 'not_idempotent' | 'retry_budget' | 'deadline';

export interface RetryAsk extends PauseAsk {
  /** Why the attempt failed. */
  readonly reason: Reason;
  /** What its server says of trying again; null: nothing. Counts before its reason where Retry-After is obeyed. */
  readonly told: boolean | null;
  /** The gateway itself wants it, such as for an answer that is not good enough: no list of reasons is asked. */
  readonly isWanted?: boolean;
  /** Tokens of its answer were seen. */
  readonly began: boolean;
  /** Doing it twice does no harm. */
  readonly idempotent: boolean;
  /** Since the call was wanted. */
  readonly elapsedMs: number;
  /** Of all attempts and pauses together; null: no limit. */
  readonly totalMs: number | null;
}

export type NextAttempt = { readonly pauseMs: number } | { readonly stops: NoRetry };

/**
 * The calls that share a retry budget, and the retries of them. A call is under way from its first attempt to its
 * end, pauses included; a retry from the moment it was granted to the end of its attempt, or until it is given up.
 */
export class Retries {
  private calls = 0;
  private retries = 0;

  callStarted(): void {
    this.calls += 1;
  }

  callEnded(): void {
    this.calls -= 1;
  }

  /** As soon as `next` granted one: before its pause, so that pauses count. */
  retryStarted(): void {
    this.retries += 1;
  }

  retryEnded(): void {
    this.retries -= 1;
  }

  /** The pause before another attempt, or why there is none. */
  next(rule: RetryRule, ask: RetryAsk): NextAttempt {
    if (ask.made >= rule.max) return NONE.max;
    const told = rule.obeysRetryAfter ? ask.told : null;
    if (told === false) return NONE.server;
    if (told === null && ask.isWanted !== true && !rule.reasons.includes(ask.reason)) return NONE.reason;
    if (!rule.isBlind) {
      if (ask.began) return NONE.began;
      if (!ask.idempotent) return NONE.not_idempotent;
    }
    if (!this.hasBudget(rule)) return NONE.retry_budget;
    const pause = pauseMs(rule, ask);
    // An attempt that would start at the deadline or beyond it cannot end in time.
    if (ask.totalMs !== null && ask.elapsedMs + pause >= ask.totalMs) return NONE.deadline;
    return { pauseMs: pause };
  }

  /** One more stays within the share of calls under way, or within those that are always allowed. */
  private hasBudget({ budgetRatio, budgetMin }: RetryRule): boolean {
    const withIt = this.retries + 1;
    return budgetRatio === null || withIt <= budgetMin || withIt / this.calls <= budgetRatio;
  }
}

const NONE: { readonly [K in NoRetry]: { readonly stops: K } } = {
  max: { stops: 'max' },
  reason: { stops: 'reason' },
  server: { stops: 'server' },
  began: { stops: 'began' },
  not_idempotent: { stops: 'not_idempotent' },
  retry_budget: { stops: 'retry_budget' },
  deadline: { stops: 'deadline' },
};
