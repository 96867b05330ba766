// Grids on real files: the same answer whatever the number of threads, and no case lost.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { GridCase } from '../../../lab/grid/case.ts';
import { atLoad, hasLoad, sizedTo } from '../../../lab/grid/load-factor.ts';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import { keepThreads, runGrid } from '../../../lab/grid/run-grid.ts';
import { loadScenario } from '../../../scenarios/cli/load.ts';
import { planOf, sessionsOf } from '../../builders/scenarios.ts';
import { DEPLOYMENT } from '../../builders/worlds.ts';
import { emptyFolder, write } from '../../cli/run.ts';

const folder = emptyFolder();
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(() => {
  write(folder, 's.yaml', TRAFFIC('{ poisson: { rate: 5/s } }'));
  write(folder, 'closed.yaml', TRAFFIC('{ closed: { agents: 3, think: 1s } }'));
  write(folder, 'd.yaml', DEPLOYMENT('', undefined, 3, 'least-outstanding'));
});

const TRAFFIC = (arrival: string, bounds = 'sessions: 40'): string => `
windtunnel: 1
seed: 3
models: { m: { model: ministral-3-14b } }
tools: { fetch: { latency: { median: 300ms, p90: 1s }, result: 40 } }
workflows:
  main:
    steps:
      - { llm: a, adds: { median: 200, p90: 900 }, out: 20 }
      - { tool: fetch }
      - { map: each, over: 2, steps: [ { llm: b, adds: 50, out: { median: 30, p90: 80 } } ] }
traffic: [ { workflow: main, arrival: ${arrival}, ${bounds} } ]
`;

const caseOf = (seed: number, policy: string, loadFactor = 1, scenario = 's.yaml'): GridCase => ({
  scenario: { input: join(folder, scenario), options: { seed } },
  deployment: { input: join(folder, 'd.yaml'), change: { routing: { policy, options: {} } } },
  loadFactor,
});

describe('a grid', () => {
  const cases = [
    caseOf(1, 'round-robin'),
    caseOf(1, 'least-outstanding', 4),
    caseOf(2, 'nowhere'),
    caseOf(2, 'round-robin', 2),
    { ...caseOf(1, 'round-robin'), scenario: { input: join(folder, 'absent.yaml'), options: {} } },
    caseOf(3, 'least-outstanding'),
  ];

  test('answers the same in this thread and on several', async () => {
    expect(await runGrid(cases, { jobs: 3 })).toEqual(await runGrid(cases, { jobs: 1 }));
  });

  test('answers the same on threads that are kept for the next one', async () => {
    const { run, close } = keepThreads();
    const first = await run(cases, { jobs: 2 });
    // More threads, fewer, one.
    for (const jobs of [3, 2, 1]) expect(await run(cases, { jobs })).toEqual(first);
    await close();
  });

  test('has an outcome for each case, failures with their reason', async () => {
    const outcomes = await runGrid(cases, { jobs: 1 });
    expect(outcomes.map(each => each?.ok)).toEqual([true, true, false, true, false, true]);
    expect(outcomes[2]).toMatchObject({
      failure: { message: expect.stringContaining('nowhere'), exitCode: 104 },
    });
    expect(outcomes[4]).toMatchObject({ failure: { message: expect.stringContaining('absent.yaml') } });
    expect(outcomes[0]).toMatchObject({ figures: { calls: 120, failedCalls: 0, completedSessions: 40 } });
  });

  test('tells cohorts apart and judges by other SLOs where it is asked to, and only there', async () => {
    const asked = { ...caseOf(1, 'round-robin'), isByCohort: true, slos: [{ ttft: 1e9 }, { ttft: 0 }] };
    const [told, plain] = await runGrid([asked, caseOf(1, 'round-robin')], { jobs: 1 });
    if (!told?.ok || !plain?.ok) throw new Error('both run');
    expect(plain).toEqual({ ok: true, figures: told.figures });
    // One cohort: all there is.
    expect(told.cohorts).toEqual({ main: told.figures });
    expect(told.keptRatios).toEqual([1, 0]);
  });

  test('that is stopped leaves out what it has not begun', async () => {
    let done = 0;
    const outcomes = await runGrid(cases, {
      jobs: 1,
      onDone: n => {
        done = n;
      },
      isStopped: () => done >= 2,
    });
    expect(outcomes.map(each => each === null)).toEqual([false, false, true, true, true, true]);
  });

  test('refuses a number of jobs that is none', async () => {
    await expect(runGrid(cases, { jobs: 0 })).rejects.toThrow(/--jobs 0/);
  });
});

