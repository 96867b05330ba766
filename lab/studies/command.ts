// `study`: runs a study and says which parts of its claim hold; without a name it lists them.
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { writeChart } from '../../reports/chart-files.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import { claimFolder } from '../../scenarios/cli/run-folder.ts';
import {
  type Command,
  type CommonOptions,
  onInterrupt,
  ProgressLine,
  printJson,
  say,
  withCommon,
} from '../../scenarios/cli/terminal.ts';
import { runGrid } from '../grid/run-grid.ts';
import { studies, studyOf } from './index.ts';
import type { Findings, Study, StudyRun } from './study.ts';
import { findingsBody, findingsMarkdown, findingsText, withBody } from './text.ts';

interface StudyOptions extends CommonOptions {
  name: string | undefined;
  quick: boolean;
  out: string | undefined;
  jobs: number | undefined;
  page: string | undefined;
}

export const studyCommand: Command<StudyOptions> = {
  builder: yargs =>
    withCommon(yargs)
      .positional('name', { type: 'string', describe: 'which study [lists them]' })
      .option('quick', { type: 'boolean', default: false, describe: 'fewer and shorter runs, for a look' })
      .option('out', {
        type: 'string',
        describe: 'folder for the page and charts [windtunnel-runs/study-NAME]',
      })
      .option('page', {
        type: 'string',
        describe: 'a page of docs/ with marks for this study: body and charts there are written anew',
      })
      .option('jobs', { type: 'number', describe: 'threads [one a core]' })
      .example('$0 study', 'what there is')
      .example('$0 study stale-signals --quick', 'one of them, at a glance'),
  handler: async options => {
    if (options.name === undefined) {
      const listed = Object.values(studies).map(({ name, question }) => ({ name, question }));
      if (options.json) printJson({ ok: true, studies: listed });
      else say(options, listed.map(({ name, question }) => `${name}\n  ${question}`).join('\n'));
      return;
    }
    const study = studyOf(options.name);
    const folder = resolve(options.out ?? join('windtunnel-runs', `study-${study.name}`));
    if (options.page !== undefined) readPage(options.page);
    claimFolder(folder);
    const runs = await runsOf(study, options);
    if (runs === null) {
      process.stderr.write('interrupted: a study is judged on all of its runs\n');
      process.exitCode = EXIT.interrupted;
      return;
    }
    const findings = study.judge(runs);
    await write({ study, findings, runs, folder, options });
    if (options.json)
      printJson({ ok: true, name: study.name, claims: findings.claims, tables: findings.tables });
    say(options, `${findingsText(study, findings)}\npage: ${join(folder, `${study.name}.md`)}`);
  },
};

/** Every run of the study; null after Ctrl-C. A run that failed is told, and nothing is judged without it. */
async function runsOf(study: Study, options: StudyOptions): Promise<StudyRun<unknown>[] | null> {
  const cases = study.cases({ isQuick: options.quick });
  const progress = new ProgressLine(options);
  const stopped = { now: false };
  const ignore = onInterrupt(() => {
    stopped.now = true;
  });
  try {
    const outcomes = await runGrid(
      cases.map(({ of }) => of),
      {
        jobs: options.jobs,
        onDone: done => progress.show(() => `${done} of ${cases.length} runs`),
        isStopped: () => stopped.now,
      },
    );
    progress.clear();
    const runs: StudyRun<unknown>[] = [];
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome === null) return null;
      const { at } = cases[i]!;
      if (!outcome.ok) {
        const { message, ...rest } = outcome.failure;
        throw new UserError(`the run at ${JSON.stringify(at)} failed: ${message}`, rest);
      }
      const { ok: _, ...result } = outcome;
      runs.push({ at, ...result });
    }
    return runs;
  } finally {
    ignore();
  }
}

/** Body and charts of a page that is there. */
function rewrite(page: string, { name }: Study, folder: string, body: string): void {
  const text = withBody(readPage(page), name, body);
  if (text === null) {
    const hint = `put <!-- windtunnel study ${name}: below --> and the same with "above" where it shall stand`;
    throw new UserError(`${page} has no place for study ${name}`, { hint });
  }
  writeFileSync(page, text);
  for (const file of readdirSync(folder).filter(each => each.endsWith('.svg')))
    copyFileSync(join(folder, file), join(dirname(page), file));
}

/** Before the runs, not after them, is the time to learn that there is no such page. */
function readPage(page: string): string {
  if (existsSync(page)) return readFileSync(page, 'utf8');
  throw new UserError(`there is no page "${page}"`, { hint: 'docs/studies/ has one for each study' });
}

/** result.json with every run, the page's Markdown, and the charts beside it. */
async function write(of: {
  study: Study;
  findings: Findings;
  runs: readonly StudyRun<unknown>[];
  folder: string;
  options: StudyOptions;
}): Promise<void> {
  const { study, findings, runs, folder, options } = of;
  mkdirSync(folder, { recursive: true });
  const { charts, ...told } = findings;
  const result = { kind: 'study', name: study.name, isQuick: options.quick, ...told, runs };
  writeFileSync(join(folder, 'result.json'), `${JSON.stringify(result, null, 1)}\n`);
  const command = `windtunnel study ${study.name}${options.quick ? ' --quick' : ''}`;
  const how = { command, runs: runs.length };
  writeFileSync(join(folder, `${study.name}.md`), findingsMarkdown(study, findings, how));
  for (const { id, title, spec } of charts) await writeChart(folder, { id, title, drawn: spec });
  if (options.page !== undefined) rewrite(options.page, study, folder, findingsBody(study, findings, how));
}
