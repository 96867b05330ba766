// What stands between the sessions and the clusters of a simulated run, topmost first: the gateway with its tools and
// stores, the network, and the APIs of providers. Empty where the plan and the deployment ask for none of it.
import type { DeploymentSpec } from '../engines/engine.ts';
import { governingLayers } from '../gateway/govern.ts';
import type { Journal } from '../gateway/journal.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import type { MakeLayer } from '../scenarios/workflows/stack.ts';
import { hostedLayer } from './hosted/hosted.ts';
import { networkLayer } from './network/network.ts';
import { Paths } from './network/paths.ts';

/** `watching`: a layer that sees all that serves, as it is served. */
export function layersOf(
  plan: Plan,
  deployment: DeploymentSpec,
  journal: Journal,
  watching: MakeLayer | null = null,
): MakeLayer[] {
  const { hosted, places, pools, toolRuntimes, gatewayPlace } = deployment;
  const faults = plan.faults ?? [];
  const layers: MakeLayer[] = [];
  const placeOfTool = (tool: string): string | null =>
    (toolRuntimes.find(({ runs }) => runs?.includes(tool)) ?? toolRuntimes.find(({ runs }) => runs === null))
      ?.place ?? null;
  const paths = places === null ? null : new Paths(places);
  const wayMs = (tool: string, place: string | null): number => {
    const from = placeOfTool(tool) ?? places?.agents ?? null;
    return paths === null || from === null || place === null ? 0 : paths.way(from, place).rttMs;
  };
  layers.push(...governingLayers(plan, deployment, journal, wayMs));
  if (places !== null) {
    const placeOf = new Map<string, string | null>([
      ...pools.map(({ name, place }) => [name, place] as const),
      ...hosted.map(({ name, api }) => [name, api?.place ?? null] as const),
    ]);
    layers.push(
      networkLayer({
        places,
        placeOf: target => placeOf.get(target) ?? null,
        placeOfRuntime: placeOfTool,
        gatewayPlace,
        faults,
        seedText: String(plan.seed),
      }),
    );
  }
  if (watching !== null) layers.push(watching);
  if (hosted.length > 0) layers.push(hostedLayer({ hosted, faults, seed: plan.seed }));
  return layers;
}
