// A token bucket with continuous refill. What is kept is the instant at which it will be full, so that both worlds compute
// the same instant at which an amount fits. It may owe: what was taken beyond the level fills up first.
import { hasCome } from '../admission/queue.ts';

const MS_PER_MINUTE = 60_000;

/**
 * Refills at `perMinute`; holds `burstMs` of that. Law: in any t ms at most max(capacity, largest amount) + perMinute * t /
 * 60000 is taken, as long as nothing is taken that does not fit.
 */
export class Bucket {
  private readonly capacity: number;
  private readonly perMinute: number;
  private readonly msPerUnit: number;
  private fullMs = Number.NEGATIVE_INFINITY;

  /** `least`: what it holds however short the burst is. */
  constructor(perMinute: number, burstMs: number, least = 0) {
    this.perMinute = perMinute;
    this.capacity = Math.max(least, (perMinute * burstMs) / MS_PER_MINUTE);
    this.msPerUnit = MS_PER_MINUTE / perMinute;
  }

  /**
   * How long until so much fits, ms; 0: now. More than it holds fits when it is full, and is owed; more than a minute's
   * refill never does: Infinity.
   */
  waitMs(amount: number, nowMs: number): number {
    if (amount > this.capacity && amount > this.perMinute) return Number.POSITIVE_INFINITY;
    const readyMs = this.fullMs - Math.max(0, this.capacity - amount) * this.msPerUnit;
    return hasCome(readyMs, nowMs) ? 0 : readyMs - nowMs;
  }

  /** Below 0: gives back; it never holds more than its capacity. */
  take(amount: number, nowMs: number): void {
    this.fullMs = Math.max(this.fullMs, nowMs) + amount * this.msPerUnit;
  }

  isFull(nowMs: number): boolean {
    return this.fullMs <= nowMs;
  }
}
