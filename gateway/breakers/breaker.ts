// A circuit breaker: nothing is sent to a target that fails, until some trial calls have ended well.
//
//   closed ──too many bad ends──▶ open ──openMs, then a call──▶ half_open ──all trials well──▶ closed
//                                  ▲────────────a trial ends badly────────────┘
import type { BreakerRule } from '../../scenarios/formats/rules.ts';
import { OpenTime } from './open-time.ts';
import { type CallEnd, isSlow, Tally, verdictOf } from './tally.ts';

export type BreakerState = 'closed' | 'open' | 'half_open';

export class Breaker {
  private readonly rule: BreakerRule;
  private readonly tally: Tally;
  private readonly openTime: OpenTime;
  private current: BreakerState = 'closed';
  private untilMs = 0;
  private closedMs = 0;
  /** Trials that may still be sent, that have ended well, and of these the slow ones. */
  private left = 0;
  private passed = 0;
  private slow = 0;

  constructor(rule: BreakerRule) {
    this.rule = rule;
    this.tally = new Tally(rule);
    this.openTime = new OpenTime(rule);
  }

  get state(): BreakerState {
    return this.current;
  }

  /** When it may allow again; Infinity: now, or not by time. */
  get opensAtMs(): number {
    return this.current === 'open' ? this.untilMs : Number.POSITIVE_INFINITY;
  }

  /**
   * May a call go? In half-open state a true takes one of the trials: its end must be observed, or it be
   * given back.
   */
  allows(nowMs: number): boolean {
    if (this.current === 'closed') return true;
    if (this.current === 'open') {
      if (nowMs < this.untilMs) return false;
      this.current = 'half_open';
      this.left = this.rule.trials;
      this.passed = this.slow = 0;
    }
    if (this.left === 0) return false;
    this.left -= 1;
    return true;
  }

  /** A call that was allowed and then not sent. */
  giveBack(): void {
    if (this.current === 'half_open') this.left = Math.min(this.left + 1, this.rule.trials - this.passed);
  }

  /** The end of a call that was allowed; what it changes. */
  observe(end: CallEnd, nowMs: number): 'opened' | 'closed' | null {
    // Calls that were sent before it opened may end only now: old news, and no trials.
    const isOld = end.sentMs !== undefined && end.sentMs < this.untilMs;
    if (this.current === 'open' || isOld) return null;
    if (this.current === 'closed') return this.tally.add(end, nowMs) ? this.open(nowMs, this.closedMs) : null;
    const verdict = verdictOf(this.rule, end);
    if (verdict === 'bad') return this.open(nowMs, nowMs);
    if (verdict === 'unknown') this.giveBack();
    else this.passed += 1;
    if (verdict === 'good' && isSlow(this.rule, end)) this.slow += 1;
    return this.passed < this.rule.trials ? null : this.judge(nowMs);
  }

  /** All trials have ended and none has failed. */
  private judge(nowMs: number): 'opened' | 'closed' {
    const { slowMs, slowShare, trials } = this.rule;
    if (slowMs !== null && this.slow / trials >= slowShare) return this.open(nowMs, nowMs);
    this.current = 'closed';
    this.closedMs = nowMs;
    return 'closed';
  }

  private open(nowMs: number, calmSinceMs: number): 'opened' {
    this.current = 'open';
    this.untilMs = nowMs + this.openTime.nextMs(nowMs, calmSinceMs);
    this.tally.clear();
    return 'opened';
  }
}
