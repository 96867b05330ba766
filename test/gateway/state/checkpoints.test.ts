import { describe, expect, test } from 'vitest';
import { prepare } from '../../../engines/prepare.ts';
import { Journal } from '../../../gateway/journal.ts';
import { checkpointLayer, markLost } from '../../../gateway/state/checkpoints.ts';
import { toolLayer } from '../../../gateway/tools/runtimes.ts';
import { constant } from '../../../scenarios/formats/amount.ts';
import type { Plan, PlannedFault, PlannedSession } from '../../../scenarios/formats/plan.ts';
import {
  type CheckpointRule,
  NO_WORKFLOW_RULES,
  type WorkflowRules,
} from '../../../scenarios/formats/rules.ts';
import type { RunOutput } from '../../../scenarios/formats/run.ts';
import { createCluster } from '../../../sim/create-cluster.ts';
import { Simulation } from '../../../sim/simulate.ts';
import { planOf } from '../../builders/scenarios.ts';
import { DEPLOYMENT, deploymentOf, HEADER } from '../../builders/worlds.ts';
import { Clockwork, callOf, sessionOf, toolOf } from '../tools/clockwork.ts';

const crash = (some: Partial<PlannedFault> = {}): PlannedFault => ({
  fault: 0,
  kind: 'agent_crash',
  target: null,
  atMs: 1000,
  perSec: null,
  lastsMs: 0,
  factor: 1,
  share: 1,
  label: 'agent_crash',
  ...some,
});

const withRules = (rules: Partial<WorkflowRules>, id = 'a'): PlannedSession =>
  sessionOf(id, {
    program: { workflow: 'w', rules: { ...NO_WORKFLOW_RULES, ...rules } } as PlannedSession['program'],
  });
const every = (steps: number, costMs: number): CheckpointRule => ({
  every: { steps },
  cost: costMs === 0 ? null : constant(costMs),
});

/** A session that asks for tools of 100 ms, one after the other. */
function chain(session: PlannedSession, count: number, faults: readonly PlannedFault[] = []) {
  const journal = new Journal();
  const crashed: unknown[] = [];
  const world = new Clockwork([
    checkpointLayer({
      journal,
      faults,
      seedText: '1',
      crashed: (...what) => crashed.push(what),
    }),
  ]);
  let left = count;
  let live = -1;
  const next = () => {
    if (left-- > 0) live = world.tool(toolOf(session, `p${count - left}`, 100));
    else world.top.sessionEnded?.(session.id, 'w', 'completed');
  };
  world.onTold = next;
  world.onRestart = id => {
    // As the fleet does: the old life is told of, then aborted, then the new one starts.
    world.top.sessionRestarted?.(id, null, world.nowMs);
    world.top.abort(live);
    world.at(world.nowMs, next);
  };
  world.top.sessionStarted?.(session, 0);
  world.at(0, next);
  return { world, journal, crashed };
}

