// Makes docs/gallery.md and its pictures: runs the commands in an empty folder, draws each chart on white paper and on
// dark, and writes what it says of itself between the marks of the page. By hand, after a change of a chart:
//
//   node_modules/.bin/node test/gallery.ts          what is simulated: the same bytes each time, about three minutes
//   node_modules/.bin/node test/gallery.ts --live   what is measured: other figures each time, two minutes of an idle machine
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAbsent } from '../reports/charts/chart.ts';
import { dumbbell } from '../reports/charts/dumbbell.ts';
import { RUN_CHARTS, RUNS_CHARTS, VALIDATION_CHARTS } from '../reports/charts/index.ts';
import { overTime } from '../reports/charts/over-time.ts';
import { OVERLAID_METRICS, overlaidCdf } from '../reports/charts/overlaid-cdf.ts';
import { sideNames } from '../reports/compare/words.ts';
import { withInputs } from '../reports/inputs.ts';
import { toSvg } from '../reports/render.ts';
import { loadScenario } from '../scenarios/cli/load.ts';
import type { ComparisonResult } from '../scenarios/formats/comparison.ts';
import type { RunResult } from '../scenarios/formats/result.ts';
import type { ValidationResult } from '../scenarios/formats/validation.ts';
import { incidentTrace, latenciesOf } from './builders/incidents.ts';
import { DEPLOYMENT, simulated } from './builders/worlds.ts';
import { emptyFolder, ROOT, windtunnel, write } from './cli/run.ts';

export const PAGE = join(ROOT, 'docs', 'gallery.md');
export const PICTURES = join(ROOT, 'docs', 'gallery');

/** Charts that nothing in this repository has data for: the page says why. */
export const NOT_SHOWN: readonly string[] = ['gpus'];

/** Every chart that the page can have, by its id; of a candidate and of a figure the first. */
export const CHART_IDS: readonly string[] = [
  ...[...RUN_CHARTS, ...RUNS_CHARTS, ...VALIDATION_CHARTS].map(({ id }) => id),
  dumbbell(0).id,
  ...OVERLAID_METRICS.map(metric => overlaidCdf(metric).id),
  overTime(0).id,
];

interface Group {
  title: string;
  /** What the runs are, and what to know of them. */
  about: string;
  /** As a reader types them, in an empty folder; lines that end in a backslash go on. */
  commands: string;
  /** Folders of the runs, in order; one folder of a validation or a comparison. */
  runs: readonly string[];
  /** Chart ids, and the question that each answers for whom. */
  charts: Readonly<Record<string, string>>;
}

const LOADS = [0.05, 0.1, 0.2, 0.4, 0.8];
const SHARES = [0, 10, 20, 40, 60];
const SWEPT = [1, 2, 4, 6].flatMap(least => [0.2, 0.4, 0.8].map(perSec => ({ least, perSec })));
const CARDS = {
  workstation: 'workstation-ministral-14b',
  h100: '1xh100-llama-3.1-8b',
  h200: '8xh200-mistral-small-4',
  split: 'disaggregated-llama-3.1-70b',
};

const lines = (...each: readonly string[]): string => each.join('\n');
const report = (folders: readonly string[], page: string): string =>
  `windtunnel report ${folders.join(' ')} --out ${page}.html --svg`;
const foldersOf = (prefix: string, ends: readonly (number | string)[]): string[] =>
  ends.map(end => `runs/${prefix}-${end}`);

const cards = foldersOf('on', Object.keys(CARDS));
const loads = foldersOf('load', LOADS);
const shares = foldersOf('api', SHARES);
const swept = SWEPT.map(({ least, perSec }) => `runs/rag-${least}-${perSec}`);

