import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { prepare } from '../../../engines/prepare.ts';
import { sha256 } from '../../../reports/publish.ts';
import { summarise } from '../../../reports/summary.ts';
import { constant, type DrawnAmount } from '../../../scenarios/formats/amount.ts';
import type { Plan, PlannedFault } from '../../../scenarios/formats/plan.ts';
import type { LinkSpec, PlacesSpec } from '../../../scenarios/formats/rules.ts';
import type { RunOutput } from '../../../scenarios/formats/run.ts';
import type { MakeLayer } from '../../../scenarios/workflows/stack.ts';
import { createCluster } from '../../../sim/create-cluster.ts';
import { Connections } from '../../../sim/network/connections.ts';
import { type NetworkOptions, networkLayer } from '../../../sim/network/network.ts';
import { Paths } from '../../../sim/network/paths.ts';
import { Simulation, simulate } from '../../../sim/simulate.ts';
import { planOf, workflowText } from '../../builders/scenarios.ts';
import { DEPLOYMENT, deploymentOf, HEADER } from '../../builders/worlds.ts';
import { Clockwork, callOf, sessionOf, toolOf } from '../../gateway/tools/clockwork.ts';

const link = (from: string, to: string, rttMs: number, some: Partial<LinkSpec> = {}): LinkSpec => ({
  name: `${from}-${to}`,
  between: [from, to],
  rttMs,
  jitter: null,
  bytesPerSec: null,
  tls: false,
  keepAliveMs: 60_000,
  lossRatio: 0,
  ...some,
});

const placesOf = (links: readonly LinkSpec[], agents: string | null = 'office'): PlacesSpec => ({
  places: [...new Set(links.flatMap(({ between }) => between))].map(name => ({
    name,
    kind: 'region',
    labels: [],
  })),
  links,
  agents,
});

const optionsOf = (links: readonly LinkSpec[], some: Partial<NetworkOptions> = {}): NetworkOptions => ({
  places: placesOf(links),
  placeOf: () => 'centre',
  placeOfRuntime: () => 'data',
  gatewayPlace: null,
  faults: [],
  seedText: '1',
  ...some,
});

const A = sessionOf('a');
const uniformOver = (min: number, max: number): DrawnAmount => ({
  kind: 'draw',
  of: { kind: 'uniform', min, max },
  min: 0,
  max: Number.POSITIVE_INFINITY,
});

/** One call, and what was told of it. */
function called(options: NetworkOptions, some: Parameters<typeof callOf>[2] = {}) {
  const world = new Clockwork([networkLayer(options)]);
  world.call(callOf(A, 'c', some));
  world.run();
  const token = world.told.find(each => each.kind === 'token');
  const end = world.told.find(each => each.kind === 'call');
  if (end?.kind !== 'call') throw new Error('the call did not end');
  return { world, token, end, reachedMs: world.bottom.find(each => each.kind === 'send')?.atMs };
}

