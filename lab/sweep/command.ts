// `sweep`: the same scenario at many settings of any of its fields or of the deployment's.
//
//   1. points x seeds   2. what an earlier time ran   3. run the rest   4. gather, judge, publish
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { loadDeployment, type ReadyRun, readyRun } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { isPath } from '../../gateway/routing/outside.ts';
import { publishSweep } from '../../reports/sweep/publish.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import { quoted } from '../../scenarios/base/shell-words.ts';
import { loadScenario } from '../../scenarios/cli/load.ts';
import {
  deploymentSet,
  loadOptionsOf,
  loadRun,
  outFolder,
  type RunOptions,
  runName,
  withOptionalDeployment,
} from '../../scenarios/cli/run-options.ts';
import {
  type Command,
  InputIssues,
  onInterrupt,
  ProgressLine,
  printJson,
  say,
} from '../../scenarios/cli/terminal.ts';
import {
  SWEEP_COSTS,
  SWEEP_DESIGNS,
  SWEEP_METRIC_NAMES,
  type SweepCost,
  type SweepDesign,
  type SweepMetric,
} from '../../scenarios/formats/sweep.ts';
import { type Axis, fieldsOf, parseAxes } from '../../scenarios/formats/vary.ts';
import { hasLoad } from '../grid/load-factor.ts';
import { type QueueOptions, runnerOf, withQueue } from '../queue/options.ts';
import { caseOf, openedOf, type SweepBase, seedsOf } from './cases.ts';
import { type Point, pointsOf } from './design.ts';
import { type AssertionsOf, SweepGather } from './gather.ts';
import { SweepProgress } from './progress.ts';
import { defaultMetric, sweepResult } from './result.ts';
import { openStore, type SweepStore, sweepFile } from './store.ts';

interface SweepOptions extends Omit<RunOptions, 'reporter'>, QueueOptions {
  vary: string[];
  design: SweepDesign;
  points: number | undefined;
  seeds: number;
  metric: SweepMetric | undefined;
  cost: SweepCost | undefined;
  fresh: boolean;
  jobs: number | undefined;
}

/** Of a whole sweep. */
const RUNS_MAX = 100_000;
/** Points whose seeds are run together: a seed's scenario is read once for all of them, and few points stay open. */
const BLOCK = 8;

export const sweepCommand: Command<SweepOptions> = {
  builder: yargs =>
    withQueue(withOptionalDeployment(yargs))
      .demandOption('deployment')
      .option('routing', {
        type: 'string',
        describe: 'another router for all points; --vary routing=… has several',
      })
      .option('vary', {
        type: 'string',
        array: true,
        demandOption: true,
        describe:
          'path=values of scenario or deployment, or load=…: a list (8,16), 1..16, 1..64:x2, 0.5..2:0.25, 0.5..2#9; a,b=1/2,3/4 moves both',
      })
      .option('design', {
        choices: SWEEP_DESIGNS,
        default: 'grid' as const,
        describe: 'every combination, the lists side by side, or a Latin hypercube',
      })
      .option('points', { type: 'number', describe: 'lhs: how many' })
      .option('seeds', { type: 'number', default: 1, describe: 'runs of each point, the same seeds for all' })
      .option('metric', {
        choices: SWEEP_METRIC_NAMES,
        describe:
          'what is best [slo, or kept, where the scenario has SLOs or assertions that fail; else e2e.p95]',
      })
      .option('cost', {
        choices: SWEEP_COSTS,
        describe: 'what it costs [usd; gpu-hours where no price is known]',
      })
      .option('fresh', {
        type: 'boolean',
        default: false,
        describe: 'forget the runs that the folder has; else the same sweep goes on where it stopped',
      })
      .option('jobs', { type: 'number', describe: 'threads [one a core]' })
      .example(
        "$0 sweep mixed-fleet -d 8xh200-mistral-small-4 --vary pools.main.replicas=2..8 --vary 'load=0.5..2:0.5'",
        'a grid',
      )
      .example(
        '$0 sweep S -d D --vary pools.main.replicas=1..16 --vary load=0.5..2#9 --design lhs --points 60',
        'a sample of a large space',
      ),
  handler: async options => {
    const stopped: Stopped = { now: false, error: null };
    const ignore = onInterrupt(() => {
      stopped.now = true;
    });
    try {
      process.exitCode = await sweep(options, stopped);
    } finally {
      ignore();
    }
  },
};

interface Stopped {
  now: boolean;
  /** What was thrown where nobody catches. */
  error: unknown;
}

