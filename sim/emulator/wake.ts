// One alarm on the wall clock, precise to a fraction of a millisecond: setTimeout to shortly before, then turns of the
// event loop, in which sockets are served.

/** setTimeout counts whole milliseconds and may fire about one late: the last stretch is spun by setImmediate. */
const SPIN_MS = 1.5;
const LEG_MS = 2 ** 30;

export class Wake {
  private readonly nowMs: () => number;
  private readonly ring: () => void;
  private atMs = Number.POSITIVE_INFINITY;
  private timer: NodeJS.Timeout | null = null;
  private immediate: NodeJS.Immediate | null = null;

  /** `ring` is called at or after each instant set, never before. */
  constructor(nowMs: () => number, ring: () => void) {
    this.nowMs = nowMs;
    this.ring = ring;
  }

  /** Sets the alarm to `atMs` in place of the one before; Infinity for none. */
  set(atMs: number): void {
    if (atMs === this.atMs) return;
    this.cancel();
    this.atMs = atMs;
    if (atMs !== Number.POSITIVE_INFINITY) this.arm();
  }

  cancel(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    if (this.immediate !== null) clearImmediate(this.immediate);
    this.timer = null;
    this.immediate = null;
    this.atMs = Number.POSITIVE_INFINITY;
  }

  private arm(): void {
    const delayMs = this.atMs - this.nowMs();
    if (delayMs > SPIN_MS) this.timer = setTimeout(() => this.turn(), Math.min(delayMs - SPIN_MS, LEG_MS));
    else this.immediate = setImmediate(() => this.turn());
  }

  private turn(): void {
    this.timer = null;
    this.immediate = null;
    if (this.nowMs() < this.atMs) {
      this.arm();
      return;
    }
    this.atMs = Number.POSITIVE_INFINITY;
    this.ring();
  }
}
