// The command line: names and one-line descriptions here, everything else loaded when a command is called.
import { statSync } from 'node:fs';
import yargs, { type Argv } from 'yargs';
import { hideBin } from 'yargs/helpers';
import type { ReplayOnQueue } from './loadgen/command.ts';
import type { AddBooks } from './reports/command.ts';
import { version } from './scenarios/cli/version.ts';
import type { RunResult } from './scenarios/formats/result.ts';
import type { PublishRun, ServeRun } from './scenarios/formats/run.ts';
import { closest } from './scenarios/formats/suggest.ts';
import type { PublishTrace } from './scenarios/formats/trace-report.ts';
import type { SimulateInParts } from './sim/command.ts';

/** Only the wiring sees reports/ beside the worlds. */
const publish: PublishRun = async (output, options) => {
  const published = await (await import('./reports/publish.ts')).publish(output, options);
  const { reporters = [], json = false } = options;
  if (reporters.length === 0) return published;
  const [{ runReport }, { tell }] = await Promise.all([
    import('./lab/gate/run-gate.ts'),
    import('./lab/gate/tell.ts'),
  ]);
  const stream = json ? process.stderr : process.stdout;
  tell(runReport(published.result as RunResult), reporters, text => void stream.write(text));
  return published;
};

const serve: ServeRun = async listen => (await import('./reports/serve/serve.ts')).serveRun(listen);

/** Only the lab knows queues. */
const replayOnQueue: ReplayOnQueue = async run =>
  (await import('./lab/queue/live/coordinate.ts')).replayOnQueue(run);

/** Only the lab knows threads. */
const simulateInParts: SimulateInParts = async options =>
  (await import('./lab/fleet/command.ts')).simulateInParts(options);

const publishTrace: PublishTrace = async (trace, options) =>
  (await import('./reports/trace/publish.ts')).publishTrace(trace, options);

/** For a run whose log is all that there is of it. */
const addBooks: AddBooks = async (output, books) => {
  const [{ withBooks }, { basisOf }, { sha256 }] = await Promise.all([
    import('./gateway/ledger/books.ts'),
    import('./scenarios/formats/run-log.ts'),
    import('./scenarios/cli/run-options.ts'),
  ]);
  return withBooks(output, basisOf(books), sha256, books.replicas);
};

/** `init --from` what operators run. */
const readOperators = async () => (await import('./engines/operators/reader.ts')).operatorsReader;

// biome-ignore lint/suspicious/noExplicitAny: each command has its own options; yargs parses them
type AnyCommand = { builder: any; handler: (options: any) => unknown };
interface Listed {
  readonly usage: string;
  readonly doc: string;
  readonly load: () => Promise<AnyCommand>;
}

