import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAbsent } from '../../reports/charts/chart.ts';
import { RUN_CHARTS, VALIDATION_CHARTS } from '../../reports/charts/index.ts';
import { overTime } from '../../reports/charts/over-time.ts';
import { escapeHtml, html, scriptJson } from '../../reports/html.ts';
import { BLOCKS } from '../../reports/page/blocks.ts';
import { page } from '../../reports/page.ts';
import { toSvg } from '../../reports/render.ts';
import { loadRuntime } from '../../reports/runtime.ts';
import { summarise } from '../../reports/summary.ts';
import type { RunResult } from '../../scenarios/formats/result.ts';
import { anAgentRun } from '../builders/agents.ts';
import { drawAll, noBrowser, overflowPx, type PageBrowser, pageBrowser } from '../builders/browser.ts';
import { aGovernedRun } from '../builders/governed.ts';
import { aHugeRun } from '../builders/huge.ts';
import { aMeasured } from '../builders/measured.ts';
import { aCall, aHeader, aRun } from '../builders/records.ts';
import { aValidation } from '../builders/validations.ts';

/** axe-core as a script; where it is not installed its tests are skipped, visibly, but in CI. */
const axe = ((): string | null => {
  try {
    return readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  } catch (error) {
    if (process.env.CI) throw error;
    return null;
  }
})();

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
const governed = aGovernedRun({ workflows: 60 });
const sim = resultOf({
  ...governed,
  calls: governed.calls.map(call => ({
    ...call,
    misses: [{ reason: 'new', tokens: 40, segment: 'input', detail: null }],
  })),
  replicas: [stays!, moves!],
  busy: [{ pool: 'main', replica: 'main/0', busyMs: 8000 }],
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
      ...RUN_CHARTS.map(chart => ({ id: chart.id, drawn: chart.spec(sim), table: chart.table(sim) })),
      ...[...VALIDATION_CHARTS, overTime(0)].map(chart => ({
        id: chart.id,
        drawn: chart.spec(validation),
        table: chart.table(validation),
      })),
    ];
    for (const { id, drawn, table } of drawings) {
      expect(table.rows.length, id).toBeGreaterThan(0);
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
  test('a run with as much to show as any, and ten of them on one page, stay under 1.5 MB', async () => {
    const runtime = await loadRuntime();
    const runs = Array.from({ length: 10 }, (_, i) => aHugeRun(i));
    expect(Buffer.byteLength(page(runs.slice(0, 1), runtime))).toBeLessThan(1.5e6);
    expect(Buffer.byteLength(page(runs, runtime))).toBeLessThan(1.5e6);
  });

  test('equal results give equal bytes', async () => {
    const runtime = await loadRuntime();
    const again: RunResult = JSON.parse(JSON.stringify(sim));
    expect(page([again, live], runtime)).toBe(page([sim, live], runtime));
  });
});

describe('the twelve blocks', () => {
  const ids = [
    ...['verdict', 'frontier', 'load-curve', 'distributions', 'timeline', 'explorer', 'where-time-goes'],
    ...['money', 'sweep', 'accuracy', 'compare', 'appendix'],
  ];
  const blocksIn = (text: string): { id: string; body: string }[] =>
    [...text.matchAll(/<section class="block" id="([^"]+)"[^>]*>([\s\S]*?)<\/section>/g)].map(
      ([, id, body]) => ({ id: id!, body: body!.replace(/<h2[\s\S]*?<\/h2>/, '').trim() }),
    );

  test('come in the order that a planner reads, and none is empty: it says why, and what would fill it', async () => {
    const runtime = await loadRuntime();
    const nothing = resultOf(
      aRun({
        calls: [],
        nodes: [],
        workflows: [],
        timeline: [],
        itlMs: { count: 0, sum: 0, min: 0, max: 0, buckets: [] },
      }),
    );
    for (const runs of [[nothing], [sim], [sim, live]]) {
      const blocks = blocksIn(page(runs, runtime));
      expect(blocks.map(({ id }) => id)).toEqual(ids);
      for (const { id, body } of blocks) expect(body.length, id).toBeGreaterThan(40);
    }
    const [sweep] = blocksIn(page([sim], runtime)).filter(({ id }) => id === 'sweep');
    expect(sweep!.body).toMatch(/Nothing here: .+ Try <code>windtunnel /);
  });

  test('of a validation begin with the answer: how far apart the worlds are', async () => {
    const blocks = blocksIn(page(validation, await loadRuntime()));
    expect(blocks.slice(0, 2).map(({ id }) => id)).toEqual(['verdict', 'accuracy']);
    expect(blocks.map(({ id }) => id).sort()).toEqual([...ids].sort());
    expect(blocks[0]!.body.match(/<h1>/g)).toHaveLength(1);
  });

  test('have an id of their own each', () => {
    expect(BLOCKS.map(({ id }) => id)).toEqual(ids);
  });
});

