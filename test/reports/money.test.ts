// Money of another month and of other prices, by hand: own GPUs against an API, and what moves a cost.
import { describe, expect, test } from 'vitest';
import { breakEvenChart } from '../../reports/charts/break-even.ts';
import { isAbsent } from '../../reports/charts/chart.ts';
import { costTornado } from '../../reports/charts/cost-tornado.ts';
import { boughtInstead, ownGpus, ownUsdPerMonth, swingsOf } from '../../reports/money.ts';
import { toSvg } from '../../reports/render.ts';
import { summarise } from '../../reports/summary.ts';
import type { CostSummary, RunResult } from '../../scenarios/formats/result.ts';
import { aRun } from '../builders/records.ts';

const NO_PARTS: CostSummary['byComponent'] = {
  gpu_work: 0,
  gpu_idle: 0,
  api_input: 0,
  api_cached_input: 0,
  api_cache_write: 0,
  api_output: 0,
  tools: 0,
  tools_idle: 0,
  classifier: 0,
};

const aCost = (parts: Partial<CostSummary['byComponent']>, completed = 1000): CostSummary => {
  const byComponent = { ...NO_PARTS, ...parts };
  const totalUsd = Object.values(byComponent).reduce((sum, usd) => sum + usd, 0);
  return {
    totalUsd,
    usdPer1000Workflows: (totalUsd / completed) * 1000,
    byComponent,
    byWorkflow: [],
    byStep: [],
    byRole: [],
    byTenant: [],
    byUser: [],
    byTarget: [],
    waste: [],
    gpuSeconds: { busy: 1800, paid: 3600 },
    notes: [],
  };
};

const PRICE = { in: 1, cachedIn: 0.1, cacheWrite: 1, out: 2 };

/** An hour in which one GPU at 2 USD an hour served 1,000 workflows in half of its time. */
function anHour(fields: Partial<RunResult> = {}): RunResult {
  const result = summarise(aRun(), () => 'digest');
  return {
    ...result,
    durationMs: 3_600_000,
    counts: {
      ...result.counts,
      workflows: { planned: 1000, completed: 1000, failed: 0, cancelled: 0, unfinished: 0 },
    },
    cost: aCost({ gpu_work: 1, gpu_idle: 1 }),
    hosting: {
      own: { calls: 1000, promptTokens: 1e6, cachedTokens: 5e5, outputTokens: 1e5 },
      api: { calls: 0, promptTokens: 0, cachedTokens: 0, outputTokens: 0 },
      offers: [{ model: 'vendor/same', price: PRICE, relation: 'same', asOf: '2026-11-21' }],
    },
    ...fields,
  };
}

