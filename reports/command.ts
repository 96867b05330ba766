// `windtunnel report RUN…`: the page of one or many runs, rebuilt from their result.json alone; of a live run that never
// came to write one, from the log of its records.
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CommandModule } from 'yargs';
import { UserError } from '../scenarios/base/errors.ts';
import { RESULT_SCHEMA_VERSION, type RunResult } from '../scenarios/formats/result.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';
import type { StoredBooks } from '../scenarios/formats/run-log.ts';
import { VALIDATION_SCHEMA_VERSION, type ValidationResult } from '../scenarios/formats/validation.ts';

const RESULT_FILES = ['result.json', 'validation.json'];

/** The result file of a run folder, or the file itself. */
async function resultFile(path: string): Promise<string> {
  const found = await stat(path).catch(() => null);
  if (found === null) {
    throw new UserError(`${path}: no such folder`, {
      hint: 'name the folder that a run printed, e.g. windtunnel-runs/chat',
    });
  }
  if (found.isFile()) return path;
  for (const name of RESULT_FILES) {
    const candidate = join(path, name);
    if ((await stat(candidate).catch(() => null))?.isFile()) return candidate;
  }
  throw new UserError(
    `${path} is not a run folder: it has neither result.json nor validation.json, and no log of a live run`,
    {
      hint: 'make one with "windtunnel simulate" or "windtunnel replay", and name the folder it prints',
    },
  );
}

/** Reads one result, and refuses what this version cannot show. */
export async function readResult(path: string): Promise<RunResult | ValidationResult> {
  const file = await resultFile(path);
  let value: Partial<RunResult | ValidationResult> | null;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new UserError(`${file} is not valid JSON: ${(error as Error).message}`, {
      hint: 'the run may have been cut off while writing; run it again',
    });
  }
  if (value === null || typeof value !== 'object' || (value.kind !== 'run' && value.kind !== 'validation')) {
    throw new UserError(`${file} is not a result of windtunnel: its "kind" is neither run nor validation`);
  }
  const version = value.kind === 'run' ? RESULT_SCHEMA_VERSION : VALIDATION_SCHEMA_VERSION;
  if (value.schemaVersion !== version) {
    throw new UserError(
      `${file} has schema version ${value.schemaVersion}, this version of windtunnel reads ${version}`,
      { hint: 'make the run again with this version' },
    );
  }
  return value as RunResult | ValidationResult;
}

/** The same with the files that it was made of, for the page. */
async function readWithInputs(path: string): Promise<RunResult | ValidationResult> {
  const [result, { withInputs }] = await Promise.all([readResult(path), import('./inputs.ts')]);
  return withInputs(result, dirname(await resultFile(path)));
}

/** A validation is shown alone; runs are shown together. */
function together(results: readonly (RunResult | ValidationResult)[]): RunResult[] | ValidationResult {
  const [first] = results;
  if (results.length === 1 && first!.kind === 'validation') return first!;
  return results.flatMap(result =>
    result.kind === 'run' ? [result] : [result.live ?? [], result.sim].flat(),
  );
}

/** What a run cost, by the prices that its log holds: the wiring knows how, reports do not. */
export type AddBooks = (output: RunOutput, books: StoredBooks) => Promise<RunOutput>;

/** Writes the results of a run that was cut off. Its log stays: it may still be going on. */
async function rebuild(path: string, addBooks: AddBooks): Promise<void> {
  const [{ holdsRunLog, readRunLog }, { rebuilt }] = await Promise.all([
    import('./run-log.ts'),
    import('./rebuild.ts'),
  ]);
  if (!holdsRunLog(path)) return;
  const { publishBesideLog } = await import('./publish.ts');
  const log = readRunLog(path);
  const output = await addBooks(rebuilt(log), log.start.books);
  const { summaryText } = await publishBesideLog(output, { out: path });
  process.stderr.write(`${summaryText}\n`);
}

interface ReportOptions {
  run: string[];
  out?: string | undefined;
  json: boolean;
  svg: boolean;
  csv: boolean;
  workflow?: string | undefined;
}

