// `export`: a plan in the files of another load generator, a deployment in those of its operators, or manifests for our own
// queue; with what is lost said.
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { loadDeployment, readyRun } from '../../engines/load.ts';
import { operatorFiles, targets } from '../../engines/operators/index.ts';
import { addedModels, CATALOG_FILE } from '../../engines/user-catalog.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import { shellWords } from '../../scenarios/base/shell-words.ts';
import {
  deploymentSet,
  loadDeploymentFile,
  loadRun,
  outFolder,
  type RunOptions,
  runName,
  withRun,
} from '../../scenarios/cli/run-options.ts';
import { type Command, printJson, say, settleIssues } from '../../scenarios/cli/terminal.ts';
import { version } from '../../scenarios/cli/version.ts';
import type { DeploymentFile } from '../../scenarios/formats/deployment/deployment.ts';
import { parseScalar } from '../../scenarios/formats/quantity.ts';
import { toYaml } from '../../scenarios/formats/source.ts';
import { closest } from '../../scenarios/formats/suggest.ts';
import { withEndpoints } from '../live-options.ts';
import { distributedManifests } from './distributed.ts';
import type { Exported, ExportedFile } from './exporter.ts';
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
  queue: string | undefined;
  image: string;
  workers: number;
  namespace: string | undefined;
  run: string;
}

const QUEUE_TARGET = {
  name: 'k8s',
  doc: 'manifests that run our own workers and a sweep, size or replay on a queue',
};
/** Every target, for help and messages. */
const ALL = [...exporters, ...targets, QUEUE_TARGET];

