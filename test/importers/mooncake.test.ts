// The traps of the Mooncake format and of aiperf's extension of it (workloads.md §4.3), with invented numbers.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keyText } from '../../scenarios/base/key.ts';
import type { RecordedSession } from '../../scenarios/formats/recorded.ts';
import type { ImportOptions } from '../../scenarios/importers/importer.ts';
import { mooncake } from '../../scenarios/importers/mooncake.ts';
import { contentOf } from '../../scenarios/workflows/recorded-content.ts';
import { importText } from '../builders/traces.ts';

const fixture = (name: string): string =>
  readFileSync(new URL(`../fixtures/mooncake/${name}`, import.meta.url), 'utf8');
const imported = (name: string, options: Partial<ImportOptions> = {}) =>
  importText(mooncake, fixture(name), name, options);

interface Row {
  timestamp?: number;
  delay?: number;
  session_id?: string;
  input_length: number;
  output_length?: number;
  hash_ids?: number[];
  context_mode?: string;
}
const importRows = (rows: readonly Row[], options: Partial<ImportOptions> = {}) =>
  importText(mooncake, rows.map(row => JSON.stringify(row)).join('\n'), 'rows.jsonl', options);

const promptsOf = (sessions: readonly RecordedSession[]): number[][] =>
  sessions.map(({ calls }) => calls.map(call => call.promptTokens));

describe('a trace without sessions', () => {
  const { sessions, tally } = imported('two-chats.jsonl');
  const chat = sessions.find(session => session.calls.length > 1)!;

  test('finds the next turn as the prompt that begins with all full blocks of an earlier one', () => {
    expect(promptsOf(sessions)).toEqual([[700], [800], [1200, 2100, 2600]]);
    expect(chat.id).toBe('two-chats:1');
    expect(tally.provenance.session).toEqual({ recorded: 0, inferred: 3, defaulted: 0 });
  });

  test('takes the difference of two timestamps as the gap, inferred', () => {
    expect(chat.calls.map(call => [call.gapMs, call.recorded.startMs])).toEqual([
      [0, 0],
      [9000, 9000],
      [21_000, 30_000],
    ]);
    expect(chat.calls[1]).toMatchObject({ parents: ['main/0'], gapProvenance: 'inferred', model: 'unknown' });
    expect(tally.provenance.gap).toEqual({ recorded: 0, inferred: 2, defaulted: 0 });
  });

  test('counts the hits of one infinite cache in file order, in blocks and in tokens', () => {
    // By row: 0, 1, 2, 1 and 4 leading blocks.
    expect(tally.totals).toMatchObject({ sessions: 3, calls: 5, inputTokens: 7400, outputTokens: 460 });
    expect(tally.totals).toMatchObject({ hitBlocks: 8, hitTokens: 8 * 512 });
  });

  test('calls that merely share a system prompt are not turns of each other', () => {
    const shared = (timestamp: number, input_length: number, own: number): Row => ({
      timestamp,
      input_length,
      output_length: 10,
      hash_ids: [0, 1, own, own + 1].slice(0, Math.ceil(input_length / 512)),
    });
    const lengths = (rows: readonly Row[]) => importRows(rows).sessions.map(({ calls }) => calls.length);
    expect(lengths([10, 20, 30, 40].map(own => shared(own * 1000, 1700, own)))).toEqual([1, 1, 1, 1]);
    expect(lengths([10, 20, 30, 40].map(own => shared(own * 1000, 1100, own)))).toEqual([1, 1, 1, 1]);
    // The first of these is nothing but the system prompt; one of the others may be taken for its next turn, not more.
    const bare = [shared(0, 1100, 10), ...[20, 30, 40].map(own => shared(own * 1000, 1700, own))];
    expect(lengths(bare).toSorted()).toEqual([1, 1, 2]);
  });

  test('a turn of less than a block is one where it has room for the answer before it, else another call', () => {
    const row = (timestamp: number, input_length: number, last: number): Row => ({
      timestamp,
      input_length,
      output_length: 100,
      hash_ids: [0, 1, last],
    });
    expect(promptsOf(importRows([row(0, 1100, 2), row(9000, 1250, 3)]).sessions)).toEqual([[1100, 1250]]);
    expect(promptsOf(importRows([row(0, 1100, 2), row(9000, 1150, 3)]).sessions)).toEqual([[1100], [1150]]);
  });

  test('two prompts of one instant are never turns of each other', () => {
    const rows: Row[] = [
      { timestamp: 3000, input_length: 600, output_length: 1, hash_ids: [0, 1] },
      { timestamp: 3000, input_length: 1600, output_length: 1, hash_ids: [0, 2, 3, 4] },
    ];
    expect(importRows(rows).sessions).toHaveLength(2);
  });

  test('a chain that is idle for more than 30 minutes is complete, and yielded at once', () => {
    const at = (timestamp: number): Row[] => [
      { timestamp: 0, input_length: 600, output_length: 1, hash_ids: [0, 1] },
      { timestamp, input_length: 1600, output_length: 1, hash_ids: [0, 2, 3, 4] },
    ];
    expect(importRows(at(1_800_000)).sessions).toHaveLength(1);
    expect(importRows(at(1_800_001)).sessions).toHaveLength(2);
  });

  test('prompts without ids share nothing: calls of their own, counted', () => {
    const { sessions, tally } = importRows([
      { timestamp: 0, input_length: 600, output_length: 1 },
      { timestamp: 10, input_length: 900, output_length: 1, hash_ids: [] },
    ]);
    expect(sessions.map(({ calls }) => calls[0]!.blocks)).toEqual([[], []]);
    expect(tally.notes.uniquePrompts).toBe(2);
    expect(tally.provenance.blocks).toEqual({ recorded: 0, inferred: 0, defaulted: 2 });
  });
});

