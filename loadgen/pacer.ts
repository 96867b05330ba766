// Runs functions at precise instants: a timer to shortly before, then turns of the event loop until the instant, so
// that sockets are served meanwhile. Rule: never early, never all at once blocking, in order of (atMs, sequence).
import type { Clock } from './clock.ts';

/**
 * setTimeout counts whole milliseconds and may fire one late; only the last stretch is spun by setImmediate. At 200 starts
 * a second a stretch of 1.5 ms costs a tenth of a core and is 0.3 ms late at the median; this one a hundredth, and 0.7 ms.
 */
const SPIN_MS = 0.2;
/** setTimeout's longest delay is 2^31 - 1 ms; longer waits are taken in legs. */
const LEG_MS = 2 ** 30;

export interface Pacer {
  /** Runs `fn` at `atMs` of the clock, at once (in a later turn) if that is past. Returns its cancellation. */
  at(atMs: number, fn: () => void): () => void;
  /** Functions still to run. */
  readonly pending: number;
  /** Cancels all. */
  clear(): void;
}

interface Entry {
  readonly atMs: number;
  readonly sequence: number;
  /** Null once cancelled or run; a cancelled entry stays in the heap until it reaches the top. */
  fn: (() => void) | null;
}

export function createPacer(clock: Clock): Pacer {
  const heap: Entry[] = [];
  let sequence = 0;
  let pending = 0;
  /** What is armed now, for which instant; null when nothing is. */
  let armed: { atMs: number; disarm: () => void } | null = null;

  function arm(): void {
    while (heap[0] !== undefined && heap[0].fn === null) popEntry(heap);
    const next = heap[0];
    if (armed !== null && next !== undefined && armed.atMs <= next.atMs) return;
    armed?.disarm();
    armed = next === undefined ? null : { atMs: next.atMs, disarm: wait(next.atMs - clock.nowMs()) };
  }

  function wait(delayMs: number): () => void {
    if (delayMs > SPIN_MS) {
      const timer = setTimeout(turn, Math.min(delayMs - SPIN_MS, LEG_MS));
      return () => clearTimeout(timer);
    }
    const immediate = setImmediate(turn);
    return () => clearImmediate(immediate);
  }

  function turn(): void {
    armed = null;
    // Only what is due now: what these functions add for "now" waits for the next turn, after the sockets.
    const nowMs = clock.nowMs();
    const last = sequence;
    try {
      for (let top = heap[0]; top !== undefined && top.atMs <= nowMs && top.sequence < last; top = heap[0]) {
        popEntry(heap);
        const { fn } = top;
        if (fn === null) continue;
        top.fn = null;
        pending--;
        fn();
      }
    } finally {
      arm();
    }
  }

  return {
    at(atMs, fn) {
      const entry: Entry = { atMs, sequence: sequence++, fn };
      pushEntry(heap, entry);
      pending++;
      arm();
      return () => {
        if (entry.fn === null) return;
        entry.fn = null;
        pending--;
        arm();
      };
    },
    get pending() {
      return pending;
    },
    clear() {
      for (const entry of heap) entry.fn = null;
      heap.length = 0;
      pending = 0;
      arm();
    },
  };
}

const isBefore = (a: Entry, b: Entry): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);

/** Adds to a binary min-heap. */
function pushEntry(heap: Entry[], entry: Entry): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(entry, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = entry;
}

/** Removes the top of a binary min-heap that is not empty. */
function popEntry(heap: Entry[]): void {
  const last = heap.pop()!;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
}