describe('checkpoints', () => {
  test('come after so many steps, and nothing of the session starts while one is written', () => {
    const { world } = chain(withRules({ checkpoint: every(2, 30) }), 5);
    world.run();
    // 100, 200 | 30 | 330, 430 | 30 | 560
    expect(world.told.map(each => each.atMs)).toEqual([100, 200, 330, 430, 560]);
    expect(world.saved).toEqual([
      { session: 'a', atMs: 200 },
      { session: 'a', atMs: 430 },
    ]);
  });

  test('come after so much time, at the end of a step', () => {
    const { world } = chain(withRules({ checkpoint: { every: { ms: 250 }, cost: null } }), 7);
    world.run();
    expect(world.saved.map(each => each.atMs)).toEqual([300, 600]);
  });

  test('of one session hold back no other', () => {
    const { world } = chain(withRules({ checkpoint: every(1, 1000) }), 1);
    world.at(150, () => world.tool(toolOf(withRules({}, 'b'), 'p', 100)));
    world.run(500);
    expect(world.told.map(each => each.atMs)).toEqual([100, 250]);
  });

  test('hold back calls too; one that is given up meanwhile ends as cancelled', () => {
    const session = withRules({ checkpoint: every(1, 500) });
    const { world } = chain(session, 1);
    world.onTold = () => {};
    const tickets: number[] = [];
    world.at(200, () =>
      tickets.push(world.call(callOf(session, 'gone')), world.call(callOf(session, 'kept'))),
    );
    world.at(300, () => world.abortNow(tickets[0]!));
    world.run();
    expect(world.bottom.filter(each => each.kind === 'send')).toEqual([
      { kind: 'send', ticket: tickets[1], atMs: 600 },
    ]);
    const ends = world.told.flatMap(each =>
      each.kind === 'call' ? [[each.ticket, each.atMs, each.result.outcome]] : [],
    );
    expect(ends).toEqual([
      [tickets[0], 300, 'cancelled'],
      [tickets[1], 700, 'ok'],
    ]);
  });

  test('that are held back when the run stops are told as unfinished', () => {
    const session = withRules({ checkpoint: every(1, 500) });
    const { world } = chain(session, 1);
    world.onTold = () => {};
    world.at(200, () => world.call(callOf(session, 'c')));
    world.run(300);
    world.top.stop?.(300);
    expect(world.told.at(-1)).toMatchObject({
      kind: 'call',
      result: { outcome: 'unfinished', error: 'interrupted' },
    });
    expect(world.top.isIdle?.()).toBe(true);
  });
});

describe('a crash', () => {
  test('starts a session again from its last checkpoint, and says what was lost', () => {
    const { world, journal, crashed } = chain(withRules({ checkpoint: every(2, 0) }), 5, [
      crash({ atMs: 350 }),
    ]);
    world.run();
    expect(world.restarts).toEqual([{ session: 'a', sinceMs: 200, atMs: 350 }]);
    expect(crashed).toEqual([['a', 200, 350]]);
    expect(journal.records.decisions.find(each => each.decision === 'crashed')).toMatchObject({
      policy: 'checkpoint',
      why: '1 ended step lost',
    });
  });

  test('loses a checkpoint that is not written yet, and what waited for it', () => {
    const { world } = chain(withRules({ checkpoint: every(2, 100) }), 5, [crash({ atMs: 250 })]);
    world.run();
    expect(world.restarts).toEqual([{ session: 'a', sinceMs: null, atMs: 250 }]);
    // The third step was held back at 200 and never ran.
    expect(
      world.bottom
        .filter(each => each.kind === 'delay')
        .map(each => each.atMs)
        .slice(0, 3),
    ).toEqual([0, 100, 250]);
  });

  test('without checkpoints, or by a rule that starts anew, goes back to the beginning', () => {
    for (const rules of [{}, { checkpoint: every(1, 0), restarts: { max: 1, from: 'start' as const } }]) {
      const { world } = chain(withRules(rules), 5, [crash({ atMs: 350 })]);
      world.run();
      expect(world.restarts).toEqual([{ session: 'a', sinceMs: null, atMs: 350 }]);
    }
  });

  test('ends a session that has no restarts left', () => {
    const rules = withRules({ restarts: { max: 1, from: 'start' } });
    const { world, journal } = chain(rules, 50, [crash({ atMs: 350 }), crash({ fault: 1, atMs: 900 })]);
    world.run();
    expect(world.restarts).toHaveLength(1);
    expect(world.cancels).toEqual([{ session: 'a', reason: 'agent_crash', atMs: 900 }]);
    expect(journal.records.decisions.at(-1)).toMatchObject({
      decision: 'lost',
      why: 'it has no restarts left',
    });
  });

  test('reaches the workflow that it names, the share that it says, and comes at its rate', () => {
    const count = (fault: PlannedFault, sessions = 1) => {
      const world = new Clockwork([
        checkpointLayer({ journal: new Journal(), faults: [fault], seedText: '1' }),
      ]);
      for (let i = 0; i < sessions; i++) world.top.sessionStarted?.(withRules({}, `s${i}`), 0);
      world.run(100_000);
      return world.restarts.length;
    };
    expect(count(crash({ target: 'w' }))).toBe(1);
    expect(count(crash({ target: 'other' }))).toBe(0);
    const hit = count(crash({ share: 0.25 }), 1000);
    expect(Math.abs(hit - 250)).toBeLessThan(5 * Math.sqrt(1000 * 0.25 * 0.75));
    // 100 seconds at one in ten seconds.
    const times = count(crash({ atMs: null, perSec: 0.1 }));
    expect(Math.abs(times - 10)).toBeLessThan(5 * Math.sqrt(10));
  });

  test('marks what had ended since then as lost, once, and nothing else', () => {
    const of = (session: string, endMs: number, waste: string | null = null) => ({ session, endMs, waste });
    const records = {
      attempts: [of('a', 100), of('b', 250), of('a', 300, 'failed'), of('a', 310)],
      tools: [of('a', 200), of('a', 201)],
    };
    markLost(records as unknown as Parameters<typeof markLost>[0], 'a', 200, 'crash');
    expect(records.attempts.map(each => each.waste)).toEqual([null, null, 'failed', 'crash']);
    expect(records.tools.map(each => each.waste)).toEqual([null, 'crash']);
  });
});

