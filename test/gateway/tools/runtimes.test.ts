import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Journal } from '../../../gateway/journal.ts';
import { type ToolOptions, type ToolRuntimes, toolLayer } from '../../../gateway/tools/runtimes.ts';
import { quantile } from '../../../scenarios/base/distributions.ts';
import { extendText, textKey, uniform } from '../../../scenarios/base/key.ts';
import { constant, type DrawnAmount } from '../../../scenarios/formats/amount.ts';
import type { PlannedFault } from '../../../scenarios/formats/plan.ts';
import type { ToolRecord } from '../../../scenarios/formats/record.ts';
import type { RetryRule, ToolRuntimeSpec } from '../../../scenarios/formats/rules.ts';
import { Clockwork, sessionOf, toolOf } from './clockwork.ts';

const runtime = (some: Partial<ToolRuntimeSpec> = {}): ToolRuntimeSpec => ({
  name: 'box',
  runs: null,
  place: null,
  start: null,
  warmPool: 0,
  keep: 'call',
  idleMs: 60_000,
  concurrency: null,
  queue: null,
  limits: { cpu: null, memoryBytes: null, timeMs: null },
  cpu: null,
  memoryBytes: null,
  failRatio: 0,
  usdPerHour: null,
  ...some,
});
const LIMITS = { cpu: null, memoryBytes: null, timeMs: null };

const retry = (some: Partial<RetryRule> = {}): RetryRule => ({
  max: 2,
  reasons: ['5xx', 'timeout', 'shed'],
  baseMs: 100,
  capMs: 1000,
  factor: 2,
  jitter: 'none',
  obeysRetryAfter: true,
  retryAfterMaxMs: 1000,
  budgetRatio: null,
  budgetMin: 0,
  isBlind: false,
  ...some,
});

function worldOf(runtimes: readonly ToolRuntimeSpec[], options: Partial<ToolOptions> = {}) {
  const journal = new Journal();
  const world = new Clockwork([toolLayer({ runtimes, faults: [], journal, seedText: '1', ...options })]);
  return { world, journal, tools: world.top as ToolRuntimes, runs: journal.records.tools };
}

const A = sessionOf('a');
const B = sessionOf('b');
const ends = (world: Clockwork) =>
  world.told.map(each => [each.ticket, each.atMs, each.kind === 'delay' ? each.failure : '?']);

describe('a tool without a runtime', () => {
  test('takes what was drawn, ends as planned, and is recorded', () => {
    const { world, runs } = worldOf([]);
    const ticket = world.tool(toolOf(A, 'look', 300));
    world.run();
    expect(ends(world)).toEqual([[ticket, 300, undefined]]);
    expect(runs).toMatchObject([
      {
        runtime: null,
        askedMs: 0,
        startMs: 0,
        endMs: 300,
        queueMs: 0,
        coldStartMs: 0,
        outcome: 'ok',
        usd: 0,
      },
    ]);
  });

  test('timers and pauses of people pass as they are', () => {
    const { world, runs } = worldOf([]);
    world.top.delay(99, 5);
    world.top.delay(98, 7, { kind: 'human', path: 'p', step: 'p', session: A });
    world.run();
    expect(ends(world)).toEqual([
      [99, 5, undefined],
      [98, 7, undefined],
    ]);
    expect(runs).toEqual([]);
  });
});