describe('own GPUs against an API', () => {
  test('a unit costs its hours of a month and serves what it would at full use', () => {
    const own = ownGpus(anHour())!;
    expect(own.unitUsdPerMonth).toBeCloseTo(2 * 730, 6);
    expect(own.unitWorkflowsPerMonth).toBeCloseTo(2 * 1000 * 730, 3);
    expect(ownUsdPerMonth(own, 1)).toBeCloseTo(1460, 6);
    expect(ownUsdPerMonth(own, 1_460_000)).toBeCloseTo(1460, 6);
    expect(ownUsdPerMonth(own, 1_460_001)).toBeCloseTo(2920, 6);
  });

  test('the same tokens cost their list price, and break even where a unit costs as much', () => {
    // 0.5 M at 1, 0.5 M at 0.1 and 0.1 M at 2 USD per million: 0.75 USD for 1,000 workflows.
    const result = anHour();
    const [bought] = boughtInstead(result, ownGpus(result)!);
    expect(bought!.usdPerWorkflow).toBeCloseTo(0.00075, 9);
    // 1,460 USD a month would buy 1.95 M workflows, but a unit serves 1.46 M: never.
    expect(bought!.breakEven).toBeNull();
    expect(breakEvenChart.title(result)).toMatch(
      /vendor\/same is cheaper at any volume: 0\.75 USD .* 1\.00 USD/,
    );
  });

  test('at ten times the price one unit pays off, and a second at once; without, it is dearer at first', () => {
    const dear = (times: number) => {
      const result = anHour();
      const price = { in: times, cachedIn: times / 10, cacheWrite: times, out: 2 * times };
      const hosting = { ...result.hosting!, offers: [{ ...result.hosting!.offers[0]!, price }] };
      return { ...result, hosting };
    };
    const ten = dear(10);
    const [often] = boughtInstead(ten, ownGpus(ten)!);
    expect(often!.breakEven).toBeCloseTo(1460 / 0.0075, 3);
    expect(often!.forGood).toBe(often!.breakEven);
    expect(breakEvenChart.title(ten)).toContain('from about 190,000 workflows a month on');
    expect(breakEvenChart.title(ten)).not.toContain('for good');
    // 1.5 times: from 1.298 M on; a unit saves 182.5 USD full, so eight of them carry the ninth.
    const some = dear(1.5);
    const own = ownGpus(some)!;
    const [seldom] = boughtInstead(some, own);
    expect(seldom!.breakEven).toBeCloseTo(1460 / 0.001125, 3);
    expect(seldom!.forGood).toBeCloseTo((8 * 1460) / 0.001125, 3);
    const isCheaper = (n: number): boolean => ownUsdPerMonth(own, n) <= 0.001125 * n + 1e-6;
    expect(isCheaper(1_460_001)).toBe(false);
    for (let n = seldom!.forGood!; n < 40e6; n += 99_991) expect(isCheaper(n)).toBe(true);
    expect(breakEvenChart.title(some)).toMatch(/; for good from 10,000,000$/);
  });

  test('the chart draws, with a band around the API and steps of the GPUs', async () => {
    const drawn = breakEvenChart.spec(anHour());
    if (isAbsent(drawn)) throw new Error(drawn.absent);
    expect(await toSvg(drawn)).toMatch(/^<svg/);
    expect(drawn.datasets.banded!.length).toBeGreaterThan(20);
    const { columns, rows } = breakEvenChart.table(anHour());
    for (const row of rows) expect(row).toHaveLength(columns.length);
  });

  test('says what is missing: a price of the GPUs, or of a model like theirs', () => {
    const { cost: _, ...unpriced } = anHour();
    expect(breakEvenChart.spec(unpriced)).toHaveProperty('absent', expect.stringContaining('price=2.5/h'));
    const result = anHour();
    const unsold = { ...result, hosting: { ...result.hosting!, offers: [] } };
    expect(breakEvenChart.spec(unsold)).toHaveProperty('absent', expect.stringContaining('catalog prices'));
    expect(breakEvenChart.title(unsold)).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe('what moves the cost', () => {
  test('each figure a fifth lower and higher, by hand', () => {
    const result = anHour({
      cost: aCost({ gpu_work: 1, gpu_idle: 1, api_input: 0.5, api_cached_input: 0.1, api_output: 1.4 }),
      gpuTime: { prefill: 600, decode: 1200, idle: 1800, cold: 0 },
      hosting: {
        own: { calls: 800, promptTokens: 100, cachedTokens: 50, outputTokens: 10 },
        api: { calls: 200, promptTokens: 100, cachedTokens: 50, outputTokens: 10 },
        offers: [],
      },
    });
    const of = (name: string) => swingsOf(result).find(({ what }) => what === name)!;
    expect(of('GPU price').lower).toBeCloseTo(-0.4, 9);
    expect(of('GPU price').higher).toBeCloseTo(0.4, 9);
    expect(of('API price').higher).toBeCloseTo(0.4, 9);
    // Half used: 2 USD of GPUs at 0.4 are 2.5, at 0.6 they are 1.667.
    expect(of('GPU utilisation').lower).toBeCloseTo(0.5, 9);
    expect(of('GPU utilisation').higher).toBeCloseTo(-1 / 3, 9);
    // A third of the GPUs' 2 USD is prefill. Hits of 0.4: 0.6 of the prompt is computed and not 0.5, a fifth more.
    expect(of('cache hits').lower).toBeCloseTo((2 / 3) * 0.2 + 0.5 * 0.2 - 0.1 * 0.2, 9);
    expect(of('output length').higher).toBeCloseTo(0.2 * (4 / 3 + 1.4), 9);
    const widths = swingsOf(result).map(({ lower, higher }) => Math.abs(higher - lower));
    expect(widths).toEqual(widths.toSorted((a, b) => b - a));
  });

  test('hits do not pass the whole prompt, nor utilisation the whole time', () => {
    const result = anHour({ gpuTime: { prefill: 1, decode: 0, idle: 0, cold: 0 } });
    const full = {
      ...result,
      cost: { ...result.cost!, gpuSeconds: { busy: 3600, paid: 3600 } },
      hosting: {
        ...result.hosting!,
        own: { calls: 1, promptTokens: 100, cachedTokens: 90, outputTokens: 1 },
      },
    };
    const of = (name: string) => swingsOf(full).find(({ what }) => what === name)!;
    expect(of('GPU utilisation').higher).toBe(0);
    expect(of('cache hits').higher).toBeCloseTo(-2, 9);
  });

  test('the chart draws and names the widest; without prices it says how to give one', async () => {
    const drawn = costTornado.spec(anHour());
    if (isAbsent(drawn)) throw new Error(drawn.absent);
    expect(await toSvg(drawn)).toMatch(/^<svg/);
    expect(costTornado.title(anHour())).toMatch(
      /^What moves the cost most is GPU utilisation: .* −17 % to \+25 %$/,
    );
    const { cost: _, ...unpriced } = anHour();
    expect(costTornado.spec(unpriced)).toHaveProperty('absent', expect.stringContaining('price=2.5/h'));
  });
});