export const SIMULATED: readonly Group[] = [
  {
    title: 'Which deployment',
    about: 'The same 96 sessions of `workflow-gateway`, twelve a minute, on four deployments of the library.',
    commands: lines(
      ...Object.entries(CARDS).map(
        ([name, deployment]) =>
          `windtunnel simulate workflow-gateway -d ${deployment} --set traffic.0.arrival.poisson.rate=12/min \\\n` +
          `    --set traffic.0.sessions=96 --out runs/on-${name}`,
      ),
      report(cards, 'cards'),
    ),
    runs: cards,
    charts: {
      frontier: 'For who buys: what does a GPU give, while each user still sees a fast answer?',
      'frontier-cost': 'For who pays: what does a shorter workflow cost?',
    },
  },
  {
    title: 'How much load',
    about: '400 questions over documents on four H200, a replica each, at five rates.',
    commands: lines(
      ...LOADS.map(
        perSec =>
          `windtunnel simulate rag -d autoscaled-llama-3.1-70b --set pools.main.autoscaler.min=4 \\\n` +
          `    --set pools.main.autoscaler.max=4 --set traffic.0.arrival.gamma.rate=${perSec}/s \\\n` +
          `    --set traffic.0.sessions=400 --out runs/load-${perSec}`,
      ),
      report(loads, 'loads'),
    ),
    runs: loads,
    charts: {
      'load-curve': 'For who plans capacity: from which load on does work pile up?',
      'load-latency': 'For who promised a time: up to which load is it kept?',
    },
  },
  {
    title: 'One run: how long, and why',
    about: 'Four kinds of agents and a chat that collide on one small GPU.',
    commands: lines(
      'windtunnel simulate mixed-fleet -d edge-and-central --out runs/fleet',
      report(['runs/fleet'], 'fleet'),
    ),
    runs: ['runs/fleet'],
    charts: {
      'latency-cdf':
        'For everybody: how long do workflows take, and how far is the slow one from the usual one?',
      timeline: 'For who runs the cluster: when was it full, and of what?',
      rates:
        'For who runs the cluster: did the work keep up with what was wanted, and did the cache hold under load?',
      waterfall:
        'For who writes the agent: what did one workflow wait for, and what would remove how much of it?',
      'where-time-goes': 'For who has a week: which part is worth making faster?',
    },
  },
  {
    title: 'One run: what the cache saves',
    about: 'An agent of up to a dozen turns, prefill and decode on GPUs of their own.',
    commands: lines(
      'windtunnel simulate remote-agent -d disaggregated-llama-3.1-70b --out runs/remote',
      report(['runs/remote'], 'remote'),
    ),
    runs: ['runs/remote'],
    charts: {
      'cache-hits': 'For who writes prompts: which part of them is computed again and again?',
      'cache-misses': 'For who runs the router: why was it not in the cache, and whom to ask?',
    },
  },
  {
    title: 'One run: what a loop bills',
    about: 'An essay that is refined in three passes, beside one that is not.',
    commands: lines(
      'windtunnel simulate evaluator-loop -d workstation-ministral-14b --out runs/loop',
      report(['runs/loop'], 'loop'),
    ),
    runs: ['runs/loop'],
    charts: {
      'loop-tokens': 'For who pays by the token: what does one more pass bill, and what of it is cached?',
    },
  },
  {
    title: 'One run: replicas that come and go',
    about: 'Bursts of questions over documents, on a pool that grows from one replica.',
    commands: lines(
      'windtunnel simulate rag -d autoscaled-llama-3.1-70b --out runs/rag',
      report(['runs/rag'], 'rag'),
    ),
    runs: ['runs/rag'],
    charts: {
      replicas: 'For who tunes the autoscaler: did replicas come when calls wanted them?',
      'gpu-time': 'For who pays the GPUs: what of the time that was paid for did anything?',
    },
  },
  {
    title: 'One run: limits of an API',
    about: 'Easy tasks stay at home, hard ones go to an API that allows 5,000 output tokens a minute.',
    commands: lines(
      'windtunnel simulate hybrid-routing -d hybrid --set providers.anthropic.limits.output_tpm=5k --out runs/limited',
      report(['runs/limited'], 'limited'),
    ),
    runs: ['runs/limited'],
    charts: {
      pressure: 'For who sets limits: when did the API refuse, and did retries make it worse?',
      attempts: 'For who debugs: what did the gateway do about the session with most trouble?',
    },
  },
  {
    title: 'One run: what was paid for in vain',
    about: 'The same job scanner on hosted APIs, where a fan-out of 328 calls meets a limit.',
    commands: lines(
      'windtunnel simulate job-scanner -d api-only --out runs/hosted',
      report(['runs/hosted'], 'hosted'),
    ),
    runs: ['runs/hosted'],
    charts: { waste: 'For who pays: what was bought and thrown away, and by what?' },
  },
  {
    title: 'Money',
    about: 'The job scanner on one GPU of one’s own, at full load.',
    commands: lines(
      'windtunnel simulate job-scanner -d workstation-ministral-14b --out runs/scanner',
      report(['runs/scanner'], 'scanner'),
    ),
    runs: ['runs/scanner'],
    charts: {
      cost: 'For who pays: what is the money spent on?',
      'break-even': 'For who decides: from how many workflows a month on does a GPU of one’s own pay?',
      'cost-tornado': 'For who doubts the figure: which assumption moves it most?',
    },
  },
  {
    title: 'Money: how much to buy',
    about: 'The share of tasks that is hard, and so goes to the frontier API, from none to 60 %.',
    commands: lines(
      ...SHARES.map(
        percent =>
          `windtunnel simulate hybrid-routing -d hybrid --set workflows.task.steps.3.cases.0.weight=${100 - percent}% \\\n` +
          `    --set workflows.task.steps.3.cases.1.weight=${percent}% --out runs/api-${percent}`,
      ),
      report(shares, 'shares'),
    ),
    runs: shares,
    charts: {
      hybrid:
        'For who splits work between a model at home and an API: what does each share cost, and how long does it take?',
    },
  },
  {
    title: 'A sweep',
    about:
      'Questions over documents at three rates, on a pool that has at least one, two, four or six replicas.',
    commands: lines(
      ...SWEPT.map(
        ({ least, perSec }) =>
          `windtunnel simulate rag -d autoscaled-llama-3.1-70b --set pools.main.autoscaler.min=${least} \\\n` +
          `    --set traffic.0.arrival.gamma.rate=${perSec}/s --out runs/rag-${least}-${perSec}`,
      ),
      report(swept, 'swept'),
    ),
    runs: swept,
    charts: {
      sweep:
        'For who sizes the pool: which of the settings that were tried does, and how much does each matter?',
    },
  },
  {
    title: 'Compare',
    about:
      'The fleet from above with a second replica and another router, ten seeds each ([compare](compare.md)).',
    commands: lines(
      'windtunnel simulate mixed-fleet -d edge-and-central --set pools.edge.replicas=2 --routing prefix-cache --out runs/two',
      'windtunnel compare runs/fleet runs/two --out runs/compared',
    ),
    runs: ['runs/compared'],
    charts: {
      'dumbbell-0':
        'For who merges a change: what got better, what got worse, and which of it could be luck?',
      'overlaid-cdf-makespan': 'Are the quick workflows faster, or the slow ones?',
      'overlaid-cdf-ttft': 'The same of the first token.',
      'overlaid-cdf-e2e': 'The same of whole calls.',
      'overlaid-cdf-itl': 'The same of what a reader sees while an answer streams.',
    },
  },
  {
    title: 'Was the incident reproduced?',
    about:
      'No recorded incident can be given away, so this trace was made: a call a second, a burst of sixty long prompts, a server 1.25 times as slow as the deployment. `test/builders/incidents.ts` has it; `test/gallery.ts` writes both files.',
    commands: 'windtunnel validate incident.json -d d.yaml --against recorded --no-live --out runs/incident',
    runs: ['runs/incident'],
    charts: {
      'over-time-0':
        'For who was on call: does the model of the cluster show what happened, at its time and height?',
    },
  },
];