export const exportCommand: Command<ExportCommandOptions> = {
  builder: yargs =>
    withRun(yargs)
      .positional('target', {
        type: 'string',
        demandOption: true,
        describe: ALL.map(({ name, doc }) => `${name}: ${doc}`).join('; '),
      })
      // A deployment for operators has none: what stands there then is the deployment.
      .positional('scenario', { type: 'string', default: '' })
      .middleware(argv => {
        const { target, scenario } = argv as Partial<ExportCommandOptions>;
        if (argv.deployment !== undefined || !scenario || !targets.some(({ name }) => name === target))
          return;
        argv.deployment = scenario;
        argv.scenario = '';
      }, true)
      .alias('out', 'o')
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
      .option('queue', {
        type: 'string',
        describe: 'k8s: address of Redis, e.g. rediss://redis.data.svc:6380',
      })
      .option('image', {
        type: 'string',
        default: `agent-windtunnel:${version}`,
        describe: 'k8s: the image, with this version in it',
      })
      .option('workers', { type: 'number', default: 4, describe: 'k8s: pods that work' })
      .option('namespace', { type: 'string', describe: 'k8s: of every manifest [that of kubectl]' })
      .option('run', {
        type: 'string',
        default: 'sweep',
        describe:
          "k8s: sweep, size or replay with its own options, e.g. 'sweep --vary pools.main.replicas=1..8'",
      })
      .group(['queue', 'image', 'workers', 'namespace', 'run'], 'Kubernetes:')
      .describe('sessions', 'only the first so many sessions of each cohort')
      .group(['endpoint', 'sse', 'testrun', 'vus', 'timeout', 'vocab', 'salt'], 'Export:')
      .example('$0 export k6 mixed-fleet -d emulated --out load', 'then: k6 run load/script.ts')
      .example('$0 export aiperf mixed-fleet -d emulated', "conversations for aiperf's dag_jsonl")
      .example('$0 export kubernetes -d 8xh200-mistral-small-4 -o ops', 'what an operator pastes')
      .example(
        '$0 export k8s mixed-fleet -d emulated --queue rediss://redis.data.svc:6380',
        'our own workers',
      ),
  handler: options => {
    const { target, scenario } = options;
    if (targets.some(({ name }) => name === target)) {
      exportDeployment(options);
      return;
    }
    const exporter = exporters.find(({ name }) => name === target);
    if (exporter === undefined && target !== QUEUE_TARGET.name) {
      const names = ALL.map(({ name }) => name);
      const near = closest(target, names);
      throw new UserError(`there is no export "${target}"`, {
        hint: near === null ? `one of ${names.join(', ')}` : `did you mean "${near}"?`,
      });
    }
    if (scenario === '')
      throw new UserError(
        `something is missing: windtunnel export ${target} SCENARIO -d ${options.deployment}`,
        {
          hint: 'name a scenario, or a target that takes a deployment alone: vllm, kubernetes, dynamo, llm-d',
        },
      );
    if (exporter === undefined) {
      exportQueue(options);
      return;
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
      files: [exportNote(about), ...files],
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

/** What these targets do not look at; each would be dropped in silence. */
const OF_PLANS = [
  'seed',
  'routing',
  'timing',
  'gap-scale',
  'scale-tokens',
  'warm',
  'concurrent',
  'sessions',
] as const;

function refuseOptions(options: ExportCommandOptions, more: readonly (keyof ExportCommandOptions)[]): void {
  const given = [...OF_PLANS, 'testrun', 'vus', 'salt', ...more].find(
    name => options[name as keyof ExportCommandOptions] !== undefined,
  );
  if (given === undefined) return;
  throw new UserError(`--${given} says nothing to export ${options.target}`, { hint: 'leave it out' });
}

/** The deployment file, checked against the catalogue as a run would. */
function checkedDeployment(options: ExportCommandOptions): DeploymentFile {
  const set = deploymentSet(options.set);
  const deployed = loadDeployment(options.deployment, routingPolicies, set);
  settleIssues([deployed], options);
  return loadDeploymentFile(options.deployment, set).parsed.file as DeploymentFile;
}

/** What operators paste. */
function exportDeployment(options: ExportCommandOptions): void {
  const { target, scenario } = options;
  if (scenario !== '')
    throw new UserError(`export ${target} takes a deployment alone, not "${scenario}"`, {
      hint: `windtunnel export ${target} -d ${options.deployment}`,
    });
  refuseOptions(options, ['queue', 'namespace']);
  const unused = options.set.find(each => deploymentSet([each]).length === 0);
  if (unused !== undefined)
    throw new UserError(`--set ${unused}: a deployment has no such key`, {
      hint: 'e.g. --set pools.main.replicas=4',
    });
  const deployment = checkedDeployment(options);
  const files = operatorFiles(deployment, [target]);
  const folder = outFolder(options, deployment.deployment, target);
  const unmapped = files.flatMap(each => each.unmapped);
  const about = { target, deployment: deployment.deployment, unmapped };
  writeExport(folder, {
    files: [exportNote(about), ...files.map(({ path, text }) => ({ name: path, text: [text] }))],
  });
  if (options.json) printJson({ folder, files: files.map(({ path }) => path), ...about });
  if (!options.quiet && unmapped.length > 0)
    process.stderr.write(`not in them:\n${unmapped.map(({ path, why }) => `- ${path}: ${why}\n`).join('')}`);
  say(options, files.map(({ path }) => `wrote ${join(folder, path)}`).join('\n'));
}

/** Manifests for our own workers, with the inputs in them. */
function exportQueue(options: ExportCommandOptions): void {
  const { queue, workers, set } = options;
  if (queue === undefined)
    throw new UserError('export k8s needs the address of Redis', {
      hint: 'e.g. --queue rediss://redis.data.svc:6380',
    });
  refuseOptions(options, []);
  if (!Number.isInteger(workers) || workers < 1)
    throw new UserError(`--workers ${workers}: expected a whole number above 0`, {
      hint: 'e.g. --workers 8',
    });
  const loaded = loadRun(options);
  const deployed = loadDeployment(options.deployment, routingPolicies, deploymentSet(set));
  const { plan, deployment } = readyRun(loaded, deployed, options, 'live');
  if (loaded.kind !== 'scenario' || loaded.imports.length > 0)
    throw new UserError(`${options.scenario} has a trace or a written plan beside it`, {
      hint: 'a ConfigMap holds small files: put the trace on a volume, and the command into the Job by hand',
    });
  const models = addedModels(loadDeploymentFile(options.deployment).path);
  const { text, needs } = distributedManifests({
    name: plan.name,
    namespace: options.namespace ?? null,
    queue,
    image: options.image,
    workers,
    run: shellWords(options.run),
    files: {
      'scenario.yaml': toYaml(loaded.source.value),
      'deployment.yaml': toYaml(deployed.source.value),
      ...(models.length === 0
        ? {}
        : { [CATALOG_FILE]: `${JSON.stringify({ windtunnel: 1, models }, null, 1)}\n` }),
    },
    endpoints: deployment.pools.flatMap(pool => pool.endpoints.map(({ url }) => url)),
  });
  const folder = outFolder(options, runName({ plan, deployment }), QUEUE_TARGET.name);
  const name = 'windtunnel.k8s.yaml';
  const about = { target: QUEUE_TARGET.name, plan: plan.name, workers, needs };
  writeExport(folder, { files: [exportNote(about), { name, text: [text] }] });
  if (options.json) printJson({ folder, files: [name], ...about });
  if (!options.quiet) process.stderr.write(`it needs:\n${needs.map(each => `- ${each}\n`).join('')}`);
  say(options, `wrote ${join(folder, name)}`);
  say(options, `run it: kubectl apply -f ${join(folder, name)}`);
}

/** What was exported; it marks the folder as ours. */
const exportNote = (about: object): ExportedFile => ({
  name: 'export.json',
  text: [`${JSON.stringify(about, null, 1)}\n`],
});

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
