// What a run's replicas were near the limits of, while traffic came: KV blocks, batch, queue; and where its calls waited.
import { quantile } from '../../../scenarios/base/statistics.ts';
import type { Measure } from '../../grid/case.ts';

/** Of one pool; shares 0-1, requests a replica. */
export interface PoolPressure {
  readonly pool: string;
  /** p95 over time and replicas: blocks held by requests. */
  readonly kvUsedRatio: number;
  readonly runningMean: number;
  readonly runningP95: number;
  /** Of the samples, those with a request that waits. */
  readonly queuedRatio: number;
}

export interface Limits {
  readonly pools: readonly PoolPressure[];
  /** Of the time of calls that ended well, that before an engine took them up. */
  readonly waitedRatio: number;
  readonly preemptionsPerCall: number;
}

/** What is over before so much of the window counts as the start. */
const START_RATIO = 1 / 3;

const measure: Measure<Limits> = ({ timeline, calls, workflows }) => {
  const lastMs = workflows.reduce((last, { startMs }) => Math.max(last, startMs), 0);
  const samples = timeline.filter(({ atMs }) => atMs >= START_RATIO * lastMs && atMs <= lastMs);
  const pools = [...Map.groupBy(samples, ({ pool }) => pool)].map(([pool, own]): PoolPressure => {
    const running = own.map(({ runningRequests }) => runningRequests);
    return {
      pool,
      kvUsedRatio: quantile(
        own.map(({ kvUsedRatio }) => kvUsedRatio),
        0.95,
      ),
      runningMean: running.reduce((sum, each) => sum + each, 0) / running.length,
      runningP95: quantile(running, 0.95),
      queuedRatio: own.filter(({ waitingRequests }) => waitingRequests > 0).length / own.length,
    };
  });
  let [waitedMs, allMs, preemptions] = [0, 0, 0];
  for (const call of calls) {
    preemptions += call.preemptions ?? 0;
    if (call.outcome !== 'ok' || call.endMs === null) continue;
    allMs += call.endMs - call.plannedMs;
    waitedMs += Math.max(0, (call.scheduledMs ?? call.plannedMs) - call.plannedMs);
  }
  return {
    pools: pools.sort((a, b) => (a.pool < b.pool ? -1 : 1)),
    waitedRatio: allMs === 0 ? 0 : waitedMs / allMs,
    preemptionsPerCall: calls.length === 0 ? 0 : preemptions / calls.length,
  };
};
export default measure;
