import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Journal } from '../../../gateway/journal.ts';
import { type Stores, storeLayer } from '../../../gateway/state/stores.ts';
import { toolLayer } from '../../../gateway/tools/runtimes.ts';
import { constant } from '../../../scenarios/formats/amount.ts';
import type { StoreSpec } from '../../../scenarios/formats/rules.ts';
import { Clockwork, sessionOf, toolOf } from '../tools/clockwork.ts';

const storeOf = (some: Partial<StoreSpec> = {}): StoreSpec => ({
  name: 'memory',
  kind: 'session',
  read: constant(10),
  write: constant(30),
  concurrency: null,
  capacity: null,
  staleMs: 0,
  place: null,
  usdPerOp: 0.001,
  ...some,
});

function worldOf(spec: StoreSpec) {
  const journal = new Journal();
  const world = new Clockwork([storeLayer({ stores: [spec], journal })]);
  const use = (
    session: string,
    path: string,
    atMs: number,
    writes: boolean,
    ms = 100,
    user: string | null = null,
  ) =>
    world.at(atMs, () => {
      const what = toolOf(sessionOf(session, { user }), path, ms, { store: { name: 'memory', writes } });
      tickets.set(world.tool(what), path);
    });
  const tickets = new Map<number, string>();
  const ends = () => Object.fromEntries(world.told.map(each => [tickets.get(each.ticket), each.atMs]));
  return { world, journal, use, ends, stores: world.top as Stores };
}

describe('a store', () => {
  test('adds a read or a write to the run of a tool', () => {
    const { world, use, ends, journal } = worldOf(storeOf());
    use('a', 'read', 0, false);
    use('a', 'write', 0, true);
    world.run();
    expect(ends()).toEqual({ read: 110, write: 130 });
    expect(journal.records.tools).toEqual([]);
  });

  test('lets so many operations happen at once, in order of arrival', () => {
    const { world, use, ends } = worldOf(storeOf({ concurrency: 1 }));
    for (const path of ['one', 'two', 'three']) use('a', path, 0, true);
    world.run();
    expect(ends()).toEqual({ one: 130, two: 160, three: 190 });
  });

  test('a read soon after a write is stale: the step waits until the write is seen, and runs again', () => {
    const { world, use, ends, journal } = worldOf(storeOf({ staleMs: 500 }));
    use('a', 'write', 0, true); // written at 130, seen from 630 on
    use('a', 'soon', 200, false); // reads 300..310, waits to 630, runs to 730, reads to 740
    use('a', 'late', 600, false); // reads from 700 on
    use('b', 'other', 200, false); // another session's state is not touched
    world.run();
    expect(ends()).toEqual({ write: 130, soon: 740, late: 710, other: 310 });
    expect(journal.records.tools).toMatchObject([
      { call: 'soon', startMs: 200, endMs: 310, waste: 'stale_read', usd: 0.001, runtime: null },
    ]);
    expect(journal.records.decisions).toMatchObject([
      { policy: 'store', decision: 'stale_read', why: 'memory', call: 'soon' },
    ]);
  });

  test('holds so many entries: what was used least recently goes, and a read of it is worked out anew', () => {
    const { world, use, ends, journal } = worldOf(storeOf({ capacity: 2 }));
    use('a', 'wa', 0, true);
    use('b', 'wb', 1000, true);
    use('a', 'touch', 2000, false);
    use('c', 'wc', 3000, true); // b goes
    use('a', 'kept', 4000, false);
    use('b', 'missed', 5000, false); // 100 + 10, then 100 + 30 to write it back
    use('b', 'back', 6000, false);
    use('d', 'never written', 7000, false);
    world.run();
    expect(ends()).toMatchObject({ kept: 4110, missed: 5240, back: 6110, 'never written': 7110 });
    expect(journal.records.decisions.map(each => each.decision)).toEqual(['store_miss']);
    expect(journal.records.tools).toMatchObject([{ call: 'missed', endMs: 5110, waste: null, usd: 0.001 }]);
  });

  test('forgets a session when it ends; what a user has in a long-term store stays', () => {
    for (const [kind, staleMs] of [
      ['session', 0],
      ['long_term', 1],
    ] as const) {
      const { world, use, journal } = worldOf(storeOf({ kind, staleMs: 10_000 }));
      use('a', 'write', 0, true, 100, 'ann');
      world.at(500, () => world.top.sessionEnded?.('a', 'w', 'completed'));
      use('b', 'read', 1000, false, 100, 'ann');
      world.run();
      expect(journal.records.decisions).toHaveLength(staleMs);
    }
  });

  test('adds the round trip to where it stands', () => {
    const world = new Clockwork([
      storeLayer({ stores: [storeOf()], journal: new Journal(), wayMs: tool => (tool === 'fetch' ? 7 : 0) }),
    ]);
    world.tool(toolOf(sessionOf('a'), 'p', 100, { store: { name: 'memory', writes: false } }));
    world.run();
    expect(world.told[0]?.atMs).toBe(117);
  });

  test('tools without a store, or with one that is not there, pass as they are', () => {
    const { world } = worldOf(storeOf());
    world.tool(toolOf(sessionOf('a'), 'none', 100));
    world.tool(toolOf(sessionOf('a'), 'unknown', 100, { store: { name: 'elsewhere', writes: true } }));
    world.run();
    expect(world.told.map(each => each.atMs)).toEqual([100, 100]);
    expect(world.bottom.map(each => each.ticket)).toEqual(world.told.map(each => each.ticket));
  });

  test('every operation is paid for once, with what the layer of tools pays', () => {
    const journal = new Journal();
    const spec = storeOf({ staleMs: 500 });
    const world = new Clockwork([
      toolLayer({ runtimes: [], faults: [], journal, seedText: '1', storeUsd: new Map([['memory', 0.001]]) }),
      storeLayer({ stores: [spec], journal }),
    ]);
    const a = sessionOf('a');
    world.tool(toolOf(a, 'w', 100, { store: { name: 'memory', writes: true } }));
    world.at(200, () => world.tool(toolOf(a, 'r', 100, { store: { name: 'memory', writes: false } })));
    world.run();
    // A write and two reads.
    expect(journal.records.tools.reduce((sum, { usd }) => sum + usd, 0)).toBeCloseTo(0.003, 12);
  });
});

