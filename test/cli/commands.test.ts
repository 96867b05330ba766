// Every command once with right and once with wrong input: exit codes, messages, files.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { workflowText } from '../builders/scenarios.ts';
import { DEPLOYMENT } from '../builders/worlds.ts';
import { emptyFolder, ROOT, windtunnel, write } from './run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const run = (...args: string[]) => windtunnel(args, folder);

beforeAll(() => {
  write(
    folder,
    'good.yaml',
    workflowText(
      '[ { llm: a, adds: 100, out: 10 }, { tool: fetch }, { llm: b, adds: =tokens(prev), out: 5 } ]',
      '',
      5,
    ),
  );
  write(folder, 'bad.yaml', workflowText('[ { llm: a, ads: 100, out: 10 }, { tool: fetsh } ]'));
  write(folder, 'd.yaml', DEPLOYMENT());
});

describe('help and usage', () => {
  test('--help names every command and teaches exit codes', () => {
    const { code, out } = run('--help');
    expect(code).toBe(0);
    for (const name of [
      'demo',
      'check',
      'simulate',
      'replay',
      'validate',
      'emulate',
      'import',
      'plan',
      'report',
      'catalog',
    ]) {
      expect(out).toContain(`windtunnel ${name}`);
    }
    expect(out).toContain('Exit codes');
  });

  test('a mistyped command or option is refused with the nearest one', () => {
    expect(run('simulat', 'x')).toMatchObject({
      code: 104,
      err: expect.stringContaining('did you mean "simulate"'),
    });
    expect(run('simulate', 'good.yaml', '-d', 'd.yaml', '--sed', '3')).toMatchObject({
      code: 104,
      err: expect.stringContaining('did you mean "seed"'),
    });
    expect(run('simulate', 'good.yaml')).toMatchObject({
      code: 104,
      err: expect.stringContaining('deployment'),
    });
    expect(run()).toMatchObject({ code: 104 });
  });
});

describe('check', () => {
  test('prints the shape, as words and as JSON', () => {
    expect(run('check', 'good.yaml')).toMatchObject({
      code: 0,
      out: expect.stringContaining('2 calls expected'),
    });
    const { shapes } = JSON.parse(run('check', 'good.yaml', '--json').out);
    expect(shapes[0]).toMatchObject({
      workflow: 'main',
      callsExpected: 2,
      callsMin: 2,
      callsMax: 2,
      chainCalls: 2,
    });
  });

  test('the job scanner makes 345 calls: expected, and exactly with 14 postings', () => {
    expect(run('check', 'job-scanner').out).toContain('345 calls expected');
    expect(run('check', 'job-scanner', '--set', 'params.postings=14').out).toContain(
      '345 calls expected (exactly 345 in the first session)',
    );
  });

  test('prints all problems at once with file, line, column, frame and suggestion', () => {
    const { code, err, out } = run('check', 'bad.yaml');
    expect(code).toBe(104);
    expect(err).toMatch(/bad\.yaml:11:\d+ {2}error {2}WT1003 unknown key "ads"/);
    expect(err).toContain('did you mean "adds"');
    expect(err).toContain('unknown tool "fetsh"');
    expect(err).toContain('2 errors');
    expect(out).toBe('');
    expect(JSON.parse(run('check', 'bad.yaml', '--json').out).issues).toHaveLength(2);
  });

  test('a missing file, a folder without traces, a broken YAML', () => {
    expect(run('check', 'nope.yaml')).toMatchObject({
      code: 104,
      err: expect.stringContaining('neither a file nor in the library'),
    });
    mkdirSync(join(folder, 'empty'), { recursive: true });
    expect(run('check', 'empty').code).toBe(104);
    write(folder, 'broken.yaml', 'windtunnel: 1\nworkflows: { a: [ }\n');
    expect(run('check', 'broken.yaml')).toMatchObject({ code: 104, err: expect.stringContaining('WT1002') });
  });

  test('a context beyond the window is refused with the step and the numbers', () => {
    write(folder, 'long.yaml', workflowText('[ { llm: reads-all, adds: 90k, out: 10 } ]'));
    const { code, err } = run('check', 'long.yaml', '-d', 'd.yaml');
    expect(code).toBe(104);
    expect(err).toMatch(/WT1108.*"reads-all".*window of 65536.*90000 \+ 10/);
  });

  test('a model or GPU that the catalogue lacks, and a figure that is null', () => {
    const deployment = (model: string, gpu: string): string =>
      `windtunnel: 1\ndeployment: x\npools: { main: { model: ${model}, gpu: ${gpu}, precision: { weights: fp8 } } }\n`;
    write(folder, 'm.yaml', deployment('minstral-3-14b', 'h200-141gb-sxm'));
    expect(run('check', 'good.yaml', '-d', 'm.yaml')).toMatchObject({
      code: 104,
      err: expect.stringMatching(/WT1201[\s\S]*did you mean "ministral-3-14b"/),
    });
    write(folder, 'g.yaml', deployment('ministral-3-14b', 'h201'));
    expect(run('check', 'good.yaml', '-d', 'g.yaml')).toMatchObject({
      code: 104,
      err: expect.stringContaining('WT1201'),
    });
    write(folder, 'n.yaml', deployment('deepseek-v4-flash', 'h200-141gb-sxm'));
    expect(run('check', 'good.yaml', '-d', 'n.yaml')).toMatchObject({
      code: 104,
      err: expect.stringContaining('WT1202'),
    });
  });
});

