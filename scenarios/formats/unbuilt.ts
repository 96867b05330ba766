// What of the language no run obeys yet: checked and documented like the rest, but a run that would need it is refused
// by name, so that no field is ever ignored. A part that is built leaves this table.
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { HINT_KEYS } from './policies.ts';
import type { ScenarioFile } from './scenario.ts';
import { eachRawStep } from './steps.ts';

type Later = Readonly<Record<string, string>>;

/** Of a cohort's hints a run obeys `priority`. A dot leads into the mapping behind a key. */
const HINTS: Later = Object.fromEntries(
  HINT_KEYS.map(key => [`hints.${key}`, 'give it to a workflow or a step; of a cohort only `priority`']),
);

/** By the part of a scenario they stand in. */
export const UNBUILT: Readonly<Record<string, Later>> = { traffic: HINTS };
const FAULTS: Later = { slow_replica: 'for now a deployment with a slower `step`' };

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
  const look = (entry: unknown, later: Later, path: InputPath): void => {
    for (const [key, what] of Object.entries(later)) {
      const at = key.split('.');
      if (holds(entry, at)) issues.push(notBuilt([...path, ...at], key, what));
    }
  };
  for (const [index, cohort] of file.traffic.entries()) look(cohort, HINTS, ['traffic', index]);
  for (const [index, { fault }] of (file.faults ?? []).entries()) {
    const what = FAULTS[fault];
    if (what !== undefined) issues.push(notBuilt(['faults', index, 'fault'], fault, what));
  }
  return issues;
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
