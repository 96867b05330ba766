// Latencies over the run's own time: calls by the instant they were wanted, a window of some twenty calls at a time.
import { quantile } from '../../scenarios/base/statistics.ts';
import { type CallRecord, e2eMs, ttftMs } from '../../scenarios/formats/record.ts';
import type { SeriesComparison, SeriesPoint } from '../../scenarios/formats/validation.ts';
import { errorOf } from './error.ts';
import { incidentOf, seriesError } from './incident.ts';

const CALLS_PER_WINDOW = 20;
const WINDOWS_MAX = 60;
/** Under this many values the 95th percentile of a window is its slowest call and no more. */
const VALUES_MIN = 5;

/** The same calls in each world; a run that was not made has none. */
export interface CallsOfWorlds {
  readonly predicted: readonly CallRecord[];
  readonly measured: readonly CallRecord[];
  readonly live: readonly CallRecord[];
}

/** p95 of TTFT and E2E over the span of the record, where it has enough values. */
export function recordedSeries(worlds: CallsOfWorlds, clock: (atMs: number) => string): SeriesComparison[] {
  return (
    [
      ['TTFT p95', (call: CallRecord) => (call.outcome === 'ok' ? ttftMs(call) : null)],
      ['E2E p95', e2eMs],
    ] as const
  ).flatMap(([metric, of]) => {
    const values = worlds.measured.filter(call => of(call) !== null);
    const windows = Math.min(WINDOWS_MAX, Math.floor(values.length / CALLS_PER_WINDOW));
    if (windows < 1) return [];
    const lastMs = values.reduce((last, call) => Math.max(last, call.plannedMs), 0);
    // Not one beyond the last: an instant on its border belongs to the window before it.
    const windowMs = Math.max(1, lastMs / windows);
    const inWindows = (calls: readonly CallRecord[]): (number | null)[] => {
      const lists: number[][] = Array.from({ length: windows }, () => []);
      for (const call of calls) {
        const value = of(call);
        const list = lists[Math.min(windows - 1, Math.floor(call.plannedMs / windowMs))];
        if (value !== null && call.plannedMs <= lastMs + windowMs) list?.push(value);
      }
      return lists.map(list => (list.length < VALUES_MIN ? null : quantile(list, 0.95)));
    };
    const [predicted, measured, live] = [worlds.predicted, worlds.measured, worlds.live].map(inWindows);
    const points: SeriesPoint[] = Array.from({ length: windows }, (_, i) => ({
      atMs: (i + 1) * windowMs,
      predicted: predicted![i]!,
      measured: measured![i]!,
      live: live![i]!,
    }));
    const figure = { metric, unit: 'ms' as const, windowMs };
    const means = seriesError(points);
    return [
      {
        ...figure,
        predicted: 'sim' as const,
        measured: 'recorded' as const,
        points,
        errorRatio: means === null ? null : errorOf(means.predicted, means.measured),
        incident: incidentOf(points, figure, clock),
      },
    ];
  });
}