describe('arrivals', () => {
  const grid = (step: number): Row[] =>
    Array.from({ length: 60 }, (_, row) => ({
      // The real traces are off by a millisecond now and then.
      timestamp: 7000 + Math.floor(row / 5) * step + (row % 10 < 5 ? 0 : -1),
      input_length: 100,
      output_length: 1,
      hash_ids: [row],
    }));

  test('count from the first row', () => {
    const { sessions } = importRows(grid(3000));
    expect(sessions[0]!.arrivalMs).toBe(0);
    expect(sessions[59]!.arrivalMs).toBe(32_999);
  });

  test('timestamps quantised to 3 s are reported with their step', () => {
    const { tally } = importRows(grid(3000));
    expect(tally.quantumMs).toBe(3000);
    expect(tally.notes.quantisedArrivals).toBe(60);
  });

  test('timestamps of a millisecond clock, or one row to each, are no grid', () => {
    const spread = grid(3000).map((row, index) => ({
      ...row,
      timestamp: index * 37 + ((index * index) % 19),
    }));
    expect(importRows(spread).tally.quantumMs).toBeNull();
    const sparse = grid(3000).map((row, index) => ({ ...row, timestamp: index * 3000 }));
    expect(importRows(sparse).tally.quantumMs).toBeNull();
  });

  test('jitterQuantum spreads them inside the step, the same on every reading', () => {
    const { sessions, tally } = importRows(grid(3000), { jitterQuantum: true });
    const plain = importRows(grid(3000)).sessions;
    const spreadMs = sessions.map((session, row) => session.arrivalMs! - plain[row]!.arrivalMs!);
    expect(spreadMs.every(ms => ms > 0 && ms < 3000)).toBe(true);
    expect(new Set(spreadMs).size).toBe(60);
    // The mean of 60 uniform draws is within three deviations of the middle.
    const mean = spreadMs.reduce((sum, ms) => sum + ms, 0) / 60;
    expect(Math.abs(mean - 1500)).toBeLessThan((3 * 3000) / Math.sqrt(12 * 60));
    expect(importRows(grid(3000), { jitterQuantum: true }).sessions).toEqual(sessions);
    expect(tally.provenance.arrival).toEqual({ recorded: 0, inferred: 60, defaulted: 0 });
  });

  test('a session that starts before the first row arrives with it', () => {
    const rows = [50, 20].map((timestamp, id) => ({ timestamp, input_length: 9, hash_ids: [id] }));
    const { sessions, tally } = importRows(rows);
    expect(sessions.map(session => session.arrivalMs)).toEqual([0, 0]);
    expect(tally.notes.earlyRows).toBe(1);
  });
});

