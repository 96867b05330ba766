import { describe, expect, test } from 'vitest';
import { BENCH_CHARTS } from '../../reports/bench/charts.ts';
import { benchPage } from '../../reports/bench/page.ts';
import { benchSummary } from '../../reports/bench/terminal.ts';
import { showDifference } from '../../reports/bench/words.ts';
import { isAbsent } from '../../reports/charts/chart.ts';
import { COLOURED_LINES, linesSpec } from '../../reports/charts/lines.ts';
import { toSvg } from '../../reports/render.ts';
import { loadRuntime } from '../../reports/runtime.ts';
import { benchOf, policyRuns } from '../builders/figures.ts';

const seeds = (of: (seed: number) => object) => [1, 2, 3].map(of);
const policies = [
  policyRuns('base', [
    seeds(seed => ({ makespanMsP95: 4000 + seed, goodputPerSec: 20 })),
    seeds(seed => ({ makespanMsP95: 8000 + seed, goodputPerSec: 10, sloRatio: 0.5 })),
  ]),
  policyRuns('fast', [
    seeds(seed => ({ makespanMsP95: 3000 + 2 * seed, goodputPerSec: 20 })),
    seeds(seed => ({ makespanMsP95: 6000 + 3 * seed, goodputPerSec: 19, sloRatio: 0.96 })),
  ]),
];
const bench = benchOf(policies, [0.5, 1]);

test('the summary gives the answer first, then a row a policy, best first', () => {
  const lines = benchSummary(bench, { reportPath: 'out/report.html' }).split('\n');
  // base falls from 100 % to 50 %: a tenth of the way; 100 calls/s is capacity.
  expect(lines[1]).toContain('fast keeps 95 % of calls good up to 100 calls/s, base up to 55 calls/s');
  expect(lines[3]).toMatch(/^ {2}fast .* 6\.01 s .*−25 % .*\*/);
  expect(lines[4]).toMatch(/^ {2}base \(baseline\)/);
  expect(lines.at(-1)).toBe('report: out/report.html');
  expect(lines.join('\n')).toContain("Holm's correction for 1 polic");
});

test('a difference is told relative to the baseline, with half its interval and a star where it is real', () => {
  const point = bench.curves.find(({ policy }) => policy === 'fast')!.points[0]!;
  // -999, -998, -997 on 4002: -24.9 %, and 4.303 / sqrt 3 = 2.48 on 4002 is 0.06 %.
  expect(showDifference(point, 'makespanMsP95')).toBe('−25 % ±0.1 *');
  expect(showDifference(point, 'hitRatio')).toBe('0 % ±0');
});

describe.each(BENCH_CHARTS)('the chart $id', chart => {
  test('is drawn on white and on dark paper, with its numbers as a table', async () => {
    const drawn = chart.spec(bench);
    if (isAbsent(drawn)) throw new Error(drawn.absent);
    expect(await toSvg(drawn)).toMatch(/^<svg/);
    const dark = await toSvg(drawn, 720, 'dark');
    expect(dark).toContain('#171b22');
    expect(dark).not.toContain('#0072B2');
    const { columns, rows } = chart.table(bench);
    expect(rows.length).toBeGreaterThan(0);
    for (const row of rows) expect(row).toHaveLength(columns.length);
    expect(chart.title(bench)).not.toMatch(/NaN|undefined|null/);
  });
});

test('lines beyond the colours are drawn without a name, and the strong one always has one', () => {
  const lines = Array.from({ length: COLOURED_LINES + 3 }, (_, i) => ({
    name: `l${i}`,
    points: [{ x: 1, y: i + 1 }],
  }));
  const { datasets } = linesSpec([...lines, { name: 'last', points: [{ x: 1, y: 9 }] }], {
    x: { title: 'x' },
    y: { title: 'y' },
    strong: 'last',
  });
  expect(datasets.others).toHaveLength(3);
  expect(datasets.lines).toHaveLength(COLOURED_LINES + 1);
  expect(datasets.lines).toContainEqual({ name: 'last', x: 1, y: 9 });
});

test('the page stands alone and names what did not run', async () => {
  const leftOut = [{ policy: 'odd', reason: 'needs events', hint: null, runs: 3, exitCode: 104 }];
  const page = benchPage({ ...bench, leftOut }, await loadRuntime());
  expect(page).toContain('needs events');
  expect(page).toContain('windtunnel bench-policies test -d four');
  expect(page).not.toMatch(/https?:\/\/(?!vega\.github\.io|www\.w3\.org)[^"' ]*\.(js|css)/);
  expect(JSON.parse(/id="summary">(.*?)<\/script>/s.exec(page)![1]!)).toMatchObject({ kind: 'policy-bench' });
});
