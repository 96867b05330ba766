// A recorded incident against its simulation, as a user meets it.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadScenario } from '../../../scenarios/cli/load.ts';
import type { CallRecord } from '../../../scenarios/formats/record.ts';
import type { ValidationResult } from '../../../scenarios/formats/validation.ts';
import { INCIDENT_START, incidentTrace, latenciesOf } from '../../builders/incidents.ts';
import { DEPLOYMENT, simulated } from '../../builders/worlds.ts';
import { emptyFolder, type Ran, windtunnel, write } from '../../cli/run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));

let calls: CallRecord[] = [];
beforeAll(() => {
  write(folder, 'd.yaml', DEPLOYMENT());
  // What the spans say of latencies decides nothing of the simulation.
  write(
    folder,
    'draft.json',
    incidentTrace(() => ({ ttftMs: 1, e2eMs: 2 })),
  );
  calls = simulated(loadScenario(join(folder, 'draft.json')).compiled!.plan!).calls;
  write(folder, 'same.json', incidentTrace(latenciesOf(calls)));
  write(folder, 'slower.json', incidentTrace(latenciesOf(calls, 1.25)));
  write(
    folder,
    'calm.json',
    incidentTrace(() => ({ ttftMs: 60, e2eMs: 300 })),
  );
});

const against = (trace: string, ...args: string[]): Ran =>
  windtunnel(
    [
      'validate',
      trace,
      '-d',
      'd.yaml',
      '--against',
      'recorded',
      '--no-live',
      '--json',
      '--out',
      `out-${trace}`,
      ...args,
    ],
    folder,
  );
const resultOf = ({ out }: Ran): ValidationResult => JSON.parse(out) as ValidationResult;

describe('a trace with latencies', () => {
  test('that a simulation reproduces, to the millisecond and at its time of day', () => {
    const ran = against('same.json');
    expect(ran.code, ran.err).toBe(0);
    const { comparisons, verdict, series, live } = resultOf(ran);
    expect(live).toBe(null);
    expect(verdict.fitness).toBe('absolute');
    expect(verdict.headline).toMatch(
      /^Yes: TTFT p95 rises from .* at 14:02:\d\d in both .*\. Good for absolute numbers: /,
    );
    // Spans end at whole milliseconds.
    for (const row of comparisons[0]!.rows) expect(Math.abs(row.errorRatio!), row.metric).toBeLessThan(0.005);
    expect(series.map(({ metric }) => metric)).toEqual(['TTFT p95', 'E2E p95']);
    expect(series[0]!.incident.reproduced).toBe('yes');
    expect(ran.err).toMatch(/simulated +recorded +error/);
    expect(readFileSync(join(folder, 'out-same.json/report.html'), 'utf8')).toContain('over-time-0');
  });

  test('that was a quarter slower keeps the incident, and misses the tolerance', () => {
    const ran = against('slower.json');
    expect(ran.code, ran.err).toBe(99);
    const { comparisons, series, verdict } = resultOf(ran);
    // One step: sessions are ranked, of which most take the same time.
    expect(verdict.fitness).toBe('ranking');
    expect(comparisons[0]!.rank).toMatchObject({ of: 'sessions', count: 360, tau: 1 });
    const row = comparisons[0]!.rows.find(({ metric }) => metric === 'mean TTFT');
    expect(row!.errorRatio).toBeCloseTo(-0.2, 2);
    expect(series[0]!.incident.reproduced).toBe('yes');
    expect(against('slower.json', '--tolerance', '25%').code).toBe(0);
  });

  test('without an incident does not show that of the simulation', () => {
    const { series } = resultOf(against('calm.json'));
    expect(series[0]!.incident).toMatchObject({ reproduced: 'no', measured: null });
  });

  test('cut to a window keeps its time of day', () => {
    const { series } = resultOf(against('same.json', '--from', '1m'));
    expect(series[0]!.incident.sentence).toMatch(/at 14:02:\d\d in both/);
  });

  test('with TTFT of some calls only is held against these alone', () => {
    const latency = latenciesOf(calls);
    // The slow ones do not say: the simulated mean of all would be far above.
    const some = incidentTrace(row => {
      const { ttftMs, e2eMs } = latency(row);
      return { ttftMs: ttftMs > 1000 ? null : ttftMs, e2eMs };
    });
    write(folder, 'some.json', some);
    const { comparisons, warnings } = resultOf(against('some.json'));
    const ttft = comparisons[0]!.rows.find(({ metric }) => metric === 'mean TTFT')!;
    expect(Math.abs(ttft.errorRatio!)).toBeLessThan(0.005);
    expect(warnings.join('\n')).toMatch(/of 360 recorded calls have no TTFT/);
  });

  test('with failed calls leaves them out of latencies, and counts them', () => {
    const latency = latenciesOf(calls);
    const failing = incidentTrace(row =>
      row % 3 === 0 ? { ttftMs: 1, e2eMs: 60_000, error: 'timeout' } : latency(row),
    );
    write(folder, 'failing.json', failing);
    const { comparisons, verdict } = resultOf(against('failing.json'));
    const ttft = comparisons[0]!.groups[0]!.times.find(({ metric }) => metric === 'ttft')!;
    expect(ttft.measuredCount).toBe(240);
    expect(comparisons[0]!.groups[0]!.measuredFailed).toBe(120);
    expect(verdict.reasons.join('\n')).toContain('120 of 360 calls failed when measured');
  });
});

