// Compiles a scenario file into a plan: names resolved, amounts parsed, every problem noted.
//
//   params, prefixes, models ─▶ workflows ─▶ cohorts ─▶ assertions and SLOs ─▶ plan
import { mentions } from '../base/expression.ts';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { seedKey, textKey } from '../base/key.ts';
import { type Amount, checkNames, constant, parseAmount } from '../formats/amount.ts';
import type { Assertion } from '../formats/assertion.ts';
import { parseAssertion } from '../formats/assertions.ts';
import { ROLES } from '../formats/fields.ts';
import type { Cohort, ModelAlias, Plan } from '../formats/plan.ts';
import { type Dimension, parseScalar } from '../formats/quantity.ts';
import type { PrefixFile, ScenarioFile } from '../formats/scenario.ts';
import { didYouMean } from '../formats/suggest.ts';
import { plainName } from './around.ts';
import { type CompileInput, compileCohort } from './compile-cohorts.ts';
import { checkFaults, compileCrashes, compileFaults, type KnownTargets } from './compile-faults.ts';
import { checkGoverned } from './compile-governed.ts';
import { segmentsOf } from './compile-leaves.ts';
import { checkToolRules, scenarioRules, workflowRules } from './compile-rules.ts';
import { withSlackShares } from './compile-slack.ts';
import { compileSlos } from './compile-slos.ts';
import { compileList } from './compile-steps.ts';
import { childLists, eachStep, type Segment, type Step, type Workflow } from './program.ts';

export interface Compiled {
  readonly plan: Plan | null;
  readonly workflows: ReadonlyMap<string, Workflow>;
  readonly issues: readonly Issue[];
}

export function compile(input: CompileInput): Compiled {
  const { file } = input;
  const issues: Issue[] = [];
  const root = seedKey(file.seed ?? 1);
  // 1.
  const params = compileParams(file, issues);
  const segments = compileSegments(file, params, issues);
  const models = compileModels(file);
  checkTools(file, issues);
  checkGoverned(file, issues);
  // 2.
  const workflows = compileWorkflows(file, params, segments, issues);
  // 3.
  const cohorts: Cohort[] = [];
  const cohortNames: (string | null)[] = [];
  const names = new Set<string>();
  let sessionCount: number | null = 0;
  for (const [index, cohortFile] of file.traffic.entries()) {
    const made = compileCohort({ input, cohortFile, index, root, workflows, issues });
    cohortNames.push(made?.cohort.name ?? null);
    if (made === null) continue;
    if (names.has(made.cohort.name)) {
      issues.push(
        issue(
          ['traffic', index],
          'WT1103',
          `two cohorts are called "${made.cohort.name}"`,
          'give one of them a `name:`',
        ),
      );
    }
    names.add(made.cohort.name);
    cohorts.push(made.cohort);
    sessionCount = sessionCount === null || made.sessions === null ? null : sessionCount + made.sessions;
  }
  for (const cohort of input.lines?.keys() ?? []) {
    if (!names.has(cohort))
      issues.push(
        issue([], 'WT1302', `the plan lists sessions of "${cohort}", which is no cohort of its scenario`),
      );
  }
  for (const index of input.traces.keys()) {
    if (file.traffic[index]?.trace === undefined)
      issues.push(
        issue([], 'WT1302', `the plan has recorded sessions of cohort ${index}, which replays none`),
      );
  }
  // 4.
  const assertions = [...compileAssertions(file, workflows, names, issues), ...compileSlos(file, issues)];
  const rules = scenarioRules(file, workflows, cohortNames, issues);
  if (file.faults !== undefined) checkFaults(file.faults, targetsOf(file, workflows), issues);
  const failed = hasErrors(issues);
  const plan: Plan = {
    name: file.name ?? input.name,
    sha256: input.sha256,
    seed: file.seed ?? 1,
    cohorts,
    assertions,
    models,
    modelsUsed: modelsUsed(input, workflows),
    sessionCount,
    ...(file.faults === undefined
      ? {}
      : { crashes: compileCrashes(file.faults), faults: compileFaults(file.faults) }),
    // A trace alone says nothing.
    ...((file.workflows ?? file.models ?? file.tenants) === undefined ? {} : { rules }),
  };
  return { plan: failed ? null : plan, workflows, issues: withoutRepeats(issues) };
}

const hasErrors = (issues: readonly Issue[]): boolean => issues.some(each => each.severity === 'error');

