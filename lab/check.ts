// `check`: what is wrong with the files, all at once; and of good ones the unrolled shape, before anything runs.
import { loadDeployment, readyCheck, settle } from '../engines/load.ts';
import { routingPolicies } from '../gateway/routing/index.ts';
import { loadRun, type RunOptions, withOptionalDeployment } from '../scenarios/cli/run-options.ts';
import { type Command, paint, printJson, say } from '../scenarios/cli/terminal.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import { pricesOf } from './prices.ts';
import { shapeOf, type WorkflowShape } from './shape.ts';

type CheckOptions = Omit<RunOptions, 'deployment'> & { deployment: string | undefined };

export const checkCommand: Command<CheckOptions> = {
  builder: yargs =>
    withOptionalDeployment(yargs)
      .example('$0 check job-scanner', 'the shape of a library scenario')
      .example('$0 check my.yaml -d my-cluster.yaml', 'both files, and whether prompts fit the window'),
  handler: async options => {
    const loaded = loadRun(options);
    const deployed =
      options.deployment === undefined ? null : loadDeployment(options.deployment, routingPolicies);
    if (deployed === null) settle(loaded, loaded.issues, options);
    else readyCheck(loaded, deployed, options);
    const plan = loaded.compiled!.plan as Plan;
    const pools = deployed?.deployment?.pools ?? [];
    const shapes = shapeOf(plan, loaded.compiled!.workflows, pricesOf(plan, pools));
    if (options.json) {
      printJson({
        ok: true,
        name: plan.name,
        seed: plan.seed,
        sessions: plan.sessionCount,
        shapes,
        imports: loaded.imports,
      });
      return;
    }
    say(options, shapeText(plan, shapes, deployed?.deployment?.name ?? null));
  },
};

const count = (value: number): string =>
  Math.abs(value - Math.round(value)) < 0.05 ? String(Math.round(value)) : value.toFixed(1);

function tokens(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(1)}k`;
  return value.toFixed(0);
}

const usd = (value: number): string => `$${value < 0.01 ? value.toFixed(5) : value.toFixed(3)}`;

const plural = (count: string, word: string): string => `${count} ${word}${count === '1' ? '' : 's'}`;

/** One block a workflow: numbers first, what they mean beside them. */
export function shapeText(plan: Plan, shapes: readonly WorkflowShape[], deployment: string | null): string {
  const sessions = plan.sessionCount === null ? 'sessions until time is up' : `${plan.sessionCount} sessions`;
  const lines = [
    `${paint('green', '✓')} ${paint('bold', plan.name)}: ${plan.cohorts.length} cohorts, ${sessions}, seed ${plan.seed}${deployment === null ? '' : `, fits ${deployment}`}`,
  ];
  for (const shape of shapes) {
    const many = shape.sessionsSampled > 1;
    const sampled = many ? `the first ${shape.sessionsSampled} sessions` : 'the first session';
    const expected =
      shape.callsExpected === null
        ? plural(count(shape.callsMean), 'call')
        : `${plural(count(shape.callsExpected), 'call')} expected`;
    const drawn =
      shape.callsMin === shape.callsMax
        ? `exactly ${shape.callsMin} in ${many ? 'each of ' : ''}${sampled}`
        : `${shape.callsMin} to ${shape.callsMax} in ${sampled}, mean ${count(shape.callsMean)}`;
    const reasoning =
      shape.reasoningTokensMean > 0 ? ` (${tokens(shape.reasoningTokensMean)} of it reasoning)` : '';
    const chain = `longest chain ${plural(String(shape.chainCalls), 'call')} and ${(shape.chainToolMs / 1000).toFixed(1)} s of tools and people`;
    lines.push(
      '',
      paint('bold', shape.workflow),
      `  calls        ${expected} (${drawn}), ${plural(count(shape.toolCallsMean), 'tool call')}`,
      `  width        up to ${plural(String(shape.widthMax), 'call')} at once; ${chain}`,
      `  tokens       ${tokens(shape.promptTokensMean)} in, ${tokens(shape.outputTokensMean)} out${reasoning} a session; longest prompt ${tokens(shape.promptTokensMax)}`,
      `  cacheable    ${(shape.cacheableRatio * 100).toFixed(1)} % of the prompt tokens, with a cache that never evicts`,
      shape.usdCached === null || shape.usdUncached === null
        ? '  list price   not known: give `price` under `models`'
        : `  list price   ${usd(shape.usdCached)} a session with that cache, ${usd(shape.usdUncached)} without`,
    );
  }
  return lines.join('\n');
}
