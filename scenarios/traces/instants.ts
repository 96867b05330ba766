// When the calls of a recorded session ended: as recorded, or as the gaps of the calls that waited for them say.
import type { RecordedSession } from '../formats/recorded.ts';

/**
 * The end of each call, ms from the session's start, in the order of its calls. Where no duration was recorded, a call
 * ended at the latest when the last parent of a call that waits for it did: at that call's start less its gap. Without
 * such a call it is taken to end where it starts.
 */
export function endsMs({ calls }: RecordedSession): Float64Array {
  const rowOf = new Map(calls.map((call, row) => [call.id, row]));
  const lastParentMs = new Float64Array(calls.length).fill(Number.POSITIVE_INFINITY);
  for (const { parents, gapMs, recorded } of calls) {
    for (const parent of parents) {
      const row = rowOf.get(parent)!;
      lastParentMs[row] = Math.min(lastParentMs[row]!, recorded.startMs - gapMs);
    }
  }
  return Float64Array.from(calls, ({ recorded: { startMs, e2eMs } }, row) => {
    if (e2eMs !== null) return startMs + e2eMs;
    const limitMs = lastParentMs[row]!;
    return Number.isFinite(limitMs) ? Math.max(startMs, limitMs) : startMs;
  });
}

/** The most intervals that overlap. What ends at an instant makes room for what starts there. */
export function peakWidth(starts: Float64Array, ends: Float64Array): number {
  const startsInOrder = starts.toSorted();
  const endsInOrder = ends.toSorted();
  let ended = 0;
  let peak = 0;
  for (let started = 0; started < startsInOrder.length; started += 1) {
    while (ended < started && endsInOrder[ended]! <= startsInOrder[started]!) ended += 1;
    peak = Math.max(peak, started + 1 - ended);
  }
  return peak;
}