describe('sessions of aiperf', () => {
  const { sessions, tally } = imported('aiperf-sessions.jsonl');
  const [a, b] = [sessions.find(({ id }) => id === 'a')!, sessions.find(({ id }) => id === 'b')!];

  test('are linked by session_id, whatever lies between their rows', () => {
    expect(a.calls.map(call => call.promptTokens)).toEqual([1300, 1900]);
    expect(b.calls.map(call => call.promptTokens)).toEqual([600, 900]);
    expect(tally.provenance.session).toEqual({ recorded: 2, inferred: 0, defaulted: 0 });
    expect([a.arrivalMs, b.arrivalMs]).toEqual([0, 500]);
  });

  test('delay is a recorded gap, a timestamp an inferred one', () => {
    expect(a.calls[1]).toMatchObject({ gapMs: 1800, gapProvenance: 'recorded', parents: ['main/0'] });
    expect(b.calls[1]).toMatchObject({ gapMs: 7000, gapProvenance: 'inferred' });
    expect(tally.provenance.gap).toEqual({ recorded: 1, inferred: 1, defaulted: 0 });
  });

  test('an output of 0 or none is one token, defaulted and counted', () => {
    expect(b.calls[1]!.outputTokens).toBe(1);
    expect(importRows([{ input_length: 10 }]).sessions[0]!.calls[0]!.outputTokens).toBe(1);
    expect(tally.notes.unknownOutputs).toBe(1);
    expect(tally.provenance.output).toEqual({ recorded: 3, inferred: 0, defaulted: 1 });
  });

  test('empty or absent hash_ids in a session fall back to the append model, with ids that the file has not', () => {
    const row = (input_length: number, hash_ids?: number[]): Row => ({
      session_id: 's',
      input_length,
      output_length: 10,
      ...(hash_ids === undefined ? {} : { hash_ids }),
    });
    const { sessions, tally } = importRows([row(1100), row(1700, []), row(600), row(1100, [0, 1])]);
    const blocks = sessions[0]!.calls.map(call => call.blocks);
    expect(blocks.map(list => list.length)).toEqual([2, 3, 1, 2]);
    expect(blocks[1]!.slice(0, 2)).toEqual(blocks[0]);
    // Much shorter than before: a new context, which shares nothing.
    expect(blocks[0]).not.toContain(blocks[2]![0]);
    expect(
      blocks
        .slice(0, 3)
        .flat()
        .every(id => Number.isSafeInteger(id) && id > 2 ** 50),
    ).toBe(true);
    expect(tally.notes).toMatchObject({ mintedBlocks: 3, contextEpochs: 1 });
    expect(tally.totals.hitBlocks).toBe(2);
  });

  test('input_length is the whole prompt, unless context_mode says that it is what is new', () => {
    const turns = (context_mode?: string): Row[] =>
      [600, 200].map(input_length => ({
        session_id: 's',
        input_length,
        output_length: 50,
        ...(context_mode === undefined ? {} : { context_mode }),
      }));
    const prompts = (mode?: string) => promptsOf(importRows(turns(mode)).sessions);
    expect(prompts()).toEqual([[600, 200]]);
    expect(prompts('message_array_with_responses')).toEqual([[600, 200]]);
    expect(prompts('deltas_with_responses')).toEqual([[600, 800]]);
    expect(prompts('deltas_without_responses')).toEqual([[600, 850]]);
  });

  test('ids of what is new do not name the whole prompt: they are not counted as recorded', () => {
    const turn = { session_id: 's', input_length: 512, output_length: 5, hash_ids: [1] };
    const turns = [turn, { ...turn, hash_ids: [2], context_mode: 'deltas_without_responses' }];
    const { tally } = importRows(turns);
    expect(tally.provenance.blocks).toEqual({ recorded: 1, inferred: 0, defaulted: 1 });
    expect(tally.notes.mintedBlocks).toBe(1);
  });

  test('a call that starts before the one above it starts with it, counted', () => {
    const turns = [1000, 400, 2000].map(timestamp => ({ session_id: 's', timestamp, input_length: 9 }));
    const { sessions, tally } = importRows(turns);
    expect(sessions[0]!.calls.map(call => call.recorded.startMs)).toEqual([0, 0, 1000]);
    expect(tally.notes.earlyCalls).toBe(1);
  });

  test('what is new in each turn adds up to no more than a call can have', () => {
    const turns = Array.from({ length: 3 }, () => ({
      session_id: 's',
      input_length: 7_000_000,
      output_length: 1,
      context_mode: 'deltas_with_responses',
    }));
    const { sessions, tally } = importRows(turns);
    expect(promptsOf(sessions)).toEqual([[7_000_000, 14_000_000]]);
    expect(tally.unreadable[0]).toMatchObject({
      where: 'rows.jsonl:3',
      why: expect.stringMatching(/prompt has 21000000/),
    });
  });

  test('law: however the rows of sessions interleave, the sessions are the same', () => {
    const rows = fc.array(
      fc.record({ session: fc.constantFrom('a', 'b', 'c'), input: fc.integer({ min: 1, max: 4000 }) }),
      { minLength: 1, maxLength: 20 },
    );
    fc.assert(
      fc.property(rows, drawn => {
        const lines = drawn.map(({ session, input }, row) => ({
          session_id: session,
          timestamp: row * 10,
          input_length: input,
          output_length: 3,
          hash_ids: Array.from({ length: Math.ceil(input / 512) }, (_, block) => block),
        }));
        const calls = (of: readonly Row[]) =>
          new Map(importRows(of).sessions.map(session => [session.id, session.calls]));
        const grouped = ['a', 'b', 'c'].flatMap(id => lines.filter(row => row.session_id === id));
        expect(calls(grouped)).toEqual(calls(lines));
      }),
    );
  });
});