describe('the way of a call', () => {
  test('half a round trip up, half down; its times are those at the agent', () => {
    const { token, end, reachedMs } = called(optionsOf([link('office', 'centre', 40)]));
    expect(reachedMs).toBe(20);
    // 50 ms to the first token, 100 ms to the end, below.
    expect(token?.atMs).toBe(90);
    expect(end.atMs).toBe(140);
    expect(end.result).toMatchObject({
      sentMs: 0,
      scheduledMs: 20,
      firstTokenMs: 90,
      endMs: 140,
      outcome: 'ok',
    });
  });

  test('leads over the gateway, whose two connections each take their bytes', () => {
    const links = [
      link('office', 'edge', 10, { bytesPerSec: 1_000_000 }),
      link('edge', 'centre', 30, { bytesPerSec: 2_000_000 }),
    ];
    const { reachedMs } = called(optionsOf(links, { gatewayPlace: 'edge' }), { promptTokens: 2000 });
    // 8,000 bytes: 8 ms and 4 ms beside 5 ms and 15 ms.
    expect(reachedMs).toBeCloseTo(5 + 8 + 15 + 4, 6);
  });

  test('a further attempt starts at the gateway', () => {
    const links = [link('office', 'edge', 10), link('edge', 'centre', 30)];
    const world = new Clockwork([networkLayer(optionsOf(links, { gatewayPlace: 'edge' }))]);
    world.call({ ...callOf(A, 'c'), attempt: 1 });
    world.run();
    expect(world.bottom[0]).toMatchObject({ kind: 'send', atMs: 15 });
    expect(world.told.at(-1)?.atMs).toBe(15 + 100 + 15 + 5);
  });

  test('a new connection costs two more round trips, one that is kept open none, until it has idled for too long', () => {
    const world = new Clockwork([
      networkLayer(optionsOf([link('office', 'centre', 40, { tls: true, keepAliveMs: 1000 })])),
    ]);
    for (const atMs of [0, 1000, 5000]) world.at(atMs, () => world.call(callOf(A, `c${atMs}`)));
    // A second one at once needs a connection of its own.
    world.at(1000, () => world.call(callOf(A, 'beside')));
    world.run();
    const sent = world.bottom.filter(each => each.kind === 'send').map(each => each.atMs);
    expect(sent).toEqual([100, 1020, 1100, 5100]);
  });

  test('a tool goes to the place of its runtime and back', () => {
    const world = new Clockwork([
      networkLayer(optionsOf([link('office', 'data', 40, { bytesPerSec: 1000 })])),
    ]);
    const ticket = world.tool({ ...toolOf(A, 't', 100), resultTokens: 5 });
    world.run();
    expect(world.bottom).toEqual([{ kind: 'delay', ticket, atMs: 20 }]);
    // 20 bytes at 1 byte a millisecond.
    expect(world.told).toEqual([{ kind: 'delay', ticket, atMs: 20 + 100 + 20 + 20, failure: undefined }]);
  });

  test('within one place, or to nowhere in particular, everything passes as it is', () => {
    for (const placeOf of [() => 'office', () => null]) {
      const world = new Clockwork([
        networkLayer(optionsOf([link('office', 'centre', 40)], { placeOf, placeOfRuntime: placeOf })),
      ]);
      const call = world.call(callOf(A, 'c'));
      const tool = world.tool(toolOf(A, 't', 10));
      world.run();
      expect(world.bottom).toEqual([
        { kind: 'send', ticket: call, atMs: 0 },
        { kind: 'delay', ticket: tool, atMs: 0 },
      ]);
      expect(world.nowMs).toBe(100);
    }
  });
});

describe('losses', () => {
  const loss = (some: Partial<PlannedFault> = {}): PlannedFault => ({
    fault: 0,
    kind: 'network_loss',
    target: null,
    atMs: 0,
    perSec: null,
    lastsMs: Number.POSITIVE_INFINITY,
    factor: 1,
    share: 1,
    label: 'network_loss',
    ...some,
  });

  test('a message that no packet of arrives fails after the fifteenth retransmission', () => {
    const { world, end } = called(optionsOf([link('office', 'centre', 40)], { faults: [loss()] }));
    expect(world.bottom.filter(each => each.kind === 'send')).toEqual([]);
    expect(end.result).toMatchObject({ outcome: 'error', error: 'network_lost', sentMs: 0 });
    // 200 ms doubled nine times to 102.4 s, then five times 120 s.
    expect(end.atMs).toBeCloseTo(20 + 200 * 1023 + 5 * 120_000, 6);
  });

  test('cost a retransmission each, as often as the share says', () => {
    const world = new Clockwork([
      networkLayer(optionsOf([link('office', 'centre', 40, { lossRatio: 0.1 })])),
    ]);
    for (let i = 0; i < 4000; i++) world.call(callOf(A, `c${i}`));
    world.run();
    const reached = world.bottom.filter(each => each.kind === 'send').map(each => each.atMs);
    const of = (ms: number) => reached.filter(each => Math.abs(each - ms) < 1e-6).length;
    const near = (count: number, share: number) =>
      expect(Math.abs(count - 4000 * share)).toBeLessThan(5 * Math.sqrt(4000 * share * (1 - share)));
    near(of(20), 0.9);
    near(of(220), 0.09);
    near(of(620), 0.009);
  });

  test('reach only the link that the fault names', () => {
    const lostOn = (target: string | null) =>
      called(optionsOf([link('office', 'centre', 40)], { faults: [loss({ target })] })).end.result.error;
    expect(lostOn('office-centre')).toBe('network_lost');
    expect(lostOn(null)).toBe('network_lost');
    expect(lostOn('edge-centre')).toBe(null);
  });
});

