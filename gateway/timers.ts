// The timers of a layer, on as few of the world's as it takes: thousands of timeouts that mostly never come due cost a
// place in a heap here, and are swept when most of them are off.
import { Heap } from '../scenarios/base/heap.ts';

export interface Timer<T> {
  readonly atMs: number;
  readonly sequence: number;
  readonly what: T;
  isOff: boolean;
}

/** Instants are whole nanoseconds in a simulation: what was meant for now may lie a hair behind it. */
const NS_IN_MS = 1e-6;
/** Fewer are not worth a sweep. */
const SWEPT_FROM = 64;

export class Timers<T> {
  private heap = Timers.heap<T>();
  private sequence = 0;
  private off = 0;
  /** What the world waits for on our behalf, the latest first: each was asked for since it is before all others. */
  private readonly armed: { readonly ticket: number; readonly atMs: number }[] = [];
  private readonly arm: (delayMs: number) => number;

  /** `arm` asks the world for a delay and gives its ticket. */
  constructor(arm: (delayMs: number) => number) {
    this.arm = arm;
  }

  private static heap<T>(): Heap<Timer<T>> {
    return new Heap((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence));
  }

  set(atMs: number, what: T, nowMs: number): Timer<T> {
    const timer = { atMs, sequence: this.sequence++, what, isOff: false };
    this.heap.push(timer);
    this.rearm(nowMs);
    return timer;
  }

  cancel(timer: Timer<T> | null): void {
    if (timer === null || timer.isOff) return;
    timer.isOff = true;
    this.off += 1;
    if (this.off > SWEPT_FROM && this.off * 2 > this.heap.size) this.sweep();
  }

  /** A delay of the world has ended: true where it was ours. */
  rings(ticket: number): boolean {
    const place = this.armed.findLastIndex(each => each.ticket === ticket);
    if (place < 0) return false;
    this.armed.splice(place, 1);
    return true;
  }

  /** The next one that is due, taken; undefined: none is. */
  take(nowMs: number): T | undefined {
    for (let timer = this.heap.peek(); timer !== undefined; timer = this.heap.peek()) {
      if (!timer.isOff && timer.atMs > nowMs + NS_IN_MS) break;
      this.heap.pop();
      if (timer.isOff) {
        this.off -= 1;
        continue;
      }
      // It cannot be cancelled any more.
      timer.isOff = true;
      return timer.what;
    }
    this.rearm(nowMs);
    return undefined;
  }

  private rearm(nowMs: number): void {
    const next = this.heap.peek();
    const armedMs = this.armed.at(-1)?.atMs ?? Number.POSITIVE_INFINITY;
    if (next === undefined || next.atMs >= armedMs) return;
    const ticket = this.arm(Math.max(0, next.atMs - nowMs));
    this.armed.push({ ticket, atMs: next.atMs });
  }

  private sweep(): void {
    const kept = Timers.heap<T>();
    for (let timer = this.heap.pop(); timer !== undefined; timer = this.heap.pop())
      if (!timer.isOff) kept.push(timer);
    this.heap = kept;
    this.off = 0;
  }
}
