// Formats that say what their calls go on from: Bailian by the chat before, TraceLab by session with times and tools.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { bailian } from '../../scenarios/importers/bailian.ts';
import type { Importer } from '../../scenarios/importers/importer.ts';
import { tracelab } from '../../scenarios/importers/tracelab.ts';
import { importText } from '../builders/traces.ts';

const imported = (importer: Importer, name: string) =>
  importText(importer, readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8'), name);

describe('bailian', () => {
  const { sessions, tally } = imported(bailian, 'bailian/chats.jsonl');
  const chat = sessions.find(session => session.calls.length > 1)!;

  test('a session is what is reached through parent_chat_id; two answers to one chat are parallel', () => {
    expect(sessions.map(session => session.calls.map(call => call.id))).toEqual([
      ['chat/200'],
      ['chat/159', 'chat/160', 'chat/161'],
      ['chat/162'],
    ]);
    expect(chat.calls.map(call => call.parents)).toEqual([[], ['chat/159'], ['chat/159']]);
    expect(tally.provenance.session).toEqual({ recorded: 3, inferred: 0, defaulted: 0 });
  });

  test('timestamps are seconds', () => {
    expect(sessions.map(session => session.arrivalMs)).toEqual([8886, 0, 37_886]);
    expect(chat.calls.map(call => call.gapMs)).toEqual([0, 31_386, 33_886]);
  });

  test('blocks have 16 tokens, and ids are global to the file', () => {
    expect(chat.blockTokens).toBe(16);
    // Rows in order: 0, 0, 2, 2 and 1.
    expect(tally.totals).toMatchObject({ hitBlocks: 5, hitTokens: 80 });
  });

  test('a chat whose parent is not in the file begins a session, counted', () => {
    expect(sessions[2]!.calls[0]!.parents).toEqual([]);
    expect(tally.notes.orphanTurns).toBe(1);
  });

  test('a row that is there twice is left out and named: two calls of one id would be one', () => {
    const row = (chat_id: number, parent_chat_id: number, timestamp: number): string =>
      JSON.stringify({ chat_id, parent_chat_id, timestamp, input_length: 20, output_length: 5 });
    const text = [row(1, -1, 0), row(2, 1, 5), row(2, 1, 5), row(3, 2, 9)].join('\n');
    const twice = importText(bailian, text, 'chats.jsonl');
    expect(twice.sessions[0]!.calls.map(({ id }) => id)).toEqual(['chat/1', 'chat/2', 'chat/3']);
    expect(twice.tally.unreadable).toEqual([
      { where: 'chats.jsonl:3', why: 'the call chat/2 is there twice' },
    ]);
  });
});

describe('tracelab', () => {
  const { sessions, tally } = imported(tracelab, 'tracelab/rounds.jsonl');
  const [claude, codex] = ['claude:late', 'codex:early'].map(id => sessions.find(each => each.id === id)!);

  test('input tokens are the total, which includes what the cache had; the raw uncached count does not', () => {
    expect(claude!.calls.map(call => call.promptTokens)).toEqual([1000, 1300]);
    expect(claude!.calls.map(call => call.recorded.cachedTokens)).toEqual([640, 960]);
  });

  test('the split of a prompt makes its blocks: the prefix is that of the round before, the rest is new', () => {
    const [first, second] = claude!.calls.map(call => call.blocks);
    expect([first!.length, second!.length]).toEqual([15, 20]);
    expect(second!.slice(0, 15)).toEqual(first);
    expect(codex!.calls[1]!.blocks.slice(0, 2)).toEqual(codex!.calls[0]!.blocks.slice(0, 2));
    expect(codex!.calls[0]!.blocks).not.toContain(codex!.calls[1]!.blocks[2]);
    expect(claude!.calls[0]!.blocks).not.toContain(codex!.calls[0]!.blocks[0]);
    expect(tally.totals.hitBlocks).toBe(15 + 2);
    expect(tally.provenance.blocks).toEqual({ recorded: 0, inferred: 4, defaulted: 0 });
  });

  test('a call starts when its last tool result is there, and ends with the last thing it says', () => {
    // 05:40:44.25 less 05:40:20; usage reports come later and end nothing.
    expect(claude!.calls[1]!.recorded).toMatchObject({ startMs: 24_250, e2eMs: 6000 });
    expect(codex!.calls[0]!.recorded.e2eMs).toBe(2000);
  });

  test('a round of more events than a function takes arguments is read', () => {
    const event = { event_type: 'text', timestamp: '2026-01-01T00:00:00Z' };
    const round = {
      session_id: 's',
      input_tokens_total: 9,
      prefix_tokens: 0,
      output_tokens: 1,
      timing_events: [event, ...Array.from({ length: 150_000 }, () => event)],
    };
    expect(importText(tracelab, JSON.stringify(round), 'x.jsonl').sessions).toHaveLength(1);
  });

  test('the first prompt of a session is the human’s where the row says so', () => {
    expect(claude!.calls[0]).toMatchObject({ gapKind: 'human', gapMs: 0, tool: null });
  });

  test('the gap is named by the tool that took longest, or by the human', () => {
    expect(claude!.calls[1]).toMatchObject({
      gapMs: 19_250,
      gapKind: 'tool',
      tool: 'WebSearch',
      gapProvenance: 'recorded',
    });
    expect(codex!.calls[1]).toMatchObject({ gapMs: 3_600_000, gapKind: 'human', tool: null });
  });

  test('reasoning is part of the output, and absent where it is not recorded', () => {
    expect(codex!.calls[0]).toMatchObject({ outputTokens: 90, reasoningTokens: 30, model: 'gpt-5.4' });
    expect(claude!.calls[0]!.reasoningTokens).toBe(0);
    expect(tally.provenance.reasoning).toEqual({ recorded: 2, inferred: 0, defaulted: 2 });
  });

  test('rows are grouped by session, not by time: the trace starts with the earliest of all', () => {
    const text = readFileSync(new URL('../fixtures/tracelab/rounds.jsonl', import.meta.url), 'utf8');
    const lines = text.split('\n').map((line, index) => ({ text: line, number: index + 1 }));
    const epochMs = tracelab.epochMs!({
      file: 'f',
      name: 'f',
      head: '',
      lines: () => lines,
      whole: () => text,
    });
    expect(epochMs).toBe(Date.UTC(2026, 5, 1, 5, 39, 20));
  });
});