/** What the faults of a scenario may be about. */
function targetsOf(file: ScenarioFile, workflows: ReadonlyMap<string, Workflow>): KnownTargets {
  const steps = new Set<string>();
  for (const workflow of workflows.values())
    eachStep(workflow.steps, ({ verb, name }) => {
      if (verb === 'llm' || verb === 'tool' || verb === 'compact') steps.add(plainName(name));
    });
  return { tool: Object.keys(file.tools ?? {}), workflow: [...workflows.keys()], step: [...steps] };
}

/** Every model that a call of this traffic may name, also in steps that are rarely taken. */
function modelsUsed({ file, traces }: CompileInput, workflows: ReadonlyMap<string, Workflow>): string[] {
  const used = new Set<string>();
  for (const [index, cohort] of file.traffic.entries()) {
    for (const name of [cohort.workflow ?? [], Object.keys(cohort.mix ?? {})].flat()) {
      eachStep(workflows.get(name)?.steps ?? [], step => {
        if (step.verb === 'llm' || step.verb === 'compact') used.add(step.model);
      });
    }
    for (const session of cohort.trace === undefined ? [] : (traces.get(index) ?? [])) {
      for (const call of session.calls) used.add(cohort.model ?? call.model);
    }
  }
  return [...used];
}

/** A tool is compiled at each of its uses, but its problems are told once. */
function withoutRepeats(issues: readonly Issue[]): Issue[] {
  const seen = new Set<string>();
  return issues.filter(each => {
    const name = JSON.stringify([each.code, each.path, each.message]);
    return seen.size < seen.add(name).size;
  });
}

/** Words of expressions, which no parameter can be called. */
const RESERVED = ['iteration', 'reasoning', 'and', 'or', 'not'];

function compileParams(file: ScenarioFile, issues: Issue[]): Map<string, Amount> {
  const params = new Map<string, Amount>();
  const names = Object.keys(file.params ?? {});
  for (const [name, raw] of Object.entries(file.params ?? {})) {
    const path = ['params', name];
    if (RESERVED.includes(name)) {
      const message = `"${name}" is a word of expressions: no parameter can have this name`;
      issues.push(issue(path, 'WT1103', message, 'choose another name', { atKey: true }));
    }
    // A parameter has no dimension of its own: a text with a unit is read as what it looks like.
    const dimension: Dimension = looksLikeTime(raw) ? 'ms' : 'count';
    const amount = parseAmount(raw, dimension, path, issues);
    if (amount !== null) checkNames(amount, names, path, issues);
    // What uses it is not wrong for that.
    params.set(name, amount ?? constant(0));
  }
  checkChains(params, issues);
  for (const [name, amount] of params) refuseSteps(amount, ['params', name], issues);
  return params;
}

/** Parameters that stand on each other: so many in a chain, so many uses in all. */
const MAX_CHAIN = 100;
const MAX_USES = 1000;

/** Parameters may use each other, but not in a circle, and not so often that one value is a sum of thousands. */
function checkChains(params: ReadonlyMap<string, Amount>, issues: Issue[]): void {
  const usesOf = new Map<string, number>();
  const refuse = (name: string, code: string, message: string, hint: string): number => {
    issues.push(issue(['params', name], code, message, hint));
    return 1;
  };
  /** Parameters that a use of this one draws. */
  const visit = (name: string, above: readonly string[]): number => {
    const known = usesOf.get(name);
    if (known !== undefined) return known;
    const amount = params.get(name);
    if (above.includes(name)) {
      const circle = [...above.slice(above.indexOf(name)), name].join(' -> ');
      const message = `parameters need each other in a circle: ${circle}`;
      return refuse(name, 'WT1104', message, 'give one of them a number');
    }
    if (above.length === MAX_CHAIN)
      return refuse(
        name,
        'WT1109',
        `more than ${MAX_CHAIN} parameters stand on each other`,
        'shorten the chain',
      );
    let uses = 1;
    if (amount?.kind === 'expression')
      mentions(amount.expression, (what, inner) => {
        if (what === 'name') uses += visit(inner, [...above, name]);
      });
    if (uses > MAX_USES)
      uses = refuse(
        name,
        'WT1109',
        `"${name}" stands for more than ${MAX_USES} parameters`,
        'use fewer in it',
      );
    usesOf.set(name, uses);
    return uses;
  };
  for (const name of params.keys()) visit(name, []);
}

