// Connections of one kind between two places, as HTTP/1.1 keeps them: one call at a time on each, kept open for a while
// after it, the one that was used last first.

import { NANOSECOND_MS } from '../../scenarios/base/instants.ts';

export class Connections {
  private readonly keepAliveMs: number;
  /** Since when each idles, the last one last. */
  private readonly idleMs: number[] = [];
  opened = 0;

  constructor(keepAliveMs: number) {
    this.keepAliveMs = keepAliveMs;
  }

  /** Takes one; true: it had to be opened. */
  take(nowMs: number): boolean {
    const sinceMs = this.idleMs.pop();
    if (sinceMs !== undefined && nowMs - sinceMs <= this.keepAliveMs + NANOSECOND_MS) return false;
    // The others have idled for longer still.
    this.idleMs.length = 0;
    this.opened += 1;
    return true;
  }

  /** Its call is over, and it stays open. */
  release(nowMs: number): void {
    this.idleMs.push(nowMs);
  }
}
