// The timers of a layer, on as few of the world's as it takes. Most of a gateway's are timeouts that never come due, all of
// the same few lengths: a lane holds those of one length in the order in which they were set, without a timer for each.

import { Heap } from '../scenarios/base/heap.ts';
import { NANOSECOND_MS } from '../scenarios/base/instants.ts';

const LATER_MS = 2 * NANOSECOND_MS;
/** Fewer are not worth a sweep. */
const SWEPT_FROM = 64;

export interface Timer<T> {
  readonly atMs: number;
  readonly sequence: number;
  readonly what: T;
  isOff: boolean;
}

/** What waits in a lane: since when, and whether somebody still wants to hear of it. */
export interface LaneOf<W> {
  sinceMs(what: W): number;
  isWanted(what: W): boolean;
}

/** Waits of one length. */
export class Lane<W> {
  private readonly lengthMs: number;
  private readonly of: LaneOf<W>;
  private readonly due: (what: W, nowMs: number) => void;
  private items: W[] = [];
  private start = 0;
  private sweptAt = SWEPT_FROM;

  constructor(lengthMs: number, of: LaneOf<W>, due: (what: W, nowMs: number) => void) {
    this.lengthMs = lengthMs;
    this.of = of;
    this.due = due;
  }

  add(what: W): void {
    this.items.push(what);
    if (this.items.length > this.sweptAt) this.sweep();
  }

  /** When the first that is wanted is due; Infinity: none is. */
  nextMs(): number {
    const { items, of } = this;
    while (this.start < items.length && !of.isWanted(items[this.start]!)) this.start += 1;
    return this.start < items.length
      ? of.sinceMs(items[this.start]!) + this.lengthMs
      : Number.POSITIVE_INFINITY;
  }

  /** Takes the first, which is due. */
  ring(nowMs: number): void {
    this.due(this.items[this.start++]!, nowMs);
  }

  /** Twice as many as are wanted are kept at most. */
  private sweep(): void {
    const { of, items, start } = this;
    this.items = items.filter((what, place) => place >= start && of.isWanted(what));
    this.start = 0;
    this.sweptAt = Math.max(SWEPT_FROM, this.items.length * 2);
  }
}

export class Timers<T> {
  private heap = Timers.heap<T>();
  private readonly lanes: Lane<never>[] = [];
  private sequence = 0;
  private off = 0;
  /** What the world waits for on our behalf, the latest first: each was asked for since it is before all others. */
  private readonly armed: { readonly ticket: number; readonly atMs: number }[] = [];
  private armedMs = Number.POSITIVE_INFINITY;
  private readonly arm: (delayMs: number) => number;

  /** `arm` asks the world for a delay and gives its ticket. */
  constructor(arm: (delayMs: number) => number) {
    this.arm = arm;
  }

  private static heap<T>(): Heap<Timer<T>> {
    return new Heap((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence));
  }

  /** What is meant for later rings later: who looks again in less than that would look for ever. */
  set(wantedMs: number, what: T, nowMs: number): Timer<T> {
    const atMs = wantedMs > nowMs ? Math.max(wantedMs, nowMs + LATER_MS) : wantedMs;
    const timer = { atMs, sequence: this.sequence++, what, isOff: false };
    this.heap.push(timer);
    this.armFor(atMs, nowMs);
    return timer;
  }

  cancel(timer: Timer<T> | null): void {
    if (timer === null || timer.isOff) return;
    timer.isOff = true;
    this.off += 1;
    if (this.off > SWEPT_FROM && this.off * 2 > this.heap.size) this.sweep();
  }

  /** A lane of waits of this length; `wait` then puts something into it. */
  lane<W>(lengthMs: number, of: LaneOf<W>, due: (what: W, nowMs: number) => void): Lane<W> {
    const lane = new Lane(lengthMs, of, due);
    this.lanes.push(lane as unknown as Lane<never>);
    return lane;
  }

  wait<W>(lane: Lane<W>, what: W, atMs: number, nowMs: number): void {
    lane.add(what);
    this.armFor(atMs, nowMs);
  }

  /** A delay of the world has ended: true where it was ours. */
  rings(ticket: number): boolean {
    // Hot: every end of a delay asks, and mostly it is none of ours.
    const { armed } = this;
    let place = armed.length - 1;
    while (place >= 0 && armed[place]!.ticket !== ticket) place -= 1;
    if (place < 0) return false;
    armed.splice(place, 1);
    this.armedMs = armed.at(-1)?.atMs ?? Number.POSITIVE_INFINITY;
    return true;
  }

  /** The next one that is due, taken; undefined: none is. What is due in lanes before it is done on the way. */
  take(nowMs: number): T | undefined {
    for (;;) {
      const timer = this.head();
      let nextMs = timer?.atMs ?? Number.POSITIVE_INFINITY;
      let first: Lane<never> | null = null;
      for (const lane of this.lanes) {
        const atMs = lane.nextMs();
        if (atMs >= nextMs) continue;
        nextMs = atMs;
        first = lane;
      }
      if (nextMs > nowMs + NANOSECOND_MS) {
        this.armFor(nextMs, nowMs);
        return undefined;
      }
      if (first !== null) first.ring(nowMs);
      else {
        this.heap.pop();
        // It cannot be cancelled any more.
        timer!.isOff = true;
        return timer!.what;
      }
    }
  }

  /** The first timer that is on. */
  private head(): Timer<T> | undefined {
    for (let timer = this.heap.peek(); timer !== undefined; timer = this.heap.peek()) {
      if (!timer.isOff) return timer;
      this.heap.pop();
      this.off -= 1;
    }
    return undefined;
  }

  private armFor(atMs: number, nowMs: number): void {
    if (atMs >= this.armedMs) return;
    const ticket = this.arm(Math.max(0, atMs - nowMs));
    this.armed.push({ ticket, atMs });
    this.armedMs = atMs;
  }

  private sweep(): void {
    const kept = Timers.heap<T>();
    for (let timer = this.heap.pop(); timer !== undefined; timer = this.heap.pop())
      if (!timer.isOff) kept.push(timer);
    this.heap = kept;
    this.off = 0;
  }
}
