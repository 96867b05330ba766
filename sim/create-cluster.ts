// Which engine runs a deployment: the fast one where it models all that the pools ask for, else the reference. Both tell
// the same events.
import type { DeploymentSpec } from '../engines/engine.ts';
import type { Cluster, ClusterOptions } from './cluster.ts';
import { FastCluster, isFast } from './fast/cluster.ts';
import { createCluster as createReference } from './reference/cluster.ts';

export function createCluster(deployment: DeploymentSpec, options: ClusterOptions = {}): Cluster {
  const fast = options.everyToken !== true && deployment.pools.every(isFast);
  return fast ? new FastCluster(deployment) : createReference(deployment, options);
}
