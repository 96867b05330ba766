// Writes the folder of an answer: size.json or answers.json, charts, page. A rim.
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SizeResult } from '../../scenarios/formats/size.ts';
import type { FleetResult } from '../../scenarios/formats/size-fleet.ts';
import { writeChart } from '../chart-files.ts';
import { type DrawnChart, drawn } from '../charts/chart.ts';
import { type Answers, answersPage, answersText, plain } from './answers.ts';
import { SIZE_CHARTS } from './charts/index.ts';
import { sizeSummary } from './terminal.ts';

/** `charts`: of questions that were answered on the way. */
export async function publishSize(
  size: SizeResult,
  charts: readonly DrawnChart[],
  out: string,
): Promise<{ reportPath: string; summaryText: string }> {
  const reportPath = join(out, 'report.html');
  await writeFile(join(out, 'size.json'), `${JSON.stringify(size, null, 1)}\n`);
  await writeCharts([...SIZE_CHARTS.map(chart => drawn(chart, size)), ...charts], out);
  const [{ sizePage }, { loadRuntime }] = await Promise.all([import('./page.ts'), import('../runtime.ts')]);
  await writeFile(reportPath, sizePage(size, charts, await loadRuntime()));
  return { reportPath, summaryText: sizeSummary(size, { reportPath }) };
}

export async function publishAnswers(
  given: Answers,
  out: string,
): Promise<{ written: unknown; summaryText: string }> {
  const written = plain(given);
  const reportPath = join(out, 'report.html');
  await writeFile(join(out, 'answers.json'), `${JSON.stringify(written, null, 1)}\n`);
  await writeCharts(
    given.answers.flatMap(({ charts }) => charts),
    out,
  );
  const { loadRuntime } = await import('../runtime.ts');
  await writeFile(reportPath, answersPage(given, await loadRuntime()));
  return { written, summaryText: answersText(given, reportPath) };
}

/** The same of the best use of a fleet. */
export async function publishFleet(
  fleet: FleetResult,
  out: string,
): Promise<{ reportPath: string; summaryText: string }> {
  const reportPath = join(out, 'report.html');
  await writeFile(join(out, 'size.json'), `${JSON.stringify(fleet, null, 1)}\n`);
  const [{ FLEET_CHARTS, fleetPage, fleetSummary }, { loadRuntime }] = await Promise.all([
    import('./fleet.ts'),
    import('../runtime.ts'),
  ]);
  await writeCharts(
    FLEET_CHARTS.map(chart => drawn(chart, fleet)),
    out,
  );
  await writeFile(reportPath, fleetPage(fleet, await loadRuntime()));
  return { reportPath, summaryText: fleetSummary(fleet, { reportPath }) };
}

/** Into `charts/`, in place of what an earlier answer left there. */
export async function writeCharts(charts: readonly DrawnChart[], out: string): Promise<void> {
  const folder = join(out, 'charts');
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const { id, title, spec } of charts) await writeChart(folder, { id, title, drawn: spec });
}
