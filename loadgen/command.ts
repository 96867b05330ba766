// `replay`: a scenario as real load on a deployment's live endpoints.
import { createWriteStream, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Argv } from 'yargs';
import { costBasis, standingReplicas } from '../engines/cost-basis.ts';
import { type DeploymentSpec, type Endpoint, USUAL_HINTS } from '../engines/engine.ts';
import { loadDeployment, type ReadyRun, readyRun, withRouting } from '../engines/load.ts';
import { reachableHosted } from '../engines/prepare.ts';
import { withBooks } from '../gateway/ledger/books.ts';
import { routingPolicies } from '../gateway/routing/index.ts';
import { chosenRouting } from '../gateway/routing/outside.ts';
import type { RoutingPolicy } from '../gateway/routing/policy.ts';
import { UserError } from '../scenarios/base/errors.ts';
import type { LoadedScenario } from '../scenarios/cli/load.ts';
import {
  headerOf,
  loadRun,
  outFolder,
  type RunOptions,
  runName,
  sha256,
  withRun,
} from '../scenarios/cli/run-options.ts';
import {
  type Command,
  type CommonOptions,
  onInterrupt,
  ProgressLine,
  printJson,
  say,
} from '../scenarios/cli/terminal.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import { parseScalar } from '../scenarios/formats/quantity.ts';
import type { CallRecord } from '../scenarios/formats/record.ts';
import type { PublishRun, RunOutput } from '../scenarios/formats/run.ts';
import { createClient } from './client.ts';
import { startClock } from './clock.ts';
import { startReplay } from './start.ts';

const DRAWING_INTERVAL_MS = 200;

/** How a live run is made: shared with `validate`. */
export interface LiveOptions {
  endpoint: string[];
  timeout: string;
  stall: string;
  vocab: number;
  salt: string | undefined;
}

type ReplayCommandOptions = RunOptions & LiveOptions;

export const withLive = <T>(yargs: Argv<T>) =>
  yargs
    .option('endpoint', {
      type: 'string',
      array: true,
      default: [] as string[],
      describe: 'base URL up to /v1, instead of those of the file (repeatable)',
    })
    .option('timeout', { type: 'string', default: '15m', describe: 'longest a call may take' })
    .option('stall', { type: 'string', default: '5m', describe: 'longest silence inside a call' })
    .option('vocab', { type: 'number', default: 32_000, describe: 'vocabulary size, for token-id prompts' })
    .option('salt', {
      type: 'string',
      describe: "mixed into all prompts, so that an earlier run's cache is not found [the time]",
    })
    .group(['endpoint', 'timeout', 'stall', 'vocab', 'salt'], 'Live:');

/** Endpoints named on the command line serve every pool. */
function withEndpoints(deployment: DeploymentSpec, urls: readonly string[]): DeploymentSpec {
  if (urls.length === 0) return deployment;
  for (const url of urls) {
    if (!/^https?:$/.test(URL.parse(url)?.protocol ?? '')) {
      throw new UserError(`--endpoint ${url}: not an http address`, {
        hint: 'e.g. --endpoint http://127.0.0.1:8000/v1',
      });
    }
  }
  const pools = deployment.pools.map(pool => {
    const first = pool.endpoints[0];
    const model = first?.model ?? pool.modelId;
    return {
      ...pool,
      endpoints: urls.map(url => ({
        url: url.replace(/\/+$/, ''),
        model,
        keyEnv: first?.keyEnv ?? null,
        api: first?.api ?? ('chat' as const),
        hints: first?.hints ?? USUAL_HINTS,
      })),
    };
  });
  return { ...deployment, pools };
}

/** All that calls may go to, with their live addresses; one without any is a UserError. */
function liveTargets(plan: Plan, deployment: DeploymentSpec): { name: string; endpoints: Endpoint[] }[] {
  const pools = deployment.pools.map(({ name, endpoints }) => {
    if (endpoints.length > 0) return { name: `pool "${name}"`, endpoints };
    throw new UserError(`pool "${name}" of "${deployment.name}" has no live endpoint`, {
      hint: 'add `endpoints: [{ url: http://127.0.0.1:8000/v1, model: NAME }]` to it, or pass --endpoint URL',
    });
  });
  const hosted = [...reachableHosted(plan, deployment).keys()].map(({ name, provider, endpoint }) => {
    if (endpoint !== null) return { name: `provider "${provider}"`, endpoints: [endpoint] };
    throw new UserError(`calls may go to "${name}" of provider "${provider}", which has no live endpoint`, {
      hint: `give providers.${provider} an \`endpoint: { url: https://…/v1, key_env: NAME }\``,
    });
  });
  return [...pools, ...hosted];
}

