// Compiles the steps that ask for one call, tool or pause.
import { type InputPath, issue } from '../base/issue.ts';
import { type Amount, constant } from '../formats/amount.ts';
import { parseScalar } from '../formats/quantity.ts';
import type { StepFile } from '../formats/steps.ts';
import { didYouMean } from '../formats/suggest.ts';
import {
  amountOf,
  type Base,
  type Body,
  type CompileContext,
  checkRead,
  optionalAmount,
} from './compile-context.ts';
import { stepRules, toolRules } from './compile-rules.ts';
import type { CompactStep, LlmStep, PauseStep, Segment, ToolStep } from './program.ts';

export function compileLlm(body: Body<'llm'>, base: Base, context: CompileContext): LlmStep {
  const { at } = base;
  claimName(body.llm, [...at, 'llm'], context);
  const own: Omit<LlmStep, 'compactAt' | 'rules'> = {
    ...base,
    verb: 'llm',
    model: modelOf(body, body.llm, at, context),
    role: body.role ?? null,
    priority: body.hints?.priority ?? priorityOf(context),
    prefix: body.prefix === undefined ? null : segmentsOf(body.prefix, [...at, 'prefix'], context),
    adds: optionalAmount(body.adds, 'tokens', [...at, 'adds'], context),
    reads: readsOf(body.reads, [...at, 'reads'], context),
    out: amountOf(body.out, 'tokens', [...at, 'out'], {
      ...context,
      paramNames: [...context.paramNames, 'reasoning'],
    }),
    reasoning: optionalAmount(body.reasoning, 'tokens', [...at, 'reasoning'], context),
    maxTokens: body.max_tokens ?? Number.POSITIVE_INFINITY,
    context: body.context ?? 'main',
    thread: body.thread ?? null,
  };
  const step = { ...own, rules: stepRules(body, own, context) };
  return { ...step, compactAt: compactAtOf(body, step, context) };
}

/** Reads and tokens() need one of each name in a workflow. */
function claimName(name: string, path: InputPath, context: CompileContext): void {
  if (context.llmNames.size < context.llmNames.add(name).size) return;
  const hint = 'reads and tokens() need one of each name in a workflow';
  context.issues.push(issue(path, 'WT1103', `two llm steps are called "${name}"`, hint));
}

function modelOf(
  body: { model?: string | undefined },
  name: string,
  at: InputPath,
  context: CompileContext,
): string {
  const model = body.model ?? context.defaultModel;
  const aliases = Object.keys(context.file.models ?? {});
  if (model === null) {
    context.issues.push(
      issue(at, 'WT1004', `no model for "${name}"`, 'add `model:` to the step or to its workflow'),
    );
  } else if (aliases.length > 0 && !aliases.includes(model)) {
    // What no step names is the workflow's own default.
    const path =
      body.model === undefined ? ['workflows', context.stack.at(-1) as string, 'model'] : [...at, 'model'];
    const hint = didYouMean(model, aliases) ?? `under \`models\`: ${aliases.join(', ')}`;
    context.issues.push(issue(path, 'WT1102', `unknown model "${model}"`, hint));
  }
  return model ?? '';
}

/** What the workflow around a step hints at. */
const priorityOf = ({ file, stack }: CompileContext): number | null =>
  file.workflows?.[stack.at(-1) as string]?.hints?.priority ?? null;

function readsOf(
  reads: readonly string[] | undefined,
  path: InputPath,
  context: CompileContext,
): readonly string[] {
  for (const [index, read] of (reads ?? []).entries()) checkRead(read, [...path, index], context);
  return reads ?? [];
}

/** Tokens of a summary where `compact_at` does not say; an assumption. */
const SUMMARY_TOKENS = 2000;

