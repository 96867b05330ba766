import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isAbsent } from '../../reports/charts/chart.ts';
import { toSvg } from '../../reports/render.ts';
import { loadRuntime } from '../../reports/runtime.ts';
import { TRACE_CHARTS } from '../../reports/trace/charts.ts';
import { figureFinding, figureRows } from '../../reports/trace/figure-table.ts';
import {
  arrivalFinding,
  findings,
  gapFinding,
  headline,
  hitFinding,
  reuseFinding,
} from '../../reports/trace/findings.ts';
import { traceSummary } from '../../reports/trace/terminal.ts';
import { tracePage } from '../../reports/trace-page.ts';
import type { Figure } from '../../scenarios/formats/figures.ts';
import type { RecordedSession } from '../../scenarios/formats/recorded.ts';
import type { TraceReport } from '../../scenarios/formats/trace-report.ts';
import { emptyTally, reportOf } from '../../scenarios/importers/importer.ts';
import { readTrace } from '../../scenarios/importers/read.ts';
import { traceProfiler } from '../../scenarios/traces/profile.ts';
import { emptySelectionReport, selectSessions } from '../../scenarios/traces/select.ts';
import { aChain, aRecordedCall, aRecordedSession } from '../builders/recorded.ts';

const CHROMIUM = '/usr/bin/chromium';
/** Where the browser is missing the tests are skipped, visibly; in CI they must run. */
const missing = !existsSync(CHROMIUM) && !process.env.CI;

const FIGURES: Figure[] = [
  { of: 'tool_gap_s', p50: 9, p90: 74, source: 'a corpus of 710 sessions', evidence: 'measured' },
  { of: 'cache_hit_ratio', value: 0.96, source: 'a corpus of 710 sessions', evidence: 'measured' },
  { of: 'ttft_s', p50: 2.5, source: 'a paper', evidence: 'reported' },
  { of: 'arrival_cv', value: 1, source: 'none: a Poisson process', evidence: 'assumption' },
];

function traceOf(sessions: readonly RecordedSession[], part: Partial<TraceReport> = {}): TraceReport {
  const profiler = traceProfiler();
  for (const session of sessions) profiler.add(session);
  return {
    name: 'sessions.jsonl',
    command: 'windtunnel import sessions.jsonl --page trace.html',
    tool: { name: 'agent-windtunnel', version: '0' },
    report: { ...reportOf(emptyTally()), format: 'test' },
    selection: emptySelectionReport(),
    profile: profiler.profile(),
    preset: { name: 'coding-agent', figures: FIGURES },
    ...part,
  };
}

/** Sessions of coding agents: chains that grow, with sub-agents here and there, on a clock, sharing their heads. */
const agents = Array.from({ length: 40 }, (_, row) => {
  const chain = aChain(
    Array.from({ length: 3 + (row % 9) }, (_, turn): [number, number, 'tool' | 'human'] => [
      turn * 9000 + row * 7 * turn * turn * 60,
      1200,
      turn % 4 === 3 ? 'human' : 'tool',
    ]),
    { id: `s${row}`, arrivalMs: row * 4000 + (row % 5) * 900, blockScope: 'test/file:shared' },
  );
  const fanned = [1, 2].map(agent =>
    aRecordedCall({
      id: `agent-${agent}/0`,
      agent: `agent-${agent}`,
      parents: ['main/0'],
      gapMs: 10,
      gapKind: 'client',
      tool: 'search',
      promptTokens: 60,
      blocks: [0, 700 + row],
      recorded: { startMs: 1210, e2eMs: 3000 },
    }),
  );
  return row % 4 === 0 ? { ...chain, calls: [chain.calls[0]!, ...fanned, ...chain.calls.slice(1)] } : chain;
});
const trace = traceOf(agents);
/** A trace that holds lengths and nothing else. */
const bare = traceOf(Array.from({ length: 3 }, (_, row) => aRecordedSession({ id: `r${row}` })));

