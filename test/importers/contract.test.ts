// What every importer owes, run over the index: its fixtures are recognised as its own, and make sound sessions whose
// figures are those of the tally.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { detectImporter, importers } from '../../scenarios/importers/index.ts';
import { readTrace } from '../../scenarios/importers/read.ts';
import { contentOf } from '../../scenarios/workflows/recorded-content.ts';
import { traceText } from '../builders/traces.ts';

const fixtures = fileURLToPath(new URL('../fixtures/', import.meta.url));

describe.each(importers.map(importer => [importer.name, importer] as const))('%s', (name, importer) => {
  const folder = `${fixtures}${name}`;

  test('has fixtures, and says what it reads', () => {
    expect(existsSync(folder)).toBe(true);
    expect(importer.doc).toMatch(/\.$/);
  });

  test('recognises its fixtures, which no importer before it takes for its own', () => {
    for (const file of readdirSync(folder)) {
      const { head } = traceText(readFileSync(`${folder}/${file}`, 'utf8'), file);
      expect([file, detectImporter(head, file)?.name]).toEqual([file, name]);
    }
  });

  test('takes no plan, scenario or table of something else for a trace', () => {
    const others = [
      '',
      '{}',
      '[]',
      '{"windtunnelPlan":1,"name":"x","scenario":{}}\n',
      '{"name":"windtunnel","version":"1"}\n',
      'a,b,c\n1,2,3\n',
      'windtunnel: 1\n',
      '\u0000\u0001\u0002',
    ];
    for (const other of others) expect(importer.detect(other, 'other')).toBe(false);
  });

  const { sessions, report } = readTrace([folder]);

  test('its sessions have an order that can be run, content for every call, and nothing that JSON would lose', () => {
    expect(new Set(sessions.map(session => session.id)).size).toBe(sessions.length);
    for (const session of sessions) {
      expect(JSON.parse(JSON.stringify(session))).toEqual(session);
      expect(session.arrivalMs ?? 0).toBeGreaterThanOrEqual(0);
      const seen = new Set<string>();
      for (const call of session.calls) {
        expect(call.parents.every(parent => seen.has(parent))).toBe(true);
        seen.add(call.id);
        expect(call.gapMs).toBeGreaterThanOrEqual(0);
        expect(call.outputTokens).toBeGreaterThanOrEqual(1);
        expect(call.reasoningTokens).toBeLessThanOrEqual(call.outputTokens);
      }
      expect(seen.size).toBe(session.calls.length);
      expect(contentOf(session).size).toBe(session.calls.length);
    }
  });

  test('the tally has the sums of its sessions, and says of each field how it is known', () => {
    const calls = sessions.flatMap(session => session.calls);
    expect(report.totals).toMatchObject({
      sessions: sessions.length,
      calls: calls.length,
      inputTokens: calls.reduce((sum, call) => sum + call.promptTokens, 0),
      outputTokens: calls.reduce((sum, call) => sum + call.outputTokens, 0),
    });
    expect(report.totals.hitTokens).toBeLessThanOrEqual(report.totals.inputTokens);
    const counted = (field: string): number =>
      Object.values(report.provenance[field] ?? {}).reduce((sum, count) => sum + count, 0);
    for (const field of ['arrival', 'blockTokens'])
      expect([field, counted(field)]).toEqual([field, sessions.length]);
    for (const field of ['model', 'blocks']) expect([field, counted(field)]).toEqual([field, calls.length]);
  });

  test('reads the same twice', () => {
    expect(readTrace([folder])).toEqual({ sessions, report });
  });
});

test('a head that ends inside the first row is enough to recognise rows of JSON', () => {
  const rows = {
    mooncake: '{"timestamp": 0, "input_length": 9, "output_length": 1, "hash_ids": [1, 2',
    bailian: '{"chat_id": 1, "parent_chat_id": -1, "timestamp": 0, "input_length": 9, "hash_ids": [1, 2',
    lmcache: '{"session_id": "a", "turn": 0, "timestamp": 0, "input_length": 9, "hash_ids": [1, 2',
  };
  for (const [name, head] of Object.entries(rows))
    expect(detectImporter(traceText(head, 'x.jsonl').head, 'x.jsonl')?.name).toBe(name);
});