/** Parameters and prefixes are drawn outside of any step, so they cannot speak of what steps gave. */
function refuseSteps(amount: Amount, path: InputPath, issues: Issue[]): void {
  if (amount.kind !== 'expression') return;
  mentions(amount.expression, (what, step) => {
    if (what === 'tokens')
      issues.push(
        issue(path, 'WT1105', `tokens(${step}) has no meaning here`, 'write it in the step that uses it'),
      );
  });
}

const looksLikeTime = (raw: unknown): boolean =>
  /\d\s*(us|ms|s|m|h|d)"?[,}\s]*$|\d(us|ms|s|m|h|d)"/.test(JSON.stringify(raw) ?? '');

/** The highest of the engines that retain by priority. */
const MOST_RETAINED = 100;
/** What labels ask for, on the scale on which anything else has 35: `session` is worth as much as the history behind it. */
const RETAINED = { durable: 80, session: 35, ephemeral: 10 } as const satisfies Record<
  NonNullable<PrefixFile['retention']>,
  number
>;

/** A segment's own priority, else most for the time that it is to be kept, else what its label asks for. */
function worthOf({ priority, ttl, retention }: PrefixFile): Segment['worth'] {
  const labelled = retention === undefined ? null : RETAINED[retention];
  const worth = priority ?? (ttl === undefined ? labelled : MOST_RETAINED);
  if (worth === null) return null;
  const duration = ttl === undefined ? null : parseScalar(ttl, 'ms');
  const durationMs = duration !== null && 'value' in duration ? duration.value : null;
  return { priority: worth, durationMs };
}

function compileSegments(
  file: ScenarioFile,
  params: ReadonlyMap<string, Amount>,
  issues: Issue[],
): Map<string, Segment> {
  const segments = new Map<string, Segment>();
  for (const [name, raw] of Object.entries(file.prefixes ?? {})) {
    const path = ['prefixes', name, 'tokens'];
    const tokens = parseAmount(raw.tokens, 'tokens', path, issues) ?? constant(0);
    checkNames(tokens, [...params.keys()], path, issues);
    refuseSteps(tokens, path, issues);
    const { scope = 'global' } = raw;
    segments.set(name, { name, key: textKey(name), tokens, scope, worth: worthOf(raw) });
  }
  return segments;
}

/** Tools are compiled where they are used; what is wrong in one that no step uses is told here. */
function checkTools(file: ScenarioFile, issues: Issue[]): void {
  for (const [name, tool] of Object.entries(file.tools ?? {})) {
    const at = ['tools', name];
    parseAmount(tool.latency, 'ms', [...at, 'latency'], issues);
    for (const key of ['result', 'error_result'] as const)
      if (tool[key] !== undefined) parseAmount(tool[key], 'tokens', [...at, key], issues);
    checkToolRules(name, tool, issues);
  }
}

function compileModels(file: ScenarioFile): Map<string, ModelAlias> {
  const models = new Map<string, ModelAlias>();
  for (const [alias, raw] of Object.entries(file.models ?? {})) {
    const { price } = raw;
    models.set(alias, {
      alias,
      modelId: raw.model,
      price:
        price === undefined ? null : { in: price.in, cachedIn: price.cached_in ?? price.in, out: price.out },
    });
  }
  return models;
}

/** Steps of a workflow, those of its sub-agents counted at each call; and how deep sub-agents call sub-agents. */
const MAX_STEPS = 100_000;
const MAX_CALLS_DEEP = 24;
const TOO_DEEP = `sub-agents call sub-agents more than ${MAX_CALLS_DEEP} deep`;

interface Extent {
  readonly size: number;
  readonly callsDeep: number;
}

interface CompiledList extends Extent {
  readonly steps: Step[];
  readonly prefix: Segment[];
  readonly issues: readonly Issue[];
}

