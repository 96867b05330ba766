// `windtunnel report RUN…`: the page of one or many finished runs, rebuilt from their result.json alone.
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CommandModule } from 'yargs';
import { UserError } from '../scenarios/base/errors.ts';
import { RESULT_SCHEMA_VERSION, type RunResult, type ValidationResult } from '../scenarios/formats/result.ts';

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
  throw new UserError(`${path} is not a run folder: it has neither result.json nor validation.json`, {
    hint: 'make one with "windtunnel simulate" or "windtunnel replay", and name the folder it prints',
  });
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
  if (value.schemaVersion !== RESULT_SCHEMA_VERSION) {
    throw new UserError(
      `${file} has schema version ${value.schemaVersion}, this version of windtunnel reads ${RESULT_SCHEMA_VERSION}`,
      { hint: 'make the run again with this version' },
    );
  }
  return value as RunResult | ValidationResult;
}

/** A validation is shown alone; runs are shown together. */
function together(results: readonly (RunResult | ValidationResult)[]): RunResult[] | ValidationResult {
  const [first] = results;
  if (results.length === 1 && first!.kind === 'validation') return first!;
  return results.flatMap(result => (result.kind === 'run' ? [result] : [result.live, result.sim]));
}

interface ReportOptions {
  run: string[];
  out?: string | undefined;
  json: boolean;
  svg: boolean;
}

async function report({ run, out, json, svg }: ReportOptions): Promise<void> {
  const input = together(await Promise.all(run.map(readResult)));
  const { pageOf } = await import('./publish.ts');
  const folder = run.length === 1 ? dirname(await resultFile(run[0]!)) : '.';
  const reportPath = out ?? join(folder, 'report.html');
  const html = await pageOf(input);
  await mkdir(dirname(reportPath), { recursive: true });
  await writeFile(reportPath, html);
  const images = svg && Array.isArray(input) ? await writeSvg(input, dirname(reportPath)) : [];
  const runs = Array.isArray(input) ? input.length : 2;
  if (json)
    console.log(JSON.stringify({ reportPath, runs, bytes: Buffer.byteLength(html), images }, null, 2));
  else
    console.log(
      `report: ${reportPath} (${runs} ${runs === 1 ? 'run' : 'runs'}, ${Math.ceil(html.length / 1024)} kB)`,
    );
}

/** Each chart of each run as an SVG file, for a README or a pull request. */
async function writeSvg(runs: readonly RunResult[], folder: string): Promise<string[]> {
  const [{ RUN_CHARTS }, { isAbsent }, { toSvg }] = await Promise.all([
    import('./charts/index.ts'),
    import('./charts/chart.ts'),
    import('./render.ts'),
  ]);
  const files: string[] = [];
  await mkdir(join(folder, 'charts'), { recursive: true });
  for (const [i, result] of runs.entries()) {
    for (const chart of RUN_CHARTS) {
      const drawn = chart.spec(result);
      if (isAbsent(drawn)) continue;
      const file = join(folder, 'charts', `${runs.length > 1 ? `run${i}-` : ''}${chart.id}.svg`);
      await writeFile(file, await toSvg(drawn));
      files.push(file);
    }
  }
  return files;
}

const reportCommand: CommandModule<object, ReportOptions> = {
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
      .option('svg', { describe: 'also write each chart as charts/*.svg', type: 'boolean', default: false })
      .option('json', { describe: 'print one JSON document on stdout', type: 'boolean', default: false })
      .example('$0 report windtunnel-runs/chat', 'rebuild the page of one run')
      .example('$0 report runs/a runs/b --out compare.html', 'several runs on one page'),
  handler: report,
};

export const reportCommands = [reportCommand] as CommandModule[];
