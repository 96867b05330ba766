// The parts of a scenario that govern calls: budgets, SLOs, retries, limits, cancellation, labels, hints and faults.
// SLOs are judged by every run; the rest is decided by the gateway and the engines, and formats/unbuilt.ts says what of
// it no run obeys yet.
import { z } from 'zod';
import { written } from './quantity.ts';

const duration = written('ms');
const share = written('ratio');
const tokens = written('tokens');
const rate = written('perSec');
const count = z.int().positive();

/** Reasons for which a call may be tried again or sent elsewhere. */
export const ERRORS = [
  '429',
  '5xx',
  'timeout',
  'connect',
  'content_policy',
  'context_length',
  'breaker_open',
  'shed',
] as const;
/** YAML reads a bare 429 as a number. */
const errors = z.array(z.literal([...ERRORS, 429])).min(1);

export const slo = z
  .strictObject({
    ttft: duration.optional().describe('to the first token'),
    itl: duration.optional().describe('no gap between two tokens longer than this'),
    tpot: duration.optional().describe('mean time per output token after the first'),
    e2e: duration.optional().describe('to the last token'),
    success: share.optional().describe('share of calls that end well and keep all of these; default 95%'),
  })
  .describe('targets of a call: the run fails where fewer than `success` keep them');

export const workflowSlo = z
  .strictObject({
    e2e: duration.optional().describe('from the planned start to the end of the workflow'),
    success: share.optional().describe('share of sessions that complete within `e2e`; default 95%'),
  })
  .describe('targets of a workflow: the run fails where fewer than `success` of its sessions keep them');

export const budget = z
  .strictObject({
    input_tokens: tokens.optional().describe('prompt tokens, cached ones included'),
    output_tokens: tokens.optional().describe('output tokens, reasoning included'),
    tokens: tokens.optional().describe('input and output together'),
    llm_calls: count.optional().describe('calls of models'),
    tool_calls: count.optional().describe('runs of tools'),
    wall: duration.optional().describe('wall clock of the whole workflow'),
    usd: written('usd').optional().describe('USD at the prices of its models'),
    soft: share.optional().describe('share of the budget from which on the run saves; default none'),
    on_exceed: z
      .enum(['stop', 'finalize', 'degrade', 'queue'])
      .optional()
      .describe(
        'stop (default); finalize: only steps of role final still run; degrade: smaller model; queue',
      ),
  })
  .describe('what one session may use');

export const timeout = z
  .union([
    duration,
    z.strictObject({
      attempt: duration.optional().describe('of one attempt'),
      ttft: duration.optional().describe('to the first token of an attempt'),
      total: duration.optional().describe('of all attempts and pauses together'),
    }),
  ])
  .describe('a duration (of one attempt), or { attempt, ttft, total }');

export const retry = z
  .strictObject({
    max: z.int().nonnegative().describe('attempts after the first'),
    errors: errors.optional().describe('what is tried again; default 429, 5xx, timeout and connect'),
    backoff: z
      .string()
      .regex(/^\S+?(\.\.\S+)?$/, 'a duration, or the shortest and the longest pause: 1s..20s')
      .optional()
      .describe('pause before the second attempt, doubled each time up to the end of the range: 1s..20s'),
    jitter: z.enum(['none', 'full', 'equal', 'decorrelated']).optional().describe('default full'),
    retry_after: z.boolean().optional().describe("obey the server's Retry-After; default true"),
    budget: share.optional().describe('retries allowed as a share of calls'),
  })
  .describe('retries of failed attempts');

export const hedge = z
  .strictObject({
    after: duration.describe('without a first token for so long, a second attempt is sent'),
    max: count.optional().describe('attempts beside the first; default 1'),
  })
  .describe('a second attempt when the first is slow; the first answer wins');

export const breaker = z
  .strictObject({
    failures: z.union([z.int().positive(), z.string()]).describe('in a row, or a share: 50%'),
    window: duration.optional().describe('over which a share is counted; default 30s'),
    open: duration.describe('how long nothing is sent'),
    half_open: count.optional().describe('trial calls afterwards; default 1'),
  })
  .describe('stops calling what fails');

export const fallback = z
  .union([
    z.array(z.string()).min(1),
    z.strictObject({
      general: z.array(z.string()).optional().describe('after any other error'),
      context_length: z.array(z.string()).optional().describe('when the prompt is too long'),
      content_policy: z.array(z.string()).optional().describe('when the content is refused'),
    }),
  ])
  .describe('models to try in order when this one fails');

export const rateLimit = z
  .strictObject({
    rpm: count.optional().describe('requests per minute'),
    tpm: tokens.optional().describe('tokens per minute'),
    input_tpm: tokens.optional().describe('prompt tokens per minute'),
    output_tpm: tokens.optional().describe('output tokens per minute'),
    concurrency: count.optional().describe('calls at once'),
    accounting: z
      .enum(['reserve', 'charge_after', 'fraction'])
      .optional()
      .describe('how unfinished output counts: reserve max_tokens, charge afterwards, or reserve a fraction'),
  })
  .describe('limits of an API');

export const cancel = z
  .strictObject({
    hazard: rate.optional().describe('chance to leave while waiting: 0.2%/s'),
    after: z
      .union([z.string(), z.number(), z.record(z.string(), z.unknown())])
      .optional()
      .describe("a user's patience: a duration or a distribution"),
    cascade: z.boolean().optional().describe('tear down running calls, tools and sub-agents; default true'),
  })
  .describe('users who leave');

export const allow = z
  .strictObject({
    tools: z.array(z.string()).optional().describe('names under `tools`'),
    models: z.array(z.string()).optional().describe('aliases under `models`'),
    hosts: z.array(z.string()).optional().describe('hosts that tools may reach'),
  })
  .describe('what may be used; all else is denied');

export const hints = z
  .strictObject({
    priority: z.int().optional().describe('higher goes first, where the engine has priorities'),
    session_affinity: z.boolean().optional().describe('ask for the replica of the session again'),
    output_tokens: z.boolean().optional().describe('tell the expected output length'),
    cache_ttl: duration.optional().describe('how long this context is worth keeping'),
  })
  .describe('hints to router and engine');

/** What a policy may read about a call. Labels group figures; no policy of today reads them. */
export const sensitivity = z.string().describe('a label: where its data may go');
export const complexity = z.enum(['low', 'medium', 'high']).describe('a label: how hard it is');

export const FAULTS = [
  'provider_outage',
  'replica_crash',
  'slow_replica',
  'network_loss',
  'tool_failure',
  'degraded_model',
] as const;
export const fault = z
  .strictObject({
    fault: z.enum(FAULTS).describe('what goes wrong'),
    target: z.string().optional().describe('the pool, provider, tool or link; default any'),
    at: duration.optional().describe('when it begins'),
    rate: rate.optional().describe('instead of `at`: how often it begins'),
    for: duration.optional().describe('how long it lasts; default to the end'),
    factor: z.number().positive().optional().describe('how much slower'),
    share: share.optional().describe('of calls that fail'),
  })
  .describe('what goes wrong, at a time or at a rate');