describe('a runtime', () => {
  test('runs so many at once, first come first served, and fails those beyond its queue', () => {
    const { world, runs } = worldOf([runtime({ concurrency: 1, queue: 1 })]);
    for (const path of ['one', 'two', 'three']) world.tool(toolOf(A, path, 100));
    world.run();
    expect(runs.map(({ call, queueMs, endMs, error }) => [call, queueMs, endMs, error])).toEqual([
      ['three', 0, 0, 'queue_full'],
      ['one', 0, 100, null],
      ['two', 100, 200, null],
    ]);
  });

  test('starts a sandbox for each run, and takes one of the warm pool where it is ready', () => {
    // Two warm at first; a taken one is ready again 400 ms later.
    const { world, runs, tools } = worldOf([runtime({ start: constant(400), warmPool: 2, usdPerHour: 3.6 })]);
    for (const [path, atMs] of [
      ['a', 0],
      ['b', 0],
      ['c', 0],
      ['d', 400],
    ] as const)
      world.at(atMs, () => world.tool(toolOf(A, path, 50)));
    world.run();
    const seen = Object.fromEntries(
      runs.map(each => [each.call, [each.isCold, each.coldStartMs, each.endMs]]),
    );
    expect(seen).toEqual({
      a: [false, 0, 50],
      b: [false, 0, 50],
      c: [true, 400, 450],
      d: [false, 0, 450],
    });
    // 3.6 USD an hour is 1e-6 USD a millisecond.
    expect(runs.find(each => each.call === 'c')!.usd).toBeCloseTo(450e-6, 12);
    expect(tools.runtimes.idleUsd(450)).toBeCloseTo(2 * 450e-6, 12);
  });

  test('keeps a sandbox for its session until that has idled for too long', () => {
    const { world, runs } = worldOf([runtime({ start: constant(400), keep: 'session', idleMs: 1000 })]);
    for (const [path, atMs] of [
      ['a', 0],
      ['b', 600],
      ['c', 5000],
    ] as const)
      world.at(atMs, () => world.tool(toolOf(A, path, 50)));
    world.run();
    expect(runs.map(each => each.isCold)).toEqual([true, false, true]);
  });

  test('gives the place of a kept sandbox to others when it has idled out, or its session is over', () => {
    const spec = runtime({ start: constant(0), keep: 'session', idleMs: 1000, concurrency: 1 });
    const idled = worldOf([spec]);
    idled.world.tool(toolOf(A, 'a', 50));
    idled.world.tool(toolOf(B, 'b', 50));
    idled.world.run();
    expect(idled.runs.map(each => each.startMs)).toEqual([0, 1050]);
    const over = worldOf([spec]);
    over.world.tool(toolOf(A, 'a', 50));
    over.world.tool(toolOf(B, 'b', 50));
    over.world.at(70, () => over.world.top.sessionEnded?.('a', 'w', 'completed'));
    over.world.run();
    expect(over.runs.map(each => each.startMs)).toEqual([0, 70]);
  });

  test('lets a session use the sandbox it keeps, whoever waits for a place', () => {
    const { world, runs } = worldOf([
      runtime({ start: constant(0), keep: 'session', idleMs: 1000, concurrency: 1 }),
    ]);
    world.tool(toolOf(A, 'a1', 50));
    world.at(10, () => world.tool(toolOf(B, 'b', 50)));
    world.at(100, () => world.tool(toolOf(A, 'a2', 50)));
    world.run();
    expect(runs.map(each => [each.call, each.startMs])).toEqual([
      ['a1', 0],
      ['a2', 100],
      ['b', 1150],
    ]);
  });

  test('kills a run at its time limit and at its memory limit, and slows one that wants more cores', () => {
    const limits = { cpu: 2, memoryBytes: 100, timeMs: 500 };
    const { world, runs } = worldOf([runtime({ limits })]);
    world.tool(toolOf(A, 'long', 900));
    world.tool(toolOf(A, 'big', 400, { memoryBytes: 400 }));
    world.tool(toolOf(A, 'busy', 100, { cpuCores: 8 }));
    world.run();
    const seen = Object.fromEntries(runs.map(each => [each.call, [each.endMs, each.error, each.waste]]));
    expect(seen).toEqual({
      long: [500, 'timeout', 'timed_out'],
      big: [100, 'oom', 'failed'],
      busy: [400, null, null],
    });
  });

  test('shares cores and memory of its machine', () => {
    const { world, runs } = worldOf([runtime({ cpu: 4, memoryBytes: 100 })]);
    world.tool(toolOf(A, 'a', 100, { cpuCores: 3 }));
    world.tool(toolOf(A, 'b', 100, { cpuCores: 2 }));
    world.tool(toolOf(A, 'never', 100, { memoryBytes: 101 }));
    world.run();
    const seen = Object.fromEntries(runs.map(each => [each.call, [each.startMs, each.error]]));
    expect(seen).toEqual({ a: [0, null], b: [100, null], never: [null, 'oom'] });
  });

  test('of a deployment comes before the one that a scenario gives its tool', () => {
    const own = { concurrency: 1, coldStart: constant(70), warmPool: 0 };
    const given = worldOf([runtime({ runs: ['other'] })]);
    given.world.tool(toolOf(A, 'a', 10, { runtime: own }));
    given.world.tool(toolOf(A, 'b', 10, { runtime: own }));
    given.world.run();
    expect(given.runs.map(each => [each.runtime, each.startMs])).toEqual([
      ['fetch', 70],
      ['fetch', 150],
    ]);
    const named = worldOf([runtime({ runs: ['fetch'] })]);
    named.world.tool(toolOf(A, 'a', 10, { runtime: own }));
    named.world.run();
    expect(named.runs).toMatchObject([{ runtime: 'box', startMs: 0 }]);
  });
});

