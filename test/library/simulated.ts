// A library entry on a library deployment, simulated: what only a run can show.
import { loadDeployment } from '../../engines/load.ts';
import { prepare } from '../../engines/prepare.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { startSimulation } from '../../sim/start.ts';
import { HEADER } from '../builders/worlds.ts';
import { planOfEntry } from './sessions.ts';

/** Runs to the end. */
export function simulatedOn(scenario: string, deployment: string, ...set: string[]): RunOutput {
  const plan = planOfEntry(scenario, ...set);
  const spec = loadDeployment(deployment, routingPolicies).deployment!;
  const { poolOf, issues } = prepare(plan, spec);
  if (issues.length > 0) throw new Error(`${scenario} on ${deployment}: ${issues[0]!.message}`);
  const simulation = startSimulation({
    plan,
    deployment: spec,
    poolOf,
    header: HEADER,
  });
  while (simulation.step(5000));
  return simulation.finish();
}