describe('blocks', () => {
  test('ids are global to their file and to no other: the same row in two files shares nothing', () => {
    const row = JSON.stringify({ timestamp: 0, input_length: 1024, output_length: 1, hash_ids: [0, 1] });
    const keys = ['one.jsonl', 'two.jsonl'].map(file => {
      const [session] = importText(mooncake, row, file).sessions;
      return contentOf(session!)
        .get('main/0')!
        .prompt.map(run => keyText(run.key));
    });
    expect(new Set(keys.flat()).size).toBe(4);
  });

  test('ids are shared between the sessions of a file', () => {
    const { sessions } = imported('two-chats.jsonl');
    const first = sessions.map(session => keyText(contentOf(session).get('main/0')!.prompt[0]!.key));
    expect(new Set(first).size).toBe(1);
  });

  test('the last block is partial: its tokens are those that the prompt has left', () => {
    const { sessions } = imported('two-chats.jsonl');
    const { prompt } = contentOf(sessions[0]!).get('main/0')!;
    expect(prompt.map(run => run.tokens)).toEqual([512, 188]);
  });

  test('another block size is inferred from the rows, or given', () => {
    const rows: Row[] = [
      { input_length: 100, output_length: 1, hash_ids: [0, 1] },
      { input_length: 200, output_length: 1, hash_ids: [0, 1, 2, 3] },
    ];
    expect(importRows(rows).sessions[0]!.blockTokens).toBe(64);
    const given = importRows(rows, { blockTokens: 128 });
    expect(given.sessions[0]!.blockTokens).toBe(128);
    // Two blocks of 128 would do for the 200.
    expect(given.sessions[1]!.calls[0]!.blocks).toEqual([0, 1]);
    expect(given.tally.notes.misfitBlocks).toBe(2);
    expect(given.tally.provenance.blockTokens).toEqual({ recorded: 0, inferred: 0, defaulted: 2 });
  });

  test('a prompt with fewer ids than blocks keeps a rest of its own', () => {
    const { sessions, tally } = importRows([{ input_length: 5000, output_length: 1, hash_ids: [0, 1] }], {
      blockTokens: 512,
    });
    expect(tally.notes.misfitBlocks).toBe(1);
    expect(
      contentOf(sessions[0]!)
        .get('main/0')!
        .prompt.map(run => run.tokens),
    ).toEqual([512, 512, 3976]);
  });

  test('ids that are 64-bit hashes tell blocks apart as well', () => {
    const hashes = ['11400714819323198485', '7046029254386353131', '13787848793156543929'];
    const line = (ids: readonly string[]): string =>
      `{"timestamp": 0, "input_length": ${ids.length * 512}, "output_length": 1, "hash_ids": [${ids.join(', ')}]}`;
    const text = [line(hashes), line(hashes.slice(0, 2)), line(hashes.slice(1))].join('\n');
    expect(importText(mooncake, text, 'hashes.jsonl').tally.totals.hitBlocks).toBe(4);
  });
});

