// `windtunnel size`: the cheapest deployment that keeps its promises and how sure that is, or an answer to a question about
// a deployment that there is.
import { join } from 'node:path';
import type { Argv } from 'yargs';
import { loadDeployment } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { HOURS_PER_MONTH } from '../../reports/money.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import {
  commandLine,
  deploymentSet,
  outFolder,
  withOptionalDeployment,
} from '../../scenarios/cli/run-options.ts';
import { type Command, onInterrupt, ProgressLine, printJson, say } from '../../scenarios/cli/terminal.ts';
import { version } from '../../scenarios/cli/version.ts';
import { parseScalar } from '../../scenarios/formats/quantity.ts';
import { SIZE_SCHEMA_VERSION, type SizeResult } from '../../scenarios/formats/size.ts';
import { type QueueOptions, runnerOf, withQueue } from '../queue/options.ts';
import { answerOf } from './answer.ts';
import { askAll } from './ask.ts';
import {
  type Base,
  baseOfDeployment,
  baseOfScenario,
  type SpaceOptions,
  spaceOf,
  writeBase,
} from './base.ts';
import { sizeFleet } from './fixed/size-fleet.ts';
import { questions } from './questions/index.ts';
import { type Running, type Setup, type SetupOptions, setupOf } from './setup.ts';
import { writeAnswer } from './write.ts';

export interface SizeOptions extends SetupOptions, SpaceOptions, QueueOptions {
  model: string | undefined;
  pool: string | undefined;
  budget: string | undefined;
  fleet: string | undefined;
  'whole-week': boolean;
}

const several = (describe: string) =>
  ({ type: 'string', array: true, nargs: 1, default: [] as string[], describe }) as const;

const withQuestions = <T>(yargs: Argv<T>): Argv<T> =>
  questions.reduce<Argv<T>>(
    (all, { name, describe, isFlag }) =>
      all.option(
        name,
        isFlag ? { type: 'boolean', describe } : { type: 'string', nargs: 1, describe },
      ) as never,
    yargs,
  );

export const sizeCommand: Command<SizeOptions> = {
  builder: yargs =>
    withQuestions(withQueue(withOptionalDeployment(yargs)))
      .option('slo', several('a promise beside the scenario\'s own, e.g. "p95(ttft) < 2s"; repeatable'))
      .option('load', { type: 'number', default: 1, describe: "times the scenario's traffic" })
      .option('budget', { type: 'string', describe: 'USD that may be spent: 40/h, or 20000/month' })
      .option('fleet', {
        type: 'string',
        describe: 'GPUs that one has, used as well as can be: h200:64[,h100:32]',
      })
      .option('model', { type: 'string', describe: 'without -d: the model that serves' })
      .option('pool', {
        type: 'string',
        describe: 'with -d: the pool that is sized, where there are several',
      })
      .option('gpu', {
        type: 'string',
        describe: 'GPUs to choose from, e.g. h100,h200 [all that have a price]',
      })
      .option('tp', { type: 'string', describe: 'GPUs of a replica to choose from [1,2,4,8]' })
      .option('replicas', { type: 'string', default: '1..64', describe: 'how many replicas' })
      .option('split', { type: 'boolean', default: false, describe: 'prefill and decode apart, too' })
      .option('routing', { type: 'string', describe: "routers to choose from [the deployment's own]" })
      .option('vary', several('another setting to choose, e.g. pools.main.precision.weights=bf16,fp8'))
      .option('price', several("of a GPU-hour, e.g. h100=2.50/h [the catalogue's]"))
      .option('seeds', { type: 'number', default: 5, describe: 'runs of each finalist' })
      .option('whole-week', {
        type: 'boolean',
        default: false,
        describe: 'simulate all of a week, not a part that stands for it',
      })
      .option('jobs', { type: 'number', describe: 'threads [one a core]' })
      .group(['slo', 'load', 'budget', 'fleet'], 'What is asked:')
      .group(
        ['model', 'pool', 'gpu', 'tp', 'replicas', 'split', 'routing', 'vary', 'price'],
        'What may be chosen:',
      )
      .group(
        questions.map(({ name }) => name),
        'Questions about the deployment of -d, instead:',
      )
      .example('$0 size mixed-fleet --slo "p95(ttft) < 1s"', 'the cheapest GPUs for a library scenario')
      .example(
        '$0 size S -d D --load 20 --gpu h100,h200 --tp 1,2 --split',
        'twenty times the traffic, three choices',
      )
      .example('$0 size S -d D --fleet h200:64', 'the most traffic that these GPUs hold, and how')
      .example('$0 size S -d D --max-load', 'how much traffic does this deployment hold?')
      .example('$0 size S -d D --growth 10%/month', 'when does growth break it, and what then?'),
  handler: async options => {
    const stopped = { now: false };
    const ignore = onInterrupt(() => {
      stopped.now = true;
    });
    const runner = await runnerOf(options);
    try {
      const running: Running = { run: runner.run, isStopped: () => stopped.now };
      const asked = questions.filter(({ name }) => isAsked(options, name));
      process.exitCode = await answered(asked, options, running);
    } finally {
      ignore();
      await runner.close();
    }
  },
};

