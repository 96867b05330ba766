// Tells a gate's report to whoever was named. GitHub's summary and outputs go where its environment says.
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { githubOutputs } from '../../reports/gate/github.ts';
import { REPORTERS } from '../../reports/gate/index.ts';
import { markdown } from '../../reports/gate/markdown.ts';
import type { GateReport } from '../../reports/gate/report.ts';
import type { Told } from '../../scenarios/formats/reporters.ts';

/** `write` gets what goes to stdout: with --json that belongs to the document. Returns the files that were written. */
export function tell(
  report: GateReport,
  reporters: readonly Told[],
  write: (text: string) => void,
  environment: NodeJS.ProcessEnv = process.env,
): string[] {
  const written: string[] = [];
  for (const { name, path } of reporters) {
    const text = REPORTERS[name](report);
    if (path === null) write(text);
    else {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
      written.push(path);
    }
    if (name !== 'github') continue;
    const { GITHUB_STEP_SUMMARY: summary, GITHUB_OUTPUT: output } = environment;
    if (summary !== undefined) appendFileSync(summary, markdown(report));
    if (output !== undefined) appendFileSync(output, githubOutputs(report));
  }
  return written;
}
