// 429s, retries and refusals over time, in slices of equal length: when a limit pressed, and for how long.
import type { PressurePoint } from '../../scenarios/formats/result.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';

const SLICES_MAX = 200;
const SLICE_MS_MIN = 100;

/** The shortest of 1, 2 and 5 times a power of ten, at least 100 ms, of which at most 200 cover the run. */
export function sliceMs(durationMs: number): number {
  for (let decade = SLICE_MS_MIN; ; decade *= 10)
    for (const step of [1, 2, 5]) if (durationMs < step * decade * SLICES_MAX) return step * decade;
}

/** Empty: nothing of the kind happened. */
export function pressureOf({ calls, governed, durationMs }: RunOutput): PressurePoint[] {
  const lengthMs = sliceMs(durationMs);
  const points: PressurePoint[] = [];
  for (let i = 0; i <= Math.floor(durationMs / lengthMs); i++)
    points.push({ atMs: i * lengthMs, refusals429: 0, retries: 0, refusedByUs: 0 });
  let events = 0;
  const count = (atMs: number | null, what: 'refusals429' | 'retries' | 'refusedByUs'): void => {
    const point = points[Math.floor((atMs ?? -1) / lengthMs)];
    if (point === undefined) return;
    point[what] += 1;
    events += 1;
  };
  if (governed === undefined) {
    for (const { error, endMs } of calls) if (error === 'http_429') count(endMs, 'refusals429');
  } else {
    for (const { kind, reason, wantedMs, sentMs, endMs } of governed.attempts) {
      if (reason === '429' && sentMs !== null) count(endMs, 'refusals429');
      if (kind === 'retry') count(wantedMs, 'retries');
    }
    for (const { decision, atMs } of governed.decisions)
      if (decision === 'refused' || decision === 'denied') count(atMs, 'refusedByUs');
  }
  return events === 0 ? [] : points;
}
