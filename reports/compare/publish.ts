// Writes the folder of a comparison: comparison.json and the page. A rim.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { claimFolder } from '../../scenarios/cli/run-folder.ts';
import type { ComparisonResult } from '../../scenarios/formats/comparison.ts';
import { comparisonSummary } from './terminal.ts';

export async function publishComparison(
  comparison: ComparisonResult,
  { out }: { out: string },
): Promise<{ reportPath: string; summaryText: string }> {
  const reportPath = join(out, 'report.html');
  claimFolder(out);
  await writeFile(join(out, 'comparison.json'), `${JSON.stringify(comparison, null, 1)}\n`);
  const [{ page }, { loadRuntime }] = await Promise.all([import('../page.ts'), import('../runtime.ts')]);
  await writeFile(reportPath, page(comparison, await loadRuntime()));
  return { reportPath, summaryText: comparisonSummary(comparison, { reportPath }) };
}
