// The steps of a workflow, as a user writes them: a verb each. A step is dispatched by its verb before it is checked, so
// that an error names the key that is wrong, not the whole block; lists of inner steps are checked while compiling.
import { z } from 'zod';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { amount, duration, name, ROLES, share, tokens } from './fields.ts';
import {
  allow,
  breaker,
  complexity,
  consent,
  fallback,
  hedge,
  hints,
  retry,
  sensitivity,
  slo,
  success,
  timeout,
} from './policies.ts';
import { checkSchema } from './source.ts';
import { didYouMean } from './suggest.ts';

/** Lists of steps inside steps; json-schema/ gives them the schema of a step. */
export const STEPS = z.array(z.unknown()).min(1, 'an empty list of steps').describe('steps, in order');
/** Lists of branches: each a step or a list of steps. */
export const BRANCHES = z.array(z.unknown()).min(1).describe('branches: each a step or a list of steps');

/** Parts of a step that the gateway decides, for calls and tools alike. */
const governed = {
  timeout: timeout.optional(),
  retry: retry.optional(),
  sensitivity: sensitivity.optional(),
};

const llm = z.strictObject({
  llm: name.describe('name of the step, unique in its workflow'),
  model: z.string().optional().describe('alias under `models`, or a catalogue id'),
  role: z.enum(ROLES).optional().describe('what the call is for; groups figures'),
  prefix: z
    .array(z.string())
    .optional()
    .describe('prefix segments in front, in order; default: what this thread used last'),
  adds: tokens.optional().describe('tokens that are new in this prompt; default 0'),
  reads: z.array(z.string()).optional().describe('steps whose results join the prompt'),
  out: tokens.describe('visible output tokens'),
  max_tokens: z
    .int()
    .positive()
    .optional()
    .describe('most output tokens that the client allows, reasoning included: what is drawn is cut there'),
  reasoning: tokens
    .optional()
    .describe('reasoning tokens: generated and billed first, then dropped from the thread'),
  context: z
    .enum(['main', 'fresh', 'fork', 'last'])
    .optional()
    .describe(
      'main: append to the thread (default); fresh: an empty one; fork: a copy, then dropped; ' +
        'last: an empty one that begins with the result of the step before',
    ),
  thread: name.optional().describe('a named thread instead of the enclosing one'),
  compact_at: z
    .union([
      z.number(),
      z.string(),
      z.strictObject({
        tokens: tokens.describe('prompts longer than this are compacted first'),
        out: tokens.optional().describe('tokens of the summary; default 2000'),
        keep: z.array(z.string()).optional().describe('steps whose results stay word for word'),
      }),
    ])
    .optional()
    .describe('a prompt longer than this is preceded by a call that summarises the thread: 160k'),
  slo: slo.optional(),
  ...governed,
  hedge: hedge.optional(),
  breaker: breaker.optional(),
  fallback: fallback.optional(),
  complexity: complexity.optional(),
  success: success.optional(),
  allow: allow.optional(),
  hints: hints.optional(),
});
const tool = z.strictObject({
  tool: name.describe('a tool under `tools`'),
  ...governed,
  consent: consent.optional(),
  role: z.enum(ROLES).optional().describe('of the agent that runs it; default that of its workflow'),
});
const human = z.strictObject({
  human: duration.describe('think time'),
  adds: tokens.optional().describe('tokens the human writes: tokens(prev) of the next step'),
});
const wait = z.strictObject({ wait: duration.describe('how long') });
const join = z
  .union([z.enum(['all', 'any']), z.int().positive()])
  .optional()
  .describe('all (default), any, or how many must complete; the rest is cancelled');
const parallel = z.strictObject({ parallel: name.describe('name of the step'), branches: BRANCHES, join });
const map = z.strictObject({
  map: name.describe('name of the step'),
  over: z.union([amount, z.array(z.union([z.string(), z.number()])).min(1)]).describe('a count, or a list'),
  max_parallel: amount.optional().describe('iterations at once; default: all'),
  join,
  steps: STEPS,
});
const repeat = z.strictObject({
  repeat: name.describe('name of the step'),
  times: amount.optional().describe('how many passes'),
  until: z
    .union([z.strictObject({ p: share.describe('probability to stop after each pass') }), z.string()])
    .optional()
    .describe('{ p: 25% }, or a condition judged after each pass: =tokens(review) < 100'),
  max: z.int().positive().optional().describe('most passes; required with `until`'),
  steps: STEPS,
});
const branch = z.strictObject({
  branch: name.describe('name of the step'),
  cases: z
    .array(
      z.strictObject({
        weight: share.optional().describe('how often, against the other weights: 80%'),
        when: z.string().optional().describe('the condition: =iteration > 2'),
        steps: STEPS,
      }),
    )
    .min(1)
    .describe('all with a weight, or conditions in order (`when: =iteration > 2`) and a last one without'),
});
const agent = z.strictObject({
  agent: name.describe('a workflow, run as a sub-agent'),
  context: z
    .enum(['fresh', 'fork', 'last'])
    .optional()
    .describe(
      'fresh (default): an empty thread; fork: a copy of this one; last: one that begins with the result of the step before',
    ),
});
const attempt = z.strictObject({
  try: name.describe('name of the step'),
  steps: STEPS,
  on_error: STEPS.optional().describe(
    'what runs when the steps fail; default nothing, and the workflow goes on',
  ),
});
const compact = z.strictObject({
  compact: name.describe('name of the call that writes the summary, unique in its workflow'),
  out: tokens.describe('tokens of the summary'),
  adds: tokens.optional().describe('tokens of the instruction; default 0'),
  keep: z.array(z.string()).optional().describe('steps whose results stay word for word before the summary'),
  model: z.string().optional().describe('alias under `models`; default as for a call'),
  thread: name.optional().describe('a named thread instead of the enclosing one'),
  slo: slo.optional(),
  ...governed,
  fallback: fallback.optional(),
});