describe('unreadable rows', () => {
  test('are named with file, line and reason, and the rest is kept', () => {
    const { sessions, tally } = imported('bad-rows.jsonl');
    expect(sessions).toHaveLength(1);
    expect(tally.unreadable.map(({ where, why }) => `${where}: ${why.replace(/ in JSON at.*/, '')}`)).toEqual(
      [
        'bad-rows.jsonl:2: text_input: prompts as text are not read, only input_length',
        'bad-rows.jsonl:3: messages: prompts as text are not read, only input_length',
        'bad-rows.jsonl:4: timestamp and delay are both given, expected one of them',
        'bad-rows.jsonl:5: input_length is 0, expected a whole number of tokens from 1 on',
        'bad-rows.jsonl:6: hash_ids[1] is "x", not a block id',
        'bad-rows.jsonl:7: not valid JSON, perhaps cut off: Unterminated string',
        'bad-rows.jsonl:8: is [7], not an object',
        'bad-rows.jsonl:9: input_length is 99999999, more than 16777216 tokens',
      ],
    );
  });

  test('law: whatever rows a file holds, parents come first, gaps are not negative and totals are those of the sessions', () => {
    const odd = fc.constantFrom<unknown>(null, -1, 'x', 1e300, []);
    const row = fc.record(
      {
        timestamp: fc.oneof({ weight: 9, arbitrary: fc.nat(4_000_000) }, { weight: 1, arbitrary: odd }),
        delay: fc.nat(5000),
        session_id: fc.constantFrom<unknown>('a', 'b', 7, null),
        input_length: fc.oneof(
          { weight: 9, arbitrary: fc.integer({ min: 1, max: 3000 }) },
          { weight: 1, arbitrary: odd },
        ),
        output_length: fc.oneof({ weight: 9, arbitrary: fc.nat(50) }, { weight: 1, arbitrary: odd }),
        hash_ids: fc.array(fc.nat(6), { maxLength: 7 }),
      },
      { requiredKeys: ['input_length'] },
    );
    fc.assert(
      fc.property(fc.array(row, { maxLength: 25 }), rows => {
        const text = rows.map(each => JSON.stringify(each)).join('\n');
        const { sessions, tally } = importText(mooncake, text, 'any.jsonl');
        const calls = sessions.flatMap(session => session.calls);
        for (const session of sessions) {
          const seen = new Set<string>();
          let startMs = 0;
          for (const call of session.calls) {
            expect(call.parents.every(parent => seen.has(parent))).toBe(true);
            seen.add(call.id);
            expect(call.gapMs).toBeGreaterThanOrEqual(0);
            expect(call.recorded.startMs).toBeGreaterThanOrEqual(startMs);
            startMs = call.recorded.startMs;
            expect(call.blocks.length).toBeLessThanOrEqual(
              Math.ceil(call.promptTokens / session.blockTokens),
            );
          }
          expect(seen.size).toBe(session.calls.length);
        }
        expect(calls.length + tally.unreadable.length).toBe(rows.length);
        const sum = (of: (call: (typeof calls)[number]) => number) =>
          calls.reduce((s, call) => s + of(call), 0);
        expect(tally.totals).toMatchObject({
          sessions: sessions.length,
          calls: calls.length,
          inputTokens: sum(call => call.promptTokens),
          outputTokens: sum(call => call.outputTokens),
        });
        expect(tally.totals.hitTokens).toBeLessThanOrEqual(tally.totals.inputTokens);
        for (const counts of ['output', 'blocks', 'model'])
          expect(Object.values(tally.provenance[counts] ?? {}).reduce((s, count) => s + count, 0)).toBe(
            calls.length,
          );
      }),
      { numRuns: 300 },
    );
  });
});
