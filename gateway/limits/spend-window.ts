// USD spent in a window that rolls. Kept by slots of the window: what was spent counts until its whole slot has left, so
// that no window ever holds more than what is counted.
import { hasCome } from '../admission/queue.ts';

const SLOTS = 60;

export class SpendWindow {
  private readonly slotMs: number;
  /** A ring, one slot more than the window: the oldest lies partly outside of it. */
  private readonly slots = new Float64Array(SLOTS + 1);
  /** Number of the youngest slot since the start of the run. */
  private youngest = 0;
  private sumUsd = 0;

  constructor(windowMs: number) {
    this.slotMs = windowMs / SLOTS;
  }

  /** USD that count now. */
  spentUsd(nowMs: number): number {
    this.roll(nowMs);
    return this.sumUsd;
  }

  spend(usd: number, nowMs: number): void {
    this.roll(nowMs);
    const place = this.youngest % this.slots.length;
    this.slots[place] = this.slots[place]! + usd;
    this.sumUsd += usd;
  }

  /** How long until at most `usd` count, if nothing more is spent; 0: now; Infinity: never, `usd` is below 0. */
  waitMs(usd: number, nowMs: number): number {
    this.roll(nowMs);
    if (usd < 0) return Number.POSITIVE_INFINITY;
    if (this.sumUsd <= usd) return 0;
    const { slots, youngest } = this;
    let sumUsd = 0;
    for (let age = 0; age < slots.length; age++) {
      sumUsd += this.at(age);
      // This slot and all older ones have to leave.
      if (sumUsd > usd) return Math.max(0, (youngest - age + slots.length) * this.slotMs - nowMs);
    }
    return 0;
  }

  /** USD of the slot that is `age` slots old. */
  private at(age: number): number {
    const { slots, youngest } = this;
    return slots[(youngest - age + slots.length) % slots.length]!;
  }

  /** Slots that have left are emptied. */
  private roll(nowMs: number): void {
    let now = Math.floor(nowMs / this.slotMs);
    if (hasCome((now + 1) * this.slotMs, nowMs)) now += 1;
    if (now <= this.youngest) return;
    const { slots } = this;
    const gone = Math.min(slots.length, now - this.youngest);
    for (let i = 1; i <= gone; i++) slots[(this.youngest + i) % slots.length] = 0;
    this.youngest = now;
    // Summed anew: what rounding has left of sums that were added to and taken from would never go.
    this.sumUsd = 0;
    for (let age = 0; age < slots.length; age++) this.sumUsd += this.at(age);
  }
}