describe('the verdict', () => {
  const assertion = { text: 'ttft.p95 < 500ms', value: 400, target: 500, unit: 'ms', pass: true } as const;
  const headerOf = async (fields: Partial<RunResult>): Promise<string> =>
    page([{ ...live, ...fields }], await loadRuntime());

  test('says by how much of its target each promise is kept or broken', async () => {
    expect(await headerOf({ assertions: [assertion] })).toContain('margin 20 %');
    expect(await headerOf({ assertions: [{ ...assertion, value: 600, pass: false }] })).toContain(
      'missed by 20 %',
    );
    const hits = { ...assertion, text: 'cache_hit > 60%', value: 0.9, target: 0.6, unit: 'ratio' } as const;
    expect(await headerOf({ assertions: [hits] })).toContain('margin 50 %');
  });

  test('gives the interval of a promise over eight blocks of time or more', async () => {
    const blocks = (count: number) => [
      { id: 'ttft.p95', values: Array.from({ length: count }, (_, i) => 390 + 20 * (i % 2)) },
    ];
    // Eight values of 390 and 410: 400 ± 2.365 × 10.69 / √8.
    expect(await headerOf({ assertions: [assertion], blocks: blocks(8) })).toContain('[391 ms, 409 ms]');
    expect(await headerOf({ assertions: [assertion], blocks: blocks(7) })).not.toContain('[391');
  });

  test('shows a p99 from 1,000 samples on and a p99.9 from 10,000, else says that there are too few', async () => {
    const metric = { ...live.metrics.ttft!, n: 999, p99: 1234, p999: null };
    const shown = async (n: number, p999: number | null) =>
      (await headerOf({ metrics: { ttft: { ...metric, n, p999 } } }))
        .split('<th scope="row">TTFT')[1]!
        .split('</tr>')[0]!;
    expect((await shown(999, null)).match(/n too small/g)).toHaveLength(2);
    expect((await shown(1000, null)).match(/n too small/g)).toHaveLength(1);
    expect(await shown(1000, null)).toContain('1.23 s');
    expect(await shown(10_000, 5678)).toContain('5.68 s');
  });
});

