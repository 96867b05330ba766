// The scenario file, as a user writes it: what the agents do and when. One schema, from which types, JSON Schema and
// error messages follow. steps.ts, traffic.ts and policies.ts hold its parts.
import { z } from 'zod';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { fault } from './faults.ts';
import { amount, duration, name, ROLES, share, tokens } from './fields.ts';
import { figureSchema } from './figures.ts';
import {
  allow,
  budget,
  cancel,
  checkpoint,
  consent,
  fallback,
  hints,
  needs,
  rateLimit,
  restarts,
  retry,
  sensitivity,
  success,
  timeout,
  workflowSlo,
  workflowTimeout,
} from './policies.ts';
import { written } from './quantity.ts';
import { checkSchema, type Source } from './source.ts';
import { eachRawStep, parseStep, STEPS, type Step } from './steps.ts';
import { cohort } from './traffic.ts';

const price = z
  .strictObject({
    in: z.number().nonnegative().describe('prompt tokens that no cache holds'),
    cached_in: z.number().nonnegative().optional().describe('prompt tokens read from a cache; default `in`'),
    out: z.number().nonnegative().describe('output tokens, reasoning included'),
  })
  .describe('USD per million tokens');
const model = z.strictObject({
  model: z.string().describe('catalogue id'),
  price: price.optional(),
  rate_limit: rateLimit.optional(),
  fallback: fallback.optional(),
  success: success.optional(),
});
const prefix = z.strictObject({
  tokens,
  scope: z
    .enum(['global', 'tenant', 'user', 'workflow', 'session', 'task'])
    .optional()
    .describe('who shares it; default global'),
  retention: z
    .enum(['durable', 'session', 'ephemeral'])
    .optional()
    .describe('how long it is worth keeping, where an engine retains by priority: 80, 35 or 10'),
  priority: z
    .int()
    .min(1)
    .max(100)
    .optional()
    .describe(
      'what an engine that retains by priority keeps first, 1 to 100; default 100 with `ttl`, else by `retention`, else 35',
    ),
  ttl: written('ms')
    .optional()
    .describe('how long after its last use such an engine keeps it; after that it is like any other'),
});
const tool = z.strictObject({
  latency: duration,
  result: tokens.optional().describe('tokens of its result; default 0'),
  fail: share.optional().describe('share of runs that fail; default 0'),
  error_result: tokens.optional().describe('tokens of the error text the agent sees; default 60'),
  on_fail: z
    .enum(['continue', 'stop'])
    .optional()
    .describe(
      'continue (default outside of `try`): the agent reads the error; stop: its list of steps fails',
    ),
  idempotent: z
    .boolean()
    .optional()
    .describe('whether a further run does no harm; default true: write false for what changes something'),
  timeout: timeout.optional(),
  retry: retry.optional(),
  concurrency: z.int().positive().optional().describe('runs at once'),
  cold_start: duration.optional().describe('start of a sandbox'),
  warm_pool: z.int().nonnegative().optional().describe('sandboxes that wait, ready'),
  cpu: z.number().positive().optional().describe('cores that a run uses'),
  memory: written('bytes').optional().describe('memory that a run uses'),
  needs: needs.optional(),
  consent: consent.optional(),
  sensitivity: sensitivity.optional(),
  store: z
    .strictObject({
      name: z.string().min(1).describe('a name under `stores` of the deployment'),
      writes: z.boolean().optional().describe('it writes; default false: it reads'),
    })
    .optional()
    .describe('a store that it reads or writes'),
});
const role = z
  .strictObject({ allow: allow.optional(), consent: consent.optional() })
  .describe('of agents of a role: what they may use, and whether a human must agree before their tools run');
const workflow = z.strictObject({
  description: z.string().optional().describe('one line for readers'),
  prefix: z.array(z.string()).optional().describe('segments in front of every thread of this workflow'),
  model: z.string().optional().describe('default model of its calls'),
  slo: workflowSlo.optional(),
  budget: budget.optional(),
  timeout: workflowTimeout.optional(),
  retry: retry.optional().describe('of its calls that say nothing'),
  cancel: cancel.optional(),
  checkpoint: checkpoint.optional(),
  restarts: restarts.optional(),
  role: z.enum(ROLES).optional().describe('of the agent: whose tools are run'),
  roles: z
    .partialRecord(z.enum(ROLES), role)
    .optional()
    .describe('allowlists and consent by role, before those of the workflow'),
  allow: allow.optional(),
  hints: hints.optional(),
  steps: STEPS,
});
const tenant = z.strictObject({
  budget: budget.optional().describe('of all its sessions together'),
  user_budget: budget.optional().describe('of each of its users'),
  rate_limit: rateLimit.optional(),
  residency: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('labels of the places where its data may go: [eu]; default anywhere'),
  priority: z.int().optional().describe('higher goes first, where the engine has priorities'),
});