describe('consent and permission', () => {
  test('a human agrees first, and the tool runs after that', () => {
    const { world, runs, journal } = worldOf([]);
    world.tool(toolOf(A, 'a', 100, { consentMs: constant(2000) }));
    world.run();
    expect(runs).toMatchObject([{ consentMs: 2000, startMs: 2000, endMs: 2100, outcome: 'ok' }]);
    expect(journal.records.decisions).toMatchObject([{ policy: 'consent', decision: 'granted', atMs: 2000 }]);
  });

  test('a human who refuses ends it, and it never runs', () => {
    const { world, runs } = worldOf([], {});
    const ticket = world.tool(
      toolOf(A, 'a', 100, { consentMs: constant(2000), refusesRatio: 1, retry: retry() }),
    );
    world.run();
    expect(ends(world)).toEqual([[ticket, 2000, 'denied_consent']]);
    expect(runs).toMatchObject([{ startMs: null, error: 'denied_consent', usd: 0, waste: null }]);
    expect(world.bottom).toEqual([]);
  });

  test('a tool that is not allowed ends at once, and no human is asked', () => {
    const { world, runs, journal } = worldOf([], { allow: () => 'denied_tool' });
    const ticket = world.tool(toolOf(A, 'a', 100, { consentMs: constant(2000) }));
    world.run();
    expect(ends(world)).toEqual([[ticket, 0, 'denied_tool']]);
    expect(runs).toMatchObject([{ startMs: null, error: 'denied_tool' }]);
    expect(journal.records.decisions).toMatchObject([
      { policy: 'allow', decision: 'denied', why: 'denied_tool' },
    ]);
  });

  test('refusals come as often as the rule says', () => {
    const { world, runs } = worldOf([]);
    for (let i = 0; i < 2000; i++)
      world.tool(toolOf(A, `a${i}`, 1, { consentMs: constant(1), refusesRatio: 0.2 }));
    world.run();
    const refused = runs.filter(each => each.error === 'denied_consent').length;
    // Five standard deviations of a binomial.
    expect(Math.abs(refused - 400)).toBeLessThan(5 * Math.sqrt(2000 * 0.2 * 0.8));
  });
});

