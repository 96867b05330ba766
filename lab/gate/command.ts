// `windtunnel baseline save|show|update`: runs that later ones are held against, as files to commit.
import { changeText, driftText, shownValue } from '../../reports/gate/report.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { mean } from '../../scenarios/base/statistics.ts';
import {
  type Command,
  type CommonOptions,
  printJson,
  say,
  withCommon,
} from '../../scenarios/cli/terminal.ts';
import type { Baseline } from '../../scenarios/formats/baseline.ts';
import type { FigureBlocks } from '../../scenarios/formats/comparison.ts';
import { type Side, sideOfRun, simulated } from '../compare/side.ts';
import { seedsFrom } from '../grid/seeds.ts';
import {
  baselineNames,
  checkName,
  findBaseline,
  readBaseline,
  stateOf,
  withHistory,
  writeBaseline,
} from './baselines.ts';
import { driftOf } from './drift.ts';

interface BaselineOptions extends CommonOptions {
  action: 'save' | 'show' | 'update';
  what: string | undefined;
  name: string | undefined;
  seeds: number;
}

export const baselineCommand: Command<BaselineOptions> = {
  builder: yargs =>
    withCommon(yargs)
      .positional('action', {
        choices: ['save', 'show', 'update'] as const,
        demandOption: true,
        describe: 'save a new one, show what there is, or put a run in the place of an old one',
      })
      .positional('what', { type: 'string', describe: 'save, update: a run folder; show: a name [all]' })
      .option('name', { type: 'string', nargs: 1, describe: "the baseline's name [the scenario's]" })
      .option('seeds', {
        type: 'number',
        default: 10,
        describe: 'simulations: so many seeds, each simulated once',
      })
      .example('$0 baseline save windtunnel-runs/ci --name agents', 'then commit .windtunnel/baselines')
      .example('$0 baseline show agents', 'its figures, and how they moved')
      .example(
        '$0 baseline update windtunnel-runs/ci --name agents',
        'slower on purpose: this is the new normal',
      )
      .epilogue('A gate reads it: windtunnel compare RUN --gate --baseline NAME (docs/ci.md).'),
  handler: async options => {
    if (options.action === 'show') show(options);
    else await keep(options);
  },
};

function show(options: BaselineOptions): void {
  const { what } = options;
  if (what !== undefined) {
    const baseline = readBaseline(what);
    if (options.json) printJson(baseline);
    else say(options, baselineText(baseline));
    return;
  }
  const all = baselineNames().map(name => readBaseline(name));
  if (options.json) printJson(all);
  else if (all.length === 0) say(options, 'no baselines here; save one: windtunnel baseline save RUN');
  else say(options, all.map(headOf).join('\n'));
}

const headOf = ({ name, world, blocks, figures, toolVersion, commit, history }: Baseline): string =>
  `${name}  ${world}, ${figures.length} figures over ${blocks.length} ${world === 'live' ? 'blocks' : 'seeds'}, ` +
  `version ${toolVersion}${commit === null ? '' : `, commit ${commit.slice(0, 10)}`}, ${history.length} earlier`;

const meanOf = ({ values }: FigureBlocks): number | null => {
  const known = values.filter(value => value !== null);
  return known.length === 0 ? null : mean(known);
};

function baselineText(baseline: Baseline): string {
  const wide = Math.max(...baseline.figures.map(({ label }) => label.length));
  const figures = baseline.figures.map(figure => {
    const gates = figure.isPrimary ? '  gates' : '';
    return `  ${figure.label.padEnd(wide)}  ${shownValue(meanOf(figure), figure.unit)}${gates}`;
  });
  const drift = driftOf(baseline, baseline.figures).map(each => `  ${driftText(each)}`);
  return [headOf(baseline), ...figures, ...drift].join('\n');
}

async function keep(options: BaselineOptions): Promise<void> {
  const { action, what, name: given } = options;
  if (what === undefined) {
    throw new UserError(`baseline ${action} needs a run folder`, {
      hint: `windtunnel baseline ${action} windtunnel-runs/NAME`,
    });
  }
  const side = await sideOfRun(what);
  const name = checkName(given ?? nameOf(side));
  const before = findBaseline(name);
  if (action === 'save' && before !== null) {
    throw new UserError(`there is a baseline "${name}" already`, {
      hint: `put this run in its place: windtunnel baseline update ${what} --name ${name}`,
    });
  }
  if (action === 'update' && before === null) readBaseline(name);
  const whole = await measured(side, options);
  const baseline = withHistory(
    {
      name,
      world: whole.world,
      inputs: whole.inputs,
      digest: whole.digest,
      blocks: whole.blocks,
      figures: whole.figures,
    },
    before,
  );
  const path = writeBaseline(baseline);
  if (options.json) printJson({ path, ...stateOf(baseline) });
  else
    say(
      options,
      `${[`wrote ${path}`, ...movesText(before, baseline)].join('\n')}\ncommit it; then: windtunnel compare RUN --gate --baseline ${name}`,
    );
}

/** A folder is often called `ci`; a scenario has a name. */
const nameOf = ({ name, inputs, result }: Side): string =>
  (result?.header.scenario.name ?? inputs?.scenario.name ?? name).replace(/[^\w.@-]+/g, '-');

/** A live run brings its blocks; a simulation is made again for each seed. */
async function measured(side: Side, { seeds }: BaselineOptions): Promise<Side> {
  if (side.world === 'live') return side;
  if (!(Number.isInteger(seeds) && seeds >= 1 && seeds <= 1000))
    throw new UserError(`--seeds ${seeds}: expected a whole number from 1 to 1,000`, { hint: '--seeds 10' });
  const first = side.inputs?.seed ?? 1;
  return simulated(side, seedsFrom(first, seeds));
}

/** What an update changes, figure by figure; those that gate. */
function movesText(before: Baseline | null, after: Baseline): string[] {
  if (before === null) return [];
  return after.figures
    .filter(({ isPrimary }) => isPrimary)
    .map(figure => {
      const old = before.figures.find(({ id }) => id === figure.id);
      const [was, is] = [old === undefined ? null : meanOf(old), meanOf(figure)];
      const changeRatio = was === null || is === null || was === 0 ? null : (is - was) / was;
      return `  ${figure.label}: ${shownValue(was, figure.unit)} to ${shownValue(is, figure.unit)} (${changeText({ changeRatio, ci95: null })})`;
    });
}
