// What a planner's question has to work with, on library scenarios and deployments, short and in this thread.
import type { DeploymentSpec } from '../../engines/engine.ts';
import { loadDeployment } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { runGrid } from '../../lab/grid/run-grid.ts';
import { Evaluator } from '../../lab/size/evaluate.ts';
import { promisesOf } from '../../lab/size/promises.ts';
import type { Asking } from '../../lab/size/question.ts';
import { replicasOf, standingUsdPerHour } from '../../lab/size/questions/replicas.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';

export interface Asked {
  readonly scenario?: string;
  readonly deployment?: string;
  /** Of the scenario. */
  readonly set?: readonly string[];
  readonly deploymentSet?: readonly string[];
  readonly slos?: readonly string[];
  readonly seeds?: number;
  readonly warmMs?: number;
  readonly spanMs?: number;
  readonly jobs?: number;
  readonly others?: Readonly<Record<string, string>>;
}

export function askingOf({
  scenario = 'mixed-fleet',
  deployment: input = '8xh200-mistral-small-4',
  set = [],
  deploymentSet = [],
  slos = [],
  seeds = 2,
  warmMs = 60_000,
  spanMs = 120_000,
  jobs = 1,
  others = {},
}: Asked = {}): Asking & { readonly told: readonly string[] } {
  const first = loadScenario(scenario, { set });
  const { lines } = promisesOf(first.compiled!.plan!, slos);
  const loaded = loadScenario(scenario, { set: [...set, `assert=${JSON.stringify(lines)}`] });
  const deployed = loadDeployment(input, routingPolicies, deploymentSet);
  const deployment = deployed.deployment as DeploymentSpec;
  const replicas = replicasOf(deployment);
  const told: string[] = [];
  return {
    evaluator: new Evaluator({
      loaded,
      plan: loaded.compiled!.plan!,
      input: scenario,
      options: { set },
      promises: lines,
      run: runGrid,
      jobs,
    }),
    candidate: {
      name: deployment.name,
      group: deployment.name,
      replicas,
      choices: {},
      deployment: { input, set: deploymentSet },
      gpus: replicas,
      usdPerHour: standingUsdPerHour(deployment),
    },
    deployed,
    deployment,
    stretch: { warmMs, spanMs },
    seeds,
    others,
    tell: text => told.push(text),
    told,
  };
}
