// Whole runs whose replicas come and go: calls that wait for a replica, drains that let workflows finish, replicas that
// are lost, a gate in front.
import { expect, test } from 'vitest';
import { prepare } from '../../engines/prepare.ts';
import type { RoutingPolicy } from '../../gateway/routing/policy.ts';
import { queueMs } from '../../scenarios/formats/record.ts';
import { startSimulation } from '../../sim/start.ts';
import { planOf } from '../builders/scenarios.ts';
import { deploymentOf, HEADER, simulated } from '../builders/worlds.ts';

const STEP = 'model: affine, base: 8ms, per_token: 80us, per_sequence: 90us, per_context_token: 20ns';
const deployment = (pool: string, rest = ''): string => `
windtunnel: 1
deployment: test
pools:
  main:
    model: ministral-3-14b
    limits: { max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 2048, max_num_seqs: 64 }
    step: { ${STEP} }
    ${pool}
${rest}`;

const scenario = (arrival: string, sessions: number, more = ''): string => `
windtunnel: 1
name: test
models: { local: { model: ministral-3-14b } }
tools: { look: { latency: 2s, result: 100 } }
workflows:
  loop:
    steps:
      - repeat: pass
        times: 4
        steps: [ { llm: think, adds: 300, out: 60 }, { tool: look } ]
traffic:
  - { workflow: loop, arrival: ${arrival}, sessions: ${sessions} }
${more}`;

const CLOSED = '{ closed: { agents: 24 } }';

test('calls that come while no replica is ready wait for one, and none is lost', () => {
  const run = simulated(
    planOf(scenario('{ constant: { rate: 6/s } }', 300)),
    deployment(
      'autoscaler: { policy: hpa, metric: in_flight, target: 2, min: 0, max: 4, interval: 5s, down_window: 10s }\n    cold_start: 7s',
    ),
  );
  expect(run.workflows.filter(({ status }) => status === 'completed')).toHaveLength(300);
  const spans = run.replicas!;
  expect(spans.length).toBeGreaterThan(1);
  for (const { askedMs, readyMs, goneMs } of spans.slice(1)) {
    if (readyMs !== null) expect(readyMs - askedMs).toBeCloseTo(7000, 6);
    if (readyMs !== null && goneMs !== null) expect(goneMs).toBeGreaterThanOrEqual(readyMs);
  }
  // No call ran on a replica that was not ready, or gone.
  for (const call of run.calls) {
    const span = spans.find(({ replica }) => replica === call.replica)!;
    expect(call.scheduledMs).toBeGreaterThanOrEqual(span.readyMs!);
    expect(call.endMs!).toBeLessThanOrEqual(span.goneMs ?? Number.POSITIVE_INFINITY);
  }
});

test('a drain of workflows keeps each session where it began; a drain of calls does not', () => {
  const moved = (drain: string): number => {
    const run = simulated(
      planOf(scenario(CLOSED, 240)),
      deployment(
        `replicas: 4\n    autoscaler: { policy: schedule, times: [ { at: 0s, replicas: 4 }, { at: 15s, replicas: 1 } ], min: 1, max: 4 }\n    drain: ${drain}\n    drain_max: 1h`,
        'routing: session-affinity',
      ),
    );
    const homes = new Map<string, Set<string>>();
    for (const { session, replica } of run.calls) {
      const home = homes.get(session) ?? new Set();
      homes.set(session, home.add(replica!));
    }
    expect(run.replicas!.filter(({ goneMs }) => goneMs !== null)).toHaveLength(3);
    return [...homes.values()].filter(({ size }) => size > 1).length;
  };
  expect(moved('workflows')).toBe(0);
  expect(moved('calls')).toBeGreaterThan(3);
});

