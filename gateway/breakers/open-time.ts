// How long a target is left alone: as long each time, or each further time once longer, as Envoy ejects
// hosts.
import type { BreakerRule } from '../../scenarios/formats/rules.ts';

/** The longest time, in times of `openMs` [Envoy: max_ejection_time 300 s for a base of 30 s]. */
const LONGEST = 10;
/** Of good behaviour that takes back one of the times [Envoy: one per `interval`, 10 s]. */
const CALM_MS = 10_000;

export class OpenTime {
  private readonly rule: BreakerRule;
  private times = 0;

  constructor(rule: BreakerRule) {
    this.rule = rule;
  }

  /** Of an opening now, ms; `calmSinceMs`: since when it has been in use again, now where it has not. */
  nextMs(nowMs: number, calmSinceMs: number): number {
    const { openMs, growsOpen } = this.rule;
    if (!growsOpen) return openMs;
    const calm = Math.floor((nowMs - calmSinceMs) / CALM_MS);
    this.times = Math.min(LONGEST, Math.max(0, this.times - calm) + 1);
    return openMs * this.times;
  }
}
