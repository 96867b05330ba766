// What the gateway obeys of a scenario: the rules of each step, tool and workflow, where a step says nothing those of what
// is around it; and what tenants, models and cohorts say.
import type { InputPath, Issue } from '../base/issue.ts';
import { type Amount, drawAmount, plainAmount } from '../formats/amount.ts';
import {
  checkAttempts,
  drawnAt,
  type Place,
  readAllow,
  readBreaker,
  readBudget,
  readCancel,
  readCheckpoint,
  readConsent,
  readFallback,
  readHedge,
  readHints,
  readLimit,
  readRestarts,
  readRetry,
  readTimeout,
  scalarAt,
  under,
} from '../formats/read-rules.ts';
import {
  type AllowRule,
  NO_RULES,
  NO_WORKFLOW_RULES,
  type ScenarioRules,
  type StepRules,
  type ToolRules,
  type WorkflowRules,
} from '../formats/rules.ts';
import type { ScenarioFile, ToolFile } from '../formats/scenario.ts';
import type { Body, CompileContext } from './compile-context.ts';
import { eachStep, type LlmStep, type Workflow } from './program.ts';

type WorkflowFile = NonNullable<ScenarioFile['workflows']>[string];

const placeOf = (at: InputPath, { issues }: Pick<CompileContext, 'issues'>, ...keys: InputPath): Place => ({
  path: [...at, ...keys],
  issues,
});

/** The workflow around a step, and where it stands. */
function around(context: CompileContext): { workflow: WorkflowFile | undefined; place: Place } {
  const name = context.stack.at(-1) as string;
  return { workflow: context.file.workflows?.[name], place: placeOf(['workflows', name], context) };
}

/** By role, else for the whole workflow. */
const allowOf = (workflow: WorkflowFile | undefined, role: string | null): AllowRule | null =>
  readAllow(roleOf(workflow, role)?.allow ?? workflow?.allow);

const roleOf = (workflow: WorkflowFile | undefined, role: string | null) =>
  role === null ? undefined : workflow?.roles?.[role as keyof NonNullable<WorkflowFile['roles']>];

// ---- calls ----------------------------------------------------------------------------------------------------

/** Rules of the call that a step makes. `call`: what it may generate. */
export function stepRules(
  body: Omit<Partial<Body<'llm'>>, 'llm' | 'out' | 'adds'>,
  call: Pick<LlmStep, 'at' | 'role' | 'out' | 'reasoning' | 'maxTokens'>,
  context: CompileContext,
): StepRules {
  const { workflow, place } = around(context);
  const at = (key: string): Place => placeOf(call.at, context, key);
  const timeout = readTimeout(body.timeout, at('timeout')) ?? callTimeout(workflow, under(place, 'timeout'));
  const retry = readRetry(body.retry, at('retry')) ?? readRetry(workflow?.retry, under(place, 'retry'));
  const isOwn = body.timeout !== undefined || body.retry !== undefined;
  checkAttempts(timeout, retry, isOwn ? placeOf(call.at, context) : place);
  return {
    timeout,
    retry,
    hedge: readHedge(body.hedge, at('hedge')),
    breaker: readBreaker(body.breaker, at('breaker')),
    fallback: readFallback(body.fallback),
    sensitivity: body.sensitivity ?? null,
    complexity: body.complexity ?? null,
    allow: readAllow(body.allow) ?? allowOf(workflow, call.role),
    hints: readHints(body.hints, at('hints')) ?? readHints(workflow?.hints, under(place, 'hints')),
    success: scalarAt(body.success, 'ratio', at('success')),
    maxOutputTokens: maxOutput(call),
    slackShare: null,
  };
}

/** What a workflow says of one attempt of its calls; `total` there is of its whole session. */
function callTimeout(workflow: WorkflowFile | undefined, place: Place): StepRules['timeout'] {
  const raw = workflow?.timeout;
  if (typeof raw !== 'object') return null;
  const { total: _, ...ofCalls } = raw;
  return Object.keys(ofCalls).length === 0 ? null : readTimeout(ofCalls, place);
}

/** Share of answers that stay below what a client allows, where the file does not say. */
const USUAL_ANSWERS = 0.999;

