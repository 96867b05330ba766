// Several runs on one page: who beats whom, the load curve and its knee, shares bought from an API, and names that tell
// runs apart.
import { describe, expect, test } from 'vitest';
import { judge } from '../../reports/assertions.ts';
import { type Chart, isAbsent } from '../../reports/charts/chart.ts';
import { boundsOn, frontier, frontierCost, gpusOf } from '../../reports/charts/frontier.ts';
import { hybridChart } from '../../reports/charts/hybrid.ts';
import { RUNS_CHARTS } from '../../reports/charts/index.ts';
import { loadCurve, loadLatency } from '../../reports/charts/load-curve.ts';
import { toSvg } from '../../reports/render.ts';
import { runNames } from '../../reports/run-names.ts';
import { failuresOf, hostingOf, loadOf } from '../../reports/served.ts';
import { summarise } from '../../reports/summary.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import type { MetricSummary, RunResult } from '../../scenarios/formats/result.ts';
import type { RunHeader } from '../../scenarios/formats/run.ts';
import { aCall, aHeader, aRun, aWorkflow } from '../builders/records.ts';

const ms = (p50: number, p95 = p50 * 2): MetricSummary => ({
  unit: 'ms',
  better: 'lower',
  n: 2000,
  mean: p50,
  min: p50,
  max: p95,
  p50,
  p90: p95,
  p95,
  p99: p95 * 1.5,
});

const BASE = summarise(aRun(), () => 'digest');
const COST = {
  totalUsd: 1,
  byWorkflow: [],
  byStep: [],
  byRole: [],
  byTenant: [],
  byUser: [],
  byTarget: [],
  waste: [],
  notes: [],
  byComponent: {} as NonNullable<RunResult['cost']>['byComponent'],
};

interface Given {
  header?: Partial<RunHeader>;
  tpotMs?: number;
  makespanMs?: number;
  usd?: number;
  outputTokens?: number;
  offeredPerSec?: number;
  servedPerSec?: number;
  keptPerSec?: number | null;
  ttftMs?: number;
  apiCalls?: number;
}

/** 100 s on two GPUs. */
function aResult(given: Given = {}): RunResult {
  const { tpotMs = 20, makespanMs = 5000, usd = 10, outputTokens = 20_000, ttftMs = 200 } = given;
  const { offeredPerSec = 1, servedPerSec = offeredPerSec, keptPerSec = null, apiCalls = 0 } = given;
  const none = { promptTokens: 0, cachedTokens: 0, outputTokens: 0 };
  return {
    ...BASE,
    header: aHeader(given.header),
    durationMs: 100_000,
    metrics: { tpot: ms(tpotMs), makespan: ms(makespanMs / 2, makespanMs), ttft: ms(ttftMs) },
    cost: { ...COST, usdPer1000Workflows: usd, gpuSeconds: { busy: 100, paid: 200 } },
    hosting: {
      own: { ...none, calls: 100 - apiCalls, outputTokens },
      api: { ...none, calls: apiCalls },
      offers: [],
    },
    load: { offeredPerSec, servedPerSec, keptPerSec },
  };
}

async function drawn(chart: Chart<readonly RunResult[]>, runs: readonly RunResult[]) {
  const spec = chart.spec(runs);
  if (isAbsent(spec)) throw new Error(spec.absent);
  expect(await toSvg(spec)).toMatch(/^<svg/);
  const { columns, rows } = chart.table(runs);
  for (const row of rows) expect(row).toHaveLength(columns.length);
  return { spec, rows };
}

const set = (...settings: string[]): Partial<RunHeader> => ({
  command: `windtunnel simulate chat.yaml -d one.yaml ${settings.map(each => `--set ${each}`).join(' ')}`,
});

describe('names of runs', () => {
  test('say what differs, by the shortest path that tells it apart', () => {
    expect(
      runNames([
        aResult({ header: set('pools.a.replicas=1', 'x=1') }),
        aResult({ header: set('pools.a.replicas=2', 'x=1') }),
      ]),
    ).toEqual(['replicas=1', 'replicas=2']);
    expect(
      runNames([
        aResult({ header: set('pools.a.replicas=1', 'pools.b.replicas=2') }),
        aResult({ header: set('pools.a.replicas=2', 'pools.b.replicas=1') }),
      ]),
    ).toEqual(['a.replicas=1, b.replicas=2', 'a.replicas=2, b.replicas=1']);
  });

  test('name deployment, world and seed where those differ, and number what nothing tells apart', () => {
    const two = aResult({ header: { deployment: { name: 'two', sha256: 'c' } } });
    expect(runNames([aResult(), two])).toEqual(['one-gpu', 'two']);
    expect(runNames([aResult(), aResult({ header: { seed: 8 } })])).toEqual(['seed 7', 'seed 8']);
    expect(runNames([aResult(), aResult()])).toEqual(['one-gpu (1)', 'one-gpu (2)']);
    expect(runNames([aResult({ header: set("'a b=1'") })])).toEqual(['one-gpu']);
  });
});

