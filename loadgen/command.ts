import { costBasis, standingReplicas } from '../engines/cost-basis.ts';
import { loadDeployment, type ReadyRun, readyRun, storedDeployment, withRouting } from '../engines/load.ts';
import { withBooks } from '../gateway/ledger/books.ts';
import { routingPolicies } from '../gateway/routing/index.ts';
import { chosenRouting } from '../gateway/routing/outside.ts';
import type { RoutingPolicy } from '../gateway/routing/policy.ts';
import { UserError } from '../scenarios/base/errors.ts';
import { openDisplay, titleOf } from '../scenarios/cli/live-display.ts';
import type { LoadedScenario } from '../scenarios/cli/load.ts';
import {
  deploymentSet,
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
import { reportersOf } from '../scenarios/formats/reporters.ts';
import type { PublishRun, RunOutput, ServeRun, Serving } from '../scenarios/formats/run.ts';
import { type LiveOptions, type ShardOptions, shardsOf, withLive, withShards } from './live-options.ts';
import { readyReplay } from './ready-replay.ts';
import { openRunLog } from './run-log.ts';
import { runStart } from './run-start.ts';
import { startReplay } from './start.ts';

const DRAWING_INTERVAL_MS = 100;

type ReplayCommandOptions = RunOptions & LiveOptions & ServeOptions & ShardOptions;

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
  const { plan } = ready;
  const startedAt = new Date().toISOString();
  const begun = await readyReplay(loaded, ready, options, { where, startedAt });
  const { deployment, header } = begun;
  const log = openRunLog(folder, runStart(header, plan, deployment));
  serving?.follow(folder);
  const start =
    options.driver === 'k6' ? (await import('./k6/driver.ts')).k6Driver(`${folder}/k6`) : startReplay;
  const replay = start({
    ...begun.start,
    onCall: log.onCall,
    onRecord: log.onRecord,
    listener: log.journal,
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
    output.header.warnings.push(...begun.missWarnings());
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

/** A replay that the workers of a queue make together. */
export interface QueuedReplay {
  readonly loaded: LoadedScenario;
  readonly ready: ReadyRun;
  readonly options: RunOptions & LiveOptions;
  /** redis://HOST:PORT */
  readonly queue: string;
  readonly shards: number;
  /** How long to wait for as many workers, ms. */
  readonly waitMs: number;
  readonly folder: string;
  readonly serving: Serving | null;
}
export type ReplayOnQueue = (run: QueuedReplay) => Promise<RunOutput>;

export const replayCommand = (
  publish: PublishRun,
  serve: ServeRun,
  onQueue: ReplayOnQueue,
): Command<ReplayCommandOptions> => ({
  builder: yargs =>
    withServe(withShards(withLive(withRun(yargs))))
      .example('$0 replay mixed-fleet -d emulated', 'against `windtunnel emulate emulated`')
      .example(
        '$0 replay traces/ -d my-vllm.yaml --scale-tokens 0.02 --gap-cap 2s',
        'recorded sessions, shrunk',
      )
      .example('$0 replay chat -d prod.yaml --queue redis://10.0.0.5 --shards 4', 'from four machines'),
  handler: async options => {
    const reporters = reportersOf(options.reporter ?? [], process.env);
    const sharded = shardsOf(options);
    const loaded = loadRun(options);
    refuseWarm(loaded);
    const routing = await chosenRouting(options.routing);
    const deployed = loadDeployment(options.deployment, routingPolicies, deploymentSet(options.set));
    const ready = withRouting(readyRun(loaded, deployed, options, 'live'), routing?.name);
    const folder = outFolder(options, runName(ready), 'live');
    keepInputs(folder, inputsOf(loaded, storedDeployment(deployed, ready.deployment), options));
    const serving = await openServing(options, serve);
    const output =
      sharded === null
        ? await runReplay(loaded, ready, options, { folder, routing, serving })
        : await onQueue({ loaded, ready, options, folder, serving, ...sharded });
    const published = await publish(output, { out: folder, reporters, json: options.json });
    if (options.json) printJson(published.result);
    say(options, published.summaryText);
    await endServing(serving, published.result, options);
    process.exitCode = published.exitCode;
  },
});
