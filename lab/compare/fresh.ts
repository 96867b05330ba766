// Sides that nobody has run yet: a scenario on several deployments. Simulated ones are inputs; live ones are replayed in
// turns, A B B A, so that whatever drifts in servers and network meets all of them alike.
import { join } from 'node:path';
import type { Argv } from 'yargs';
import { loadDeployment, type ReadyRun, readyRun, storedDeployment } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { refuseWarm, runReplay } from '../../loadgen/command.ts';
import { type LiveOptions, withLive } from '../../loadgen/live-options.ts';
import { figuresOver } from '../../reports/compare/figures.ts';
import { DEFAULT_BLOCKS } from '../../reports/compare/judge.ts';
import { publish } from '../../reports/publish.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import type { LoadedScenario } from '../../scenarios/cli/load.ts';
import { claimFolder } from '../../scenarios/cli/run-folder.ts';
import { deploymentSet, loadRun, type RunOptions } from '../../scenarios/cli/run-options.ts';
import { inputsOf, keepInputs } from '../../scenarios/cli/stored-inputs.ts';
import { type CommonOptions, withCommon } from '../../scenarios/cli/terminal.ts';
import { version } from '../../scenarios/cli/version.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import type { StoredInputs } from '../../scenarios/formats/stored-inputs.ts';
import { startEmulatorProcess } from '../emulator-process.ts';
import type { CompareOptions } from './compare.ts';
import { type Side, sideOfInputs } from './side.ts';

export interface FreshOptions extends LiveOptions {
  scenario: string | undefined;
  deployment: string[];
  seed: string | undefined;
  set: string[];
  live: boolean;
  emulate: boolean;
  blocks: number;
  out: string | undefined;
}

export const withFresh = <T>(yargs: Argv<T>) =>
  withLive(withCommon(yargs, ['deployment', 'd']))
    .option('scenario', { type: 'string', describe: 'run this on each deployment, instead of naming runs' })
    .option('deployment', {
      alias: 'd',
      type: 'string',
      array: true,
      default: [] as string[],
      describe: 'deployment file or library entry; the baseline first (repeatable)',
    })
    .option('seed', { type: 'string', describe: 'another seed: other agents' })
    .option('set', {
      type: 'string',
      array: true,
      default: [] as string[],
      describe: 'path=value of the scenario or of each deployment (repeatable)',
    })
    .option('live', { type: 'boolean', default: false, describe: 'replay it on the endpoints, in turns' })
    .option('emulate', {
      type: 'boolean',
      default: false,
      describe: "live on each deployment's own emulator",
    })
    .option('blocks', {
      type: 'number',
      default: DEFAULT_BLOCKS,
      describe: 'live runs of each deployment',
    })
    .option('out', { type: 'string', describe: 'folder of the comparison [windtunnel-runs/compare]' })
    .group(['scenario', 'deployment', 'seed', 'set', 'live', 'emulate', 'blocks'], 'Runs of its own:');

/** Under so many pairs, signed ranks cannot show anything once three figures are corrected for. */
const BLOCKS_MIN = 8;

type Options = FreshOptions & CommonOptions;

interface Ready {
  readonly name: string;
  readonly input: string;
  readonly loaded: LoadedScenario;
  readonly ready: ReadyRun;
  readonly inputs: StoredInputs;
}

/** The baseline first. Live runs are kept under `out`, each in a folder of its own. */
export async function freshSides(
  options: Options,
  scenario: string,
  out: string,
  how: CompareOptions,
): Promise<{ sides: Side[]; isInterleaved: boolean }> {
  const isLive = options.live || options.emulate;
  if (options.deployment.length < 2) {
    throw new UserError(`--scenario needs two deployments, and ${options.deployment.length} are named`, {
      hint: 'the baseline first: -d A.yaml -d B.yaml',
    });
  }
  if (options.endpoint.length > 0) {
    throw new UserError('--endpoint would serve every deployment alike, so that nothing is compared', {
      hint: 'write `endpoints` into each deployment',
    });
  }
  if (!(Number.isInteger(options.blocks) && options.blocks >= BLOCKS_MIN && options.blocks <= 100)) {
    throw new UserError(`--blocks ${options.blocks}: expected a whole number from ${BLOCKS_MIN} to 100`, {
      hint: 'fewer pairs cannot show a difference, however large',
    });
  }
  const all = options.deployment.map(deployment => readyOn(deployment, scenario, options, isLive));
  if (!isLive)
    return { sides: all.map(({ name, inputs }) => sideOfInputs(name, inputs)), isInterleaved: false };
  return { sides: await inTurns(all, options, out, how), isInterleaved: true };
}