describe('charts of a trace', () => {
  test('each draws as SVG on the server, and its table has a cell per column', async () => {
    for (const chart of TRACE_CHARTS) {
      const drawn = chart.spec(trace.profile);
      if (isAbsent(drawn)) throw new Error(`${chart.id}: ${drawn.absent}`);
      expect(await toSvg(drawn)).toMatch(/^<svg/);
      const { columns, rows } = chart.table(trace.profile);
      expect(rows.length).toBeGreaterThan(0);
      for (const row of rows) expect(row).toHaveLength(columns.length);
    }
  });

  test('of what the trace does not hold say so, and still have a title', () => {
    const absent = TRACE_CHARTS.filter(chart => isAbsent(chart.spec(bare.profile)));
    expect(absent.map(({ id }) => id)).toEqual([
      'reuse',
      'prompt-hits',
      'context',
      'gaps',
      'fan-out',
      'arrivals',
    ]);
    for (const chart of TRACE_CHARTS) expect(chart.title(bare.profile)).toMatch(/^[A-Z0-9][^_]{15,}$/);
    for (const chart of TRACE_CHARTS) expect(chart.title(bare.profile)).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe('findings', () => {
  test('are computed from the trace', () => {
    const chain = aChain(
      [
        [0, 1000, 'human'],
        [10_000, 1000, 'tool'],
        [400_000, 1000, 'human'],
      ],
      { arrivalMs: 0 },
    );
    const { profile } = traceOf([chain]);
    // Of 20 + 40 + 60 prompt tokens the second and third call repeat 20 + 40.
    expect(headline(profile)).toBe(
      '1 session with 3 calls: 50 % of their prompt tokens had been read before',
    );
    const text = new Map(findings(profile).map(({ about, text }) => [about, text]));
    expect(text.get('sessions')).toBe('at the median a session makes 3 calls, and a person writes 2 times');
    expect(text.get('lengths')).toMatch(
      /a prompt has 40 tokens \(p90 60\), an output 10; 4 tokens are read for one/,
    );
    expect(text.get('gaps')).toBe(
      'at the median tools take 9 s, people 6 min 29 s; 50 % of gaps last more than 5 min',
    );
    expect(text.get('context')).toMatch(
      /3 times its first at the median: a tool adds 20 tokens, a person 20/,
    );
    expect(text.get('fan-out')).toBe('one call at a time: nothing fans out');
    expect(text.get('arrivals')).toBe('too few sessions to speak of a rate');
  });

  test('of traces at their limits are true, and no chart says otherwise', () => {
    const oneOf = (part: Partial<RecordedSession>, count = 3) =>
      traceOf(Array.from({ length: count }, (_, row) => aRecordedSession({ id: `r${row}`, ...part })))
        .profile;
    const call = { promptTokens: 20, blocks: [0, 1] };
    const shared = { blockScope: 'test/file:x', calls: [aRecordedCall(call)] };
    const absent = (id: string, profile: TraceReport['profile']) =>
      TRACE_CHARTS.find(chart => chart.id === id)!.spec(profile);
    expect(hitFinding(oneOf({ calls: [aRecordedCall(call)] }))).toBe(
      'no prompt finds any of its tokens in an infinite cache',
    );
    expect(hitFinding(oneOf(shared, 40))).toBe(
      'half of the prompts find all of their tokens in an infinite cache, one in twenty 100 % or less',
    );
    const twice = aRecordedSession({
      calls: [aRecordedCall(call), aRecordedCall({ ...call, id: 'main/1', parents: ['main/0'] })],
    });
    const once = [1, 2, 3].map(row => aRecordedSession({ id: `r${row}`, calls: [aRecordedCall(call)] }));
    expect(hitFinding(traceOf([twice, ...once]).profile)).toBe(
      'half of the prompts find nothing in an infinite cache, and none more than 100 % of its tokens',
    );
    expect(arrivalFinding(oneOf({ arrivalMs: 5 }))).toBe('all sessions arrive at one instant');
    expect(arrivalFinding(oneOf({ arrivalMs: 5 }, 1))).toBe('too few sessions to speak of a rate');

    // Gaps of nothing are gaps.
    const rush = oneOf({
      calls: [aRecordedCall(), aRecordedCall({ id: 'main/1', parents: ['main/0'] })],
    });
    expect(gapFinding(rush)).toMatch(/calls wait 0 ms/);
    expect(absent('gaps', rush)).toEqual({
      absent: 'every call starts as soon as what it waits for has ended',
    });
    // 1 - 0.8 - 0.2 is a little less than 0.
    const full = { ...rush, reuse: { bySessionRatio: 0.8, acrossRatio: 0.2 } };
    expect(reuseFinding(full)).toMatch(/ 0 % are new$/);
  });

  test('in the terminal keep to the lines that matter, name ten unreadable parts and count the rest', () => {
    const unreadable = Array.from({ length: 25 }, (_, row) => ({ where: `a.jsonl:${row}`, why: 'not JSON' }));
    const text = traceSummary({ ...trace, report: { ...trace.report, unreadable } }, { page: 'trace.html' });
    const lines = text.split('\n');
    expect(lines.filter(line => line.startsWith('  left out'))).toHaveLength(11);
    expect(text).toContain('and 15 more');
    expect(lines.length).toBeLessThan(25);
    expect(lines.at(-1)).toBe('page: trace.html');
  });

  test('a preset stands beside the trace: ratios where both are known, the furthest named', () => {
    const rows = figureRows(FIGURES, trace.profile);
    expect(rows.map(({ figure, statistic }) => `${figure.of} ${statistic}`)).toEqual([
      'tool_gap_s p50',
      'tool_gap_s p90',
      'cache_hit_ratio value',
      'ttft_s p50',
      'arrival_cv value',
    ]);
    const own = trace.profile.gaps.byKind.tool!.p50 / 1000;
    expect(rows[0]).toMatchObject({ cited: 9, own, ratio: own / 9 });
    expect(rows[3]).toMatchObject({ own: null, ratio: null });
    expect(figureFinding('coding-agent', rows)).toMatch(
      /^\d of 4 figures are within a factor of 2 of coding-agent/,
    );
    expect(figureFinding('coding-agent', figureRows(FIGURES, bare.profile))).toMatch(/says nothing of what/);
  });
});

describe('the page', () => {
  test('of an anonymised trace names neither its file nor the parts left out', async () => {
    const report = emptySelectionReport();
    const context = { epochMs: () => null, report };
    const all = { window: null, maxContextTokens: null, sample: null, gapCap: null, anonymize: true };
    const named = agents.map(session => ({ ...session, source: 'secret.jsonl' }));
    const sessions = [...selectSessions(named, all, context)];
    const hidden = traceOf(sessions, {
      name: 'secret.jsonl',
      command: 'windtunnel import secret.jsonl',
      selection: report,
      report: { ...trace.report, unreadable: [{ where: 'secret.jsonl:3', why: 'secret' }] },
    });
    const { script, style, ...runtime } = await loadRuntime();
    const text = tracePage(hidden, { ...runtime, script: '', style: '' });
    expect(script.length * style.length).toBeGreaterThan(0);
    expect(text).not.toMatch(/secret|search/);
    expect(tracePage({ ...hidden, selection: emptySelectionReport() }, await loadRuntime())).toMatch(
      /secret\.jsonl/,
    );
  });

  test('of a long trace with many names stays under 1.5 MB', async () => {
    const long = Array.from({ length: 3000 }, (_, row) => ({
      ...agents[row % 40]!,
      id: `long-${row}`,
      arrivalMs: row * 5000,
      calls: agents[row % 40]!.calls.map(call => ({
        ...call,
        model: `model-${row}-${'x'.repeat(200)}`,
        tool: `tool-${row}-${'x'.repeat(200)}`,
        promptTokens: call.promptTokens + row * 17,
      })),
    }));
    expect(Buffer.byteLength(tracePage(traceOf(long), await loadRuntime()))).toBeLessThan(1.5e6);
  });
});

describe.skipIf(missing)('the page in a browser', () => {
  let browser: Browser;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'windtunnel-trace-page-'));
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
  async function open(text: string, widthPx: number, colorScheme: 'light' | 'dark' = 'light') {
    const file = join(folder, 'trace.html');
    await writeFile(file, text);
    const tab = await browser.newPage({ viewport: { width: widthPx, height: 800 }, colorScheme });
    const noted: string[] = [];
    tab.on('request', request => noted.push(request.url()));
    tab.on('console', message => {
      if (['error', 'warning'].includes(message.type())) noted.push(message.text());
    });
    tab.on('pageerror', error => noted.push(error.message));
    await tab.goto(pathToFileURL(file).href);
    await tab.waitForSelector('html[data-ready]');
    return { tab, noted };
  }

  async function drawAll(tab: Page): Promise<number> {
    const figures = tab.locator('figure[data-chart]');
    const count = await figures.count();
    for (let i = 0; i < count; i++) {
      await figures.nth(i).scrollIntoViewIfNeeded();
      await figures.nth(i).locator('.plot svg').waitFor();
    }
    return count;
  }

  test.each([
    [1280, 'light'],
    [360, 'dark'],
    [2200, 'light'],
  ] as const)('draws every chart, asks for nothing and fits at %i px, %s', async (widthPx, scheme) => {
    const { tab, noted } = await open(tracePage(trace, await loadRuntime()), widthPx, scheme);
    expect(await drawAll(tab)).toBe(TRACE_CHARTS.length);
    expect(await tab.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
    const widest = await tab.evaluate(
      "Math.max(...[...document.querySelectorAll('.plot')].map(plot => plot.scrollWidth - plot.clientWidth))",
    );
    expect(widest).toBeLessThanOrEqual(1);
    expect(noted).toEqual([pathToFileURL(join(folder, 'trace.html')).href]);
    await tab.close();
  });

  test('opens data and help by keyboard, and turns dark', async () => {
    const { tab, noted } = await open(tracePage(trace, await loadRuntime()), 1280);
    await drawAll(tab);
    const lengths = tab.locator('#trace-lengths');
    await lengths.locator('summary', { hasText: 'Data table' }).focus();
    await tab.keyboard.press('Enter');
    await lengths.locator('.data tbody tr').first().waitFor();
    expect(await lengths.locator('.data tbody tr').count()).toBe(3);
    await tab.locator('#theme').focus();
    await tab.keyboard.press('Enter');
    expect(await tab.locator('html').getAttribute('data-theme')).toBe('dark');
    expect(await drawAll(tab)).toBe(TRACE_CHARTS.length);
    expect(noted).toHaveLength(1);
    await tab.close();
  });

  test('shows names from a trace as text, never as markup', async () => {
    const evil = '</script><img src=x onerror="document.title=1">';
    const hostile = agents.map(session => ({
      ...session,
      calls: session.calls.map(call => ({ ...call, model: evil, tool: evil })),
    }));
    const report = {
      ...trace.report,
      format: evil,
      warnings: [evil],
      unreadable: [{ where: evil, why: evil }],
    };
    const preset = { name: evil, figures: [{ ...FIGURES[0]!, source: evil }] };
    const text = tracePage(
      traceOf(hostile, { name: evil, command: evil, report, preset }),
      await loadRuntime(),
    );
    const { tab, noted } = await open(text, 1280);
    await drawAll(tab);
    expect(await tab.locator('img').count()).toBe(0);
    expect(await tab.title()).toContain(evil);
    expect(noted).toHaveLength(1);
    await tab.close();
  });

  const samples = fileURLToPath(new URL('../../../shared/data/traces', import.meta.url));
  test
    .skipIf(!existsSync(samples))
    .each(['weka-claude-code/flat', 'mooncake/conversation.head.jsonl', 'azure-llm-2023/code.csv'])(
    'of %s fits a phone and says what is not recorded (skipped where ../shared is absent)',
    async path => {
      const { sessions, report } = readTrace([join(samples, path)]);
      const { tab, noted } = await open(
        tracePage(traceOf(sessions, { name: path, report }), await loadRuntime()),
        360,
      );
      const absent = await tab.locator('figure.absent').count();
      expect((await drawAll(tab)) + absent).toBe(TRACE_CHARTS.length);
      expect(await tab.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
      expect(noted).toHaveLength(1);
      await tab.close();
    },
  );
});