describe('simulate', () => {
  test('writes a run folder and says the answer first; a bare file simulates', () => {
    const { code, out } = run('good.yaml', '-d', 'd.yaml', '--out', 'one');
    expect(code).toBe(0);
    expect(out.split('\n')[0]).toContain('DONE');
    expect(readdirSync(join(folder, 'one')).sort()).toEqual([
      'calls.parquet',
      'charts',
      'inputs.json',
      'nodes.parquet',
      'report.html',
      'result.json',
      'spans.otlp.json',
      'timeline.parquet',
      'workflows.parquet',
    ]);
  });

  test('the same command gives the same bytes; another seed gives others', () => {
    const digest = (...args: string[]): string =>
      (JSON.parse(run('simulate', 'good.yaml', '-d', 'd.yaml', '--json', ...args).out) as RunResult).digest;
    const first = digest('--out', 'a');
    const bytes = readFileSync(join(folder, 'a/result.json'), 'utf8');
    expect(digest('--out', 'a')).toBe(first);
    expect(readFileSync(join(folder, 'a/result.json'), 'utf8')).toBe(bytes);
    expect(digest('--out', 'b', '--seed', '12')).not.toBe(first);
  });

  test('an assertion that fails exits with 99', () => {
    write(
      folder,
      'strict.yaml',
      `${workflowText('[ { llm: a, adds: 100, out: 10 } ]')}\nassert: [ "p95(e2e, step=a) < 1ms" ]\n`,
    );
    const { code, out } = run('simulate', 'strict.yaml', '-d', 'd.yaml');
    expect(code).toBe(99);
    expect(out).toContain('✗ p95(e2e, step=a) < 1ms');
  });

  test('it never writes among someone else’s files', () => {
    mkdirSync(join(folder, 'mine'));
    write(folder, 'mine/letter.txt', 'dear');
    expect(run('simulate', 'good.yaml', '-d', 'd.yaml', '--out', 'mine')).toMatchObject({
      code: 104,
      err: expect.stringContaining('holds no run'),
    });
    expect(readdirSync(join(folder, 'mine'))).toEqual(['letter.txt']);
  });

  test('each library scenario runs on the workstation, twice with the same digest', () => {
    for (const name of ['meeting-ingester', 'evaluator-loop', 'repo-summary', 'mixed-fleet', 'job-scanner']) {
      const digests = ['x', 'y'].map(out => {
        const ran = run('simulate', name, '-d', 'workstation-ministral-14b', '--out', out, '--json');
        expect(ran.code, `${name}: ${ran.err}`).toBe(0);
        return (JSON.parse(ran.out) as RunResult).digest;
      });
      expect(digests[0]).toBe(digests[1]);
    }
  });

  test('the four calls of the meeting chain take 2.0 s each on the workstation, tools shown apart', () => {
    const result = JSON.parse(
      run('simulate', 'meeting-ingester', '-d', 'workstation-ministral-14b', '--json').out,
    ) as RunResult;
    const steps = result.byStep.filter(row => row.group.startsWith('ingest'));
    expect(steps).toHaveLength(4);
    for (const row of steps) {
      expect(row.e2eMsMean as number).toBeGreaterThan(1900);
      expect(row.e2eMsMean as number).toBeLessThan(2100);
    }
    expect(
      result.exemplars.find(each => each.workflow === 'ingest')?.bars.filter(bar => bar.kind === 'tool'),
    ).toHaveLength(2);
  });
});

