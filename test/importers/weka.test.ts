// The traps of the Weka format, one fixture each; the fixtures' numbers are invented.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RecordedCall } from '../../scenarios/formats/recorded.ts';
import { weka } from '../../scenarios/importers/weka/weka.ts';
import { importText } from '../builders/traces.ts';

const textOf = (name: string): string =>
  readFileSync(new URL(`../fixtures/weka/${name}`, import.meta.url), 'utf8');

function imported(name: string) {
  const { sessions, tally } = importText(weka, textOf(name), name);
  const byId = new Map(sessions.flatMap(session => session.calls).map(call => [call.id, call]));
  const call = (id: string): RecordedCall => byId.get(id)!;
  return { sessions, tally, call, session: sessions[0]! };
}

describe('sub-agents', () => {
  test('are spawned at completion minus duration, so that siblings run in parallel', () => {
    const { call, session, tally } = imported('parallel-agents.json');
    expect(call('agent_001/0').recorded.startMs).toBe(4300);
    expect(call('agent_002/0').recorded.startMs).toBe(4300);
    expect(call('agent_001/0')).toMatchObject({ parents: ['main/0'], gapMs: 300, gapKind: 'client' });
    expect(call('agent_002/0')).toMatchObject({ parents: ['main/0'], gapMs: 300, gapKind: 'client' });
    expect(call('agent_002/1')).toMatchObject({ parents: ['agent_002/0'], gapMs: 3000, gapKind: 'tool' });
    expect(session.calls.map(one => one.id)).toEqual([
      'main/0',
      'agent_001/0',
      'agent_002/0',
      'agent_001/1',
      'agent_002/1',
      'main/1',
    ]);
    expect(tally.subagents).toBe(2);
  });

  test('are waited for by the main call after their completion, with the gap after the last of them', () => {
    const { call } = imported('parallel-agents.json');
    // agent_002's last call ends at 4.3 + 6 + 5.5 s, the main call starts at 20 s.
    expect(call('main/1')).toMatchObject({
      parents: ['main/0', 'agent_001/1', 'agent_002/1'],
      gapMs: 4200,
      gapKind: 'client',
      gapProvenance: 'recorded',
    });
  });

  test('with absolute inner times give the same session as with relative ones', () => {
    const relative = imported('parallel-agents.json').session;
    const absolute = imported('absolute-agents.json').session;
    expect({ ...absolute, source: relative.source }).toEqual(relative);
  });

  test('launched without waiting begin where the call before them ended, inferred, and nothing waits for them', () => {
    const { call, tally } = imported('async-agent.json');
    expect(call('agent_001/0')).toMatchObject({ parents: ['main/0'], gapMs: 0, gapProvenance: 'inferred' });
    expect(call('agent_001/0').recorded.startMs).toBe(4000);
    expect(call('main/1').parents).toEqual(['main/0']);
    expect(call('main/2').parents).toEqual(['main/1']);
    expect(tally.provenance.spawn).toEqual({ recorded: 0, inferred: 1, defaulted: 0 });
    expect(tally.notes.untimedAgents).toBe(1);
  });

  test('launched without waiting, with absolute inner times, begin at their first inner call', () => {
    const { call } = imported('async-agent-absolute.json');
    expect(call('agent_001/0')).toMatchObject({
      parents: ['main/0'],
      gapMs: 1000,
      gapProvenance: 'inferred',
    });
    expect(call('agent_001/0').recorded.startMs).toBe(5000);
  });

  test('count their hits in the id space of the session, in file order', () => {
    const { tally } = imported('parallel-agents.json');
    // agent_001: 2 and 5; agent_002: 4 and 5; the last main call: 10.
    expect(tally.totals).toMatchObject({ calls: 6, inputTokens: 3190, outputTokens: 370, hitBlocks: 26 });
  });
});