export const MEASURED: readonly Group[] = [
  {
    title: 'Accuracy',
    about:
      'The demo’s agents, simulated and sent three times as real load to the emulator on this machine: what is checked is the path from the plan to the socket and back, not a GPU. Times differ a little whenever it is made again.',
    commands: 'windtunnel validate demo -d emulated --emulate --repeats 3 --out runs/accuracy',
    runs: ['runs/accuracy'],
    charts: {
      'validation-errors':
        'For who must trust the figures: how far off is each, and is that more than chance?',
      'predicted-against-measured': 'Is every step off by as much, so that at least their order is right?',
      'sim-against-live': 'Are the distributions alike, or only the means?',
      qq: 'Is the tail right?',
      residuals: 'Does the error move with the load?',
    },
  },
];

// ---- runs -------------------------------------------------------------------------------------------------------

const COMMAND_MARK = 'windtunnel ';

/** Runs a group's commands; verdicts that fail are results as well. */
function run({ commands }: Group, folder: string): void {
  for (const line of commands.replace(/\\\n\s*/g, '').split('\n')) {
    const { code, err } = windtunnel(line.slice(COMMAND_MARK.length).split(/\s+/), folder);
    if (code !== 0 && code !== 99) throw new Error(`${line}\nended with ${code}:\n${err}`);
  }
}

/** The incident that a group names, and the deployment that it is held against. */
function writeIncident(folder: string): void {
  write(folder, 'd.yaml', DEPLOYMENT());
  // What the spans say of latencies decides nothing of the simulation.
  write(
    folder,
    'incident.json',
    incidentTrace(() => ({ ttftMs: 1, e2eMs: 2 })),
  );
  const { calls } = simulated(loadScenario(join(folder, 'incident.json')).compiled!.plan!);
  write(folder, 'incident.json', incidentTrace(latenciesOf(calls, 1.25)));
}

const readJson = (...path: string[]): unknown => JSON.parse(readFileSync(join(...path), 'utf8'));

interface Picture {
  id: string;
  finding: string;
  drawn: ReturnType<(typeof RUN_CHARTS)[number]['spec']>;
}

