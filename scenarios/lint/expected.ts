// What the text of a scenario says before anything is drawn: values that no draw moves, expected values, and the calls
// that a list of steps will make.
import { type Expression, evaluate } from '../base/expression.ts';
import { type Amount, type DrawnAmount, meanAmount, settle } from '../formats/amount.ts';
import { eachStep, type Step } from '../workflows/program.ts';

type Params = ReadonlyMap<string, Amount>;

/** An expression over parameters; null where it needs what `meaning` does not know, or what only a run can tell. */
function foreseen(
  expression: Expression,
  params: Params,
  meaning: (amount: DrawnAmount) => number | null,
): number | null {
  let known = true;
  const unknown = (): number => {
    known = false;
    return 0;
  };
  const named = (name: string): number => {
    const param = params.get(name);
    if (param === undefined) return unknown();
    if (param.kind === 'expression') return evaluate(param.expression, { name: named, tokens: unknown });
    return meaning(param) ?? unknown();
  };
  const value = evaluate(expression, { name: named, tokens: unknown });
  return known ? value : null;
}

const fixed = (amount: DrawnAmount): number | null =>
  amount.of.kind === 'constant' ? settle(amount, amount.of.value, false) : null;

/** The value of an expression that depends on no draw and no result; else null. */
export const constantExpression = (expression: Expression, params: Params): number | null =>
  foreseen(expression, params, fixed);

/** The same of an amount. */
export const constantAmount = (amount: Amount, params: Params): number | null =>
  amount.kind === 'draw' ? fixed(amount) : constantExpression(amount.expression, params);

/** Expected value of an amount; null where it depends on results. */
export function expectedAmount(amount: Amount, whole: boolean, params: Params): number | null {
  if (amount.kind === 'draw') return meanAmount(amount, whole);
  // Rounding happens where the parameter is used; over a distribution it leaves the mean where it was.
  const { expression } = amount;
  const isDrawn = expression.kind === 'name' && params.get(expression.name)?.kind === 'draw';
  const value = foreseen(expression, params, param => meanAmount(param, whole && isDrawn));
  return value === null ? null : Math.min(Math.max(value, amount.min), amount.max);
}

/** Expected passes of a loop that stops with probability `stopRatio` after each, at most `max`. */
export function expectedPasses(stopRatio: number, max: number): number {
  if (stopRatio === 0) return max;
  // 1 + q + q^2 + … of `max` terms: doubled as the bits of `max` say, from the left.
  let passes = 0;
  let going = 1;
  for (const bit of max.toString(2)) {
    passes += going * passes;
    going *= going;
    if (bit !== '1') continue;
    passes += going;
    going *= 1 - stopRatio;
  }
  return passes;
}

/** Expected LLM calls of a list of steps, or null where only a run can tell. */
export function expectedCalls(steps: readonly Step[], params: Params): number | null {
  return sumOf(steps.map(step => callsOf(step, params)));
}

const sumOf = (parts: readonly (number | null)[]): number | null =>
  parts.reduce<number | null>((sum, each) => (sum === null || each === null ? null : sum + each), 0);

const times = (count: number | null, calls: number | null): number | null =>
  count === null || calls === null ? null : count * calls;

function callsOf(step: Step, params: Params): number | null {
  switch (step.verb) {
    case 'llm':
      // Whether the thread is summarised first depends on its length.
      return step.compactAt === null ? 1 : null;
    case 'compact':
      return 1;
    case 'tool':
    case 'human':
    case 'wait':
      return 0;
    case 'map':
      if (step.join !== 'all' || step.over === null) return null;
      return times(expectedAmount(step.over, true, params), expectedCalls(step.branches[0] ?? [], params));
    case 'parallel':
      if (step.join !== 'all') return null;
      return sumOf(step.branches.map(branch => expectedCalls(branch, params)));
    case 'repeat':
      return times(passesOf(step, params), expectedCalls(step.steps, params));
    case 'branch': {
      const total = step.cases.reduce((sum, each) => sum + (each.weight ?? 0), 0);
      if (total === 0) return null;
      const share = (weight: number | null): number => (weight ?? 0) / total;
      return sumOf(step.cases.map(each => times(share(each.weight), expectedCalls(each.steps, params))));
    }
    case 'try':
      return canFail(step.steps) ? null : expectedCalls(step.steps, params);
    case 'agent':
      return expectedCalls(step.steps, params);
  }
}

function passesOf(step: Extract<Step, { verb: 'repeat' }>, params: Params): number | null {
  if (step.until !== null) return constantExpression(step.until, params) === 0 ? step.max : null;
  if (step.stopRatio !== null) return expectedPasses(step.stopRatio, step.max);
  const count = step.times === null ? null : expectedAmount(step.times, true, params);
  return count === null ? null : Math.min(count, step.max);
}

/** Whether a tool in these steps may end them: then what runs on an error has calls of its own. */
function canFail(steps: readonly Step[]): boolean {
  let can = false;
  eachStep(steps, step => {
    if (step.verb === 'tool' && step.onFail === 'stop' && step.failRatio > 0) can = true;
  });
  return can;
}
