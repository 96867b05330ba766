// A deployment behind a socket: its reference cluster, driven by the real clock.
import type { DeploymentSpec } from '../../engines/engine.ts';
import { createCluster } from '../reference/cluster.ts';
import type { Injection } from './inject.ts';
import { type Emulator, startEmulator } from './server.ts';

/** Each pool answers to its own name, its catalogue model, and the names that its endpoints give. */
export function emulateDeployment(
  deployment: DeploymentSpec,
  options: { port: number; host?: string; speed?: number; injection?: Injection | null },
): Promise<Emulator> {
  const models = deployment.pools.flatMap(pool => {
    const names = new Set([pool.name, pool.modelId, ...pool.endpoints.map(endpoint => endpoint.model)]);
    return [...names].map(name => ({ name, pool: pool.name }));
  });
  return startEmulator({
    cluster: createCluster(deployment, { everyToken: true }),
    clock: () => performance.now(),
    models,
    port: options.port,
    host: options.host ?? '127.0.0.1',
    speed: options.speed ?? 1,
    injection: options.injection ?? null,
  });
}
