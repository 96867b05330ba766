// Compiles the steps of one workflow: amounts parsed, names resolved, reads checked against what can have run.

import { mentions, parseExpression } from '../base/expression.ts';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { textKey } from '../base/key.ts';
import { type Amount, checkNames, constant, parseAmount } from '../formats/amount.ts';
import type { Dimension } from '../formats/quantity.ts';
import { parseScalar } from '../formats/quantity.ts';
import type { ScenarioFile } from '../formats/scenario.ts';
import { parseStep, type StepFile, VERBS } from '../formats/steps.ts';
import { didYouMean, show } from '../formats/suggest.ts';
import type {
  CompactStep,
  FanOutStep,
  LlmStep,
  RepeatStep,
  Segment,
  Step,
  ToolStep,
  TryStep,
} from './program.ts';

const LIMIT_DEPTH = 24;

/** What compiling one file's workflows shares. */
export interface CompileContext {
  readonly file: ScenarioFile;
  readonly segments: ReadonlyMap<string, Segment>;
  readonly paramNames: readonly string[];
  readonly issues: Issue[];
  /** Workflows being compiled, outermost first: an agent may not call one of these. */
  readonly stack: readonly string[];
  readonly defaultModel: string | null;
  /** Names of llm steps seen in this workflow. */
  readonly llmNames: Set<string>;
  /** Names of steps that may have run before the one being compiled. */
  readonly before: Set<string>;
  /** Inside `try` a tool that fails fails its list, unless it says otherwise. */
  readonly inTry: boolean;
  /** Lists around the one being compiled. */
  readonly depth: number;
  compileWorkflow(
    name: string,
    path: InputPath,
    stack: readonly string[],
  ): { steps: readonly Step[]; prefix: readonly Segment[] } | null;
}

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

type Base = { name: string; key: ReturnType<typeof textKey>; at: InputPath };

function amountOf(raw: unknown, dimension: Dimension, path: InputPath, context: CompileContext): Amount {
  const amount = parseAmount(raw, dimension, path, context.issues);
  if (amount === null) return constant(0);
  checkMentions(amount, path, context);
  return amount;
}

/** Names and steps that an expression mentions must be there. */
function checkMentions(amount: Amount, path: InputPath, context: CompileContext): void {
  checkNames(amount, [...context.paramNames, 'iteration'], path, context.issues);
  if (amount.kind !== 'expression') return;
  mentions(amount.expression, (what, step) => {
    if (what === 'tokens' && step !== 'prev') checkRead(step, path, context);
  });
}

function optionalAmount(
  raw: unknown,
  dimension: Dimension,
  path: InputPath,
  context: CompileContext,
): Amount {
  return raw === undefined ? constant(0) : amountOf(raw, dimension, path, context);
}

function checkRead(step: string, path: InputPath, context: CompileContext): void {
  if (context.before.has(step)) return;
  const hint = didYouMean(step, [...context.before]);
  context.issues.push(
    issue(
      path,
      'WT1105',
      `reads "${step}", which never ran before this step`,
      hint ??
        (context.before.size > 0
          ? `steps before it: ${[...context.before].join(', ')}`
          : 'no step runs before it'),
    ),
  );
}

