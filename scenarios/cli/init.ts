// `init`: a scenario of one's own, and a deployment, from the library; with the schemas that an editor completes from.
// Nothing is written unless everything can be; nothing that exists is overwritten without --force.
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import type { InputPath } from '../base/issue.ts';
import { parseDeployment } from '../formats/deployment/deployment.ts';
import {
  deploymentJsonSchema,
  type JsonSchema,
  scenarioJsonSchema,
} from '../formats/json-schema/json-schema.ts';
import { parseSource } from '../formats/source.ts';
import { show } from '../formats/suggest.ts';
import { CI_FILES, type CiService } from './ci-files.ts';
import { findInput, type LibraryKind, readText } from './library.ts';
import { libraryEntries, libraryLines } from './library-list.ts';
import { resolveSource } from './resolve.ts';
import { type Command, type CommonOptions, paint, printJson, say, withCommon } from './terminal.ts';

/** What a newcomer gets who names nothing. */
const DEFAULT_SCENARIO = 'job-scanner';
/** A deployment that every library scenario fits, to run it on. */
const ROOMY_DEPLOYMENT = '8xh200-mistral-small-4';

interface InitOptions extends CommonOptions {
  name: string | undefined;
  from: string;
  gpu: string | undefined;
  deployment: string | undefined;
  out: string;
  force: boolean;
  list: boolean;
  ci: CiService | undefined;
}

interface NewFile {
  readonly path: string;
  readonly text: string;
  /** A schema that we wrote before may be written again. */
  readonly replaces: (existing: string) => boolean;
}

/** What operators run, read by engines/operators, of which this folder knows nothing. */
export interface OperatorsReader {
  /** Whether a text is one of theirs, rather than a scenario. */
  isTheirs(text: string): boolean;
  /** The deployment file in YAML, and what it does not have; throws what `reportFailure` tells. */
  read(text: string, options: { file: string; name: string | null; gpu: string | null }): ReadFromOperators;
}

export interface ReadFromOperators {
  readonly name: string;
  readonly text: string;
  readonly unmapped: readonly { path: string; why: string }[];
  readonly notes: readonly string[];
  /** Names of models that the catalogue does not have, with the id each has in the file. */
  readonly unknownModels: readonly { id: string; name: string }[];
}

export const initCommand = (operators: () => Promise<OperatorsReader>): Command<InitOptions> => ({
  builder: yargs =>
    withCommon(yargs)
      .positional('name', { type: 'string', describe: "name of the new scenario [the library entry's]" })
      .option('from', {
        type: 'string',
        default: DEFAULT_SCENARIO,
        describe:
          'library scenario, preset or file; or what you run: vllm serve, Kubernetes, Dynamo or llm-d, as a deployment',
      })
      .option('gpu', {
        type: 'string',
        describe: 'the card of a server that you run, where its file does not say',
      })
      .option('deployment', {
        alias: 'd',
        type: 'string',
        describe: 'a deployment from the library beside it',
      })
      .option('out', { type: 'string', default: '.', describe: 'folder to write to' })
      .option('force', { type: 'boolean', default: false, describe: 'overwrite what is there' })
      .option('list', { type: 'boolean', default: false, describe: 'what the library has' })
      .option('ci', {
        choices: Object.keys(CI_FILES) as CiService[],
        describe:
          'also the workflow file of a gate in CI; of a scenario file that is there, the workflow alone',
      })
      .example('$0 init', 'the job scanner, to look at and change')
      .example('$0 init my-agents --from coding-agent -d 8xh200-mistral-small-4', 'a preset and a cluster')
      .example('$0 init agents.yaml -d my-cluster.yaml --ci github', 'a gate for files that are there')
      .example('$0 init --from serve.sh --gpu h100-80gb-sxm', 'a deployment from a `vllm serve` line')
      .example('$0 init --list', 'everything there is to start from'),
  handler: async options => {
    if (options.list) {
      list(options);
      return;
    }
    if (/[./\\]/.test(options.from) && !existsSync(options.from))
      throw new UserError(`--from ${options.from}: there is no such file`, {
        hint: 'a file, or one of the names that `windtunnel init --list` shows',
      });
    const text = isFile(options.from) && !/\.m?ts$/.test(options.from) ? readText(options.from) : null;
    const reader = text === null ? null : await operators();
    if (text !== null && reader?.isTheirs(text) === true) deploymentFrom(options, text, reader);
    else if (options.gpu === undefined) init(options);
    else
      throw new UserError(`--gpu ${options.gpu} says nothing of ${options.from}`, {
        hint: 'it goes with --from FILE, where the file is what you run',
      });
  },
});

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