/** What the file allows, else what 99.9 % of answers stay below; null where results decide. */
function maxOutput({ out, reasoning, maxTokens }: Parameters<typeof stepRules>[1]): number | null {
  if (Number.isFinite(maxTokens)) return maxTokens;
  const isFixed = (amount: Amount): boolean => amount.kind === 'draw' && amount.of.kind === 'constant';
  // Where both parts are drawn, each has half of the rest: together they then stay below as often at the least.
  const share = isFixed(out) || isFixed(reasoning) ? USUAL_ANSWERS : (1 + USUAL_ANSWERS) / 2;
  // Of an expression only its upper bound is known, if it has one.
  const most = (amount: Amount): number =>
    amount.kind === 'expression' ? amount.max : drawAmount(amount, share, true);
  const tokens = most(reasoning) + most(out);
  return Number.isFinite(tokens) ? Math.max(1, tokens) : null;
}

// ---- tools ----------------------------------------------------------------------------------------------------

/** Rules of a tool where a step runs it: those of the step, else of the tool. */
export function toolRules(
  { tool: name, ...step }: Body<'tool'>,
  tool: ToolFile,
  at: InputPath,
  context: CompileContext,
): ToolRules {
  const { workflow, place } = around(context);
  const own = placeOf(['tools', name], context);
  const here = placeOf(at, context);
  const role = step.role ?? workflow?.role ?? null;
  const asked = roleOf(workflow, role)?.consent;
  const [consent, asks] =
    step.consent !== undefined
      ? [step.consent, under(here, 'consent')]
      : tool.consent !== undefined
        ? [tool.consent, under(own, 'consent')]
        : [asked, under(place, 'roles', role ?? '', 'consent')];
  const timeout =
    readTimeout(step.timeout, under(here, 'timeout')) ?? readTimeout(tool.timeout, under(own, 'timeout'));
  const retry = readRetry(step.retry, under(here, 'retry')) ?? readRetry(tool.retry, under(own, 'retry'));
  checkAttempts(timeout, retry, step.timeout === undefined && step.retry === undefined ? own : here);
  const { concurrency, cold_start: coldStart, warm_pool: warmPool } = tool;
  const hasRuntime = concurrency !== undefined || coldStart !== undefined || warmPool !== undefined;
  return {
    tool: name,
    timeout,
    retry,
    sensitivity: step.sensitivity ?? tool.sensitivity ?? null,
    idempotent: tool.idempotent ?? true,
    ...readConsent(consent, asks),
    allow: allowOf(workflow, role),
    needs: {
      hosts: tool.needs?.hosts ?? [],
      files: tool.needs?.files ?? [],
      subprocesses: tool.needs?.subprocesses ?? false,
    },
    cpuCores: tool.cpu ?? null,
    memoryBytes: scalarAt(tool.memory, 'bytes', under(own, 'memory')),
    store: tool.store === undefined ? null : { name: tool.store.name, writes: tool.store.writes ?? false },
    runtime: hasRuntime
      ? {
          concurrency: concurrency ?? null,
          coldStart: drawnAt(coldStart, under(own, 'cold_start')),
          warmPool: warmPool ?? 0,
        }
      : null,
    role,
  };
}

/** Tools are read where they are used; what is wrong in one that no step uses is told here. */
export function checkToolRules(name: string, tool: ToolFile, issues: Issue[]): void {
  const place: Place = { path: ['tools', name], issues };
  readTimeout(tool.timeout, under(place, 'timeout'));
  readRetry(tool.retry, under(place, 'retry'));
  readConsent(tool.consent, under(place, 'consent'));
  if (tool.cold_start !== undefined) plainAmount(tool.cold_start, [...place.path, 'cold_start'], issues);
}

// ---- workflows, tenants, models, cohorts ----------------------------------------------------------------------

export function workflowRules(name: string, file: WorkflowFile, issues: Issue[]): WorkflowRules {
  const place: Place = { path: ['workflows', name], issues };
  const { timeout } = file;
  const isWhole = typeof timeout !== 'object';
  const total = isWhole ? timeout : timeout.total;
  const checkpoint = readCheckpoint(file.checkpoint, under(place, 'checkpoint'));
  const rules: WorkflowRules = {
    budget: readBudget(file.budget, under(place, 'budget')),
    cancel: readCancel(file.cancel, under(place, 'cancel')),
    timeoutMs: scalarAt(total, 'ms', under(place, 'timeout', ...(isWhole ? [] : ['total']))),
    checkpoint,
    restarts: readRestarts(file.restarts, checkpoint !== null, under(place, 'restarts')),
  };
  return saysNothing(rules) ? NO_WORKFLOW_RULES : rules;
}

