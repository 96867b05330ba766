// A prefix that changes in the middle of a thread stands in front of its history, which is then computed anew.
import type { InputPath } from '../base/issue.ts';
import { plainName } from '../workflows/around.ts';
import type { LlmStep, Segment, Step, Workflow } from '../workflows/program.ts';
import { defineLint, type Finding, type LintContext, shortCount } from './lint.ts';

/** Less is not worth a word: a few KV blocks, a small part of the prompt. */
const MIN_TOKENS = 100;
const MIN_SHARE = 0.1;

interface ThreadState {
  prefix: readonly Segment[];
  hasHistory: boolean;
  /** Of the last call: another model has another cache. */
  model: string | null;
}
type Threads = Map<string | null, ThreadState>;

interface Change {
  readonly step: LlmStep;
  readonly path: InputPath;
  readonly before: readonly Segment[];
}

export const changedPrefix = defineLint('WT2002', function* (context): Generator<Finding> {
  for (const workflow of context.workflows.values()) {
    for (const { step, path, before } of changes(workflow)) {
      const { tokens, share } = history(context, plainName(step.name));
      if (tokens < MIN_TOKENS || share < MIN_SHARE) continue;
      const names = (segments: readonly Segment[]): string =>
        `[${segments.map(each => each.name).join(', ')}]`;
      yield {
        path,
        message:
          `the prefix changes from ${names(before)} to ${names(step.prefix ?? [])} in front of a history: ` +
          `${shortCount(tokens)} tokens of each call of "${plainName(step.name)}" are computed anew`,
        hint: 'keep the prefix of a thread; what is new goes into `adds`, or the step into a sub-agent or `context: fresh`',
      };
    }
  }
});

/** Follows threads through the steps, as the interpreter does: blocks that fork leave the thread as it was. */
function changes(workflow: Workflow): Change[] {
  const found = new Map<string, Change>();
  const forked = (threads: Threads): Threads =>
    new Map([...threads].map(([name, state]) => [name, { ...state }]));
  const stateOf = (threads: Threads, name: string | null): ThreadState => {
    const state = threads.get(name) ?? {
      prefix: threads.get(null)?.prefix ?? [],
      hasHistory: false,
      model: null,
    };
    threads.set(name, state);
    return state;
  };
  const call = (step: LlmStep, threads: Threads): void => {
    const home = stateOf(threads, step.thread);
    const seesHistory = step.context === 'main' || step.context === 'fork';
    const isSame = step.prefix === null || sameNames(step.prefix, home.prefix);
    if (seesHistory && home.hasHistory && !isSame && home.model === step.model) {
      const path = [...step.at, 'prefix'];
      found.set(JSON.stringify(path), { step, path, before: home.prefix });
    }
    if (step.context !== 'main') return;
    home.prefix = step.prefix ?? home.prefix;
    home.hasHistory = true;
    home.model = step.model;
  };
  const visit = (steps: readonly Step[], threads: Threads, isFirstPass = true): void => {
    for (const step of steps) {
      switch (step.verb) {
        case 'llm':
          call(step, threads);
          break;
        case 'repeat':
          // A second pass sees what the first left behind; the loops inside it have had theirs.
          visit(step.steps, threads, isFirstPass);
          if (isFirstPass) visit(step.steps, threads, false);
          break;
        case 'branch': {
          const [first, ...others] = step.cases;
          for (const each of others) visit(each.steps, forked(threads), isFirstPass);
          visit(first?.steps ?? [], threads, isFirstPass);
          break;
        }
        case 'parallel':
        case 'map':
          for (const branch of step.branches) visit(branch, forked(threads), isFirstPass);
          break;
        case 'try':
          visit(step.steps, forked(threads), isFirstPass);
          visit(step.onError, forked(threads), isFirstPass);
          break;
        case 'agent':
          // On a thread of its own it is linted as a workflow of its own.
          if (step.context === 'fork') visit(step.steps, forked(threads), isFirstPass);
          break;
        case 'compact':
        case 'tool':
        case 'human':
        case 'wait':
          break;
      }
    }
  };
  visit(workflow.steps, new Map([[null, { prefix: workflow.prefix, hasHistory: false, model: null }]]));
  return [...found.values()];
}

const sameNames = (a: readonly Segment[], b: readonly Segment[]): boolean =>
  a.length === b.length && a.every((segment, index) => segment.name === b[index]?.name);

/** Mean history in front of the calls of a step over the walked sessions, and its share of their prompts. */
function history({ walks }: LintContext, step: string): { tokens: number; share: number } {
  let calls = 0;
  let tokens = 0;
  let prompts = 0;
  for (const { calls: own } of walks) {
    for (const call of own) {
      if (call.step !== step) continue;
      calls++;
      tokens += call.parts.find(part => part.segment === 'history')?.tokens ?? 0;
      prompts += call.promptTokens;
    }
  }
  return calls === 0 ? { tokens: 0, share: 0 } : { tokens: tokens / calls, share: tokens / prompts };
}
