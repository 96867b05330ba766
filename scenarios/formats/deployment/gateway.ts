// The gateway of a deployment file: which model a call goes to, who is let in, what is tried again and where else. Its
// parts stand in the order in which a call meets them.
import { z } from 'zod';
import { bytes, drawn, duration, ratio, tokens, whole } from '../drawn.ts';
import { ROLES } from '../fields.ts';
import {
  allow,
  breaker,
  budget,
  COMPLEXITIES,
  complexity,
  fallback,
  hedge,
  limitKeys,
  retry,
  timeout,
} from '../policies.ts';
import { quantity, written } from '../quantity.ts';

const oneOrMore = <T extends z.ZodType>(item: T) => z.union([item, z.array(item).min(1)]);

const target = z.string().min(1);
const rule = z
  .strictObject({
    role: oneOrMore(z.enum(ROLES)).describe('of steps with this role').optional(),
    complexity: oneOrMore(complexity).describe('of steps with this label').optional(),
    sensitivity: oneOrMore(z.string()).describe('of steps with this label').optional(),
    model: oneOrMore(z.string()).describe('of steps that ask for this alias or model').optional(),
    workflow: oneOrMore(z.string()).describe('calls of these workflows').optional(),
    tenant: oneOrMore(z.string()).describe('calls of these tenants').optional(),
    use: z
      .union([target, z.record(z.string(), written('ratio'))])
      .describe('a pool, or a model of a provider; or several by weight: { local: 80%, frontier: 20% }'),
    escalate: z
      .strictObject({
        to: target.describe('the stronger target'),
        share: ratio(
          'of answers that are asked for again (default: those that are not good enough, by `quality`)',
        ).optional(),
      })
      .describe('answers that are asked for again elsewhere')
      .optional(),
  })
  .describe('calls that match all of its conditions go there; a rule without conditions takes every call');

const seen = z
  .strictObject(
    Object.fromEntries(COMPLEXITIES.map(each => [each, ratio(`seen as ${each}`).optional()])) as Record<
      (typeof COMPLEXITIES)[number],
      z.ZodOptional<ReturnType<typeof ratio>>
    >,
  )
  .describe('shares that sum to 100 %: { low: 90%, medium: 8%, high: 2% }');

const classifier = z
  .strictObject({
    latency: drawn('ms', 'time of one look, before the call is sent').optional(),
    accuracy: ratio(
      'of calls whose complexity it sees as labelled, its errors spread evenly (default 100%)',
    ).optional(),
    confusion: z
      .strictObject({ low: seen.optional(), medium: seen.optional(), high: seen.optional() })
      .describe(
        'instead of `accuracy`: how calls of each complexity are seen; a row that is not here is seen right',
      )
      .optional(),
    threshold: ratio(
      'of its score, from which on a call is hard: 0 all are, 50% (default) as the matrix says, 100% none',
    ).optional(),
    price: quantity('usd').describe('USD of one look (default 0)').optional(),
  })
  .describe('what tells the complexity of a call where the rules ask for it');

const maxWait = (usual: string) =>
  duration(`those who wait longer are turned away (default: ${usual})`).optional();
/** Off, as the systems have it: their rules know no sessions. */
const spareStarted = z
  .boolean()
  .describe('calls of a session that has begun go on, so that whole workflows are shed (default false)')
  .optional();
const waiting = {
  spare_started: spareStarted,
  queue: z.int().min(0).describe('how many may wait; beyond, they are turned away (default 0)').optional(),
  max_wait: maxWait('no limit'),
};
const interval = duration('between two looks at what waits (default 1ms)')
  .pipe(z.number().min(0.001))
  .optional();
const lowPriorities = z
  .int()
  .describe('only calls of a lower priority are turned away (default 0)')
  .optional();