describe('aborts', () => {
  test('travel one way, and the end comes back one way later', () => {
    const world = new Clockwork([networkLayer(optionsOf([link('office', 'centre', 40)]))]);
    const ticket = world.call(callOf(A, 'c'));
    world.at(60, () => world.abortNow(ticket));
    world.run();
    expect(world.bottom.at(-1)).toEqual({ kind: 'abort', ticket, atMs: 80 });
    expect(world.told).toMatchObject([
      { kind: 'call', atMs: 100, result: { outcome: 'cancelled', endMs: 100 } },
    ]);
  });

  test('never overtake their call', () => {
    const world = new Clockwork([
      networkLayer(optionsOf([link('office', 'centre', 40, { bytesPerSec: 4000 })])),
    ]);
    const ticket = world.call(callOf(A, 'c'));
    world.at(1, () => world.abortNow(ticket));
    world.run();
    expect(world.bottom).toMatchObject([
      { kind: 'send', atMs: 1020 },
      { kind: 'abort', atMs: 1020 },
    ]);
    expect(world.told.filter(each => each.kind === 'call')).toHaveLength(1);
  });

  test('close the connection', () => {
    const world = new Clockwork([networkLayer(optionsOf([link('office', 'centre', 40, { tls: true })]))]);
    const ticket = world.call(callOf(A, 'c'));
    world.at(150, () => world.abortNow(ticket));
    world.at(1000, () => world.call(callOf(A, 'd')));
    world.run();
    expect(world.bottom.filter(each => each.kind === 'send').map(each => each.atMs)).toEqual([100, 1100]);
  });

  test('of a tool end it at once, wherever it is', () => {
    for (const atMs of [10, 60, 125]) {
      const world = new Clockwork([networkLayer(optionsOf([link('office', 'data', 40)]))]);
      const ticket = world.tool(toolOf(A, 't', 100));
      world.at(atMs, () => world.abortNow(ticket));
      world.run();
      expect(world.told).toEqual([]);
    }
  });
});

describe('paths', () => {
  test('are the shortest round trips, not the fewest links', () => {
    const links = [
      link('a', 'd', 100),
      link('a', 'b', 20),
      link('c', 'b', 30),
      link('c', 'd', 40),
      link('d', 'e', 5),
    ];
    const paths = new Paths(placesOf(links));
    expect(paths.way('a', 'e').links.map(({ name }) => name)).toEqual(['a-b', 'c-b', 'c-d', 'd-e']);
    expect(paths.way('e', 'a').rttMs).toBe(95);
    expect(paths.way('a', 'a').links).toEqual([]);
  });

  test('agree with the least of all sums (Floyd and Warshall)', () => {
    const edge = fc.tuple(fc.nat(5), fc.nat(5), fc.integer({ min: 1, max: 50 })).filter(([a, b]) => a !== b);
    fc.assert(
      fc.property(fc.array(edge, { minLength: 1, maxLength: 12 }), edges => {
        const links = edges.map(([a, b, rttMs]) => link(`p${a}`, `p${b}`, rttMs));
        const names = placesOf(links).places.map(({ name }) => name);
        const least = new Map(names.map(name => [`${name} ${name}`, 0]));
        const at = (a: string, b: string) => least.get(`${a} ${b}`) ?? Number.POSITIVE_INFINITY;
        for (const { between, rttMs } of links)
          for (const [a, b] of [between, [between[1], between[0]] as const])
            least.set(`${a} ${b}`, Math.min(at(a, b), rttMs));
        for (const via of names)
          for (const a of names)
            for (const b of names) least.set(`${a} ${b}`, Math.min(at(a, b), at(a, via) + at(via, b)));
        const paths = new Paths(placesOf(links));
        for (const a of names)
          for (const b of names)
            if (at(a, b) < Number.POSITIVE_INFINITY) expect(paths.way(a, b).rttMs).toBe(at(a, b));
            else expect(() => paths.way(a, b)).toThrow('no link leads');
      }),
    );
  });
});

test('connections: of two that idle the one used last is taken, and both go when even that is too old', () => {
  const connections = new Connections(100);
  expect([connections.take(0), connections.take(0)]).toEqual([true, true]);
  connections.release(10);
  connections.release(50);
  expect(connections.take(140)).toBe(false);
  expect(connections.take(140)).toBe(true);
  expect(connections.opened).toBe(3);
});