/** The chart of this id, of what a group's runs wrote. */
function pictureOf(id: string, { runs }: Group, folder: string): Picture {
  const drawn = <Input>(
    chart: { title(input: Input): string; spec(input: Input): Picture['drawn'] },
    input: Input,
  ) => ({
    id,
    finding: chart.title(input),
    drawn: chart.spec(input),
  });
  const [first] = runs as [string];
  const resultOf = (name: string): RunResult =>
    withInputs(readJson(folder, name, 'result.json') as RunResult, join(folder, name));
  const comparison = (): ComparisonResult => readJson(folder, first, 'comparison.json') as ComparisonResult;
  const validation = (): ValidationResult =>
    withInputs(readJson(folder, first, 'validation.json') as ValidationResult, join(folder, first));

  const ofRun = RUN_CHARTS.find(chart => chart.id === id);
  if (ofRun !== undefined) return drawn(ofRun, resultOf(first));
  const ofRuns = RUNS_CHARTS.find(chart => chart.id === id);
  if (ofRuns !== undefined) return drawn(ofRuns, runs.map(resultOf));
  if (id === dumbbell(0).id) return drawn(dumbbell(0), comparison());
  const metric = OVERLAID_METRICS.find(each => overlaidCdf(each).id === id);
  if (metric !== undefined) {
    const compared = comparison();
    return drawn(overlaidCdf(metric), { runs: compared.runs, names: sideNames(compared) });
  }
  const ofBoth = id === overTime(0).id ? overTime(0) : VALIDATION_CHARTS.find(chart => chart.id === id)!;
  return drawn(ofBoth, validation());
}

// ---- pictures and page ------------------------------------------------------------------------------------------

/** A still picture needs neither marks that only a pointer finds nor thousandths of a pixel. */
const thinned = (svg: string): string =>
  svg
    .replace(/<(?:path|line|rect)\b[^>]*\/>/g, mark => {
      const isClip = !/aria-hidden|class=/.test(mark);
      const isSeen = /\b(?:fill|stroke)="/.test(mark) && !/\s(?:fill-|stroke-)?opacity="0"/.test(mark);
      return isClip || isSeen ? mark : '';
    })
    .replace(/<[^>]*>/g, tag => tag.replace(/(\d+\.\d\d)\d+/g, '$1'));

async function draw({ id, drawn }: Picture): Promise<void> {
  if (isAbsent(drawn)) throw new Error(`${id} is not drawn: ${drawn.absent}`);
  writeFileSync(join(PICTURES, `${id}.svg`), thinned(await toSvg(drawn)));
  writeFileSync(join(PICTURES, `${id}-dark.svg`), thinned(await toSvg(drawn, 720, 'dark')));
}

function pictureText({ id, finding }: Picture, question: string): string[] {
  return [
    `### ${id}`,
    '',
    `**${finding}**`,
    '',
    '<picture>',
    `  <source media="(prefers-color-scheme: dark)" srcset="gallery/${id}-dark.svg">`,
    `  <img alt="${finding.replaceAll('"', '&quot;')}" src="gallery/${id}.svg">`,
    '</picture>',
    '',
    question,
    '',
  ];
}

async function groupText(group: Group, folder: string): Promise<string[]> {
  process.stderr.write(`${group.title}\n`);
  run(group, folder);
  const text = [`## ${group.title}`, '', group.about, '', '```sh', group.commands, '```', ''];
  for (const [id, question] of Object.entries(group.charts)) {
    const picture = pictureOf(id, group, folder);
    await draw(picture);
    text.push(...pictureText(picture, question));
  }
  return text;
}

const marks = (part: string): [below: string, above: string] => [
  `<!-- test/gallery.ts ${part}: below -->`,
  `<!-- test/gallery.ts ${part}: above -->`,
];

/** Writes what a part of the page says in place of what it said before. */
function writePart(part: string, text: readonly string[]): void {
  const page = readFileSync(PAGE, 'utf8');
  const [below, above] = marks(part);
  const [from, to] = [page.indexOf(below), page.indexOf(above)];
  if (from < 0 || to < from) throw new Error(`${PAGE} has no place for ${part}: ${below} … ${above}`);
  const body = text.join('\n').trimEnd();
  writeFileSync(PAGE, `${page.slice(0, from + below.length)}\n\n${body}\n\n${page.slice(to)}`);
}

async function writeGallery(isLive: boolean): Promise<void> {
  const folder = emptyFolder();
  mkdirSync(PICTURES, { recursive: true });
  try {
    writeIncident(folder);
    const text: string[] = [];
    for (const group of isLive ? MEASURED : SIMULATED) text.push(...(await groupText(group, folder)));
    writePart(isLive ? 'measured' : 'simulated', text);
  } finally {
    rmSync(folder, { recursive: true });
  }
  const bytes = readdirSync(PICTURES).reduce((sum, name) => sum + statSync(join(PICTURES, name)).size, 0);
  process.stderr.write(`${readdirSync(PICTURES).length} pictures, ${(bytes / 1e6).toFixed(2)} MB\n`);
}

if (import.meta.main) await writeGallery(process.argv.includes('--live'));
