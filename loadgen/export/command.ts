// `export`: a plan in the files of another load generator, with what is lost said.
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { loadDeployment, readyRun } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import {
  deploymentSet,
  loadRun,
  outFolder,
  type RunOptions,
  runName,
  withRun,
} from '../../scenarios/cli/run-options.ts';
import { type Command, printJson, say } from '../../scenarios/cli/terminal.ts';
import { parseScalar } from '../../scenarios/formats/quantity.ts';
import { closest } from '../../scenarios/formats/suggest.ts';
import { withEndpoints } from '../live-options.ts';
import type { Exported } from './exporter.ts';
import { exporters } from './index.ts';

interface ExportCommandOptions extends RunOptions {
  target: string;
  endpoint: string[];
  sse: boolean;
  testrun: number | undefined;
  vus: number | undefined;
  timeout: string;
  vocab: number;
  salt: string | undefined;
}

export const exportCommand: Command<ExportCommandOptions> = {
  builder: yargs =>
    withRun(yargs)
      .positional('target', {
        type: 'string',
        demandOption: true,
        describe: exporters.map(({ name, doc }) => `${name}: ${doc}`).join('; '),
      })
      .option('endpoint', {
        type: 'string',
        array: true,
        default: [] as string[],
        describe: 'base URL up to /v1, instead of those of the file (repeatable)',
      })
      .option('sse', {
        type: 'boolean',
        default: false,
        describe: 'k6: over k6/x/sse, which sees first tokens',
      })
      .option('testrun', {
        type: 'number',
        describe: 'k6: also a TestRun of the k6 operator, on so many pods',
      })
      .option('vus', {
        type: 'number',
        describe: 'k6: virtual users of each cohort [enough for its sessions]',
      })
      .option('timeout', { type: 'string', default: '15m', describe: 'longest a call may take' })
      .option('vocab', { type: 'number', default: 32_000, describe: 'vocabulary size, for token-id prompts' })
      .option('salt', {
        type: 'string',
        describe:
          "mixed into all prompts, so that an earlier run's cache is not found [name and seed of the plan]",
      })
      .describe('sessions', 'only the first so many sessions of each cohort')
      .group(['endpoint', 'sse', 'testrun', 'vus', 'timeout', 'vocab', 'salt'], 'Export:')
      .example('$0 export k6 mixed-fleet -d emulated --out load', 'then: k6 run load/script.ts')
      .example('$0 export aiperf mixed-fleet -d emulated', "conversations for aiperf's dag_jsonl"),
  handler: options => {
    const exporter = exporters.find(({ name }) => name === options.target);
    if (exporter === undefined) {
      const names = exporters.map(({ name }) => name);
      const near = closest(options.target, names);
      throw new UserError(`there is no export "${options.target}"`, {
        hint: near === null ? `one of ${names.join(', ')}` : `did you mean "${near}"?`,
      });
    }
    const loaded = loadRun(options);
    const deployed = loadDeployment(options.deployment, routingPolicies, deploymentSet(options.set));
    const { plan, deployment, poolOf, warnings } = readyRun(loaded, deployed, options, 'live');
    const timeout = parseScalar(options.timeout, 'ms');
    if ('error' in timeout) throw new UserError(`--timeout: ${timeout.error}`, { hint: timeout.hint });
    const exported = exporter.export({
      plan,
      deployment: withEndpoints(deployment, options.endpoint),
      poolOf,
      sessionsMax: options.sessions ?? null,
      options: {
        sse: options.sse,
        testrun: countOption('testrun', options.testrun),
        vus: countOption('vus', options.vus),
        timeoutMs: timeout.value,
        vocabTokens: options.vocab,
        ...(options.salt === undefined ? {} : { salt: options.salt }),
      },
    });
    const folder = outFolder(options, runName({ plan, deployment }), exporter.name);
    const { sessions, calls, lost, command, files } = exported;
    const about = { target: exporter.name, plan: plan.name, seed: plan.seed, sessions, calls, lost, command };
    writeExport(folder, {
      files: [{ name: 'export.json', text: [`${JSON.stringify(about, null, 1)}\n`] }, ...files],
    });
    if (options.json) printJson({ folder, files: files.map(({ name }) => name), ...about });
    if (!options.quiet) {
      for (const each of warnings) process.stderr.write(`warning: ${each}\n`);
      process.stderr.write(`lost:\n${lost.map(each => `- ${each}\n`).join('')}`);
    }
    say(options, `${sessions} sessions, ${calls} calls in ${folder}`);
    say(options, `run it there: ${command}`);
  },
};

function countOption(name: string, value: number | undefined): number | null {
  if (value === undefined) return null;
  if (Number.isInteger(value) && value > 0) return value;
  throw new UserError(`--${name} ${value}: expected a whole number above 0`, { hint: `e.g. --${name} 4` });
}

/** Writes the files of an export, piece by piece. */
export function writeExport(folder: string, { files }: Pick<Exported, 'files'>): void {
  mkdirSync(folder, { recursive: true });
  for (const { name, text } of files) {
    const file = openSync(join(folder, name), 'w');
    try {
      for (const piece of text) writeSync(file, piece);
    } finally {
      closeSync(file);
    }
  }
}
