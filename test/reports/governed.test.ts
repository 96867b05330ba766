// The summary of a governed run: money that adds up, counts of what the gateway did, goodput, and charts of it all.
import { describe, expect, test } from 'vitest';
import { isAbsent } from '../../reports/charts/chart.ts';
import { RUN_CHARTS } from '../../reports/charts/index.ts';
import { goodputOf } from '../../reports/governed/goodput.ts';
import { pressureOf, sliceMs } from '../../reports/governed/pressure.ts';
import { pageOf, sha256 } from '../../reports/publish.ts';
import { toVega } from '../../reports/render.ts';
import { summarise } from '../../reports/summary.ts';
import { terminalSummary } from '../../reports/terminal.ts';
import type { Assertion } from '../../scenarios/formats/assertion.ts';
import type { CostRow } from '../../scenarios/formats/result.ts';
import { aGovernedRun } from '../builders/governed.ts';
import { aCall, anAttempt, aRun, aWorkflow, theGoverned } from '../builders/records.ts';

const run = aGovernedRun({ workflows: 60 });
const result = summarise(run, sha256);
const nanos = (usd: number): number => Math.round(usd * 1e9);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

describe('cost', () => {
  const cost = result.cost!;

  test('every list of result.json sums to the total, to the nano-dollar', () => {
    expect(sum(Object.values(cost.byComponent).map(nanos))).toBe(nanos(cost.totalUsd));
    const lists: CostRow[][] = [
      cost.byWorkflow,
      cost.byStep,
      cost.byRole,
      cost.byTenant,
      cost.byUser,
      cost.byTarget,
    ];
    for (const rows of lists) expect(sum(rows.map(({ usd }) => nanos(usd)))).toBe(nanos(cost.totalUsd));
    const completed = run.workflows.filter(({ status }) => status === 'completed').length;
    expect(cost.usdPer1000Workflows).toBeCloseTo((cost.totalUsd / completed) * 1000, 9);
  });

  test('has the 20 users that cost most, and all others as one', () => {
    const workflows = Array.from({ length: 50 }, (_, i) => aWorkflow({ session: `s${i}`, user: `u${i}` }));
    const attempts = workflows.map(({ session, user }, i) =>
      anAttempt({ session, user, target: 'frontier', promptTokens: 1000 * (i + 1), outputTokens: 0 }),
    );
    const ledger = run.ledger!;
    const rows = attempts
      .map(({ user, promptTokens }) => ({ group: user!, nanos: promptTokens, wastedNanos: 1 }))
      .reverse();
    const { byUser } = summarise(
      aRun({
        workflows,
        governed: theGoverned({ attempts }),
        ledger: { ...ledger, rows: { ...ledger.rows, user: rows } },
      }),
      sha256,
    ).cost!;
    expect(byUser).toHaveLength(21);
    expect(byUser[0]).toMatchObject({ group: 'u49' });
    expect(byUser[20]).toMatchObject({ group: '(others)', wastedUsd: 30e-9 });
    expect(nanos(sum(byUser.map(({ usd }) => usd)))).toBe(sum(rows.map(each => each.nanos)));
  });

  test('is left out where nobody kept the books', () => {
    expect(summarise(aRun(), sha256)).not.toHaveProperty('cost');
  });
});

describe('what the gateway did', () => {
  const governed = result.governed!;

  test('every attempt is of one kind, and kinds and reasons are counted', () => {
    expect(sum(Object.values(governed.byKind))).toBe(governed.attempts);
    expect(governed.attempts).toBe(run.governed!.attempts.length);
    expect(governed.byKind.first).toBe(run.calls.length);
    expect(governed.retriesByReason).toEqual({ '429': governed.byKind.retry });
    expect(governed.failuresByReason['429']).toBe(
      run.governed!.attempts.filter(({ reason }) => reason === '429').length,
    );
    expect(governed.hedgesWon).toBe(governed.byKind.hedge);
    expect(governed.byKind.retry > 0 && governed.byKind.hedge > 0 && governed.byKind.fallback > 0).toBe(true);
  });

  test('ends before their time have a clean-up time and tokens that came after', () => {
    const { sessions, cleanMsP50, tokensAfter, byReason, gpuSecondsAfter } = governed.cancels;
    expect(sessions).toBeGreaterThan(0);
    expect(byReason).toEqual({ user_left: sessions });
    expect(cleanMsP50).toBeCloseTo(300, 6);
    expect(tokensAfter).toBe(12 * sessions);
    expect(gpuSecondsAfter).toBeGreaterThan(0);
  });

  test('tools and anomalies are counted', () => {
    const runs = run.governed!.tools;
    expect(governed.tools).toMatchObject({ runs: runs.length, failed: 0, queueMsP95: 5 });
    expect(governed.tools.coldRatio).toBeCloseTo(runs.filter(({ isCold }) => isCold).length / runs.length, 9);
    expect(governed.anomalies).toMatchObject({ precision: 1 });
    expect(governed.anomalies!.recall).toBeLessThan(1);
  });

  test('the session with most trouble is shown attempt by attempt', () => {
    const troubled = governed.troubled!;
    const own = run.governed!.attempts.filter(({ session }) => session === troubled.session);
    expect(troubled.attempts).toHaveLength(Math.min(60, own.length));
    expect(troubled.attempts.some(({ attempt }) => attempt > 0)).toBe(true);
    const spent = sum(
      run.governed!.attempts.flatMap(({ session }, i) =>
        session === troubled.session ? run.ledger!.attemptNanos[i]! : [],
      ),
    );
    expect(nanos(sum(troubled.attempts.map(({ usd }) => usd!)))).toBe(spent);
  });
});

