// `calibrate`: minutes of small experiments on a live server, and the engine profile that they tell.
//
//   1. reach the server   2. calibrate   3. profile, deployment, charts, page
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { WireApi } from '../../engines/wire/dialect.ts';
import { hostIsAllowed } from '../../loadgen/hosts.ts';
import { writeChart } from '../../reports/chart-files.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import { claimFolder } from '../../scenarios/cli/run-folder.ts';
import { commandLine } from '../../scenarios/cli/run-options.ts';
import {
  type Command,
  type CommonOptions,
  onInterrupt,
  ProgressLine,
  printJson,
  say,
  withCommon,
} from '../../scenarios/cli/terminal.ts';
import { version } from '../../scenarios/cli/version.ts';
import { didYouMean } from '../../scenarios/formats/suggest.ts';
import { calibrate } from './calibrate.ts';
import { type Calibration, calibrationOf, deploymentYaml, LIMIT_NAMES } from './calibration.ts';
import { CALIBRATION_CHARTS } from './charts.ts';
import type { Limits } from './design.ts';
import { createTarget, type Target } from './target.ts';
import { calibrationText, type Files } from './words.ts';

const APIS = ['tokens', 'completions', 'chat'] as const;

interface CalibrateCommandOptions extends CommonOptions {
  url: string;
  model: string | undefined;
  'key-env': string | undefined;
  api: (typeof APIS)[number] | 'auto';
  minutes: number | undefined;
  quick: boolean;
  limits: string | undefined;
  hardware: string;
  'allow-host': string | undefined;
  name: string | undefined;
  out: string | undefined;
}

export const calibrateCommand: Command<CalibrateCommandOptions> = {
  builder: yargs =>
    withCommon(yargs)
      .positional('url', {
        type: 'string',
        demandOption: true,
        describe: 'base URL of the server, up to /v1',
      })
      .option('model', { type: 'string', nargs: 1, describe: 'its name on the server [the only one there]' })
      .option('key-env', { type: 'string', nargs: 1, describe: 'environment variable that holds the key' })
      .option('api', {
        choices: [...APIS, 'auto'] as const,
        default: 'auto' as const,
        describe: 'how to speak to it [token ids where it takes them, else chats]',
      })
      .option('minutes', { type: 'number', nargs: 1, describe: 'how long to measure [5; 1 with --quick]' })
      .option('quick', { type: 'boolean', default: false, describe: 'a minute, for a look' })
      .option('limits', {
        type: 'string',
        nargs: 1,
        describe: 'limits that are known, and then not probed: max_num_seqs=256,max_num_batched_tokens=8192',
      })
      .option('hardware', {
        type: 'string',
        nargs: 1,
        default: 'unknown hardware',
        describe: 'on what it runs, for the record',
      })
      .option('allow-host', {
        type: 'string',
        nargs: 1,
        describe: 'a host that may be loaded although it is not this machine',
      })
      .option('name', { type: 'string', nargs: 1, describe: "of the profile [the model's]" })
      .option('out', {
        type: 'string',
        nargs: 1,
        describe: 'folder to write to [windtunnel-runs/calibrate-NAME]',
      })
      .example(
        '$0 calibrate http://127.0.0.1:8000/v1',
        'five minutes on a server that has nothing else to do',
      )
      .example('$0 calibrate http://127.0.0.1:8000/v1 --quick --api chat', 'one minute, with chats'),
  handler: async options => {
    process.exitCode = await run(options);
  },
};

async function run(options: CalibrateCommandOptions): Promise<number> {
  const minutes = options.minutes ?? (options.quick ? 1 : 5);
  if (!(minutes > 0)) throw new UserError(`--minutes ${minutes}: expected a number above 0`);
  const given = options.limits === undefined ? {} : limitsOf(options.limits);
  const baseUrl = baseUrlOf(options.url);
  const allowHosts = options['allow-host'] === undefined ? [] : [options['allow-host']];
  if (!hostIsAllowed(baseUrl, allowHosts))
    throw new UserError(`${baseUrl} is not on this machine, and minutes of load are meant for it`, {
      hint: `if you may load that host: --allow-host ${new URL(baseUrl).hostname}`,
    });
  const key = keyOf(options['key-env']);
  const salt = new Date().toISOString();
  const progress = new ProgressLine(options);
  const stopped = { now: false };
  // 1.
  const model = options.model ?? (await onlyModel(baseUrl, key));
  const target = await reach({ baseUrl, model, key, salt }, options.api);
  const name = options.name ?? slug(model);
  const out = options.out ?? join('windtunnel-runs', `calibrate-${name}`);
  const ignore = onInterrupt(() => {
    stopped.now = true;
  });
  try {
    claimFolder(out);
    // 2.
    const outcome = await calibrate({
      target,
      seconds: minutes * 60,
      isQuick: options.quick,
      given,
      onProgress: text => progress.show(() => text),
      isStopped: () => stopped.now,
    });
    progress.clear();
    const { facts, pace: _, ...found } = outcome;
    const calibration = calibrationOf({
      ...found,
      name,
      target: { baseUrl, model, api: target.options.api, keyEnv: options['key-env'] ?? null, allowHosts },
      engine: facts.engine,
      hardware: options.hardware,
      at: salt.slice(0, 10),
      by: `windtunnel calibrate ${version}`,
      command: commandLine(),
      sentTokens: target.sentTokens,
    });
    // 3.
    const files = await write(calibration, out);
    if (options.json) printJson({ ok: true, ...calibration, files });
    say(options, calibrationText(calibration, files));
    return stopped.now ? EXIT.interrupted : EXIT.ok;
  } finally {
    progress.clear();
    ignore();
    await target.close();
  }
}