/** Every verb and its schema: the one list of step kinds. */
export const VERBS = {
  llm,
  tool,
  human,
  wait,
  parallel,
  map,
  repeat,
  branch,
  agent,
  try: attempt,
  compact,
} as const;
export type Verb = keyof typeof VERBS;
export type StepFile = { [V in Verb]: { verb: V; body: z.infer<(typeof VERBS)[V]> } }[Verb];

/** A step as a TypeScript scenario writes it: the schemas above, with steps where steps stand. */
export type Step = { [V in Verb]: WithSteps<z.input<(typeof VERBS)[V]>> }[Verb] | string;
type WithSteps<Body> = {
  [Key in keyof Body]: Key extends 'steps' | 'on_error'
    ? readonly Step[]
    : Key extends 'branches'
      ? readonly (Step | readonly Step[])[]
      : Key extends 'cases'
        ? readonly { weight?: number | string; when?: string; steps: readonly Step[] }[]
        : Body[Key];
};

/** Dispatches a raw step by its verb, then checks it. A bare string is a tool. */
export function parseStep(raw: unknown, path: InputPath, issues: Issue[]): StepFile | null {
  if (typeof raw === 'string') return { verb: 'tool', body: { tool: raw } };
  const verbList = `verbs: ${Object.keys(VERBS).join(', ')}`;
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    issues.push(issue(path, 'WT1101', 'a step is a mapping with one verb, or the name of a tool', verbList));
    return null;
  }
  const keys = Object.keys(raw);
  const verbs = keys.filter((key): key is Verb => Object.hasOwn(VERBS, key));
  if (verbs.length === 0 && keys.includes('run')) {
    const hint = 'a sub-agent is written `agent: NAME`';
    issues.push(issue([...path, 'run'], 'WT1003', 'unknown verb "run"', hint, { atKey: true }));
    return null;
  }
  if (verbs.length !== 1) {
    const hint =
      verbs.length > 1
        ? `found ${verbs.join(' and ')}`
        : keys.map(key => didYouMean(key, Object.keys(VERBS))).find(each => each !== null);
    issues.push(issue(path, 'WT1101', 'a step needs exactly one verb', hint ?? verbList));
    return null;
  }
  const verb = verbs[0] as Verb;
  const parsed = checkSchema<z.ZodType>(VERBS[verb], raw, path);
  issues.push(...parsed.issues);
  return parsed.value === null ? null : ({ verb, body: parsed.value } as StepFile);
}

/** Visits raw steps, inner ones too, with their paths. */
export function eachRawStep(
  steps: unknown,
  path: InputPath,
  visit: (step: unknown, at: InputPath) => void,
): void {
  if (!Array.isArray(steps)) return;
  for (const [index, step] of steps.entries()) visitRawStep(step, [...path, index], visit);
}

function visitRawStep(step: unknown, at: InputPath, visit: (step: unknown, at: InputPath) => void): void {
  visit(step, at);
  if (typeof step !== 'object' || step === null) return;
  const { steps: inner, on_error: onError, branches, cases } = step as Record<string, unknown>;
  eachRawStep(inner, [...at, 'steps'], visit);
  eachRawStep(onError, [...at, 'on_error'], visit);
  for (const [key, lists] of [
    ['branches', branches],
    ['cases', cases],
  ] as const) {
    if (!Array.isArray(lists)) continue;
    for (const [each, list] of lists.entries()) {
      const here = [...at, key, each];
      if (Array.isArray(list)) eachRawStep(list, here, visit);
      else if (key === 'branches') visitRawStep(list, here, visit);
      else eachRawStep((list as { steps?: unknown } | null)?.steps, [...here, 'steps'], visit);
    }
  }
}
