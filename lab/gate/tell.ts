// Tells a gate's report to whoever was named: `--reporter NAME[=PATH]`, and GitHub by itself where it runs.
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { githubOutputs } from '../../reports/gate/github.ts';
import { REPORTERS, type Reporter, type ReporterName } from '../../reports/gate/index.ts';
import { markdown } from '../../reports/gate/markdown.ts';
import type { GateReport } from '../../reports/gate/report.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { didYouMean } from '../../scenarios/formats/suggest.ts';

export const REPORTER_OPTION = {
  type: 'string',
  array: true,
  nargs: 1,
  default: [] as string[],
  describe: `also write NAME or NAME=PATH (repeatable): ${Object.keys(REPORTERS).join(', ')}`,
} as const;

interface Told {
  readonly name: ReporterName;
  /** null: stdout. */
  readonly path: string | null;
}

/** Read before anything runs: a mistake here must not cost a run. */
export function reportersOf(given: readonly string[], environment: NodeJS.ProcessEnv = process.env): Told[] {
  const named = given.map((text): Told => {
    const [name = '', ...rest] = text.split('=');
    const path = rest.join('=');
    if (!Object.hasOwn(REPORTERS, name)) {
      const names = Object.keys(REPORTERS);
      throw new UserError(`--reporter ${text}: there is no reporter "${name}"`, {
        hint: didYouMean(name, names) ?? `there: ${names.join(', ')}`,
      });
    }
    const reporter: Reporter = REPORTERS[name as ReporterName];
    return {
      name: name as ReporterName,
      path: path === '' || path === '-' ? (path === '-' ? null : reporter.file) : path,
    };
  });
  const isOnGithub = environment.GITHUB_ACTIONS === 'true' && !named.some(({ name }) => name === 'github');
  return isOnGithub ? [...named, { name: 'github', path: null }] : named;
}

/** `write` gets what goes to stdout: with --json that belongs to the document. */
export function tell(
  report: GateReport,
  reporters: readonly Told[],
  write: (text: string) => void,
  environment: NodeJS.ProcessEnv = process.env,
): string[] {
  const written: string[] = [];
  for (const { name, path } of reporters) {
    const text = REPORTERS[name].render(report);
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
