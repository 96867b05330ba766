// The study of the break-even: its sums against those of policies.md §5.4 by hand, its runs against their books.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study from '../../../lab/studies/break-even.ts';
import { apiUsd, breakEven, hostedUsd, USUAL } from '../../../lab/studies/break-even-costs.ts';
import type { DayFigures } from '../../../lab/studies/break-even-measure.ts';
import { figuresOf } from '../../builders/figures.ts';

const CASES = study.cases({ isQuick: true });
type At = (typeof CASES)[number]['at'];
const H100 = { name: 'one H100', gpus: 1, usdPerGpuHour: 2.95 };

describe('sums', () => {
  test('give the numbers of policies.md §5.4', () => {
    // 3,000 x 1.75 + 500 x 14 and 3,000 x 0.15 + 500 x 0.6 USD of a million.
    expect(apiUsd('gpt-5.2', USUAL)).toBeCloseTo(0.01225, 12);
    expect(apiUsd('mistral-small-4', USUAL)).toBeCloseTo(0.00075, 12);
    expect(Math.round(breakEven('gpt-5.2', H100))).toBe(5780);
    expect(Math.round(breakEven('gpt-4o', H100))).toBe(5664);
    expect(Math.round(breakEven('mistral-small-4', H100))).toBe(94_400);
  });

  test('bill what is cached at the price of a cache read', () => {
    // 600 x 1.75 + 2,400 x 0.175 + 500 x 14.
    expect(apiUsd('gpt-5.2', { ...USUAL, cachedRatio: 0.8 })).toBeCloseTo(0.00847, 12);
  });

  test('take another server when the busiest hour needs it', () => {
    const capacity = { callsPerSec: 1, peak: 1 };
    expect(hostedUsd(1, H100, capacity)).toBeCloseTo(70.8, 9);
    expect(hostedUsd(86_400, H100, capacity)).toBeCloseTo(70.8, 9);
    expect(hostedUsd(86_401, H100, capacity)).toBeCloseTo(141.6, 9);
    expect(hostedUsd(86_400, H100, { ...capacity, peak: 3 })).toBeCloseTo(212.4, 9);
  });
});

test('the books of a run say what the sums say, to the cent', async () => {
  const runner = new CaseRunner();
  for (const { at, of } of CASES) {
    if (at.kind !== 'books' || at.hours !== 1) continue;
    const outcome = await runner.run(of);
    if (!outcome.ok) throw new Error(outcome.failure.message);
    const { calls, usd, gpuHours } = outcome.measured as DayFigures;
    expect(calls).toBe(4520);
    if (at.where === 'h200') expect(usd).toBeCloseTo(gpuHours * 3.39, 6);
    else expect(usd).toBeCloseTo(calls * 0.00075, 6);
  }
});

test('a server carries fewer calls the longer they are, and misses the SLO beyond', async () => {
  const runner = new CaseRunner();
  const kept = async (promptTokens: number, perSec: number): Promise<number> => {
    const found = CASES.find(
      ({ at }) =>
        at.kind === 'load' &&
        at.server === 'h200' &&
        at.promptTokens === promptTokens &&
        !at.isShared &&
        at.perSec === perSec,
    );
    const outcome = await runner.run(found!.of);
    if (!outcome.ok) throw new Error(outcome.failure.message);
    return outcome.keptRatios![0]!;
  };
  expect(await kept(3000, 0.5)).toBe(1);
  expect(await kept(3000, 16)).toBeLessThan(0.5);
  expect(await kept(1000, 8)).toBeGreaterThan(await kept(3000, 8));
});

/** Every server keeps both SLOs up to so many calls a second. */
const judged = (callsPerSec: number) =>
  study
    .judge(
      CASES.map(({ at }: { at: At }) => ({
        at,
        figures: figuresOf(),
        keptRatios: at.kind === 'load' && at.perSec <= callsPerSec ? [1, 1] : [0, 0],
      })),
    )
    .claims.map(({ verdict }) => verdict);

test('capacity decides whether a GPU can serve its break-even, and moves no price', () => {
  const [frontier, own, servesFrontier, servesOwn] = judged(16);
  expect([frontier, own]).toEqual(['confirmed', 'contradicted']);
  expect([servesFrontier, servesOwn]).toEqual(['confirmed', 'confirmed']);
  expect(judged(2).slice(2, 4)).toEqual(['confirmed', 'partly']);
  expect(judged(0.5).slice(0, 4)).toEqual(['confirmed', 'contradicted', 'confirmed', 'contradicted']);
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/break-even.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study break-even');
  const { claims } = study.judge(CASES.map(({ at }) => ({ at, figures: figuresOf() })));
  for (const { text } of claims) expect(page).toContain(text);
});
