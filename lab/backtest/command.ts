// `backtest`: measured runs predicted from their inputs alone, and how far the predictions are off.
//
//   1. read DIR   2. predict each experiment   3. write the predictions   4. score them beside published simulators
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import {
  type Command,
  type CommonOptions,
  ProgressLine,
  paint,
  printJson,
  say,
  withCommon,
} from '../../scenarios/cli/terminal.ts';
import { crossValidate, FOLDS, type Fold } from '../fidelity/cross-validate.ts';
import { clockOf, FRONT_END } from './defaults.ts';
import {
  type Experiment,
  type Measured,
  type Metrics,
  Refused,
  readExperiment,
  readMeasured,
} from './experiment.ts';
import { predict } from './predict.ts';
import { type Anchors, labelsOf, score } from './score.ts';
import { STEP_CHOICES, type StepChoice, stepBy } from './step.ts';
import { scoreText } from './table.ts';

interface BacktestOptions extends CommonOptions {
  dir: string;
  out: string | undefined;
  family: string | undefined;
  experiment: string[] | undefined;
  stages: boolean;
  step: StepChoice;
  'cross-validate': Fold | undefined;
}

export const backtestCommand: Command<BacktestOptions> = {
  builder: yargs =>
    withCommon(yargs)
      .positional('dir', {
        type: 'string',
        demandOption: true,
        describe: 'measured experiments: experiments/*.json, and anchors.json if there is one',
      })
      .option('out', { type: 'string', nargs: 1, describe: 'write the predictions to this JSON file' })
      .option('family', { type: 'string', nargs: 1, describe: 'only experiments of this family' })
      .option('experiment', { type: 'string', array: true, describe: 'only this experiment; repeatable' })
      .option('stages', {
        type: 'boolean',
        default: false,
        describe: 'score load stages (…/s0) beside whole runs',
      })
      .option('step', { choices: STEP_CHOICES, default: 'auto' as const, describe: 'step model' })
      .option('cross-validate', {
        choices: FOLDS,
        nargs: 1,
        describe: 'predict each model, GPU generation or workload by physics factors fitted without it',
      })
      .example('$0 backtest measured/', 'every experiment of a folder')
      .example('$0 backtest measured/ --family llmservingsim-bench --out predictions.json', 'some of them'),
  handler: options => backtest(options),
};

/** Inputs and outcome of one experiment, apart. */
interface Read {
  experiment: Experiment;
  measured: readonly Measured[];
}

interface Refusal {
  experiment: string;
  missing: string;
}

function backtest(options: BacktestOptions): void {
  if (options['cross-validate'] !== undefined && options.step === 'kernels')
    throw new UserError('--cross-validate fits the physics step; kernels have no factors to fit', {
      hint: 'leave out --step kernels',
    });
  // 1.
  const { read, refused } = readAll(options);
  // A file that cannot be written is better told now than after the last run.
  if (options.out !== undefined) writePredictions(options.out, {});
  // 2.
  const progress = new ProgressLine(options);
  const by = options['cross-validate'];
  const predictions =
    by === undefined
      ? predictEach(read, refused, options, progress)
      : predictUnseen(read, refused, by, progress);
  progress.clear();
  for (const { experiment, missing } of refused)
    process.stderr.write(`${paint('yellow', 'refused', process.stderr)} ${experiment}: ${missing}\n`);
  if (Object.keys(predictions).length === 0)
    throw new UserError(`no experiment of ${options.dir} could be predicted`, {
      hint: refused.length === 0 ? 'it has none' : 'the reasons are above',
    });
  // 3.
  if (options.out !== undefined) writePredictions(options.out, predictions);
  // 4.
  const result = score({
    experiments: read.map(({ experiment, measured }) => ({ labels: labelsOf(experiment), measured })),
    predictions,
    anchors: readAnchors(options.dir),
    stages: options.stages,
  });
  if (options.json) printJson({ ok: true, refused, ...result, predictions });
  else say(options, scoreText(result));
  if (options.out !== undefined) say({ ...options, json: true }, `predictions: ${options.out}`);
}

const frontEndOf = ({ family }: Experiment) => FRONT_END[clockOf(family)];

