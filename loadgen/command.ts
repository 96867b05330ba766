import { costBasis, standingReplicas } from '../engines/cost-basis.ts';
import type { DeploymentSpec } from '../engines/engine.ts';
import { loadDeployment, type ReadyRun, readyRun, storedDeployment, withRouting } from '../engines/load.ts';
import { reachableHosted } from '../engines/prepare.ts';
import { withBooks } from '../gateway/ledger/books.ts';
import { missLedger } from '../gateway/misses/layer.ts';
import { cacheRules } from '../gateway/misses/rules.ts';
import { routingPolicies } from '../gateway/routing/index.ts';
import { chosenRouting } from '../gateway/routing/outside.ts';
import type { RoutingPolicy } from '../gateway/routing/policy.ts';
import { UserError } from '../scenarios/base/errors.ts';
import { openDisplay, titleOf } from '../scenarios/cli/live-display.ts';
import type { LoadedScenario } from '../scenarios/cli/load.ts';
import {
  deploymentSet,
  headerOf,
  loadRun,
  outFolder,
  type RunOptions,
  runName,
  sha256,
  withRun,
} from '../scenarios/cli/run-options.ts';
import { endServing, openServing, type ServeOptions, withServe } from '../scenarios/cli/serve-options.ts';
import { inputsOf, keepInputs } from '../scenarios/cli/stored-inputs.ts';
import { type Command, type CommonOptions, onInterrupt, printJson, say } from '../scenarios/cli/terminal.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import { reportersOf } from '../scenarios/formats/reporters.ts';
import type { PublishRun, RunOutput, ServeRun, Serving } from '../scenarios/formats/run.ts';
import { startClock } from './clock.ts';
import { longestCalls } from './doctor/longest.ts';
import { estimateOf } from './estimate.ts';
import { type FirstTarget, firstCalls } from './first-call.ts';
import {
  bustOf,
  durationOption,
  gpuUrlsOf,
  type LiveOptions,
  spendingOf,
  withEndpoints,
  withLive,
  workersOf,
} from './live-options.ts';
import { openFilesWarnings } from './open-files.ts';
import { USUAL_VOCAB_TOKENS } from './prompts/wording.ts';
import { openRunLog } from './run-log.ts';
import { runStart } from './run-start.ts';
import { startReplay } from './start.ts';

const DRAWING_INTERVAL_MS = 100;
/** Every vocabulary has as many: for the first call, before that of the server is known. */
const FIRST_VOCAB_TOKENS = 1000;

type ReplayCommandOptions = RunOptions & LiveOptions & ServeOptions;

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

