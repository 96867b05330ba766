// How much of a scenario is played, and what a burst and a window do to its arrivals.
import { describe, expect, test } from 'vitest';
import { withBurst, withWindow } from '../../../lab/grid/load-factor.ts';
import { CaseRunner } from '../../../lab/grid/run-case.ts';
import { busiestMs, lastingRatio, played, trafficKind } from '../../../lab/size/traffic.ts';
import type { LoadedScenario } from '../../../scenarios/cli/load.ts';
import { planOf, sessionsOf, workflowText } from '../../builders/scenarios.ts';

const TRAFFIC = (traffic: string): string =>
  workflowText('[ { llm: reply, adds: 20, out: 5 } ]').replace(/traffic: .*/, `traffic: ${traffic}`);
const POISSON = TRAFFIC('[ { workflow: main, arrival: { poisson: { rate: 2/s } }, sessions: 400 } ]');
const CLOSED = TRAFFIC('[ { workflow: main, arrival: { closed: { agents: 3, think: 1s } }, for: 1m } ]');
const SPIKE = TRAFFIC(
  '[ { workflow: main, arrival: { poisson: { rate: 1/s }, spike: { at: 5m, for: 1m, times: 8 } }, for: 15m } ]',
);
const AT_ONCE = TRAFFIC('[ { workflow: main, arrival: { at_once: true }, sessions: 5 } ]');

const file = (text: string): Pick<LoadedScenario, 'kind' | 'file'> => ({
  kind: 'scenario',
  file: { traffic: [{}], of: text } as unknown as LoadedScenario['file'],
});
const kindOf = (text: string) => trafficKind(file(text), planOf(text));

describe('traffic', () => {
  test('is steady, moves, or is played as a whole', () => {
    expect([POISSON, CLOSED, SPIKE, AT_ONCE].map(kindOf)).toEqual(['steady', 'steady', 'moving', 'whole']);
  });

  test('of a plan or with a recorded cohort is played as a whole', () => {
    const plan = planOf(POISSON);
    expect(trafficKind({ kind: 'plan', file: null } as LoadedScenario, plan)).toBe('whole');
    const recorded = { kind: 'scenario', file: { traffic: [{ trace: 'a.jsonl' }] } };
    expect(trafficKind(recorded as unknown as LoadedScenario, plan)).toBe('whole');
  });

  const STRETCH = { warmMs: 30_000, spanMs: 60_000 };

  test('that is steady lasts as long as one looks, open clocks so much further at more load', () => {
    const open = played(file(POISSON), planOf(POISSON), STRETCH, 3);
    expect(open).toEqual({
      set: ['traffic.0.for=270000ms', 'traffic.0.sessions=1000000000'],
      judged: { fromMs: 30_000, toMs: 90_000 },
    });
    // Agents that wait for their answers have no clock to speed up: there are more of them.
    expect(played(file(CLOSED), planOf(CLOSED), STRETCH, 3).set[0]).toBe('traffic.0.for=90000ms');
  });

  test('with a length of its own is judged from its first call to its last', () => {
    expect(played(file(AT_ONCE), planOf(AT_ONCE), STRETCH, 1)).toEqual({ set: [] });
  });

  test('that moves is judged where it is busiest, and warms up on what comes before', () => {
    const plan = planOf(SPIKE);
    expect(busiestMs(plan, 60_000)).toBe(300_000);
    expect(played(file(SPIKE), plan, STRETCH, 1)).toEqual({
      set: [],
      window: { fromMs: 270_000, toMs: 360_000 },
      judged: { fromMs: 30_000, toMs: 90_000 },
    });
    // Twice the load: a minute of the run is two of the plan.
    const { window, judged } = played(file(SPIKE), plan, STRETCH, 2);
    expect(window!.toMs - window!.fromMs).toBe(2 * judged!.toMs);
    expect(window!.fromMs).toBeLessThanOrEqual(300_000);
    expect(window!.toMs).toBeGreaterThanOrEqual(360_000);
  });

  test('needs replicas for what lasts of its peak', () => {
    expect(lastingRatio(planOf(POISSON), 60_000)).toBe(1);
    const spiked = planOf(SPIKE);
    expect(lastingRatio(spiked, 60_000)).toBeCloseTo(1, 0);
    // 5 minutes with a spike of one: (8 + 4) of 40.
    expect(lastingRatio(spiked, 300_000)).toBeCloseTo(12 / 40, 1);
  });

  test('before the stretch and after it counts for nothing', async () => {
    const scenario = { input: 'mixed-fleet', options: { seed: 1 } };
    const deployment = { input: '8xh200-mistral-small-4' };
    const runner = new CaseRunner();
    const run = async (judged?: { fromMs: number; toMs: number }) => {
      const outcome = await runner.run({
        scenario,
        deployment,
        loadFactor: 1,
        isTallied: true,
        ...(judged && { judged }),
      });
      if (!outcome.ok) throw new Error(outcome.failure.message);
      return outcome.tally!;
    };
    const all = await run();
    const parts = [await run({ fromMs: 0, toMs: 40_000 }), await run({ fromMs: 40_000.001, toMs: 1e9 })];
    const calls = parts.map(({ calls: { ok } }) => ok);
    expect(calls.every(ok => ok > 0)).toBe(true);
    expect(calls[0]! + calls[1]!).toBe(all.calls.ok);
    const sessions = parts.map(({ sessions: { completed } }) => completed);
    expect(sessions[0]! + sessions[1]!).toBe(all.sessions.completed);
    // A replica is paid for all the time.
    expect(parts.map(({ durationUs }) => durationUs)).toEqual([all.durationUs, all.durationUs]);
  });
});

