// Writes a run's folder: result.json first (a later failure must not lose the run), then Parquet, charts, report.
import { createHash } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, UserError } from '../scenarios/base/errors.ts';
import { claimFolder } from '../scenarios/cli/run-folder.ts';
import type { RunResult } from '../scenarios/formats/result.ts';
import type { Published, PublishRun, RunOutput } from '../scenarios/formats/run.ts';
import { SUPERSEDED_FILES } from '../scenarios/formats/run-log.ts';
import type { ValidationResult } from '../scenarios/formats/validation.ts';
import { isAbsent } from './charts/chart.ts';
import { RUN_CHARTS } from './charts/index.ts';
import { attachCriticalPaths } from './critical-path.ts';
import type { Digest } from './digest.ts';
import { spansJson } from './governed/spans.ts';
import { withInputs } from './inputs.ts';
import {
  attemptsParquet,
  callsParquet,
  nodesParquet,
  timelineParquet,
  toolsParquet,
  workflowsParquet,
} from './parquet.ts';
import { holdsRunLog } from './run-log.ts';
import { summarise } from './summary.ts';
import { terminalSummary, validationSummary } from './terminal.ts';

/** sha256 of the chunks joined, hex. */
export const sha256: Digest = chunks => {
  const hash = createHash('sha256');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
};

function* linesOf(lines: Iterable<string>): Generator<string> {
  for (const line of lines) yield `${line}\n`;
}

const json = (value: unknown): string => `${JSON.stringify(value, null, 1)}\n`;

/** The page, with the modules and the runtime it needs loaded only now. */
export async function pageOf(input: readonly RunResult[] | ValidationResult): Promise<string> {
  const [{ page }, { loadRuntime }] = await Promise.all([import('./page.ts'), import('./runtime.ts')]);
  return page(input, await loadRuntime());
}

/** What the verdict asks of the process: interrupted, then not valid, then failed. */
export function exitCodeOf({ verdict }: RunResult): number {
  switch (verdict.status) {
    case 'interrupted':
      return EXIT.interrupted;
    case 'invalid':
      return EXIT.notValid;
    case 'fail':
      return EXIT.failed;
    case 'pass':
    case 'done':
      return EXIT.ok;
  }
}

async function writeCharts(folder: string, result: RunResult): Promise<void> {
  await mkdir(join(folder, 'charts'), { recursive: true });
  for (const chart of RUN_CHARTS) {
    const drawn = chart.spec(result);
    if (isAbsent(drawn)) continue;
    const spec = { title: chart.title(result), ...drawn };
    await writeFile(join(folder, 'charts', `${chart.id}.vl.json`), JSON.stringify(spec));
  }
}

/** Summarises a run and writes its folder; then the log that it wrote on its way has done its work. */
export const publish: PublishRun = async (output, { out }) => {
  const published = await publishBesideLog(output, { out });
  for (const name of SUPERSEDED_FILES) await rm(join(out, name), { force: true });
  return published;
};

/** The same of a run whose log stays: it may still be going on. */
export async function publishBesideLog(output: RunOutput, { out }: { out: string }): Promise<Published> {
  try {
    return await writeRun(output, out);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined || !DISK_ERRORS.has(code)) throw error;
    const isLive = holdsRunLog(out);
    throw new UserError(`the results do not fit into ${out}: ${message}`, {
      hint: isLive
        ? `make room, then \`windtunnel report ${out}\` makes them of the records that are there`
        : 'make room or choose another --out, and run it again',
      exitCode: EXIT.internal,
    });
  }
}

const DISK_ERRORS: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EROFS',
  'EACCES',
  'EPERM',
  'EIO',
  'EFBIG',
]);

async function writeRun(output: RunOutput, out: string): Promise<Published> {
  const result = summarise(output, sha256);
  const resultPath = join(out, 'result.json');
  const reportPath = join(out, 'report.html');

  claimFolder(out);
  await writeFile(resultPath, json(result));
  await writeFile(join(out, 'calls.parquet'), callsParquet(output.calls));
  await writeFile(join(out, 'workflows.parquet'), workflowsParquet(attachCriticalPaths(output)));
  await writeFile(join(out, 'nodes.parquet'), nodesParquet(output.nodes));
  await writeFile(join(out, 'timeline.parquet'), timelineParquet(output.timeline));
  if (output.governed !== undefined) {
    await writeFile(join(out, 'attempts.parquet'), attemptsParquet(output.governed.attempts, output.ledger));
    await writeFile(join(out, 'tools.parquet'), toolsParquet(output.governed.tools, output.ledger));
  }
  await writeFile(join(out, 'spans.otlp.json'), spansJson(output));
  if (output.audit !== undefined) await writeFile(join(out, 'audit.jsonl'), linesOf(output.audit));
  await writeCharts(out, result);
  await writeFile(reportPath, await pageOf([withInputs(result, out)]));

  return {
    folder: out,
    reportPath,
    resultPath,
    exitCode: exitCodeOf(result),
    summaryText: terminalSummary(result, { reportPath }),
    result,
  };
}

/** Not valid, then out of tolerance. */
const validationExitCode = ({ verdict, pass }: ValidationResult): number => {
  if (verdict.fitness === 'not-valid') return EXIT.notValid;
  return pass ? EXIT.ok : EXIT.failed;
};

/** Writes validation.json and the page of both runs and their differences. */
export async function publishValidation(
  validation: ValidationResult,
  options: { out: string },
): Promise<Published> {
  const { out } = options;
  const resultPath = join(out, 'validation.json');
  const reportPath = join(out, 'report.html');
  claimFolder(out);
  await writeFile(resultPath, json(validation));
  await writeFile(reportPath, await pageOf(withInputs(validation, out)));
  return {
    folder: out,
    reportPath,
    resultPath,
    exitCode: validationExitCode(validation),
    summaryText: validationSummary(validation, { reportPath }),
    result: validation,
  };
}