describe('frontier', () => {
  const runs = [
    aResult({ header: set('n=1'), tpotMs: 20, outputTokens: 20_000 }),
    aResult({ header: set('n=2'), tpotMs: 10, outputTokens: 10_000 }),
    aResult({ header: set('n=3'), tpotMs: 25, outputTokens: 15_000 }),
  ];

  test('is tokens per second, by GPU and by user; whoever another beats in both is grey', async () => {
    const { rows, spec } = await drawn(frontier, runs);
    expect(gpusOf(runs[0]!)).toBe(2);
    expect(rows).toEqual([
      ['n=1', 50, 100, 'frontier'],
      ['n=2', 100, 50, 'frontier'],
      ['n=3', 40, 75, 'beaten'],
    ]);
    expect(spec.datasets.front).toHaveLength(2);
    expect(frontier.title(runs)).toBe(
      'n=1 gives 100 tokens/s per GPU while each user sees 50 tokens/s; it is on the frontier, with 1 of the 2 others',
    );
    expect(frontier.title([runs[2]!, runs[0]!])).toContain('; n=1 is at least as good in both');
  });

  test('shades what the targets allow: the tightest limit on the time per token', async () => {
    const bounds = [
      { metric: 'tpot' as const, of: 'each', limitMs: 50 },
      { metric: 'tpot' as const, of: 'p95', limitMs: 40 },
      { metric: 'ttft' as const, of: 'p95', limitMs: 1 },
    ];
    const assertion = { text: 'slo', value: 1, target: 1, unit: 'ratio' as const, pass: true, bounds };
    const withSlo = [{ ...runs[0]!, assertions: [assertion] }, runs[1]!];
    expect(boundsOn(withSlo, ['tpot', 'itl']).map(({ limitMs }) => limitMs)).toEqual([40, 50]);
    const { spec } = await drawn(frontier, withSlo);
    expect(spec.datasets.allowed).toMatchObject([{ x: 25, label: 'TPOT p95 ≤ 40 ms' }]);
  });

  test('cost against time: less is better in both', async () => {
    const priced = [
      aResult({ header: set('n=1'), usd: 10, makespanMs: 5000 }),
      aResult({ header: set('n=2'), usd: 5, makespanMs: 9000 }),
      aResult({ header: set('n=3'), usd: 12, makespanMs: 6000 }),
    ];
    const { rows } = await drawn(frontierCost, priced);
    expect(rows.map(row => row.at(-1))).toEqual(['frontier', 'frontier', 'beaten']);
    expect(frontierCost.title(priced)).toContain('n=1 takes 5 s for a workflow (p95) at 10.00 USD per 1,000');
  });

  test('of one run is one point; without GPUs or prices it says what is missing', async () => {
    expect((await drawn(frontier, [runs[0]!])).rows).toHaveLength(1);
    const { cost: _, replicas: __, ...unknown } = runs[0]!;
    expect(frontier.spec([unknown])).toHaveProperty('absent', expect.stringContaining('how many GPUs'));
    expect(frontierCost.spec([unknown])).toHaveProperty('absent', expect.stringContaining('price'));
    for (const chart of RUNS_CHARTS) expect(chart.title([unknown])).not.toMatch(/NaN|undefined|Infinity/);
  });

  test('gives a name its place only where none lies already', async () => {
    const close = Array.from({ length: 12 }, (_, i) =>
      aResult({ header: set(`a-rather-long-name=${i}`), tpotMs: 20 + i / 1000 }),
    );
    const { spec } = await drawn(frontier, close);
    const names = spec.datasets.named as { name: string }[];
    expect(names.length).toBeLessThan(6);
    expect(names[0]!.name).toBe('a-rather-long-name=0');
  });
});