describe('a burst', () => {
  const plan = planOf(POISSON);
  const burst = { atMs: 20_000, spanMs: 10_000, factor: 3 };
  const [before, after] = [sessionsOf(plan), sessionsOf(withBurst(plan, burst))];
  const within = (sessions: typeof before, fromMs: number, toMs: number): number =>
    sessions.filter(({ plannedMs }) => plannedMs >= fromMs && plannedMs < toMs).length;

  test('keeps every session and its draws, in the same order', () => {
    expect(after.map(({ key }) => key)).toEqual(before.map(({ key }) => key));
    for (const [i, { plannedMs }] of after.entries())
      expect(plannedMs).toBeGreaterThanOrEqual(after[i - 1]?.plannedMs ?? 0);
  });

  test('brings what takes 30 s within 10 s, and moves what is later 20 s ahead', () => {
    expect(within(after, 20_000, 30_000)).toBe(within(before, 20_000, 50_000));
    expect(within(after, 0, 20_000)).toBe(within(before, 0, 20_000));
    for (const [i, { plannedMs }] of before.entries())
      if (plannedMs >= 50_000) expect(after[i]!.plannedMs).toBeCloseTo(plannedMs - 20_000, 6);
  });
});

describe('a window', () => {
  const plan = planOf(POISSON);

  test('has the sessions that are planned within, as if the run began there', () => {
    const window = { fromMs: 10_000, toMs: 25_000 };
    const wanted = sessionsOf(plan).filter(({ plannedMs }) => plannedMs >= 10_000 && plannedMs < 25_000);
    expect(wanted.length).toBeGreaterThan(10);
    const found = sessionsOf(withWindow(plan, window));
    expect(found.map(({ key }) => key)).toEqual(wanted.map(({ key }) => key));
    expect(found.map(({ plannedMs }) => plannedMs)).toEqual(
      wanted.map(({ plannedMs }) => plannedMs - 10_000),
    );
  });

  test('beside the next one leaves nothing out and has nothing twice', () => {
    const parts = [
      { fromMs: 0, toMs: 31_000 },
      { fromMs: 31_000, toMs: 1e9 },
    ];
    const keys = parts.flatMap(each => sessionsOf(withWindow(plan, each)).map(({ key }) => key));
    expect(keys).toEqual(sessionsOf(plan).map(({ key }) => key));
  });
});