describe('times', () => {
  const { call, tally } = imported('streamed-without-times.json');

  test('a missing api_time is estimated at the pace of the timed calls, at most until the next start', () => {
    expect(call('main/0').recorded).toMatchObject({ startMs: 0, ttftMs: null, e2eMs: null });
    expect(call('main/1').recorded).toMatchObject({ startMs: 12_000, ttftMs: 3500, e2eMs: 6000 });
    // 16 s for 300 tokens: call 0 takes 100 x 53.3 ms.
    expect(call('main/1').gapMs).toBeCloseTo(12_000 - 100 * (16_000 / 300), 2);
    expect(tally.provenance.end).toEqual({ recorded: 2, inferred: 3, defaulted: 0 });
  });

  test('an absent think_time is inferred and counted', () => {
    expect(call('main/1').gapProvenance).toBe('inferred');
    expect(tally.notes.thinkMissing).toBe(1);
  });

  test('a think_time that also spans a call without api_time is not taken for the gap after it', () => {
    // The file says 22 s since the end of call 1, at 18 s; call 2 started in between, at 25 s.
    expect(call('main/3')).toMatchObject({ gapProvenance: 'inferred', gapKind: 'unknown' });
    expect(call('main/3').gapMs).toBeCloseTo(15_000 - 50 * (16_000 / 300), 2);
    expect(tally.notes.thinkSpanning).toBe(1);
    expect(call('main/2')).toMatchObject({ gapMs: 7000, gapProvenance: 'recorded', gapKind: 'human' });
    expect(call('main/4')).toMatchObject({ gapMs: 3000, gapProvenance: 'recorded', gapKind: 'tool' });
  });
});

describe('contexts', () => {
  test('a resumed session is counted for a warning', () => {
    const { tally, session } = imported('resumed.json');
    expect(tally.notes.resumedSessions).toBe(1);
    expect(session.blockTokens).toBe(4096);
    expect(session.systemTokens).toBe(256);
  });

  test('a compaction is a new context: it keeps what its ids say and nothing shrinks below zero', () => {
    const { tally, call } = imported('compacted.json');
    expect(tally.notes.contextEpochs).toBe(1);
    expect(call('main/2').blocks.slice(0, 5)).toEqual([0, 1, 2, 3, 50]);
    expect(tally.totals.hitBlocks).toBe(0 + 20 + 4 + 10);
  });

  test('without ids a prompt appends to the call before, and a new context keeps the system prompt only', () => {
    const { tally, call } = imported('without-ids.json');
    const blocks = [0, 1, 2, 3].map(row => call(`main/${row}`).blocks);
    expect(blocks.map(list => list.length)).toEqual([15, 20, 19, 9]);
    expect(blocks[1]!.slice(0, 15)).toEqual(blocks[0]);
    expect(blocks[2]).toEqual(blocks[1]!.slice(0, 19));
    expect(blocks[3]!.slice(0, 4)).toEqual(blocks[0]!.slice(0, 4));
    expect(blocks[3]!.slice(4).every(block => block >= 20)).toBe(true);
    expect(tally.provenance.blocks).toEqual({ recorded: 0, inferred: 0, defaulted: 4 });
  });
});

