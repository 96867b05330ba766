// When something is on: from its time, or again and again at a rate, each time for a while. Beginnings know nothing of each
// other. Instants that are asked for must not go back.
import { quantile } from '../scenarios/base/distributions.ts';
import { NANOSECOND_MS } from '../scenarios/base/instants.ts';
import { type Key, uniform } from '../scenarios/base/key.ts';

const MS_PER_SEC = 1000;

export interface SpellTimes {
  /** When it begins, or from when on its rate holds, ms; null: 0. */
  readonly atMs: number | null;
  /** How often it begins; null: once. */
  readonly perSec: number | null;
  /** How long the spell of this number lasts, from 0. */
  lastsMs(ordinal: number): number;
  /** What the time before the beginning of this number is drawn from. */
  gapKey(ordinal: number): Key;
}

export class Spells {
  private readonly times: SpellTimes;
  /** How often it has begun. */
  begun = 0;
  /** When it begins next, ms; Infinity: never again. */
  nextMs: number;
  private untilMs = Number.NEGATIVE_INFINITY;

  constructor(times: SpellTimes) {
    this.times = times;
    this.nextMs = (times.atMs ?? 0) + (times.perSec === null ? 0 : this.gapMs(times.perSec));
  }

  /** From its beginning on, and not at its end any more. */
  isOn(nowMs: number): boolean {
    this.advance(nowMs);
    return nowMs + NANOSECOND_MS < this.untilMs;
  }

  /** How often it began since the last look. */
  advance(nowMs: number): number {
    const before = this.begun;
    while (this.nextMs <= nowMs + NANOSECOND_MS) {
      this.untilMs = Math.max(this.untilMs, this.nextMs + this.times.lastsMs(this.begun));
      this.begun += 1;
      const { perSec } = this.times;
      this.nextMs = perSec === null ? Number.POSITIVE_INFINITY : this.nextMs + this.gapMs(perSec);
    }
    return this.begun - before;
  }

  /** What began before now reached nobody. */
  missed(nowMs: number): void {
    this.advance(nowMs - 2 * NANOSECOND_MS);
  }

  private gapMs(perSec: number): number {
    const of = { kind: 'exponential', mean: MS_PER_SEC / perSec } as const;
    return quantile(of, uniform(this.times.gapKey(this.begun)));
  }
}
