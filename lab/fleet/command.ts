// `simulate --records none` and `--cells N`: a run in parts on threads, counted and not recorded.
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadDeployment, readyRun, storedDeployment, withRouting } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { chosenRouting } from '../../gateway/routing/outside.ts';
import { tallyResult, tallyText } from '../../reports/tally/result.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import {
  deploymentSet,
  headerOf,
  loadOptionsOf,
  loadRun,
  outFolder,
  runName,
} from '../../scenarios/cli/run-options.ts';
import { inputsOf, keepInputs } from '../../scenarios/cli/stored-inputs.ts';
import { ProgressLine, printJson, say } from '../../scenarios/cli/terminal.ts';
import type { SimulateInParts } from '../../sim/command.ts';
import { runnerOf } from '../queue/options.ts';
import { runFleet } from './run.ts';

/** What only a run with records leaves. */
const PAGE = 'report.html';

const working = (status: string): string => (status === '' ? '' : ` (${status})`);

export const simulateInParts: SimulateInParts = async options => {
  const loaded = loadRun(options);
  const routing = await chosenRouting(options.routing);
  const set = deploymentSet(options.set);
  const deployed = loadDeployment(options.deployment, routingPolicies, set);
  const ready = withRouting(readyRun(loaded, deployed, options), routing?.name);
  const { plan, deployment } = ready;
  const out = outFolder(options, runName(ready), 'sim-tally');
  if (existsSync(join(out, PAGE)))
    throw new UserError(`${out} holds a run with records`, { hint: 'choose another --out' });
  keepInputs(out, inputsOf(loaded, storedDeployment(deployed, deployment), options));
  const evidence = deployment.pools.flatMap(pool => pool.evidence);
  const { warnings } = ready;
  const header = headerOf({ world: 'sim', loaded, deployment, evidence, warnings, startedAt: null });
  const progress = new ProgressLine(options);
  const runner = await runnerOf(options);
  const done = await runFleet({
    loaded,
    ready,
    of: {
      scenario: { input: options.scenario, options: loadOptionsOf(options) },
      deployment: {
        input: options.deployment,
        set,
        ...(routing === null ? {} : { change: { routing: deployment.routing } }),
      },
      loadFactor: 1,
    },
    cells: options.cells ?? null,
    jobs: options.jobs,
    runCases: runner.run,
    onDone: (parts, of) => progress.show(() => `${parts} of ${of} parts are done${working(runner.status())}`),
  }).finally(() => {
    progress.clear();
    return runner.close();
  });
  const result = tallyResult(header, plan.assertions, done);
  const path = join(out, 'result.json');
  await writeFile(path, `${JSON.stringify(result, null, 1)}\n`);
  if (options.json) printJson(result);
  say(options, `${tallyText(result)}\n\nresult   ${path}`);
  process.exitCode = result.verdict.status === 'fail' ? EXIT.failed : EXIT.ok;
};
