// `compare`: runs held against a baseline run, with the uncertainty of each difference; or two deployments, simulated or
// run live in turns, and then compared.
import { join, resolve } from 'node:path';
import { PRIMARY_FIGURES, PRIMARY_MAX } from '../../reports/compare/figures.ts';
import { DEFAULT_BLOCKS } from '../../reports/compare/judge.ts';
import { publishComparison } from '../../reports/compare/publish.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import { claimFolder } from '../../scenarios/cli/run-folder.ts';
import {
  type Command,
  type CommonOptions,
  onInterrupt,
  ProgressLine,
  printJson,
  say,
} from '../../scenarios/cli/terminal.ts';
import type { Baseline } from '../../scenarios/formats/baseline.ts';
import type { ComparisonResult } from '../../scenarios/formats/comparison.ts';
import { parseScalar } from '../../scenarios/formats/quantity.ts';
import { reportersOf } from '../../scenarios/formats/reporters.ts';
import { readBaseline } from '../gate/baselines.ts';
import {
  confirmedBy,
  GATE_OPTIONS,
  type GateOptions,
  gated,
  gateLines,
  needsConfirming,
} from '../gate/compare-gate.ts';
import { replayAgain } from '../gate/confirm.ts';
import { tell } from '../gate/tell.ts';
import { type CompareOptions, compareRuns } from './compare.ts';
import { type FreshOptions, freshSides, withFresh } from './fresh.ts';
import { primaryOf, sideOfBaseline, sideOfRun } from './side.ts';

interface CompareCommandOptions extends CommonOptions, FreshOptions, GateOptions {
  run: string[];
  seeds: number;
  primary: string | undefined;
  'min-effect': string | undefined;
  explain: boolean;
  'allow-different': boolean;
  jobs: number | undefined;
}

export const compareCommand: Command<CompareCommandOptions> = {
  builder: yargs =>
    withFresh(yargs)
      .positional('run', {
        type: 'string',
        array: true,
        default: [] as string[],
        describe: 'run folders: the baseline, then what is held against it',
      })
      .option('seeds', {
        type: 'number',
        default: DEFAULT_BLOCKS,
        describe: 'simulations of each side, the same seeds for all',
      })
      .option('primary', {
        type: 'string',
        describe: `up to ${PRIMARY_MAX} figures that decide, with commas between them [${PRIMARY_FIGURES.join(',')}]`,
      })
      .option('min-effect', {
        type: 'string',
        describe: 'a change under this share is none [1%; 5% live]',
      })
      .option('explain', {
        type: 'boolean',
        default: false,
        describe: 'undo each difference of the inputs alone, and rank what each did',
      })
      .option('allow-different', {
        type: 'boolean',
        default: false,
        describe: 'compare runs of different scenarios',
      })
      .option('jobs', { type: 'number', describe: 'threads [one a core]' })
      .options(GATE_OPTIONS)
      .group(Object.keys(GATE_OPTIONS), 'Gate (docs/ci.md):')
      .example('$0 compare windtunnel-runs/a windtunnel-runs/b --explain', 'two runs, and why they differ')
      .example('$0 compare --scenario mixed-fleet -d a.yaml -d b.yaml', 'two deployments, simulated')
      .example('$0 compare --scenario S -d a.yaml -d b.yaml --live', 'the same live, taking turns: A B B A')
      .example('$0 compare windtunnel-runs/ci --gate --baseline agents', 'in CI: exit 99 where it regressed'),
  handler: async options => {
    const stopped = { now: false };
    const ignore = onInterrupt(() => {
      stopped.now = true;
    });
    try {
      process.exitCode = await run(options, stopped);
    } finally {
      ignore();
    }
  },
};

async function run(options: CompareCommandOptions, stopped: { now: boolean }): Promise<number> {
  const out = resolve(options.out ?? join('windtunnel-runs', 'compare'));
  const reporters = options.gate ? reportersOf(options.reporter, process.env) : [];
  refuseGateless(options);
  const progress = new ProgressLine(options);
  const how = howOf(options, stopped, text => progress.show(() => text));
  const baseline = options.gate && options.run.length === 1 ? await baselineOf(options) : null;
  let comparison: ComparisonResult;
  try {
    comparison = await compared(options, out, how, baseline);
    if (options.gate && options.confirm)
      comparison = await confirmed(comparison, options, out, how, baseline);
  } finally {
    progress.clear();
  }
  const gate = options.gate ? gated(comparison, { baseline, strict: options.strict }) : null;
  const { summaryText } = await publishComparison(gate?.comparison ?? comparison, { out });
  if (options.json) printJson(gate?.comparison ?? comparison);
  say(options, summaryText);
  if (gate !== null) {
    const stream = options.json ? process.stderr : process.stdout;
    const written = tell(gate.report, reporters, text => void stream.write(text));
    say(options, `\n${gateLines(gate, written)}`);
  }
  if (stopped.now) return EXIT.interrupted;
  return gate?.exitCode ?? EXIT.ok;
}

