import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openedOf } from '../../../lab/sweep/cases.ts';
import { commandOf } from '../../../lab/sweep/command.ts';
import { UserError } from '../../../scenarios/base/errors.ts';
import type { SweepResult } from '../../../scenarios/formats/sweep.ts';
import { parseAxes } from '../../../scenarios/formats/vary.ts';
import { workflowText } from '../../builders/scenarios.ts';
import { DEPLOYMENT } from '../../builders/worlds.ts';
import { emptyFolder, ROOT, windtunnel, write } from '../../cli/run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

const STEPS = '[ { llm: a, prefix: [system], adds: 400, out: 30 }, { llm: b, adds: 20, out: 15 } ]';
beforeAll(() => {
  const open = workflowText(STEPS, '', 40).replace('{ at_once: true }', '{ poisson: { rate: 4/s } }');
  write(folder, 's.yaml', open);
  write(folder, 'at-once.yaml', workflowText(STEPS, '', 20));
  write(folder, 'judged.yaml', `${open}\nassert:\n  - p95(ttft) < 100ms\n`);
  write(folder, 'd.yaml', DEPLOYMENT('', undefined, 3));
});

const AXES = [
  '--vary',
  'pools.main.replicas=1..3',
  '--vary',
  'load=1,4',
  '--vary',
  'routing=round-robin,random',
];
const args = (...more: string[]): string[] => ['sweep', 's.yaml', '-d', 'd.yaml', '--quiet', ...more];
const sweep = (...more: string[]) => windtunnel(args(...more), folder);
const read = (out: string, name = 'result.json'): string => readFileSync(join(folder, out, name), 'utf8');
const resultOf = (out: string): SweepResult => JSON.parse(read(out));

/** All that a sweep leaves, but for the order of the runs. */
const FILES = ['result.json', 'sweep.json', 'points.csv', 'runs.csv', 'report.html'];
const filesOf = (out: string): string[] => FILES.map(name => read(out, name));

describe('a grid', () => {
  test('runs every point with every seed, says which is best, and writes its folder', () => {
    const ran = sweep(...AXES, '--seeds', '2', '--jobs', '1', '--out', 'one', '--json');
    expect(ran.err).toContain('report: ');
    expect(ran.code).toBe(0);
    const result = JSON.parse(ran.out) as SweepResult;
    expect(result).toMatchObject({
      kind: 'sweep',
      design: 'grid',
      metric: 'e2e.p95',
      seeds: [11, 12],
      runs: 24,
      runsPlanned: 24,
      failedRuns: 0,
    });
    expect(result.points).toHaveLength(12);
    expect(result.axes.map(({ name, values }) => [name, values])).toEqual([
      ['pools.main.replicas', ['1', '2', '3']],
      ['load', ['1', '4']],
      ['routing', ['round-robin', 'random']],
    ]);
    const best = result.points[result.ranking[0]!]!;
    const worst = result.points[result.ranking.at(-1)!]!;
    const e2e = (point: typeof best): number => point.metrics['e2e.p95'][0]!;
    expect(result.points.every(point => e2e(point) >= e2e(best) && e2e(point) <= e2e(worst))).toBe(true);
    // More replicas for the same calls are never slower here, and a fourfold load is slower.
    expect(best.values.slice(0, 2)).toEqual(['3', '1']);
    expect(worst.values.slice(0, 2)).toEqual(['1', '4']);
    expect(best.isFront).toBe(true);
    for (const name of ['points.parquet', 'runs.parquet', 'charts/pareto.svg', 'runs.jsonl'])
      expect(existsSync(join(folder, 'one', name)), name).toBe(true);
    expect(read('one', 'runs.csv').trim().split('\r\n')).toHaveLength(25);
  });

  test('no point of the front is beaten, and every other one is', () => {
    const { points, metric, cost } = resultOf('one');
    const [value, spent] = [metric, cost].map(name => (i: number) => points[i]!.metrics[name][0]!) as [
      (i: number) => number,
      (i: number) => number,
    ];
    for (const i of points.keys()) {
      const isBeaten = [...points.keys()].some(
        j => value(j) <= value(i) && spent(j) <= spent(i) && (value(j) < value(i) || spent(j) < spent(i)),
      );
      expect(points[i]!.isFront).toBe(!isBeaten);
    }
  });

  test('the figures of one seed are those of a simulation of the same settings', () => {
    sweep('--vary', 'pools.main.replicas=1,2', '--out', 'plain');
    const ran = windtunnel(
      ['simulate', 's.yaml', '-d', 'd.yaml', '--set', 'pools.main.replicas=2', '--json', '--quiet'],
      folder,
    );
    const { metrics } = JSON.parse(ran.out) as { metrics: { e2e: { p95: number } } };
    const [value] = resultOf('plain').points[1]!.metrics['e2e.p95'];
    // Histograms have buckets of 0.8 % width.
    expect(Math.abs(value! / metrics.e2e.p95 - 1)).toBeLessThan(0.005);
  });
});

