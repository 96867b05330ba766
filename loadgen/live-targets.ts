// Where calls of a live run go: pools of live addresses behind their routers, and the addresses of providers' models.
import type { DeploymentSpec, Endpoint, HostedModel, PoolSpec } from '../engines/engine.ts';
import { Balancer } from '../gateway/routing/balancer.ts';
import { routingPolicy } from '../gateway/routing/index.ts';
import type { RoutingPolicy } from '../gateway/routing/policy.ts';

export interface LiveTarget {
  readonly name: string;
  readonly modelId: string;
  readonly endpoints: readonly Endpoint[];
  /** Of a pool. A provider shows no replicas: null. */
  readonly pool: { readonly balancer: Balancer; readonly replicas: readonly string[] } | null;
}

/** By name. `outside` stands in place of the deployment's own policy. */
export function liveTargets(deployment: DeploymentSpec, outside?: RoutingPolicy): Map<string, LiveTarget> {
  const targets = [
    ...deployment.hosted.map(hostedTarget),
    ...deployment.pools.map(spec => poolTarget(spec, deployment, outside)),
  ];
  return new Map(targets.map(target => [target.name, target]));
}

function poolTarget(spec: PoolSpec, deployment: DeploymentSpec, outside?: RoutingPolicy): LiveTarget {
  const { name, modelId, endpoints } = spec;
  const replicas = endpoints.map((_, row) => `${name}/${row}`);
  const balancer = balancerOf(spec, deployment, outside);
  for (const [row, replica] of replicas.entries()) balancer.open(row, replica);
  return { name, modelId, endpoints, pool: { balancer, replicas } };
}

const hostedTarget = ({ name, modelId, endpoint }: HostedModel): LiveTarget => ({
  name,
  modelId,
  endpoints: endpoint === null ? [] : [endpoint],
  pool: null,
});

/** Endpoints send no KV events: policies remember what they sent. What is scraped is seen at once. */
function balancerOf(
  { limits }: PoolSpec,
  { routing }: DeploymentSpec,
  outside: RoutingPolicy = routingPolicy(routing.policy),
): Balancer {
  const { blockTokens, kvBlocks, maxBatchedTokens, maxSequences } = limits;
  const kvTokens = kvBlocks * blockTokens;
  return new Balancer({
    policy: outside,
    options: routing.options,
    setup: { role: 'both', blockTokens, kvTokens, maxBatchedTokens, maxSequences },
    delayMs: 0,
    cache: null,
  });
}
