// Sessions that run away, on purpose: in a share of them one step is run again and again instead of once. The label says
// what it stands for; rules that look for such sessions are scored against it.
import { extend, extendText, type Key, uniform } from '../base/key.ts';
import type { PlannedFault } from '../formats/plan.ts';
import { plainName } from './around.ts';
import { eachStep, type Step, type Workflow } from './program.ts';

/** What one session does wrong. */
export interface Runaway {
  readonly label: string;
  readonly steps: ReadonlySet<Step>;
  /** How often each of them is run in a row. */
  readonly times: number;
  /** Each further run asks the same. */
  readonly asksTheSame: boolean;
  /** Multiplies what a further call adds to its prompt. */
  readonly addsTimes: number;
}

/** Which sessions of a workflow run away, and how; null: none ever does. */
export function runawaysOf(
  workflow: Workflow,
  faults: readonly PlannedFault[],
): ((session: Key, plannedMs: number) => Runaway | null) | null {
  const kinds = faults.flatMap(fault => {
    const steps = fault.kind === 'runaway' ? targetsOf(workflow, fault) : [];
    return steps.length === 0 ? [] : [{ fault, runaway: runawayOf(fault, steps) }];
  });
  if (kinds.length === 0) return null;
  return (session, plannedMs) => {
    for (const { fault, runaway } of kinds) {
      const { atMs, lastsMs } = fault;
      const isThen = atMs === null || (plannedMs >= atMs && plannedMs < atMs + lastsMs);
      const key = extend(extendText(session, 'runaway'), fault.fault);
      if (isThen && uniform(key) < fault.share) return runaway;
    }
    return null;
  };
}

const runawayOf = ({ label, factor }: PlannedFault, steps: readonly Step[]): Runaway => ({
  label,
  steps: new Set(steps),
  times: Math.max(1, Math.round(factor)),
  asksTheSame: label === 'loop',
  addsTimes: label === 'context_blowup' ? 2 : 1,
});

/** The named step wherever it stands; else the first that the label is about: a tool, a call, or a loop. */
function targetsOf({ steps }: Workflow, { target, label }: PlannedFault): Step[] {
  const all: Step[] = [];
  eachStep(steps, step => all.push(step));
  if (target !== null) return all.filter(({ name }) => plainName(name) === target);
  const firstOf = (...verbs: readonly Step['verb'][]): Step | undefined =>
    verbs.map(verb => all.find(step => step.verb === verb)).find(step => step !== undefined);
  const first =
    label === 'tool_cascade' || label === 'prompt_attack'
      ? firstOf('tool')
      : label === 'context_blowup'
        ? firstOf('llm')
        : firstOf('repeat', 'llm', 'tool');
  return first === undefined ? [] : [first];
}
