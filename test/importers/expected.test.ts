// The counts of the shared samples, made independently of us (EXPECTED.tsv beside them): every row that is a trace, every
// figure that is given, exactly.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { readTrace } from '../../scenarios/importers/read.ts';

const samples = fileURLToPath(new URL('../../../shared/data/traces/', import.meta.url));
const isThere = existsSync(`${samples}EXPECTED.tsv`);
/** A table of calls that was derived from traces, without what a session is made of. */
const NO_TRACE = 'weka-claude-code/calls.csv';

interface Expected {
  path: string;
  calls: string;
  sessions: string;
  input_tokens: string;
  output_tokens: string;
  hit_blocks: string;
}

function expectedRows(): Expected[] {
  if (!isThere) return [];
  const lines = readFileSync(`${samples}EXPECTED.tsv`, 'utf8').split('\n');
  const [header = '', ...rows] = lines.filter(line => line !== '' && !line.startsWith('#'));
  const names = header.split('\t');
  return rows.map(row => {
    const cells = row.split('\t');
    return Object.fromEntries(
      names.map((name, column) => [name, cells[column] ?? '']),
    ) as unknown as Expected;
  });
}

describe.skipIf(!isThere)('the shared samples (skipped where ../shared is absent)', () => {
  for (const { path, calls, sessions, input_tokens, output_tokens, hit_blocks } of expectedRows()) {
    // 17 sessions/0 subagents
    const [sessionCount, subagents] = sessions.split('/').map(part => Number.parseInt(part, 10));
    const figures = {
      calls: Number(calls),
      inputTokens: Number(input_tokens),
      outputTokens: Number(output_tokens),
      ...(sessions === '' ? {} : { sessions: sessionCount }),
      ...(hit_blocks === '' ? {} : { hitBlocks: Number(hit_blocks) }),
    };
    test.skipIf(path === NO_TRACE)(`${path}: ${Object.keys(figures).join(', ')} as counted`, () => {
      const { report } = readTrace([samples + path], { strict: true });
      expect(report.totals).toMatchObject(figures);
      if (subagents !== undefined) expect(report.subagents).toBe(subagents);
    });
  }

  test('the list has the ten rows that these tests were made for', () => {
    expect(expectedRows()).toHaveLength(10);
    expect(expectedRows().filter(row => row.hit_blocks !== '' && row.path !== NO_TRACE)).toHaveLength(7);
  });
});
