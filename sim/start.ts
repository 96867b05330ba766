// A plan on a deployment, ready to be simulated: its cluster with all policies, and the replicas that will be lost.
import type { DeploymentSpec, PoolSpec } from '../engines/engine.ts';
import { gateOf } from '../gateway/admission/index.ts';
import { isGoverned } from '../gateway/govern.ts';
import { Journal, type JournalListener } from '../gateway/journal.ts';
import type { RoutingPolicy } from '../gateway/routing/policy.ts';
import type { CallRecord } from '../scenarios/formats/record.ts';
import type { MakeLayer } from '../scenarios/workflows/stack.ts';
import type { ClusterOptions } from './cluster.ts';
import { createCluster } from './create-cluster.ts';
import { layersOf } from './layers.ts';
import { Demand } from './oracle.ts';
import type { OracleView } from './scaling/policy.ts';
import { Simulation, type SimulationOptions } from './simulate.ts';

export interface StartOptions extends Omit<SimulationOptions, 'cluster' | 'frontEnds' | 'gate'> {
  readonly deployment: DeploymentSpec;
  /** Told of what the gateway does, as it does it. */
  readonly listener?: JournalListener;
  /** In place of the deployment's: a policy from outside. */
  readonly routing?: RoutingPolicy | null;
  /** Sees all that serves, as it is served. */
  readonly watching?: MakeLayer;
}

export function startSimulation({
  deployment,
  routing,
  listener,
  watching,
  ...options
}: StartOptions): Simulation {
  const { plan } = options;
  const common = { seed: plan.seed, ...(routing == null ? {} : { routing }) };
  const knows = deployment.pools.some(pool => scalesBy(pool, 'oracle'));
  const oracle = knows ? { oracle: foresee({ deployment, ...options }, common) } : {};
  const atGate = (pool: string): number => simulation.waitingAtGate(pool);
  const journal = new Journal(options.keepRecords ?? true, listener);
  const layers = layersOf(plan, deployment, journal, watching);
  const simulation = new Simulation({
    ...options,
    layers,
    // A network or an API without a gateway keeps no attempts: there calls are all that is known.
    ...(isGoverned(plan, deployment) ? { governed: () => journal.finish(simulation.nowMs) } : {}),
    cluster: createCluster(deployment, { ...common, ...oracle, atGate }),
    frontEnds: new Map(deployment.pools.map(pool => [pool.name, pool.frontEnd])),
    gate: gateOf(deployment),
  });
  return simulation;
}

const scalesBy = ({ scaling, disaggregation }: PoolSpec, policy: string): boolean =>
  scaling?.policy === policy || disaggregation?.prefill.scaling?.policy === policy;

/** Runs the plan on the most replicas that each pool may have. */
function foresee(
  { deployment, ...options }: Omit<StartOptions, 'routing'>,
  common: ClusterOptions,
): (pool: string) => OracleView {
  const most = <T extends Pick<PoolSpec, 'replicas' | 'scaling'>>(pool: T): T => ({
    ...pool,
    replicas: pool.scaling?.max ?? pool.replicas,
    scaling: null,
  });
  const pools = deployment.pools.map(pool => ({
    ...most(pool),
    disaggregation:
      pool.disaggregation === null
        ? null
        : { ...pool.disaggregation, prefill: most(pool.disaggregation.prefill) },
  }));
  const calls = new Map<string, CallRecord[]>(pools.map(({ name }) => [name, []]));
  const simulation = new Simulation({
    plan: options.plan,
    poolOf: options.poolOf,
    header: options.header,
    cluster: createCluster({ ...deployment, pools }, common),
    frontEnds: new Map(pools.map(pool => [pool.name, pool.frontEnd])),
    keepRecords: false,
    onCall: call => calls.get(call.pool)?.push(call),
  });
  while (simulation.step(100_000));
  const demands = new Map([...calls].map(([pool, list]) => [pool, new Demand(list)]));
  return pool => demands.get(pool)!;
}
