// Which parts of a run share nothing, so that each can be simulated by itself and all together are what one simulation
// says, to the byte: pools, and the cohorts that call them. Whatever could carry something over keeps a run whole.
import type { DeploymentSpec } from '../../engines/engine.ts';
import { isGoverned } from '../../gateway/govern.ts';
import type { Plan } from '../../scenarios/formats/plan.ts';
import type { ScenarioFile } from '../../scenarios/formats/scenario.ts';
import { eachStep, type Workflow } from '../../scenarios/workflows/program.ts';
import type { RunPart } from './part.ts';

export interface Whole {
  readonly file: ScenarioFile;
  readonly workflows: ReadonlyMap<string, Workflow>;
  readonly plan: Plan;
  readonly deployment: DeploymentSpec;
  /** Of a model alias. */
  readonly poolOf: (model: string) => string;
}

/**
 * Why a run is simulated whole, in words; null: nothing ties its pools together. Links do not: each call has the whole of
 * one, and connections are kept open for one pool.
 */
export function tieOf({ plan, deployment, file }: Whole): string | null {
  const { pools, admission } = deployment;
  if (isGoverned(plan, deployment)) return 'a gateway, providers, tool runtimes or stores serve all of it';
  if (admission.policy !== 'always') return 'one gate lets all calls in';
  if (pools.some(({ scaling, spot }) => scaling !== null || spot !== null))
    return 'pools whose replicas come and go do so until the whole run ends';
  if ((plan.crashes ?? []).length + (plan.faults ?? []).length > 0) return 'its faults may reach all of it';
  if (file.traffic.some(({ trace }) => trace !== undefined)) return 'a trace may call any model';
  return null;
}

/** Models that a workflow calls. */
function modelsOf({ steps }: Workflow): Set<string> {
  const models = new Set<string>();
  eachStep(steps, step => {
    if (step.verb === 'llm' || step.verb === 'compact') models.add(step.model);
    if (step.verb === 'llm' && step.compactAt !== null) models.add(step.compactAt.by.model);
  });
  return models;
}

/** The parts, in the order of their first pool; one or none where the run is whole. Pools that nobody calls go with the first. */
export function partsApart(whole: Whole): RunPart[] {
  const { file, workflows, plan, deployment, poolOf } = whole;
  if (tieOf(whole) !== null) return [];
  /** A pool's group: the first pool that it hangs together with. */
  const groups = new Map(deployment.pools.map(({ name }) => [name, name]));
  const groupOf = (pool: string): string => groups.get(pool)!;
  const called = plan.cohorts.map(({ index, name }) => {
    const { workflow, mix = {} } = file.traffic[index]!;
    const names = workflow === undefined ? Object.keys(mix) : [workflow];
    const pools = new Set(names.flatMap(each => [...modelsOf(workflows.get(each)!)].map(poolOf)));
    return { name, pools: [...pools] };
  });
  for (const { pools } of called)
    for (const pool of pools.slice(1)) {
      const [from, to] = [groupOf(pool), groupOf(pools[0]!)];
      for (const [each, group] of groups) if (group === from) groups.set(each, to);
    }
  const isCalled = (group: string): boolean =>
    called.some(({ pools }) => pools[0] !== undefined && groupOf(pools[0]) === group);
  const parts = [...new Set(groups.values())].filter(isCalled);
  return parts.map((group, i) => ({
    kind: 'apart',
    // A cohort that calls nothing goes with the first, too.
    cohorts: called
      .filter(({ pools }) => (pools[0] === undefined ? i === 0 : groupOf(pools[0]) === group))
      .map(({ name }) => name),
    pools: deployment.pools
      .map(({ name }) => name)
      .filter(name => groupOf(name) === group || (i === 0 && !isCalled(groupOf(name)))),
  }));
}
