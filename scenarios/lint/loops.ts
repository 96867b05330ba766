// Loops and fan-outs that now and then grow far beyond their usual size, and agents that start anew without end.
import { quantile } from '../base/distributions.ts';
import type { Amount } from '../formats/amount.ts';
import { eachStep, type Step, type Workflow } from '../workflows/program.ts';
import { constantExpression, expectedPasses } from './expected.ts';
import { defineLint, type Finding, type LintContext, percent, shortCount } from './lint.ts';

/** One session in a thousand: often enough to meet it in a run. */
const RARE = 0.999;
/** A tail that makes the rare session so many times the median one. */
const HEAVY = 10;
/** More passes than this are not meant. */
const MANY_PASSES = 100;

export const loops = defineLint('WT2005', function* (context: LintContext): Generator<Finding> {
  for (const workflow of context.workflows.values()) {
    const found: Finding[] = [];
    eachStep(workflow.steps, step => {
      found.push(...boundless(step, workflow));
    });
    yield* found;
  }
  yield* restless(context);
});

function* boundless(step: Step, { params }: Workflow): Generator<Finding> {
  if (step.verb === 'map' && step.over !== null) {
    yield* heavyTail(step.over, params, [...step.at, 'over'], `branches of "${step.name}"`);
    return;
  }
  if (step.verb !== 'repeat') return;
  const { times, until, stopRatio, max, at, name } = step;
  if (times !== null && !Number.isFinite(max))
    yield* heavyTail(times, params, [...at, 'times'], `passes of "${name}"`);
  if (until !== null && constantExpression(until, params) === 0) {
    yield {
      path: [...at, 'until'],
      message: `the condition of "${name}" never holds: it always makes its ${shortCount(max)} passes`,
      hint: `write times: ${max}, or let the condition depend on tokens(), iteration or a drawn parameter`,
    };
  }
  const passes = stopRatio === null ? 0 : expectedPasses(stopRatio, max);
  if (stopRatio !== null && passes > MANY_PASSES) {
    yield {
      path: [...at, 'until'],
      message: `"${name}" makes ${shortCount(passes)} passes on average: it stops with ${percent(stopRatio)} after each, at most ${shortCount(max)}`,
      hint: 'raise p, or lower max',
    };
  }
}

/** A count whose rare value is far from its usual one, and that nothing clamps. */
function* heavyTail(
  amount: Amount,
  params: Workflow['params'],
  path: Finding['path'],
  what: string,
): Generator<Finding> {
  const named =
    amount.kind === 'expression' && amount.expression.kind === 'name'
      ? params.get(amount.expression.name)
      : amount;
  if (named?.kind !== 'draw' || Number.isFinite(named.max)) return;
  const usual = quantile(named.of, 0.5);
  const rare = quantile(named.of, RARE);
  if (rare <= HEAVY * Math.max(1, usual)) return;
  yield {
    path,
    message: `${what} have no bound: half of the draws are below ${shortCount(usual)}, but 1 in 1000 is above ${shortCount(rare)}`,
    hint: `add max to the distribution, e.g. max: ${Math.ceil(quantile(named.of, 0.99))} cuts 1 in 100`,
  };
}

/** Closed agents whose sessions and pauses take no time: they start anew forever at one instant. */
function* restless({ plan, walks, file }: LintContext): Generator<Finding> {
  for (const cohort of plan.cohorts) {
    if (cohort.kind !== 'closed' || cohort.thinkMs(0, 0) > 0) continue;
    const own = walks.filter(({ session }) => session.cohort === cohort.name);
    const timeless = own.every(({ calls, makespanMs }) => calls.length === 0 && makespanMs === 0);
    if (own.length === 0 || !timeless) continue;
    yield {
      path: ['traffic', cohort.index, 'arrival'],
      message: `agents of "${cohort.name}" start anew without any time passing: no session of the first ${own.length} has a call, a tool or a pause`,
      hint:
        file.traffic[cohort.index]?.workflow === undefined
          ? 'add `think`'
          : 'give the workflow work to do, or add `think`',
    };
  }
}
