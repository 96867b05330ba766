// `import` and `plan`: a trace read, a plan written out.

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { UserError } from './base/errors.ts';
import { loadTraces, settledScenario } from './cli/load.ts';
import { loadRun, type RunOptions, withScenario } from './cli/run-options.ts';
import {
  type Command,
  type CommonOptions,
  printJson,
  say,
  settleIssues,
  withCommon,
} from './cli/terminal.ts';
import type { ImportReport } from './formats/recorded.ts';
import { planLines } from './plan-file.ts';

interface ImportOptions extends CommonOptions {
  trace: string[];
  format: string | undefined;
  strict: boolean;
  out: string | undefined;
}

export const importCommand: Command<ImportOptions> = {
  builder: yargs =>
    withCommon(yargs)
      .positional('trace', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'trace files or folders',
      })
      .option('format', { type: 'string', describe: 'name the format instead of detecting it' })
      .option('strict', { type: 'boolean', default: false, describe: 'an unreadable part is an error' })
      .option('out', { type: 'string', describe: 'write the plan here, to simulate or replay it' })
      .example('$0 import traces/ --json', 'counts, hits of an infinite cache, what was inferred')
      .example('$0 import traces/ --out sessions.plan.jsonl', 'one file that simulate and replay take'),
  handler: async options => {
    const { format, strict } = options;
    const loaded = loadTraces(options.trace, options.trace.join(' '), {
      strict,
      ...(format === undefined ? {} : { format }),
    });
    const report = loaded.imports[0] as ImportReport;
    if (options.out !== undefined) {
      await writeLines(
        options.out,
        planLines(loaded.compiled!.plan!, settledScenario(loaded), loaded.recorded),
      );
    }
    if (options.json) printJson(report);
    else say(options, importText(report, options.out));
  },
};

function importText(report: ImportReport, out: string | undefined): string {
  const { totals } = report;
  const guessed = Object.entries(report.provenance)
    .map(([field, { recorded, inferred, defaulted }]) => ({ field, recorded, other: inferred + defaulted }))
    .filter(({ other }) => other > 0)
    .map(({ field, recorded, other }) => `${field} ${other} of ${recorded + other}`);
  const share = totals.inputTokens === 0 ? 0 : (totals.hitTokens / totals.inputTokens) * 100;
  return [
    `${report.format}: ${totals.sessions} sessions, ${report.subagents} sub-agents, ${totals.calls} calls`,
    `  input     ${totals.inputTokens} tokens, output ${totals.outputTokens}`,
    `  hits      ${totals.hitBlocks} blocks, ${totals.hitTokens} tokens (${share.toFixed(1)} %), of a cache that never evicts`,
    `  inferred  ${guessed.length === 0 ? 'nothing' : guessed.join(', ')}`,
    ...report.warnings.map(warning => `  warning   ${warning}`),
    ...report.unreadable.map(({ where, why }) => `  left out  ${where}: ${why}`),
    ...(out === undefined ? [] : [`plan: ${out}`]),
  ].join('\n');
}

type PlanOptions = Omit<RunOptions, 'deployment'>;

export const planCommand: Command<PlanOptions> = {
  builder: yargs =>
    withScenario(yargs)
      .example('$0 plan job-scanner --out scan.plan.jsonl', 'every draw of every session, a line each')
      .example('$0 simulate scan.plan.jsonl -d 8xh200-mistral-small-4', 'run the written plan'),
  handler: async options => {
    if (options.out === undefined)
      throw new UserError('plan needs --out FILE', { hint: 'e.g. --out scan.plan.jsonl' });
    const loaded = loadRun(options);
    settleIssues([{ issues: loaded.issues, source: loaded.source }], options);
    const plan = loaded.compiled!.plan!;
    const unbounded = loaded.file?.traffic.some(
      ({ arrival, sessions }) => arrival?.closed !== undefined && sessions === undefined,
    );
    if (unbounded && loaded.recorded.size === 0) {
      throw new UserError('a closed cohort that runs `for` a time has no plan before it runs', {
        hint: 'give it `sessions:` instead',
      });
    }
    const lines = await writeLines(options.out, planLines(plan, settledScenario(loaded), loaded.recorded));
    if (options.json) printJson({ out: options.out, sessions: lines - 1 });
    else say(options, `${lines - 1} sessions in ${options.out}`);
  },
};

async function writeLines(path: string, lines: Iterable<string>): Promise<number> {
  const file = createWriteStream(path);
  const opened = once(file, 'open').catch(error => {
    throw new UserError(`cannot write ${path}: ${(error as Error).message}`, {
      hint: 'choose another --out',
    });
  });
  await opened;
  let count = 0;
  for (const line of lines) {
    count++;
    if (!file.write(`${line}\n`)) await once(file, 'drain');
  }
  file.end();
  await once(file, 'finish');
  return count;
}
