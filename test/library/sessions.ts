// Sessions of a library entry, walked in an ideal world: what its numbers are counted from.
import { sampleSessions } from '../../engines/prepare.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import { formatIssues } from '../../scenarios/formats/source.ts';
import { type Walked, walk } from '../../scenarios/workflows/walk.ts';

/** The plan of a library entry, with `path=value` overrides. */
export function planOfEntry(name: string, ...set: string[]): Plan {
  const { compiled, issues, source } = loadScenario(name, { set });
  const errors = issues.filter(each => each.severity === 'error');
  if (compiled?.plan == null || errors.length > 0) {
    throw new Error(`${name}:\n${formatIssues(errors, source, { colour: false })}`);
  }
  return compiled.plan;
}

export interface WalkedSession extends Walked {
  readonly workflow: string;
}

/** Up to `perCohort` sessions of each cohort. */
export const walked = (plan: Plan, perCohort = 100): WalkedSession[] =>
  [...sampleSessions(plan, perCohort)].map(session => ({
    ...walk(session),
    workflow: session.program.workflow,
  }));

/** The least value with a share of at least `q` at or below it. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)]!;
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
