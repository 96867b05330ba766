// LMCache agent traces without text: sessions with clocks of their own, blocks of a size that is not said, and turns whose
// output was not kept.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { lmcache } from '../../scenarios/importers/lmcache.ts';
import { importText } from '../builders/traces.ts';

const text = readFileSync(new URL('../fixtures/lmcache/interleaved.jsonl', import.meta.url), 'utf8');

describe('lmcache', () => {
  const { sessions, tally } = importText(lmcache, text, 'interleaved.jsonl');
  const [swe, tau] = [sessions.find(({ id }) => id === 'swe')!, sessions.find(({ id }) => id === 'tau')!];

  test('rows of sessions may interleave; each session has a clock of its own, so that nothing is known of arrivals', () => {
    expect(swe.calls.map(call => [call.recorded.startMs, call.gapMs])).toEqual([
      [0, 0],
      [2300.5, 2300.5],
    ]);
    expect(tau.calls.map(call => call.gapMs)).toEqual([0, 900]);
    expect(sessions.map(session => session.arrivalMs)).toEqual([null, null]);
    expect(tally.provenance.arrival).toEqual({ recorded: 0, inferred: 0, defaulted: 2 });
  });

  test('a first timestamp other than 0 is the start of its session', () => {
    const rows = [7000, 7500].map(timestamp =>
      JSON.stringify({
        session_id: 's',
        turn: 0,
        timestamp,
        input_length: 9,
        output_length: 1,
        hash_ids: [],
      }),
    );
    const { sessions } = importText(lmcache, rows.join('\n'), 's.jsonl');
    expect(sessions[0]!.calls.map(call => call.recorded.startMs)).toEqual([0, 500]);
  });

  test('the block size is that which most rows fit, whether or not they name a partial last block', () => {
    expect(swe.blockTokens).toBe(64);
    expect(tally.provenance.blockTokens).toEqual({ recorded: 0, inferred: 2, defaulted: 0 });
    for (const [size, round] of [
      [16, Math.ceil],
      [32, Math.floor],
      [128, Math.ceil],
      [256, Math.floor],
    ] as const) {
      const rows = [700, 1130, 2047].map((input_length, turn) => {
        const hash_ids = Array.from({ length: round(input_length / size) }, (_, id) => id);
        return JSON.stringify({
          session_id: 's',
          turn,
          timestamp: turn,
          input_length,
          output_length: 1,
          hash_ids,
        });
      });
      expect(importText(lmcache, rows.join('\n'), 's.jsonl').sessions[0]!.blockTokens).toBe(size);
    }
  });

  test('of a row that does not fit, ids beyond its prompt are dropped and the row is counted', () => {
    // 130 tokens hold three blocks, the row names five.
    expect(tau.calls[1]!.blocks).toEqual([0, 7, 8]);
    expect(tally.notes.misfitBlocks).toBe(1);
  });

  test('an output that was not recorded is one token, defaulted and counted', () => {
    expect(tau.calls[0]!.outputTokens).toBe(1);
    expect(tally.notes.unknownOutputs).toBe(1);
    expect(tally.provenance.output).toEqual({ recorded: 3, inferred: 0, defaulted: 1 });
  });

  test('hits are those of one cache over the file: ids are global to it', () => {
    // swe/1 begins with three known blocks, tau/1 with one.
    expect(tally.totals).toMatchObject({ hitBlocks: 4, hitTokens: 4 * 64 });
    expect(swe.blockScope).toBe('lmcache/file:interleaved');
    expect(tau.blockScope).toBe(swe.blockScope);
  });
});