test('a replica that is lost takes its calls with it, and another is there after its cold start', () => {
  const run = simulated(
    planOf(scenario(CLOSED, 60, 'faults: [ { fault: replica_crash, target: main, at: 10s } ]')),
    deployment('replicas: 2\n    cold_start: 4s'),
  );
  const lost = run.calls.filter(({ error }) => error === 'replica_lost');
  expect(lost.length).toBeGreaterThan(0);
  const [victim] = run.replicas!.filter(({ goneMs }) => goneMs !== null);
  expect(victim!.goneMs).toBe(10_000);
  expect(new Set(lost.map(({ replica }) => replica))).toEqual(new Set([victim!.replica]));
  for (const { outcome, endMs } of lost) expect([outcome, endMs]).toEqual(['error', 10_000]);
  const another = run.replicas!.find(({ askedMs }) => askedMs === 10_000)!;
  expect(another.readyMs).toBe(14_000);
  expect(run.calls.some(({ replica }) => replica === another.replica)).toBe(true);
});

test('crashes at a rate come as often as they should, from the seed alone', () => {
  const run = (seed: number) =>
    simulated(
      planOf(
        `${scenario(CLOSED, 1200, 'faults: [ { fault: replica_crash, rate: 0.05/s } ]')}\nseed: ${seed}`,
      ),
      deployment('replicas: 3'),
    );
  const first = run(3);
  const crashes = first.replicas!.filter(({ goneMs }) => goneMs !== null).length;
  const expected = (0.05 * first.durationMs) / 1000;
  expect(Math.abs(crashes - expected)).toBeLessThan(4 * Math.sqrt(expected));
  expect(run(3).replicas).toEqual(first.replicas);
  expect(run(4).replicas).not.toEqual(first.replicas);
});

test('whole sessions at the gate: never more than so many under way, and a session that began is never held up', () => {
  const most = 5;
  const run = simulated(
    planOf(scenario('{ constant: { rate: 4/s } }', 60)),
    deployment('replicas: 1', `gateway: { admission: { policy: sessions, max: ${most}, queue: 1000 } }`),
  );
  expect(run.workflows.filter(({ status }) => status === 'completed')).toHaveLength(60);
  const first = new Map<string, number>();
  const last = new Map<string, number>();
  for (const { session, scheduledMs, endMs, plannedMs } of run.calls) {
    if (!first.has(session)) first.set(session, scheduledMs!);
    else expect(scheduledMs! - plannedMs).toBeLessThan(100); // of the engine's step, not of the gate
    last.set(session, endMs!);
  }
  for (const atMs of first.values()) {
    const underWay = [...first].filter(([id, ms]) => ms <= atMs && last.get(id)! > atMs);
    expect(underWay.length).toBeLessThanOrEqual(most);
  }
  // The wait at the gate shows as queueing.
  expect(Math.max(...run.calls.map(call => queueMs(call)!))).toBeGreaterThan(10_000);
});

test('what is turned away at the gate ends at once with its reason, and reaches no replica', () => {
  const run = simulated(
    planOf(scenario('{ constant: { rate: 20/s } }', 100)),
    deployment('replicas: 1', 'gateway: { admission: { policy: calls, max: 4, queue: 3, max_wait: 300ms } }'),
  );
  const refused = run.calls.filter(({ outcome }) => outcome === 'error');
  expect(new Set(refused.map(({ error }) => error))).toEqual(new Set(['queue_full', 'queue_timeout']));
  for (const { replica, scheduledMs, error, plannedMs, endMs } of refused) {
    expect([replica, scheduledMs]).toEqual([null, null]);
    if (error === 'queue_full') expect(endMs).toBe(plannedMs);
    else expect(endMs! - plannedMs).toBeCloseTo(300, 3);
  }
});

test('the oracle knows what is to come: with a cold start it is ready when the burst begins', () => {
  const run = simulated(
    planOf(
      scenario('{ constant: true, phases: [ { rate: 0.05/s, for: 60s }, { rate: 40/s, for: 60s } ] }', 1000),
    ),
    deployment('autoscaler: { policy: oracle, min: 1, max: 8 }\n    cold_start: 20s'),
  );
  const readyAt60 = run.replicas!.filter(
    ({ readyMs, goneMs }) => readyMs !== null && readyMs <= 60_000 && (goneMs ?? Infinity) > 60_000,
  );
  expect(readyAt60.length).toBeGreaterThan(1);
});

