import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAbsent } from '../../reports/charts/chart.ts';
import { RUN_CHARTS, VALIDATION_CHARTS } from '../../reports/charts/index.ts';
import { overTime } from '../../reports/charts/over-time.ts';
import { escapeHtml, html, scriptJson } from '../../reports/html.ts';
import { page } from '../../reports/page.ts';
import { toSvg } from '../../reports/render.ts';
import { loadRuntime } from '../../reports/runtime.ts';
import { summarise } from '../../reports/summary.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { anAgentRun } from '../builders/agents.ts';
import { aGovernedRun } from '../builders/governed.ts';
import { aMeasured } from '../builders/measured.ts';
import { aCall, aHeader, aRun, aSample, aWorkflow } from '../builders/records.ts';
import { aValidation } from '../builders/validations.ts';

const CHROMIUM = '/usr/bin/chromium';
/** Where the browser is missing the tests are skipped, visibly; in CI they must run. */
const missing = !existsSync(CHROMIUM) && !process.env.CI;

const resultOf = (output: Parameters<typeof summarise>[0]): RunResult => summarise(output, () => 'digest');
/** Of a pool whose second replica comes and goes. */
const [stays, moves] = [
  [0, 0, null],
  [5000, 9000, 20_000],
].map(([askedMs, readyMs, goneMs], i) => ({
  pool: 'main',
  replica: `main/${i}`,
  askedMs: askedMs as number,
  readyMs: readyMs as number,
  goneMs: goneMs as number | null,
  isLost: false,
  gpus: 1,
  usdPerGpuHour: 2,
}));
const sim = resultOf({
  ...aGovernedRun({ workflows: 60 }),
  replicas: [stays!, moves!],
  measured: aMeasured(),
});
const live = resultOf({
  ...anAgentRun({ workflows: 60, world: 'live', slowdown: 1.05 }),
  measured: aMeasured(),
});
const validation = aValidation({ sim, live });

describe('escaping', () => {
  test('what is put into HTML is text', () => {
    expect(html`<b>${'<img onerror=x>'}</b>${['&', html`<i>`]}`.text).toBe(
      '<b>&lt;img onerror=x&gt;</b>&amp;<i>',
    );
    expect(escapeHtml(`"'`)).toBe('&quot;&#39;');
  });

  test('JSON in a script cannot end it', () => {
    const text = scriptJson({ name: '</script><!-- \u2028' }).text;
    expect(text).not.toMatch(/[<>\u2028]/);
    expect(JSON.parse(text)).toEqual({ name: '</script><!-- \u2028' });
  });
});

describe('charts', () => {
  test('every chart draws as SVG on the server, and its table has a cell per column', async () => {
    const drawings = [
      ...RUN_CHARTS.map(chart => ({ drawn: chart.spec(sim), table: chart.table(sim) })),
      ...[...VALIDATION_CHARTS, overTime(0)].map(chart => ({
        drawn: chart.spec(validation),
        table: chart.table(validation),
      })),
    ];
    for (const { drawn, table } of drawings) {
      expect(table.rows.length).toBeGreaterThan(0);
      for (const row of table.rows) expect(row).toHaveLength(table.columns.length);
      if (isAbsent(drawn)) throw new Error(drawn.absent);
      expect(await toSvg(drawn)).toMatch(/^<svg/);
    }
  });

  test('a chart without data says why, and still has a title', () => {
    const empty = resultOf(
      aRun({
        calls: [],
        nodes: [],
        workflows: [],
        timeline: [],
        itlMs: { count: 0, sum: 0, min: 0, max: 0, buckets: [] },
      }),
    );
    for (const chart of RUN_CHARTS) {
      expect(chart.spec(empty)).toHaveProperty('absent', expect.stringMatching(/.{20}/));
      expect(chart.title(empty)).not.toMatch(/NaN|undefined|Infinity/);
    }
  });
});

describe('size', () => {
  test('the page of a run with full distributions, ten pools and wide exemplars stays under 1.5 MB', async () => {
    const calls = Array.from({ length: 3000 }, (_, i) =>
      aCall({
        session: `s${i % 5}`,
        call: `c${i}`,
        step: `step-${i % 300}`,
        plannedMs: i * 1.37,
        firstTokenMs: i * 2.11 + 200,
        endMs: i * 3.3 + 900,
      }),
    );
    const timeline = Array.from({ length: 10 }, (_, pool) =>
      Array.from({ length: 3000 }, (_, i) =>
        aSample({
          pool: `pool-${pool}`,
          atMs: i * 33.3,
          runningRequests: (i * 7919) % 256,
          waitingRequests: (i * 104_729) % 64,
          kvUsedRatio: ((i * 31) % 997) / 997,
        }),
      ),
    ).flat();
    const big = resultOf(
      aRun({
        calls,
        timeline,
        workflows: Array.from({ length: 5 }, (_, i) => aWorkflow({ session: `s${i}` })),
      }),
    );
    expect(Buffer.byteLength(page([big], await loadRuntime()))).toBeLessThan(1.5e6);
  });
});