export function readyOn(deployment: string, scenario: string, options: Options, isLive: boolean): Ready {
  const { json, quiet, seed, set } = options;
  const run = { ...NO_TRACE_OPTIONS, json, quiet, seed, set, scenario, deployment, out: undefined };
  const loaded = loadRun(run);
  const deployed = loadDeployment(deployment, routingPolicies, deploymentSet(set));
  const ready = readyRun(loaded, deployed, options, isLive ? 'live' : 'simulated');
  if (isLive) refuseWarm(loaded);
  const inputs = inputsOf(loaded, storedDeployment(deployed, ready.deployment), run);
  return { name: ready.deployment.name, input: deployment, loaded, ready, inputs };
}

const NO_TRACE_OPTIONS = {
  strict: false,
  timing: undefined,
  'gap-scale': undefined,
  'scale-tokens': undefined,
  warm: undefined,
  concurrent: undefined,
  sessions: undefined,
  format: undefined,
  'block-size': undefined,
  'jitter-quantum': undefined,
  from: undefined,
  to: undefined,
  'max-context': undefined,
  'sample-sessions': undefined,
  'gap-cap': undefined,
  anonymize: undefined,
} as const satisfies Partial<RunOptions>;

/** Rounds of all deployments, every second one backwards. An interrupt leaves the round that it falls into out. */
async function inTurns(
  all: readonly Ready[],
  options: Options,
  out: string,
  { isStopped = () => false, onProgress = () => {} }: CompareOptions,
): Promise<Side[]> {
  const salt = options.salt ?? new Date().toISOString();
  const rounds: RunResult[][] = [];
  for (let round = 0; round < options.blocks && !isStopped(); round++) {
    const results: RunResult[] = [];
    const order = all.map((_, i) => (round % 2 === 0 ? i : all.length - 1 - i));
    for (const i of order) {
      onProgress(`round ${round + 1} of ${options.blocks}: ${all[i]!.name}`);
      const folder = join(out, 'blocks', `${String(round + 1).padStart(2, '0')}-${'abcdefgh'[i] ?? i}`);
      const output = await replayed(all[i]!, { ...options, salt: `${salt}#${round}.${i}` }, folder);
      results[i] = (await publish(output, { out: folder })).result as RunResult;
      if (output.interrupted || isStopped()) break;
    }
    if (
      results.filter(result => result !== undefined && result.verdict.status !== 'interrupted').length ===
      all.length
    )
      rounds.push(results);
  }
  if (rounds.length === 0) {
    throw new UserError('interrupted before every deployment had run once: nothing to compare', {
      hint: `what ran is in ${join(out, 'blocks')}`,
      exitCode: EXIT.interrupted,
    });
  }
  return all.map(({ name, inputs }, i) => {
    const runs = rounds.map(results => results[i]!);
    return {
      name,
      world: 'live',
      toolVersion: version,
      inputs,
      // No two live runs have equal records.
      digest: null,
      blocks: rounds.map((_, round) => `round ${round + 1}`),
      figures: figuresOver(runs),
      result: runs.find(({ verdict }) => verdict.status === 'invalid') ?? runs[0]!,
    };
  });
}

export async function replayed(
  { loaded, ready, inputs, input }: Ready,
  options: Options,
  folder: string,
): Promise<RunOutput> {
  claimFolder(folder);
  keepInputs(folder, inputs);
  if (!options.emulate) return runReplay(loaded, ready, options, { folder });
  const emulator = await startEmulatorProcess(input);
  try {
    const where = 'measured on the emulator of this deployment, at';
    return await runReplay(loaded, ready, { ...options, endpoint: [emulator.baseUrl] }, { folder, where });
  } finally {
    await emulator.close();
  }
}