describe('the same bytes', () => {
  test('whatever the number of threads', () => {
    expect(sweep(...AXES, '--seeds', '2', '--jobs', '2', '--out', 'two').code).toBe(0);
    expect(filesOf('two')).toEqual(filesOf('one'));
  });

  test('after the file of runs lost its end in the middle of a line', () => {
    const ran = sweep(...AXES, '--seeds', '2', '--out', 'torn');
    expect(ran.code).toBe(0);
    const path = join(folder, 'torn', 'runs.jsonl');
    const lines = read('torn', 'runs.jsonl').split('\n');
    writeFileSync(path, `${lines.slice(0, 7).join('\n')}\n${lines[7]!.slice(0, 100)}`);
    expect(sweep(...AXES, '--seeds', '2', '--out', 'torn').code).toBe(0);
    expect(filesOf('torn')).toEqual(filesOf('one'));
    expect(read('torn', 'runs.jsonl').trim().split('\n')).toHaveLength(24);
  });

  test('after a SIGKILL in the middle', async () => {
    const many = ['--vary', 'pools.main.replicas=1..3', '--vary', 'load=1..20', '--seeds', '2'];
    expect(sweep(...many, '--out', 'whole').code).toBe(0);
    const child = spawn(
      process.execPath,
      [join(ROOT, 'windtunnel.ts'), ...args(...many, '--jobs', '1', '--out', 'killed')],
      { cwd: folder, stdio: 'ignore' },
    );
    const ended = new Promise(done => child.on('close', (_, signal) => done(signal)));
    const path = join(folder, 'killed', 'runs.jsonl');
    const lines = (): number => (existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0);
    while (lines() < 3) await after(5);
    child.kill('SIGKILL');
    expect(await ended).toBe('SIGKILL');
    const before = lines();
    expect(before).toBeLessThan(120);
    const ran = windtunnel(
      args(...many, '--out', 'killed').filter(each => each !== '--quiet'),
      folder,
    );
    expect(ran.err).toContain(`${before} of 120 runs are there already`);
    expect(ran.code).toBe(0);
    expect(filesOf('killed')).toEqual(filesOf('whole'));
  });

  test('another metric reads the runs that are there and runs none', () => {
    const size = read('one', 'runs.jsonl').length;
    expect(sweep(...AXES, '--seeds', '2', '--metric', 'ttft.p95', '--out', 'one').code).toBe(0);
    expect(resultOf('one').metric).toBe('ttft.p95');
    expect(read('one', 'runs.jsonl')).toHaveLength(size);
  });
});

describe('another sweep in the same folder', () => {
  test('is refused, whatever differs, and begins anew with --fresh', () => {
    sweep('--vary', 'load=1,2', '--out', 'kept');
    const seeds = sweep('--vary', 'load=1,2', '--seeds', '2', '--out', 'kept');
    expect(seeds.code).toBe(104);
    expect(seeds.err).toContain('its seeds differ');
    expect(seeds.err).toContain('--fresh');
    expect(sweep('--vary', 'load=1,3', '--out', 'kept').err).toContain('its axes differ');
    expect(sweep('--vary', 'load=1,3', '--fresh', '--out', 'kept').code).toBe(0);
    expect(resultOf('kept').points.map(({ values }) => values)).toEqual([['1'], ['3']]);
  });

  test('is refused when a file has changed', () => {
    write(folder, 'e.yaml', DEPLOYMENT('', undefined, 3));
    const on = (): { code: number | null; err: string } =>
      windtunnel(
        ['sweep', 's.yaml', '-d', 'e.yaml', '--vary', 'load=1,2', '--out', 'edited', '--quiet'],
        folder,
      );
    expect(on().code).toBe(0);
    appendFileSync(join(folder, 'e.yaml'), 'description: edited\n');
    expect(on().err).toContain('its deployment differs');
  });
});