describe('pressure', () => {
  test('slices are 1, 2 or 5 times a power of ten, and at most 200', () => {
    expect([1, 49_000, 51_000, 101_000, 86_400_000].map(sliceMs)).toEqual([100, 500, 500, 1000, 500_000]);
    for (let durationMs = 1; durationMs < 1e9; durationMs = Math.ceil(durationMs * 1.37))
      expect(Math.floor(durationMs / sliceMs(durationMs)) + 1).toBeLessThanOrEqual(200);
  });

  test('counts every 429 and retry once, where it happened', () => {
    const points = result.pressure!;
    expect(sum(points.map(({ retries }) => retries))).toBe(result.governed!.byKind.retry);
    expect(sum(points.map(({ refusals429 }) => refusals429))).toBe(result.governed!.failuresByReason['429']);
    const at = aRun({
      durationMs: 15_000,
      calls: [aCall({ outcome: 'error', error: 'http_429', endMs: 12_340 })],
    });
    expect(pressureOf(at).filter(({ refusals429 }) => refusals429 > 0)).toEqual([
      { atMs: 12_300, refusals429: 1, retries: 0, refusedByUs: 0 },
    ]);
  });

  test('is left out where nothing pressed', () => {
    expect(summarise(aRun(), sha256)).not.toHaveProperty('pressure');
  });
});

test('goodput: a call keeps its role when every SLO for it holds, a session its workflow', () => {
  const slo = (of: 'calls' | 'sessions', e2e: number, filter: Assertion['filter']): Assertion => ({
    text: 'slo',
    subject: { kind: 'attainment', of, withinMs: { e2e } },
    filter,
    op: '>=',
    target: 0.9,
  });
  const good = { role: 'worker', workflow: 'chat' } as const;
  const output = aRun({
    durationMs: 2000,
    assertions: [
      slo('calls', 2000, { workflow: 'chat' }),
      slo('calls', 1000, { step: 'strict' }),
      slo('sessions', 1500, { workflow: 'chat' }),
    ],
    calls: [
      aCall(good),
      aCall({ ...good, step: 'strict' }),
      aCall({ ...good, outcome: 'error', error: 'http_500' }),
      aCall({ ...good, outcome: 'cancelled', error: 'cancelled' }),
      aCall({ role: 'final', workflow: 'chat', endMs: 900 }),
      aCall({ role: null, workflow: 'chat' }),
      aCall({ role: 'worker', workflow: 'other' }),
    ],
    workflows: [
      aWorkflow(),
      aWorkflow({ session: 's1', endMs: 1600 }),
      aWorkflow({ session: 's2', status: 'failed' }),
      aWorkflow({ session: 's3', status: 'cancelled' }),
    ],
  });
  expect(goodputOf(output)).toEqual({
    byRole: [
      { group: 'final', judged: 1, kept: 1, keptPerSec: 0.5 },
      { group: 'worker', judged: 3, kept: 1, keptPerSec: 0.5 },
    ],
    byWorkflow: [{ group: 'chat', judged: 3, kept: 1, keptPerSec: 0.5 }],
  });
  expect(goodputOf(aRun())).toBeNull();
});

describe('shown', () => {
  const ours = RUN_CHARTS.filter(({ id }) => ['cost', 'waste', 'pressure', 'attempts'].includes(id));

  test('each chart compiles without a warning, says a finding and has its numbers as a table', () => {
    expect(ours).toHaveLength(4);
    for (const chart of ours) {
      const drawn = chart.spec(result);
      if (isAbsent(drawn)) throw new Error(`${chart.id}: ${drawn.absent}`);
      expect(() => toVega(drawn)).not.toThrow();
      expect(chart.title(result)).toMatch(/\d/);
      const { columns, rows } = chart.table(result);
      expect(rows.length).toBeGreaterThan(0);
      for (const row of rows) expect(row).toHaveLength(columns.length);
      expect(isAbsent(chart.spec(summarise(aRun(), sha256)))).toBe(true);
    }
  });

  test('the page has sections for money and gateway, and a plain run has neither', async () => {
    const page = await pageOf([result]);
    for (const heading of ['What the gateway did', 'Cost by step', 'Anomalies injected'])
      expect(page).toContain(heading);
    const plain = await pageOf([summarise(aRun(), sha256)]);
    expect(plain).not.toContain('What the gateway did');
    expect(plain).not.toContain('Cost by step');
  });

  test('the terminal has one line of both', () => {
    const lines = terminalSummary(result, { colour: false }).split('\n');
    const line = lines.find(each => each.includes('per 1,000 workflows'))!;
    expect(line).toMatch(
      /cost [\d.,]+ USD per 1,000 workflows \([\d.]+ % idle GPUs, .* in vain\); \d+ attempts, \d+ retries/,
    );
    expect(lines.length).toBeLessThanOrEqual(25);
  });
});