/** Warm starts exist in the simulator only: a live server's cache is as it is. */
export function refuseWarm({ file }: LoadedScenario): void {
  if (file?.traffic.some(cohort => cohort.warm === true) !== true) return;
  throw new UserError(
    'a warm start can be simulated, but not replayed: the server would have to hold that context',
    {
      hint: 'leave `warm` out, or replay twice with one --salt and take the second run',
    },
  );
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

/** Where a live run writes its calls, and how the page names its servers. */
interface ReplayPlace {
  folder: string;
  /** `measured at`, unless told otherwise. */
  where?: string;
  /** In place of the deployment's: a policy from outside. */
  routing?: RoutingPolicy | null;
  /** Shows the page meanwhile. */
  serving?: Serving | null;
}

/** Runs to the end with progress and a log in the folder; the first Ctrl-C gives up what is under way and keeps the rest. */
export async function runReplay(
  loaded: LoadedScenario,
  ready: ReadyRun,
  options: LiveOptions & CommonOptions,
  { folder, where = 'measured at', routing = null, serving = null }: ReplayPlace,
): Promise<RunOutput> {
  const { plan, poolOf } = ready;
  const startedAt = new Date().toISOString();
  const bust = bustOf(options, startedAt);
  const warnings = [...primedWarnings(loaded), ...faultWarnings(plan), ...ready.warnings];
  const named = withEndpoints(ready.deployment, options.endpoint);
  const spending = spendingOf(plan, named, options);
  const targets = firstTargets(plan, named, poolOf);
  sayPrice(plan, named, options);
  const environment = process.env;
  // Ours are tried when they have been learnt.
  const vocabTokens = options.driver === 'k6' ? (options.vocab ?? USUAL_VOCAB_TOKENS) : FIRST_VOCAB_TOKENS;
  const first = await firstCalls({ deployment: named, targets, environment, vocabTokens });
  const { deployment } = first;
  const gpuUrls = gpuUrlsOf(options['gpu-metrics'] ?? [], deployment);
  const limits = openFilesWarnings(plan);
  for (const warning of limits) process.stderr.write(`warning: ${warning}\n`);
  warnings.push(...first.warnings, ...limits);
  const evidence = deployment.pools.flatMap(pool =>
    pool.endpoints.map(({ url, api }) => `${pool.name}: ${where} ${url} (${api})`),
  );
  const header = headerOf({ world: 'live', loaded, deployment, evidence, warnings, startedAt });
  const log = openRunLog(folder, runStart(header, plan, deployment));
  serving?.follow(folder);
  const start =
    options.driver === 'k6' ? (await import('./k6/driver.ts')).k6Driver(`${folder}/k6`) : startReplay;
  const scope = bust.cacheBust === 'session' || bust.cacheBust === 'call' ? bust.cacheBust : 'run';
  const misses = missLedger({ poolOf, rules: cacheRules(deployment), scope });
  const replay = start({
    plan,
    deployment,
    poolOf,
    header,
    clock: startClock(),
    environment,
    spending,
    gpuUrls,
    onCall: log.onCall,
    onRecord: log.onRecord,
    listener: log.journal,
    watching: misses.layer,
    timeoutMs: durationOption('timeout', options.timeout),
    idleTimeoutMs: durationOption('stall', options.stall),
    workers: workersOf(options),
    ...(options.vocab === undefined ? {} : { vocabTokens: options.vocab }),
    ...bust,
    ...(routing == null ? {} : { routing }),
  });
  const display = openDisplay(titleOf(header, plan), plan.assertions, options);
  const stop = onInterrupt(() => {
    display.clear();
    replay.interrupt();
  });
  const drawing = setInterval(() => display.show(() => replay.soFar), DRAWING_INTERVAL_MS);
  log.follow(replay, reason => {
    display.clear();
    process.stderr.write(`\nthe run stops: ${reason}\n`);
    replay.stopReason ??= reason;
    replay.interrupt();
  });
  let output: RunOutput | null = null;
  try {
    output = await replay.run();
    output.header.warnings.push(...misses.warnings());
    const basis = costBasis(deployment, plan);
    return withBooks(output, basis, sha256, standingReplicas(deployment));
  } finally {
    clearInterval(drawing);
    display.clear();
    // Whoever has interrupted once leaves at once the second time, also while the report is written.
    if (output?.interrupted !== true) stop();
    await log.close(output);
  }
}

export const replayCommand = (publish: PublishRun, serve: ServeRun): Command<ReplayCommandOptions> => ({
  builder: yargs =>
    withServe(withLive(withRun(yargs)))
      .example('$0 replay mixed-fleet -d emulated', 'against `windtunnel emulate emulated`')
      .example(
        '$0 replay traces/ -d my-vllm.yaml --scale-tokens 0.02 --gap-cap 2s',
        'recorded sessions, shrunk',
      ),
  handler: async options => {
    const reporters = reportersOf(options.reporter ?? [], process.env);
    const loaded = loadRun(options);
    refuseWarm(loaded);
    const routing = await chosenRouting(options.routing);
    const deployed = loadDeployment(options.deployment, routingPolicies, deploymentSet(options.set));
    const ready = withRouting(readyRun(loaded, deployed, options, 'live'), routing?.name);
    const folder = outFolder(options, runName(ready), 'live');
    keepInputs(folder, inputsOf(loaded, storedDeployment(deployed, ready.deployment), options));
    const serving = await openServing(options, serve);
    const published = await publish(await runReplay(loaded, ready, options, { folder, routing, serving }), {
      out: folder,
      reporters,
      json: options.json,
    });
    if (options.json) printJson(published.result);
    say(options, published.summaryText);
    await endServing(serving, published.result, options);
    process.exitCode = published.exitCode;
  },
});
