// More or less of the same traffic: the load factor of a run, and enough sessions for a number of calls.
import { sampleSessions } from '../../engines/prepare.ts';
import type { LoadedScenario } from '../../scenarios/cli/load.ts';
import type { OpenCohort, Plan } from '../../scenarios/formats/plan.ts';
import { parseScalar } from '../../scenarios/formats/quantity.ts';
import type { ScenarioFile } from '../../scenarios/formats/scenario.ts';
import { expectedCalls } from '../../scenarios/lint/expected.ts';
import type { Compiled } from '../../scenarios/workflows/compile.ts';
import { walk } from '../../scenarios/workflows/walk.ts';

/** What comes from `atMs` on within `factor` times `spanMs` comes within `spanMs`; what is later, so much earlier. */
export interface Burst {
  readonly atMs: number;
  readonly spanMs: number;
  readonly factor: number;
}

const warped = (cohort: OpenCohort, warp: (plannedMs: number) => number): OpenCohort => ({
  ...cohort,
  *sessions(log) {
    for (const session of cohort.sessions(log)) yield { ...session, plannedMs: warp(session.plannedMs) };
  },
});

const withWarp = (plan: Plan, warp: (plannedMs: number) => number): Plan => ({
  ...plan,
  cohorts: plan.cohorts.map(cohort => (cohort.kind === 'open' ? warped(cohort, warp) : cohort)),
});

/** Of its open cohorts, the sessions planned from `fromMs` to before `toMs`, as if the run began there. */
export const withWindow = (plan: Plan, { fromMs, toMs }: { fromMs: number; toMs: number }): Plan => ({
  ...plan,
  cohorts: plan.cohorts.map(cohort => (cohort.kind === 'open' ? windowed(cohort, fromMs, toMs) : cohort)),
});

const windowed = (cohort: OpenCohort, fromMs: number, toMs: number): OpenCohort => ({
  ...cohort,
  *sessions(log) {
    for (const session of cohort.sessions(log)) {
      if (session.plannedMs >= toMs) return;
      if (session.plannedMs >= fromMs) yield { ...session, plannedMs: session.plannedMs - fromMs };
    }
  },
});

/** The plan with a burst of its open arrivals: the same sessions with the same draws. */
export const withBurst = (plan: Plan, { atMs, spanMs, factor }: Burst): Plan =>
  withWarp(plan, plannedMs => {
    const intoMs = plannedMs - atMs;
    if (intoMs <= 0) return plannedMs;
    return intoMs < factor * spanMs ? atMs + intoMs / factor : plannedMs - (factor - 1) * spanMs;
  });

/**
 * The plan with the clock of its open arrivals `factor` times as fast: rates, phases and daily curves alike. The sessions
 * and all their draws stay the same, so runs at two loads meet the same agents. Closed cohorts have agents, not a clock
 * (`agentsAt`).
 */
export const atLoad = (plan: Plan, factor: number): Plan =>
  factor === 1 ? plan : withWarp(plan, plannedMs => plannedMs / factor);

/** `--set` lines that give closed cohorts `factor` times their agents, one at least. */
export const agentsAt = ({ file }: LoadedScenario, factor: number): string[] =>
  (file?.traffic ?? []).flatMap(({ arrival }, index) =>
    arrival?.closed === undefined || factor === 1
      ? []
      : [`traffic.${index}.arrival.closed.agents=${Math.max(1, Math.round(arrival.closed.agents * factor))}`],
  );

/** Whether a load factor changes anything: something must have a clock or agents. */
export const hasLoad = ({ cohorts }: Plan): boolean =>
  cohorts.some(cohort => cohort.kind === 'closed' || cohort.arrival.kind !== 'at-once');

/** Sessions of a cohort that are walked to learn how many calls one has. */
const WALKED = 100;
/** A plan of more sessions than these is not counted to its end. */
const COUNTED = 1_000_000;

/** Seeds differ: with so much more, few have fewer calls than asked for. */
const MARGIN = 1.03;

/** Sessions of an open cohort, by drawing their starts alone. */
function count(sessions: Iterable<unknown>): number {
  let n = 0;
  for (const _ of sessions) if (++n >= COUNTED) break;
  return n;
}

/** Calls of the plan, by the text of its workflows, else in an ideal world; closed cohorts that only a clock ends have 0. */
function callsOf({ plan, workflows }: Compiled, file: ScenarioFile): number {
  if (plan === null) return 0;
  const expected = new Map(
    [...workflows].map(([name, { steps, params }]) => [name, expectedCalls(steps, params)]),
  );
  const walked = new Map<string, { sessions: number; calls: number }>();
  for (const session of sampleSessions(plan, WALKED)) {
    const sum = walked.get(session.cohort) ?? { sessions: 0, calls: 0 };
    sum.sessions += 1;
    sum.calls += expected.get(session.program.workflow) ?? walk(session).calls.length;
    walked.set(session.cohort, sum);
  }
  return plan.cohorts.reduce((total, cohort) => {
    const { sessions = 0, calls = 0 } = walked.get(cohort.name) ?? {};
    const all =
      cohort.kind === 'open' ? count(cohort.sessions()) : (file.traffic[cohort.index]?.sessions ?? 0);
    return sessions === 0 ? total : total + (calls / sessions) * all;
  }, 0);
}

/**
 * `--set` lines after which a scenario makes about `calls` calls, mostly a little more: `sessions` and `for` of every
 * cohort times one factor, so that their mix stays. A trace has no more sessions than it holds, and phases end when they
 * end.
 */
export function sizedTo(loaded: LoadedScenario, calls: number): string[] {
  const { file, compiled, kind } = loaded;
  if (file === null || compiled === null || kind === 'plan') return [];
  const now = callsOf(compiled, file);
  if (now === 0) return [];
  const factor = (calls / now) * MARGIN;
  return file.traffic.flatMap((cohort, index) => {
    const lines: string[] = [];
    const span = cohort.for === undefined ? null : parseScalar(cohort.for, 'ms');
    if (span !== null && 'value' in span)
      lines.push(`traffic.${index}.for=${Math.ceil(span.value * factor)}ms`);
    if (cohort.sessions !== undefined)
      lines.push(`traffic.${index}.sessions=${Math.max(1, Math.ceil(cohort.sessions * factor))}`);
    return lines;
  });
}