describe('in a simulated run', () => {
  const planWith = (checkpoint: string): Plan =>
    planOf(`
windtunnel: 1
seed: 11
models: { m: { model: ministral-3-14b } }
tools: { work: { latency: 1s } }
workflows:
  main:
    ${checkpoint}
    steps: [ { repeat: loop, times: 10, steps: [ { tool: work } ] }, { llm: final, adds: 10, out: 5 } ]
traffic: [ { workflow: main, arrival: { at_once: true }, sessions: 3 } ]
`);
  const run = (plan: Plan, faults: readonly PlannedFault[]): { output: RunOutput; journal: Journal } => {
    const deployment = deploymentOf(DEPLOYMENT());
    const journal = new Journal();
    const layers = [
      checkpointLayer({ journal, faults, seedText: '1' }),
      toolLayer({ runtimes: [], faults: [], journal, seedText: '1' }),
    ];
    const cluster = createCluster(deployment, { seed: plan.seed });
    const simulation = new Simulation({
      plan,
      cluster,
      poolOf: prepare(plan, deployment).poolOf,
      header: HEADER,
      layers,
    });
    while (simulation.step(10_000));
    return { output: simulation.finish(), journal };
  };
  const ends = ({ workflows }: RunOutput) =>
    workflows.map(each => [each.status, Math.round(each.endMs! / 10) * 10]);

  test('a checkpoint every two steps saves all but what came after it', () => {
    const faults = [crash({ atMs: 7500 })];
    const plain = run(planWith(''), []);
    const lost = run(planWith('restarts: { max: 1, from: start }'), faults);
    const saved = run(planWith('checkpoint: { every: 2 }'), faults);
    const finalMs = plain.output.workflows[0]!.endMs! - 10_000;
    const at = (ms: number) => [0, 1, 2].map(() => ['completed', Math.round((ms + finalMs) / 10) * 10]);
    expect(ends(plain.output)).toEqual(at(10_000));
    expect(ends(lost.output)).toEqual(at(17_500));
    // Six of ten were saved, one was lost, one was half done.
    expect(ends(saved.output)).toEqual(at(11_500));
    const wasted = (journal: Journal) => journal.records.tools.filter(each => each.waste === 'crash').length;
    expect([wasted(lost.journal), wasted(saved.journal)]).toEqual([3 * 7, 3 * 1]);
  });
});
