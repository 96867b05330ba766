// The scenario file, as a user writes it: one schema, from which types, JSON Schema and error messages follow. Steps are
// dispatched by their verb before they are checked, so that an error names the key that is wrong, not the whole block.
import { z } from 'zod';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { notBuilt } from './deployment.ts';
import { checkSchema, type Source } from './source.ts';
import { didYouMean } from './suggest.ts';

const amount = z.union([z.number(), z.string(), z.record(z.string(), z.unknown())]);
const tokens = amount.describe('tokens: 160k, { median: 216, p90: 899 } or =tokens(prev)');
const duration = amount.describe('a duration: 350ms, 1.1s, 10m, or a distribution of such');
const share = z.union([z.number(), z.string()]).describe('a share: 80% or 0.8');
const name = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]*$/, 'a name starts with a letter; then letters, digits, - and _');

export const ROLES = ['planner', 'worker', 'evaluator', 'router', 'final', 'summarizer'] as const;

const STEPS = z.array(z.unknown()).min(1, 'an empty list of steps').describe('steps, in order');

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
  reasoning: tokens
    .optional()
    .describe('reasoning tokens: generated and billed first, then dropped from the thread'),
  context: z
    .enum(['main', 'fresh', 'fork'])
    .optional()
    .describe('main: append to the thread (default); fresh: an empty one; fork: a copy, then dropped'),
  thread: name.optional().describe('a named thread instead of the enclosing one'),
});
const tool = z.strictObject({
  tool: name.describe('a tool under `tools`'),
});
const human = z.strictObject({
  human: duration.describe('think time'),
  adds: tokens.optional().describe('tokens the human writes: tokens(prev) of the next step'),
});
const wait = z.strictObject({ wait: duration });
const branches = z.array(z.unknown()).min(1);
const join = z
  .union([z.enum(['all', 'any']), z.int().positive()])
  .optional()
  .describe('all (default), any, or how many must complete; the rest is cancelled');
const parallel = z.strictObject({ parallel: name, branches: branches.describe('lists of steps'), join });
const map = z.strictObject({
  map: name,
  over: z.union([amount, z.array(z.union([z.string(), z.number()])).min(1)]).describe('a count, or a list'),
  max_parallel: amount.optional().describe('iterations at once; default: all'),
  join,
  steps: STEPS,
});
const repeat = z.strictObject({
  repeat: name,
  times: amount.optional(),
  until: z.strictObject({ p: share.describe('probability to stop after each pass') }).optional(),
  max: z.int().positive().optional().describe('most passes; required with `until`'),
  steps: STEPS,
});
const branch = z.strictObject({
  branch: name,
  cases: z
    .array(z.strictObject({ weight: share.optional(), when: z.string().optional(), steps: STEPS }))
    .min(1)
    .describe('all with a weight, or conditions in order (`when: =iteration > 2`) and a last one without'),
});
const agent = z.strictObject({
  agent: name.describe('a workflow, run as a sub-agent'),
  context: z
    .enum(['fresh', 'fork'])
    .optional()
    .describe('fresh (default): an empty thread; fork: a copy of this one'),
});

/** Every verb and its schema: the one list of step kinds. */
export const VERBS = { llm, tool, human, wait, parallel, map, repeat, branch, agent } as const;
export type Verb = keyof typeof VERBS;
export type StepFile = { [V in Verb]: { verb: V; body: z.infer<(typeof VERBS)[V]> } }[Verb];

/** Parts of the language that are refused by name, with what stands in for them today. */
const LATER_VERBS: Record<string, string> = {
  try: 'for now a failing tool hands its error on, or stops the workflow (`on_fail: stop`)',
  compact: 'for now a step with `context: fresh` and `reads` starts a short context',
  emit: 'marks in a session',
};
const LATER_KEYS: Record<string, Record<string, string>> = {
  scenario: {
    slo: 'for now write `assert:` lines',
    budget: 'limits on tokens, calls, time and money',
    faults: 'outages, crashes and losses',
    extends: 'for now a scenario is one file',
    presets: 'for now copy a library scenario',
    tenants: 'for now `tenant` stands in each cohort',
    gateway: 'policies in front of the pools; routing stands in the deployment',
    links: 'network between places; for now a pool has `api_latency`',
  },
  workflow: {
    budget: 'limits on tokens, calls, time and money',
    slo: 'for now write `assert:` lines',
    cancel: 'users who leave',
    on_cancel: 'clean-up after a cancel',
    inputs: 'for now use `params`',
    outputs: 'for now the last answer is what a caller sees',
    retry: 'retries of calls',
    timeout: 'limits on time',
  },
  step: {
    slo: 'for now write `assert: p95(e2e, step=NAME) < 2s`',
    timeout: 'limits on time',
    retry: 'retries of calls',
    hedge: 'a second call when the first is slow',
    breaker: 'circuit breakers',
    fallback: 'another model when one fails',
    budget: 'limits on tokens, calls, time and money',
    compact_at: 'contexts that are summarised when they grow',
    hints: 'hints to the server',
    sensitivity: 'labels for routing by policy',
    complexity: 'labels for routing by model',
    allow: 'allowed tools and destinations',
    rate_limit: 'limits of an API',
    preset: 'for now copy from the library',
  },
  model: {
    rate_limit: 'limits of an API',
    fallback: 'another model when one fails',
    target: 'for now a pool is found by its name or its model',
  },
  prefix: { priority: 'what an engine keeps first', ttl: 'how long an engine keeps it' },
  tool: {
    retry: 'retries of tools',
    timeout: 'limits on time',
    concurrency: 'tools that run a few at a time',
    cold_start: 'sandboxes that start',
    warm_pool: 'sandboxes that wait',
  },
  cohort: {
    users: 'users inside a tenant',
    mix: 'for now one cohort a workflow',
    hints: 'hints to the server',
    cancel: 'users who leave',
    patience: 'users who leave',
  },
  arrival: {
    gamma: 'bursty arrivals; for now poisson, constant, cron or closed',
    weibull: 'bursty arrivals; for now poisson, constant, cron or closed',
    phases: 'rates that change; for now one cohort a phase',
    ramp: 'rates that change',
    spike: 'rates that change',
    diurnal: 'rates that change over the day',
  },
};