function compactAtOf(
  body: Body<'llm'>,
  step: Omit<LlmStep, 'compactAt'>,
  context: CompileContext,
): LlmStep['compactAt'] {
  const given = body.compact_at;
  if (given === undefined) return null;
  const path = [...step.at, 'compact_at'];
  const parts = typeof given === 'object' ? given : { tokens: given };
  const inner = typeof given === 'object' ? (key: string) => [...path, key] : () => path;
  const { name, key, at, model, priority, thread } = step;
  const out =
    parts.out === undefined ? constant(SUMMARY_TOKENS) : amountOf(parts.out, 'tokens', inner('out'), context);
  const { complexity: _, success: __, ...governed } = body;
  return {
    tokens: amountOf(parts.tokens, 'tokens', inner('tokens'), context),
    by: {
      name,
      key,
      at,
      model,
      priority,
      thread,
      verb: 'compact',
      adds: constant(0),
      out,
      keep: readsOf(parts.keep, inner('keep'), context),
      // It sends the same prompt, so what governs the step governs its summary.
      rules: stepRules(governed, summaryCall(at, out), context),
    },
  };
}

/** The call that writes a summary, as its rules see it. */
const summaryCall = (at: InputPath, out: Amount) => ({
  at,
  role: 'summarizer',
  out,
  reasoning: constant(0),
  maxTokens: Number.POSITIVE_INFINITY,
});

export function compileCompact(body: Body<'compact'>, base: Base, context: CompileContext): CompactStep {
  const { at } = base;
  claimName(body.compact, [...at, 'compact'], context);
  const out = amountOf(body.out, 'tokens', [...at, 'out'], context);
  return {
    ...base,
    verb: 'compact',
    model: modelOf(body, body.compact, at, context),
    priority: priorityOf(context),
    adds: optionalAmount(body.adds, 'tokens', [...at, 'adds'], context),
    out,
    keep: readsOf(body.keep, [...at, 'keep'], context),
    thread: body.thread ?? null,
    rules: stepRules(body, summaryCall(at, out), context),
  };
}

/** Resolves prefix segment names. */
export function segmentsOf(
  names: readonly string[],
  path: InputPath,
  context: Pick<CompileContext, 'segments' | 'issues'>,
): Segment[] {
  const found: Segment[] = [];
  for (const [index, name] of names.entries()) {
    const segment = context.segments.get(name);
    if (segment !== undefined) found.push(segment);
    else {
      const known = [...context.segments.keys()];
      context.issues.push(
        issue(
          [...path, index],
          'WT1102',
          `unknown prefix "${name}"`,
          didYouMean(name, known) ??
            (known.length > 0 ? `under \`prefixes\`: ${known.join(', ')}` : 'define it under `prefixes`'),
        ),
      );
    }
  }
  return found;
}

export function compileTool(body: Body<'tool'>, base: Base, context: CompileContext): ToolStep | null {
  const name = body.tool;
  const tools = context.file.tools ?? {};
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
  if (tool === undefined) {
    const known = Object.keys(tools);
    context.issues.push(
      issue(
        base.at,
        'WT1102',
        `unknown tool "${name}"`,
        didYouMean(name, known) ??
          (known.length > 0 ? `under \`tools\`: ${known.join(', ')}` : 'define it under `tools`'),
      ),
    );
    return null;
  }
  const at = ['tools', name];
  const fail = tool.fail === undefined ? { value: 0 } : parseScalar(tool.fail, 'ratio');
  if ('error' in fail) context.issues.push(issue([...at, 'fail'], 'WT1006', fail.error, fail.hint));
  return {
    ...base,
    verb: 'tool',
    latencyMs: amountOf(tool.latency, 'ms', [...at, 'latency'], context),
    resultTokens: optionalAmount(tool.result, 'tokens', [...at, 'result'], context),
    failRatio: 'value' in fail ? fail.value : 0,
    errorTokens:
      tool.error_result === undefined
        ? constant(60)
        : amountOf(tool.error_result, 'tokens', [...at, 'error_result'], context),
    onFail: tool.on_fail ?? (context.inTry ? 'stop' : 'continue'),
    rules: toolRules(body, tool, base.at, context),
  };
}

/** A person who thinks, or time that passes. */
export function compilePause(
  file: Extract<StepFile, { verb: 'human' | 'wait' }>,
  base: Base,
  context: CompileContext,
): PauseStep {
  const { at } = base;
  const raw = file.verb === 'human' ? file.body.human : file.body.wait;
  const adds = file.verb === 'human' ? file.body.adds : undefined;
  return {
    ...base,
    verb: file.verb,
    delayMs: amountOf(raw, 'ms', [...at, file.verb], context),
    adds: optionalAmount(adds, 'tokens', [...at, 'adds'], context),
  };
}
