// Cutting, sampling, capping and anonymising recorded sessions: hand-computed cases, and laws over drawn ones.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UserError } from '../../scenarios/base/errors.ts';
import type { RecordedCall, RecordedSession } from '../../scenarios/formats/recorded.ts';
import type { Selection } from '../../scenarios/formats/selection.ts';
import { readTrace } from '../../scenarios/importers/read.ts';
import { recordedPlanLines } from '../../scenarios/plan-file.ts';
import { endsMs } from '../../scenarios/traces/instants.ts';
import { traceProfiler } from '../../scenarios/traces/profile.ts';
import { cutSession } from '../../scenarios/traces/select/cut.ts';
import { emptySelectionReport, selectionWarnings, selectSessions } from '../../scenarios/traces/select.ts';
import { contentOf } from '../../scenarios/workflows/recorded-content.ts';
import { aChain, aRecordedCall, aRecordedSession } from '../builders/recorded.ts';

const NOTHING: Selection = {
  window: null,
  maxContextTokens: null,
  sample: null,
  gapCap: null,
  anonymize: false,
};

function select(
  sessions: Iterable<RecordedSession>,
  part: Partial<Selection>,
  epochMs: number | null = null,
) {
  const report = emptySelectionReport();
  const context = { epochMs: () => epochMs, report };
  const taken = [...selectSessions(sessions, { ...NOTHING, ...part }, context)];
  return { taken, report, warnings: selectionWarnings(report) };
}

