// The last calls to one target, counted: all of them, those that failed, those that were slow. Over the
// last so many calls one by one; over the last so many ms by slots of a tenth, so that memory does not grow
// with the traffic.
import type { BreakerRule } from '../../scenarios/formats/rules.ts';

/**
 * Slots of a window by time [Hystrix: 10 in its 10 s]. A call leaves the count after 0.9 to 1 of the
 * window.
 */
export const SLOTS = 10;

/** What is counted: a row each of calls, failures and slow calls. */
export interface Window {
  readonly calls: number;
  readonly failed: number;
  readonly slow: number;
  /** What has left the window by `nowMs` is gone; this call is in. */
  add(failed: boolean, slow: boolean, nowMs: number): void;
  clear(): void;
}

export const windowOf = ({ window }: BreakerRule): Window =>
  'calls' in window ? new CallWindow(window.calls) : new TimeWindow(window.ms);

const FAILED = 1;
const SLOW = 2;

/** The last `size` calls: a ring of a byte each. */
class CallWindow implements Window {
  calls = 0;
  failed = 0;
  slow = 0;
  private readonly ring: Uint8Array;
  private next = 0;

  constructor(size: number) {
    this.ring = new Uint8Array(size);
  }

  add(failed: boolean, slow: boolean): void {
    const { ring, next } = this;
    const gone = ring[next]!;
    if (this.calls < ring.length) this.calls += 1;
    this.failed += Number(failed) - (gone & FAILED);
    this.slow += Number(slow) - ((gone & SLOW) >> 1);
    ring[next] = (failed ? FAILED : 0) | (slow ? SLOW : 0);
    this.next = next + 1 === ring.length ? 0 : next + 1;
  }

  clear(): void {
    this.ring.fill(0);
    this.calls = this.failed = this.slow = this.next = 0;
  }
}

/** The calls of the last `ms`: a row of three counts per slot, the current slot last of those that count. */
class TimeWindow implements Window {
  calls = 0;
  failed = 0;
  slow = 0;
  private readonly slotMs: number;
  private readonly counts = new Float64Array(SLOTS * 3);
  /** Of the newest call. */
  private slot = Number.NEGATIVE_INFINITY;

  constructor(ms: number) {
    this.slotMs = ms / SLOTS;
  }

  add(failed: boolean, slow: boolean, nowMs: number): void {
    this.advance(Math.floor(nowMs / this.slotMs));
    const at = (this.slot % SLOTS) * 3;
    this.counts[at]! += 1;
    this.counts[at + 1]! += Number(failed);
    this.counts[at + 2]! += Number(slow);
    this.calls += 1;
    this.failed += Number(failed);
    this.slow += Number(slow);
  }

  clear(): void {
    this.counts.fill(0);
    this.calls = this.failed = this.slow = 0;
  }

  /** Slots between the last call and now are empty, and what they held is out of the window. */
  private advance(slot: number): void {
    if (slot - this.slot >= SLOTS) this.clear();
    else for (let each = this.slot + 1; each <= slot; each += 1) this.drop((each % SLOTS) * 3);
    this.slot = Math.max(slot, this.slot);
  }

  private drop(at: number): void {
    const { counts } = this;
    this.calls -= counts[at]!;
    this.failed -= counts[at + 1]!;
    this.slow -= counts[at + 2]!;
    counts.fill(0, at, at + 3);
  }
}
