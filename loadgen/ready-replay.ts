// A live run up to its first session: what of the files no live run obeys, whether its servers answer, what it may spend.
// The same for a run of this process and for a shard of one.
import { costBasis } from '../engines/cost-basis.ts';
import type { DeploymentSpec } from '../engines/engine.ts';
import type { ReadyRun } from '../engines/load.ts';
import { reachableHosted } from '../engines/prepare.ts';
import { missLedger } from '../gateway/misses/layer.ts';
import { cacheRules } from '../gateway/misses/rules.ts';
import { UserError } from '../scenarios/base/errors.ts';
import type { LoadedScenario } from '../scenarios/cli/load.ts';
import { headerOf } from '../scenarios/cli/run-options.ts';
import type { CommonOptions } from '../scenarios/cli/terminal.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import type { RunHeader } from '../scenarios/formats/run.ts';
import { startClock } from './clock.ts';
import { longestCalls } from './doctor/longest.ts';
import { estimateOf } from './estimate.ts';
import { type FirstTarget, firstCalls } from './first-call.ts';
import { refuseHosts } from './hosts.ts';
import {
  bustOf,
  durationOption,
  gpuUrlsOf,
  type LiveOptions,
  spendingOf,
  withEndpoints,
  workersOf,
} from './live-options.ts';
import { openFilesWarnings } from './open-files.ts';
import { USUAL_VOCAB_TOKENS } from './prompts/wording.ts';
import type { StartOptions } from './start.ts';

/** Every vocabulary has as many: for the first call, before that of the server is known. */
const FIRST_VOCAB_TOKENS = 1000;

/** All that calls may go to, with their live addresses; one without any is a UserError. */
function firstTargets(
  plan: Plan,
  deployment: DeploymentSpec,
  poolOf: (model: string) => string,
): FirstTarget[] {
  const longest = longestCalls(plan, poolOf);
  const pools = deployment.pools.map(({ name, endpoints }) => {
    if (endpoints.length > 0) return { what: `pool "${name}"`, endpoints, longest: longest.get(name) };
    throw new UserError(`pool "${name}" of "${deployment.name}" has no live endpoint`, {
      hint: 'add `endpoints: [{ url: http://127.0.0.1:8000/v1, model: NAME }]` to it, or pass --endpoint URL',
    });
  });
  const hosted = [...reachableHosted(plan, deployment).keys()].map(model => {
    const { name, provider, endpoint } = model;
    if (endpoint !== null)
      return { what: `provider "${provider}"`, endpoints: [endpoint], longest: longest.get(name) };
    throw new UserError(`calls may go to "${name}" of provider "${provider}", which has no live endpoint`, {
      hint: `give providers.${provider} an \`endpoint: { url: https://…/v1, key_env: NAME }\``,
    });
  });
  return [...pools, ...hosted];
}

/** Before the first request to an API that costs money. */
function sayPrice(plan: Plan, deployment: DeploymentSpec, options: LiveOptions & CommonOptions): void {
  if (options.quiet || reachableHosted(plan, deployment).size === 0) return;
  const estimate = estimateOf(plan, deployment, costBasis(deployment, plan).price);
  if (estimate === null) return;
  const { usd, sessions } = estimate;
  const what = sessions === null ? 'each session' : `all of it, ${sessions} sessions,`;
  const limit = options['max-usd'] === undefined ? '; --max-usd sets a limit' : '';
  const amount = `up to ${usd.toPrecision(3)} USD at list price, without cache hits and retries`;
  process.stderr.write(`${what} may cost ${amount}${limit}\n`);
}

/** Servers and networks are real: nobody here can make them fail. */
function faultWarnings({ faults = [], crashes = [] }: Plan): string[] {
  const kinds = new Set<string>(crashes.length > 0 ? ['replica crashes'] : []);
  for (const { kind } of faults)
    if (kind === 'provider_outage' || kind === 'network_loss' || kind === 'slow_replica') kinds.add(kind);
  if (kinds.size === 0) return [];
  return [
    `${[...kinds].join(', ')} of the scenario do not happen in a live run: its servers and networks are real ones ` +
      '(`windtunnel emulate --inject` has servers that fail)',
  ];
}