describe.skipIf(missing)('the page in a browser', () => {
  let browser: Browser;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'windtunnel-page-'));
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
    });
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Opens a page from its file; whatever it asks for or complains about is noted. */
  async function open(
    name: string,
    text: string,
    widthPx = 1280,
  ): Promise<{ tab: Page; requests: string[]; complaints: string[] }> {
    const file = join(folder, `${name}.html`);
    await writeFile(file, text);
    const tab = await browser.newPage({ viewport: { width: widthPx, height: 800 } });
    const requests: string[] = [];
    const complaints: string[] = [];
    tab.on('request', request => requests.push(request.url()));
    tab.on('console', message => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
    });
    tab.on('pageerror', error => complaints.push(error.message));
    await tab.goto(pathToFileURL(file).href);
    await tab.waitForSelector('html[data-ready]');
    return { tab, requests, complaints };
  }

  /** Scrolls every shown chart into view until it is drawn. */
  async function drawAll(tab: Page): Promise<number> {
    const figures = tab.locator('figure[data-chart]:visible');
    const count = await figures.count();
    for (let i = 0; i < count; i++) {
      await figures.nth(i).scrollIntoViewIfNeeded();
      await figures.nth(i).locator('.plot svg').waitFor();
    }
    return count;
  }

  test.each([1280, 360])('draws every chart, asks for nothing and fits at %i px', async widthPx => {
    const { tab, requests, complaints } = await open('report', page([sim], await loadRuntime()), widthPx);
    expect(await drawAll(tab)).toBe(RUN_CHARTS.length);
    const overflowPx = await tab.evaluate('document.documentElement.scrollWidth - innerWidth');
    expect(overflowPx).toBeLessThanOrEqual(0);
    const widest = await tab.evaluate(
      "Math.max(...[...document.querySelectorAll('.plot')].map(plot => plot.scrollWidth - plot.clientWidth))",
    );
    expect(widest).toBeLessThanOrEqual(1);
    expect(complaints).toEqual([]);
    expect(requests).toHaveLength(1);
    await tab.close();
  });

  test('turns dark, keeps the workflow that was chosen, and shows the data', async () => {
    const { tab, complaints } = await open('theme', page([sim], await loadRuntime()));
    await drawAll(tab);
    const waterfall = tab.locator('#run0-waterfall');
    await waterfall.locator('label', { hasText: 'median' }).click();
    await tab.click('#theme');
    expect(await waterfall.locator('input:checked').getAttribute('value')).toBe('median');
    await waterfall.locator('summary', { hasText: 'Data table' }).click();
    // The rows are written when it opens.
    await waterfall.locator('.data tbody tr').nth(5).waitFor();
    expect(complaints).toEqual([]);
    await tab.close();
  });

  test('gives each chart as CSV, SVG, PNG and Vega-Lite', async () => {
    const { tab, complaints } = await open('download', page([sim], await loadRuntime()));
    const figure = tab.locator('#run0-latency-cdf');
    for (const [kind, name] of [
      ['csv', 'csv'],
      ['svg', 'svg'],
      ['png', 'png'],
      ['spec', 'vl.json'],
    ]) {
      const [download] = await Promise.all([
        tab.waitForEvent('download'),
        figure.locator(`[data-download=${kind}]`).click(),
      ]);
      expect(download.suggestedFilename()).toBe(`run0-latency-cdf.${name}`);
    }
    expect(complaints).toEqual([]);
    await tab.close();
  });

  test('shows names from a trace as text, never as markup', async () => {
    const evil = '</script><img src=x onerror="document.title=1">';
    const hostile = aRun({
      header: aHeader({ scenario: { name: evil, sha256: 'c'.repeat(64) }, warnings: [evil] }),
      calls: [
        aCall({ step: evil, call: evil, role: evil, parts: [{ segment: evil, tokens: 1000 }], error: evil }),
      ],
      nodes: [{ ...anAgentRun({ workflows: 1 }).nodes[0]!, session: 's0', call: evil, step: evil }],
    });
    const { tab, requests, complaints } = await open(
      'hostile',
      page([resultOf(hostile)], await loadRuntime()),
    );
    await drawAll(tab);
    expect(await tab.locator('img').count()).toBe(0);
    expect(await tab.title()).toContain(evil);
    expect(requests).toHaveLength(1);
    expect(complaints).toEqual([]);
    await tab.close();
  });

  test('switches between several runs, and between the two of a validation', async () => {
    const runtime = await loadRuntime();
    for (const [name, text, charts] of [
      // This live run knows nothing of replicas and prices, and has no gateway.
      ['several', page([sim, live], runtime), RUN_CHARTS.length - 4],
      ['validation', page(validation, runtime), RUN_CHARTS.length + VALIDATION_CHARTS.length + 1],
    ] as const) {
      const { tab, requests, complaints } = await open(name, text, 360);
      await drawAll(tab);
      await tab.selectOption('#run-select', '1');
      const absent = await tab.locator('figure.absent:visible').count();
      expect((await drawAll(tab)) + absent).toBe(charts);
      expect(await tab.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
      expect(complaints).toEqual([]);
      expect(requests).toHaveLength(1);
      await tab.close();
    }
  });
});
