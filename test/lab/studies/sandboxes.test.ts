// The study of sandboxes in small: Erlang's formula by hand, laws of its runs, and its judgement.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import study, { erlangB } from '../../../lab/studies/sandboxes.ts';
import type { SandboxesMeasured } from '../../../lab/studies/sandboxes-measure.ts';
import { figuresOf } from '../../builders/figures.ts';

type At = ReturnType<typeof study.cases>[number]['at'];
const cases = study.cases({ isQuick: true });
const runner = new CaseRunner();

async function ran(
  which: Partial<At>,
  sessions: number,
  deployment: readonly string[] = [],
): Promise<SandboxesMeasured> {
  const { of } = cases.find(({ at }) =>
    Object.entries(which).every(([name, value]) => at[name as keyof At] === value),
  )!;
  const set = [...(of.scenario.options.set ?? []), `traffic.0.sessions=${sessions}`];
  const outcome = await runner.run({
    ...of,
    scenario: { ...of.scenario, options: { ...of.scenario.options, set } },
    deployment: { ...of.deployment, set: [...(of.deployment.set ?? []), ...deployment] },
  });
  if (!outcome.ok) throw new Error(outcome.failure.message);
  return outcome.measured as SandboxesMeasured;
}

test("Erlang's loss formula, by hand", () => {
  expect(erlangB(0, 3)).toBe(1);
  expect(erlangB(1, 1)).toBeCloseTo(1 / 2, 12);
  expect(erlangB(2, 1)).toBeCloseTo(1 / 5, 12);
  // (256/24) / (1 + 4 + 8 + 64/6 + 256/24)
  expect(erlangB(4, 4)).toBeCloseTo(32 / 103, 12);
});

describe('runs', () => {
  test('a tool without a warm sandbox takes its start and its 50 ms, each time', async () => {
    const cold = await ran({ who: 'lone', start: 'e2b-claim', perSec: 10, pool: 0 }, 100);
    expect(cold).toMatchObject({ runs: 100, coldRatio: 1 });
    expect(cold.toolMsMean).toBeCloseTo(200, 6);
    expect(cold.toolMsP95).toBeCloseTo(200, 6);
    // 100 x 0.2 s at 0.05 USD an hour.
    expect(cold.runUsd).toBeCloseTo((20 / 3600) * 0.05, 9);
  });

  test('a fan-out of twenty takes as many as are warm and starts the rest', async () => {
    const burst = await ran({ who: 'burst', pool: 8 }, 1);
    expect(burst).toMatchObject({ runs: 20, coldRatio: 12 / 20 });
  });

  test('a session that keeps its sandbox starts one in ten, and it idles until the session ends', async () => {
    const kept = await ran({ who: 'agent', keep: 'session' }, 5);
    expect(kept).toMatchObject({ runs: 50, coldRatio: 0.1 });
    const alone = await ran({ who: 'agent', keep: 'call', start: 'none' }, 5);
    // From the first tool to the end, less its tools: all but the first call of the model.
    expect(kept.betweenMs).toBeGreaterThan(0);
    expect(kept.betweenMs).toBeLessThan(5 * kept.makespanMsMean);
    expect(kept.betweenMs).toBeCloseTo(alone.betweenMs, 3);
    expect(kept.makespanMsMean).toBeGreaterThan(alone.makespanMsMean);
  });
});

const measured = (fields: Partial<SandboxesMeasured>): SandboxesMeasured => ({
  runs: 2000,
  coldRatio: 0,
  toolMsMean: 50,
  toolMsP95: 50,
  makespanMsMean: 30_000,
  makespanMsP95: 40_000,
  durationMs: 200_000,
  runUsd: 0.001,
  betweenMs: 0,
  ...fields,
});
const judged = (fields: (at: At) => Partial<SandboxesMeasured>) =>
  study.judge(
    study
      .cases({ isQuick: false })
      .map(({ at }) => ({ at, figures: figuresOf(), measured: measured(fields(at)) })),
  ).claims;

/** Mean starts, in seconds. */
const SEC = { none: 0, cloudflare: 0.05, 'e2b-claim': 0.15 } as const;
const meanSec = (start: At['start']): number =>
  start === 'e2b-measured'
    ? 0.442 * Math.exp((Math.log(811 / 442) / 1.6449) ** 2 / 2)
    : start === 'daytona-measured'
      ? 0.663 * Math.exp((Math.log(1666 / 663) / 1.6449) ** 2 / 2)
      : SEC[start];

describe('the judgement', () => {
  test('a world as it is claimed is confirmed', () => {
    const claims = judged(({ who, pool, start, perSec, keep }) => ({
      coldRatio: who === 'agent' ? 0.1 : erlangB(pool, perSec * meanSec(start)),
      // A new sandbox each time costs seven times 50 ms, and half as much again of the agent's time.
      ...(who === 'agent' &&
        keep === 'call' &&
        pool === 0 &&
        start !== 'none' && { toolMsMean: 400, makespanMsMean: 45_000 }),
    }));
    expect(claims.map(({ verdict }) => verdict)).toEqual(Array.from({ length: 5 }, () => 'confirmed'));
  });

  test('one where starts are free and pools are always empty is not', () => {
    const claims = judged(({ who, pool, keep }) => ({
      coldRatio: who === 'burst' || pool < 40 ? 1 : 0,
      ...(keep === 'session' && { makespanMsMean: 60_000 }),
    }));
    expect(claims.map(({ verdict }) => verdict)).toEqual(Array.from({ length: 5 }, () => 'contradicted'));
  });
});

test('the page has the command and names every claim', () => {
  const page = readFileSync(new URL('../../../docs/studies/sandboxes.md', import.meta.url), 'utf8');
  expect(page).toContain('windtunnel study sandboxes');
  for (const { text } of judged(() => ({}))) expect(page).toContain(text);
});
