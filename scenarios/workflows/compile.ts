// Compiles a scenario file into a plan: names resolved, amounts parsed, every problem noted.
//
//   params, prefixes, models ─▶ workflows ─▶ cohorts ─▶ assertions and SLOs ─▶ plan
import { mentions } from '../base/expression.ts';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { seedKey, textKey } from '../base/key.ts';
import { type Amount, checkNames, constant, parseAmount } from '../formats/amount.ts';
import type { Assertion } from '../formats/assertion.ts';
import { parseAssertion } from '../formats/assertions.ts';
import type { Cohort, ModelAlias, Plan } from '../formats/plan.ts';
import type { Dimension } from '../formats/quantity.ts';
import type { ScenarioFile } from '../formats/scenario.ts';
import { ROLES } from '../formats/steps.ts';
import { didYouMean } from '../formats/suggest.ts';
import { plainName } from './around.ts';
import { type CompileInput, compileCohort } from './compile-cohorts.ts';
import { compileSlos } from './compile-slos.ts';
import { compileList, segmentsOf } from './compile-steps.ts';
import { eachStep, type Segment, type Step, type Workflow } from './program.ts';

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
  // 2.
  const workflows = compileWorkflows(file, params, segments, issues);
  // 3.
  const cohorts: Cohort[] = [];
  const names = new Set<string>();
  let sessionCount: number | null = 0;
  for (const [index, cohortFile] of file.traffic.entries()) {
    const made = compileCohort({ input, cohortFile, index, root, workflows, issues });
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
  // 4.
  const assertions = [...compileAssertions(file, workflows, names, issues), ...compileSlos(file, issues)];
  const failed = issues.some(each => each.severity === 'error');
  const plan: Plan = {
    name: file.name ?? input.name,
    sha256: input.sha256,
    seed: file.seed ?? 1,
    cohorts,
    assertions,
    models,
    modelsUsed: modelsUsed(input, workflows),
    sessionCount,
  };
  return { plan: failed ? null : plan, workflows, issues: withoutRepeats(issues) };
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

/** A workflow that several others call is compiled several times, but its problems are told once. */
function withoutRepeats(issues: readonly Issue[]): Issue[] {
  const seen = new Set<string>();
  return issues.filter(each => {
    const name = JSON.stringify([each.code, each.path, each.message]);
    return seen.size < seen.add(name).size;
  });
}

function compileParams(file: ScenarioFile, issues: Issue[]): Map<string, Amount> {
  const params = new Map<string, Amount>();
  for (const [name, raw] of Object.entries(file.params ?? {})) {
    // A parameter has no dimension of its own: a text with a unit is read as what it looks like.
    const dimension: Dimension = looksLikeTime(raw) ? 'ms' : 'count';
    const amount = parseAmount(raw, dimension, ['params', name], issues);
    if (amount !== null) {
      checkNames(
        amount,
        Object.keys(file.params ?? {}).filter(other => other !== name),
        ['params', name],
        issues,
      );
      params.set(name, amount);
    }
  }
  refuseCycles(params, issues);
  for (const [name, amount] of params) refuseSteps(amount, ['params', name], issues);
  return params;
}

/** Parameters may use each other, but not in a circle. */
function refuseCycles(params: ReadonlyMap<string, Amount>, issues: Issue[]): void {
  const done = new Set<string>();
  const visit = (name: string, above: readonly string[]): void => {
    const amount = params.get(name);
    if (above.includes(name)) {
      const circle = [...above.slice(above.indexOf(name)), name].join(' -> ');
      issues.push(
        issue(
          ['params', name],
          'WT1104',
          `parameters need each other in a circle: ${circle}`,
          'give one of them a number',
        ),
      );
    } else if (!done.has(name) && amount?.kind === 'expression') {
      mentions(amount.expression, (what, inner) => {
        if (what === 'name') visit(inner, [...above, name]);
      });
    }
    done.add(name);
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
    segments.set(name, { name, key: textKey(name), tokens, scope: raw.scope ?? 'global' });
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

function compileWorkflows(
  file: ScenarioFile,
  params: ReadonlyMap<string, Amount>,
  segments: ReadonlyMap<string, Segment>,
  issues: Issue[],
): Map<string, Workflow> {
  const known = Object.keys(file.workflows ?? {});
  /** `report` is false when a sub-agent compiles a workflow whose own problems are reported once, by itself. */
  const compileOne = (
    name: string,
    path: InputPath,
    stack: readonly string[],
    report: boolean,
  ): { steps: Step[]; prefix: Segment[] } | null => {
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
    const own: Issue[] = [];
    const context = {
      file,
      segments,
      paramNames: [...params.keys()],
      issues: own,
      sharedIssues: issues,
      stack: [...stack, name],
      defaultModel:
        raw.model ??
        (Object.keys(file.models ?? {}).length === 1 ? (Object.keys(file.models ?? {})[0] as string) : null),
      llmNames: new Set<string>(),
      before: new Set<string>(),
      inTry: false,
      compileWorkflow: (inner: string, at: InputPath, above: readonly string[]) =>
        compileOne(inner, at, above, false),
    };
    const compiled = {
      prefix: segmentsOf(raw.prefix ?? [], ['workflows', name, 'prefix'], context),
      steps: compileList(raw.steps, ['workflows', name, 'steps'], context),
    };
    if (report) issues.push(...own);
    return compiled;
  };
  const workflows = new Map<string, Workflow>();
  for (const name of known) {
    const compiled = compileOne(name, ['workflows', name], [], true);
    if (compiled !== null)
      workflows.set(name, { kind: 'template', name, key: textKey(name), params, ...compiled });
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
    eachStep(workflow.steps, step => steps.add(plainName(step.name)));
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
    assertions.push(assertion);
  }
  return assertions;
}
