// Steps and workflows that never run, whatever is drawn.
import type { InputPath } from '../base/issue.ts';
import { eachStep, type Step, type Workflow } from '../workflows/program.ts';
import { constantAmount, constantExpression } from './expected.ts';
import { defineLint, type Finding, quoted } from './lint.ts';

export const unreachable = defineLint('WT2003', function* ({ workflows }): Generator<Finding> {
  for (const workflow of workflows.values()) {
    const found: Finding[] = [];
    eachStep(workflow.steps, step => {
      found.push(...neverRuns(step, workflow));
    });
    yield* found;
  }
});

function* neverRuns(step: Step, { params }: Workflow): Generator<Finding> {
  switch (step.verb) {
    case 'branch':
      yield* deadCases(step, params);
      return;
    case 'repeat':
      if (step.times !== null && constantAmount(step.times, params) === 0)
        yield never([...step.at, 'times'], `the steps of "${step.name}" never run: 0 passes`);
      return;
    case 'map':
      if (step.over !== null && constantAmount(step.over, params) === 0)
        yield never([...step.at, 'over'], `the steps of "${step.name}" never run: it is over nothing`);
      return;
    default:
      return;
  }
}

const never = (path: InputPath, message: string): Finding => ({
  path,
  message,
  hint: 'take them out, or change the number',
});

function* deadCases(
  { cases, at, name }: Extract<Step, { verb: 'branch' }>,
  params: Workflow['params'],
): Generator<Finding> {
  let always: number | null = null;
  for (const [index, each] of cases.entries()) {
    const path = [...at, 'cases', index];
    if (each.weight === 0) {
      yield {
        path: [...path, 'weight'],
        message: `this case of "${name}" is never taken: its weight is 0`,
        hint: 'take it out, or give it a weight',
      };
      continue;
    }
    if (always !== null) {
      yield {
        path,
        message: `this case of "${name}" is never taken: the condition of case ${always + 1} always holds`,
        hint: 'put it in front of that case, or take it out',
      };
      continue;
    }
    const holds = each.when === null ? null : constantExpression(each.when, params);
    if (holds === 0) {
      yield {
        path: [...path, 'when'],
        message: `this case of "${name}" is never taken: its condition never holds`,
        hint: 'let the condition depend on iteration, on a drawn parameter or on tokens()',
      };
    } else if (holds !== null) always = index;
  }
}

/** Workflows that nobody starts or calls. */
export const unusedWorkflows = defineLint(
  'WT2003',
  function* ({ file, workflows }): Generator<Finding> {
    for (const name of Object.keys(file.workflows ?? {})) {
      if (workflows.has(name)) continue;
      yield {
        path: ['workflows', name],
        atKey: true,
        message: `no cohort starts the workflow "${name}", and no agent calls it`,
        hint: `name it in \`traffic\`, which starts ${quoted([...workflows.keys()])}, or take it out`,
      };
    }
  },
  { ownFileOnly: true },
);
