// What compiling the steps of one workflow shares: the names in sight, and amounts whose names are checked.
import { mentions } from '../base/expression.ts';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import type { Key } from '../base/key.ts';
import { type Amount, checkNames, constant, parseAmount } from '../formats/amount.ts';
import type { Dimension } from '../formats/quantity.ts';
import type { ScenarioFile } from '../formats/scenario.ts';
import type { StepFile } from '../formats/steps.ts';
import { didYouMean } from '../formats/suggest.ts';
import type { Segment, Step } from './program.ts';

/** What compiling one file's workflows shares. */
export interface CompileContext {
  readonly file: ScenarioFile;
  readonly segments: ReadonlyMap<string, Segment>;
  readonly paramNames: readonly string[];
  readonly issues: Issue[];
  /** Workflows being compiled, outermost first: an agent may not call one of these. */
  readonly stack: readonly string[];
  readonly defaultModel: string | null;
  /** Names of llm steps seen in this workflow. */
  readonly llmNames: Set<string>;
  /** Names of steps that may have run before the one being compiled. */
  readonly before: Set<string>;
  /** Inside `try` a tool that fails fails its list, unless it says otherwise. */
  readonly inTry: boolean;
  /** Lists around the one being compiled. */
  readonly depth: number;
  compileWorkflow(
    name: string,
    path: InputPath,
    stack: readonly string[],
  ): { steps: readonly Step[]; prefix: readonly Segment[] } | null;
}

/** What every step has. */
export interface Base {
  readonly name: string;
  readonly key: Key;
  readonly at: InputPath;
}

export type Body<V extends StepFile['verb']> = Extract<StepFile, { verb: V }>['body'];

export function amountOf(
  raw: unknown,
  dimension: Dimension,
  path: InputPath,
  context: CompileContext,
): Amount {
  const amount = parseAmount(raw, dimension, path, context.issues);
  if (amount === null) return constant(0);
  checkMentions(amount, path, context);
  return amount;
}

/** Names and steps that an expression mentions must be there. */
export function checkMentions(amount: Amount, path: InputPath, context: CompileContext): void {
  checkNames(amount, [...context.paramNames, 'iteration'], path, context.issues);
  if (amount.kind !== 'expression') return;
  mentions(amount.expression, (what, step) => {
    if (what === 'tokens' && step !== 'prev') checkRead(step, path, context);
  });
}

export function optionalAmount(
  raw: unknown,
  dimension: Dimension,
  path: InputPath,
  context: CompileContext,
): Amount {
  return raw === undefined ? constant(0) : amountOf(raw, dimension, path, context);
}

export function checkRead(step: string, path: InputPath, context: CompileContext): void {
  if (context.before.has(step)) return;
  const hint = didYouMean(step, [...context.before]);
  context.issues.push(
    issue(
      path,
      'WT1105',
      `reads "${step}", which never ran before this step`,
      hint ??
        (context.before.size > 0
          ? `steps before it: ${[...context.before].join(', ')}`
          : 'no step runs before it'),
    ),
  );
}