describe('traces', () => {
  const trace = join(ROOT, 'scenarios/library/traces/claude-code-session.json');

  test('import prints totals, simulate runs the recorded calls, warm starts hit more', () => {
    const report = JSON.parse(run('import', trace, '--json').out);
    expect(report.totals.sessions).toBe(1);
    const simulate = (...args: string[]): RunResult =>
      JSON.parse(run('simulate', trace, '-d', '8xh200-mistral-small-4', '--json', ...args).out) as RunResult;
    const cold = simulate();
    expect(cold.counts.calls.ok).toBe(report.totals.calls);
    expect(cold.tokens.prompt).toBe(report.totals.inputTokens);
    expect(simulate('--warm').tokens.cached).toBeGreaterThan(cold.tokens.cached);
    const small = simulate('--scale-tokens', '0.1', '--gap-cap', '1s');
    expect(small.tokens.prompt / cold.tokens.prompt).toBeCloseTo(0.1, 2);
    expect(small.durationMs).toBeLessThan(cold.durationMs);
  });

  test('absolute and scaled timing, a plan written out, and bad factors', () => {
    const { durationMs } = JSON.parse(
      run('simulate', trace, '-d', '8xh200-mistral-small-4', '--timing', 'absolute', '--json').out,
    ) as RunResult;
    expect(durationMs).toBeGreaterThan(0);
    expect(run('simulate', trace, '-d', '8xh200-mistral-small-4', '--timing', 'scaled')).toMatchObject({
      code: 104,
      err: expect.stringContaining('gap_scale'),
    });
    expect(run('import', trace, '--out', 'trace.plan.jsonl').code).toBe(0);
    expect(run('simulate', 'trace.plan.jsonl', '-d', '8xh200-mistral-small-4').code).toBe(0);
    expect(run('check', trace, '--scale-tokens', '2')).toMatchObject({
      code: 104,
      err: expect.stringContaining('factor'),
    });
  });

  test('an unreadable part is counted and named; with --strict it is an error', () => {
    mkdirSync(join(folder, 'traces'), { recursive: true });
    write(folder, 'traces/good.json', readFileSync(trace, 'utf8'));
    write(folder, 'traces/cut.json', readFileSync(trace, 'utf8').slice(0, 3000));
    const loose = run('import', 'traces');
    expect(loose).toMatchObject({ code: 0, out: expect.stringContaining('cut.json') });
    expect(run('import', 'traces', '--strict')).toMatchObject({
      code: 104,
      err: expect.stringContaining('cut.json'),
    });
  });
});

describe('plan, report, catalog', () => {
  test('a written plan runs to the same digest', () => {
    expect(run('plan', 'good.yaml', '--out', 'good.plan.jsonl').code).toBe(0);
    const digest = (input: string): string =>
      (JSON.parse(run('simulate', input, '-d', 'd.yaml', '--json', '--out', 'p').out) as RunResult).digest;
    expect(digest('good.plan.jsonl')).toBe(digest('good.yaml'));
    expect(run('plan', 'good.yaml')).toMatchObject({ code: 104, err: expect.stringContaining('--out') });
  });

  test('report rebuilds the page of one or many runs', () => {
    expect(run('simulate', 'good.yaml', '-d', 'd.yaml', '--out', 'r1').code).toBe(0);
    rmSync(join(folder, 'r1/report.html'));
    expect(run('report', 'r1').code).toBe(0);
    expect(existsSync(join(folder, 'r1/report.html'))).toBe(true);
    expect(run('report', 'nothing-here')).toMatchObject({
      code: 104,
      err: expect.stringContaining('no such folder'),
    });
  });

  test('catalog lists ids', () => {
    expect(run('catalog', 'gpus').out).toContain('h200-141gb-sxm');
    expect(run('catalog', 'gps')).toMatchObject({ code: 104 });
  });
});