describe('assertions', () => {
  test('decide, and the share of seeds in which they hold is told', () => {
    const ran = windtunnel(
      [
        'sweep',
        'judged.yaml',
        '-d',
        'd.yaml',
        '--vary',
        'load=0.2,40',
        '--seeds',
        '3',
        '--out',
        'judged',
        '--quiet',
      ],
      folder,
    );
    expect(ran.code).toBe(0);
    const result = resultOf('judged');
    expect(result.metric).toBe('kept');
    expect(result.points.map(({ holdsRatio }) => holdsRatio)).toEqual([1, 0]);
    expect(result.cheapestThatHolds).toBe(0);
    expect(ran.out).toContain('cheapest that holds the assertion with every seed: load 0.2');
  });
});

describe('failures', () => {
  test('are rows with their reason, and the others go on', () => {
    const ran = sweep('--vary', 'routing=round-robin,nonsense', '--seeds', '2', '--out', 'half');
    expect(ran.code).toBe(0);
    const result = resultOf('half');
    expect(result.failedRuns).toBe(2);
    expect(result.ranking).toEqual([0]);
    expect(result.points[1]!.failures[0]!.message).toContain('nonsense');
    expect(ran.out).toContain('2 runs failed, at 1 point');
  });

  test('of every run end with their exit code, and are in nobody’s way', () => {
    expect(sweep('--vary', 'routing=nonsense,worse', '--out', 'none').code).toBe(104);
    expect(sweep('--vary', 'routing=round-robin,random', '--out', 'none').code).toBe(0);
  });
});

test.each([
  ['pools.mian.replicas=1,2', 'did you mean "main"?'],
  ['pools.main.replica=1,2', 'did you mean "replicas"?'],
  ['pools.main.limts.max_num_seqs=1,2', 'did you mean "limits"?'],
  ['pools.main.replicas.more=1', 'vary pools.main.replicas itself'],
  ['params.size=1,2', 'the scenario has nothing at "params"'],
  ['traffic.7.sessions=1,2', 'the scenario has nothing at "7"'],
])('refuses --vary %s before anything runs', (text, why) => {
  const base = {
    scenario: { input: join(folder, 's.yaml'), options: {} },
    deployment: { input: join(folder, 'd.yaml'), set: [] },
    routing: undefined,
  };
  let said = '';
  try {
    openedOf(parseAxes([text]), base);
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    said = `${(error as UserError).message} | ${(error as UserError).hint}`;
  }
  expect(said).toContain(why);
});

test.each([
  [['--vary', 'seed=1,2', '--seeds', '2'], 'the seed itself varies'],
  [['--vary', 'load=1,2', '--jobs', '0'], '--jobs 0'],
])('refuses %j', (given, why) => {
  const ran = sweep(...given, '--out', 'bad');
  expect(ran.code).toBe(104);
  expect(ran.err).toContain(why);
});

test('a load that cannot vary is refused', () => {
  const ran = windtunnel(['sweep', 'at-once.yaml', '-d', 'd.yaml', '--vary', 'load=1,2'], folder);
  expect(ran.code).toBe(104);
  expect(ran.err).toContain('every session of this scenario starts at once');
});

test('the command of a sweep leaves out where and how fast it ran', () => {
  expect(
    commandOf([
      'sweep',
      's',
      '--jobs',
      '2',
      '-d',
      'd',
      '--out=x',
      '--json',
      '--vary',
      'load=1,2',
      '--queue',
      'redis://h',
      '--quiet',
    ]),
  ).toBe('windtunnel sweep s -d d --vary load=1,2');
});