/** A deployment from what an operator runs. */
function deploymentFrom(options: InitOptions, text: string, reader: OperatorsReader): void {
  const wrong = (['deployment', 'ci'] as const).find(key => options[key] !== undefined);
  if (wrong !== undefined)
    throw new UserError(`--${wrong} goes with a scenario, and ${options.from} is a deployment`, {
      hint: `leave it out, and name what is written with -d in a second \`windtunnel init\``,
    });
  const { name = null, gpu = null } = options;
  const read = reader.read(text, { file: options.from, name, gpu });
  const folder = resolve(options.out);
  const path = join(folder, `${read.name}.yaml`);
  const whole = `# yaml-language-server: $schema=${KINDS.deployments.schema}\n${read.text}`;
  const files = [
    { path, text: whole, replaces: (existing: string) => existing === whole },
    schemaFile(join(folder, KINDS.deployments.schema), KINDS.deployments.make()),
  ];
  if (resolve(options.from) === path)
    throw new UserError(`${shownFrom(path)} is the file that is read`, {
      hint: 'give the deployment a name: windtunnel init NAME --from FILE',
    });
  refuseClashes(files, options.force);
  writeAll(folder, files);
  const written = files.map(each => shownFrom(each.path));
  const own = shownFrom(path);
  const next = [
    ...read.unknownModels.map(({ id, name: called }) => ({
      command: `windtunnel catalog add config.json --id ${id}`,
      why: `the catalogue does not have ${called}: its config.json from Hugging Face adds it`,
    })),
    {
      command: `windtunnel check ${DEFAULT_SCENARIO} -d ${own}`,
      why: 'what it can hold, before anything runs',
    },
    { command: `windtunnel simulate ${DEFAULT_SCENARIO} -d ${own}`, why: 'the same, run' },
  ];
  const { unmapped, notes } = read;
  if (options.json) {
    printJson({ written, unmapped, notes, next });
    return;
  }
  say(options, written.map(each => `wrote ${each}`).join('\n'));
  if (notes.length > 0)
    say(options, `\n${paint('bold', 'taken as')}\n${notes.map(each => `  ${each}`).join('\n')}`);
  const lines = unmapped.map(each => `  ${each.path}: ${each.why}`);
  if (lines.length > 0) say(options, `\n${paint('bold', 'not in the deployment')}\n${lines.join('\n')}`);
  say(options, `\n${paint('bold', 'next')}`);
  say(options, next.map(({ command, why }) => `  ${command}\n      ${why}`).join('\n'));
}

function list(options: InitOptions): void {
  const entries = libraryEntries();
  if (options.json) printJson(entries);
  else say(options, libraryLines(entries).join('\n'));
}

function init(options: InitOptions): void {
  const folder = resolve(options.out);
  const isThere = options.name !== undefined && /\.(ya?ml|json|m?ts)$/.test(options.name);
  if (options.ci !== undefined && isThere) {
    gateOf(options, options.ci, { scenario: options.name as string, deployment: options.deployment }, folder);
    return;
  }
  const scenario = copyOf(options.from, 'scenarios', options.name, folder);
  const deployment =
    options.deployment === undefined ? null : copyOf(options.deployment, 'deployments', undefined, folder);
  const files = [scenario, deployment]
    .filter(each => each !== null)
    .flatMap(each => [each.file, each.schema]);
  const workflow =
    options.ci === undefined
      ? null
      : ciFile(options.ci, scenario.file.path, deployment?.file.path ?? ROOMY_DEPLOYMENT, folder);
  if (workflow !== null) files.push(workflow);
  refuseClashes(files, options.force);
  writeAll(folder, files);
  const written = files.map(each => shownFrom(each.path));
  const next = nextCommands(scenario, deployment);
  if (options.json) {
    printJson({ written, next });
    return;
  }
  say(options, `${written.map(path => `wrote ${path}`).join('\n')}\n\n${paint('bold', 'next')}`);
  say(options, next.map(({ command, why }) => `  ${command}\n      ${why}`).join('\n'));
}

