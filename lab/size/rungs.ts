// How long to look: until the start has worn off and sessions have ended, a little for many candidates and long for few.

import { peakPerSec } from '../../scenarios/arrivals/rate.ts';
import { quantileSorted } from '../../scenarios/base/statistics.ts';
import type { LabContext } from '../lint/context.ts';
import type { Rung } from './search.ts';
import type { Stretch } from './traffic.ts';

const MINUTE_MS = 60_000;
/** Sessions that are half as long again are rare. */
const MAKESPAN_QUANTILE = 0.9;
/** Calls that a judgement rests on, at least, and what a short run may cost at most. */
const CALLS = { short: 400, middle: 2000, long: 6000 } as const;
const SPAN_MIN_MS = 10_000;
const WARM_MAX_MS = 30 * MINUTE_MS;

interface Pace {
  /** Ideal length of a long session, ms: nothing queues. */
  readonly makespanMs: number;
  /** Calls a second that the traffic brings, closed cohorts at the pace of an ideal world. */
  readonly callsPerSec: number;
}

export function paceOf({ plan, walks }: LabContext): Pace {
  const makespans = walks.map(({ makespanMs }) => makespanMs).sort((a, b) => a - b);
  let callsPerSec = 0;
  for (const cohort of plan.cohorts) {
    const own = walks.filter(({ session }) => session.cohort === cohort.name);
    if (own.length === 0) continue;
    const calls = own.reduce((sum, walked) => sum + walked.calls.length, 0) / own.length;
    const lengthMs = own.reduce((sum, walked) => sum + walked.makespanMs, 0) / own.length;
    if (cohort.kind === 'closed')
      callsPerSec += (cohort.agents * calls) / ((lengthMs + cohort.thinkMs(0, 0)) / 1000 + 1e-9);
    else if (cohort.arrival.kind === 'renewal')
      callsPerSec += peakPerSec(cohort.arrival.rate, Number.POSITIVE_INFINITY) * calls;
  }
  return {
    makespanMs: makespans.length === 0 ? 0 : quantileSorted(makespans, MAKESPAN_QUANTILE),
    callsPerSec,
  };
}

function stretchOf({ makespanMs, callsPerSec }: Pace, calls: number): Stretch {
  const warmMs = Math.min(Math.max(makespanMs, SPAN_MIN_MS), WARM_MAX_MS);
  const spanMs = Math.max(SPAN_MIN_MS, callsPerSec === 0 ? MINUTE_MS : (calls / callsPerSec) * 1000);
  return { warmMs: Math.ceil(warmMs), spanMs: Math.ceil(spanMs) };
}

/** `seeds`: of the last rung. */
export function rungsOf(ofScenario: Pace, loadFactor: number, seeds: number): [Rung, Rung, Rung] {
  const pace = { ...ofScenario, callsPerSec: ofScenario.callsPerSec * loadFactor };
  return [
    { name: 'short', stretch: stretchOf(pace, CALLS.short), seeds: 1 },
    { name: 'middle', stretch: stretchOf(pace, CALLS.middle), seeds: Math.min(3, seeds) },
    { name: 'long', stretch: stretchOf(pace, CALLS.long), seeds },
  ];
}

/** What a search climbs: the long stretch with two seeds first, which those that stand it need not play again. */
export const searchRungs = ([short, , long]: readonly [Rung, Rung, Rung]): Rung[] => [
  short,
  { name: 'middle', stretch: long.stretch, seeds: Math.min(2, long.seeds) },
  long,
];