describe('laws', () => {
  test('every call and tool ends once, nothing arrives before it was sent, no end before its first token', () => {
    const event = fc.record({
      atMs: fc.integer({ min: 0, max: 500 }),
      kind: fc.constantFrom('call' as const, 'tool' as const),
      abortAfterMs: fc.option(fc.integer({ min: 0, max: 400 })),
    });
    fc.assert(
      fc.property(
        fc.array(event, { minLength: 1, maxLength: 20 }),
        fc.constantFrom(0, 0.5, 1),
        fc.boolean(),
        (events, lossRatio, tls) => {
          const jitter = uniformOver(0, 200);
          const links = [
            link('office', 'edge', 10, { jitter, lossRatio, tls }),
            link('edge', 'centre', 30, { jitter, bytesPerSec: 1e6 }),
            link('edge', 'data', 5, { jitter, tls }),
          ];
          const world = new Clockwork([networkLayer(optionsOf(links, { gatewayPlace: 'edge' }))]);
          const wanted: number[] = [];
          const sentMs = new Map<number, number>();
          const gone = new Set<number>();
          for (const [i, { atMs, kind, abortAfterMs }] of events.entries())
            world.at(atMs, () => {
              const ticket =
                kind === 'call' ? world.call(callOf(A, `c${i}`)) : world.tool(toolOf(A, `t${i}`, 50));
              sentMs.set(ticket, atMs);
              wanted.push(ticket);
              if (abortAfterMs === null) return;
              world.at(atMs + abortAfterMs, () => {
                if (world.told.some(each => each.ticket === ticket && each.kind !== 'token')) return;
                if (kind === 'tool') gone.add(ticket);
                world.abortNow(ticket);
              });
            });
          world.run();
          const ended = world.told.filter(each => each.kind !== 'token');
          expect(ended.map(each => each.ticket).sort()).toEqual(
            wanted.filter(each => !gone.has(each)).sort(),
          );
          for (const each of world.told) {
            expect(each.atMs).toBeGreaterThanOrEqual(sentMs.get(each.ticket)!);
            if (each.kind !== 'call') continue;
            const { sentMs: sent, firstTokenMs, endMs } = each.result;
            expect(endMs).toBeCloseTo(each.atMs, 6);
            expect(sent).toBe(sentMs.get(each.ticket));
            if (firstTokenMs !== null) {
              expect(firstTokenMs).toBeGreaterThanOrEqual(sent!);
              expect(firstTokenMs).toBeLessThanOrEqual(endMs!);
            }
            const token = world.told.find(other => other.kind === 'token' && other.ticket === each.ticket);
            if (token !== undefined) expect(token.atMs).toBe(firstTokenMs);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  const CHAIN = workflowText(
    '[ { llm: a, adds: 100, out: 20 }, { tool: fetch }, { llm: b, adds: 50, out: 9 }, { llm: c, adds: 50, out: 9 } ]',
  );
  const run = (plan: Plan, layers: readonly MakeLayer[]): RunOutput => {
    const deployment = deploymentOf(DEPLOYMENT());
    const { poolOf } = prepare(plan, deployment);
    const cluster = createCluster(deployment, { seed: plan.seed });
    return simulate({ plan, cluster, poolOf, header: HEADER, layers });
  };
  const makespan = ({ workflows }: RunOutput): number => workflows[0]!.endMs! - workflows[0]!.plannedMs;

  test('without a link the run has the same bytes as without the layer', () => {
    const plan = planOf(CHAIN);
    const places: PlacesSpec = { places: [], links: [], agents: null };
    const layer = networkLayer({ ...optionsOf([]), places, placeOf: () => null, placeOfRuntime: () => null });
    const digest = (each: RunOutput) => summarise(each, sha256).digest;
    expect(digest(run(plan, [layer]))).toBe(digest(run(plan, [])));
  });

  test('a chain of calls takes one round trip longer for each, exactly', () => {
    const plan = planOf(CHAIN);
    const alone = makespan(run(plan, []));
    const layer = networkLayer(optionsOf([link('office', 'centre', 40)], { placeOfRuntime: () => null }));
    expect(makespan(run(plan, [layer]))).toBeCloseTo(alone + 3 * 40, 6);
    const withTool = networkLayer(optionsOf([link('office', 'centre', 40), link('centre', 'data', 6)]));
    expect(makespan(run(plan, [withTool]))).toBeCloseTo(alone + 3 * 40 + 46, 6);
  });

  test('jitter adds what it says to each way', () => {
    const plan = planOf(CHAIN);
    const links = [link('office', 'centre', 40, { jitter: constant(3) })];
    const layer = networkLayer(optionsOf(links, { placeOfRuntime: () => null }));
    expect(makespan(run(plan, [layer]))).toBeCloseTo(makespan(run(plan, [])) + 3 * 46, 6);
  });

  test('a run that is interrupted ends every call', () => {
    const plan = planOf(
      workflowText('[ { llm: a, adds: 100, out: 200 }, { llm: b, adds: 50, out: 9 } ]', '', 5),
    );
    const deployment = deploymentOf(DEPLOYMENT());
    for (const after of [1, 2, 5, 9, 40]) {
      const layer = networkLayer(optionsOf([link('office', 'centre', 400)]));
      const cluster = createCluster(deployment, { seed: plan.seed });
      const { poolOf } = prepare(plan, deployment);
      const simulation = new Simulation({ plan, cluster, poolOf, header: HEADER, layers: [layer] });
      simulation.step(after);
      simulation.interrupt();
      const { calls, workflows } = simulation.finish();
      expect(calls).toHaveLength(workflows.reduce((sum, each) => sum + each.calls, 0));
    }
  });
});