describe('unreadable parts', () => {
  test('are named with file and row, and the rest is kept', () => {
    const { tally, session, call } = imported('bad-rows.json');
    expect(tally.unreadable).toEqual([
      { where: 'bad-rows.json, request 2', why: 'out is 0, expected a whole number of tokens from 1 on' },
      {
        where: 'bad-rows.json, request 4',
        why: 'in is missing, expected a whole number of tokens from 1 on',
      },
      { where: 'bad-rows.json, request 5', why: 'in is "700", expected a whole number of tokens from 1 on' },
      { where: 'bad-rows.json, request 6', why: 'hash_ids[1] is "one", not a block id' },
      { where: 'bad-rows.json, request 7', why: 'type is "batch", expected "n", "s" or "subagent"' },
      { where: 'bad-rows.json, request 8.2', why: 'out is -3, expected a whole number of tokens from 1 on' },
      { where: 'bad-rows.json, request 9', why: 'is 7, not an object' },
    ]);
    expect(session.calls.map(one => one.id)).toEqual(['main/0', 'main/1', 'agent_001/0', 'main/2']);
    // Its think_time counts from the call that could not be read.
    expect(call('main/1')).toMatchObject({ parents: ['main/0'], gapMs: 5000, gapProvenance: 'inferred' });
  });

  test('a figure beyond any context window is refused, not turned into that many blocks', () => {
    const text = JSON.stringify({ id: 'x', requests: [{ type: 'n', t: 0, in: 1e15, out: 1 }] });
    expect(importText(weka, text, 'x.json').tally.unreadable[0]!.why).toMatch(/more than 16777216 tokens/);
  });

  test('a session of more sub-agents than a function takes arguments is read', () => {
    const call = { type: 'n', t: 0, in: 100, out: 1, api_time: 1, input_types: ['tool_result'] };
    const agent = { type: 'subagent', t: 5, duration_ms: 1000, status: 'completed', requests: [call] };
    const requests = [call, ...Array.from({ length: 130_000 }, () => agent), { ...call, t: 7 }];
    const { sessions } = importText(weka, JSON.stringify({ id: 'x', requests }), 'x.json');
    expect(sessions[0]!.calls.at(-1)!.parents).toHaveLength(130_001);
  });

  test('a truncated file is recognised, named and left out', () => {
    const text = textOf('truncated.json');
    expect(weka.detect(text, 'truncated.json')).toBe(true);
    const { sessions, tally } = importText(weka, text, 'truncated.json');
    expect(sessions).toEqual([]);
    expect(tally.unreadable).toHaveLength(1);
    expect(tally.unreadable[0]).toMatchObject({
      where: 'truncated.json',
      why: expect.stringContaining('cut off'),
    });
  });

  test('of several sessions in one file only the bad one is lost', () => {
    const lines = imported('sessions.jsonl');
    expect(lines.sessions.map(session => session.id)).toEqual(['first', 'first']);
    expect(lines.tally.unreadable[0]!.where).toBe('sessions.jsonl:3');
    const array = imported('array.json');
    expect(array.sessions.map(session => session.id)).toEqual(['first', 'third']);
    expect(array.tally.unreadable[0]).toEqual({
      where: 'array.json, session 2',
      why: 'no readable call in it',
    });
  });

  test('law: whatever a file holds, the importer returns, parents come first and gaps are not negative', () => {
    const number = fc.oneof(fc.nat(2000), fc.double({ min: -5, max: 300, noNaN: true }), fc.constant(null));
    const tokens = fc.oneof(
      { weight: 9, arbitrary: fc.integer({ min: 1, max: 2000 }) },
      { weight: 1, arbitrary: fc.constantFrom<unknown>(0, -1, 1.5, 1e15, '9', null, {}) },
    );
    const call = fc.record(
      {
        type: fc.constantFrom('n', 's'),
        t: fc.double({ min: 0, max: 300, noNaN: true }),
        in: tokens,
        out: tokens,
        hash_ids: fc.array(fc.nat(30), { maxLength: 40 }),
        input_types: fc.subarray(['text', 'tool_result']),
        api_time: number,
        think_time: number,
      },
      { requiredKeys: ['type', 't', 'in', 'out'] },
    );
    const agent = fc.record(
      {
        type: fc.constant('subagent'),
        t: fc.double({ min: 0, max: 300, noNaN: true }),
        agent_id: fc.constantFrom('main', 'a', 'b'),
        duration_ms: fc.nat(100_000),
        status: fc.constantFrom('completed', 'async_launched'),
        requests: fc.array(call, { maxLength: 4 }),
      },
      { requiredKeys: ['type', 'requests'] },
    );
    const rows = fc.array(fc.oneof({ weight: 3, arbitrary: call }, { weight: 2, arbitrary: agent }), {
      maxLength: 10,
    });
    fc.assert(
      fc.property(rows, requests => {
        const { sessions, tally } = importText(weka, JSON.stringify({ id: 'x', requests }), 'x.json');
        for (const session of sessions) {
          const seen = new Set<string>();
          for (const one of session.calls) {
            expect(one.parents.every(parent => seen.has(parent))).toBe(true);
            expect(seen.has(one.id)).toBe(false);
            seen.add(one.id);
            expect(one.gapMs).toBeGreaterThanOrEqual(0);
            expect(one.recorded.startMs).toBeGreaterThanOrEqual(0);
            expect(one.blocks.length).toBeLessThanOrEqual(Math.floor(one.promptTokens / session.blockTokens));
          }
          expect(tally.totals.hitTokens).toBeGreaterThanOrEqual(tally.totals.hitBlocks * session.blockTokens);
          expect(tally.totals.hitTokens).toBeLessThanOrEqual(tally.totals.inputTokens);
        }
      }),
      { numRuns: 300 },
    );
  });
});