async function sweep(options: SweepOptions, stopped: Stopped): Promise<number> {
  // 1.
  const axes = parseAxes(options.vary);
  const given = baseOf(options);
  const base: SweepBase = { ...given, opened: openedOf(axes, given) };
  const ready = readyOf(options, axes, base);
  const seeds = seedsOf(ready.plan.seed, seedCount(options, axes));
  const points = pointsOf(axes, { design: options.design, points: options.points, seed: ready.plan.seed });
  refuseImpossible(axes, ready, points.length * seeds.length);
  const folder = outFolder(options, runName(ready), 'sweep');
  const store = openStore(
    folder,
    sweepFile({
      scenario: { name: ready.plan.name, sha256: ready.plan.sha256 },
      deployment: { name: ready.deployment.name, sha256: ready.deployment.sha256 },
      base,
      policies: policyFiles(options, axes),
      design: options.design,
      axes,
      points: points.length,
      seeds,
    }),
    options.fresh,
  );
  // 2.
  const gather = new SweepGather({
    points,
    seeds,
    metric: options.metric ?? defaultMetric(ready.plan),
    assertionsOf: assertionsOf(ready, base, points, seeds),
  });
  const runs = runsOf(base, points, seeds);
  await takeEarlier(store, runs, gather);
  // 3.
  await runRest({ options, runs, gather, store, ready, stopped });
  if (stopped.error !== null) throw stopped.error;
  // 4.
  const found = gather.gatheredPoints();
  if (found.length === 0) {
    process.stderr.write('interrupted before a point had run with every seed: the same command goes on\n');
    return EXIT.interrupted;
  }
  const result = sweepResult({
    design: options.design,
    cost: options.cost,
    metric: options.metric,
    axes,
    seeds,
    ready,
    gather,
    runsPlanned: runs.length,
    command: commandOf(process.argv.slice(2)),
  });
  const published = await publishSweep(
    result,
    found.flatMap(({ rows }) => rows),
    { out: folder },
  );
  if (options.json) printJson(result);
  say(options, published.summaryText);
  if (gather.runs < runs.length) return EXIT.interrupted;
  const failures = result.points.flatMap(point => point.failures);
  return gather.failedRuns === gather.runs ? (failures[0]?.exitCode ?? EXIT.internal) : EXIT.ok;
}

const baseOf = (options: SweepOptions): Omit<SweepBase, 'opened'> => ({
  scenario: { input: options.scenario, options: loadOptionsOf(options) },
  deployment: { input: options.deployment, set: deploymentSet(options.set) },
  routing: options.routing,
});

/** The files as they are; where they run only with what varies, the first point that does. */
function readyOf(options: SweepOptions, axes: readonly Axis[], base: SweepBase): ReadyRun {
  const silent = { json: true, quiet: true };
  try {
    return readyRun(
      loadRun(options),
      loadDeployment(options.deployment, routingPolicies, deploymentSet(options.set)),
      silent,
    );
  } catch (error) {
    if (!(error instanceof InputIssues)) throw error;
    const firsts = axes.map(axis =>
      fieldsOf(axis).map(({ path, of, values }) => ({ path, of, value: values[0] })),
    );
    const point = firsts.map(settings => ({ settings, label: '', number: null }));
    const { scenario, deployment } = caseOf(base, point, options.seed ?? 1);
    const own = { ...scenario.options, seed: base.scenario.options.seed };
    try {
      const deployed = loadDeployment(deployment.input, routingPolicies, deployment.set);
      return readyRun(loadScenario(scenario.input, own), deployed, silent);
    } catch {
      throw error;
    }
  }
}

function seedCount({ seeds }: SweepOptions, axes: readonly Axis[]): number {
  if (!(Number.isInteger(seeds) && seeds > 0))
    throw new UserError(`--seeds ${seeds}: expected a whole number above 0`, { hint: 'e.g. --seeds 5' });
  if (seeds > 1 && axes.flatMap(fieldsOf).some(({ of }) => of === 'seed'))
    throw new UserError('--seeds repeats every point, and the seed itself varies', {
      hint: 'take --vary seed=… away: --seeds counts up from the seed of the scenario',
    });
  return seeds;
}

function refuseImpossible(axes: readonly Axis[], { plan }: ReadyRun, runs: number): void {
  if (runs > RUNS_MAX)
    throw new UserError(`${runs} runs; a sweep has at most ${RUNS_MAX}`, {
      hint: 'fewer --seeds, or a sample of the points: --design lhs --points 200',
    });
  if (axes.flatMap(fieldsOf).some(({ of }) => of === 'load') && !hasLoad(plan))
    throw new UserError(
      '--vary load: every session of this scenario starts at once, so there is no load to vary',
      {
        hint: 'give its cohorts an arrival process, e.g. --set traffic.0.arrival="{ poisson: { rate: 1/s } }"',
      },
    );
}