describe('load curve', () => {
  const at = (offeredPerSec: number, servedPerSec: number, ttftMs = 100) =>
    aResult({
      header: set(`rate=${offeredPerSec}`),
      offeredPerSec,
      servedPerSec,
      ttftMs,
      keptPerSec: servedPerSec / 2,
    });

  test('the knee is the last rate that is kept up with, capacity the most that was served', async () => {
    const runs = [at(4, 2.6), at(1, 1), at(2, 1.95)];
    const { rows, spec } = await drawn(loadCurve, runs);
    expect(rows.map(row => row[1])).toEqual([1, 2, 4]);
    expect(spec.datasets.knee).toMatchObject([{ x: 2, label: 'knee 2 /s' }]);
    expect(loadCurve.title(runs)).toBe(
      'The knee is at 2 /s of workflows; at most 2.6 /s of workflows are served',
    );
  });

  test('says when no rate is too much, and when each is', () => {
    expect(loadCurve.title([at(1, 1), at(2, 2)])).toContain('the knee is beyond');
    expect(loadCurve.title([at(2, 1), at(4, 1.1)])).toContain('Every rate is too much');
  });

  test('latency on a logarithmic axis, with the target and up to where it is kept', async () => {
    const bounds = [{ metric: 'ttft' as const, of: 'p95', limitMs: 500 }];
    const assertion = { text: 'p95', value: 1, target: 1, unit: 'ms' as const, pass: true, bounds };
    const runs = [at(1, 1, 100), at(2, 2, 200), at(4, 3, 2000)].map(run => ({
      ...run,
      assertions: [assertion],
    }));
    const { spec } = await drawn(loadLatency, runs);
    expect(loadLatency.title(runs)).toBe(
      'TTFT p95 goes from 200 ms at 1 /s to 4 s at 4 /s; 500 ms is kept up to 2 /s',
    );
    expect(spec.datasets.rules).toMatchObject([{ y: 500, label: 'target: TTFT p95 ≤ 500 ms' }]);
  });

  test('runs of another scenario or deployment are no part of it', () => {
    const other = aResult({ offeredPerSec: 9, header: { scenario: { name: 'other', sha256: 'c' } } });
    expect(loadCurve.spec([at(1, 1), other])).toHaveProperty(
      'absent',
      expect.stringContaining('windtunnel report'),
    );
  });

  test('one run whose load varies is a cloud of its slices; one at an even load says what to do', async () => {
    const slice = (wanted: number, i: number) => ({
      atMs: i * 1000,
      sessionsPerSec: 1,
      callsWantedPerSec: wanted,
      callsDonePerSec: wanted / 2,
      prefillTokensPerSec: 0,
      decodeTokensPerSec: 0,
      cacheHitRatio: null,
      preemptionsPerSec: 0,
      errorsPerSec: 0,
      retriesPerSec: 0,
    });
    const varied = { ...at(1, 1), rates: Array.from({ length: 20 }, (_, i) => slice(i + 1, i)) };
    const { rows } = await drawn(loadCurve, [varied]);
    expect(rows[19]).toEqual([20, 10]);
    expect(loadCurve.title([varied])).toContain('at most 10 /s of its calls');
    const even = { ...at(1, 1), rates: Array.from({ length: 20 }, (_, i) => slice(5, i)) };
    expect(loadCurve.spec([even])).toHaveProperty('absent', expect.stringContaining('arrival'));
  });

  test('paces leave out the first and the last twentieth, and a queue that drains serves no more than was asked', () => {
    const every = (startStepMs: number, endStepMs: number) =>
      Array.from({ length: 101 }, (_, i) =>
        aWorkflow({ session: `s${i}`, plannedMs: i * startStepMs, endMs: 5000 + i * endStepMs }),
      );
    const pace = (startStepMs: number, endStepMs: number) =>
      loadOf({ workflows: every(startStepMs, endStepMs) }, null)!;
    // Percentiles are values that occurred: 90 steps apart.
    expect(pace(1000, 1000).offeredPerSec).toBeCloseTo((0.9 * 101) / 90, 6);
    expect(pace(1000, 2000).servedPerSec).toBeCloseTo((0.9 * 101) / 180, 6);
    expect(pace(1000, 500).servedPerSec).toBe(pace(1000, 500).offeredPerSec);
    expect(loadOf({ workflows: every(0, 10) }, null)).toBeNull();
    expect(loadOf({ workflows: every(10, 10).slice(0, 19) }, null)).toBeNull();
    const goodput = { byRole: [], byWorkflow: [{ group: 'chat', judged: 100, kept: 25, keptPerSec: 1 }] };
    const kept = loadOf({ workflows: every(1000, 1000) }, goodput)!;
    expect(kept.keptPerSec).toBeCloseTo(kept.servedPerSec / 4, 9);
  });
});