test('an autoscaler sees calls that the gate holds: from zero, they wake the pool', () => {
  const run = simulated(
    planOf(scenario('{ constant: { rate: 4/s } }', 60)),
    deployment(
      'replicas: 1\n    autoscaler: { policy: keda, metric: in_flight, target: 4, min: 0, max: 4, cooldown: 5s, down_window: 5s }\n    cold_start: 10s',
      'gateway: { admission: { policy: flow_control, max_wait: 10m } }',
    ),
  );
  expect(run.workflows.filter(({ status }) => status === 'completed')).toHaveLength(60);
});

test('a call that is turned away takes its siblings with it, those too that the gate has just let in', () => {
  const fanOut = `
windtunnel: 1
name: test
models: { local: { model: ministral-3-14b } }
workflows:
  scan:
    steps:
      - { map: each, over: 12, steps: [ { llm: look, adds: 200, out: 30 } ] }
traffic:
  - { workflow: scan, arrival: { constant: { rate: 10/s } }, sessions: 80 }
`;
  for (const queue of [0, 5, 40]) {
    const run = simulated(
      planOf(fanOut),
      deployment(
        'replicas: 1',
        `gateway: { admission: { policy: calls, max: 20, queue: ${queue}, max_wait: 200ms } }`,
      ),
    );
    const calls = run.calls.map(({ session, call }) => `${session} ${call}`);
    expect(new Set(calls).size).toBe(calls.length);
    expect(run.calls.every(({ outcome }) => outcome !== 'unfinished')).toBe(true);
    expect(run.calls.some(({ outcome }) => outcome === 'cancelled')).toBe(true);
    expect(run.workflows).toHaveLength(80);
  }
});

test('the decode half is scraped while its first prompt is computed elsewhere: no router sees what is newer', () => {
  const seen: { role: string; running: number; ageMs: number }[] = [];
  const routing: RoutingPolicy = {
    name: 'looks',
    doc: 'Notes what it sees.',
    source: 'test',
    create: (_, { role }) => ({
      route(arrival, { running, ageMs }) {
        seen.push({ role, running: running[0]!, ageMs });
        expect(Object.keys(arrival)).toEqual([]); // nothing but what the contract has
        return 0;
      },
    }),
  };
  const plan = planOf(
    scenario('{ constant: { rate: 1/s } }', 2).replace('adds: 300, out: 60', 'adds: 9000, out: 200'),
  );
  const spec = deploymentOf(
    deployment(
      'prefill: { replicas: 1 }\n    decode: { replicas: 1 }\n    link: { bandwidth: 50GB/s }',
      'signals: { scrape: 700ms, delay: 0s }',
    ),
  );
  const run = startSimulation({
    plan,
    deployment: spec,
    poolOf: prepare(plan, spec).poolOf,
    header: HEADER,
    routing,
  });
  while (run.step(1000));
  // The second session comes at 1 s, when the first one's answer is generated; at 700 ms its prompt was computed.
  const second = seen.filter(({ role }) => role === 'decode')[1]!;
  expect(second.running).toBe(0);
  expect(second.ageMs).toBeCloseTo(300, 6);
});

test('calls that no replica will ever take end the run with what to change', () => {
  const run = () =>
    simulated(
      planOf(scenario('{ constant: { rate: 0.01/s } }', 2)),
      // Two calls never are the five that wake it.
      deployment(
        'replicas: 0\n    autoscaler: { policy: keda, metric: in_flight, target: 2, activation: 5, min: 0, max: 2 }',
      ),
    );
  expect(run).toThrow('calls have waited for a day: pool main has no replica ready');
});
