// `simulate` and `emulate`: the simulator's commands.
import { costBasis } from '../engines/cost-basis.ts';
import { loadDeployment, type ReadyRun, readyRun, storedDeployment, withRouting } from '../engines/load.ts';
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
import { reportersOf } from '../scenarios/formats/reporters.ts';
import type { PublishRun, RunOutput, ServeRun, Serving } from '../scenarios/formats/run.ts';
import { startSimulation } from './start.ts';

/** Instants handled between two looks at the signals and the terminal. */
const SLICE = 2000;

const pause = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

/** Runs to the end, with progress; the first Ctrl-C ends it early, with what there is. */
export async function runSimulation(
  loaded: LoadedScenario,
  { plan, deployment, poolOf, warnings }: ReadyRun,
  options: CommonOptions,
  { routing = null, serving = null }: { routing?: RoutingPolicy | null; serving?: Serving | null } = {},
): Promise<RunOutput> {
  const evidence = deployment.pools.flatMap(pool => pool.evidence);
  const misses = missLedger({ poolOf, rules: cacheRules(deployment) });
  const header = headerOf({ world: 'sim', loaded, deployment, evidence, warnings, startedAt: null });
  const simulation = startSimulation({
    plan,
    deployment,
    poolOf,
    routing,
    watching: misses.layer,
    header,
  });
  const display = openDisplay(titleOf(header, plan), plan.assertions, options);
  const stop = onInterrupt(() => {
    display.clear();
    simulation.interrupt();
  });
  try {
    while (simulation.step(SLICE)) {
      display.show(() => simulation.soFar);
      serving?.show(header, plan.assertions, () => simulation.soFar);
      await pause();
    }
  } finally {
    display.clear();
    stop();
  }
  const output = simulation.finish();
  output.header.warnings.push(...misses.warnings());
  return withBooks(output, costBasis(deployment, plan), sha256);
}

interface SimulateOptions extends RunOptions, ServeOptions {
  records: 'all' | 'none';
  cells: number | undefined;
  jobs: number | undefined;
  queue: string | undefined;
}

/** A run of which no records are kept, in parts; only the lab knows threads. */
export type SimulateInParts = (options: SimulateOptions) => Promise<void>;

/** What records are for has no meaning without them. */
function refuseRecords(options: SimulateOptions): void {
  const { serve, reporter = [] } = options;
  const name = serve !== undefined ? 'serve' : reporter.length > 0 ? 'reporter' : undefined;
  if (name === undefined) return;
  throw new UserError(`--${name} needs records, and this run keeps none`, {
    hint: `leave --${name} out, or --records none and --cells`,
  });
}

/** The command; `publish` comes from the wiring, since only it may see reports/. */
export const simulateCommand = (
  publish: PublishRun,
  serve: ServeRun,
  inParts: SimulateInParts,
): Command<SimulateOptions> => ({
  builder: yargs =>
    withServe(withRun(yargs))
      .option('records', {
        choices: ['all', 'none'] as const,
        default: 'all' as const,
        describe: 'none: only counters and histograms, in constant memory; a verdict and no page',
      })
      .option('cells', {
        type: 'number',
        describe: 'shares out replicas and sessions to so many cells, a thread each; keeps no records',
      })
      .option('jobs', { type: 'number', describe: 'threads for parts and cells [one a core]' })
      .option('queue', {
        type: 'string',
        describe: 'parts and cells on the workers of this Redis, redis://HOST:PORT; see docs/scale-out.md',
      })
      .example('$0 simulate job-scanner -d workstation-ministral-14b', 'a library scenario on one GPU')
      .example('$0 simulate mixed-fleet -d edge --routing ./mine.ts', 'with a routing policy of your own')
      .example('$0 simulate S -d D --cells 8', 'a fleet in eight cells, in constant memory')
      .example('$0 simulate traces/ -d 8xh200-mistral-small-4 --warm', 'recorded sessions, caches warm'),
  handler: async options => {
    if (options.records === 'none' || options.cells !== undefined) {
      refuseRecords(options);
      await inParts(options);
      return;
    }
    if (options.queue !== undefined)
      throw new UserError('--queue takes runs in parts, and this one is a whole with records', {
        hint: 'add --records none or --cells N; many runs go there with `sweep` and `size`',
      });
    const reporters = reportersOf(options.reporter ?? [], process.env);
    const loaded = loadRun(options);
    const routing = await chosenRouting(options.routing);
    const deployed = loadDeployment(options.deployment, routingPolicies, deploymentSet(options.set));
    const ready = withRouting(readyRun(loaded, deployed, options), routing?.name);
    const out = outFolder(options, runName(ready), 'sim');
    keepInputs(out, inputsOf(loaded, storedDeployment(deployed, ready.deployment), options));
    const serving = await openServing(options, serve);
    const published = await publish(await runSimulation(loaded, ready, options, { routing, serving }), {
      out,
      reporters,
      json: options.json,
    });
    if (options.json) printJson(published.result);
    say(options, published.summaryText);
    await endServing(serving, published.result, options);
    process.exitCode = published.exitCode;
  },
});