const price = z
  .strictObject({
    in: z.number().nonnegative(),
    cached_in: z.number().nonnegative().optional(),
    out: z.number().nonnegative(),
  })
  .describe('USD per million tokens');
const model = z.strictObject({
  model: z.string().describe('catalogue id'),
  price: price.optional(),
});
const prefix = z.strictObject({
  tokens,
  scope: z
    .enum(['global', 'tenant', 'workflow', 'session', 'task'])
    .optional()
    .describe('who shares it; default global'),
  retention: z
    .enum(['durable', 'session', 'ephemeral'])
    .optional()
    .describe('a hint; engines act on it with a later version'),
});
const toolDefinition = z.strictObject({
  latency: duration,
  result: tokens.optional().describe('tokens of its result; default 0'),
  fail: share.optional().describe('share of runs that fail; default 0'),
  error_result: tokens.optional().describe('tokens of the error text the agent sees; default 60'),
  on_fail: z
    .enum(['continue', 'stop'])
    .optional()
    .describe('continue (default): the agent reads the error; stop: the workflow fails'),
  idempotent: z.boolean().optional().describe('a hint for retries'),
});
const workflow = z.strictObject({
  description: z.string().optional(),
  prefix: z.array(z.string()).optional().describe('segments in front of every thread of this workflow'),
  model: z.string().optional().describe('default model of its calls'),
  steps: STEPS,
});
const ARRIVALS = {
  poisson: z
    .strictObject({ rate: z.union([z.string(), z.number()]) })
    .describe('open: independent arrivals at a rate'),
  constant: z.strictObject({ rate: z.union([z.string(), z.number()]) }).describe('open: evenly spaced'),
  cron: z
    .union([
      z.string(),
      z.strictObject({ at: z.string(), size: z.int().positive().optional(), jitter: duration.optional() }),
    ])
    .describe('open: a burst at each firing of `minute hour * * weekday`; the first firing is time 0'),
  closed: z
    .strictObject({ agents: z.int().positive(), think: duration.optional() })
    .describe('closed: agents that start anew when done'),
};
const arrival = z.strictObject({
  poisson: ARRIVALS.poisson.optional(),
  constant: ARRIVALS.constant.optional(),
  cron: ARRIVALS.cron.optional(),
  closed: ARRIVALS.closed.optional(),
  at_once: z.strictObject({}).or(z.literal(true)).optional().describe('every session starts at time 0'),
  recorded: z.literal(true).optional().describe('as the trace recorded them'),
});
const cohort = z.strictObject({
  name: name.optional().describe('default: the workflow'),
  workflow: z.string().optional(),
  trace: z
    .union([z.string(), z.array(z.string()).min(1)])
    .optional()
    .describe('file or folder of recorded sessions, instead of a workflow'),
  tenant: z.string().optional(),
  arrival: arrival.optional(),
  sessions: z.int().positive().optional().describe('how many sessions in all'),
  for: z.string().optional().describe('how long new sessions start: 10m'),
  timing: z
    .enum(['causal', 'absolute', 'scaled'])
    .optional()
    .describe(
      'traces: causal (default) keeps gaps after parents; absolute keeps recorded instants; scaled multiplies gaps by gap_scale',
    ),
  gap_scale: z.number().positive().optional(),
  gap_cap: z.string().optional().describe('traces: longest gap that is kept'),
  scale_tokens: z
    .number()
    .positive()
    .max(1)
    .optional()
    .describe('traces: shrink every length by this factor, prefixes stay shared'),
  warm: z.boolean().optional().describe('traces: the first prompt of each session is already in the cache'),
  model: z.string().optional().describe('traces: serve every call by this model'),
});

