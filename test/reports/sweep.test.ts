import { describe, expect, test } from 'vitest';
import { pointsOf } from '../../lab/sweep/design.ts';
import { effectsOf } from '../../lab/sweep/effects.ts';
import { cheapestThatHolds, rankingOf, withFront } from '../../lab/sweep/gather.ts';
import { isAbsent } from '../../reports/charts/chart.ts';
import { toVega } from '../../reports/render.ts';
import { loadRuntime } from '../../reports/runtime.ts';
import { SWEEP_CHARTS } from '../../reports/sweep/charts/index.ts';
import { sweepPage } from '../../reports/sweep/page.ts';
import { sweepSummary } from '../../reports/sweep/terminal.ts';
import { showWithSpread } from '../../reports/sweep/words.ts';
import {
  SWEEP_METRIC_NAMES,
  type SweepDesign,
  type SweepFigure,
  type SweepPoint,
  type SweepResult,
} from '../../scenarios/formats/sweep.ts';
import { axisName, parseAxes } from '../../scenarios/formats/vary.ts';

/** A cluster that queues: the more load a replica has the longer a call takes; each replica costs as much. */
function sweepOf(vary: readonly string[], design: SweepDesign = 'grid', points?: number): SweepResult {
  const axes = parseAxes(vary);
  const made = pointsOf(axes, { design, points, seed: 1 }).map((place, index): SweepPoint => {
    const setting = (path: string): number | null =>
      place.find(({ settings }) => settings[0]!.path === path)?.number ?? null;
    const replicas = setting('pools.main.replicas') ?? 4;
    const e2eMs = 100 + (400 * (setting('load') ?? 1)) / replicas;
    const metrics = Object.fromEntries(
      SWEEP_METRIC_NAMES.map((name): [string, SweepFigure] => [name, [null, null, null]]),
    ) as SweepPoint['metrics'];
    return {
      index,
      values: place.map(({ label }) => label),
      numbers: place.map(({ number }) => number),
      seeds: 2,
      metrics: { ...metrics, 'e2e.p95': [e2eMs, e2eMs - 5, e2eMs + 5], usd: [replicas, replicas, replicas] },
      holdsRatio: e2eMs < 250 ? 1 : 0.5,
      failures: [],
      isFront: false,
    };
  });
  const judgedPoints = withFront(made, 'e2e.p95', 'usd');
  const ranking = rankingOf(judgedPoints, 'e2e.p95', 'usd');
  const sweepAxes = axes.map((axis, i) => ({
    name: axisName(axis),
    isNumeric: judgedPoints.every(({ numbers }) => numbers[i] !== null),
    values: [...new Set(judgedPoints.map(({ values }) => values[i]!))],
  }));
  const judged = judgedPoints.map(point => {
    const metric = point.metrics['e2e.p95'][0]!;
    return { point, metric, perSeed: [metric - 1, metric + 1] };
  });
  return {
    schemaVersion: 1,
    kind: 'sweep',
    header: {
      tool: { name: 'agent-windtunnel', version: '0' },
      scenario: { name: 's', sha256: '' },
      deployment: { name: 'd', sha256: '' },
      command: 'windtunnel sweep s -d d',
      evidence: [],
      warnings: [],
    },
    design,
    axes: sweepAxes,
    seeds: [1, 2],
    metric: 'e2e.p95',
    cost: 'usd',
    slo: 'TTFT <= 2 s',
    assertions: 1,
    runs: 2 * judgedPoints.length,
    runsPlanned: 2 * judgedPoints.length,
    failedRuns: 0,
    points: judgedPoints,
    ranking,
    cheapestThatHolds: cheapestThatHolds(judgedPoints, ranking, 'usd'),
    effects: effectsOf(sweepAxes, judged, judged[ranking[0] ?? -1] ?? null, design === 'grid'),
  };
}

const GRID = ['pools.main.replicas=1..4', 'load=1,2', 'routing=random,round-robin'];
const chartOf = (id: string) => SWEEP_CHARTS.find(chart => chart.id === id)!;

