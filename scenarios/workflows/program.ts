// A compiled workflow: steps with parsed amounts and resolved names. What the interpreter walks.

import type { Expression } from '../base/expression.ts';
import type { InputPath } from '../base/issue.ts';
import type { Key } from '../base/key.ts';
import type { Amount } from '../formats/amount.ts';
import type { Retention } from '../formats/prompt.ts';
import type { StepRules, ToolRules, WorkflowRules } from '../formats/rules.ts';

interface StepBase {
  readonly name: string;
  /** Names this step among its siblings, so that a step added elsewhere leaves its draws alone. */
  readonly key: Key;
  readonly at: InputPath;
}

export type Join = 'all' | 'any' | number;

export interface LlmStep extends StepBase {
  readonly verb: 'llm';
  readonly model: string;
  readonly role: string | null;
  /** Higher goes first in an engine with priorities; null: as its session. */
  readonly priority: number | null;
  /** null: the prefix that this thread used last. */
  readonly prefix: readonly Segment[] | null;
  readonly adds: Amount;
  readonly reads: readonly string[];
  readonly out: Amount;
  readonly reasoning: Amount;
  /** Output that the client allows, reasoning first; what is drawn is cut there. Infinity: any. */
  readonly maxTokens: number;
  readonly context: 'main' | 'fresh' | 'fork' | 'last';
  readonly thread: string | null;
  /** A prompt longer than this is preceded by a call that summarises its thread. */
  readonly compactAt: { readonly tokens: Amount; readonly by: CompactStep } | null;
  /** What the gateway obeys of it; NO_RULES itself where nothing is said. */
  readonly rules: StepRules;
}

/** A call that summarises a thread, which then holds the kept results and the summary. */
export interface CompactStep extends StepBase {
  readonly verb: 'compact';
  readonly model: string;
  readonly priority: number | null;
  readonly adds: Amount;
  readonly out: Amount;
  readonly keep: readonly string[];
  readonly thread: string | null;
  readonly rules: StepRules;
}

export interface ToolStep extends StepBase {
  readonly verb: 'tool';
  readonly latencyMs: Amount;
  readonly resultTokens: Amount;
  readonly failRatio: number;
  readonly errorTokens: Amount;
  readonly onFail: 'continue' | 'stop';
  readonly rules: ToolRules;
}

export interface PauseStep extends StepBase {
  readonly verb: 'human' | 'wait';
  readonly delayMs: Amount;
  readonly adds: Amount;
}

export interface FanOutStep extends StepBase {
  readonly verb: 'parallel' | 'map';
  /** parallel: one list a branch; map: one list, run `over` times. */
  readonly branches: readonly (readonly Step[])[];
  readonly over: Amount | null;
  readonly maxParallel: Amount | null;
  readonly join: Join;
}

export interface RepeatStep extends StepBase {
  readonly verb: 'repeat';
  readonly times: Amount | null;
  /** Probability to stop after each pass. */
  readonly stopRatio: number | null;
  /** Stops after a pass of which this holds. */
  readonly until: Expression | null;
  readonly max: number;
  readonly steps: readonly Step[];
}

export interface BranchStep extends StepBase {
  readonly verb: 'branch';
  readonly cases: readonly { weight: number | null; when: Expression | null; steps: readonly Step[] }[];
}

export interface AgentStep extends StepBase {
  readonly verb: 'agent';
  readonly workflow: string;
  readonly context: 'fresh' | 'fork' | 'last';
  readonly steps: readonly Step[];
  readonly prefix: readonly Segment[];
}

/** Steps on a fork of the thread; when they fail, others run on another fork instead. */
export interface TryStep extends StepBase {
  readonly verb: 'try';
  readonly steps: readonly Step[];
  readonly onError: readonly Step[];
}

/** Steps that run lists of steps. */
export type BlockStep = FanOutStep | RepeatStep | BranchStep | AgentStep | TryStep;
/** Steps that ask for one call, tool or pause. */
export type LeafStep = LlmStep | CompactStep | ToolStep | PauseStep;
export type Step = LeafStep | BlockStep;

export type SegmentScope = 'global' | 'tenant' | 'user' | 'workflow' | 'session' | 'task';

/** A cacheable piece in front of prompts. */
export interface Segment {
  readonly name: string;
  readonly key: Key;
  readonly tokens: Amount;
  readonly scope: SegmentScope;
  /** What an engine is asked to keep it for; null: as any other. */
  readonly worth: Pick<Retention, 'priority' | 'durationMs'> | null;
}

export interface Workflow {
  readonly kind: 'template';
  readonly name: string;
  readonly key: Key;
  readonly prefix: readonly Segment[];
  readonly steps: readonly Step[];
  readonly params: ReadonlyMap<string, Amount>;
  /** What the gateway obeys of its sessions; NO_WORKFLOW_RULES itself where nothing is said. */
  readonly rules: WorkflowRules;
}

/** Visits every step, outermost first, in order; agents' bodies too. */
export function eachStep(steps: readonly Step[], visit: (step: Step) => void): void {
  for (const step of steps) {
    visit(step);
    for (const list of childLists(step)) eachStep(list, visit);
  }
}

/** The lists of steps directly inside a step. */
export function childLists(step: Step): readonly (readonly Step[])[] {
  switch (step.verb) {
    case 'parallel':
    case 'map':
      return step.branches;
    case 'repeat':
    case 'agent':
      return [step.steps];
    case 'branch':
      return step.cases.map(each => each.steps);
    case 'try':
      return [step.steps, step.onError];
    case 'llm':
    case 'compact':
    case 'tool':
    case 'human':
    case 'wait':
      return [];
  }
}