const saysNothing = (rules: object): boolean => Object.values(rules).every(each => each === null);

/** Labels and what is only worked out govern nothing by themselves. */
function governsStep(rules: StepRules): boolean {
  const { sensitivity, complexity, maxOutputTokens, slackShare, ...acting } = rules;
  return rules !== NO_RULES && !saysNothing(acting);
}

function governsTool({ timeout, retry, consentMs, allow, store, runtime }: ToolRules): boolean {
  return !saysNothing({ timeout, retry, consentMs, allow, store, runtime });
}

/** Sub-agents included; a session has the rules of the workflow that it starts with. */
function governsWorkflow({ steps, rules }: Workflow, models: ScenarioRules['models']): boolean {
  let governs = rules !== NO_WORKFLOW_RULES;
  eachStep(steps, step => {
    if (step.verb === 'llm' || step.verb === 'compact')
      governs ||= governsStep(step.rules) || !saysNothing(models.get(step.model) ?? {});
    if (step.verb === 'tool') governs ||= governsTool(step.rules);
  });
  return governs;
}

/** What of the file the gateway obeys, beside the rules of steps. `cohorts`: their names, in the order of the traffic. */
export function scenarioRules(
  file: ScenarioFile,
  workflows: ReadonlyMap<string, Workflow>,
  cohorts: readonly (string | null)[],
  issues: Issue[],
): ScenarioRules {
  const entries = <T, R>(table: Record<string, T> | undefined, read: (name: string, each: T) => R) =>
    new Map(Object.entries(table ?? {}).map(([name, each]) => [name, read(name, each)]));
  const tenants = entries(file.tenants, (name, each) => {
    const place: Place = { path: ['tenants', name], issues };
    return {
      budget: readBudget(each.budget, under(place, 'budget')),
      userBudget: readBudget(each.user_budget, under(place, 'user_budget')),
      limit: readLimit(each.rate_limit, under(place, 'rate_limit')),
      residency: each.residency ?? null,
    };
  });
  const models = entries(file.models, (name, each) => {
    const place: Place = { path: ['models', name], issues };
    return {
      limit: readLimit(each.rate_limit, under(place, 'rate_limit')),
      fallback: readFallback(each.fallback),
      success: scalarAt(each.success, 'ratio', under(place, 'success')),
    };
  });
  const leaving = new Map(
    file.traffic.flatMap((cohort, index) => {
      const name = cohorts[index] ?? null;
      const cancel = readCancel(cohort.cancel, { path: ['traffic', index, 'cancel'], issues });
      return name === null || cancel === null ? [] : [[name, cancel] as const];
    }),
  );
  const isGoverned =
    leaving.size > 0 ||
    file.traffic.some(cohort => {
      const names = (one: string | undefined, many: object = {}) => [one ?? [], Object.keys(many)].flat();
      return (
        names(cohort.tenant, cohort.tenants).some(name => !saysNothing(tenants.get(name) ?? {})) ||
        names(cohort.workflow, cohort.mix).some(name => {
          const workflow = workflows.get(name);
          return workflow !== undefined && governsWorkflow(workflow, models);
        })
      );
    });
  const all = [...workflows.values()];
  return {
    tenants,
    models,
    cohorts: leaving,
    isGoverned,
    hasBudgets: all.some(({ rules }) => rules.budget !== null),
    hasCheckpoints: all.some(({ rules }) => rules.checkpoint !== null || rules.restarts !== null),
    hasSuccess: all.some(saysHowGood) || [...models.values()].some(({ success }) => success !== null),
  };
}

/** Whether a step says how good its answers are. */
function saysHowGood({ steps }: Workflow): boolean {
  let says = false;
  eachStep(steps, step => {
    says ||= step.verb === 'llm' && step.rules.success !== null;
  });
  return says;
}
