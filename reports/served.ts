// Who served the calls and at what pace, and which calls did not end well: the parts of a summary that frontiers, load
// curves, break-even and the table of errors are drawn from.
import { quantileSorted, sorted } from '../scenarios/base/statistics.ts';
import type { CallRecord } from '../scenarios/formats/record.ts';
import type { FailureRow, Hosting, LoadFigures, RunResult, ServedWork } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';

/** Whether an engine took the call: only then were its prompt tokens read and billed. */
export const wasServed = (call: CallRecord): boolean =>
  call.outcome === 'ok' || call.scheduledMs !== null || call.firstTokenMs !== null;

const noWork = (): ServedWork => ({ calls: 0, promptTokens: 0, cachedTokens: 0, outputTokens: 0 });

/** null: the wiring did not say who serves. */
export function hostingOf({ hosting, calls }: Pick<RunOutput, 'hosting' | 'calls'>): Hosting | null {
  if (hosting === undefined) return null;
  const pools = new Set(hosting.pools);
  const [own, api] = [noWork(), noWork()];
  for (const call of calls.filter(wasServed)) {
    const work = pools.has(call.pool) ? own : api;
    work.calls += 1;
    work.promptTokens += call.promptTokens;
    work.cachedTokens += call.cachedTokens ?? 0;
    work.outputTokens += call.outputTokens;
  }
  return { own, api, offers: [...hosting.offers] };
}

/** Fewer workflows have no pace. */
const WORKFLOWS_MIN = 20;
const [FROM, TO] = [0.05, 0.95];

/** From the 5th to the 95th percentile of times. */
function middleMs(timesMs: readonly number[]): number {
  const times = sorted(timesMs);
  return quantileSorted(times, TO) - quantileSorted(times, FROM);
}

/** Of those that are judged; of calls where sessions have no targets; null: there are no targets. */
function keptRatio(goodput: RunResult['goodput'] | null): number | null {
  const rows = goodput == null ? [] : goodput.byWorkflow.length > 0 ? goodput.byWorkflow : goodput.byRole;
  const judged = rows.reduce((sum, row) => sum + row.judged, 0);
  return judged === 0 ? null : rows.reduce((sum, row) => sum + row.kept, 0) / judged;
}

/** null: too few workflows, or all start at once. */
export function loadOf(
  { workflows }: Pick<RunOutput, 'workflows'>,
  goodput: RunResult['goodput'] | null,
): LoadFigures | null {
  const ends = workflows.flatMap(({ status, endMs }) =>
    status === 'completed' && endMs !== null ? [endMs] : [],
  );
  if (ends.length < WORKFLOWS_MIN) return null;
  const startsMs = middleMs(workflows.map(({ plannedMs }) => plannedMs));
  if (!(startsMs > 0)) return null;
  const perSec = (count: number, spanMs: number): number => (1000 * (TO - FROM) * count) / spanMs;
  const offeredPerSec = perSec(workflows.length, startsMs);
  // A queue that drains ends more than was asked for meanwhile: no more than that is served in the long run.
  const servedPerSec = perSec(ends.length, Math.max(startsMs, middleMs(ends)));
  const ratio = keptRatio(goodput);
  return { offeredPerSec, servedPerSec, keptPerSec: ratio === null ? null : ratio * servedPerSec };
}

const FAILURES_MAX = 100;

/** Alike in error, step and pool, the most frequent first; null: every call ended well. */
export function failuresOf(
  calls: readonly CallRecord[],
  stepOf: (call: CallRecord) => string,
): FailureRow[] | null {
  const rows = new Map<string, FailureRow>();
  for (const call of calls) {
    if (call.outcome === 'ok') continue;
    const { session, pool, plannedMs: atMs } = call;
    const [error, step] = [call.error ?? call.outcome, stepOf(call)];
    const key = JSON.stringify([error, step, pool]);
    const row = rows.get(key) ?? { error, step, pool, calls: 0, session, atMs };
    rows.set(key, row);
    row.calls += 1;
    if (atMs < row.atMs || (atMs === row.atMs && session < row.session))
      Object.assign(row, { session, atMs });
  }
  if (rows.size === 0) return null;
  return [...rows]
    .sort(([a, one], [b, other]) => other.calls - one.calls || (a < b ? -1 : 1))
    .slice(0, FAILURES_MAX)
    .map(([, row]) => row);
}