describe('another attempt', () => {
  const failsOnce = (n: number) => (n === 0 ? 'tool_failed' : null);

  test('follows a failure of a tool that does no harm, after its pause', () => {
    const { world, runs } = worldOf([]);
    const ticket = world.tool(toolOf(A, 'a', 50, { retry: retry(), idempotent: true }, failsOnce));
    world.run();
    expect(ends(world)).toEqual([[ticket, 200, null]]);
    expect(runs.map(each => [each.attempt, each.waste, each.isDoubled])).toEqual([
      [0, 'retried', false],
      [1, null, false],
    ]);
  });

  test('never follows a run that may have done something', () => {
    const { world, runs, journal } = worldOf([]);
    const ticket = world.tool(toolOf(A, 'a', 50, { retry: retry(), idempotent: false }, failsOnce));
    world.run();
    expect(ends(world)).toEqual([[ticket, 50, undefined]]);
    expect(runs).toHaveLength(1);
    expect(journal.records.decisions).toMatchObject([
      { policy: 'retry', decision: 'stopped', why: 'not_idempotent' },
    ]);
  });

  test('of a blind rule does it twice, and says so', () => {
    const { world, runs } = worldOf([]);
    world.tool(toolOf(A, 'a', 50, { retry: retry({ isBlind: true }), idempotent: false }, failsOnce));
    world.run();
    expect(runs.map(each => each.isDoubled)).toEqual([false, true]);
  });

  test('follows a full queue whatever the tool does: it never ran', () => {
    const { world, runs } = worldOf([runtime({ concurrency: 1, queue: 0 })]);
    world.tool(toolOf(A, 'a', 50));
    world.tool(toolOf(A, 'b', 50, { retry: retry(), idempotent: false }));
    world.run();
    expect(runs.map(each => [each.call, each.attempt, each.error, each.isDoubled])).toEqual([
      ['b', 0, 'queue_full', false],
      ['a', 0, null, false],
      ['b', 1, null, false],
    ]);
  });

  test('comes at most so often, and draws its time anew', () => {
    const { world, runs } = worldOf([]);
    const ticket = world.tool(
      toolOf(
        A,
        'a',
        n => 50 + n,
        { retry: retry(), idempotent: true },
        () => 'tool_failed',
      ),
    );
    world.run();
    expect(runs.map(each => each.endMs - each.startMs!)).toEqual([50, 51, 52]);
    expect(ends(world)).toEqual([[ticket, 50 + 100 + 51 + 200 + 52, 'tool_failed']]);
  });
});

describe('timeouts and aborts', () => {
  const timeout = (attemptMs: number | null, totalMs: number | null) => ({
    attemptMs,
    ttftMs: null,
    totalMs,
  });

  test('an attempt that takes too long is killed and made again; all of them end at the total', () => {
    const { world, runs } = worldOf([]);
    const rules = { timeout: timeout(100, 350), retry: retry({ max: 9 }), idempotent: true };
    const ticket = world.tool(toolOf(A, 'a', 1000, rules));
    world.run();
    // 0..100, 200..300; the pause of 200 would end beyond 350.
    expect(runs.map(each => [each.startMs, each.endMs, each.waste])).toEqual([
      [0, 100, 'timed_out'],
      [200, 300, 'timed_out'],
    ]);
    expect(ends(world)).toEqual([[ticket, 300, 'timeout']]);
  });

  test('the total ends an attempt under way', () => {
    const { world, runs, tools } = worldOf([runtime({ concurrency: 1 })]);
    const ticket = world.tool(toolOf(A, 'a', 1000, { timeout: timeout(null, 350), retry: retry() }));
    world.run();
    expect(ends(world)).toEqual([[ticket, 350, 'timeout']]);
    expect(runs).toMatchObject([{ endMs: 350, error: 'timeout' }]);
    expect(tools.runtimes.all.every(each => each.isEmpty)).toBe(true);
  });

  test('an abort frees the place of a run, and the place in line of one that waits', () => {
    const { world, runs, tools } = worldOf([runtime({ concurrency: 1 })]);
    const first = world.tool(toolOf(A, 'a', 1000));
    const second = world.tool(toolOf(A, 'b', 1000));
    world.tool(toolOf(A, 'c', 10));
    world.at(50, () => world.abortNow(second));
    world.at(100, () => world.abortNow(first));
    world.run();
    expect(runs.map(each => [each.call, each.outcome, each.endMs, each.waste])).toEqual([
      ['b', 'cancelled', 50, null],
      ['a', 'cancelled', 100, 'cancelled'],
      ['c', 'ok', 110, null],
    ]);
    expect(tools.runtimes.all[0]!.isEmpty).toBe(true);
  });

  test('without propagation an aborted run goes on, and its place is taken until it ends', () => {
    const { world, runs } = worldOf([runtime({ concurrency: 1 })], { propagates: false });
    const first = world.tool(toolOf(A, 'a', 1000));
    const second = world.tool(toolOf(B, 'b', 10));
    world.at(100, () => world.abortNow(first));
    world.run();
    expect(runs.map(each => [each.call, each.startMs, each.endMs, each.waste])).toEqual([
      ['a', 0, 1000, 'after_cancel'],
      ['b', 1000, 1010, null],
    ]);
    expect(ends(world)).toEqual([[second, 1010, undefined]]);
  });

  test('a run that ends after its session counts as paid for in vain', () => {
    const { world, runs } = worldOf([]);
    world.tool(toolOf(A, 'a', 1000));
    world.at(100, () => world.top.sessionEnded?.('a', 'w', 'cancelled'));
    world.run();
    expect(runs).toMatchObject([{ outcome: 'ok', waste: 'after_cancel' }]);
  });

  test('what goes on when the run stops is recorded as it stands', () => {
    const { world, runs } = worldOf([], { propagates: false });
    const ticket = world.tool(toolOf(A, 'a', 1000));
    world.at(100, () => world.abortNow(ticket));
    world.run(200);
    world.top.stop?.(200);
    expect(runs).toMatchObject([{ startMs: 0, endMs: 200, waste: 'after_cancel', outcome: 'cancelled' }]);
  });
});