describe('Prometheus', () => {
  const values = (epochSec: number) =>
    Array.from({ length: 5 }, (_, minute) => {
      const own = calls.filter(
        ({ firstTokenMs }) => firstTokenMs! > minute * 60_000 && firstTokenMs! <= (minute + 1) * 60_000,
      );
      const mean = own.reduce((sum, call) => sum + call.firstTokenMs! - call.plannedMs, 0) / own.length;
      return [epochSec + 60 * (minute + 1), String(mean / 1000)];
    });
  const range = (epochMs: number): string =>
    JSON.stringify({
      status: 'success',
      data: { resultType: 'matrix', result: [{ metric: {}, values: values(epochMs / 1000) }] },
    });

  test('in a file is compared at the time of day of the trace', () => {
    write(folder, 'range.json', range(INCIDENT_START));
    const ran = windtunnel(
      [
        'validate',
        'same.json',
        '-d',
        'd.yaml',
        '--against',
        'prometheus=range.json',
        '--series',
        'ttft.mean',
        '--json',
        '--out',
        'prom',
      ],
      folder,
    );
    expect(ran.code, ran.err).toBe(0);
    const { comparisons, series, warnings } = resultOf(ran);
    expect(comparisons[0]).toMatchObject({
      measured: 'prometheus',
      rows: [{ metric: 'TTFT mean over time', pass: true }],
    });
    expect(Math.abs(series[0]!.errorRatio!)).toBeLessThan(1e-9);
    expect(series[0]!.incident.sentence).toMatch(/^yes: TTFT mean rises from .* at 14:02:00 in both/);
    expect(warnings).toEqual([]);
  });

  test('of another day, on another host, or of nothing is refused with what to do', () => {
    write(folder, 'other.json', range(INCIDENT_START + 86_400_000));
    write(folder, 'html.json', '<html>');
    const refused = (place: string, ...args: string[]) =>
      windtunnel(
        [
          'validate',
          'same.json',
          '-d',
          'd.yaml',
          '--against',
          `prometheus=${place}`,
          '--out',
          'refused',
          ...args,
        ],
        folder,
      );
    for (const [ran, message] of [
      [refused('other.json', '--series', 'ttft.mean'), 'have no time in common'],
      [refused('html.json'), 'is not JSON'],
      [refused('nowhere.json'), 'cannot be read'],
      [refused('range.json'), '--series ttft.p95'],
      [refused('http://prometheus.example.com/api/v1/query_range?query=up'), 'allow_hosts'],
    ] as const)
      expect(ran, message).toMatchObject({ code: 104, err: expect.stringContaining(message) });
  });
});

describe('bad input is told with what to do', () => {
  const cases: readonly (readonly [string, string[], string])[] = [
    ['a trace without latencies', ['lengths.csv', '--against', 'recorded'], 'no latencies'],
    ['a scenario without a trace', ['demo', '--against', 'recorded'], 'holds no recorded sessions'],
    ['shrunk prompts', ['same.json', '--against', 'recorded', '--scale-tokens', '0.1'], '--sessions 20'],
    [
      'an unknown world',
      ['same.json', '--against', 'recorder'],
      'expected live, recorded, or prometheus=FILE',
    ],
    ['nothing to compare with', ['same.json'], 'add --against recorded'],
    [
      'metrics without a place',
      ['same.json', '--against', 'recorded', '--series', 'ttft.p95'],
      'is for metrics',
    ],
    ['no repeats', ['same.json', '--repeats', '0'], 'from 1 to 100'],
  ];

  test.each(cases)('%s', (_, args, message) => {
    write(
      folder,
      'lengths.csv',
      'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,480,10\n2023-11-16 18:17:04.0319600,318,8\n',
    );
    expect(
      windtunnel(['validate', ...args, '-d', 'd.yaml', '--no-live', '--out', 'bad'], folder),
    ).toMatchObject({
      code: 104,
      err: expect.stringContaining(message),
    });
  });
});
