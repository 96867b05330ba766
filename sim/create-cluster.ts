// Which engine runs a deployment: the fast one where it models all that the pools ask for, else the reference. Both tell
// the same events.
import type { DeploymentSpec } from '../engines/engine.ts';
import type { ClusterOptions, ManagedCluster } from './cluster.ts';
import { FastCluster, isFast } from './fast/cluster.ts';
import { createCluster as createReference } from './reference/cluster.ts';

export function createCluster(deployment: DeploymentSpec, options: ClusterOptions = {}): ManagedCluster {
  const fast = options.everyToken !== true && deployment.pools.every(isFast);
  return fast ? new FastCluster(deployment, options) : createReference(deployment, options);
}