function compileWorkflows(
  file: ScenarioFile,
  params: ReadonlyMap<string, Amount>,
  segments: ReadonlyMap<string, Segment>,
  issues: Issue[],
): Map<string, Workflow> {
  const known = Object.keys(file.workflows ?? {});
  const done = new Map<string, CompiledList>();
  const extentOf = (lists: readonly (readonly Step[])[]): Extent => {
    let size = 0;
    let callsDeep = 0;
    for (const step of lists.flat()) {
      const called = step.verb === 'agent' ? done.get(step.workflow) : undefined;
      const inner = called ?? extentOf(step.verb === 'agent' ? [] : childLists(step));
      size += 1 + inner.size;
      callsDeep = Math.max(callsDeep, inner.callsDeep + (step.verb === 'agent' ? 1 : 0));
    }
    return { size, callsDeep };
  };
  /** A workflow is compiled once, also when sub-agents call it from many places. */
  const compileOne = (name: string, path: InputPath, stack: readonly string[]): CompiledList | null => {
    const before = done.get(name);
    if (before !== undefined) return before;
    const raw = Object.hasOwn(file.workflows ?? {}, name) ? file.workflows?.[name] : undefined;
    if (raw === undefined) {
      issues.push(
        issue(
          path,
          'WT1102',
          `unknown workflow "${name}"`,
          didYouMean(name, known) ?? `workflows: ${known.join(', ')}`,
        ),
      );
      return null;
    }
    if (stack.length > MAX_CALLS_DEEP) {
      issues.push(issue(path, 'WT1109', TOO_DEEP, 'call fewer of them'));
      return null;
    }
    const own: Issue[] = [];
    const aliases = Object.keys(file.models ?? {});
    const context = {
      file,
      segments,
      paramNames: [...params.keys()],
      issues: own,
      stack: [...stack, name],
      defaultModel: raw.model ?? (aliases.length === 1 ? (aliases[0] as string) : null),
      llmNames: new Set<string>(),
      before: new Set<string>(),
      inTry: false,
      depth: 0,
      compileWorkflow: compileOne,
    };
    const prefix = segmentsOf(raw.prefix ?? [], ['workflows', name, 'prefix'], context);
    const steps = compileList(raw.steps, ['workflows', name, 'steps'], context);
    const extent = extentOf([steps]);
    const isTooLarge = extent.size > MAX_STEPS || extent.callsDeep > MAX_CALLS_DEEP;
    if (isTooLarge) {
      const message =
        extent.size > MAX_STEPS
          ? `"${name}" has more than ${MAX_STEPS} steps, those of its sub-agents included`
          : TOO_DEEP;
      own.push(issue(['workflows', name], 'WT1109', message, 'call fewer of them', { atKey: true }));
    }
    // What calls it is not told the same again.
    const compiled = isTooLarge
      ? { steps: [], prefix, issues: own, size: 0, callsDeep: 0 }
      : { steps, prefix, issues: own, ...extent };
    done.set(name, compiled);
    return compiled;
  };
  const workflows = new Map<string, Workflow>();
  for (const name of known) {
    const compiled = compileOne(name, ['workflows', name], []);
    if (compiled === null) continue;
    const { prefix, steps } = compiled;
    issues.push(...compiled.issues);
    workflows.set(name, {
      kind: 'template',
      name,
      key: textKey(name),
      params,
      prefix,
      // Of what is wrong, nothing is expected: circles and chains without end would be followed.
      steps: hasErrors(issues) ? steps : withSlackShares(steps, params),
      rules: workflowRules(
        name,
        file.workflows?.[name] as NonNullable<ScenarioFile['workflows']>[string],
        issues,
      ),
    });
  }
  return workflows;
}

function compileAssertions(
  file: ScenarioFile,
  workflows: ReadonlyMap<string, Workflow>,
  cohorts: ReadonlySet<string>,
  issues: Issue[],
): Assertion[] {
  const steps = new Set<string>();
  for (const workflow of workflows.values())
    eachStep(workflow.steps, step => {
      steps.add(plainName(step.name));
      if (step.verb === 'llm' && step.compactAt !== null) steps.add(`${plainName(step.name)}/compact`);
    });
  const hasTrace = file.traffic.some(cohort => cohort.trace !== undefined);
  const known: Record<string, readonly string[]> = {
    workflow: [...workflows.keys(), ...(hasTrace ? ['recorded'] : [])],
    cohort: [...cohorts],
    role: [...ROLES, ...(hasTrace ? ['main', 'sub-agent'] : [])],
    step: [...steps],
    model: Object.keys(file.models ?? {}),
  };
  const assertions: Assertion[] = [];
  for (const [index, text] of (file.assert ?? []).entries()) {
    const path = ['assert', index];
    const assertion = parseAssertion(text, path, issues);
    if (assertion === null) continue;
    for (const [filter, value] of Object.entries(assertion.filter)) {
      const names = known[filter] as readonly string[];
      if (!names.includes(value) && !(hasTrace && (filter === 'step' || filter === 'model'))) {
        issues.push(
          issue(
            path,
            'WT1102',
            `unknown ${filter} "${value}"`,
            didYouMean(value, names) ?? `known: ${names.join(', ')}`,
          ),
        );
      }
    }
    assertions.push({ ...assertion, path });
  }
  return assertions;
}
