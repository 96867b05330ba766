// What stands around the models of a deployment: places and the links between, where tools run, what agents keep state in.
import { type Issue, issue } from '../scenarios/base/issue.ts';
import type { DeploymentFile } from '../scenarios/formats/deployment/deployment.ts';
import type { PlacesSpec, StoreSpec, ToolRuntimeSpec } from '../scenarios/formats/rules.ts';

/** How long an idle connection, or an idle sandbox, stays where the file does not say. */
const IDLE_MS = 60_000;

/** Sessions start at the client where the file does not say. */
function agentsPlace({ agents, places = {} }: DeploymentFile): string | null {
  const clients = Object.keys(places).filter(name => places[name]?.kind === 'client');
  return agents?.place ?? (clients.length === 1 ? (clients[0] as string) : null);
}

/** Null: everything is in one place. */
export const resolvePlaces = (file: DeploymentFile): PlacesSpec | null =>
  file.places === undefined
    ? null
    : {
        places: Object.entries(file.places).map(([name, { kind, labels }]) => ({
          name,
          kind,
          labels: labels ?? [],
        })),
        links: Object.entries(file.links ?? {}).map(([name, link]) => ({
          name,
          between: link.between,
          rttMs: link.rtt,
          jitter: link.jitter ?? null,
          bytesPerSec: link.bandwidth ?? null,
          tls: link.tls ?? true,
          keepAliveMs: link.keep_alive ?? IDLE_MS,
          lossRatio: link.loss ?? 0,
        })),
        agents: agentsPlace(file),
      };

export const resolveStores = (file: DeploymentFile): StoreSpec[] =>
  Object.entries(file.stores ?? {}).map(([name, each]) => ({
    name,
    kind: each.kind,
    read: each.read,
    write: each.write ?? each.read,
    concurrency: each.concurrency ?? null,
    capacity: each.capacity ?? null,
    staleMs: each.stale ?? 0,
    place: each.place ?? null,
    usdPerOp: each.price ?? 0,
  }));

export const resolveToolRuntimes = (file: DeploymentFile): ToolRuntimeSpec[] =>
  Object.entries(file.tools ?? {}).map(([name, each]) => ({
    name,
    runs: each.runs ?? null,
    place: each.place ?? null,
    start: each.start ?? null,
    warmPool: each.warm_pool ?? 0,
    keep: each.keep ?? 'call',
    idleMs: each.idle ?? IDLE_MS,
    concurrency: each.concurrency ?? null,
    queue: each.queue ?? null,
    limits: {
      cpu: each.limits?.cpu ?? null,
      memoryBytes: each.limits?.memory ?? null,
      timeMs: each.limits?.time ?? null,
    },
    cpu: each.cpu ?? null,
    memoryBytes: each.memory ?? null,
    failRatio: each.fail ?? 0,
    usdPerHour: each.price ?? null,
  }));

/** Everything that stands somewhere must be reached from where agents and the gateway are. */
export function reachIssues(file: DeploymentFile): Issue[] {
  const { places, links = {}, gateway } = file;
  if (places === undefined) return [];
  const from = agentsPlace(file) ?? gateway?.place;
  if (from === undefined) {
    const message = 'nothing says where calls come from';
    return [issue(['places'], 'WT1004', message, 'give `agents: { place: … }`, or a place of kind client')];
  }
  const reached = new Set([from]);
  for (let before = 0; before < reached.size; ) {
    before = reached.size;
    for (const { between } of Object.values(links))
      if (between.some(each => reached.has(each))) for (const each of between) reached.add(each);
  }
  const issues: Issue[] = [];
  const hint = (place: string): string => `add a link: { between: [${from}, ${place}], rtt: 40ms }`;
  const check = (place: string | undefined, path: readonly string[]): void => {
    if (place === undefined || !Object.hasOwn(places, place) || reached.has(place)) return;
    issues.push(
      issue([...path, 'place'], 'WT1404', `no link leads from "${from}" to "${place}"`, hint(place)),
    );
  };
  check(gateway?.place, ['gateway']);
  for (const key of ['pools', 'providers', 'tools', 'stores'] as const)
    for (const [name, { place }] of Object.entries(file[key] ?? {})) check(place, [key, name]);
  return issues;
}
