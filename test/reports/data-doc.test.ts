// docs/data.md is true: its runs are made, its queries run on them by DuckDB and pandas, and they print what it shows.
// After a change of numbers, UPDATE_DOCS=1 writes what they print now.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ROOT, windtunnel } from '../cli/run.ts';
import { hasReaders, read } from './readers.ts';

const PAGE = join(ROOT, 'docs', 'data.md');
const text = readFileSync(PAGE, 'utf8');

interface Query {
  language: string;
  text: string;
  /** null: nothing is shown below it. */
  shown: string | null;
  end: number;
}

const queries = [
  ...text.matchAll(/^```(sql|python)\n([\s\S]*?)^```\n(?:\n```text\n([\s\S]*?)^```\n)?/gm),
].map((match): Query => {
  const [whole, language, query, shown] = match;
  return { language: language!, text: query!, shown: shown ?? null, end: match.index + whole.length };
});

test('there are ten queries in SQL, and two in pandas', () => {
  expect(queries.map(({ language }) => language)).toEqual([
    ...Array.from({ length: 10 }, () => 'sql'),
    'python',
    'python',
  ]);
});

describe.skipIf(!hasReaders)('the page of data', () => {
  const folder = mkdtempSync(join(tmpdir(), 'windtunnel-data-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('its queries print what it shows', () => {
    for (const [, line] of text.matchAll(/^windtunnel (.+)$/gm)) {
      const { code, err } = windtunnel(line!.split(' '), folder);
      expect([0, 99], `windtunnel ${line}: ${err}`).toContain(code);
    }
    const printed = read<string[]>('query', { cwd: folder, input: JSON.stringify(queries) });
    if (process.env.UPDATE_DOCS === '1') {
      const parts = queries.map(({ text: query, language }, i) => {
        const from = i === 0 ? 0 : queries[i - 1]!.end;
        const start = text.indexOf(`\`\`\`${language}\n${query}`, from);
        return `${text.slice(from, start)}\`\`\`${language}\n${query}\`\`\`\n\n\`\`\`text\n${printed[i]}\`\`\`\n`;
      });
      writeFileSync(PAGE, parts.join('') + text.slice(queries.at(-1)!.end));
      return;
    }
    for (const [i, { shown, text: query }] of queries.entries()) expect(shown, query).toBe(printed[i]);
  });
});