describe('hybrid routing', () => {
  test('is share, cost and time of runs that buy different parts', async () => {
    const runs = [
      aResult({ header: set('share=0.2'), apiCalls: 20, usd: 4, makespanMs: 9000 }),
      aResult({ header: set('share=0.8'), apiCalls: 80, usd: 20, makespanMs: 4000 }),
      aResult({ header: set('share=0.5'), apiCalls: 50, usd: 21, makespanMs: 5000 }),
    ];
    const { rows } = await drawn(hybridChart, runs);
    expect(rows.map(row => [row[1], row[4]])).toEqual([
      [0.2, 'frontier'],
      [0.8, 'frontier'],
      [0.5, 'beaten'],
    ]);
    expect(hybridChart.title(runs)).toMatch(/^20 % of calls at an API is cheapest, 4\.00 USD/);
    expect(hybridChart.spec([runs[0]!])).toHaveProperty('absent', expect.stringContaining('route more'));
    expect(hybridChart.spec([aResult()])).toHaveProperty('absent', expect.stringContaining('hybrid-routing'));
  });
});

describe('who served, and what failed', () => {
  test('work is split by pools of our own and what is bought; calls that nobody took are no work', () => {
    const calls = [
      aCall({ pool: 'main', cachedTokens: 400 }),
      aCall({ pool: 'frontier', outputTokens: 7 }),
      aCall({ pool: 'main', outcome: 'error', scheduledMs: null, firstTokenMs: null, error: 'http_429' }),
    ];
    const hosting = hostingOf({ calls, hosting: { pools: ['main'], offers: [] } })!;
    expect(hosting.own).toEqual({ calls: 1, promptTokens: 1000, cachedTokens: 400, outputTokens: 101 });
    expect(hosting.api).toMatchObject({ calls: 1, outputTokens: 7 });
    expect(hostingOf({ calls })).toBeNull();
  });

  test('failures are told apart by error, step and pool, each with the session that met it first', () => {
    const failed = (session: string, plannedMs: number, error: string | null = 'http_429') =>
      aCall({ session, plannedMs, error, outcome: error === null ? 'cancelled' : 'error' });
    const rows = failuresOf(
      [failed('s2', 20), failed('s1', 10), failed('s3', 30), failed('s4', 5, null), aCall()],
      ({ step }) => step,
    );
    expect(rows).toEqual([
      { error: 'http_429', step: 'answer', pool: 'main', calls: 3, session: 's1', atMs: 10 },
      { error: 'cancelled', step: 'answer', pool: 'main', calls: 1, session: 's4', atMs: 5 },
    ]);
    expect(failuresOf([aCall()], ({ step }) => step)).toBeNull();
  });
});

test('an assertion bounds the whole run only where it has no filter, and from above', () => {
  const of = (fields: Partial<Assertion>): unknown =>
    judge(aRun({ assertions: [{ text: '', subject: p95, filter: {}, op: '<', target: 500, ...fields }] }))[0]!
      .bounds;
  const p95: Assertion['subject'] = { kind: 'quantile', quantile: 0.95, metric: 'ttft' };
  expect(of({})).toEqual([{ metric: 'ttft', of: 'p95', limitMs: 500 }]);
  expect(of({ op: '>' })).toBeUndefined();
  expect(of({ filter: { role: 'worker' } })).toBeUndefined();
  // The only workflow is the whole run, and its E2E the makespan.
  const e2e: Assertion['subject'] = { kind: 'max', metric: 'e2e' };
  expect(of({ subject: e2e, filter: { workflow: 'chat' } })).toEqual([
    { metric: 'makespan', of: 'max', limitMs: 500 },
  ]);
  const slo = { kind: 'attainment', of: 'calls', withinMs: { ttft: 300, tpot: 40 } } as const;
  expect(of({ subject: slo, op: '>=', target: 0.95 })).toEqual([
    { metric: 'ttft', of: 'each', limitMs: 300 },
    { metric: 'tpot', of: 'each', limitMs: 40 },
  ]);
  const sessions = { kind: 'attainment', of: 'sessions', withinMs: { e2e: 9000 } } as const;
  expect(of({ subject: sessions, op: '>=', target: 0.95 })).toEqual([
    { metric: 'makespan', of: 'each', limitMs: 9000 },
  ]);
});
