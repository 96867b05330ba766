// ServeGen: clients of a production service as cohorts. The fixtures' numbers are invented; hand-computed figures beside.
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../scenarios/base/errors.ts';
import type { ScenarioFile } from '../../scenarios/formats/scenario.ts';
import { cohortImporters, importerNamed } from '../../scenarios/importers/index.ts';
import { isServegen, readServegen } from '../../scenarios/importers/servegen/read.ts';
import { pmfOf } from '../../scenarios/importers/servegen/rows.ts';
import { type CohortOptions, servegen } from '../../scenarios/importers/servegen/servegen.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { compileText, planOf, sessionsOf } from '../builders/scenarios.ts';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const folder = at('test/fixtures/servegen');
const client7 = `${folder}/chunk-7-trace.csv`;
const client12 = `${folder}/chunk-12-dataset.json`;
const HOUR_MS = 3_600_000;

function refusal(run: () => unknown): UserError {
  try {
    run();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const SECONDS: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600 };
const seconds = (text: string): number => {
  const [, number, unit] = /^([\d.]+)([a-z]+)$/.exec(text)!;
  return Number(number) * SECONDS[unit!]!;
};

/** What the phases of a scenario offer: rate times length, summed from the text of the file. */
const offered = ({ traffic }: ScenarioFile): number =>
  traffic
    .flatMap(({ arrival }) => arrival!.phases!)
    .reduce(
      (sum, phase) => sum + Number(String(phase.rate).replace('/s', '')) * seconds(String(phase.for)),
      0,
    );

/** The same from the CSVs. */
const expected = (...files: string[]): number =>
  files
    .flatMap(file => readFileSync(file, 'utf8').trim().split('\n'))
    .reduce((sum, line) => sum + Number(line.split(',')[1]) * 600, 0);

describe('a client', () => {
  const { scenario, report } = readServegen([client7], { model: 'ministral-3-14b' });

  test('is a cohort for each stretch of measured lengths that has requests, drawn from those lengths', () => {
    expect(
      scenario.traffic.map(({ name, workflow, tenant, start, for: length }) => [
        name,
        workflow,
        tenant,
        start,
        length,
      ]),
    ).toEqual([
      // From the first window with requests to the last one.
      ['client-7-h0', 'client-7-h0', 'client-7', '10m', '40m'],
      ['client-7-h1', 'client-7-h1', 'client-7', '1h', '30m'],
    ]);
    expect(scenario.workflows!['client-7-h0']!.steps).toEqual([
      {
        llm: 'answer',
        adds: { empirical: { values: [100, 200], weights: [0.25, 0.75] } },
        out: { empirical: { values: [10, 30], weights: [0.5, 0.5] } },
      },
    ]);
  });

  test('has a phase for each window, and one for quiet windows in a row', () => {
    expect(scenario.traffic[0]!.arrival).toEqual({
      poisson: true,
      phases: [
        { for: '10m', rate: '2/s', cv: 1.25, process: 'gamma' },
        { for: '20m', rate: '0/s' },
        // The CV of a Weibull of shape 0.5 is the root of 5, whatever was measured.
        { for: '10m', rate: '0.5/s', cv: 2.23607, process: 'weibull' },
      ],
    });
    expect(scenario.traffic[1]!.arrival!.phases![0]).toEqual({
      for: '10m',
      rate: '1/s',
      cv: 1,
      process: 'weibull',
    });
  });

  test('draws from the lengths before where those of its hours are empty, as ServeGen does', () => {
    // The window at 80 min has requests, the lengths of 80 min are empty.
    expect(scenario.traffic).toHaveLength(2);
    expect(scenario.traffic[1]!.arrival!.phases!.at(-1)).toMatchObject({ for: '10m', rate: '0.25/s' });
  });

  test('offers as many requests as its windows expect, to the last one', () => {
    const byHand = (2 + 0.5 + 1 + 3 + 0.25) * 600;
    expect(expected(client7)).toBe(byHand);
    expect(offered(scenario)).toBeCloseTo(byHand, 6);
    expect(report.expectedRequests).toBeCloseTo(byHand, 6);
  });

  test('is reported: windows, requests, rates, CVs and lengths', () => {
    expect(report).toMatchObject({
      format: 'servegen',
      clients: 1,
      windows: 9,
      busyWindows: 5,
      reasoningRatio: null,
    });
    const requests = [1200, 300, 600, 1800, 150];
    const total = requests.reduce((sum, each) => sum + each, 0);
    const weighted = (values: number[]): number =>
      values.reduce((sum, value, row) => sum + value * requests[row]!, 0) / total;
    expect(report.spanMs).toBe(90 * 60_000);
    expect(report.meanPerSec).toBeCloseTo(total / 5400, 9);
    expect(report.peakPerSec).toBe(3);
    expect(report.measuredCv).toBeCloseTo(weighted([1.25, 9.9, 1, 2, 1]), 9);
    expect(report.fittedCv).toBeCloseTo(weighted([1.25, Math.sqrt(5), 1, 2, 1]), 9);
    expect(report.meanInputTokens).toBeCloseTo(weighted([175, 175, 64, 64, 64]), 9);
    expect(report.meanOutputTokens).toBeCloseTo(weighted([20, 20, 128, 128, 128]), 9);
    expect(report.notes.join('\n')).toMatch(/names no model: ministral-3-14b serves all/);
  });

  test('is a scenario without a problem', () => {
    expect(compileText(JSON.stringify(scenario)).problems).toBe('');
  });
});

describe('reasoning', () => {
  const { scenario, report } = readServegen([client12]);

  test('is drawn at its mean share of the output, and the answer goes with it', () => {
    // Mean share 0.75: of 40 tokens 30, of 200 tokens 150; an answer of a third of that.
    expect(scenario.workflows!['client-12-h0']!.steps).toEqual([
      {
        llm: 'answer',
        adds: { empirical: { values: [1000], weights: [1] } },
        reasoning: { empirical: { values: [30, 150], weights: [0.5, 0.5] } },
        out: '=0.333333 * reasoning',
      },
    ]);
    expect(report.reasoningRatio).toBeCloseTo(0.75, 9);
    expect(report.meanOutputTokens).toBe(120);
    expect(report.notes.join('\n')).toMatch(/reasoning is the mean share of its six hours/);
  });

  test('and answer add up to the output that was measured, in every request', () => {
    const plan = planOf(JSON.stringify({ ...scenario, seed: 3 }));
    const calls = sessionsOf(plan)
      .slice(0, 400)
      .flatMap(session => walk(session).calls);
    const outputs = Map.groupBy(calls, call => call.outputTokens);
    expect([...outputs.keys()].toSorted((a, b) => a - b)).toEqual([40, 200]);
    expect(outputs.get(40)!.length / calls.length).toBeCloseTo(0.5, 1);
    expect(new Set(calls.map(call => [call.outputTokens, call.reasoningTokens].join()))).toEqual(
      new Set(['40,30', '200,150']),
    );
    expect(calls[0]!.promptTokens).toBe(1000);
  });
});

describe('several clients', () => {
  test('of a folder are cohorts of one scenario, and their rates add up', () => {
    const { scenario, report } = readServegen([folder]);
    expect(scenario.name).toBe('servegen');
    expect(scenario.traffic.map(({ name }) => name)).toEqual(['client-7-h0', 'client-7-h1', 'client-12-h0']);
    expect(report.clients).toBe(2);
    // At 600 s client 7 at 2/s beside client 12 at 1/s; client 7 alone comes to 3/s later.
    expect(report.peakPerSec).toBe(3);
    expect(scenario.models).toEqual({ served: { model: 'mistral-small-4' } });
  });

  test('that two folders number alike are told apart by their folders', () => {
    const text = (file: string) => ({
      file,
      text: readFileSync(`${folder}/${file.replace(/^.*\//, '')}`, 'utf8'),
    });
    const files = ['a', 'b'].flatMap(model =>
      ['trace.csv', 'dataset.json'].map(end => text(`${model}/chunk-12-${end}`)),
    );
    expect(servegen.read(files, {}).scenario.traffic.map(({ name }) => name)).toEqual([
      'client-a-12-h0',
      'client-b-12-h0',
    ]);
  });

  test('a part of the time is cut out, and starts at 0', () => {
    const cut = (options: Partial<CohortOptions>) => readServegen([client7], options);
    const { scenario, report } = cut({ fromMs: 900_000, toMs: 2_700_000 });
    expect(scenario.traffic).toHaveLength(1);
    expect(scenario.traffic[0]!.start).toBeUndefined();
    expect(scenario.traffic[0]!.arrival!.phases!.map(({ for: length, rate }) => [length, rate])).toEqual([
      ['5m', '2/s'],
      ['20m', '0/s'],
      ['5m', '0.5/s'],
    ]);
    expect(report.expectedRequests).toBe(300 * 2 + 300 * 0.5);
    expect(cut({ fromMs: 0.5 * HOUR_MS }).scenario.traffic[1]!.start).toBe('30m');
    expect(refusal(() => cut({ fromMs: 100 * HOUR_MS })).message).toMatch(/no requests in that time/);
  });
});

describe('the dicts of ServeGen', () => {
  test('are parsed, whatever Python writes: exponents, spaces, a trailing comma', () => {
    expect(pmfOf(' { 39:0.25, 512 : 7.5e-1, } ', 'x')).toEqual({ values: [39, 512], weights: [0.25, 0.75] });
    expect(pmfOf('{}', 'x')).toEqual({ values: [], weights: [] });
  });

  test('are never evaluated: code in one is refused with file and key', () => {
    const error = refusal(() => readServegen([at('test/fixtures/servegen/bad')]));
    expect(error.exitCode).toBe(104);
    expect(error.message).toMatch(
      /bad\/chunk-1-dataset\.json: 0\.output_tokens: has "__import__\('os'\).*expected value: probability/,
    );
  });

  test.each([
    ['{39: nan}', /has "39: nan", expected value: probability/],
    ['{39: 0.5, 40: -0.5}', /has "40: -0.5", expected/],
    ['{39: 0.5}', /has probabilities that sum to 0.5, not 1/],
    ['[39, 0.5]', /is "\[39, 0.5\]", expected a dict/],
    ['{39: {1: 1}}', /expected a dict/],
    [undefined, /is missing, expected a dict/],
  ])('%s is refused by name', (text, message) => {
    expect(refusal(() => pmfOf(text, 'f.json: 0.input_tokens')).message).toMatch(message);
    expect(refusal(() => pmfOf(text, 'f.json: 0.input_tokens')).message).toMatch(/f\.json: 0\.input_tokens/);
  });
});

describe('the files of ServeGen', () => {
  const csv = (text: string) => () =>
    servegen.read(
      [
        { file: 'chunk-1-trace.csv', text },
        { file: 'chunk-1-dataset.json', text: readFileSync(`${folder}/chunk-12-dataset.json`, 'utf8') },
      ],
      {},
    );

  test.each([
    ['0,1,1,Gamma,1\n', /chunk-1-trace\.csv:1: is "0,1,1,Gamma,1", expected start, rate, CV/],
    ['0,fast,1,Gamma,1,1\n', /:1: is "0,fast/],
    ['0,1,1,Pareto,1,1\n', /:1: has requests, but a fit of "Pareto"/],
    ['0,1e300,1,Gamma,1,1\n', /:1: has 1e\+300 requests a second, more than 1000000/],
    ['0,5,1,Gamma,1e-9,1\n', /:1: has a Gamma of shape 1e-9, whose CV is not between 0.01 and 1000/],
    ['0,5,1,Weibull,0.001,1\n', /:1: has a Weibull of shape 0.001, whose CV/],
    ['600,1,1,Gamma,1,1\n0,1,1,Gamma,1,1\n', /:2: it starts before the window above it/],
  ])('%j is refused with its line', (text, message) => {
    expect(refusal(csv(text)).message).toMatch(message);
  });

  test('are recognised by name, alone or in a folder', () => {
    expect(isServegen([client7])).toBe(true);
    expect(isServegen([folder])).toBe(true);
    expect(isServegen([at('test/fixtures/weka')])).toBe(false);
    expect(isServegen([at('nowhere/chunk-7-trace.csv')])).toBe(false);
    expect(cohortImporters.map(({ name }) => name)).toEqual(['servegen']);
    expect(refusal(() => importerNamed('servegen')).message).toMatch(/cohorts to draw requests from/);
  });

  test('in a folder with other traces are refused: neither is passed over in silence', () => {
    const mixed = mkdtempSync(join(tmpdir(), 'windtunnel-servegen-'));
    for (const name of readdirSync(folder).filter(each => each.startsWith('chunk-7')))
      copyFileSync(join(folder, name), join(mixed, name));
    expect(readServegen([mixed]).report.clients).toBe(1);
    writeFileSync(join(mixed, 'calls.jsonl'), '{}');
    const error = refusal(() => readServegen([mixed]));
    rmSync(mixed, { recursive: true });
    expect(error.message).toMatch(/holds 2 files of ServeGen data, and beside them calls\.jsonl$/);
  });

  test('come in pairs: one without the other is an error, a folder without any too', () => {
    expect(refusal(() => readServegen([at('test/fixtures/servegen/lone')])).message).toMatch(
      /no .*chunk-3-dataset\.json beside .*chunk-3-trace\.csv/,
    );
    expect(refusal(() => readServegen([at('test/importers')])).message).toMatch(/no ServeGen data at/);
  });
});

const samples = '../shared/data/traces/servegen';
describe.skipIf(!existsSync(at(samples)))('the shared samples (skipped where ../shared is absent)', () => {
  const chunk = (model: string, id: number): string => at(`${samples}/${model}/chunk-${id}-trace.csv`);

  test.each([
    // Rate times 600 s, summed over the CSV by a separate program.
    ['reason/deepseek-r1', 3, 92_449],
    ['reason/deepseek-r1', 48, 108_696],
    ['reason/deepseek-r1', 54, 56_190],
    ['language/m-small', 27, 80_742_657],
  ])('%s client %i offers the requests that its CSV expects', (model, id, requests) => {
    const { scenario, report } = readServegen([chunk(model, id)]);
    expect(expected(chunk(model, id))).toBeCloseTo(requests, 3);
    expect(report.expectedRequests).toBeCloseTo(requests, 3);
    expect(offered(scenario)).toBeCloseTo(requests, 3);
  });

  test('deepseek-r1: a scenario without a problem, of three clients whose output is mostly reasoning', () => {
    const { scenario, report } = readServegen([at(`${samples}/reason/deepseek-r1`)]);
    expect(compileText(JSON.stringify(scenario)).problems).toBe('');
    expect(report).toMatchObject({ clients: 3, windows: 432, busyWindows: 126, spanMs: 24 * HOUR_MS });
    expect(report.expectedRequests).toBeCloseTo(257_335, 3);
    expect(report.reasoningRatio).toBeCloseTo(0.697, 3);
  });

  test('half an hour of it starts about as many sessions as expected', () => {
    const { scenario, report } = readServegen([at(`${samples}/reason/deepseek-r1`)], {
      fromMs: 12 * HOUR_MS,
      toMs: 12.5 * HOUR_MS,
    });
    const plan = planOf(JSON.stringify(scenario));
    let sessions = 0;
    for (const cohort of plan.cohorts) if (cohort.kind === 'open') sessions += [...cohort.sessions()].length;
    expect(report.expectedRequests).toBe(1036);
    // Five standard deviations of a count with a CV near 1.
    expect(Math.abs(sessions - 1036)).toBeLessThan(5 * Math.sqrt(1036));
  });
});
