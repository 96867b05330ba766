// The study of hybrid routing: small runs keep its laws, and its judgement follows from prices and chances by hand.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/hybrid.ts';
import * as arms from '../../../lab/studies/hybrid-arms.ts';
import { type HybridRun, QUALITY, type Tasks } from '../../../lab/studies/hybrid-measure.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
const runner = new CaseRunner();

/** A case of the study with so few tasks of each tenant, and further overrides of its deployment. */
async function ran(
  arm: arms.Arm,
  sessions: number,
  more: { scenario?: readonly string[]; deployment?: readonly string[] } = {},
): Promise<HybridRun> {
  const { of } = CASES.find(({ at }) => at.arm === arm.name && at.seed === 1 && !at.isDrawn)!;
  const tenants = arms.REGULATED_ARMS.includes(arm) ? [0, 1] : [0];
  const set = [
    ...(of.scenario.options.set ?? []),
    ...tenants.map(i => `traffic.${i}.sessions=${sessions}`),
    ...(more.scenario ?? []),
  ];
  const outcome = await runner.run({
    ...of,
    scenario: { ...of.scenario, options: { ...of.scenario.options, set } },
    deployment: { ...of.deployment, set: [...(of.deployment.set ?? []), ...(more.deployment ?? [])] },
  });
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.measured as HybridRun;
}

describe('data that may not leave', () => {
  const target = fc.constantFrom('local', 'frontier');
  const rule = fc.oneof(
    target.map(use => `{ use: ${use} }`),
    target.map(use => `{ complexity: high, use: ${use} }`),
    fc.constant('{ complexity: low, use: { local: 30%, frontier: 70% } }'),
    fc.constant('{ role: final, use: local, escalate: { to: frontier } }'),
    fc.constant('{ tenant: clinic, use: { local: 50%, frontier: 50% } }'),
  );

  test('never leave, whatever the rules, misroutes, escalations, fallbacks and outages', async () => {
    const drawn = fc.record({
      rules: fc.array(rule, { minLength: 1, maxLength: 3 }),
      bad: fc.constantFrom('accept', 'retry', 'escalate'),
      degraded: fc.constantFrom('fail_closed', 'fall_back', 'queue'),
      atSec: fc.integer({ min: 0, max: 60 }),
    });
    const left = { clinic: 0, team: 0 };
    await fc.assert(
      fc.asyncProperty(drawn, async ({ rules, bad, degraded, atSec }) => {
        const { tenants } = await ran(arms.failsClosed, 30, {
          scenario: [`faults=[{ fault: replica_crash, target: local, at: ${atSec}s }]`],
          deployment: [
            `gateway.choose=[${rules.join(', ')}]`,
            `gateway.on_bad_answer=${bad}`,
            `gateway.degraded=${degraded}`,
          ],
        });
        left.clinic += tenants.clinic!.left;
        left.team += tenants.team!.left;
        expect(tenants.clinic!.left).toBe(0);
        expect(tenants.clinic!.tasks).toBe(30);
      }),
      { numRuns: 15 },
    );
    // The law is about somebody who had the chance.
    expect(left.team).toBeGreaterThan(0);
  });

  test('wait for the local pool where they are told to, and not longer than it is away', async () => {
    const crash = { scenario: ['faults=[{ fault: replica_crash, target: local, at: 10s }]'] };
    const waited = (await ran(arms.waits, 40, crash)).tenants.clinic!;
    expect(waited.failed).toEqual({});
    expect(waited.p95Ms).toBeGreaterThan(200_000);
    expect(waited.p95Ms).toBeLessThan(330_000);
    const closed = (await ran(arms.failsClosed, 40, crash)).tenants.clinic!;
    expect(Object.keys(closed.failed)).not.toHaveLength(0);
  });
});

test('a classifier that never errs misroutes nothing, one that always does misroutes all', async () => {
  const seen = (await ran(arms.router(1), 150)).tenants.team!;
  expect(seen).toMatchObject({ easyAway: 0, hardHome: 0, left: seen.hard });
  const always = 'gateway.classifier.confusion={ low: { high: 100% }, high: { low: 100% } }';
  const wrong = (await ran(arms.router(1), 150, { deployment: [always] })).tenants.team!;
  expect(wrong).toMatchObject({ easyAway: seen.easy, hardHome: seen.hard, left: seen.easy });
});