/** Files of routers, which a digest of the inputs does not hold. */
function policyFiles({ routing }: SweepOptions, axes: readonly Axis[]): Record<string, string> {
  const values = axes.flatMap(fieldsOf).flatMap(({ path, values: all }) => (path === 'routing' ? all : []));
  const files = [routing, ...values].filter(each => typeof each === 'string' && isPath(each)) as string[];
  return Object.fromEntries(
    files.map(path => {
      try {
        return [path, createHash('sha256').update(readFileSync(path)).digest('hex')];
      } catch (error) {
        throw new UserError(`${path} cannot be read: ${(error as Error).message}`, {
          hint: 'name a file of your own router, such as ./mine.ts',
        });
      }
    }),
  );
}

/** Assertions of the files; of a point whose settings change them, its own. */
function assertionsOf(
  { plan }: ReadyRun,
  base: SweepBase,
  points: readonly Point[],
  seeds: readonly (number | string)[],
): AssertionsOf {
  const own = new Map<number, ReturnType<AssertionsOf>>();
  return (point, { tally }) => {
    const isSame =
      tally.assertions.length === plan.assertions.length &&
      tally.assertions.every(({ text }, i) => text === plan.assertions[i]!.text);
    if (isSame) return plan.assertions;
    const { input, options } = caseOf(base, points[point]!, seeds[0]!).scenario;
    const known = own.get(point) ?? loadScenario(input, options).compiled?.plan?.assertions ?? [];
    own.set(point, known);
    return known;
  };
}

interface Run {
  readonly point: number;
  readonly seed: number;
  readonly case: ReturnType<typeof caseOf>;
  readonly key: string;
}

/** A block of points after the other, in it a seed after the other. */
function runsOf(base: SweepBase, points: readonly Point[], seeds: readonly (number | string)[]): Run[] {
  const runs: Run[] = [];
  for (let from = 0; from < points.length; from += BLOCK) {
    for (const [seed, given] of seeds.entries()) {
      for (let point = from; point < Math.min(points.length, from + BLOCK); point++) {
        const of = caseOf(base, points[point]!, given);
        const key = createHash('sha256').update(JSON.stringify(of)).digest('hex').slice(0, 32);
        runs.push({ point, seed, case: of, key });
      }
    }
  }
  return runs;
}

/** What broke, rather than was refused, is tried again. */
async function takeEarlier(store: SweepStore, runs: readonly Run[], gather: SweepGather): Promise<void> {
  const byKey = new Map(runs.map(run => [run.key, run]));
  for await (const { key, outcome } of store.earlier()) {
    const run = byKey.get(key);
    if (run === undefined || (!outcome.ok && outcome.failure.exitCode === EXIT.internal)) continue;
    gather.add(run.point, run.seed, outcome);
  }
}

async function runRest(of: {
  options: SweepOptions;
  runs: readonly Run[];
  gather: SweepGather;
  store: SweepStore;
  ready: ReadyRun;
  stopped: Stopped;
}): Promise<void> {
  const { options, runs, gather, store, stopped } = of;
  const rest = runs.filter(({ point, seed }) => !gather.has(point, seed));
  if (rest.length === 0) return;
  const progress = new SweepProgress(new ProgressLine(options), { total: runs.length, earlier: gather.runs });
  if (gather.runs > 0 && !options.quiet)
    process.stderr.write(`${gather.runs} of ${runs.length} runs are there already; going on\n`);
  const runner = await runnerOf(options);
  try {
    await runner.run(
      rest.map(run => run.case),
      {
        jobs: options.jobs,
        onDone: (_, index, outcome) => {
          const { point, seed, key } = rest[index]!;
          try {
            store.append({ key, outcome });
            gather.add(point, seed, outcome);
            progress.show(gather, runner.status());
          } catch (error) {
            stopped.error ??= error;
            stopped.now = true;
          }
        },
        isStopped: () => stopped.now,
      },
    );
  } finally {
    progress.clear();
    await runner.close();
  }
}

/** Where and how fast a sweep ran changes nothing of it. */
const ALONE = ['--json', '--quiet', '--fresh'];
const APART = ['--jobs', '--queue', '--out', ...ALONE];

/** The command as it can be typed again, without where it ran and how fast. */
export function commandOf(words: readonly string[]): string {
  const kept = words.filter((word, i) => {
    const before = words[i - 1];
    if (APART.includes(word.replace(/=.*$/s, ''))) return false;
    return before === undefined || !APART.includes(before) || ALONE.includes(before);
  });
  return `windtunnel ${kept.map(quoted).join(' ')}`;
}