function answered(asked: typeof questions, options: SizeOptions, running: Running): Promise<number> {
  const { fleet } = options;
  if (fleet === undefined) return asked.length > 0 ? askAll(asked, options, running) : size(options, running);
  if (asked.length === 0) return sizeFleet(fleet, options, running);
  throw new UserError(`--${asked[0]!.name} asks about a deployment as it is, --fleet finds one`, {
    hint: 'ask --fleet first, then the question with -d of the deployment.yaml that it wrote',
  });
}

/** The value of a question's option; absent or false: it is not asked. */
const isAsked = (options: SizeOptions, name: string): boolean => {
  const value = (options as unknown as Record<string, unknown>)[name];
  return value !== undefined && value !== false;
};

async function size(options: SizeOptions, running: Running): Promise<number> {
  const budgetUsdPerHour = budgetOf(options.budget);
  const setup = setupOf(options, running);
  const base = baseOf(options, setup);
  const space = spaceOf(base, options, Object.keys(routingPolicies));
  const { plan } = setup;
  const name = String(base.value.deployment ?? 'deployment');
  const out = outFolder(options, `${plan.name}-${name}`, 'size');
  const path = writeBase(base, join(out, 'inputs'));
  const progress = new ProgressLine(options);
  const { found, winner, charts } = await answerOf({
    setup,
    base,
    path,
    space,
    trafficRatio: options.load,
    budgetUsdPerHour,
    isWholeWeek: options['whole-week'],
    isStopped: running.isStopped,
    tell: text => progress.show(() => `${text} (${setup.evaluator.runs} runs)`),
  }).finally(() => progress.clear());
  const result: SizeResult = {
    schemaVersion: SIZE_SCHEMA_VERSION,
    kind: 'size',
    tool: { name: 'agent-windtunnel', version },
    command: commandLine(),
    scenario: { name: plan.name, sha256: plan.sha256 },
    base: name,
    ...found,
    files: [],
  };
  const { written, summaryText } = await writeAnswer(result, { out, base, winner, charts });
  if (options.json) printJson(written);
  say(options, summaryText);
  if (result.isInterrupted) return EXIT.interrupted;
  return result.answer === null ? EXIT.failed : EXIT.ok;
}

function baseOf({ deployment, set, pool, model }: SizeOptions, { context }: Setup): Base {
  if (deployment === undefined) {
    if (pool !== undefined)
      throw new UserError(`--pool ${pool} names a pool of a deployment, and there is none`, {
        hint: 'give it with -d; without one, a single pool is sized',
      });
    return baseOfScenario(context, model);
  }
  if (model !== undefined)
    throw new UserError('--model is for sizing without a deployment, and -d names one', {
      hint: 'leave one of them out; --models A,B compares models on this deployment',
    });
  const { source, models } = loadDeployment(deployment, routingPolicies, deploymentSet(set));
  return baseOfDeployment(source.value, models, pool);
}

/** USD an hour. */
function budgetOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const [, amount = '', unit = ''] = /^\$?([\d.]+k?)\s*\/\s*(h|hour|d|day|month)$/.exec(text.trim()) ?? [];
  const parsed = parseScalar(amount, 'count');
  const hint = 'e.g. --budget 40/h, 500/day or 20000/month';
  if (unit === '' || !('value' in parsed))
    throw new UserError(`--budget ${text}: expected USD for a time`, { hint });
  if (!(parsed.value > 0)) throw new UserError(`--budget ${text}: expected more than nothing`, { hint });
  return parsed.value / { h: 1, hour: 1, d: 24, day: 24, month: HOURS_PER_MONTH }[unit as 'h'];
}
