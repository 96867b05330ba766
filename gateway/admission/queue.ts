// Calls that wait at the gateway: who they are, in which order they go on, and when they are turned away.

import { Heap } from '../../scenarios/base/heap.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import { NANOSECOND_MS } from '../../scenarios/base/instants.ts';
import type { AdmissionArrival, Refusal, Refused, Verdict } from './policy.ts';

/** Whether an instant has come, as near as a clock of whole nanoseconds can say. */
export const hasCome = (atMs: number, nowMs: number): boolean => nowMs + NANOSECOND_MS >= atMs;

export const SEND: Verdict = { kind: 'send' };
export const WAIT: Verdict = { kind: 'wait' };

const REFUSED: Record<Refusal, Refused> = {
  shed: { kind: 'refuse', reason: 'shed' },
  queue_full: { kind: 'refuse', reason: 'queue_full' },
  queue_timeout: { kind: 'refuse', reason: 'queue_timeout' },
  rate_limited: { kind: 'refuse', reason: 'rate_limited' },
};
export const refused = (reason: Refusal): Refused => REFUSED[reason];

/** What `due` gives back. */
export interface Due {
  send: number[];
  refuse: { id: number; reason: Refusal }[];
}

/** One call that waits. */
export interface Waiting {
  readonly call: AdmissionArrival;
  readonly sinceMs: number;
  /** Lower goes first; equal ones in order of arrival. */
  readonly rank: number;
  readonly sequence: number;
  /** Sent, refused or withdrawn: lines drop it when they come upon it. */
  isGone: boolean;
}

/** Those that wait in one order. What has left stays until it is met, or until half of the line is such. */
export class Line {
  private heap: Heap<Waiting>;
  private readonly before: (a: Waiting, b: Waiting) => boolean;
  private sweepAt = 64;

  constructor(before: (a: Waiting, b: Waiting) => boolean = byRank) {
    this.before = before;
    this.heap = new Heap(before);
  }

  /** Entries kept, those that have left included: at most twice as many as wait, or 64. */
  get places(): number {
    return this.heap.size;
  }

  add(waiting: Waiting): void {
    this.heap.push(waiting);
    if (this.heap.size >= this.sweepAt) this.sweep();
  }

  /** The next to go on; undefined when nobody waits. */
  first(): Waiting | undefined {
    let next = this.heap.peek();
    while (next?.isGone === true) {
      this.heap.pop();
      next = this.heap.peek();
    }
    return next;
  }

  private sweep(): void {
    const old = this.heap;
    this.heap = new Heap(this.before);
    for (let next = old.pop(); next !== undefined; next = old.pop()) if (!next.isGone) this.heap.push(next);
    this.sweepAt = Math.max(64, 2 * this.heap.size);
  }
}

const byRank = (a: Waiting, b: Waiting): boolean =>
  a.rank < b.rank || (a.rank === b.rank && a.sequence < b.sequence);
const byArrival = (a: Waiting, b: Waiting): boolean => a.sequence < b.sequence;

/** All calls that wait, whatever line they stand in; each for `maxWaitMs` at most. */
export class WaitingRoom {
  private readonly byId = new IdTable<Waiting>();
  private readonly oldest = new Line(byArrival);
  private readonly maxWaitMs: number;
  private nextSequence = 0;
  size = 0;

  constructor(maxWaitMs: number) {
    this.maxWaitMs = maxWaitMs;
  }

  enter(call: AdmissionArrival, nowMs: number, rank = 0): Waiting {
    const waiting: Waiting = { call, sinceMs: nowMs, rank, sequence: this.nextSequence++, isGone: false };
    this.size += 1;
    this.byId.set(call.id, waiting);
    if (this.maxWaitMs < Number.POSITIVE_INFINITY) this.oldest.add(waiting);
    return waiting;
  }

  leave(waiting: Waiting): void {
    waiting.isGone = true;
    this.size -= 1;
    // Another may have the id by now.
    if (this.byId.get(waiting.call.id) === waiting) this.byId.delete(waiting.call.id);
  }

  /** The call of this id leaves, if it waits. */
  withdraw(id: number): Waiting | undefined {
    const waiting = this.byId.get(id);
    if (waiting !== undefined) this.leave(waiting);
    return waiting;
  }

  /** The next of those that have waited too long leaves. */
  takeExpired(nowMs: number): Waiting | undefined {
    if (!hasCome(this.nextExpiryMs(), nowMs)) return undefined;
    const first = this.oldest.first();
    if (first !== undefined) this.leave(first);
    return first;
  }

  nextExpiryMs(): number {
    const first = this.oldest.first();
    return first === undefined ? Number.POSITIVE_INFINITY : first.sinceMs + this.maxWaitMs;
  }
}