const metrics = {
  queue_depth: z
    .number()
    .positive()
    .describe('waiting calls of a replica that are too many (default 5)')
    .optional(),
  kv_usage: ratio('of KV in use that is too much (default 80%)').optional(),
  max_age: duration('older metrics count as saturated (default 200ms)').optional(),
};
/** What tells that a pool is saturated. */
const saturated = {
  detector: z
    .enum(['utilization', 'requests', 'tokens', 'hybrid'])
    .describe(
      'by metrics, as old as they are (utilization, default), or by what is in flight: requests, tokens, or the larger',
    )
    .optional(),
  ...metrics,
  max_requests: whole(10_000_000, 'calls in flight that fill a replica (default 100)').optional(),
  max_tokens: tokens('in flight that fill a replica (default 1M)').optional(),
};
const shedding = { spare_started: spareStarted, ...saturated };
const admission = z
  .discriminatedUnion('policy', [
    z.strictObject({ policy: z.literal('always') }).describe('everyone (default)'),
    z
      .strictObject({ policy: z.literal('calls'), max: whole(10_000_000, 'calls in flight'), ...waiting })
      .describe('so many calls at once'),
    z
      .strictObject({
        policy: z.literal('sessions'),
        max: whole(10_000_000, 'sessions under way'),
        queue: z
          .int()
          .min(0)
          .describe('how many sessions may wait; beyond, they are turned away (default 0)')
          .optional(),
        max_wait: maxWait('no limit'),
      })
      .describe('whole sessions: the calls of one that was let in are never turned away'),
    z
      .strictObject({
        policy: z.literal('token_bucket'),
        capacity: quantity('tokens')
          .describe('prompt tokens that may come at once (default 10000); a longer prompt never passes')
          .optional(),
        refill: quantity('perSec')
          .pipe(z.number().min(0.001))
          .describe('prompt tokens per second (default 1000/s)')
          .optional(),
        ...waiting,
      })
      .describe('tokens at a rate (BLIS)'),
    z
      .strictObject({ policy: z.literal('saturation'), priority_below: lowPriorities, ...shedding })
      .describe('sheds low priorities when replicas are saturated (llm-d)'),
    z
      .strictObject({
        policy: z.literal('probabilistic'),
        priority_below: lowPriorities,
        power: z.number().positive().describe('how steep the chance grows (default 5)').optional(),
        k: z
          .number()
          .positive()
          .describe('chance at saturation 1, before it is cut at 1 (default 300)')
          .optional(),
        ...shedding,
      })
      .describe('sheds low priorities by chance: min(k * saturation^power, 1) (llm-d)'),
    z
      .strictObject({
        policy: z.literal('tier_shed'),
        overload: z.int().min(0).describe('calls of a replica that are not too many (default 0)').optional(),
        min_priority: z.int().describe('calls of a lower priority are turned away (default 0)').optional(),
        spare_started: spareStarted,
      })
      .describe('sheds low priorities while any replica has too many calls (BLIS)'),
    z
      .strictObject({
        policy: z.literal('cubic_shed'),
        critical: z.int().describe('priority from which a call is critical (default 1)').optional(),
        degraded: z.int().describe('priority from which it is not best effort (default 0)').optional(),
        best_effort: z.int().describe('priority from which it is not bulk (default -1)').optional(),
        from: z.number().min(0).describe('saturation at which bulk starts to go (default 0.6)').optional(),
        to: z
          .number()
          .min(0)
          .describe('saturation at which all but critical calls are gone (default 1)')
          .optional(),
        spare_started: z
          .boolean()
          .describe(
            'calls of a session that has begun go on, so that whole workflows are shed (default true)',
          )
          .optional(),
        ...saturated,
      })
      .describe('sheds bulk, then best effort, then degraded, then critical calls by a cubic ramp (Netflix)'),
    z
      .strictObject({
        policy: z.literal('flow_control'),
        fairness: z
          .enum(['global_strict', 'round_robin'])
          .describe('within a priority: the best call of all tenants (default), or tenants in turn')
          .optional(),
        ordering: z
          .enum(['fcfs', 'edf'])
          .describe('within a tenant: by arrival (default), or by deadline')
          .optional(),
        band_bytes: bytes('that may wait in one priority, 4 to a token (default 1GB)').optional(),
        band_requests: z
          .int()
          .min(0)
          .describe('calls that may wait in one priority (default: no limit)')
          .optional(),
        max_wait: maxWait('60s'),
        interval,
        ...saturated,
      })
      .describe('holds calls while replicas are saturated, by priority and tenant (llm-d)'),
    z
      .strictObject({
        policy: z.literal('dynamo_queue'),
        order: z
          .enum(['fcfs', 'lcfs', 'wspt', 'session_las'])
          .describe(
            'first come first (default), last come first, by weight over tokens, or least served session first',
          )
          .optional(),
        threshold: z
          .number()
          .min(0)
          .describe('prefill tokens of a busy replica, as a multiple of max_num_batched_tokens (default 16)')
          .optional(),
        queue: z.int().min(0).describe('calls that may wait for each replica (default: no limit)').optional(),
        queue_tokens: tokens('of prompts that may wait for each replica (default: no limit)').optional(),
        max_wait: maxWait('no limit'),
        interval,
      })
      .describe('holds calls while all replicas have too much prefill to do (Dynamo)'),
    z
      .strictObject({
        policy: z.literal('thunder_agent'),
        pause_above: ratio(
          "of a pool's KV: beyond it sessions are paused between calls (default 95%)",
        ).optional(),
        pause_down_to: ratio("of a pool's KV: until then (default 80%)").optional(),
        hysteresis: ratio('below `pause_above` that a session must fit to go on (default 10%)').optional(),
        buffer: z.int().min(0).describe('tokens added to each session (default 100)').optional(),
        interval: duration('between two looks at the sessions (default 5s)')
          .pipe(z.number().min(0.001))
          .optional(),
        resume_after: duration('a session that waits so long goes on anyway (default 30m)').optional(),
      })
      .describe('lets sessions in while their KV fits, and pauses some between their calls (ThunderAgent)'),
  ])
  .describe('who is let in');

