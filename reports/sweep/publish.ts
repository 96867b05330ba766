// Writes the folder of a sweep: result.json, tables of points and runs, charts, page. A rim.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SweepResult } from '../../scenarios/formats/sweep.ts';
import { writeChart } from '../chart-files.ts';
import { SWEEP_CHARTS } from './charts/index.ts';
import { type SweepRunRow, sweepTables } from './tables.ts';
import { sweepSummary } from './terminal.ts';

/** Into a folder that is claimed. */
export async function publishSweep(
  sweep: SweepResult,
  runs: readonly SweepRunRow[],
  { out }: { out: string },
): Promise<{ reportPath: string; summaryText: string }> {
  const reportPath = join(out, 'report.html');
  await writeFile(join(out, 'result.json'), `${JSON.stringify(sweep, null, 1)}\n`);
  for (const [name, content] of Object.entries(sweepTables(sweep, runs)))
    await writeFile(join(out, name), content);
  const folder = join(out, 'charts');
  // Of another metric, others may have been drawn.
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const chart of SWEEP_CHARTS)
    await writeChart(folder, { id: chart.id, title: chart.title(sweep), drawn: chart.spec(sweep) });
  const [{ sweepPage }, { loadRuntime }] = await Promise.all([import('./page.ts'), import('../runtime.ts')]);
  await writeFile(reportPath, sweepPage(sweep, await loadRuntime()));
  return { reportPath, summaryText: sweepSummary(sweep, { reportPath }) };
}
