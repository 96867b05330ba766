// Ten minutes of a demo beside what stays: caches are cold at first, queues are not there yet, and the busiest hour of a
// week is not in ten minutes.
import type { Candidate } from './candidate.ts';
import type { Evaluation, Evaluator } from './evaluate.ts';
import type { Stretch, TrafficKind } from './traffic.ts';

export interface Sustained {
  readonly demo: Evaluation;
  readonly week: Evaluation;
  /** Of the week, what was simulated: ms. */
  readonly simulatedMs: number;
}

const MINUTE_MS = 60_000;
const DEMO_MS = 10 * MINUTE_MS;
export const WEEK_MS = 7 * 24 * 60 * MINUTE_MS;
/** Calls that stand for ten minutes and for a week, where there are more; all of the week only if it is asked for. */
const CALLS = { demo: 20_000, week: 30_000 } as const;

export interface SustainedOptions {
  readonly evaluator: Evaluator;
  readonly candidate: Candidate;
  readonly kind: TrafficKind;
  readonly warmMs: number;
  readonly callsPerSec: number;
  /** Simulates all of it. */
  readonly isWhole: boolean;
}

/** Null of traffic with a length of its own. */
export async function sustainedOf(options: SustainedOptions): Promise<Sustained | null> {
  const { evaluator, candidate, kind, warmMs, callsPerSec, isWhole } = options;
  if (kind === 'whole' || callsPerSec === 0) return null;
  const lasting = (calls: number): number => Math.ceil((calls / callsPerSec) * 1000);
  const demo: Stretch = { warmMs: 0, spanMs: Math.min(DEMO_MS, lasting(CALLS.demo)) };
  const spanMs = isWhole ? WEEK_MS : Math.min(WEEK_MS, Math.max(demo.spanMs, lasting(CALLS.week)));
  const week: Stretch = { warmMs: Math.max(warmMs, demo.spanMs), spanMs };
  const [first, second] = await evaluator.evaluate([
    { candidate, stretch: demo, seeds: 1 },
    { candidate, stretch: week, seeds: 1 },
  ]);
  if (first == null || second == null || first.failure !== null || second.failure !== null) return null;
  return { demo: first, week: second, simulatedMs: spanMs };
}
