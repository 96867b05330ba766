// Other people's readers take what we write: DuckDB and pandas the tables, protobuf the spans.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publish } from '../../reports/publish.ts';
import { writeCsv } from '../../reports/table-files.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { aGovernedRun } from '../builders/governed.ts';
import { aRun } from '../builders/records.ts';
import { hasReaders, read } from './readers.ts';

/** By column. */
type Figures = Record<string, number | null>;
interface Tables {
  tables: Record<
    string,
    {
      types: Record<string, string>;
      rows: Record<'duckdb' | 'pandas', number>;
      nulls: Record<'duckdb' | 'pandas', Figures>;
      sums: Record<'duckdb' | 'pandas', Figures>;
    }
  >;
  csv: Record<string, number>;
}

const HOSTILE = 'he said "1,5"\r\n=cmd|\' /C calc\'!A0, naïve 漢字 </script>';

describe.skipIf(!hasReaders)('the files of a run, as others read them', () => {
  let folder: string;
  let output: RunOutput;
  let tables: Tables;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'windtunnel-readers-'));
    output = aGovernedRun({ workflows: 40 });
    output.calls[0]!.error = HOSTILE;
    output.calls[1]!.cachedTokens = null;
    output.calls[1]!.misses = [{ reason: 'changed', tokens: 12, segment: 'tools', detail: HOSTILE }];
    await publish(output, { out: join(folder, 'run') });
    await writeCsv(join(folder, 'run'));
    await publish(aRun({ calls: [], nodes: [], workflows: [], timeline: [] }), {
      out: join(folder, 'empty'),
    });
    tables = read<Tables>('tables', { args: [join(folder, 'run')] });
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('DuckDB and pandas see the same rows, nulls and sums, and those of the records', () => {
    expect(Object.keys(tables.tables)).toEqual([
      'attempts',
      'calls',
      'nodes',
      'timeline',
      'tools',
      'workflows',
    ]);
    for (const { rows, nulls, sums } of Object.values(tables.tables)) {
      expect(rows.pandas).toBe(rows.duckdb);
      expect(nulls.pandas).toEqual(nulls.duckdb);
      for (const [name, sum] of Object.entries(sums.duckdb))
        if (sum === null) expect(sums.pandas[name]).toBeNull();
        else expect(sums.pandas[name]! / (sum || 1)).toBeCloseTo(sum === 0 ? 0 : 1, 9);
    }
    const { calls } = tables.tables;
    const nullsOf = (name: 'cachedTokens' | 'firstTokenMs' | 'error' | 'role' | 'tenant'): number =>
      output.calls.filter(call => call[name] === null).length;
    for (const name of ['cachedTokens', 'firstTokenMs', 'error', 'role', 'tenant'] as const)
      expect(calls!.nulls.duckdb[name], name).toBe(nullsOf(name));
    expect(calls!.nulls.duckdb.misses).toBe(output.calls.length - 1);
    expect(calls!.rows.duckdb).toBe(output.calls.length);
    expect(calls!.sums.duckdb.promptTokens).toBe(
      output.calls.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
    );
    expect(nullsOf('cachedTokens')).toBeGreaterThan(0);
  });

  test('times are DOUBLE, counts whole, flags BOOLEAN, names VARCHAR', () => {
    for (const { types } of Object.values(tables.tables))
      for (const [name, type] of Object.entries(types)) {
        if (name.endsWith('Ms') || name === 'itlMsMax' || name === 'usd' || name.endsWith('Ratio'))
          expect(type, name).toBe('DOUBLE');
        else if (/^is[A-Z]/.test(name)) expect(type, name).toBe('BOOLEAN');
        else if (name.endsWith('Tokens')) expect(['INTEGER', 'DOUBLE'], name).toContain(type);
        else if (
          !/^(iteration|attempt|attempts|preemptions|calls|.*(Calls|Requests)|widthMax|restarts)$/.test(name)
        )
          expect(type, name).toBe('VARCHAR');
      }
  });

  test('a table without rows keeps its columns and types', () => {
    const empty = read<Tables>('tables', { args: [join(folder, 'empty')] }).tables;
    for (const [name, { types, rows }] of Object.entries(empty)) {
      expect(rows, name).toEqual({ duckdb: 0, pandas: 0 });
      expect(types, name).toEqual(tables.tables[name]!.types);
    }
  });

  test('CSV has as many rows, whatever is in its cells', () => {
    expect(tables.csv).toEqual(
      Object.fromEntries(Object.entries(tables.tables).map(([name, { rows }]) => [name, rows.duckdb])),
    );
  });

  test('JSON columns are JSON, and what is in them is what was there', () => {
    const [sum, detail] = read<string[]>('query', {
      cwd: join(folder, 'run'),
      input: JSON.stringify([
        {
          language: 'python',
          text: `import duckdb
print(duckdb.sql("""SELECT sum((part->>'tokens')::BIGINT) FROM (
  SELECT unnest(from_json(parts, '["JSON"]')) AS part FROM 'calls.parquet')""").fetchall()[0][0])`,
        },
        {
          language: 'python',
          text: `import duckdb
print(repr(duckdb.sql("SELECT misses->'$[0]'->>'detail' FROM 'calls.parquet' WHERE misses IS NOT NULL").fetchall()[0][0]))`,
        },
      ]),
    });
    const planned = output.calls
      .flatMap(({ parts }) => parts)
      .reduce((total, { tokens }) => total + tokens, 0);
    expect(Number(sum)).toBe(planned);
    expect(detail).toContain('naïve 漢字 </script>');
  });

  test('spans are messages of the published protocol, each under its parent; anything else is refused', async () => {
    const spans = read<Record<string, unknown>>('otlp', { args: [join(folder, 'run', 'spans.otlp.json')] });
    expect(spans).toMatchObject({
      traces: output.workflows.length,
      roots: output.workflows.length,
      traceIdBytes: [16],
      spanIdBytes: [8],
      distinctSpanIds: spans.spans,
      orphans: 0,
      backwards: 0,
      kinds: [1, 3],
    });
    expect(spans.spans).toBeGreaterThan(output.calls.length);

    const wrong = join(folder, 'wrong.json');
    const text = await readFile(join(folder, 'run', 'spans.otlp.json'), 'utf8');
    for (const [right, other] of [
      ['endTimeUnixNano', 'endTimeUnixNanos'],
      ['"intValue":"', '"intValue":"x'],
    ] as const) {
      await writeFile(wrong, text.replace(right, other));
      expect(() => read('otlp', { args: [wrong] }), other).toThrow('ParseError');
    }
  });
});