test('a cascade asks again what was bad at home, no more, and a threshold only moves answers to the API', async () => {
  const home = (await ran(arms.atHome, 200)).tenants.team!;
  const all = (await ran(arms.cascade(1), 200)).tenants.team!;
  expect(all.escalated).toBe(home.tasks - home.good);
  expect(all.good).toBeGreaterThan(home.good);
  const away: number[] = [];
  for (const ratio of [...arms.THRESHOLDS].reverse())
    away.push((await ran(arms.moved(arms.GOOD, ratio), 200)).tenants.team!.left);
  expect(away).toEqual([...away].sort((a, b) => a - b));
});

describe('a world by hand', () => {
  /** USD of one answer at the API; at home it is free but for the GPU of $1 for 1,000 tasks. */
  const EASY_USD = 0.01;
  const HARD_USD = 0.03;
  const { easy, hard } = QUALITY;
  /** 1,000 tasks, of which these shares of easy and hard ones go to the API. */
  const routed = (easyAway: number, hardAway: number): HybridRun => {
    const team: Tasks = {
      tasks: 1000,
      good:
        800 * (easy.local + easyAway * (easy.frontier - easy.local)) +
        200 * (hard.local + hardAway * (hard.frontier - hard.local)),
      easy: 800,
      hard: 200,
      easyAway: 800 * easyAway,
      hardHome: 200 * (1 - hardAway),
      escalated: 0,
      left: 800 * easyAway + 200 * hardAway,
      failed: {},
      p50Ms: 1000 * (1 + easyAway),
      p95Ms: 5000,
    };
    return { usd: 1 + 800 * easyAway * EASY_USD + 200 * hardAway * HARD_USD, tenants: { team } };
  };
  const byArm = new Map<string, HybridRun>([
    [arms.atHome.name, routed(0, 0)],
    [arms.away.name, routed(1, 1)],
    ...arms.ACCURACIES.map(a => [arms.router(a).name, routed(1 - a, a)] as const),
    ...arms.LOTS.map(ratio => [arms.byLot(ratio).name, routed(ratio, ratio)] as const),
  ]);
  const judged = study.judge(
    CASES.map(({ at }) => ({
      at,
      figures: figuresOf(),
      measured: at.isDrawn ? [] : (byArm.get(at.arm) ?? routed(1, 1)),
    })),
  );
  const figureOf = (text: string): string => judged.claims.find(claim => claim.text.includes(text))!.figure;

  test('a classifier at 50 % is a lot, a perfect one gains what hard answers gain at the API', () => {
    // Perfect: $1 + 200 * 0.03 = $7 for 97.6 - 2 = 95.6 %; by lot $7 is 3/7 of the way from 87.6 to 96.4 %: 91.37 %.
    const figure = figureOf('at any accuracy');
    expect(figure).toContain('by lot: 0 at 50 %');
    expect(figure).toContain('+4.23 at 100 %');
  });

  test('the accuracy from which it pays is where its price meets that of the cheaper single model', () => {
    // A bad answer at $0.2: all at home 1 + 124 * 0.2 = 25.8, all at the API 15 + 36 * 0.2 = 22.2. At accuracy a the
    // router costs 1 + 8 (1 - a) + 6 a for the API and 0.2 (124 - 8 (1 - a) - 80 a) for bad answers: 32.2 - 16.4 a,
    // which is 22.2 at 61 %.
    expect(figureOf('whatever a bad answer costs')).toContain('$0.2 61 %');
    // At $3 bad answers decide: even a perfect router has 44 of them, the API 36.
    expect(figureOf('whatever a bad answer costs')).toContain('$3 none');
  });

  test('quality and price stand against those of the API for all answers', () => {
    // 90 % right: 1 + 0.8 + 5.4 of $15; bad answers are 124 - 0.8 - 72 against 36.
    expect(judged.claims[0]).toMatchObject({
      verdict: 'partly',
      figure: expect.stringMatching(/−1\.52 percentage points .* 0\.48x the price/),
    });
  });
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/hybrid.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study hybrid');
  const { claims } = study.judge(CASES.map(({ at }) => ({ at, figures: figuresOf() })));
  for (const { text } of claims) expect(page).toContain(text);
});