/** The workflow of files that are there already. */
function gateOf(
  options: InitOptions,
  ci: CiService,
  { scenario, deployment = ROOMY_DEPLOYMENT }: { scenario: string; deployment: string | undefined },
  folder: string,
): void {
  findInput(scenario, 'scenarios');
  findInput(deployment, 'deployments');
  const file = ciFile(ci, scenario, deployment, folder);
  refuseClashes([file], options.force);
  writeAll(folder, [file]);
  const written = [shownFrom(file.path)];
  const name = nameOf(scenario);
  const next = [
    {
      command: `windtunnel check ${scenario} -d ${deployment} --gate --name ${name} --save`,
      why: 'save the shape as a baseline, and commit .windtunnel/baselines',
    },
    {
      command: `windtunnel simulate ${scenario} -d ${deployment} --out windtunnel-runs/ci`,
      why: `then \`windtunnel baseline save windtunnel-runs/ci --name ${name}\`, and commit it as well`,
    },
  ];
  if (options.json) printJson({ written, next });
  else {
    say(options, `wrote ${written[0]}\n\n${paint('bold', 'next')}`);
    say(options, next.map(({ command, why }) => `  ${command}\n      ${why}`).join('\n'));
  }
}

const nameOf = (scenario: string): string =>
  basename(scenario)
    .replace(/\.(ya?ml|json|m?ts)$/, '')
    .replace(/[^\w.@-]+/g, '-');

/** Paths as they are seen from the root of the repository, which is taken to be the folder. */
function ciFile(ci: CiService, scenario: string, deployment: string, folder: string): NewFile {
  const seen = (path: string): string =>
    isAbsolute(path) || existsSync(path) ? relative(folder, resolve(path)) : path;
  const { path, text } = CI_FILES[ci]({
    scenario: seen(scenario),
    deployment: seen(deployment),
    name: nameOf(scenario),
  });
  return { path: join(folder, path), text, replaces: existing => existing === text };
}

interface Copy {
  readonly file: NewFile;
  readonly schema: NewFile;
  /** Whether runs refuse it yet. */
  readonly refused: boolean;
}

const KINDS = {
  scenarios: { key: 'name', schema: 'scenario.schema.json', make: scenarioJsonSchema },
  deployments: { key: 'deployment', schema: 'deployment.schema.json', make: deploymentJsonSchema },
} as const;

/** A library entry as a file of one's own: schema line, name, and paths that still lead where they led. */
function copyOf(input: string, kind: LibraryKind, name: string | undefined, folder: string): Copy {
  if (name !== undefined && !/^[A-Za-z0-9][\w.-]*$/.test(name)) {
    throw new UserError(`${show(name)} is no name for a file`, {
      hint: 'letters, digits, ".", "_" and "-"; name the folder with --out',
    });
  }
  const { key, schema, make } = KINDS[kind];
  const from = findInput(input, kind);
  if (statSync(from).isDirectory() || !/\.ya?ml$/.test(from)) {
    throw new UserError(`${input} is not a YAML file`, {
      hint: 'init starts from a scenario or a deployment in YAML',
    });
  }
  const source = resolveSource(from, kind);
  const own = (name ?? basename(from)).replace(/\.ya?ml$/, '');
  const text = withPaths(readText(from), dirname(resolve(from)), folder);
  // A name such as 7 or true is text here.
  const written = parseSource(own, '').value === own ? own : JSON.stringify(own);
  const titled =
    name === undefined ? text : text.replace(new RegExp(`^${key}:.*$`, 'm'), `${key}: ${written}`);
  const lines = titled.split('\n').filter(line => !line.startsWith('# yaml-language-server:'));
  const whole = [`# yaml-language-server: $schema=${schema}`, ...lines].join('\n');
  return {
    // What is there already as it would be written, such as the deployment of another scenario, is no clash.
    file: { path: join(folder, `${own}.yaml`), text: whole, replaces: existing => existing === whole },
    schema: schemaFile(join(folder, schema), make()),
    refused: kind === 'deployments' && parseDeployment(source).unbuilt.length > 0,
  };
}

