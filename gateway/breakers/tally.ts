// How the calls to one target, or to one replica, have ended of late, and whether that is bad enough to
// stop calling it.
import type { BreakerRule, Reason } from '../../scenarios/formats/rules.ts';
import { type Window, windowOf } from './window.ts';

export interface CallEnd {
  readonly ok: boolean;
  /** Why it failed; null: it did not. */
  readonly reason: Reason | null;
  /** From its being sent to its end. */
  readonly tookMs: number;
  /**
   * When it was sent: the `nowMs` at which it was allowed. With it, calls sent before an opening count for
   * nothing.
   */
  readonly sentMs?: number;
}

/** `unknown`: it was ended on our side, which says nothing about the target. */
export type Verdict = 'good' | 'bad' | 'unknown';

/** Ends that we decided; nothing was learned of the target. */
const OURS: readonly Reason[] = ['cancelled', 'budget', 'breaker_open', 'shed', 'denied'];

/** A failure is what the rule names; what it does not name is an answer like any other, or none at all. */
export function verdictOf({ reasons }: BreakerRule, { ok, reason }: CallEnd): Verdict {
  if (ok || reason === null) return 'good';
  if (reasons.includes(reason)) return 'bad';
  return OURS.includes(reason) ? 'unknown' : 'good';
}

/** Slower than the rule allows. */
export const isSlow = ({ slowMs }: BreakerRule, { tookMs }: CallEnd): boolean =>
  slowMs !== null && tookMs > slowMs;

export class Tally {
  private readonly rule: BreakerRule;
  private readonly window: Window;
  /** Calls below which a share says nothing; a window by count that is full is enough [Resilience4j]. */
  private readonly minCalls: number;
  private failuresInARow = 0;

  constructor(rule: BreakerRule) {
    this.rule = rule;
    this.window = windowOf(rule);
    this.minCalls = 'calls' in rule.window ? Math.min(rule.minCalls, rule.window.calls) : rule.minCalls;
  }

  /** True: too many of them ended badly, or slowly. */
  add(end: CallEnd, nowMs: number): boolean {
    const verdict = verdictOf(this.rule, end);
    if (verdict === 'unknown') return false;
    const isBad = verdict === 'bad';
    this.window.add(isBad, isSlow(this.rule, end), nowMs);
    this.failuresInARow = isBad ? this.failuresInARow + 1 : 0;
    return this.isTooBad();
  }

  clear(): void {
    this.window.clear();
    this.failuresInARow = 0;
  }

  private isTooBad(): boolean {
    const { inARow, share, slowMs, slowShare } = this.rule;
    if (inARow !== null && this.failuresInARow >= inARow) return true;
    const { calls, failed, slow } = this.window;
    if (calls === 0 || calls < this.minCalls) return false;
    return (share !== null && failed / calls >= share) || (slowMs !== null && slow / calls >= slowShare);
  }
}
