import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { csvLine } from '../../reports/csv.ts';
import { publish } from '../../reports/publish.ts';
import { rowGroups, writeCsv } from '../../reports/table-files.ts';
import { anAgentRun } from '../builders/agents.ts';
import { aCall, aRun } from '../builders/records.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'windtunnel-csv-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a line of CSV', () => {
  test('quotes commas, quotes and line ends, and doubles quotes', () => {
    expect(csvLine(['a,b', 'say "no"', 'two\nlines', 'plain'])).toBe(
      '"a,b","say ""no""","two\nlines",plain\r\n',
    );
  });

  test('has nothing for null, and something for an empty text and for 0', () => {
    expect(csvLine([null, undefined, '', 0, false])).toBe(',,"",0,false\r\n');
  });

  test('makes formulas text, and leaves negative numbers numbers', () => {
    expect(csvLine(['=1+1', '@SUM(A1)', '+1', '-1', '\tx', -1.5])).toBe(
      "'=1+1,'@SUM(A1),'+1,'-1,'\tx,-1.5\r\n",
    );
  });
});

describe('the tables of a run as CSV', () => {
  test('have a file for each Parquet file and a line for each row', async () => {
    const output = anAgentRun({ workflows: 12 });
    const out = join(folder, 'agents');
    await publish(output, { out });
    const files = await writeCsv(out);
    expect(files).toEqual(['calls', 'nodes', 'timeline', 'workflows'].map(name => join(out, `${name}.csv`)));
    const lines = (await readFile(join(out, 'timeline.csv'), 'utf8')).split('\r\n');
    expect(lines[0]).toBe('atMs,pool,replica,runningRequests,waitingRequests,kvUsedRatio');
    const [first] = output.timeline;
    expect(lines[1]).toBe(Object.values(first!).join(','));
    // One for the columns, and nothing behind the last line end.
    expect(lines).toHaveLength(output.timeline.length + 2);
  });

  test('are read a row group at a time', async () => {
    const out = join(folder, 'long');
    const calls = Array.from({ length: 45_000 }, (_, i) => aCall({ session: `s${i}`, plannedMs: i }));
    await publish(aRun({ calls }), { out });
    const sizes: number[] = [];
    let last: unknown;
    for await (const rows of rowGroups(join(out, 'calls.parquet'))) {
      sizes.push(rows.length);
      last = rows.at(-1)?.[0];
    }
    expect(sizes).toEqual([1, 20_000, 20_000, 5000]);
    expect(last).toBe('s44999');
  });

  test('say what to name where there are none', async () => {
    await expect(writeCsv(folder)).rejects.toThrow('holds no Parquet files');
  });
});