const COMMANDS: readonly Listed[] = [
  {
    usage: 'demo',
    doc: 'the whole loop in a minute on this machine',
    load: async () => (await import('./lab/demo.ts')).demoCommand,
  },
  {
    usage: 'check <scenario>',
    doc: 'what is wrong with the files; else the shape of the work, before anything runs',
    load: async () => (await import('./lab/check.ts')).checkCommand,
  },
  {
    usage: 'simulate <scenario>',
    doc: 'run the workflows on a virtual cluster, in simulated time',
    load: async () => (await import('./sim/command.ts')).simulateCommand(publish, serve, simulateInParts),
  },
  {
    usage: 'replay <scenario>',
    doc: "send the same workflows as real load to the deployment's endpoints",
    load: async () => (await import('./loadgen/command.ts')).replayCommand(publish, serve, replayOnQueue),
  },
  {
    usage: 'validate <scenario>',
    doc: 'both, and the error of each metric',
    load: async () => (await import('./lab/validate/command.ts')).validateCommand,
  },
  {
    usage: 'compare [run..]',
    doc: 'runs against a baseline run: which differences are real, where they part, and why',
    load: async () => (await import('./lab/compare/command.ts')).compareCommand,
  },
  {
    usage: 'doctor <url>',
    doc: 'what a server can do, and what to write of it in a deployment, before any load',
    load: async () => (await import('./loadgen/doctor/command.ts')).doctorCommand,
  },
  {
    usage: 'selftest',
    doc: 'how much live load this machine can be trusted with, and our own error under it',
    load: async () => (await import('./loadgen/selftest/command.ts')).selftestCommand,
  },
  {
    usage: 'calibrate <url>',
    doc: 'minutes of small experiments on a live server: what its steps cost, as a profile and a deployment',
    load: async () => (await import('./lab/calibrate/command.ts')).calibrateCommand,
  },
  {
    usage: 'size <scenario>',
    doc: 'the cheapest deployment that keeps its promises, how sure that is, and what would change it',
    load: async () => (await import('./lab/size/command.ts')).sizeCommand,
  },
  {
    usage: 'sweep <scenario>',
    doc: 'many settings of scenario and deployment at once: the best point, the Pareto front, what matters',
    load: async () => (await import('./lab/sweep/command.ts')).sweepCommand,
  },
  {
    usage: 'bench-policies <scenario>',
    doc: 'the same plan under every policy of a kind, over a range of loads: which differences are real',
    load: async () => (await import('./lab/policy-bench/command.ts')).benchPoliciesCommand,
  },
  {
    usage: 'worker',
    doc: 'join a queue on Redis and run the cases that a sweep or size sends there, until Ctrl-C',
    load: async () => (await import('./lab/queue/command.ts')).workerCommand,
  },
  {
    usage: 'study [name]',
    doc: 'a claim of the field, run and judged: confirmed, partly or contradicted, with figures and charts',
    load: async () => (await import('./lab/studies/command.ts')).studyCommand,
  },
  {
    usage: 'backtest <dir>',
    doc: 'predict measured runs from their inputs, and score the predictions',
    load: async () => (await import('./lab/backtest/command.ts')).backtestCommand,
  },
  {
    usage: 'emulate <deployment>',
    doc: 'serve the virtual cluster as an OpenAI-compatible server',
    load: async () => (await import('./sim/emulator/command.ts')).emulateCommand,
  },
  {
    usage: 'import <trace..>',
    doc: 'read recorded sessions: counts, cache hits, what had to be inferred',
    load: async () => (await import('./scenarios/command.ts')).importCommand(publishTrace),
  },
  {
    usage: 'plan <scenario>',
    doc: 'write every draw of every session to a file that can be read, edited and run',
    load: async () => (await import('./scenarios/command.ts')).planCommand,
  },
  {
    usage: 'export <target> [scenario]',
    doc: 'a plan for another load generator, a deployment for operators, or manifests for our own workers',
    load: async () => (await import('./loadgen/export/command.ts')).exportCommand,
  },
  {
    usage: 'report <run..>',
    doc: 'the report page of one or many runs',
    load: async () => (await import('./reports/command.ts')).reportCommand(addBooks) as AnyCommand,
  },
  {
    usage: 'baseline <action> [what]',
    doc: 'runs that later ones are held against, as files to commit: save, show, update',
    load: async () => (await import('./lab/gate/command.ts')).baselineCommand,
  },
  {
    usage: 'init [name]',
    doc: 'write a scenario and a deployment of your own, from the library or from what you run',
    load: async () => (await import('./scenarios/cli/init.ts')).initCommand(readOperators),
  },
  {
    usage: 'schema [kind]',
    doc: 'the JSON Schema of scenarios or deployments, for completion in an editor',
    load: async () => (await import('./scenarios/cli/schema.ts')).schemaCommand,
  },
  {
    usage: 'catalog [kind] [text..]',
    doc: 'GPUs, models, prices, policies and library entries, with their sources',
    load: async () => {
      const { catalogCommand } = await import('./engines/command.ts');
      const { policyKinds } = await import('./sim/policy-kinds.ts');
      return catalogCommand(policyKinds);
    },
  },
];

