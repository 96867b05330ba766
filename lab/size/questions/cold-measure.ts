// Workflows that meet a pool asleep: one of their calls came while no replica of its pool was ready.
import { quantile } from '../../../scenarios/base/statistics.ts';
import { makespanMs, type ReplicaSpan } from '../../../scenarios/formats/record.ts';
import type { Measure } from '../../grid/case.ts';

export interface MetCold {
  readonly workflows: number;
  /** Of these, those that waited for a replica to start. */
  readonly met: number;
  /** Of those that completed; null: none did. */
  readonly metMsP95: number | null;
  readonly othersMsP95: number | null;
  readonly allMsP95: number | null;
  /** Of the run, the time in which no replica was there or asked for. */
  readonly asleepRatio: number;
}

const isAwake = (spans: readonly ReplicaSpan[], atMs: number): boolean =>
  spans.some(
    ({ readyMs, goneMs }) =>
      readyMs !== null && readyMs <= atMs && (goneMs ?? Number.POSITIVE_INFINITY) > atMs,
  );

/** An autoscaler that has seen nothing yet may send a pool to sleep: so much of the run is its start. */
const START_RATIO = 0.1;

/** Share of the time from `fromMs` on in which no span is. */
function asleepRatio(spans: readonly ReplicaSpan[], fromMs: number, durationMs: number): number {
  let [awakeMs, untilMs] = [0, fromMs];
  for (const { askedMs, goneMs } of spans.toSorted((a, b) => a.askedMs - b.askedMs)) {
    const endMs = goneMs ?? durationMs;
    awakeMs += Math.max(0, endMs - Math.max(untilMs, askedMs));
    untilMs = Math.max(untilMs, endMs);
  }
  return durationMs <= fromMs ? 0 : Math.max(0, 1 - awakeMs / (durationMs - fromMs));
}

const p95 = (values: readonly number[]): number | null =>
  values.length === 0 ? null : quantile(values, 0.95);

const measure: Measure<MetCold> = ({ calls, workflows: all, replicas = [], durationMs }) => {
  const fromMs = START_RATIO * durationMs;
  const workflows = all.filter(({ plannedMs }) => plannedMs >= fromMs);
  const spans = Map.groupBy(replicas, ({ pool }) => pool);
  const met = new Set<string>();
  for (const { session, pool, plannedMs } of calls) {
    const own = spans.get(pool);
    if (own !== undefined && !isAwake(own, plannedMs)) met.add(session);
  }
  const took = workflows.flatMap(each => {
    const ms = makespanMs(each);
    return ms === null ? [] : [{ ms, isMet: met.has(each.session) }];
  });
  return {
    workflows: workflows.length,
    met: workflows.filter(({ session }) => met.has(session)).length,
    metMsP95: p95(took.filter(({ isMet }) => isMet).map(({ ms }) => ms)),
    othersMsP95: p95(took.filter(({ isMet }) => !isMet).map(({ ms }) => ms)),
    allMsP95: p95(took.map(({ ms }) => ms)),
    asleepRatio: asleepRatio(replicas, fromMs, durationMs),
  };
};
export default measure;
