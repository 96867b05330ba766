// Writes the folder of a policy bench: result.json, curves.csv, charts, page. A rim.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { claimFolder } from '../../scenarios/cli/run-folder.ts';
import type { FigureName } from '../../scenarios/formats/grid.ts';
import type { PolicyBenchResult } from '../../scenarios/formats/policy-bench.ts';
import { writeChart } from '../chart-files.ts';
import { BENCH_CHARTS } from './charts.ts';
import { benchSummary } from './terminal.ts';

/** A row a policy and load: every figure, mean over seeds. */
function curvesCsv({ curves }: PolicyBenchResult): string {
  const names = Object.keys(curves[0]!.points[0]!.mean) as FigureName[];
  const rows = curves.flatMap(({ policy, points }) =>
    points.map(({ loadRatio, mean }) => [policy, loadRatio, ...names.map(name => mean[name] ?? '')]),
  );
  return [['policy', 'loadRatio', ...names], ...rows].map(row => `${row.join(',')}\n`).join('');
}

export async function publishPolicyBench(
  bench: PolicyBenchResult,
  { out }: { out: string },
): Promise<{ reportPath: string; summaryText: string }> {
  const reportPath = join(out, 'report.html');
  claimFolder(out);
  await writeFile(join(out, 'result.json'), `${JSON.stringify(bench, null, 1)}\n`);
  await writeFile(join(out, 'curves.csv'), curvesCsv(bench));
  const folder = join(out, 'charts');
  await mkdir(folder, { recursive: true });
  for (const chart of BENCH_CHARTS)
    await writeChart(folder, { id: chart.id, title: chart.title(bench), drawn: chart.spec(bench) });
  const [{ benchPage }, { loadRuntime }] = await Promise.all([import('./page.ts'), import('../runtime.ts')]);
  await writeFile(reportPath, benchPage(bench, await loadRuntime()));
  return { reportPath, summaryText: benchSummary(bench, { reportPath }) };
}
