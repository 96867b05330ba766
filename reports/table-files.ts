// The Parquet files of a run folder read back, a row group at a time, and written again as CSV: memory does not grow with
// the run.
import { createWriteStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { asyncBufferFromFile, parquetMetadataAsync, parquetRead, parquetSchema } from 'hyparquet';
import { UserError } from '../scenarios/base/errors.ts';
import { type Cell, csvLine } from './csv.ts';

/** Names of the columns, then the rows of each row group. */
export async function* rowGroups(path: string): AsyncGenerator<Cell[][]> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  yield [parquetSchema(metadata).children.map(({ element }) => element.name)];
  let rowStart = 0;
  for (const { num_rows } of metadata.row_groups) {
    const rowEnd = rowStart + Number(num_rows);
    let rows: Cell[][] = [];
    await parquetRead({
      file,
      metadata,
      rowStart,
      rowEnd,
      onComplete: read => {
        rows = read as unknown as Cell[][];
      },
    });
    yield rows;
    rowStart = rowEnd;
  }
}

async function* csvOf(path: string): AsyncGenerator<string> {
  for await (const rows of rowGroups(path)) yield rows.map(csvLine).join('');
}

/** Writes NAME.csv beside each NAME.parquet of a run folder; their paths. */
export async function writeCsv(folder: string): Promise<string[]> {
  const names = (await readdir(folder)).filter(name => name.endsWith('.parquet')).sort();
  if (names.length === 0)
    throw new UserError(`${folder} holds no Parquet files to write as CSV`, {
      hint: 'name the folder of a simulation or a replay; a validation has them in its sim and live folders',
    });
  const files: string[] = [];
  for (const name of names) {
    const path = join(folder, `${name.slice(0, -'.parquet'.length)}.csv`);
    await pipeline(Readable.from(csvOf(join(folder, name))), createWriteStream(path));
    files.push(path);
  }
  return files;
}