export const scenarioSchema = z.strictObject({
  windtunnel: z.literal(1).describe('version of the language'),
  name: z.string().optional(),
  description: z.string().optional(),
  seed: z.union([z.int(), z.string()]).optional().describe('same seed, same agents; default 1'),
  params: z
    .record(name, amount)
    .optional()
    .describe('named numbers and distributions, drawn anew at each use'),
  models: z.record(name, model).optional(),
  prefixes: z.record(name, prefix).optional(),
  tools: z.record(name, toolDefinition).optional(),
  workflows: z.record(name, workflow).optional(),
  traffic: z.array(cohort).min(1),
  assert: z.array(z.string()).optional(),
});
export type ScenarioFile = z.infer<typeof scenarioSchema>;
export type CohortFile = z.infer<typeof cohort>;
export type ToolFile = z.infer<typeof toolDefinition>;
export type PrefixFile = z.infer<typeof prefix>;

/** Where in a file the later keys may stand; checked before the schema, so that they are refused by name. */
function laterKeys(
  value: unknown,
  level: string,
  path: InputPath,
  issues: Issue[],
): Record<string, unknown> | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const { ...kept } = value as Record<string, unknown>;
  for (const key of Object.keys(kept)) {
    const instead = LATER_KEYS[level]?.[key];
    if (instead === undefined) continue;
    issues.push(notBuilt([...path, key], key, instead));
    delete kept[key];
  }
  return kept;
}

function laterKeysOf(value: unknown, level: string, path: InputPath, issues: Issue[]): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const kept: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(value))
    kept[key] = laterKeys(entry, level, [...path, key], issues) ?? entry;
  return kept;
}

/** Checks a parsed file against the schema; all issues at once. Steps are checked by `parseStep` while compiling. */
export function parseScenario(source: Source): { file: ScenarioFile | null; issues: Issue[] } {
  const issues: Issue[] = [...source.issues];
  if (issues.some(each => each.severity === 'error')) return { file: null, issues };
  const top = laterKeys(source.value, 'scenario', [], issues);
  if (top === null) {
    issues.push(issue([], 'WT1002', 'the file is not a mapping', 'a scenario starts with "windtunnel: 1"'));
    return { file: null, issues };
  }
  for (const [key, level] of [
    ['models', 'model'],
    ['prefixes', 'prefix'],
    ['tools', 'tool'],
    ['workflows', 'workflow'],
  ] as const) {
    if (key in top) top[key] = laterKeysOf(top[key], level, [key], issues);
  }
  if (Array.isArray(top.traffic)) {
    top.traffic = top.traffic.map((entry: unknown, index) => {
      const kept = laterKeys(entry, 'cohort', ['traffic', index], issues);
      if (kept === null) return entry;
      if ('arrival' in kept) {
        const arrival = laterKeys(kept.arrival, 'arrival', ['traffic', index, 'arrival'], issues);
        // One that is not built yet is refused once, not again as a missing arrival.
        kept.arrival =
          arrival !== null && Object.keys(arrival).length === 0
            ? { at_once: true }
            : (arrival ?? kept.arrival);
      }
      return kept;
    });
  }
  const parsed = checkSchema(scenarioSchema, top, []);
  issues.push(...parsed.issues);
  return { file: parsed.value, issues };
}

/** Dispatches a raw step by its verb, then checks it. A bare string is a tool. */
export function parseStep(raw: unknown, path: InputPath, issues: Issue[]): StepFile | null {
  if (typeof raw === 'string') return { verb: 'tool', body: { tool: raw } };
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    issues.push(
      issue(
        path,
        'WT1101',
        'a step is a mapping with one verb, or the name of a tool',
        `verbs: ${Object.keys(VERBS).join(', ')}`,
      ),
    );
    return null;
  }
  const keys = Object.keys(raw);
  const verbs = keys.filter((key): key is Verb => key in VERBS);
  const later = keys.find(key => key === 'run' || key in LATER_VERBS);
  if (later !== undefined && verbs.length === 0) {
    issues.push(
      later === 'run'
        ? issue([...path, 'run'], 'WT1003', 'unknown verb "run"', 'a sub-agent is written `agent: NAME`', {
            atKey: true,
          })
        : notBuilt([...path, later], later, LATER_VERBS[later] ?? ''),
    );
    return null;
  }
  if (verbs.length !== 1) {
    const hint =
      verbs.length > 1
        ? `found ${verbs.join(' and ')}`
        : keys.map(key => didYouMean(key, Object.keys(VERBS))).find(each => each !== null);
    issues.push(
      issue(
        path,
        'WT1101',
        'a step needs exactly one verb',
        hint ?? `verbs: ${Object.keys(VERBS).join(', ')}`,
      ),
    );
    return null;
  }
  const verb = verbs[0] as Verb;
  const kept = laterKeys(raw, 'step', path, issues) as Record<string, unknown>;
  const parsed = checkSchema<z.ZodType>(VERBS[verb], kept, path);
  issues.push(...parsed.issues);
  return parsed.value === null ? null : ({ verb, body: parsed.value } as StepFile);
}
