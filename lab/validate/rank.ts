// Whether a prediction that is off keeps the order: what is slower when measured must be slower when predicted, and the
// error must be about the same everywhere.
import { mean, quantile } from '../../scenarios/base/statistics.ts';
import { makespanMs } from '../../scenarios/formats/record.ts';
import type { GroupComparison, RankOrder } from '../../scenarios/formats/validation.ts';
import { concordance } from './distance.ts';
import type { Records } from './samples.ts';

/** Fewer have no order worth the name. */
const STEPS_MIN = 3;
const SESSIONS_MIN = 10;
/** At least: nine in ten pairs in order. */
export const TAU_MIN = 0.8;
/** What is apart by less has no order to keep. */
const TIE_RATIO = 0.05;
/** Sessions looked at, evenly over all: pairs grow with the square. */
const SESSIONS_MAX = 1000;
/** At most: the 90th percentile of predicted / measured over the 10th. */
export const BIAS_SPREAD_MAX = 1.5;

/** The order of steps by their mean E2E, else of sessions by their time; null where there are too few of both. */
export function rankOrder(
  steps: readonly GroupComparison[],
  predicted: readonly Records[],
  measured: readonly Records[],
): RankOrder | null {
  const pairs = steps.flatMap(({ times }) => {
    const e2e = times.find(({ metric }) => metric === 'e2e')?.mean;
    return e2e?.predictedMs == null || e2e.measuredMs == null
      ? []
      : [[e2e.predictedMs, e2e.measuredMs] as const];
  });
  if (pairs.length >= STEPS_MIN) return orderOf('steps', pairs);
  const [before, after] = [timesOf(predicted), timesOf(measured)];
  const sessions = [...before].flatMap(([session, ms]) => {
    const other = after.get(session);
    return other === undefined ? [] : [[ms, other] as const];
  });
  return sessions.length >= SESSIONS_MIN ? orderOf('sessions', sessions) : null;
}

/** null where all take about the same time. */
function orderOf(of: RankOrder['of'], all: readonly (readonly [number, number])[]): RankOrder | null {
  const every = Math.max(1, Math.ceil(all.length / SESSIONS_MAX));
  const pairs = all.filter(([, measured], i) => measured > 0 && i % every === 0);
  const order = concordance(
    pairs.map(([predicted]) => predicted),
    pairs.map(([, measured]) => measured),
    TIE_RATIO,
  );
  if (order === null) return null;
  const ratios = pairs.map(([predicted, measured]) => predicted / measured);
  const [ratioP10, ratioP90] = [quantile(ratios, 0.1), quantile(ratios, 0.9)];
  const kept = order.tau >= TAU_MIN && ratioP90 <= BIAS_SPREAD_MAX * ratioP10;
  return { of, count: pairs.length, ...order, ratioP10, ratioP90, kept };
}

/** The time of each session that completed, over all runs that it did so in. */
function timesOf(runs: readonly Records[]): Map<string, number> {
  const times = new Map<string, number[]>();
  for (const run of runs) {
    for (const workflow of run.workflows) {
      const ms = makespanMs(workflow);
      if (ms === null) continue;
      const list = times.get(workflow.session);
      if (list === undefined) times.set(workflow.session, [ms]);
      else list.push(ms);
    }
  }
  return new Map([...times].map(([session, list]) => [session, mean(list)]));
}