function refusal(run: () => unknown): UserError {
  try {
    run();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const elapsed = (fromMs: number | null, toMs: number | null): Pick<Selection, 'window'> => ({
  window: {
    from: fromMs === null ? null : { elapsedMs: fromMs },
    to: toMs === null ? null : { elapsedMs: toMs },
  },
});

/** When each call starts if every parent ends as recorded: what a replay on an equal server does. */
function replayedStarts(session: RecordedSession): number[] {
  const ends = endsMs(session);
  const rowOf = new Map(session.calls.map((call, row) => [call.id, row]));
  return session.calls.map(({ parents, gapMs }) => {
    const sinceMs = parents.length === 0 ? 0 : Math.max(...parents.map(parent => ends[rowOf.get(parent)!]!));
    return sinceMs + gapMs;
  });
}

describe('contexts beyond a window that is served (trap: one refused call ends its session)', () => {
  const chain = aChain([
    [0, 1000],
    [3000, 1000],
  ]);
  const withPrompt = (id: string, promptTokens: number): RecordedSession => ({
    ...chain,
    id,
    calls: chain.calls.map((call, row) => (row === 1 ? { ...call, promptTokens, outputTokens: 10 } : call)),
  });

  test('leave out the whole session and are counted; prompt and output together decide', () => {
    const sessions = [withPrompt('fits', 990), withPrompt('long', 991), withPrompt('short', 50)];
    const { taken, report, warnings } = select(sessions, { maxContextTokens: 1000 });
    expect(taken.map(({ id }) => id)).toEqual(['fits', 'short']);
    expect(report.longContexts).toEqual({ maxContextTokens: 1000, sessions: 3, sessionsDropped: 1 });
    expect(warnings.join()).toMatch(/1 of 3 sessions are left out/);
  });

  test('are refused in words when nothing is left', () => {
    expect(refusal(() => select([withPrompt('long', 2000)], { maxContextTokens: 1000 })).message).toMatch(
      /every session has a call of more than 1000 tokens/,
    );
  });
});

describe('a window', () => {
  const chain = aChain([
    [0, 1000],
    [3000, 1000],
    [9000, 500],
    [60_000, 500],
  ]);

  test('keeps the calls that start in it, at their recorded instants, in a session that arrives with the first', () => {
    const { session, callsDropped } = cutSession({ ...chain, arrivalMs: 5000 }, 2000, 60_000);
    expect(callsDropped).toBe(2);
    expect(session!.arrivalMs).toBe(8000);
    expect(session!.calls.map(call => call.id)).toEqual(['main/1', 'main/2']);
    expect(session!.calls[0]).toMatchObject({
      parents: [],
      gapMs: 0,
      gapKind: 'unknown',
      recorded: { startMs: 0 },
    });
    expect(session!.calls[1]).toMatchObject({ parents: ['main/1'], gapMs: 5000, gapKind: 'tool' });
    expect(replayedStarts(session!)).toEqual([0, 6000]);
  });

  test('leaves sessions that lie inside it as they are, but for the start of the trace', () => {
    const inside = { ...chain, arrivalMs: 5000 };
    const { taken, report } = select([inside], elapsed(4000, 100_000));
    expect(taken).toEqual([{ ...inside, arrivalMs: 1000 }]);
    expect(report.window).toMatchObject({ clock: 'trace', sessionsKept: 1, sessionsCut: 0, callsDropped: 0 });
  });

  test('keeps the idle time before the first call of a session that loses its end only', () => {
    const late = aChain([
      [700, 100],
      [5000, 100],
    ]);
    const { session } = cutSession(late, 0, 1000);
    expect(session!.calls).toMatchObject([{ gapMs: 700, recorded: { startMs: 700 } }]);
  });

  test('at the end only, a person who wrote the first prompt still did', () => {
    const chain = aChain([
      [0, 100, 'human'],
      [500, 100, 'tool'],
      [5000, 100, 'tool'],
    ]);
    expect(cutSession(chain, 0, 1000).session!.calls.map(({ gapKind }) => gapKind)).toEqual([
      'human',
      'tool',
    ]);
  });

  test('counts from the first call that stays, though it stands behind one that started later', () => {
    // A join stands behind what it waits for, within the second that clocks may be apart.
    const session = aRecordedSession({
      calls: [
        aRecordedCall({ id: 'main/0' }),
        aRecordedCall({ id: 'a/0', agent: 'a', recorded: { startMs: 10_500, e2eMs: 400 } }),
        aRecordedCall({ id: 'main/1', parents: ['main/0', 'a/0'], recorded: { startMs: 10_000 } }),
      ],
    });
    const { calls } = cutSession(session, 9000, 1e9).session!;
    expect(calls.map(({ id, recorded, gapMs }) => [id, recorded.startMs, gapMs])).toEqual([
      ['a/0', 500, 500],
      ['main/1', 0, 0],
    ]);
  });

  test('primes what dropped calls left: their blocks, and their answer where the prompt goes on from it', () => {
    const call = (part: Partial<RecordedCall> & { startMs: number }): RecordedCall =>
      aRecordedCall({ ...part, recorded: { startMs: part.startMs } });
    const session = aRecordedSession({
      calls: [
        call({ id: 'main/0', startMs: 0, promptTokens: 25, outputTokens: 10, blocks: [1, 2] }),
        call({ id: 'main/1', startMs: 10, promptTokens: 48, outputTokens: 5, blocks: [1, 2, 3, 4] }),
        call({ id: 'a/0', agent: 'a', startMs: 11, promptTokens: 30, blocks: [1, 8, 9] }),
        call({ id: 'b/0', agent: 'b', startMs: 12, promptTokens: 30, blocks: [7, 8, 9] }),
        call({
          id: 'main/2',
          startMs: 13,
          promptTokens: 70,
          outputTokens: 5,
          blocks: [1, 2, 3, 4, 5, 6, 10],
        }),
      ],
    });
    const primed = (fromMs: number) =>
      cutSession(session, fromMs, 1e9).session!.calls.map(({ id, primedTokens }) => [id, primedTokens]);
    // 25 + 10 tokens of main/0 lead into main/1: three whole blocks. Its own thread only is primed by an answer.
    expect(primed(5)).toEqual([
      ['main/1', 30],
      ['a/0', 10],
      ['b/0', 0],
      ['main/2', 0],
    ]);
    // 48 + 5 tokens of main/1 lead into main/2.
    expect(primed(13)).toEqual([['main/2', 50]]);
  });

  test('of a join that lost a parent, the call still starts when it did', () => {
    const session = aRecordedSession({
      calls: [
        aRecordedCall({ id: 'main/0', recorded: { startMs: 0, e2eMs: 1000 } }),
        aRecordedCall({
          id: 'main/1',
          parents: ['main/0'],
          gapMs: 500,
          recorded: { startMs: 1500, e2eMs: 500 },
        }),
        aRecordedCall({ id: 'slow/0', agent: 'slow', recorded: { startMs: 200, e2eMs: 8800 } }),
        aRecordedCall({
          id: 'main/2',
          parents: ['main/1', 'slow/0'],
          gapMs: 1000,
          recorded: { startMs: 10_000, e2eMs: 1 },
        }),
      ],
    });
    const cut = cutSession(session, 1000, 1e9).session!;
    expect(cut.calls.map(({ id, parents, gapMs }) => ({ id, parents, gapMs }))).toEqual([
      { id: 'main/1', parents: [], gapMs: 0 },
      { id: 'main/2', parents: ['main/1'], gapMs: 8000 },
    ]);
  });

  /** Sessions of several threads whose gaps are consistent with their instants. */
  const sessions = fc
    .array(
      fc.record({
        agent: fc.constantFrom('main', 'main', 'a', 'b'),
        gapMs: fc.nat(5000),
        e2eMs: fc.integer({ min: 1, max: 5000 }),
        joins: fc.array(fc.nat(20), { maxLength: 2 }),
        grows: fc.nat(30),
      }),
      { minLength: 1, maxLength: 14 },
    )
    .map(rows => {
      const calls: RecordedCall[] = [];
      const endOf = new Map<string, number>();
      for (const [row, { agent, gapMs, e2eMs, joins, grows }] of rows.entries()) {
        const parents = [...new Set(row === 0 ? [] : joins.map(join => calls[join % row]!.id))];
        const startMs = Math.max(0, ...parents.map(parent => endOf.get(parent)!)) + gapMs;
        const before = calls.findLast(call => call.agent === agent);
        const promptTokens = (before?.promptTokens ?? 20) + grows;
        const blocks = [...(before?.blocks ?? [])];
        while (blocks.length < Math.floor(promptTokens / 10)) blocks.push(row * 100 + blocks.length);
        const id = `${agent}/${row}`;
        endOf.set(id, startMs + e2eMs);
        calls.push(
          aRecordedCall({ id, agent, parents, gapMs, promptTokens, blocks, recorded: { startMs, e2eMs } }),
        );
      }
      return aRecordedSession({ calls: calls.toSorted((a, b) => a.recorded.startMs - b.recorded.startMs) });
    });

  test('law: calls are kept or dropped, kept ones replay at their instants, primed context is whole blocks of the prompt', () => {
    fc.assert(
      fc.property(sessions, fc.nat(20_000), fc.nat(20_000), (session, fromMs, forMs) => {
        const { session: cut, callsDropped, primedTokens } = cutSession(session, fromMs, fromMs + forMs);
        const kept = cut?.calls ?? [];
        expect(kept.length + callsDropped).toBe(session.calls.length);
        if (cut === null) return;
        const first = kept[0]!;
        const zeroMs =
          session.calls.find(({ id }) => id === first.id)!.recorded.startMs - first.recorded.startMs;
        for (const [row, startMs] of replayedStarts(cut).entries()) {
          const was = session.calls.find(({ id }) => id === kept[row]!.id)!.recorded.startMs;
          expect(startMs + zeroMs).toBe(was);
        }
        expect(kept.reduce((sum, call) => sum + call.primedTokens, 0)).toBe(primedTokens);
        for (const call of kept) {
          expect(call.primedTokens % 10).toBe(0);
          expect(call.primedTokens).toBeLessThanOrEqual(call.promptTokens);
        }
        expect(contentOf(cut).size).toBe(kept.length);
      }),
    );
  });

  test('is of the trace where there is a clock, else of each session, and says which', () => {
    const clocked = [0, 20_000, 90_000].map((arrivalMs, row) => ({ ...chain, id: `c${row}`, arrivalMs }));
    const { taken, report } = select(clocked, elapsed(22_000, 40_000));
    expect(taken.map(({ id, arrivalMs, calls }) => [id, arrivalMs, calls.length])).toEqual([['c1', 1000, 2]]);
    expect(report.window).toMatchObject({
      clock: 'trace',
      sessionsDropped: 2,
      callsKept: 2,
      callsDropped: 10,
    });
    const { report: own, warnings } = select([chain, chain], elapsed(2000, 10_000));
    expect(own.window).toMatchObject({ clock: 'session', sessionsKept: 2, sessionsCut: 2, callsKept: 4 });
    expect(warnings[0]).toMatch(/2 s until 10 s of each session.*4 calls stay, 4 do not/);
  });

  test('takes times of day where the trace has a clock, and refuses them where it has none', () => {
    const unixMs = Date.UTC(2023, 10, 16, 18, 0, 0);
    const window = { from: { unixMs: unixMs + 2000 }, to: null };
    const { taken } = select([{ ...chain, arrivalMs: 0 }], { window }, unixMs);
    expect(taken[0]!.calls).toHaveLength(3);
    expect(refusal(() => select([chain], { window })).hint).toMatch(/--from 10m/);
  });

  test('that is empty or holds nothing is refused with what to change', () => {
    expect(refusal(() => select([chain], elapsed(5000, 5000))).message).toMatch(/ends at 5 s, not after/);
    expect(refusal(() => select([chain], elapsed(100_000, null))).message).toMatch(
      /no call .* between 100 s and its end/,
    );
  });
});

describe('a sample', () => {
  const many = Array.from({ length: 4000 }, (_, row) =>
    aChain([[0, 100]], {
      id: `session-${row}`,
      arrivalMs: row * 100 + (row % 7) * 13,
      blockScope: 'test/file:shared',
    }),
  );
  const eighth = { sample: { keep: 1, of: 8 } };

  test('keeps the same whole sessions in any order and in any longer trace', () => {
    const ids = (sessions: readonly RecordedSession[]): string[] =>
      select(sessions, eighth)
        .taken.map(({ id }) => id)
        .toSorted();
    const all = ids(many);
    expect(ids(many.toReversed())).toEqual(all);
    expect(ids(many.slice(1000, 3000))).toEqual(
      all.filter(id => Number(id.slice(8)) >= 1000 && Number(id.slice(8)) < 3000),
    );
    expect(all.length / 4000).toBeGreaterThan(0.105);
    expect(all.length / 4000).toBeLessThan(0.145);
  });

  test('says what it does to arrivals and to what is shared', () => {
    const { report, warnings } = select(many, eighth);
    const { before, after } = report.sample!;
    // Evenly spaced arrivals, thinned at random, are nearly a Poisson process.
    expect(before.arrivals!.interArrivalCv).toBeLessThan(0.6);
    expect(after.arrivals!.interArrivalCv).toBeGreaterThan(0.8);
    expect(after.arrivals!.ratePerSec / before.arrivals!.ratePerSec).toBeCloseTo(after.sessions / 4000, 1);
    // Every session has the same two blocks: all but the first find them.
    expect(before.reuse).toEqual({ bySessionRatio: 0, acrossRatio: 1 - 1 / 4000 });
    expect(after.reuse!.acrossRatio).toBe(1 - 1 / after.sessions);
    expect(warnings[0]).toMatch(/a sample of \d+ of 4000 sessions/);
  });

  test('of nothing is refused', () => {
    expect(refusal(() => select(many.slice(0, 1), { sample: { keep: 1, of: 999_999 } })).message).toMatch(
      /keeps no session of 1/,
    );
  });
});

test('a gap cap counts the gaps over it and the time it takes away, as a warning of the run', () => {
  const session = aChain([
    [5000, 1000],
    [8000, 1000],
    [19_000, 1000],
    [60_000, 1000],
  ]);
  const { taken, report, warnings } = select([session], { gapCap: { capMs: 10_000, gapScale: 1 } });
  expect(taken).toEqual([session]);
  // Gaps of 2, 10 and 40 s; the time before the first call is none.
  expect(report.gapCap).toEqual({ capMs: 10_000, gaps: 3, capped: 1, gapsMs: 52_000, removedMs: 30_000 });
  expect(warnings[0]).toMatch(/cap of 10 s shortens 1 of 3 gaps \(33\.3 %\) and takes away 57\.7 %/);
  expect(select([session], { gapCap: { capMs: 60_000, gapScale: 1 } }).warnings).toEqual([]);
  // A run scales first: 1, 5 and 20 s.
  expect(select([session], { gapCap: { capMs: 10_000, gapScale: 0.5 } }).report.gapCap).toMatchObject({
    gapsMs: 26_000,
    removedMs: 10_000,
  });
});

test('a gap cap also counts the wait of a call that a window left without parents, where it shortens it', () => {
  const session = aRecordedSession({
    calls: [
      aRecordedCall({ id: 'main/0' }),
      aRecordedCall({ id: 'a/0', agent: 'a', gapMs: 60_000, recorded: { startMs: 60_000 } }),
      aRecordedCall({ id: 'b/0', agent: 'b', gapMs: 5000, recorded: { startMs: 60_000 } }),
    ],
  });
  const { report } = select([session], { gapCap: { capMs: 10_000, gapScale: 1 } });
  expect(report.gapCap).toMatchObject({ gaps: 1, capped: 1, gapsMs: 60_000, removedMs: 50_000 });
});

test('sessions pass one at a time: selecting holds none of them back', () => {
  let read = 0;
  function* source(): Generator<RecordedSession> {
    for (; read < 1000; read += 1) yield aChain([[0, 1]], { id: `s${read}`, arrivalMs: read });
  }
  const selection = { ...NOTHING, ...elapsed(0, 1e9), gapCap: { capMs: 1, gapScale: 1 }, anonymize: true };
  const stream = selectSessions(source(), selection, { epochMs: () => null, report: emptySelectionReport() });
  stream.next();
  stream.next();
  expect(read).toBe(1);
});

describe('anonymising', () => {
  const secret = (word: string): string => `secret-${word}`;
  const session = (id: string, scope: string): RecordedSession =>
    aRecordedSession({
      id: secret(id),
      source: `/home/${secret('home')}/${secret('file')}.jsonl`,
      tenant: secret('tenant'),
      user: secret('user'),
      blockScope: scope,
      calls: [
        aRecordedCall({ id: `main/${secret('x')}`, blocks: [900, 5, 17] }),
        aRecordedCall({
          id: `${secret('agent')}/0`,
          agent: secret('agent'),
          parents: [`main/${secret('x')}`],
          tool: secret('tool'),
          gapKind: 'tool',
          gapMs: 5,
          blocks: [900, 5, 2 ** 52 + 3, 1e300],
          recorded: { startMs: 5, error: `${secret('host')} refused` },
        }),
        aRecordedCall({ id: 'main/z', blocks: [900], recorded: { startMs: 6, error: '429' } }),
      ],
    });
  const shared = `test/file:${secret('file')}`;
  const input = [session('one', shared), session('two', shared), session('three', `test/${secret('three')}`)];
  const { taken, report } = select(input, { anonymize: true });

  test('leaves no name of the trace in the written plan', () => {
    const written = [...recordedPlanLines('anonymized-trace', {}, taken, () => [])].join('\n');
    expect([...recordedPlanLines('x', {}, input, () => [])].join('\n')).toMatch(/secret-/);
    expect(written).not.toMatch(/secret-/);
    expect(taken[0]).toMatchObject({ id: 's1', source: 'trace-1', tenant: 'tenant-1', user: 'user-1' });
    expect(taken.map(({ blockScope }) => blockScope)).toEqual(['shared/1', 'shared/1', 'own/s3']);
    expect(report.anonymized).toEqual({ sessions: 3, names: 6, blocks: 10 });
  });

  test('renames call ids with what waits for them, and keeps models and plain reason codes', () => {
    expect(taken[1]!.calls).toMatchObject([
      { id: 'main/0', parents: [], model: 'a-model' },
      {
        id: 'agent-1/0',
        agent: 'agent-1',
        parents: ['main/0'],
        tool: 'tool-1',
        recorded: { error: 'error' },
      },
      { id: 'main/1', recorded: { error: '429' } },
    ]);
  });

  test('numbers blocks by first use, in each scope: what was the same stays the same, and only that', () => {
    expect(taken.map(({ calls }) => calls.map(({ blocks }) => blocks))).toEqual([
      [[0, 1, 2], [0, 1, 3, 4], [0]],
      [[0, 1, 2], [0, 1, 3, 4], [0]],
      [[0, 1, 2], [0, 1, 3, 4], [0]],
    ]);
  });

  test('law: block ids map one to one, dense and huge ones alike', () => {
    const ids = fc.oneof(
      fc.nat(50),
      fc.nat(1e9),
      fc.nat(50).map(id => 2 ** 52 + id),
      fc.nat(1e6).map(id => id * 1e9),
    );
    fc.assert(
      fc.property(fc.array(fc.array(ids, { maxLength: 8 }), { minLength: 1, maxLength: 6 }), lists => {
        const calls = lists.map((blocks, row) => aRecordedCall({ id: `main/${row}`, blocks }));
        const renamed = select([aRecordedSession({ calls })], { anonymize: true }).taken[0]!.calls;
        const pairs = new Map(
          lists.flatMap((blocks, row) => blocks.map((id, at) => [id, renamed[row]!.blocks[at]!])),
        );
        expect(lists.map(blocks => blocks.map(id => pairs.get(id)))).toEqual(
          renamed.map(({ blocks }) => blocks),
        );
        expect([...pairs.values()].toSorted((a, b) => a - b)).toEqual([...pairs.keys()].map((_, row) => row));
      }),
    );
  });
});

const samples = fileURLToPath(new URL('../../../shared/data/traces/weka-claude-code', import.meta.url));
describe.skipIf(!existsSync(samples))('the shared Weka samples (skipped where ../shared is absent)', () => {
  test('anonymised, every figure of the profile is as before', () => {
    const { sessions } = readTrace([`${samples}/flat`, `${samples}/subagents`]);
    const profileOf = (all: readonly RecordedSession[]) => {
      const profiler = traceProfiler();
      for (const session of all) profiler.add(session);
      return profiler.profile();
    };
    const { taken } = select(sessions, { anonymize: true });
    expect(profileOf(taken)).toEqual(profileOf(sessions));
    const written = [...recordedPlanLines('anonymized-trace', {}, taken, () => [])].join('\n');
    for (const { id } of sessions) expect(written).not.toContain(id);
    expect(written).not.toMatch(/agent_0|weka/);
  });

  test('cut in the middle, primed context keeps their hits: without it they would fall', () => {
    const { sessions } = readTrace([`${samples}/flat`]);
    const { taken, report } = select(sessions, elapsed(60_000, null));
    const hits = (all: readonly RecordedSession[]): number => {
      const profiler = traceProfiler();
      for (const session of all) profiler.add(session);
      return profiler.profile().reuse!.bySessionRatio;
    };
    const whole = hits(sessions);
    const cold = taken.map(session => ({
      ...session,
      calls: session.calls.map(call => ({ ...call, primedTokens: 0 })),
    }));
    expect(report.window!.primedTokens).toBeGreaterThan(100_000);
    expect(hits(taken)).toBeGreaterThan(whole - 0.01);
    expect(hits(cold)).toBeLessThan(hits(taken) - 0.03);
  });
});
