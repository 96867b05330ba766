// What of the language no run obeys yet: checked and documented like the rest, but a run that would need it is refused
// by name, so that no field is ever ignored. A part that is built leaves this table.
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import type { ScenarioFile } from './scenario.ts';
import { eachRawStep } from './steps.ts';

type Later = Readonly<Record<string, string>>;

const GATEWAY = 'decided by the workflow-aware gateway, which is not built yet';
const ENGINE = 'acted upon by engines and routers that retain or expect, which are not built yet';
const SANDBOX = 'tool runtimes are not built yet';

/** Of hints a run obeys `priority`. A dot leads into the mapping behind a key. */
const HINTS: Later = {
  'hints.session_affinity': ENGINE,
  'hints.output_tokens': ENGINE,
  'hints.cache_ttl': ENGINE,
};
const STEP: Later = {
  ...HINTS,
  timeout: GATEWAY,
  retry: `${GATEWAY}; for now \`try\` with \`on_error\` runs other steps after a failure`,
  hedge: GATEWAY,
  breaker: GATEWAY,
  fallback: `${GATEWAY}; for now \`try\` with \`on_error\` can call another model`,
  allow: GATEWAY,
  consent: `${GATEWAY}; for now a \`human\` step waits for one`,
};
const WORKFLOW: Later = {
  budget: GATEWAY,
  timeout: GATEWAY,
  retry: GATEWAY,
  cancel: GATEWAY,
  allow: GATEWAY,
  ...HINTS,
};
const MODEL: Later = { rate_limit: GATEWAY, fallback: GATEWAY };
const TOOL: Later = {
  timeout: GATEWAY,
  retry: `${GATEWAY}; for now run the tool again in the \`on_error\` of a \`try\``,
  concurrency: SANDBOX,
  cold_start: SANDBOX,
  warm_pool: SANDBOX,
};
const COHORT: Later = { cancel: GATEWAY, ...HINTS };
const TENANT: Later = { budget: GATEWAY, rate_limit: GATEWAY };

/** By the part of a scenario they stand in. */
export const UNBUILT: Readonly<Record<string, Later>> = {
  step: STEP,
  workflows: WORKFLOW,
  models: MODEL,
  tools: TOOL,
  traffic: COHORT,
  tenants: TENANT,
  scenario: { faults: 'of faults a run brings about `replica_crash`, at a time or at a rate' },
};

/** WT1008: `key` is understood, but no run obeys it yet. */
export const notBuilt = (path: InputPath, key: string, what: string): Issue =>
  issue(path, 'WT1008', `\`${key}\` is part of the language, but no run obeys it yet`, what, { atKey: true });

/** Whether a value has something behind these keys. */
const holds = (value: unknown, [key, ...rest]: readonly string[]): boolean =>
  key === undefined ||
  (typeof value === 'object' &&
    value !== null &&
    Object.hasOwn(value, key) &&
    holds((value as Record<string, unknown>)[key], rest));

/** What the traffic of this file would need and no run can give; each is an error for a run, a warning for a check. */
export function unbuiltParts(file: ScenarioFile): Issue[] {
  const issues: Issue[] = [];
  const used = usedNames(file);
  const look = (entry: unknown, later: Later, path: InputPath): void => {
    for (const [key, what] of Object.entries(later)) {
      const at = key.split('.');
      if (holds(entry, at)) issues.push(notBuilt([...path, ...at], key, what));
    }
  };
  for (const name of used.workflows) {
    const path = ['workflows', name];
    const workflow = file.workflows?.[name];
    look(workflow, WORKFLOW, path);
    eachRawStep(workflow?.steps, [...path, 'steps'], (step, at) => look(step, STEP, at));
  }
  for (const name of used.models) look(file.models?.[name], MODEL, ['models', name]);
  for (const name of used.tools) look(file.tools?.[name], TOOL, ['tools', name]);
  for (const [index, cohort] of file.traffic.entries()) look(cohort, COHORT, ['traffic', index]);
  for (const name of used.tenants) look(file.tenants?.[name], TENANT, ['tenants', name]);
  for (const [index, each] of (file.faults ?? []).entries())
    issues.push(...faultIssues(each, ['faults', index]));
  return issues;
}

/** Of faults a run brings about that replicas are lost. */
function faultIssues(given: NonNullable<ScenarioFile['faults']>[number], path: InputPath): Issue[] {
  if (given.fault !== 'replica_crash')
    return [notBuilt([...path, 'fault'], given.fault, 'for now `replica_crash`, or a tool with `fail`')];
  return (['for', 'factor', 'share'] as const)
    .filter(key => given[key] !== undefined)
    .map(key =>
      notBuilt([...path, key], key, 'a lost replica is started again at once, after its cold start'),
    );
}

/** Every name that the traffic of a file reaches. */
export interface UsedNames {
  readonly workflows: ReadonlySet<string>;
  readonly models: ReadonlySet<string>;
  readonly prefixes: ReadonlySet<string>;
  readonly tools: ReadonlySet<string>;
  readonly tenants: ReadonlySet<string>;
}

/** Follows cohorts to workflows, through sub-agents, to models, prefixes and tools. */
export function usedNames(file: ScenarioFile): UsedNames {
  const used = {
    workflows: new Set<string>(),
    models: new Set<string>(),
    prefixes: new Set<string>(),
    tools: new Set<string>(),
    tenants: new Set<string>(),
  };
  const visit = (name: string): void => {
    if (used.workflows.has(name)) return;
    const workflow = file.workflows?.[name];
    if (workflow === undefined) return;
    used.workflows.add(name);
    if (workflow.model !== undefined) used.models.add(workflow.model);
    for (const each of workflow.prefix ?? []) used.prefixes.add(each);
    eachRawStep(workflow.steps, [], step => {
      if (typeof step === 'string') used.tools.add(step);
      if (typeof step !== 'object' || step === null) return;
      const { tool, model, prefix, agent } = step as Record<string, unknown>;
      if (typeof tool === 'string') used.tools.add(tool);
      if (typeof model === 'string') used.models.add(model);
      if (Array.isArray(prefix)) for (const each of prefix) used.prefixes.add(String(each));
      if (typeof agent === 'string') visit(agent);
    });
  };
  for (const cohort of file.traffic) {
    for (const name of [cohort.workflow, ...Object.keys(cohort.mix ?? {})])
      if (name !== undefined) visit(name);
    for (const name of [cohort.tenant, ...Object.keys(cohort.tenants ?? {})])
      if (name !== undefined) used.tenants.add(name);
  }
  // The only model there is needs no name in the steps.
  const aliases = Object.keys(file.models ?? {});
  if (aliases.length === 1) used.models.add(aliases[0] as string);
  return used;
}
