// `validate`: the same scenario simulated and replayed, and the error of each metric.
//
//   1. simulate   2. replay (on the deployment's endpoints, or on its emulator)   3. compare   4. one page for both
import { join } from 'node:path';
import { loadDeployment, type ReadyRun, readyRun, withRouting } from '../engines/load.ts';
import { routingPolicies } from '../gateway/routing/index.ts';
import { chosenRouting } from '../gateway/routing/outside.ts';
import type { RoutingPolicy } from '../gateway/routing/policy.ts';
import { type LiveOptions, refuseWarm, runReplay, withLive } from '../loadgen/command.ts';
import { publish, publishValidation } from '../reports/publish.ts';
import { EXIT, UserError } from '../scenarios/base/errors.ts';
import type { LoadedScenario } from '../scenarios/cli/load.ts';
import { loadRun, outFolder, type RunOptions, runName, withRun } from '../scenarios/cli/run-options.ts';
import { type Command, type CommonOptions, printJson, say } from '../scenarios/cli/terminal.ts';
import { parseScalar } from '../scenarios/formats/quantity.ts';
import { RESULT_SCHEMA_VERSION, type RunResult, type ValidationResult } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';
import { runSimulation } from '../sim/command.ts';
import { compareWorlds, type Tolerances } from './compare-worlds.ts';
import { startEmulatorProcess } from './emulator-process.ts';

/** How the live half is run and judged. */
export interface ValidateHow extends CommonOptions, LiveOptions {
  deployment: string;
  emulate: boolean;
  tolerance: string | undefined;
  'count-tolerance': string | undefined;
}

type ValidateOptions = RunOptions & ValidateHow;

export const validateCommand: Command<ValidateOptions> = {
  builder: yargs =>
    withLive(withRun(yargs))
      .option('emulate', {
        type: 'boolean',
        default: false,
        describe: "replay on the deployment's own emulator, in a second process",
      })
      .option('tolerance', { type: 'string', describe: 'of mean times [10%; 3% with --emulate]' })
      .option('count-tolerance', {
        type: 'string',
        describe: 'of counts, tokens and cache hits [2%; 0 with --emulate]',
      })
      .example('$0 validate mixed-fleet -d emulated --emulate', 'needs nothing but this machine')
      .example('$0 validate agents.yaml -d staging.yaml', 'against live endpoints'),
  handler: async options => {
    // Both worlds begin alike: a live server has no context from before a window.
    const loaded = loadRun(options, { coldStart: true });
    refuseWarm(loaded);
    const routing = await chosenRouting(options.routing);
    const deployed = loadDeployment(options.deployment, routingPolicies);
    const ready = withRouting(readyRun(loaded, deployed, options), routing?.name);
    const out = outFolder(options, runName(ready), 'validate');
    process.exitCode = await validate({ loaded, ready, options, out, routing });
  },
};

const ratioOption = (name: string, raw: string | undefined, fallback: number): number => {
  if (raw === undefined) return fallback;
  const parsed = parseScalar(raw, 'ratio');
  if ('value' in parsed) return parsed.value;
  throw new UserError(`--${name}: ${parsed.error}`, { hint: parsed.hint });
};

export interface ValidateInput {
  loaded: LoadedScenario;
  ready: ReadyRun;
  options: ValidateHow;
  out: string;
  /** In place of the deployment's: a policy from outside. */
  routing?: RoutingPolicy | null;
}

/** Runs both worlds, writes `out/sim`, `out/live` and the page of both; returns the exit code. */
export async function validate({
  loaded,
  ready,
  options,
  out,
  routing = null,
}: ValidateInput): Promise<number> {
  const tolerances: Tolerances = {
    timeRatio: ratioOption('tolerance', options.tolerance, options.emulate ? 0.03 : 0.1),
    countRatio: ratioOption('count-tolerance', options['count-tolerance'], options.emulate ? 0 : 0.02),
  };
  // 1.
  const sim = await runSimulation(loaded, ready, options, routing);
  // Written before the live run, which may take long or be cut off.
  const simulated = await publish(sim, { out: join(out, 'sim') });
  if (sim.interrupted) {
    say(options, simulated.summaryText);
    return EXIT.interrupted;
  }
  if (!options.quiet)
    say(
      { ...options, json: true },
      `simulated ${sim.calls.length} calls, ${(sim.durationMs / 1000).toFixed(1)} s; replaying them now`,
    );
  // 2.
  const live = await replayed({ loaded, ready, options, out, routing });
  // 3. and 4.
  const livePublished = await publish(live, { out: join(out, 'live') });
  const rows = compareWorlds(sim, live, tolerances);
  const validation: ValidationResult = {
    schemaVersion: RESULT_SCHEMA_VERSION,
    kind: 'validation',
    sim: simulated.result as RunResult,
    live: livePublished.result as RunResult,
    rows,
    pass: rows.every(row => row.pass),
  };
  const published = await publishValidation(validation, { out });
  if (options.json) printJson(validation);
  say(options, published.summaryText);
  if (live.interrupted) return EXIT.interrupted;
  if (!live.valid) {
    process.stderr.write(`the live run is not valid: ${live.invalidReason}\n`);
    return EXIT.notValid;
  }
  return published.exitCode;
}

/** On the deployment's endpoints, or on its own emulator in a second process. */
async function replayed({ loaded, ready, options, out, routing = null }: ValidateInput): Promise<RunOutput> {
  const folder = join(out, 'live');
  if (!options.emulate) return runReplay(loaded, ready, options, { folder, routing });
  const emulator = await startEmulatorProcess(options.deployment);
  try {
    const where = 'measured on the emulator of this deployment, at';
    return await runReplay(
      loaded,
      ready,
      { ...options, endpoint: [emulator.baseUrl] },
      { folder, where, routing },
    );
  } finally {
    await emulator.close();
  }
}