test('law: every tool ends once, after two rounds at most; nothing is used at the end; concurrency holds', () => {
  const use = fc.record({
    atMs: fc.integer({ min: 0, max: 1000 }),
    ms: fc.integer({ min: 0, max: 200 }),
    session: fc.integer({ min: 0, max: 3 }),
    writes: fc.boolean(),
    abortAfterMs: fc.option(fc.integer({ min: 0, max: 300 })),
  });
  fc.assert(
    fc.property(
      fc.array(use, { minLength: 1, maxLength: 30 }),
      fc.constantFrom(null, 1, 2),
      fc.constantFrom(null, 1, 2),
      fc.constantFrom(0, 300),
      (uses, concurrency, capacity, staleMs) => {
        const { world, stores, journal } = worldOf(storeOf({ concurrency, capacity, staleMs }));
        const wanted: number[] = [];
        const gone = new Set<number>();
        for (const [i, { atMs, ms, session, writes, abortAfterMs }] of uses.entries())
          world.at(atMs, () => {
            const what = toolOf(sessionOf(`s${session}`), `p${i}`, ms, { store: { name: 'memory', writes } });
            const ticket = world.tool(what);
            wanted.push(ticket);
            if (abortAfterMs === null) return;
            world.at(atMs + abortAfterMs, () => {
              if (world.told.some(each => each.ticket === ticket)) return;
              gone.add(ticket);
              world.abortNow(ticket);
            });
          });
        world.run();
        const numbers = (list: readonly number[]) => [...list].sort((a, b) => a - b);
        expect(numbers(world.told.map(each => each.ticket))).toEqual(
          numbers(wanted.filter(each => !gone.has(each))),
        );
        expect(stores.isIdle()).toBe(true);
        const again = journal.records.tools.map(each => each.call);
        expect(new Set(again).size).toBe(again.length);
        if (staleMs === 0 && capacity === null) expect(again).toEqual([]);
        if (concurrency === 1 && gone.size === 0) {
          // One operation of 10 or 30 ms at a time: no end is nearer to the next than the next takes.
          const ends = world.told.map(each => each.atMs).sort((a, b) => a - b);
          for (let i = 1; i < ends.length; i++) expect(ends[i]! - ends[i - 1]!).toBeGreaterThanOrEqual(10);
        }
      },
    ),
    { numRuns: 300 },
  );
});
