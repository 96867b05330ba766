// Questions about a deployment as it is: each is asked, answered in words and drawn.
import { loadDeployment, readyRun } from '../../engines/load.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { publishAnswers } from '../../reports/size/publish.ts';
import { EXIT, UserError } from '../../scenarios/base/errors.ts';
import { commandLine, deploymentSet, outFolder } from '../../scenarios/cli/run-options.ts';
import { ProgressLine, printJson, say } from '../../scenarios/cli/terminal.ts';
import { version } from '../../scenarios/cli/version.ts';
import type { SizeOptions } from './command.ts';
import type { Asking, Question } from './question.ts';
import { replicasOf, standingUsdPerHour } from './questions/replicas.ts';
import { type Running, setupOf } from './setup.ts';

/** Exits with 99 where something that was asked for cannot be had. */
export async function askAll(
  asked: readonly Question[],
  options: SizeOptions,
  running: Running,
): Promise<number> {
  const input = options.deployment;
  if (input === undefined)
    throw new UserError(`--${asked[0]!.name} asks about a deployment: which one?`, {
      hint: '-d FILE, or a library entry such as -d 8xh200-mistral-small-4',
    });
  const setup = setupOf(options, running);
  const set = deploymentSet(options.set);
  const deployed = loadDeployment(input, routingPolicies, set);
  const { deployment } = readyRun(setup.loaded, deployed, options);
  const out = outFolder(
    options,
    `${setup.plan.name}-${deployment.name}-${asked.map(({ name }) => name).join('-')}`,
    'answers',
  );
  const progress = new ProgressLine(options);
  const replicas = replicasOf(deployment);
  const values = options as unknown as Record<string, string | boolean | undefined>;
  const given = ({ name, isFlag }: Question): string => (isFlag ? '' : String(values[name]));
  const asking: Asking = {
    evaluator: setup.evaluator,
    candidate: {
      name: deployment.name,
      group: deployment.name,
      replicas,
      choices: {},
      deployment: { input, set },
      gpus: deployment.pools.reduce((sum, pool) => sum + pool.replicas * pool.tensorParallel, 0),
      usdPerHour: standingUsdPerHour(deployment),
    },
    deployed,
    deployment,
    stretch: setup.rungs[1].stretch,
    seeds: setup.seeds,
    others: Object.fromEntries(asked.map(question => [question.name, given(question)])),
    tell: text => progress.show(() => `${text} (${setup.evaluator.runs} runs)`),
  };
  const answers = [];
  try {
    for (const question of asked)
      answers.push({ question: question.name, ...(await question.ask(asking, given(question))) });
  } finally {
    progress.clear();
  }
  const document = {
    kind: 'answers' as const,
    tool: { name: 'agent-windtunnel' as const, version },
    command: commandLine(),
    scenario: setup.plan.name,
    deployment: deployment.name,
    trafficRatio: options.load,
    promises: setup.plan.assertions.map(({ text }) => text),
    notes: setup.notes,
    evidence: [...new Set(deployment.pools.flatMap(pool => pool.evidence))],
    answers,
  };
  const { written, summaryText } = await publishAnswers(document, out);
  if (options.json) printJson(written);
  say(options, summaryText);
  return answers.every(({ isMet }) => isMet) ? EXIT.ok : EXIT.failed;
}