/** A window cut out of a trace begins with context that only the simulator's cache can hold beforehand. */
function primedWarnings({ recorded }: LoadedScenario): string[] {
  const sessions = [...recorded.values()].flat();
  const primed = sessions.filter(({ calls }) => calls.some(call => call.primedTokens > 0)).length;
  if (primed === 0) return [];
  return [
    `${primed} of ${sessions.length} sessions begin with context from before the window, which a live server has not ` +
      'seen: it prefills their first prompts in full, and the simulator does not',
  ];
}

/** How a run is named, and which part of it this is. */
export interface LiveHow {
  /** How the page names its servers: `measured at`. */
  readonly where: string;
  /** ISO 8601; shards share that of their coordinator, and with it the salt of their prompts. */
  readonly startedAt: string;
  /** 1 over the number of shards that a run is divided into. */
  readonly share?: number;
}

export interface ReadyReplay {
  /** With the kinds of its servers. */
  readonly deployment: DeploymentSpec;
  readonly header: RunHeader;
  /** Why caches missed, known at the end. */
  readonly missWarnings: () => string[];
  /** All but who is told of its records. */
  readonly start: Omit<StartOptions, 'listener' | 'onCall' | 'onRecord'>;
}

/** What can be known before any server is asked; a UserError for what is wrong. */
export function checkLive(
  { plan, poolOf, deployment }: ReadyRun,
  options: LiveOptions & CommonOptions,
): { named: DeploymentSpec; targets: FirstTarget[]; gpuUrls: readonly string[] } {
  const named = withEndpoints(deployment, options.endpoint);
  spendingOf(plan, named, options);
  const targets = firstTargets(plan, named, poolOf);
  durationOption('timeout', options.timeout);
  durationOption('stall', options.stall);
  workersOf(options);
  const gpuUrls = gpuUrlsOf(options['gpu-metrics'] ?? [], named);
  refuseHosts(
    targets.flatMap(({ what, endpoints }) => endpoints.map(({ url }) => ({ what, url }))),
    named.allowHosts,
    named.name,
  );
  sayPrice(plan, named, options);
  return { named, targets, gpuUrls };
}

/** Asks the servers for one word each; what would fail every call is a UserError. */
export async function readyReplay(
  loaded: LoadedScenario,
  ready: ReadyRun,
  options: LiveOptions & CommonOptions,
  { where, startedAt, share = 1 }: LiveHow,
): Promise<ReadyReplay> {
  const { plan, poolOf } = ready;
  const bust = bustOf(options, startedAt);
  const { named, targets, gpuUrls } = checkLive(ready, options);
  const environment = process.env;
  // Ours are tried when they have been learnt.
  const vocabTokens = options.driver === 'k6' ? (options.vocab ?? USUAL_VOCAB_TOKENS) : FIRST_VOCAB_TOKENS;
  const first = await firstCalls({ deployment: named, targets, environment, vocabTokens });
  const { deployment } = first;
  const limits = openFilesWarnings(plan);
  for (const warning of limits) process.stderr.write(`warning: ${warning}\n`);
  const warnings = [
    ...primedWarnings(loaded),
    ...faultWarnings(plan),
    ...ready.warnings,
    ...first.warnings,
    ...limits,
  ];
  const evidence = deployment.pools.flatMap(pool =>
    pool.endpoints.map(({ url, api }) => `${pool.name}: ${where} ${url} (${api})`),
  );
  const header = headerOf({ world: 'live', loaded, deployment, evidence, warnings, startedAt });
  const scope = bust.cacheBust === 'session' || bust.cacheBust === 'call' ? bust.cacheBust : 'run';
  const misses = missLedger({ poolOf, rules: cacheRules(deployment), scope });
  return {
    deployment,
    header,
    missWarnings: () => misses.warnings(),
    start: {
      plan,
      deployment,
      poolOf,
      header,
      clock: startClock(),
      environment,
      spending: spendingOf(plan, named, options, share),
      gpuUrls,
      watching: misses.layer,
      timeoutMs: durationOption('timeout', options.timeout),
      idleTimeoutMs: durationOption('stall', options.stall),
      workers: workersOf(options),
      ...(options.vocab === undefined ? {} : { vocabTokens: options.vocab }),
      ...bust,
    },
  };
}
