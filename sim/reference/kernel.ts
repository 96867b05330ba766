// Simulated time: whole nanoseconds and a total order of events. The kernel knows when and in which order, never what.
// Rule: time never goes back, and no two events are equal in (atNs, rank, row).
import { invariant } from '../../scenarios/base/errors.ts';
import { beyondHorizon } from '../horizon.ts';

/** `row` is a replica's row, for inputs their ordinal, for transfers and fronts 0: it is the sequence within an instant and a rank. */
export interface KernelEvent {
  readonly atNs: number;
  readonly kind: EventKind;
  readonly row: number;
}

export type EventKind = 'stepEnd' | 'transfer' | 'front' | 'input' | 'stepBegin';

/** What goes first within one instant. */
const RANK: Record<EventKind, number> = {
  /** Tokens appear, finished requests free their blocks: the router sees the true state of this instant. */
  stepEnd: 0,
  /** KV arrives: what waited for it may join the step that begins now. */
  transfer: 1,
  /** Metrics are scraped, replicas come and go. */
  front: 2,
  /** Submissions and cancels, in the order in which they were given. */
  input: 3,
  /** Last, so that every arrival of the instant can join the step which begins at it. */
  stepBegin: 4,
};

function compareEvents(a: KernelEvent, b: KernelEvent): number {
  return a.atNs - b.atNs || RANK[a.kind] - RANK[b.kind] || a.row - b.row;
}

/** Throws unless `ns` is a whole, exact, non-negative number of nanoseconds; `what` names its source. */
export function checkNs(ns: number, what: string): void {
  invariant(!Number.isNaN(ns), () => `${what} is NaN nanoseconds`);
  if (ns > Number.MAX_SAFE_INTEGER && ns < Number.POSITIVE_INFINITY) throw beyondHorizon();
  invariant(
    Number.isSafeInteger(ns) && ns >= 0,
    () => `${what} is ${ns} ns, which is not a whole number of nanoseconds from 0 to 2^53 - 1`,
  );
}

export class Kernel {
  nowNs = 0;
  /** Latest first, so that the next event is popped off the end. */
  private readonly events: KernelEvent[] = [];

  add(event: KernelEvent): void {
    checkNs(event.atNs, `the time of event ${event.kind}`);
    invariant(
      event.atNs >= this.nowNs,
      () => `event ${event.kind} at ${event.atNs} ns lies behind now, ${this.nowNs} ns`,
    );
    let low = 0;
    let high = this.events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const order = compareEvents(this.events[middle]!, event);
      invariant(order !== 0, () => `two events ${event.kind} of row ${event.row} at ${event.atNs} ns`);
      if (order > 0) low = middle + 1;
      else high = middle;
    }
    this.events.splice(low, 0, event);
  }

  /** Takes back an event that was added and has not happened. */
  remove(event: KernelEvent): void {
    const place = this.events.findIndex(each => compareEvents(each, event) === 0);
    invariant(
      place >= 0,
      () => `no event ${event.kind} of row ${event.row} at ${event.atNs} ns to take back`,
    );
    this.events.splice(place, 1);
  }

  /**
   * When `advanceTo` will next do something; Infinity when idle. A step that begins now is still open to arrivals of
   * this instant, so it is run by any later time: from now + 1 on.
   */
  nextNs(): number {
    const next = this.events.at(-1);
    if (next === undefined) return Number.POSITIVE_INFINITY;
    return next.kind === 'stepBegin' ? next.atNs + 1 : next.atNs;
  }

  /**
   * Handles every event up to and including `ns`, but for steps that begin at `ns`: whoever looks at an instant may
   * still submit at it. So looking never changes what happens.
   */
  advanceTo(ns: number, handle: (event: KernelEvent) => void): void {
    checkNs(ns, 'the time to advance to');
    invariant(ns >= this.nowNs, () => `advancing to ${ns} ns lies behind now, ${this.nowNs} ns`);
    while (this.nextNs() <= ns) {
      const event = this.events.pop()!;
      this.nowNs = event.atNs;
      handle(event);
    }
    this.nowNs = ns;
  }
}
