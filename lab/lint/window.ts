// Prompts beyond the window of the catalogue's model, where no deployment says another one; and in which pass of a loop a
// growing context gets there. With a deployment the same is an error (WT1108).
import { findModel } from '../../engines/catalog.ts';
import { defineLint, type Finding, shortCount, type WalkedCall } from '../../scenarios/lint/lint.ts';
import { plainName } from '../../scenarios/workflows/around.ts';
import { eachStep, type Workflow } from '../../scenarios/workflows/program.ts';
import type { LabContext } from './context.ts';

interface Excess {
  readonly window: number;
  readonly modelId: string;
  sessions: Set<string>;
  longest: WalkedCall;
  /** First pass of a loop in which it happens. */
  pass: { loop: string; pass: number } | null;
}

export const windows = defineLint('WT2012', function* (context: LabContext): Generator<Finding> {
  if (context.deployment !== null) return;
  for (const [step, { window, modelId, sessions, longest, pass }] of excesses(context)) {
    const where = pass === null ? '' : `, from pass ${pass.pass + 1} of "${pass.loop}" on`;
    yield {
      path: stepPath(context.workflows, step) ?? ['workflows'],
      message:
        `prompts of "${step}" exceed the ${shortCount(window)} tokens of ${modelId} in ${sessions.size} of the first ` +
        `${context.walks.length} sessions${where}: up to ${shortCount(longest.promptTokens)} + ${shortCount(longest.outputTokens)}`,
      hint:
        pass === null
          ? 'clamp the amounts with max, compact the thread (`compact_at`), or choose a model with a longer window'
          : 'let `compact_at` summarise the thread before it is full, or make fewer passes',
    };
  }
});

function excesses({ walks, plan }: LabContext): Map<string, Excess> {
  const found = new Map<string, Excess>();
  for (const { session, calls } of walks) {
    for (const call of calls) {
      const modelId = plan.models.get(call.model)?.modelId ?? call.model;
      const window = findModel(modelId)?.maxContextTokens ?? null;
      if (window === null || call.promptTokens + call.outputTokens <= window) continue;
      const pass = call.loop === null ? null : { loop: call.loop, pass: call.iteration ?? 0 };
      const known = found.get(call.step);
      if (known === undefined) {
        found.set(call.step, { window, modelId, sessions: new Set([session.id]), longest: call, pass });
        continue;
      }
      known.sessions.add(session.id);
      if (call.promptTokens > known.longest.promptTokens) known.longest = call;
      if (pass !== null && (known.pass === null || pass.pass < known.pass.pass)) known.pass = pass;
    }
  }
  return found;
}

/** Where a step of that name stands. */
export function stepPath(workflows: ReadonlyMap<string, Workflow>, name: string): Finding['path'] | null {
  let path: Finding['path'] | null = null;
  for (const workflow of workflows.values()) {
    eachStep(workflow.steps, step => {
      if (path === null && plainName(step.name) === name.replace(/\/compact$/, '')) path = step.at;
    });
  }
  return path;
}
