// `simulate` and `emulate`: the simulator's commands.
import { costBasis } from '../engines/cost-basis.ts';
import { loadDeployment, type ReadyRun, readyRun, storedDeployment, withRouting } from '../engines/load.ts';
import { withBooks } from '../gateway/ledger/books.ts';
import { routingPolicies } from '../gateway/routing/index.ts';
import { chosenRouting } from '../gateway/routing/outside.ts';
import type { RoutingPolicy } from '../gateway/routing/policy.ts';
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
import { inputsOf, keepInputs } from '../scenarios/cli/stored-inputs.ts';
import {
  type Command,
  type CommonOptions,
  onInterrupt,
  ProgressLine,
  printJson,
  say,
} from '../scenarios/cli/terminal.ts';
import type { PublishRun, RunOutput } from '../scenarios/formats/run.ts';
import { startSimulation } from './start.ts';

/** Instants handled between two looks at the signals and the terminal. */
const SLICE = 2000;

const pause = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

/** Runs to the end, with progress; the first Ctrl-C ends it early, with what there is. */
export async function runSimulation(
  loaded: LoadedScenario,
  { plan, deployment, poolOf, warnings }: ReadyRun,
  options: CommonOptions,
  routing: RoutingPolicy | null = null,
): Promise<RunOutput> {
  const evidence = deployment.pools.flatMap(pool => pool.evidence);
  const simulation = startSimulation({
    plan,
    deployment,
    poolOf,
    routing,
    header: headerOf({ world: 'sim', loaded, deployment, evidence, warnings, startedAt: null }),
  });
  const line = new ProgressLine(options);
  const stop = onInterrupt(() => simulation.interrupt());
  try {
    while (simulation.step(SLICE)) {
      const { sessionsStarted, callsEnded } = simulation.progress;
      const total = plan.sessionCount === null ? '' : ` of ${plan.sessionCount}`;
      line.show(
        () =>
          `simulated ${(simulation.nowMs / 1000).toFixed(0)} s: ${sessionsStarted}${total} sessions, ${callsEnded} calls`,
      );
      await pause();
    }
  } finally {
    line.clear();
    stop();
  }
  return withBooks(simulation.finish(), costBasis(deployment, plan), sha256);
}

/** The command; `publish` comes from the wiring, since only it may see reports/. */
export const simulateCommand = (publish: PublishRun): Command<RunOptions> => ({
  builder: yargs =>
    withRun(yargs)
      .example('$0 simulate job-scanner -d workstation-ministral-14b', 'a library scenario on one GPU')
      .example('$0 simulate mixed-fleet -d edge --routing ./mine.ts', 'with a routing policy of your own')
      .example('$0 simulate traces/ -d 8xh200-mistral-small-4 --warm', 'recorded sessions, caches warm'),
  handler: async options => {
    const loaded = loadRun(options);
    const routing = await chosenRouting(options.routing);
    const deployed = loadDeployment(options.deployment, routingPolicies);
    const ready = withRouting(readyRun(loaded, deployed, options), routing?.name);
    const out = outFolder(options, runName(ready), 'sim');
    keepInputs(out, inputsOf(loaded, storedDeployment(deployed, ready.deployment), options));
    const published = await publish(await runSimulation(loaded, ready, options, routing), { out });
    if (options.json) printJson(published.result);
    say(options, published.summaryText);
    process.exitCode = published.exitCode;
  },
});
