// How much of a scenario is played to judge a deployment: a stretch of steady traffic after the start has worn off, the
// busiest stretch of traffic that moves, or the whole of what has a fixed length.
import { peakPerSec } from '../../scenarios/arrivals/rate.ts';
import type { LoadedScenario } from '../../scenarios/cli/load.ts';
import type { Cohort, Plan } from '../../scenarios/formats/plan.ts';
import type { GridCase } from '../grid/case.ts';

/** Far more than any window holds: the clock ends it. */
const SESSIONS_WITHOUT_END = 1_000_000_000;

/** `steady`: as long as one likes. `moving`: a day's curve, phases. `whole`: a trace, a plan, all at once, cron. */
export type TrafficKind = 'steady' | 'moving' | 'whole';

/** Run time that is judged, and what is played before it so that queues and caches are as they stay. */
export interface Stretch {
  readonly warmMs: number;
  readonly spanMs: number;
}

/** What of a case says how much is played. */
export type Played = Pick<GridCase, 'window' | 'judged'> & { readonly set: readonly string[] };

const isSteady = (cohort: Cohort): boolean => {
  if (cohort.kind === 'closed') return true;
  if (cohort.arrival.kind !== 'renewal') return false;
  const { phases, stays, spike, diurnal } = cohort.arrival.rate;
  return stays && phases.length === 1 && spike === null && diurnal === null;
};

export function trafficKind(
  { kind, file }: Pick<LoadedScenario, 'kind' | 'file'>,
  { cohorts }: Plan,
): TrafficKind {
  if (kind !== 'scenario' || file === null || file.traffic.some(({ trace }) => trace !== undefined))
    return 'whole';
  if (cohorts.some(cohort => cohort.kind === 'open' && cohort.arrival.kind !== 'renewal')) return 'whole';
  return cohorts.every(isSteady) ? 'steady' : 'moving';
}

/** Most sessions that start within a slot of `spanMs` of the plan's clock, and where it begins; the first of equals. */
function busiest(cohorts: readonly Cohort[], spanMs: number): { fromMs: number; sessions: number } {
  const counts = new Map<number, number>();
  for (const cohort of cohorts) {
    if (cohort.kind === 'closed') continue;
    for (const { plannedMs } of cohort.sessions()) {
      const slot = Math.floor(plannedMs / spanMs);
      counts.set(slot, (counts.get(slot) ?? 0) + 1);
    }
  }
  let [best, most] = [0, 0];
  for (const [slot, count] of counts)
    if (count > most || (count === most && slot < best)) [best, most] = [slot, count];
  return { fromMs: best * spanMs, sessions: most };
}

/** Every trial asks the same of the same plan. */
const known = new WeakMap<Plan, Map<number, number>>();

/** Where most sessions start within `spanMs`, of the open cohorts as the file has them; their first instant. */
export function busiestMs(plan: Plan, spanMs: number): number {
  const ofPlan = known.get(plan) ?? new Map<number, number>();
  known.set(plan, ofPlan);
  const fromMs = ofPlan.get(spanMs) ?? busiest(plan.cohorts, spanMs).fromMs;
  ofPlan.set(spanMs, fromMs);
  return fromMs;
}

/**
 * How much of its peak rate lasts for `spanMs`, of the open cohort where that is least: 1 of steady traffic. What a spike
 * brings for a moment may wait, so nobody needs replicas for it.
 */
export function lastingRatio({ cohorts }: Plan, spanMs: number): number {
  return cohorts.reduce((least, cohort) => {
    if (cohort.kind === 'closed' || cohort.arrival.kind !== 'renewal' || isSteady(cohort)) return least;
    const peak = peakPerSec(cohort.arrival.rate, Number.POSITIVE_INFINITY) * (spanMs / 1000);
    return peak === 0 ? least : Math.min(least, busiest([cohort], spanMs).sessions / peak);
  }, 1);
}

/** What is played of a scenario at a load. */
export function played(
  loaded: Pick<LoadedScenario, 'kind' | 'file'>,
  plan: Plan,
  { warmMs, spanMs }: Stretch,
  loadFactor: number,
): Played {
  const kind = trafficKind(loaded, plan);
  if (kind === 'whole') return { set: [] };
  const judged = { fromMs: warmMs, toMs: warmMs + spanMs };
  // The clock of open arrivals runs `loadFactor` times as fast.
  const openMs = Math.ceil(judged.toMs * loadFactor);
  const set = plan.cohorts.flatMap(({ kind: of, index }) => {
    if (of === 'open' && kind === 'moving') return [];
    return [
      `traffic.${index}.for=${of === 'open' ? openMs : Math.ceil(judged.toMs)}ms`,
      `traffic.${index}.sessions=${SESSIONS_WITHOUT_END}`,
    ];
  });
  if (kind === 'steady') return { set, judged };
  const busyMs = busiestMs(plan, Math.ceil(spanMs * loadFactor));
  const fromMs = Math.max(0, busyMs - Math.ceil(warmMs * loadFactor));
  return {
    set,
    window: { fromMs, toMs: busyMs + Math.ceil(spanMs * loadFactor) },
    judged: { fromMs: (busyMs - fromMs) / loadFactor, toMs: (busyMs - fromMs) / loadFactor + spanMs },
  };
}