function predictEach(
  read: readonly Read[],
  refused: Refusal[],
  { step }: BacktestOptions,
  progress: ProgressLine,
): Record<string, Metrics> {
  const predictions: Record<string, Metrics> = {};
  for (const [done, { experiment }] of read.entries()) {
    progress.show(() => `${done} of ${read.length} experiments: ${experiment.id}`);
    const attempt = orRefusal(experiment.id, () => predict(experiment, { stepOf: stepBy(step), frontEndOf }));
    if ('missing' in attempt) refused.push(attempt);
    else Object.assign(predictions, attempt.value);
  }
  return predictions;
}

/** Each run by factors that were fitted without its fold. */
function predictUnseen(
  read: readonly Read[],
  refused: Refusal[],
  by: Fold,
  progress: ProgressLine,
): Record<string, Metrics> {
  progress.show(() => 'how predictions move with each factor: about a minute');
  const { predictions } = crossValidate(read, by, {
    frontEndOf,
    onFold: (left, done, of) => progress.show(() => `${done} of ${of} left out: ${left}`),
  });
  for (const { experiment } of read)
    if (!experiment.runs.some(run => predictions[run.id] !== undefined))
      refused.push({ experiment: experiment.id, missing: 'leave out --cross-validate to see what it lacks' });
  return predictions;
}

/**
 * What `make` gives, or why it could not. A failure of ours is told as one and sets the exit code, but does not take the
 * other experiments with it.
 */
function orRefusal<T>(experiment: string, make: () => T): { value: T } | Refusal {
  try {
    return { value: make() };
  } catch (error) {
    if (error instanceof Refused || error instanceof UserError) return { experiment, missing: error.message };
    process.exitCode = EXIT.internal;
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { experiment, missing: `our own failure, please report it: ${what}` };
  }
}

function readAll({ dir, family, experiment: wanted }: BacktestOptions): { read: Read[]; refused: Refusal[] } {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory())
    throw new UserError(`no such folder: ${dir}`, { hint: 'name a folder that holds experiments/*.json' });
  const inner = join(dir, 'experiments');
  const folder = existsSync(inner) ? inner : dir;
  const names = readdirSync(folder)
    .filter(name => name.endsWith('.json') && name !== 'anchors.json' && name !== 'index.json')
    .sort();
  const read: Read[] = [];
  const refused: Refusal[] = [];
  for (const name of names) {
    const id = basename(name, '.json');
    const json = jsonAt(join(folder, name));
    if (!isWanted(json, id, family, wanted)) continue;
    const attempt = orRefusal(id, () => {
      if (json instanceof Refused) throw json;
      return readExperiment(json);
    });
    if ('missing' in attempt) refused.push(attempt);
    else read.push({ experiment: attempt.value, measured: readMeasured(json) });
  }
  if (read.length + refused.length === 0) {
    const which = family ?? wanted?.join(', ');
    throw new UserError(`${folder} has no experiment${which === undefined ? '' : ` of ${which}`}`, {
      hint: 'experiments are files NAME.json with id, family, hardware, model, engineConfig, workload and runs; a recorded trace is for `windtunnel validate TRACE -d DEPLOYMENT --against recorded --no-live`',
    });
  }
  return { read, refused };
}

/** Chosen before it is checked, so that a broken file is refused by name and no other run is lost. */
function isWanted(json: unknown, id: string, family?: string, wanted?: readonly string[]): boolean {
  const of = (json ?? {}) as { id?: unknown; family?: unknown };
  return (
    (family === undefined || of.family === family) &&
    (wanted === undefined || wanted.includes(id) || wanted.includes(String(of.id)))
  );
}

/** Text that is not JSON gives a Refused: the experiment goes by its file's name then. */
function jsonAt(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    return new Refused(`not JSON: ${(error as Error).message}`);
  }
}

function readAnchors(dir: string): Anchors {
  const path = join(dir, 'anchors.json');
  if (!existsSync(path)) return {};
  const json = jsonAt(path);
  if (json instanceof Refused) throw new UserError(`${path}: ${json.message}`);
  if (typeof json !== 'object' || json === null)
    throw new UserError(`${path} is not a JSON object`, { hint: 'it maps run ids to published predictions' });
  return json as Anchors;
}

function writePredictions(path: string, predictions: Readonly<Record<string, Metrics>>): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${JSON.stringify(predictions, null, 1)}\n`);
  } catch (error) {
    throw new UserError(`cannot write ${path}: ${(error as Error).message}`, {
      hint: 'name another file for --out',
    });
  }
}
