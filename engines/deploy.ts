// A deployment file against the catalogue: its pools, what its providers sell, what stands around and in front of them.
import { type InputPath, type Issue, issue } from '../scenarios/base/issue.ts';
import type { DeploymentFile } from '../scenarios/formats/deployment/deployment.ts';
import { didYouMean } from '../scenarios/formats/suggest.ts';
import type { Model } from './catalog.ts';
import { gatewayContradictions } from './contradictions.ts';
import type { DeploymentSpec, PolicyChoice, SignalAges } from './engine.ts';
import { resolveGateway } from './gateway.ts';
import { resolveProvider } from './hosted.ts';
import { resolvePool } from './pool.ts';
import { reachIssues, resolvePlaces, resolveStores, resolveToolRuntimes } from './surroundings.ts';

/** A scrape of llm-d's endpoint picker, and events a few milliseconds late. */
export const DEFAULT_SIGNALS: SignalAges = { scrapeMs: 50, delayMs: 5, kvEventsMs: 5 };
/** Where the file names no policy: the plainest one that looks at load. */
const DEFAULT_ROUTING = 'least-outstanding';

export interface DeployOptions {
  /** Names of the routing policies that exist. */
  routingPolicies: readonly string[];
  /** Models of the user's own catalogue. */
  addedModels?: readonly Model[];
}

function resolveRouting(file: DeploymentFile, known: readonly string[]) {
  const given = file.routing ?? DEFAULT_ROUTING;
  const { policy, ...options } = typeof given === 'string' ? { policy: given } : given;
  const path: InputPath = typeof given === 'string' ? ['routing'] : ['routing', 'policy'];
  const hint = didYouMean(policy, known) ?? `known policies: ${known.join(', ')}`;
  const issues = known.includes(policy)
    ? []
    : [issue(path, 'WT1102', `unknown routing policy "${policy}"`, hint)];
  return { routing: { policy, options: options as Record<string, unknown> }, issues };
}

/** The file's schema has the names and options of admission policies; durations are ms by now. */
function resolveAdmission({ gateway }: DeploymentFile): PolicyChoice {
  const { policy, ...options } = gateway?.admission ?? { policy: 'always' as const };
  return { policy, options };
}

/** A router that looks at every decision is never late. */
function resolveSignals({ signals = {} }: DeploymentFile): SignalAges {
  const { scrape = DEFAULT_SIGNALS.scrapeMs, delay, kv_events: events } = signals;
  return {
    scrapeMs: scrape,
    delayMs: delay ?? (scrape === 0 ? 0 : DEFAULT_SIGNALS.delayMs),
    kvEventsMs: events === 'off' ? null : (events ?? DEFAULT_SIGNALS.kvEventsMs),
  };
}

/** Resolves every pool; `deployment` is null when there is an error. */
export function resolveDeployment(
  file: DeploymentFile,
  sha256: string,
  options: DeployOptions,
): { deployment: DeploymentSpec | null; issues: Issue[] } {
  const { routingPolicies, addedModels = [] } = options;
  const pools = Object.entries(file.pools ?? {}).map(([name, pool]) => resolvePool(name, pool, addedModels));
  const providers = Object.entries(file.providers ?? {}).map(([name, each]) =>
    resolveProvider(name, each, addedModels),
  );
  const hosted = providers.flatMap(each => each.hosted);
  const { scrape, delay } = file.signals ?? {};
  const late = scrape === 0 && (delay ?? 0) > 0;
  const signalIssues = late
    ? [
        issue(
          ['signals', 'delay'],
          'WT1005',
          'a scrape at every decision has no delay',
          'give `scrape` an interval',
        ),
      ]
    : [];
  const { routing, issues: routingIssues } = resolveRouting(file, routingPolicies);
  const { gateway, issues: gatewayIssues } = resolveGateway(file);
  const issues = [
    ...[...pools, ...providers].flatMap(each => each.issues),
    ...routingIssues,
    ...signalIssues,
    ...gatewayIssues,
    ...gatewayContradictions(file, gateway),
    ...reachIssues(file),
  ];
  const specs = pools.map(each => each.spec).filter(spec => spec !== null);
  if (issues.some(each => each.severity === 'error')) return { deployment: null, issues };
  return {
    deployment: {
      name: file.deployment,
      sha256,
      pools: specs,
      hosted,
      routing,
      signals: resolveSignals(file),
      admission: resolveAdmission(file),
      gateway,
      gatewayPlace: file.gateway?.place ?? null,
      toolRuntimes: resolveToolRuntimes(file),
      stores: resolveStores(file),
      places: resolvePlaces(file),
      allowHosts: file.allow_hosts ?? [],
    },
    issues,
  };
}