// ---- what was asked for -----------------------------------------------------------------------------------------

function baseUrlOf(text: string): string {
  if (/^https?:$/.test(URL.parse(text)?.protocol ?? '')) return text.replace(/\/+$/, '');
  throw new UserError(`${text}: not an http address`, { hint: 'e.g. http://127.0.0.1:8000/v1' });
}

function keyOf(variable: string | undefined): string | null {
  if (variable === undefined) return null;
  const key = process.env[variable] ?? '';
  if (key !== '') return key;
  throw new UserError(`--key-env ${variable}: the variable is not set`, { hint: `export ${variable}=…` });
}

const slug = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '') || 'server';

/** `max_num_seqs=256,block_size=16` */
function limitsOf(text: string): Partial<Limits> {
  const known = Object.entries(LIMIT_NAMES) as [keyof Limits, string][];
  const pairs = text.split(',').map(part => {
    const [name = '', raw = ''] = part.split('=').map(each => each.trim());
    const key = known.find(([, each]) => each === name)?.[0];
    if (key === undefined) {
      const names = known.map(([, each]) => each);
      throw new UserError(`--limits: unknown limit "${name}"`, {
        hint: didYouMean(name, names) ?? `known: ${names.join(', ')}`,
      });
    }
    if (key === 'prefixCaching') return [key, raw === 'true'] as const;
    const value = Number(raw);
    if (Number.isInteger(value) && value > 0) return [key, value] as const;
    throw new UserError(`--limits: ${name}=${raw}: expected a whole number above 0`);
  });
  return Object.fromEntries(pairs);
}

// ---- the server -------------------------------------------------------------------------------------------------

type Address = { baseUrl: string; model: string; key: string | null; salt: string };

/** A server that has one model needs no name. */
async function onlyModel(baseUrl: string, key: string | null): Promise<string> {
  const headers = key === null ? {} : { authorization: `Bearer ${key}` };
  const answer = await fetch(`${baseUrl}/models`, { headers, signal: AbortSignal.timeout(10_000) }).catch(
    () => null,
  );
  if (answer === null)
    throw new UserError(`nothing answers at ${baseUrl}`, {
      hint: 'start the server, and check the URL (it ends in /v1)',
      exitCode: 1,
    });
  const body = (await answer.json().catch(() => null)) as { data?: { id: string }[] } | null;
  const names = (body?.data ?? []).map(({ id }) => id);
  const [only] = names;
  if (names.length === 1 && only !== undefined) return only;
  throw new UserError(
    names.length === 0 ? `${baseUrl}/models lists no model` : `${baseUrl} serves ${names.join(', ')}`,
    { hint: 'name one: --model NAME' },
  );
}

/** With the API that was asked for; without one the first that it takes. */
async function reach(address: Address, api: CalibrateCommandOptions['api']): Promise<Target> {
  const tried: WireApi[] = api === 'auto' ? [...APIS] : [api];
  let last: unknown;
  for (const each of tried) {
    const target = createTarget({ ...address, api: each });
    try {
      await target.learn();
      await target.call({ tokens: 24, outputTokens: 4 });
      return target;
    } catch (error) {
      last = error;
      await target.close();
    }
  }
  throw last;
}

// ---- what is written --------------------------------------------------------------------------------------------

async function write(calibration: Calibration, out: string): Promise<Files> {
  const { name, profile } = calibration;
  const files: Files = {
    profile: join(out, `${name}.profile.json`),
    deployment: join(out, `${name}.deployment.yaml`),
    page: join(out, 'report.html'),
  };
  const charts = join(out, 'charts');
  mkdirSync(charts, { recursive: true });
  writeFileSync(join(out, 'result.json'), `${JSON.stringify(calibration)}\n`);
  writeFileSync(files.profile, `${JSON.stringify(profile, null, 2)}\n`);
  writeFileSync(files.deployment, deploymentYaml(calibration, `${name}.profile.json`));
  for (const chart of CALIBRATION_CHARTS)
    await writeChart(charts, {
      id: chart.id,
      title: chart.title(calibration),
      drawn: chart.spec(calibration),
    });
  const [{ calibrationPage }, { loadRuntime }] = await Promise.all([
    import('./page.ts'),
    import('../../reports/runtime.ts'),
  ]);
  writeFileSync(files.page, calibrationPage(calibration, await loadRuntime()));
  const shown = Object.entries(files).map(([what, path]) => [what, relative('.', path)]);
  return Object.fromEntries(shown) as unknown as Files;
}
