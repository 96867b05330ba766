// Names of models and tools in what the gateway obeys: fallbacks, allowlists, smaller models. compile-rules.ts reads the
// rest of it.
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import type { ScenarioFile } from '../formats/scenario.ts';
import { eachRawStep } from '../formats/steps.ts';
import { didYouMean } from '../formats/suggest.ts';

type Entry = Readonly<Record<string, unknown>>;
const entryOf = (value: unknown): Entry =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Entry) : {};

/** Every part of a scenario that may be governed, steps included; a step that its own schema refuses is told there. */
export function checkGoverned(file: ScenarioFile, issues: Issue[]): void {
  const known = { models: Object.keys(file.models ?? {}), tools: Object.keys(file.tools ?? {}) };
  const look = (given: unknown, path: InputPath): void => {
    const { fallback, allow, budget, user_budget: ofUsers, roles } = entryOf(given);
    const lists = Array.isArray(fallback) ? { '': fallback } : entryOf(fallback);
    for (const [key, names] of Object.entries(lists))
      checkKnown(names, 'models', [...path, 'fallback', ...(key === '' ? [] : [key])]);
    checkAllow(allow, [...path, 'allow']);
    for (const [role, each] of Object.entries(entryOf(roles)))
      checkAllow(entryOf(each).allow, [...path, 'roles', role, 'allow']);
    for (const [key, each] of Object.entries({ budget, user_budget: ofUsers }))
      checkOne(entryOf(entryOf(each).save).model, 'models', [...path, key, 'save', 'model']);
  };
  const checkAllow = (allow: unknown, path: InputPath): void => {
    for (const kind of ['models', 'tools'] as const) checkKnown(entryOf(allow)[kind], kind, [...path, kind]);
  };
  const checkKnown = (names: unknown, kind: keyof typeof known, path: InputPath): void => {
    if (!Array.isArray(names)) return;
    for (const [index, name] of names.entries()) checkOne(name, kind, [...path, index]);
  };
  const checkOne = (name: unknown, kind: keyof typeof known, path: InputPath): void => {
    // Without aliases a model is named by its catalogue id.
    if (typeof name !== 'string' || (kind === 'models' && known.models.length === 0)) return;
    if (known[kind].includes(name)) return;
    const hint = didYouMean(name, known[kind]) ?? `under \`${kind}\`: ${known[kind].join(', ')}`;
    issues.push(issue(path, 'WT1102', `unknown ${kind.slice(0, -1)} "${name}"`, hint));
  };
  for (const [name, model] of Object.entries(file.models ?? {})) {
    look(model, ['models', name]);
    const lists = Array.isArray(model.fallback) ? [model.fallback] : Object.values(model.fallback ?? {});
    if (lists.flat().includes(name)) {
      const message = `"${name}" stands in for itself`;
      issues.push(issue(['models', name, 'fallback'], 'WT1402', message, 'name another model'));
    }
  }
  for (const [name, tenant] of Object.entries(file.tenants ?? {})) look(tenant, ['tenants', name]);
  for (const [name, workflow] of Object.entries(file.workflows ?? {})) {
    look(workflow, ['workflows', name]);
    eachRawStep(workflow.steps, ['workflows', name, 'steps'], look);
  }
}