/** Options of a gate that nobody asked for would be silently without effect. */
function refuseGateless({ gate, baseline, strict, reporter }: CompareCommandOptions): void {
  if (gate) return;
  const given = [
    baseline !== undefined && '--baseline',
    strict && '--strict',
    reporter.length > 0 && '--reporter',
  ].find(Boolean);
  if (given !== undefined)
    throw new UserError(`${given} needs --gate`, { hint: 'windtunnel compare RUN --gate --baseline NAME' });
}

/** The committed baseline of a run: named, or the scenario's. */
async function baselineOf({ run, baseline }: CompareCommandOptions): Promise<Baseline> {
  const { inputs, result, name } = await sideOfRun(run[0]!);
  const scenario = result?.header.scenario.name ?? inputs?.scenario.name ?? name;
  return readBaseline(baseline ?? scenario.replace(/[^\w.@-]+/g, '-'), `windtunnel baseline save ${run[0]}`);
}

/** A live regression that a second run does not show is none yet. */
async function confirmed(
  comparison: ComparisonResult,
  options: CompareCommandOptions,
  out: string,
  how: CompareOptions,
  baseline: Baseline | null,
): Promise<ComparisonResult> {
  const path = options.run.at(-1);
  if (path === undefined || comparison.comparisons.length !== 1) return comparison;
  const side = await sideOfRun(path);
  if (!needsConfirming(comparison, [side])) return comparison;
  how.onProgress?.('a regression: replaying once more before it counts');
  const again = await replayAgain(side, options, `${out}-again`);
  if (again === null) return comparison;
  const base = baseline === null ? options.run[0]! : sideOfBaseline(baseline);
  const second = await compareRuns(base, [again], how);
  return { ...comparison, comparisons: [confirmedBy(comparison.comparisons[0]!, second.comparisons[0]!)] };
}

async function compared(
  options: CompareCommandOptions,
  out: string,
  how: CompareOptions,
  baseline: Baseline | null,
): Promise<ComparisonResult> {
  const { run: paths, scenario } = options;
  if (baseline !== null) return compareRuns(sideOfBaseline(baseline), paths, how);
  if (scenario !== undefined) {
    if (paths.length > 0) {
      throw new UserError(`--scenario makes runs, and ${paths[0]} is one already`, {
        hint: 'name run folders, or --scenario with two deployments',
      });
    }
    claimFolder(out);
    const { sides, isInterleaved } = await freshSides(options, scenario, out, how);
    const [base, ...others] = sides;
    return compareRuns(base!, others, { ...how, isInterleaved });
  }
  for (const name of ['deployment', 'live'] as const) {
    const given = options[name];
    if (Array.isArray(given) ? given.length > 0 : given)
      throw new UserError(`--${name} needs --scenario`, { hint: 'compare --scenario S -d A.yaml -d B.yaml' });
  }
  const [base, ...others] = paths;
  if (base === undefined) {
    throw new UserError('nothing to compare', {
      hint: 'windtunnel compare BASELINE RUN…, or --scenario S -d A.yaml -d B.yaml',
    });
  }
  // A folder is claimed only when the comparison is there: whatever is wrong is told first.
  return compareRuns(base, others, how);
}

function howOf(
  options: CompareCommandOptions,
  stopped: { readonly now: boolean },
  onProgress: (text: string) => void,
): CompareOptions {
  const { seeds, primary, 'min-effect': minEffect, explain, jobs } = options;
  if (!(Number.isInteger(seeds) && seeds >= 2 && seeds <= 1000))
    throw new UserError(`--seeds ${seeds}: expected a whole number from 2 to 1,000`, { hint: '--seeds 10' });
  return {
    seeds,
    explain,
    jobs,
    allowDifferent: options['allow-different'],
    primary: primary === undefined ? undefined : primaryOf(primary.split(','), PRIMARY_MAX),
    minEffectRatio: minEffect === undefined ? undefined : ratioOf(minEffect),
    onProgress,
    isStopped: () => stopped.now,
  };
}

function ratioOf(text: string): number {
  const parsed = parseScalar(text, 'ratio');
  if ('value' in parsed && parsed.value >= 0) return parsed.value;
  const [error, hint] =
    'error' in parsed ? [parsed.error, parsed.hint] : ['expected 0 or more', '--min-effect 2%'];
  throw new UserError(`--min-effect ${text}: ${error}`, { hint });
}