export const scenarioSchema = z.strictObject({
  windtunnel: z.literal(1).describe('version of the language'),
  extends: z
    .union([z.string(), z.array(z.string()).min(1)])
    .optional()
    .describe(
      'files or library scenarios to start from; mappings merge, lists and values replace, null removes',
    ),
  name: z.string().optional().describe("default: the file's name"),
  description: z.string().optional().describe('one line for readers'),
  seed: z.union([z.int(), z.string()]).optional().describe('same seed, same agents; default 1'),
  params: z
    .record(name, amount)
    .optional()
    .describe('named numbers and distributions, drawn anew at each use'),
  models: z.record(name, model).optional().describe('the models that steps name'),
  prefixes: z.record(name, prefix).optional().describe('segments in front of prompts, which calls share'),
  tools: z.record(name, tool).optional().describe('the tools that steps name'),
  workflows: z.record(name, workflow).optional().describe('what agents do: lists of steps by name'),
  tenants: z.record(name, tenant).optional().describe('limits of tenants that cohorts name'),
  traffic: z.array(cohort).min(1).describe('who starts workflows, and when: a list of cohorts'),
  faults: z.array(fault).optional().describe('what goes wrong'),
  assert: z
    .array(z.string())
    .optional()
    .describe('lines that decide the exit code: p95(makespan, workflow=scan) < 12s'),
  figures: z
    .array(figureSchema)
    .optional()
    .describe('published or measured figures that this scenario claims to have, with their sources'),
});
export type ScenarioFile = z.infer<typeof scenarioSchema>;
export type ToolFile = z.infer<typeof tool>;
export type PrefixFile = z.infer<typeof prefix>;

/** A scenario as TypeScript writes it. */
export type Scenario = Omit<z.input<typeof scenarioSchema>, 'workflows'> & {
  workflows?: Record<string, Omit<z.input<typeof workflow>, 'steps'> & { steps: readonly Step[] }>;
};

/** Keys that people look for here and that stand elsewhere. */
const ELSEWHERE: Record<string, string> = {
  gateway: 'routing and gateway policies stand in the deployment',
  links: 'links between places stand in the deployment',
  slo: 'targets stand in a workflow or in a step',
  budget: 'a budget stands in a workflow, or under `tenants`',
  assertions: 'write `assert:`',
};

/** Checks a parsed file against the schema; all issues at once. Steps are checked by `parseStep` while compiling. */
export function parseScenario(source: Source): { file: ScenarioFile | null; issues: Issue[] } {
  const issues: Issue[] = [...source.issues];
  if (issues.some(each => each.severity === 'error')) return { file: null, issues };
  const { value } = source;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    issues.push(issue([], 'WT1002', 'the file is not a mapping', 'a scenario starts with "windtunnel: 1"'));
    return { file: null, issues };
  }
  const parsed = checkSchema(scenarioSchema, value, []);
  issues.push(...parsed.issues.map(withPlace));
  // Nothing is compiled then, so that the steps are looked at here.
  if (parsed.value === null) checkSteps((value as { workflows?: unknown }).workflows, issues);
  return { file: parsed.value, issues };
}

function checkSteps(workflows: unknown, issues: Issue[]): void {
  if (typeof workflows !== 'object' || workflows === null) return;
  for (const [name, workflow] of Object.entries(workflows as Record<string, { steps?: unknown } | null>))
    eachRawStep(
      workflow?.steps,
      ['workflows', name, 'steps'],
      (step, at) => void parseStep(step, at, issues),
    );
}

const withPlace = (found: Issue): Issue => {
  const path: InputPath = found.path;
  const key = String(path[0]);
  const isTop = found.code === 'WT1003' && path.length === 1;
  const elsewhere = isTop && Object.hasOwn(ELSEWHERE, key) ? ELSEWHERE[key] : undefined;
  return elsewhere === undefined ? found : { ...found, hint: elsewhere };
};
