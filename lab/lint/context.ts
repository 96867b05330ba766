// What lints look at that need more than the text: walked sessions with what a cache holds, prices, and a deployment.
import type { DeploymentSpec } from '../../engines/engine.ts';
import { type Server, serverOf } from '../../engines/prepare.ts';
import { quantileSorted } from '../../scenarios/base/statistics.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import type { ScenarioFile } from '../../scenarios/formats/scenario.ts';
import { usedNames } from '../../scenarios/formats/unbuilt.ts';
import type { LintContext, WalkedSession } from '../../scenarios/lint/lint.ts';
import type { Workflow } from '../../scenarios/workflows/program.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { type Price, pricesOf } from '../prices.ts';
import { walkedSessions } from '../sample.ts';
import { shapeOf, type WorkflowShape } from '../shape.ts';

export interface LabContext extends LintContext {
  readonly shapes: readonly WorkflowShape[];
  /** null where only the scenario is checked. */
  readonly deployment: DeploymentSpec | null;
  priceOf(model: string): Price | null;
  /** What serves a model; null without a deployment. */
  serverOf(model: string): Server | null;
  /** The walked sessions that the traffic starts of a workflow. */
  walksOf(workflow: string): readonly WalkedSession[];
  /** Of those the time of tools, people and waits alone, as if no call took any: ms, ascending. */
  withoutCallsMs(workflow: string): readonly number[];
}

/** Walks the first sessions of a compiled scenario and puts together what is known of it. */
export function labContext(
  file: ScenarioFile,
  { plan, workflows }: { plan: Plan; workflows: ReadonlyMap<string, Workflow> },
  deployment: DeploymentSpec | null,
): LabContext {
  const walks = walkedSessions(plan);
  const priceOf = pricesOf(plan, deployment);
  const byWorkflow = Map.groupBy(walks, ({ session }) => session.program.workflow);
  const walksOf = (workflow: string): readonly WalkedSession[] => byWorkflow.get(workflow) ?? [];
  const makespans = new Map<string, readonly number[]>();
  const reached = usedNames(file).workflows;
  return {
    file,
    plan,
    workflows: new Map([...workflows].filter(([name]) => reached.has(name))),
    walks,
    shapes: shapeOf(plan, workflows, priceOf, walks),
    deployment,
    priceOf,
    serverOf: model => (deployment === null ? null : serverOf(model, plan, deployment)),
    walksOf,
    withoutCallsMs: workflow => {
      const known = makespans.get(workflow);
      if (known !== undefined) return known;
      const made = walksOf(workflow).map(({ session }) => walk(session, () => 0).makespanMs);
      made.sort((a, b) => a - b);
      makespans.set(workflow, made);
      return made;
    },
  };
}

/** The value below which a share of ascending values lies; null for none. */
export const quantileOf = (ascending: readonly number[], share: number): number | null =>
  ascending.length === 0 ? null : quantileSorted(ascending, share);

/** The least of some values; Infinity of none. */
export const smallest = (values: readonly number[]): number =>
  values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