describe('a tool_failure fault', () => {
  const fault = (some: Partial<PlannedFault>): PlannedFault => ({
    fault: 0,
    kind: 'tool_failure',
    target: null,
    atMs: 1000,
    perSec: null,
    lastsMs: 1000,
    factor: 1,
    share: 1,
    label: 'tool_failure',
    ...some,
  });

  test('fails the runs that start while it is on, of its tool alone', () => {
    const { world, runs } = worldOf([], { faults: [fault({ target: 'fetch' })] });
    for (const [tool, atMs] of [
      ['fetch', 0],
      ['fetch', 1000],
      ['other', 1500],
      ['fetch', 2000],
    ] as const)
      world.at(atMs, () => world.tool(toolOf(A, `${tool}${atMs}`, 10, { tool })));
    world.run();
    expect(runs.map(each => each.error)).toEqual([null, 'tool_failed', null, null]);
  });

  test('reaches the share that it says, slows all of them, and comes at its rate', () => {
    const { world, runs } = worldOf([], {
      faults: [fault({ share: 0.3, factor: 2, perSec: 1, atMs: null, lastsMs: 1e9 })],
    });
    for (let i = 0; i < 2000; i++) world.at(1e5, () => world.tool(toolOf(A, `a${i}`, 10)));
    world.run();
    expect(new Set(runs.map(each => each.endMs - each.startMs!))).toEqual(new Set([20]));
    const failed = runs.filter(each => each.error !== null).length;
    expect(Math.abs(failed - 600)).toBeLessThan(5 * Math.sqrt(2000 * 0.3 * 0.7));
  });
});

