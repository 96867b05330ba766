// Writes a run's folder: result.json first (a later failure must not lose the run), then Parquet, charts, report.
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT } from '../scenarios/base/errors.ts';
import { claimFolder } from '../scenarios/cli/run-folder.ts';
import type { RunResult, ValidationResult } from '../scenarios/formats/result.ts';
import type { Published, PublishRun } from '../scenarios/formats/run.ts';
import { isAbsent } from './charts/chart.ts';
import { RUN_CHARTS } from './charts/index.ts';
import { attachCriticalPaths } from './critical-path.ts';
import type { Digest } from './digest.ts';
import { spansJson } from './governed/spans.ts';
import {
  attemptsParquet,
  callsParquet,
  nodesParquet,
  timelineParquet,
  toolsParquet,
  workflowsParquet,
} from './parquet.ts';
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

/** Summarises a run and writes its folder. */
export const publish: PublishRun = async (output, { out }) => {
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
  await writeFile(reportPath, await pageOf([result]));

  return {
    folder: out,
    reportPath,
    resultPath,
    exitCode: exitCodeOf(result),
    summaryText: terminalSummary(result, { reportPath }),
    result,
  };
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
  await writeFile(reportPath, await pageOf(validation));
  return {
    folder: out,
    reportPath,
    resultPath,
    exitCode: validation.pass ? EXIT.ok : EXIT.failed,
    summaryText: validationSummary(validation, { reportPath }),
    result: validation,
  };
}