const nameOf = (usage: string): string => usage.split(' ')[0] as string;

const isFolder = (path: string): boolean =>
  !COMMANDS.some(({ usage }) => nameOf(usage) === path) &&
  (statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false);

/** A bare file or folder simulates: `windtunnel FILE -d D`. */
function withDefaultCommand(args: readonly string[]): string[] {
  const first = args[0];
  const isFile =
    first !== undefined &&
    !first.startsWith('-') &&
    (/\.(ya?ml|m?ts|jsonl?|csv)$|\//.test(first) || isFolder(first));
  return isFile ? ['simulate', ...args] : [...args];
}

async function main(): Promise<void> {
  const args = withDefaultCommand(hideBin(process.argv));
  const json = args.some(arg => /^--json(=true)?$/.test(arg));
  const names = COMMANDS.map(command => nameOf(command.usage));
  let known: string[] = [];
  let cli = yargs(args)
    .scriptName('windtunnel')
    .usage(
      '$0 <command>\n\nA wind tunnel for agentic LLM traffic: one scenario, simulated on virtual GPUs and replayed on real ones.',
    )
    .version(version)
    .help()
    .alias('help', 'h')
    .wrap(Math.min(110, process.stdout.columns ?? 110))
    .strict()
    .demandCommand(1, 'which command?')
    .example('$0 demo', 'start here')
    .example('$0 check job-scanner', 'calls, tokens, width and price before anything runs')
    .example('$0 simulate job-scanner -d workstation-ministral-14b', 'the same on one virtual GPU')
    .epilogue(
      'Exit codes: 0 fine, 1 our failure, 3 not valid, 99 an assertion or tolerance failed, 104 bad input, 105 interrupted, 107 a routing policy of your own failed.',
    )
    .parserConfiguration({ 'camel-case-expansion': false, 'greedy-arrays': false })
    .exitProcess(false)
    .fail((message, error) => {
      if (error) throw error;
      const usage = COMMANDS.find(command => nameOf(command.usage) === args[0])?.usage;
      const words =
        usage !== undefined && /^Not enough non-option/.test(message)
          ? `something is missing: windtunnel ${usage}`
          : withSuggestion(message, [...names, ...known]);
      const hint = /Missing required argument: deployment/.test(message)
        ? 'on what? e.g. -d workstation-ministral-14b; `windtunnel catalog library` lists the others'
        : 'windtunnel --help, or windtunnel COMMAND --help';
      process.stderr.write(`error: ${words}\nhint: ${hint}\n`);
      if (json) process.stdout.write(`${JSON.stringify({ ok: false, error: words, hint })}\n`);
      process.exit(104);
    });
  for (const { usage, doc, load } of COMMANDS) {
    let loaded: AnyCommand | null = null;
    cli = cli.command(
      usage,
      doc,
      async (inner: Argv) => {
        loaded = await load();
        const built = loaded.builder(inner);
        known = optionNames(built);
        return built;
      },
      async options => {
        await (loaded ?? (await load())).handler(options);
      },
    ) as typeof cli;
  }
  try {
    await cli.parseAsync();
  } catch (error) {
    const { reportFailure } = await import('./scenarios/cli/terminal.ts');
    process.exitCode = reportFailure(error, json);
  }
}

/** The options of a command; yargs has them, but not in its types. */
function optionNames(built: Argv): string[] {
  const { key = {} } =
    (built as Argv & { getOptions?(): { key?: Record<string, unknown> } }).getOptions?.() ?? {};
  return Object.keys(key);
}

/** yargs names an unknown command or option; we add the nearest known one. */
function withSuggestion(message: string, known: readonly string[]): string {
  const unknown = /^Unknown (?:argument|command)s?: (.+)$/.exec(message)?.[1]?.split(', ')[0];
  const near = unknown === undefined ? null : closest(unknown, known);
  return near === null ? message : `${message}; did you mean "${near}"?`;
}

// A reader that has seen enough, such as head, closes the pipe: no failure of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});
await main();
