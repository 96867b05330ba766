// Compiles the steps of one workflow: lists, and the steps that run lists; names resolved, reads checked against what can
// have run. compile-leaves.ts has the steps that run none.
import { parseExpression } from '../base/expression.ts';
import { type InputPath, issue } from '../base/issue.ts';
import { textKey } from '../base/key.ts';
import { type Amount, constant } from '../formats/amount.ts';
import { parseScalar } from '../formats/quantity.ts';
import { parseStep, type StepFile, VERBS } from '../formats/steps.ts';
import { show } from '../formats/suggest.ts';
import { amountOf, type Base, type Body, type CompileContext, checkMentions } from './compile-context.ts';
import { compileCompact, compileLlm, compilePause, compileTool } from './compile-leaves.ts';
import type { FanOutStep, RepeatStep, Step, TryStep } from './program.ts';

const LIMIT_DEPTH = 24;

/**
 * Compiles a list; `path` is the list's. Steps that fail are left out after their issues are noted. `firstIndex` is that
 * of the first step under `path`; `taken` are names that stand for something else at this place.
 */
export function compileList(
  rawSteps: readonly unknown[],
  path: InputPath,
  around: CompileContext,
  { firstIndex = 0, taken = [] }: { firstIndex?: number; taken?: readonly string[] } = {},
): Step[] {
  const context = { ...around, depth: around.depth + 1 };
  const steps: Step[] = [];
  const seen = new Map<string, number>(taken.map(name => [name, 1]));
  if (context.depth > LIMIT_DEPTH) {
    const hint = 'move inner steps to a workflow and call it by `agent`';
    context.issues.push(issue(path, 'WT1109', `steps are nested more than ${LIMIT_DEPTH} deep`, hint));
    return steps;
  }
  for (const [index, raw] of rawSteps.entries()) {
    const at = [...path, firstIndex + index];
    const file = parseStep(raw, at, context.issues);
    if (file === null) {
      // Steps that read it are not wrong for that.
      const wanted = wantedName(raw);
      if (wanted !== null) context.before.add(wanted);
      continue;
    }
    const named = stepName(file);
    if (named === 'prev') {
      const message = '"prev" is the step before, wherever it stands: no step can have this name';
      context.issues.push(issue([...at, file.verb], 'WT1103', message, 'choose another name'));
    }
    const occurrence = (seen.get(named) ?? 0) + 1;
    seen.set(named, occurrence);
    const name = occurrence === 1 ? named : `${named}#${occurrence}`;
    const step = compileStep(file, { name, key: textKey(name), at }, context);
    if (step !== null) steps.push(step);
    context.before.add(named);
  }
  return steps;
}

/** The name that a step which cannot be read would have had. */
function wantedName(raw: unknown): string | null {
  if (typeof raw !== 'object' || raw === null) return null;
  const [name] = Object.entries(raw).flatMap(([key, value]) =>
    Object.hasOwn(VERBS, key) && typeof value === 'string' ? [value] : [],
  );
  return name ?? null;
}

function stepName(file: StepFile): string {
  const name = (file.body as Record<string, unknown>)[file.verb];
  return file.verb === 'human' || file.verb === 'wait' ? file.verb : String(name);
}

function compileStep(file: StepFile, base: Base, context: CompileContext): Step | null {
  const { at } = base;
  switch (file.verb) {
    case 'llm':
      return compileLlm(file.body, base, context);
    case 'tool':
      return compileTool(file.body, base, context);
    case 'human':
    case 'wait':
      return compilePause(file, base, context);
    case 'parallel':
      return compileParallel(file.body, base, context);
    case 'map':
      return {
        ...base,
        verb: 'map',
        over: Array.isArray(file.body.over)
          ? constant(file.body.over.length)
          : amountOf(file.body.over, 'count', [...at, 'over'], context),
        maxParallel:
          file.body.max_parallel === undefined
            ? null
            : amountOf(file.body.max_parallel, 'count', [...at, 'max_parallel'], context),
        join: file.body.join ?? 'all',
        branches: [compileList(file.body.steps, [...at, 'steps'], context)],
      } satisfies FanOutStep;
    case 'repeat':
      return compileRepeat(file.body, base, context);
    case 'branch':
      return compileBranch(file.body, base, context);
    case 'agent':
      return compileAgent(file.body, base, context);
    case 'try':
      return compileTry(file.body, base, context);
    case 'compact':
      return compileCompact(file.body, base, context);
  }
}

function compileTry(body: Body<'try'>, base: Base, context: CompileContext): TryStep {
  const { at } = base;
  const listOf = (key: 'steps' | 'on_error', inTry: boolean) => {
    const inner = { ...context, inTry, before: new Set(context.before) };
    // What runs on an error has the place `on_error` among the steps.
    const taken = key === 'steps' ? ['on_error'] : [];
    return { steps: compileList(body[key] ?? [], [...at, key], inner, { taken }), names: inner.before };
  };
  const tried = listOf('steps', true);
  const onError = listOf('on_error', context.inTry);
  for (const name of [...tried.names, ...onError.names]) context.before.add(name);
  return { ...base, verb: 'try', steps: tried.steps, onError: onError.steps };
}