/** Every address answers and, where a key is named, the key is there; else a UserError that says what to do. */
async function checkEndpoints(plan: Plan, deployment: DeploymentSpec): Promise<void> {
  const client = createClient({ clock: startClock(), connectTimeoutMs: 3000 });
  try {
    for (const { name, endpoints } of liveTargets(plan, deployment)) {
      for (const { url, keyEnv } of endpoints) {
        if (keyEnv !== null && (process.env[keyEnv] ?? '') === '') {
          throw new UserError(`${name} takes its key from ${keyEnv}, which is not set`, {
            hint: `export ${keyEnv}=…`,
          });
        }
        if ((await client.warmUp(url, 1)) === 0) {
          throw new UserError(`nothing answers at ${url}`, {
            hint: 'start the server, or `windtunnel emulate DEPLOYMENT`, and check the url (it ends in /v1)',
            exitCode: 1,
          });
        }
      }
    }
  } finally {
    await client.close();
  }
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

function durationOption(name: string, raw: string): number {
  const parsed = parseScalar(raw, 'ms');
  if ('value' in parsed) return parsed.value;
  throw new UserError(`--${name}: ${parsed.error}`, { hint: parsed.hint });
}

/** calls.jsonl grows while the run goes on, so that nothing is lost when it is cut off. */
function callLog(folder: string): { write: (record: CallRecord) => void; close: () => Promise<void> } {
  mkdirSync(folder, { recursive: true });
  const file = createWriteStream(join(folder, 'calls.jsonl'));
  return {
    write: record => void file.write(`${JSON.stringify(record)}\n`),
    close: () => new Promise(done => file.end(() => done())),
  };
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
}

/** Runs to the end with progress and calls.jsonl; the first Ctrl-C gives up what is under way and keeps the rest. */
export async function runReplay(
  loaded: LoadedScenario,
  ready: ReadyRun,
  options: LiveOptions & CommonOptions,
  { folder, where = 'measured at', routing = null }: ReplayPlace,
): Promise<RunOutput> {
  const { plan, poolOf } = ready;
  const warnings = [...primedWarnings(loaded), ...faultWarnings(plan), ...ready.warnings];
  const deployment = withEndpoints(ready.deployment, options.endpoint);
  await checkEndpoints(plan, deployment);
  const startedAt = new Date().toISOString();
  const evidence = deployment.pools.flatMap(pool =>
    pool.endpoints.map(({ url, api }) => `${pool.name}: ${where} ${url} (${api})`),
  );
  const log = callLog(folder);
  const replay = startReplay({
    plan,
    deployment,
    poolOf,
    header: headerOf({ world: 'live', loaded, deployment, evidence, warnings, startedAt }),
    clock: startClock(),
    environment: process.env,
    onCall: log.write,
    timeoutMs: durationOption('timeout', options.timeout),
    idleTimeoutMs: durationOption('stall', options.stall),
    vocabTokens: options.vocab,
    salt: options.salt ?? startedAt,
    ...(routing == null ? {} : { routing }),
  });
  const line = new ProgressLine(options);
  const stop = onInterrupt(() => replay.interrupt());
  const drawing = setInterval(() => {
    const { sessionsStarted, callsEnded, callsInFlight } = replay.progress;
    const total = plan.sessionCount === null ? '' : ` of ${plan.sessionCount}`;
    line.show(
      () => `live: ${sessionsStarted}${total} sessions, ${callsEnded} calls, ${callsInFlight} in flight`,
    );
  }, DRAWING_INTERVAL_MS);
  try {
    const basis = costBasis(deployment, plan);
    return withBooks(await replay.run(), basis, sha256, standingReplicas(deployment));
  } finally {
    clearInterval(drawing);
    line.clear();
    stop();
    await log.close();
  }
}

export const replayCommand = (publish: PublishRun): Command<ReplayCommandOptions> => ({
  builder: yargs =>
    withLive(withRun(yargs))
      .example('$0 replay mixed-fleet -d emulated', 'against `windtunnel emulate emulated`')
      .example(
        '$0 replay traces/ -d my-vllm.yaml --scale-tokens 0.02 --gap-cap 2s',
        'recorded sessions, shrunk',
      ),
  handler: async options => {
    const loaded = loadRun(options);
    refuseWarm(loaded);
    const routing = await chosenRouting(options.routing);
    const deployed = loadDeployment(options.deployment, routingPolicies);
    const ready = withRouting(readyRun(loaded, deployed, options, 'live'), routing?.name);
    const folder = outFolder(options, runName(ready), 'live');
    const published = await publish(await runReplay(loaded, ready, options, { folder, routing }), {
      out: folder,
    });
    if (options.json) printJson(published.result);
    say(options, published.summaryText);
    process.exitCode = published.exitCode;
  },
});
