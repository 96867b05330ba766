// What an answer leaves behind: the deployment as a file that every command takes, what operators paste, size.json, the page.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { operatorFiles } from '../../engines/operators/index.ts';
import type { DrawnChart } from '../../reports/charts/chart.ts';
import { publishSize } from '../../reports/size/publish.ts';
import { headline } from '../../reports/size/words.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { applySet } from '../../scenarios/cli/load.ts';
import { parseDeployment } from '../../scenarios/formats/deployment/deployment.ts';
import type { SizeResult } from '../../scenarios/formats/size.ts';
import { toYaml, valueSource } from '../../scenarios/formats/source.ts';
import type { Base } from './base.ts';
import type { Candidate } from './candidate.ts';
import type { Evaluation } from './evaluate.ts';

export interface WriteOptions {
  readonly out: string;
  readonly base: Base;
  readonly winner: Evaluation | null;
  readonly charts: readonly DrawnChart[];
}

export async function writeAnswer(
  size: SizeResult,
  { out, base, winner, charts }: WriteOptions,
): Promise<{ written: SizeResult; summaryText: string }> {
  const made = { headline: headline(size), command: size.command };
  forget(out);
  const files = winner === null ? [] : writeDeployment(made, winner.trial.candidate, base, out);
  const written = { ...size, files };
  const { summaryText } = await publishSize(written, charts, out);
  return { written, summaryText };
}

/** What an earlier answer left: nobody may take it for this one's. */
export function forget(out: string): void {
  rmSync(join(out, 'deployment.yaml'), { force: true });
  rmSync(join(out, 'operators'), { recursive: true, force: true });
}

/** The deployment as a file, and what operators paste. */
export function writeDeployment(
  made: { readonly headline: string; readonly command: string },
  candidate: Candidate,
  base: Pick<Base, 'value'>,
  out: string,
): SizeResult['files'][number][] {
  const value = { ...applySet(base.value, candidate.deployment.set), description: candidate.name };
  const path = join(out, 'deployment.yaml');
  writeFileSync(path, `# ${made.headline}.\n# Made by: ${made.command}\n${toYaml(value)}`);
  const files = [{ path, what: 'the deployment, for every command: simulate, replay, export' }];
  const { file } = parseDeployment(valueSource(value, path));
  if (file === null) return files;
  try {
    const folder = join(out, 'operators');
    const pasted = operatorFiles(file);
    if (pasted.length > 0) mkdirSync(folder, { recursive: true });
    for (const { path: name, text } of pasted) writeFileSync(join(folder, name), text);
    if (pasted.length > 0)
      files.push({
        path: folder,
        what: `what operators paste: ${pasted.map(({ path: name }) => name).join(', ')}`,
      });
  } catch (error) {
    // Pools of other engines have no such files: the deployment stands without.
    if (!(error instanceof UserError)) throw error;
    files.push({ path: join(out, 'operators'), what: `not written: ${error.message}` });
  }
  return files;
}