function compileStep(file: StepFile, base: Base, context: CompileContext): Step | null {
  const { at } = base;
  switch (file.verb) {
    case 'llm':
      return compileLlm(file.body, base, context);
    case 'tool':
      return compileTool(file.body.tool, base, context);
    case 'human':
    case 'wait': {
      const raw = file.verb === 'human' ? file.body.human : file.body.wait;
      const adds = file.verb === 'human' ? file.body.adds : undefined;
      return {
        ...base,
        verb: file.verb,
        delayMs: amountOf(raw, 'ms', [...at, file.verb], context),
        adds: optionalAmount(adds, 'tokens', [...at, 'adds'], context),
      };
    }
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

type Body<V extends StepFile['verb']> = Extract<StepFile, { verb: V }>['body'];

function compileLlm(body: Body<'llm'>, base: Base, context: CompileContext): LlmStep {
  const { at } = base;
  claimName(body.llm, [...at, 'llm'], context);
  const step: Omit<LlmStep, 'compactAt'> = {
    ...base,
    verb: 'llm',
    model: modelOf(body, body.llm, at, context),
    role: body.role ?? null,
    prefix: body.prefix === undefined ? null : segmentsOf(body.prefix, [...at, 'prefix'], context),
    adds: optionalAmount(body.adds, 'tokens', [...at, 'adds'], context),
    reads: readsOf(body.reads, [...at, 'reads'], context),
    out: amountOf(body.out, 'tokens', [...at, 'out'], {
      ...context,
      paramNames: [...context.paramNames, 'reasoning'],
    }),
    reasoning: optionalAmount(body.reasoning, 'tokens', [...at, 'reasoning'], context),
    context: body.context ?? 'main',
    thread: body.thread ?? null,
  };
  return { ...step, compactAt: compactAtOf(body, step, context) };
}

/** Reads and tokens() need one of each name in a workflow. */
function claimName(name: string, path: InputPath, context: CompileContext): void {
  if (context.llmNames.size < context.llmNames.add(name).size) return;
  const hint = 'reads and tokens() need one of each name in a workflow';
  context.issues.push(issue(path, 'WT1103', `two llm steps are called "${name}"`, hint));
}

function modelOf(
  body: { model?: string | undefined },
  name: string,
  at: InputPath,
  context: CompileContext,
): string {
  const model = body.model ?? context.defaultModel;
  const aliases = Object.keys(context.file.models ?? {});
  if (model === null) {
    context.issues.push(
      issue(at, 'WT1004', `no model for "${name}"`, 'add `model:` to the step or to its workflow'),
    );
  } else if (aliases.length > 0 && !aliases.includes(model)) {
    // What no step names is the workflow's own default.
    const path =
      body.model === undefined ? ['workflows', context.stack.at(-1) as string, 'model'] : [...at, 'model'];
    const hint = didYouMean(model, aliases) ?? `under \`models\`: ${aliases.join(', ')}`;
    context.issues.push(issue(path, 'WT1102', `unknown model "${model}"`, hint));
  }
  return model ?? '';
}

function readsOf(
  reads: readonly string[] | undefined,
  path: InputPath,
  context: CompileContext,
): readonly string[] {
  for (const [index, read] of (reads ?? []).entries()) checkRead(read, [...path, index], context);
  return reads ?? [];
}

/** Tokens of a summary where `compact_at` does not say; an assumption. */
const SUMMARY_TOKENS = 2000;

function compactAtOf(
  body: Body<'llm'>,
  step: Omit<LlmStep, 'compactAt'>,
  context: CompileContext,
): LlmStep['compactAt'] {
  const given = body.compact_at;
  if (given === undefined) return null;
  const path = [...step.at, 'compact_at'];
  const parts = typeof given === 'object' ? given : { tokens: given };
  const inner = typeof given === 'object' ? (key: string) => [...path, key] : () => path;
  const { name, key, at, model, thread } = step;
  return {
    tokens: amountOf(parts.tokens, 'tokens', inner('tokens'), context),
    by: {
      name,
      key,
      at,
      model,
      thread,
      verb: 'compact',
      adds: constant(0),
      out:
        parts.out === undefined
          ? constant(SUMMARY_TOKENS)
          : amountOf(parts.out, 'tokens', inner('out'), context),
      keep: readsOf(parts.keep, inner('keep'), context),
    },
  };
}

function compileCompact(body: Body<'compact'>, base: Base, context: CompileContext): CompactStep {
  const { at } = base;
  claimName(body.compact, [...at, 'compact'], context);
  return {
    ...base,
    verb: 'compact',
    model: modelOf(body, body.compact, at, context),
    adds: optionalAmount(body.adds, 'tokens', [...at, 'adds'], context),
    out: amountOf(body.out, 'tokens', [...at, 'out'], context),
    keep: readsOf(body.keep, [...at, 'keep'], context),
    thread: body.thread ?? null,
  };
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

/** Resolves prefix segment names. */
export function segmentsOf(
  names: readonly string[],
  path: InputPath,
  context: Pick<CompileContext, 'segments' | 'issues'>,
): Segment[] {
  const found: Segment[] = [];
  for (const [index, name] of names.entries()) {
    const segment = context.segments.get(name);
    if (segment !== undefined) found.push(segment);
    else {
      const known = [...context.segments.keys()];
      context.issues.push(
        issue(
          [...path, index],
          'WT1102',
          `unknown prefix "${name}"`,
          didYouMean(name, known) ??
            (known.length > 0 ? `under \`prefixes\`: ${known.join(', ')}` : 'define it under `prefixes`'),
        ),
      );
    }
  }
  return found;
}

function compileTool(name: string, base: Base, context: CompileContext): ToolStep | null {
  const tools = context.file.tools ?? {};
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
  if (tool === undefined) {
    const known = Object.keys(tools);
    context.issues.push(
      issue(
        base.at,
        'WT1102',
        `unknown tool "${name}"`,
        didYouMean(name, known) ??
          (known.length > 0 ? `under \`tools\`: ${known.join(', ')}` : 'define it under `tools`'),
      ),
    );
    return null;
  }
  const at = ['tools', name];
  const fail = tool.fail === undefined ? { value: 0 } : parseScalar(tool.fail, 'ratio');
  if ('error' in fail) context.issues.push(issue([...at, 'fail'], 'WT1006', fail.error, fail.hint));
  return {
    ...base,
    verb: 'tool',
    latencyMs: amountOf(tool.latency, 'ms', [...at, 'latency'], context),
    resultTokens: optionalAmount(tool.result, 'tokens', [...at, 'result'], context),
    failRatio: 'value' in fail ? fail.value : 0,
    errorTokens:
      tool.error_result === undefined
        ? constant(60)
        : amountOf(tool.error_result, 'tokens', [...at, 'error_result'], context),
    onFail: tool.on_fail ?? (context.inTry ? 'stop' : 'continue'),
  };
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