const limit = z
  .strictObject({
    ...limitKeys,
    each: z
      .enum(['all', 'tenant', 'user', 'workflow', 'session'])
      .describe('whose calls are counted together (default all)')
      .optional(),
    model: z.string().describe('only calls to this target').optional(),
    max_wait: duration('a call beyond it waits, at most so long (default: it is refused at once)').optional(),
  })
  .describe('a limit of ours, before any of a provider');

const ownBudget = budget
  .extend({
    each: z
      .enum(['session', 'user', 'tenant', 'workflow'])
      .describe('who shares it; workflow: all sessions of an agent type'),
    workflow: z.string().min(1).describe('only of this workflow').optional(),
  })
  .describe('a budget, for each of whom it names');

const anomalies = z
  .strictObject({
    repeats: whole(
      10_000,
      'times that a step, or a tool, is asked the same, which are a loop (default 3)',
    ).optional(),
    calls: whole(1_000_000, 'calls of a session that are too many').optional(),
    calls_sd: z
      .number()
      .positive()
      .describe(
        'standard deviations above the mean of its workflow: more calls are too many (default: no limit)',
      )
      .optional(),
    burn: z
      .number()
      .positive()
      .describe('times the expected tokens that are too many (default 2)')
      .optional(),
    tool_cascade: whole(
      1_000_000,
      'tool runs without a call between that are a cascade (default: no limit)',
    ).optional(),
    context_growth: z
      .number()
      .positive()
      .describe('times the first prompt of its step that are too many (default: no limit)')
      .optional(),
    action: z.enum(['flag', 'throttle', 'cancel']).describe('default flag').optional(),
    throttle: duration('with `throttle`: the pause before each further call (default 5s)').optional(),
  })
  .describe('sessions that run away');

const quality = z
  .union([
    ratio('of answers that are good enough'),
    z.strictObject({
      low: ratio('of answers to easy calls').optional(),
      medium: ratio('of answers to calls between, and to those without a label').optional(),
      high: ratio('of answers to hard calls').optional(),
    }),
  ])
  .describe('a share, or shares by complexity: { low: 98%, medium: 90%, high: 60% }');

const MODES = ['fail_closed', 'fall_back', 'queue'] as const;
const degraded = z
  .union([
    z.enum(MODES),
    z.strictObject({
      mode: z.enum(MODES).describe('what happens then'),
      max_wait: duration('with `queue`: calls that wait longer fail (default 30s)').optional(),
    }),
  ])
  .describe(
    'when a target fails or its breaker is open, and its own fallbacks too: fail (default), any other target that is allowed, or wait',
  );

export const gateway = z
  .strictObject({
    place: z.string().describe('where it stands: a name under `places`').optional(),
    allow: allow.describe('what calls and tools may use where their workflow has no `allow`').optional(),
    admission: admission.optional(),
    rate_limits: z.array(limit).min(1).describe('limits, each for whom it names').optional(),
    budget: budget.describe('of each session whose workflow has none').optional(),
    budgets: z.array(ownBudget).min(1).describe('budgets, each for whom it names').optional(),
    agents: z
      .strictObject({
        max: whole(1_000_000, 'sub-agents of a session (default: no limit)').optional(),
        depth: whole(1000, 'how deep they may call one another (default: no limit)').optional(),
      })
      .describe('limits on sub-agents')
      .optional(),
    anomalies: anomalies.optional(),
    classifier: classifier.optional(),
    choose: z
      .array(rule)
      .min(1)
      .describe('which model a call goes to: the first rule that matches; else as the scenario says')
      .optional(),
    destinations: z
      .record(z.string(), z.array(z.string().min(1)).min(1))
      .describe('where calls with a sensitivity may go: pools, providers or their models; all else is denied')
      .optional(),
    quality: z
      .record(z.string(), quality)
      .describe(
        'by target: how often its answers are good enough; a target that is not here always answers well',
      )
      .optional(),
    on_bad_answer: z
      .enum(['accept', 'retry', 'escalate'])
      .describe('what an answer that is not good enough leads to (default accept)')
      .optional(),
    evaluate: ratio('of answers that are looked at (default 100%)').optional(),
    deadlines: z
      .enum(['split'])
      .describe("split: each call ends by its step's share of the time that the `slo` of its workflow leaves")
      .optional(),
    timeout: timeout.optional(),
    retry: retry.optional(),
    hedge: hedge.optional(),
    breaker: breaker.optional(),
    fallback: z
      .record(z.string(), fallback)
      .describe('by target: what is tried in its place, in order')
      .optional(),
    degraded: degraded.optional(),
    propagate_cancel: z
      .boolean()
      .describe('the end of a session reaches engines, tools and sub-agents (default true)')
      .optional(),
  })
  .describe('what decides about every call before it is sent');

export type GatewayFile = z.output<typeof gateway>;