describe('laws', () => {
  const asks = fc.array(
    fc.record({
      atMs: fc.integer({ min: 0, max: 2000 }),
      ms: fc.integer({ min: 0, max: 400 }),
      session: fc.integer({ min: 0, max: 3 }),
      cores: fc.constantFrom(null, 0.5, 1, 3),
      bytes: fc.constantFrom(null, 30, 80),
      abortAfterMs: fc.option(fc.integer({ min: 0, max: 300 })),
      fails: fc.constantFrom(null, 'tool_failed'),
      attemptMs: fc.constantFrom(null, 150),
      isBlind: fc.boolean(),
      idempotent: fc.boolean(),
    }),
    { minLength: 1, maxLength: 40 },
  );
  const spec = fc.record({
    concurrency: fc.constantFrom(1, 2, 4),
    queue: fc.constantFrom(null, 2),
    start: fc.constantFrom(null, 90),
    warmPool: fc.constantFrom(0, 2),
    keep: fc.constantFrom('call' as const, 'session' as const),
    cpu: fc.constantFrom(null, 3),
    memoryBytes: fc.constantFrom(null, 100),
    timeMs: fc.constantFrom(null, 250),
    propagates: fc.boolean(),
  });

  /** The most that any two or more records share of an instant; ends come before starts. */
  const most = (runs: readonly ToolRecord[], of: (run: ToolRecord) => number): number => {
    const edges = runs
      .filter(run => run.startMs !== null || run.coldStartMs > 0)
      .flatMap(run => [
        { atMs: run.askedMs + run.queueMs, by: of(run) },
        { atMs: run.endMs, by: -of(run) },
      ])
      .sort((a, b) => a.atMs - b.atMs || a.by - b.by);
    let now = 0;
    let max = 0;
    for (const { by } of edges) {
      now += by;
      max = Math.max(max, now);
    }
    return max;
  };

  test('limits hold, every tool ends once, nothing is held at the end, sandboxes are conserved', () => {
    fc.assert(
      fc.property(spec, asks, ({ propagates, timeMs, start, ...some }, given) => {
        const { world, runs, tools } = worldOf(
          [
            runtime({
              ...some,
              start: start === null ? null : constant(start),
              limits: { ...LIMITS, timeMs },
              idleMs: 300,
            }),
          ],
          { propagates },
        );
        const claims = new Map(given.map((ask, i) => [`p${i}`, ask]));
        const tickets: number[] = [];
        const aborted = new Set<number>();
        for (const [i, ask] of given.entries()) {
          const session = sessionOf(`s${ask.session}`);
          world.at(ask.atMs, () => {
            const what = toolOf(
              session,
              `p${i}`,
              ask.ms,
              {
                cpuCores: ask.cores,
                memoryBytes: ask.bytes,
                idempotent: ask.idempotent,
                retry: retry({ isBlind: ask.isBlind }),
                timeout: { attemptMs: ask.attemptMs, ttftMs: null, totalMs: null },
              },
              n => (n === 0 ? ask.fails : null),
            );
            const ticket = world.tool(what);
            tickets.push(ticket);
            const { abortAfterMs } = ask;
            if (abortAfterMs !== null)
              world.at(ask.atMs + abortAfterMs, () => {
                if (world.told.some(each => each.ticket === ticket)) return;
                aborted.add(ticket);
                world.abortNow(ticket);
              });
          });
        }
        world.run();
        for (let s = 0; s < 4; s++) world.top.sessionEnded?.(`s${s}`, 'w', 'completed');

        expect(world.told.map(each => each.ticket).sort()).toEqual(
          tickets.filter(each => !aborted.has(each)).sort(),
        );
        const [box] = tools.runtimes.all;
        expect(box!.isEmpty).toBe(true);
        const { started, used, idling, warmed, discarded } = box!.sandboxes;
        expect([used, idling]).toEqual([0, 0]);
        expect(started).toBe(warmed + discarded);

        expect(most(runs, () => 1)).toBeLessThanOrEqual(some.concurrency);
        if (some.cpu !== null)
          expect(most(runs, each => claims.get(each.call)!.cores ?? 0)).toBeLessThanOrEqual(some.cpu);
        if (some.memoryBytes !== null)
          expect(most(runs, each => claims.get(each.call)!.bytes ?? 0)).toBeLessThanOrEqual(some.memoryBytes);
        for (const { coldStartMs, isCold } of runs) if (!isCold) expect(coldStartMs).toBe(0);
        // No side effect twice, unless its rule is blind.
        for (const run of runs)
          if (run.isDoubled) expect(claims.get(run.call)).toMatchObject({ isBlind: true, idempotent: false });
        for (const [call, { isBlind, idempotent }] of claims) {
          const started = runs.filter(run => run.call === call && run.startMs !== null);
          if (!isBlind && !idempotent) expect(started.length).toBeLessThanOrEqual(1);
          expect(runs.filter(run => run.call === call).length).toBeLessThanOrEqual(3);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('the same asks give the same records', () => {
    const once = () => {
      const { world, runs } = worldOf([
        runtime({ start: exponential(200), warmPool: 1, concurrency: 2, failRatio: 0.3 }),
      ]);
      for (let i = 0; i < 50; i++)
        world.at(i * 40, () =>
          world.tool(toolOf(A, `p${i}`, 100, { retry: retry({ jitter: 'full' }), idempotent: true })),
        );
      world.run();
      return runs;
    };
    expect(once()).toEqual(once());
  });
});

const exponential = (mean: number): DrawnAmount => ({
  kind: 'draw',
  of: { kind: 'exponential', mean },
  min: 0,
  max: Number.POSITIVE_INFINITY,
});

describe('queueing theory', () => {
  test('Poisson arrivals and exponential runs wait as long as M/M/k says, and each as a line of k servers', () => {
    const servers = 3;
    const load = 1.8; // offered, in servers: 60 %
    const meanMs = 100;
    const { world, runs } = worldOf([runtime({ concurrency: servers })]);
    const freeMs = new Array<number>(servers).fill(0);
    const waitsMs = new Map<string, number>();
    let atMs = 0;
    for (let i = 0; i < 40_000; i++) {
      const key = textKey(`arrival ${i}`);
      const draw = (what: string, mean: number) =>
        quantile({ kind: 'exponential', mean }, uniform(extendText(key, what)));
      atMs += draw('gap', meanMs / load);
      const ms = draw('run', meanMs);
      world.at(atMs, () => world.tool(toolOf(A, `p${i}`, ms)));
      // Kiefer and Wolfowitz: each takes the server that is free first.
      freeMs.sort((a, b) => a - b);
      const startMs = Math.max(atMs, freeMs[0]!);
      waitsMs.set(`p${i}`, startMs - atMs);
      freeMs[0] = startMs + ms;
    }
    world.run();
    for (const { call, queueMs } of runs) expect(Math.abs(queueMs - waitsMs.get(call)!)).toBeLessThan(1e-6);

    // Erlang C.
    const terms = 1 + load + load ** 2 / 2;
    const last = (load ** 3 / 6) * (servers / (servers - load));
    const expectedMs = ((last / (terms + last)) * meanMs) / (servers - load);
    // Waits of neighbours are alike: the means of 40 batches are not.
    const batches = Array.from({ length: 40 }, (_, b) =>
      runs.slice(b * 1000, (b + 1) * 1000).reduce((sum, each) => sum + each.queueMs / 1000, 0),
    );
    const mean = batches.reduce((sum, each) => sum + each, 0) / 40;
    const variance = batches.reduce((sum, each) => sum + (each - mean) ** 2, 0) / 39;
    expect(Math.abs(mean - expectedMs)).toBeLessThan(3 * Math.sqrt(variance / 40));
  });

  test('a warm pool is empty as often as Erlang B says, whatever a start is drawn from', () => {
    const warmPool = 4;
    const startMs = 400;
    const gapMs = 100; // so 4 refills are under way on average
    const expected = 32 / 103; // Erlang B of 4 at 4: (256/24) / (1 + 4 + 8 + 64/6 + 256/24)
    for (const start of [constant(startMs), exponential(startMs)]) {
      const { world, runs } = worldOf([runtime({ start, warmPool })]);
      let atMs = 0;
      for (let i = 0; i < 40_000; i++) {
        atMs += quantile({ kind: 'exponential', mean: gapMs }, uniform(textKey(`gap ${i}`)));
        world.at(atMs, () => world.tool(toolOf(A, `p${i}`, 50)));
      }
      world.run();
      const inOrder = [...runs].sort((a, b) => a.askedMs - b.askedMs);
      const batches = Array.from(
        { length: 40 },
        (_, b) => inOrder.slice(b * 1000, (b + 1) * 1000).filter(each => each.isCold).length / 1000,
      );
      const mean = batches.reduce((sum, each) => sum + each, 0) / 40;
      const variance = batches.reduce((sum, each) => sum + (each - mean) ** 2, 0) / 39;
      expect(Math.abs(mean - expected)).toBeLessThan(3 * Math.sqrt(variance / 40));
    }
  });
});