function compileParallel(body: Body<'parallel'>, base: Base, context: CompileContext): FanOutStep {
  const at = [...base.at, 'branches'];
  // Siblings run at the same time: a branch sees what ran before the fan-out, not its siblings.
  const before = new Set(context.before);
  const all = new Set(context.before);
  const branches = body.branches.map((raw, index) => {
    const inner = { ...context, before: new Set(before) };
    if (Array.isArray(raw) && raw.length === 0)
      context.issues.push(
        issue([...at, index], 'WT1005', 'an empty list of steps', 'write a step, or take it out'),
      );
    // A branch of one step stands there without a list.
    const list = Array.isArray(raw)
      ? compileList(raw, [...at, index], inner)
      : compileList([raw], at, inner, { firstIndex: index });
    for (const name of inner.before) all.add(name);
    return list;
  });
  for (const name of all) context.before.add(name);
  const { join } = body;
  if (typeof join === 'number' && join > branches.length) {
    context.issues.push(
      issue(
        [...base.at, 'join'],
        'WT1005',
        `join ${join} of ${branches.length} branches`,
        `at most ${branches.length}`,
      ),
    );
  }
  return { ...base, verb: 'parallel', branches, over: null, maxParallel: null, join: join ?? 'all' };
}

/** The parameters of a condition are drawn under this name, at the place of the steps inside. */
const CONDITION = ['case'];

function compileRepeat(body: Body<'repeat'>, base: Base, context: CompileContext): RepeatStep {
  const { at } = base;
  const { times, until } = body;
  if ((times === undefined) === (until === undefined)) {
    const hint = 'e.g. times: 3, or until: { p: 25% } with max: 5';
    context.issues.push(issue(at, 'WT1005', 'repeat needs either `times` or `until`', hint));
  }
  if (until !== undefined && body.max === undefined) {
    context.issues.push(
      issue(at, 'WT1004', 'repeat with `until` needs `max`: a loop has a bound', 'e.g. max: 10'),
    );
  }
  const stop = typeof until === 'object' ? parseScalar(until.p, 'ratio') : null;
  if (stop !== null && 'error' in stop)
    context.issues.push(issue([...at, 'until', 'p'], 'WT1006', stop.error, stop.hint));
  // The condition is judged after a pass: it sees the steps inside.
  const steps = compileList(body.steps, [...at, 'steps'], context, { taken: CONDITION });
  return {
    ...base,
    verb: 'repeat',
    times: times === undefined ? null : amountOf(times, 'count', [...at, 'times'], context),
    stopRatio: stop !== null && 'value' in stop ? stop.value : null,
    until: typeof until === 'string' ? expressionOf(until, [...at, 'until'], context) : null,
    max: body.max ?? Number.POSITIVE_INFINITY,
    steps,
  };
}

function compileBranch(body: Body<'branch'>, base: Base, context: CompileContext): Step {
  const at = [...base.at, 'cases'];
  const weighted = body.cases.filter(each => each.weight !== undefined).length;
  const conditional = body.cases.filter(each => each.when !== undefined).length;
  const good =
    (weighted === body.cases.length && conditional === 0) ||
    (weighted === 0 && body.cases.slice(0, -1).every(each => each.when !== undefined));
  if (!good) {
    context.issues.push(
      issue(
        at,
        'WT1106',
        'cases must all have a weight, or all but the last a condition',
        'e.g. { weight: 80%, steps: […] } or { when: =iteration > 2, steps: […] }',
      ),
    );
  }
  const all = new Set(context.before);
  const cases = body.cases.map((each, index) => {
    const inner = { ...context, before: new Set(context.before) };
    const weight = each.weight === undefined ? null : parseScalar(each.weight, 'ratio');
    if (weight !== null && 'error' in weight)
      context.issues.push(issue([...at, index, 'weight'], 'WT1006', weight.error, weight.hint));
    const compiled = {
      weight: weight !== null && 'value' in weight ? weight.value : null,
      when: conditionOf(each.when, [...at, index, 'when'], inner),
      steps: compileList(each.steps, [...at, index, 'steps'], inner, { taken: CONDITION }),
    };
    for (const name of inner.before) all.add(name);
    return compiled;
  });
  for (const name of all) context.before.add(name);
  if (cases.every(each => each.weight === 0))
    context.issues.push(issue(at, 'WT1005', 'every weight is 0', 'give at least one a weight above 0'));
  return { ...base, verb: 'branch', cases };
}

function conditionOf(
  raw: string | undefined,
  path: InputPath,
  context: CompileContext,
): ReturnType<typeof expressionOf> {
  return raw === undefined ? null : expressionOf(raw, path, context);
}

function expressionOf(raw: string, path: InputPath, context: CompileContext) {
  const parsed = parseExpression(raw.trim().replace(/^=/, ''));
  if ('error' in parsed) {
    context.issues.push(issue(path, 'WT1007', `in ${show(raw)}: ${parsed.error.message}`, parsed.error.hint));
    return null;
  }
  const amount: Amount = { kind: 'expression', expression: parsed.expression, min: 0, max: 1 };
  checkMentions(amount, path, context);
  return parsed.expression;
}

function compileAgent(body: Body<'agent'>, base: Base, context: CompileContext): Step | null {
  const path = [...base.at, 'agent'];
  if (context.stack.includes(body.agent)) {
    context.issues.push(
      issue(
        path,
        'WT1104',
        `workflow "${body.agent}" calls itself: ${[...context.stack, body.agent].join(' -> ')}`,
        'a cycle never ends; use `repeat` with a bound',
      ),
    );
    return null;
  }
  const inner = context.compileWorkflow(body.agent, path, context.stack);
  if (inner === null) return null;
  return {
    ...base,
    verb: 'agent',
    workflow: body.agent,
    context: body.context ?? 'fresh',
    steps: inner.steps,
    prefix: inner.prefix,
  };
}