describe.skipIf(noBrowser)('the page in a browser', () => {
  let browser: PageBrowser;

  beforeAll(async () => {
    browser = await pageBrowser();
  });
  afterAll(() => browser?.close());

  test.each([
    [1280, 'light'],
    [360, 'dark'],
    [3840, 'light'],
  ] as const)('draws every chart, asks for nothing and fits at %i px, %s', async (widthPx, theme) => {
    const text = page([sim], await loadRuntime());
    const { tab, requests, complaints } = await browser.open('report', text, { widthPx, theme });
    const drawn = await drawAll(tab);
    expect(drawn).toBe(text.match(/data-chart="/g)!.length);
    expect(drawn).toBeGreaterThanOrEqual(RUN_CHARTS.length);
    expect(await overflowPx(tab)).toBeLessThanOrEqual(0);
    const widest = await tab.evaluate(
      "Math.max(...[...document.querySelectorAll('.plot')].map(plot => plot.scrollWidth - plot.clientWidth))",
    );
    expect(widest).toBeLessThanOrEqual(1);
    expect(complaints).toEqual([]);
    expect(requests).toHaveLength(1);
    await tab.close();
  });

  test('has a name, a text and a table for every chart, and a way to each block by keyboard', async () => {
    const { tab } = await browser.open('reader', page([sim], await loadRuntime()));
    await drawAll(tab);
    const figures = tab.locator('figure[data-chart]:visible');
    for (let i = 0; i < (await figures.count()); i++) {
      const figure = figures.nth(i);
      const labelledBy = await figure.getAttribute('aria-labelledby');
      const name = await tab.locator(`[id="${labelledBy}"]`).textContent();
      expect(name!.length).toBeGreaterThan(10);
      expect(await figure.locator('.plot').getAttribute('aria-label')).toBe(name);
      await figure.locator('.data summary').press('Enter');
      await figure.locator('.data tbody tr').first().waitFor();
    }
    // Axes and legends are read out; marks, of which there are thousands, are not.
    const read: string[] = await tab.evaluate(
      "[...document.querySelectorAll('.plot svg [role]')].map(part => part.getAttribute('aria-roledescription'))",
    );
    expect([...new Set(read)].sort()).toEqual(['axis', 'group mark container', 'legend', 'title']);
    await tab.keyboard.press('Tab');
    await tab.evaluate('document.activeElement.blur(); scrollTo(0, 0)');
    await tab.locator('.skip').focus();
    expect(await tab.locator('.skip').boundingBox()).toHaveProperty('y', expect.any(Number));
    await tab.locator('.contents a', { hasText: 'Money' }).press('Enter');
    await tab.locator('.contents a[aria-current]', { hasText: 'Money' }).waitFor();
    await tab.close();
  });

  test('turns dark, keeps what was picked, and shows its rows', async () => {
    const { tab, complaints } = await browser.open('theme', page([sim], await loadRuntime()));
    await drawAll(tab);
    const waterfall = tab.locator('#run0-waterfall');
    const { session } = sim.exemplars.find(({ label }) => label === 'max')!;
    await waterfall.locator('input[type=search]').fill(`longest ${session}`);
    expect(await waterfall.locator('h3').textContent()).toContain('The longest workflow');
    await tab.click('#theme');
    expect(await waterfall.locator('select option:checked').textContent()).toContain(session);
    await waterfall.locator('.data summary').click();
    expect(await waterfall.locator('.data tbody td:nth-child(2)').first().textContent()).toBe(session);
    await waterfall.locator('[data-step="-1"]').click();
    await waterfall.locator('input[type=search]').fill('');
    expect(await waterfall.locator('select option').count()).toBe(sim.exemplars.length);
    expect(complaints).toEqual([]);
    await tab.close();
  });

  test('zooms all charts over time together: by dragging, by buttons, and back', async () => {
    const { tab, complaints } = await browser.open('zoom', page([sim], await loadRuntime()));
    await drawAll(tab);
    const [one, other] = [tab.locator('#run0-timeline'), tab.locator('#run0-replicas')];
    await one.scrollIntoViewIfNeeded();
    const plot = (await one.locator('.plot').boundingBox())!;
    const y = plot.y + 60;
    await tab.mouse.move(plot.x + plot.width * 0.3, y);
    await tab.mouse.down();
    await tab.mouse.move(plot.x + plot.width * 0.6, y, { steps: 4 });
    await tab.mouse.up();
    const shown = () => one.locator('.zoom .note').textContent();
    const dragged = await shown();
    expect(dragged).toMatch(/ s to .+ s|min/);
    expect(await other.locator('.zoom .note').textContent()).toBe(dragged);
    await other.locator('[data-zoom=in]').press('Enter');
    expect(await shown()).not.toBe(dragged);
    await one.locator('[data-zoom=all]').click();
    expect(await shown()).toBe('');
    expect(complaints).toEqual([]);
    await tab.close();
  });

  test('gives each chart as CSV, SVG, PNG, Vega-Lite and a link that leads back to it', async () => {
    const text = page([sim, live], await loadRuntime());
    const { tab, complaints } = await browser.open('download', text, {
      hash: '#run=1&block=distributions&chart=latency-cdf',
    });
    const figure = tab.locator('#run1-latency-cdf');
    await figure.locator('.plot svg').waitFor();
    expect(await tab.evaluate('document.activeElement.id')).toBe('run1-latency-cdf');
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
      expect(download.suggestedFilename()).toBe(`run1-latency-cdf.${name}`);
    }
    await figure.locator('[data-link]').click();
    await tab.waitForFunction(
      "location.hash.includes('run=1') && location.hash.includes('chart=latency-cdf')",
    );
    const { session } = live.exemplars.at(-1)!;
    await tab.evaluate(`location.hash = 'run=1&workflow=${encodeURIComponent(session)}'`);
    await tab.waitForFunction(
      `document.querySelector('#run1-waterfall option:checked')?.textContent.includes(${JSON.stringify(session)})`,
    );
    expect(complaints).toEqual([]);
    await tab.close();
  });

  test('prints: on white, every chart drawn, nothing cut', async () => {
    const { tab, complaints } = await browser.open('print', page([sim], await loadRuntime()), {
      theme: 'dark',
    });
    const pdf = await tab.pdf({ format: 'A4', printBackground: true });
    expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
    expect(pdf.toString('latin1').match(/\/Type \/Page\b/g)!.length).toBeGreaterThan(3);
    const undrawn = tab.locator('figure[data-chart]:not([data-drawn]):visible');
    expect(await undrawn.count()).toBe(0);
    await tab.emulateMedia({ media: 'print' });
    expect(await tab.locator('.contents').isVisible()).toBe(false);
    expect(complaints).toEqual([]);
    await tab.close();
  });

  test('shows names from a trace as text, never as markup', async () => {
    const evil = '</script><img src=x onerror="document.title=1">\u202e=HYPERLINK("x")';
    const hostile = aRun({
      header: aHeader({ scenario: { name: evil, sha256: 'c'.repeat(64) }, warnings: [evil] }),
      calls: [
        aCall({ step: evil, call: evil, role: evil, parts: [{ segment: evil, tokens: 1000 }], error: evil }),
      ],
      nodes: [{ ...anAgentRun({ workflows: 1 }).nodes[0]!, session: 's0', call: evil, step: evil }],
    });
    const text = page([resultOf(hostile), sim], await loadRuntime());
    const { tab, requests, complaints } = await browser.open('hostile', text);
    await drawAll(tab);
    expect(await tab.locator('img').count()).toBe(0);
    const waterfall = tab.locator('#run0-waterfall');
    await waterfall.locator('.data summary').click();
    expect(await waterfall.locator('.data tbody td:nth-child(4)').first().textContent()).toBe(evil);
    expect(await tab.evaluate('document.title')).not.toBe('1');
    expect(requests).toHaveLength(1);
    expect(complaints).toEqual([]);
    await tab.close();
  });

  test('a cell that a spreadsheet would run as a formula is text in the CSV', async () => {
    const formula = '=HYPERLINK("http://x")';
    const run = { ...sim, exemplars: sim.exemplars.map(each => ({ ...each, session: formula })) };
    const { tab } = await browser.open('formula', page([run], await loadRuntime()));
    await drawAll(tab);
    const [download] = await Promise.all([
      tab.waitForEvent('download'),
      tab.locator('#run0-waterfall [data-download=csv]').click(),
    ]);
    const csv = readFileSync(await download.path(), 'utf8');
    expect(csv).toContain(`"'=HYPERLINK(""http://x"")"`);
    await tab.close();
  });

  test('switches between several runs, and between the two of a validation', async () => {
    const runtime = await loadRuntime();
    for (const [name, text] of [
      ['several', page([sim, live], runtime)],
      ['validation', page(validation, runtime)],
    ] as const) {
      const { tab, requests, complaints } = await browser.open(name, text, { widthPx: 360 });
      expect(await tab.locator('[data-run="1"]:visible').count()).toBe(0);
      const first = await drawAll(tab);
      await tab.selectOption('#run-select', '1');
      expect(await tab.locator('[data-run="0"]:visible').count()).toBe(0);
      expect(await drawAll(tab)).toBeGreaterThan(first / 2);
      expect(await overflowPx(tab)).toBeLessThanOrEqual(0);
      expect(complaints).toEqual([]);
      expect(requests).toHaveLength(1);
      await tab.close();
    }
  });

  test.skipIf(axe === null).each([
    [1280, 'light'],
    [360, 'dark'],
  ] as const)('axe-core finds nothing at %i px, %s, with everything unfolded', async (widthPx, theme) => {
    const { tab } = await browser.open('axe', page([sim, live], await loadRuntime()), { widthPx, theme });
    await drawAll(tab);
    for (const summary of await tab.locator('details:visible > summary').all()) await summary.click();
    await tab.evaluate(axe!);
    const found: { id: string; impact: string; nodes: { target: string[] }[] }[] = await tab.evaluate(
      "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations)",
    );
    expect(found.map(({ id, impact, nodes }) => `${impact} ${id} ${nodes[0]!.target.join(' ')}`)).toEqual([]);
    await tab.close();
  });
});