describe('load', () => {
  test('a factor moves the starts of open sessions and none of their draws', () => {
    const plan = planOf(TRAFFIC('{ poisson: { rate: 5/s } }'));
    const [once, twice] = [plan, atLoad(plan, 2)].map(sessionsOf);
    expect(twice!.map(({ plannedMs }) => plannedMs)).toEqual(once!.map(({ plannedMs }) => plannedMs / 2));
    expect(twice!.map(({ key }) => key)).toEqual(once!.map(({ key }) => key));
  });

  test('offers so much more, of the same calls', async () => {
    const runner = new CaseRunner();
    const [once, four] = await Promise.all(
      [1, 4].map(factor => runner.run(caseOf(1, 'round-robin', factor))),
    );
    if (!(once?.ok && four?.ok)) throw new Error('a run failed');
    expect(four.figures.calls).toBe(once.figures.calls);
    expect(four.figures.offeredPerSec / once.figures.offeredPerSec).toBeCloseTo(4, 6);
  });

  test('gives closed cohorts so many more agents', async () => {
    const runner = new CaseRunner();
    const [once, four] = await Promise.all(
      [1, 4].map(factor => runner.run(caseOf(1, 'round-robin', factor, 'closed.yaml'))),
    );
    if (!(once?.ok && four?.ok)) throw new Error('a run failed');
    expect(four.figures.calls).toBe(once.figures.calls);
    expect(four.figures.durationMs).toBeLessThan(once.figures.durationMs / 2);
  });

  test('there is none to vary where every session starts at once', () => {
    expect(hasLoad(planOf(TRAFFIC('{ at_once: true }')))).toBe(false);
    expect(hasLoad(planOf(TRAFFIC('{ closed: { agents: 2 } }')))).toBe(true);
    expect(hasLoad(planOf(TRAFFIC('{ cron: "0 9 * * *" }')))).toBe(true);
  });
});

describe('a scenario sized to a number of calls', () => {
  const callsOf = async (set: readonly string[], input: string): Promise<number> => {
    const outcome = await new CaseRunner().run({
      scenario: { input, options: { seed: 5, set } },
      deployment: { input: '8xh200-mistral-small-4' },
      loadFactor: 50,
    });
    if (!outcome.ok) throw new Error(outcome.failure.message);
    return outcome.figures.calls;
  };

  test('makes them or a few more, at a seed of its own, up or down', async () => {
    for (const wanted of [60, 500]) {
      const input = join(folder, 's.yaml');
      const calls = await callsOf(sizedTo(loadScenario(input), wanted), input);
      expect(calls).toBeGreaterThanOrEqual(wanted);
      expect(calls).toBeLessThan(wanted * 1.2);
    }
  });

  test('keeps the mix of its cohorts', async () => {
    const set = sizedTo(loadScenario('mixed-fleet'), 5000);
    const sessions = set.map(line => Number(line.split('=')[1]));
    // As 4 scans to 8 ingestions, 6 loops, 8 summaries and 30 chats.
    expect(sessions.map(n => Math.round(n / (sessions[0]! / 4)))).toEqual([4, 8, 6, 8, 30]);
    const calls = await callsOf(set, 'mixed-fleet');
    expect(calls).toBeGreaterThan(4900);
    expect(calls).toBeLessThan(5500);
  });

  test('stretches a clock where that ends it', () => {
    const input = join(
      folder,
      write(folder, 'timed.yaml', TRAFFIC('{ constant: { rate: 1/s } }', 'for: 10s')),
    );
    // 11 sessions of 3 calls in 10 s; 330 calls with 3 % more take 103 s.
    expect(sizedTo(loadScenario(input), 330)).toEqual(['traffic.0.for=103000ms']);
  });
});