describe('the answer', () => {
  const text = sweepSummary(sweepOf(GRID), { reportPath: 'x/report.html' });

  test('is the best point, the cheapest that holds, what matters and the front', () => {
    // 100 + 400 * 1 / 4 = 200 ms.
    expect(text).toContain(
      'Best of the 4 of 16 points that hold every assertion: replicas 4, load 1, routing random has a call E2E p95 of 200 ms, at 4.00 USD',
    );
    // 100 + 400 / 3 = 233 ms is the slowest below 250 with the fewest replicas.
    expect(text).toContain(
      'cheapest that holds the assertion with every seed: replicas 3, load 1, routing random',
    );
    expect(text).toMatch(/replicas matters most .* of the ranks, load \d+ %, routing 0 %/);
    // 3 and 4 replicas; their twins with the other router are alike.
    expect(text).toContain('Pareto front, 2 points');
    expect(text.split('\n').at(-1)).toBe('report: x/report.html');
  });

  test('shares near one are told by what they lack', () => {
    expect(showWithSpread('slo', [0.9993, 0.9991, 0.9995])).toBe('99.93 % ± 0.02 %');
    expect(showWithSpread('slo', [1, 1, 1])).toBe('100 %');
    expect(showWithSpread('slo', [0.99996, null, null])).toBe('99.996 %');
  });
});

describe('charts', () => {
  test('a map takes the two axes that matter most, and the best over the third until it is picked', () => {
    const sweep = sweepOf(GRID);
    const { columns, rows } = chartOf('heat-map').table(sweep);
    expect(columns.slice(0, 2)).toEqual(['load', 'replicas']);
    expect(rows).toHaveLength(8);
    expect(chartOf('heat-map').title(sweep)).toContain('best over routing');
    const choices = chartOf('heat-map').choices!(sweep);
    expect(choices.map(({ label }) => label)).toEqual([
      'best over routing',
      'routing random',
      'routing round-robin',
    ]);
  });

  test('sensitivity of a grid is around the best point, of a sample a rank correlation', () => {
    const grid = chartOf('sensitivity').table(sweepOf(GRID));
    const load = grid.rows.find(([axis]) => axis === 'load')!;
    // At 4 replicas twice the load is 300 ms, 100 more with every seed.
    expect(load.slice(1, 4)).toEqual(['2', 300, 100]);
    const sample = chartOf('sensitivity').table(sweepOf(['load=1..8#5'], 'lhs', 20));
    expect(sample.rows[0]!.slice(0, 2)).toEqual(['load', 1]);
  });

  test('lines go along the numbers that matter most', () => {
    expect(chartOf('along-axis').title(sweepOf(GRID))).toBe(
      'Call E2E p95 goes from 500 ms at replicas 1 to 200 ms at replicas 4, best over load, routing',
    );
  });

  test.each([
    [['load=1,2']],
    [['routing=random,round-robin']],
    [['pools.main.replicas=3']],
    [GRID],
    [['pools.main.replicas=1..30', 'load=0.5..2#30']],
  ])('of %j are drawn, or say why not, and compile', vary => {
    const sweep = sweepOf(vary);
    for (const chart of SWEEP_CHARTS) {
      const drawn = chart.spec(sweep);
      expect(chart.title(sweep)).not.toBe('');
      if (isAbsent(drawn)) expect(drawn.absent).not.toBe('');
      else expect(() => toVega(drawn)).not.toThrow();
    }
  });
});

test('a page of 10,000 points is one file under 1.5 MB', async () => {
  const sweep = sweepOf(
    ['pools.main.replicas=1..8', 'load=0.5..4#99', 'params.size=1..100#99', 'routing=a,b,c'],
    'lhs',
    10_000,
  );
  expect(sweep.points.length).toBeGreaterThan(9_900);
  const page = sweepPage(sweep, await loadRuntime());
  expect(page.length).toBeLessThan(1.5e6);
  expect(page).not.toMatch(/(?:src|href)="https?:/);
});
