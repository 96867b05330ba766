// Whether another copy of a call is sent while the first has no token yet: only so many per call, and only
// a share of all.
import type { HedgeRule } from '../../scenarios/formats/rules.ts';

/** The calls that share a limit on copies. */
export class Hedging {
  private calls = 0;
  private copies = 0;

  /** Once per call, not per attempt. */
  callStarted(): void {
    this.calls += 1;
  }

  /**
   * May another copy of a call be sent, after `sent` beside its first attempt? Within `shareMax` of all
   * calls so far.
   */
  allows({ max, shareMax }: HedgeRule, sent: number): boolean {
    return sent < max && (shareMax === null || (this.copies + 1) / this.calls <= shareMax);
  }

  hedged(): void {
    this.copies += 1;
  }
}