async function report(options: ReportOptions, addBooks: AddBooks): Promise<void> {
  const { run, out, json, svg, csv, workflow } = options;
  for (const path of run) await rebuild(path, addBooks);
  const results = await Promise.all(run.map(readWithInputs));
  const input = together(workflow === undefined ? results : await withWorkflow(results, run, workflow));
  const { pageOf } = await import('./publish.ts');
  const folder = run.length === 1 ? dirname(await resultFile(run[0]!)) : '.';
  const reportPath = out ?? join(folder, 'report.html');
  const html = await pageOf(input);
  await mkdir(dirname(reportPath), { recursive: true });
  await writeFile(reportPath, html);
  const images = svg && Array.isArray(input) ? await writeSvg(input, dirname(reportPath)) : [];
  const tables = csv ? await csvOf(run) : [];
  const runs = Array.isArray(input) ? input.length : input.live === null ? 1 : 2;
  if (json)
    console.log(
      JSON.stringify({ reportPath, runs, bytes: Buffer.byteLength(html), images, tables }, null, 2),
    );
  else
    console.log(
      `report: ${reportPath} (${runs} ${runs === 1 ? 'run' : 'runs'}, ${Math.ceil(html.length / 1024)} kB)`,
    );
}

/** The results with a session in the explorer of each run that has it; at least one must. */
async function withWorkflow(
  results: readonly (RunResult | ValidationResult)[],
  paths: readonly string[],
  session: string,
): Promise<(RunResult | ValidationResult)[]> {
  const { noSuchSession, withSession } = await import('./session.ts');
  const searched: string[] = [];
  let found = 0;
  const search = async (result: RunResult, folder: string): Promise<RunResult> => {
    searched.push(folder);
    const shown = await withSession(result, folder, session);
    if (shown !== null) found++;
    return shown ?? result;
  };
  const shown: (RunResult | ValidationResult)[] = [];
  for (const [i, result] of results.entries()) {
    const folder = dirname(await resultFile(paths[i]!));
    if (result.kind === 'run') {
      shown.push(await search(result, folder));
      continue;
    }
    const sim = await search(result.sim, join(folder, 'sim'));
    const live = result.live === null ? null : await search(result.live, join(folder, 'live'));
    shown.push({ ...result, sim, live });
  }
  if (found === 0) throw await noSuchSession(searched, session);
  return shown;
}

/** The tables of each run as CSV files, beside the Parquet files. */
async function csvOf(runs: readonly string[]): Promise<string[]> {
  const { writeCsv } = await import('./table-files.ts');
  const files: string[] = [];
  for (const path of runs) files.push(...(await writeCsv(dirname(await resultFile(path)))));
  return files;
}

/** Each chart of each run as an SVG file, for a README or a pull request. */
async function writeSvg(runs: readonly RunResult[], folder: string): Promise<string[]> {
  const [{ RUN_CHARTS, RUNS_CHARTS }, { isAbsent }, { toSvg }] = await Promise.all([
    import('./charts/index.ts'),
    import('./charts/chart.ts'),
    import('./render.ts'),
  ]);
  const files: string[] = [];
  await mkdir(join(folder, 'charts'), { recursive: true });
  const write = async (
    name: string,
    drawn: ReturnType<(typeof RUN_CHARTS)[number]['spec']>,
  ): Promise<void> => {
    if (isAbsent(drawn)) return;
    const file = join(folder, 'charts', `${name}.svg`);
    await writeFile(file, await toSvg(drawn));
    files.push(file);
  };
  for (const [i, result] of runs.entries()) {
    for (const chart of RUN_CHARTS)
      await write(`${runs.length > 1 ? `run${i}-` : ''}${chart.id}`, chart.spec(result));
  }
  for (const chart of RUNS_CHARTS) await write(chart.id, chart.spec(runs));
  return files;
}

export const reportCommand = (addBooks: AddBooks): CommandModule<object, ReportOptions> => ({
  command: 'report <run..>',
  describe: 'Build the report page of one or many runs',
  builder: yargs =>
    yargs
      .positional('run', {
        describe: 'run folders, or their result.json',
        type: 'string',
        array: true,
        demandOption: true,
      })
      .option('out', {
        describe: 'the page to write (default: report.html in the run folder)',
        type: 'string',
      })
      .option('workflow', {
        describe: 'a session by its name, to be seen step by step: any row of workflows.parquet',
        type: 'string',
        requiresArg: true,
      })
      .option('svg', { describe: 'also write each chart as charts/*.svg', type: 'boolean', default: false })
      .option('csv', { describe: 'also write each *.parquet as *.csv', type: 'boolean', default: false })
      .option('json', { describe: 'print one JSON document on stdout', type: 'boolean', default: false })
      .example('$0 report windtunnel-runs/chat', 'rebuild the page of one run')
      .example('$0 report windtunnel-runs/chat --workflow chat/17', 'one session step by step')
      .example('$0 report runs/a runs/b --out compare.html', 'several runs on one page'),
  handler: options => report(options, addBooks),
});