function schemaFile(path: string, schema: JsonSchema): NewFile {
  return {
    path,
    text: `${JSON.stringify(schema, null, 1)}\n`,
    replaces: existing => (parseSource(existing, path).value as JsonSchema | null)?.title === schema.title,
  };
}

/** Paths of traces, of measured values and of bases are seen from a file's own folder: here, from another one. */
function withPaths(text: string, from: string, to: string): string {
  const source = parseSource(text, '');
  const lines = text.split('\n');
  for (const { at, path } of pathsOf(source.value)) {
    if (!existsSync(resolve(from, path))) continue;
    const { line, column } = source.position(at);
    const own = relative(to, resolve(from, path)).replaceAll('\\', '/');
    const whole = lines[line - 1] as string;
    lines[line - 1] = whole.slice(0, column - 1) + whole.slice(column - 1).replace(path, own);
  }
  return lines.join('\n');
}

/** Texts behind the keys that name files. */
function pathsOf(value: unknown, at: InputPath = [], key = ''): { at: InputPath; path: string }[] {
  if (typeof value === 'string')
    return ['trace', 'file', 'extends'].includes(key) ? [{ at, path: value }] : [];
  if (Array.isArray(value)) return value.flatMap((each, index) => pathsOf(each, [...at, index], key));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => pathsOf(inner, [...at, name], name));
}

function refuseClashes(files: readonly NewFile[], force: boolean): void {
  const twice = files.find((file, index) => files.findIndex(each => each.path === file.path) < index);
  if (twice !== undefined) {
    throw new UserError(`scenario and deployment would both be ${shownFrom(twice.path)}`, {
      hint: 'give the scenario another name: windtunnel init NAME',
    });
  }
  const taken = files.filter(({ path, replaces }) => {
    if (force || !existsSync(path)) return false;
    return statSync(path).isDirectory() || !replaces(readFileSync(path, 'utf8'));
  });
  if (taken.length === 0) return;
  throw new UserError(`${taken.map(each => shownFrom(each.path)).join(' and ')} exists already`, {
    hint: 'give the scenario another name, another folder with --out, or --force to overwrite',
  });
}

function writeAll(folder: string, files: readonly NewFile[]): void {
  try {
    for (const { path, text } of files) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
  } catch (error) {
    throw new UserError(`cannot write to ${shownFrom(folder)}: ${(error as Error).message}`, {
      hint: 'choose a folder that you may write to with --out',
    });
  }
}

/** As one types it from here. */
const shownFrom = (path: string): string => {
  const near = relative(process.cwd(), path);
  return near === '' ? '.' : near.startsWith('..') ? path : near;
};

function nextCommands(scenario: Copy, deployment: Copy | null): { command: string; why: string }[] {
  const file = shownFrom(scenario.file.path);
  const own = deployment === null ? null : shownFrom(deployment.file.path);
  const runs = own === null || deployment?.refused === true ? ROOMY_DEPLOYMENT : own;
  const refused = own !== null && deployment?.refused === true ? `; runs do not obey all of ${own} yet` : '';
  return [
    {
      command: `windtunnel check ${file}${own === null ? '' : ` -d ${own}`}`,
      why: 'calls, tokens, width and price, before anything runs',
    },
    {
      command: `windtunnel simulate ${file} -d ${runs}`,
      why: `on virtual GPUs, with a report page${refused}`,
    },
    { command: 'windtunnel catalog library', why: 'other scenarios, and other deployments to run it on' },
  ];
}
