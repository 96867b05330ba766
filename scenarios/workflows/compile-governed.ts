// Checks what the gateway will obey beyond its schema: durations and shares inside of texts, patience, names of models and
// tools. No run obeys it yet (formats/unbuilt.ts), but what is written must be right.

import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { parseAmount } from '../formats/amount.ts';
import { type Dimension, parseScalar } from '../formats/quantity.ts';
import type { ScenarioFile } from '../formats/scenario.ts';
import { eachRawStep } from '../formats/steps.ts';
import { didYouMean } from '../formats/suggest.ts';
import { plainAmount } from './compile-arrival.ts';

type Entry = Readonly<Record<string, unknown>>;
const entryOf = (value: unknown): Entry =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Entry) : {};

/** Every part of a scenario that may be governed, steps included; a step that its own schema refuses is told there. */
export function checkGoverned(file: ScenarioFile, issues: Issue[]): void {
  const known = { models: Object.keys(file.models ?? {}), tools: Object.keys(file.tools ?? {}) };
  const look = (given: unknown, path: InputPath): void => {
    const { retry, breaker, cancel, fallback, allow } = entryOf(given);
    checkBackoff(entryOf(retry).backoff, [...path, 'retry', 'backoff'], issues);
    const { failures } = entryOf(breaker);
    if (typeof failures === 'string')
      checkScalar(failures, 'ratio', [...path, 'breaker', 'failures'], issues);
    const { after } = entryOf(cancel);
    if (after !== undefined) plainAmount(after, [...path, 'cancel', 'after'], issues);
    const lists = Array.isArray(fallback) ? { '': fallback } : entryOf(fallback);
    for (const [key, names] of Object.entries(lists))
      checkKnown(names, 'models', [...path, 'fallback', ...(key === '' ? [] : [key])]);
    for (const kind of ['models', 'tools'] as const)
      checkKnown(entryOf(allow)[kind], kind, [...path, 'allow', kind]);
  };
  const checkKnown = (names: unknown, kind: keyof typeof known, path: InputPath): void => {
    // Without aliases a model is named by its catalogue id.
    if (!Array.isArray(names) || (kind === 'models' && known.models.length === 0)) return;
    for (const [index, name] of names.entries()) {
      if (typeof name !== 'string' || known[kind].includes(name)) continue;
      const hint = didYouMean(name, known[kind]) ?? `under \`${kind}\`: ${known[kind].join(', ')}`;
      issues.push(issue([...path, index], 'WT1102', `unknown ${kind.slice(0, -1)} "${name}"`, hint));
    }
  };
  for (const [name, model] of Object.entries(file.models ?? {})) look(model, ['models', name]);
  for (const [name, tool] of Object.entries(file.tools ?? {})) {
    look(tool, ['tools', name]);
    if (tool.cold_start !== undefined)
      parseAmount(tool.cold_start, 'ms', ['tools', name, 'cold_start'], issues);
  }
  for (const [name, workflow] of Object.entries(file.workflows ?? {})) {
    look(workflow, ['workflows', name]);
    eachRawStep(workflow.steps, ['workflows', name, 'steps'], look);
  }
  for (const [index, cohort] of file.traffic.entries()) look(cohort, ['traffic', index]);
}

/** The shortest pause, or the shortest and the longest: 1s..20s. */
function checkBackoff(raw: unknown, path: InputPath, issues: Issue[]): void {
  if (typeof raw !== 'string') return;
  const [from = null, to = null] = raw.split('..').map(each => checkScalar(each, 'ms', path, issues));
  if (from !== null && to !== null && from > to)
    issues.push(issue(path, 'WT1005', `the shortest pause is above the longest in "${raw}"`, 'swap them?'));
}

function checkScalar(raw: string, dimension: Dimension, path: InputPath, issues: Issue[]): number | null {
  const parsed = parseScalar(raw, dimension);
  if ('value' in parsed) return parsed.value;
  issues.push(issue(path, 'WT1006', parsed.error, parsed.hint));
  return null;
}
