// The parts of a scenario and of a gateway that govern calls: budgets, SLOs, timeouts, retries, limits, cancellation,
// labels and hints. SLOs are judged by every run; read-rules.ts reads the rest for the gateway, as it is written here.
import { z } from 'zod';
import { duration as anyDuration } from './fields.ts';
import { BREAKER_PRESETS } from './presets/breakers.ts';
import { LIMIT_PRESETS } from './presets/limits.ts';
import { RETRY_PRESETS } from './presets/retries.ts';
import { written } from './quantity.ts';

const duration = written('ms');
const share = written('ratio');
const tokens = written('tokens');
const rate = written('perSec');
const usd = written('usd');
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

/** The names of a table, for a choice. */
const namesOf = <T extends object>(table: T) =>
  Object.keys(table) as [keyof T & string, ...(keyof T & string)[]];
/** A name alone, or a mapping that starts from it. */
const startingFrom = <T extends object>(table: T, what: string) =>
  z.enum(namesOf(table)).describe(`${what}: ${namesOf(table).join(', ')}`);

// ---- budgets --------------------------------------------------------------------------------------------------

export const budget = z
  .strictObject({
    input_tokens: tokens.optional().describe('prompt tokens, cached ones included'),
    output_tokens: tokens.optional().describe('output tokens, reasoning included'),
    tokens: tokens.optional().describe('input and output together'),
    llm_calls: count.optional().describe('calls of models'),
    tool_calls: count.optional().describe('runs of tools'),
    wall: duration.optional().describe('wall clock of the whole workflow'),
    usd: usd.optional().describe('USD at the prices of its models'),
    per: duration.optional().describe('the limits are for each such window; default: for all of it'),
    soft: share.optional().describe('share of the budget from which on the run saves; default none'),
    save: z
      .strictObject({
        model: z.string().optional().describe('the smaller model that calls go to'),
        output_tokens: tokens.optional().describe('most output tokens of a call'),
      })
      .optional()
      .describe('how calls save, beyond `soft` and with `degrade`'),
    on_exceed: z
      .enum(['stop', 'finalize', 'degrade', 'queue'])
      .optional()
      .describe(
        'stop (default); finalize: only steps of role final still run; degrade: calls save; ' +
          'queue: calls wait until there is room',
      ),
    overdraw: share
      .optional()
      .describe('with `degrade`: how far beyond the limit calls that save still go; default 20%'),
  })
  .describe('what one session may use');

// ---- attempts -------------------------------------------------------------------------------------------------

const limits = {
  attempt: duration.optional().describe('of one attempt'),
  ttft: duration.optional().describe('to the first token of an attempt'),
  total: duration.optional().describe('of all attempts and pauses together'),
};
export const timeout = z
  .union([duration, z.strictObject(limits)])
  .describe('a duration (of one attempt), or { attempt, ttft, total }');

export const workflowTimeout = z
  .union([duration, z.strictObject({ ...limits, total: duration.optional().describe('of a whole session') })])
  .describe(
    'a duration (of a whole session), or { total, attempt, ttft }: the last two for calls that say nothing',
  );

const retryPreset = startingFrom(RETRY_PRESETS, 'as a client or gateway ships it');
export const retry = z
  .union([
    retryPreset,
    z
      .strictObject({
        preset: retryPreset.optional(),
        max: z.int().nonnegative().optional().describe('attempts after the first; default 2'),
        errors: errors.optional().describe('what is tried again; default 429, 5xx, timeout and connect'),
        backoff: z
          .string()
          .regex(/^\S+?(\.\.\S+)?$/, 'a duration, or the shortest and the longest pause: 1s..20s')
          .optional()
          .describe(
            'pause before the second attempt, and the longest one, up to which it grows: 1s..20s; ' +
              'one duration: every pause; default 500ms..8s',
          ),
        factor: z.number().min(1).optional().describe('of a pause, to the one before; default 2'),
        jitter: z
          .enum(['none', 'full', 'equal', 'decorrelated'])
          .optional()
          .describe('how pauses are spread; default full: from 0 to the pause'),
        retry_after: z.boolean().optional().describe("obey the server's Retry-After; default true"),
        retry_after_max: duration.optional().describe('a longer one is not waited for; default 60s'),
        budget: share
          .optional()
          .describe('retries under way, as a share of calls under way; default no limit'),
        budget_min: z
          .int()
          .nonnegative()
          .optional()
          .describe('retries under way that are allowed whatever the share; default 3'),
        blind: z
          .boolean()
          .optional()
          .describe('tries again whatever it was: tools that change something, answers that have begun'),
      })
      .describe('its parts'),
  ])
  .describe('retries of failed attempts: a preset, or its parts');

export const hedge = z
  .strictObject({
    after: duration.describe('without a first token for so long, a second attempt is sent'),
    max: count.optional().describe('attempts beside the first; default 1'),
    share: share.optional().describe('of all calls that may be hedged; default no limit'),
  })
  .describe('a second attempt when the first is slow; the first answer wins');

const breakerPreset = startingFrom(BREAKER_PRESETS, 'as a library or gateway ships it');
export const breaker = z
  .union([
    breakerPreset,
    z
      .strictObject({
        preset: breakerPreset.optional(),
        failures: z
          .union([count, z.string()])
          .optional()
          .describe('in a row, or a share of the window: 50%; needed without a preset'),
        window: duration.optional().describe('over which a share is counted; default 30s'),
        window_calls: count.optional().describe('instead of `window`: over the last so many calls'),
        min_calls: count.optional().describe('fewer calls in the window open nothing; default 5'),
        open: duration.optional().describe('how long nothing is sent; needed without a preset'),
        half_open: count.optional().describe('trial calls afterwards, which must all end well; default 1'),
        errors: errors.optional().describe('what counts as a failure; default 5xx, timeout and connect'),
        slow: duration.optional().describe('calls that take longer are slow'),
        slow_share: share.optional().describe('of slow calls that opens it; default 100%'),
        grows: z.boolean().optional().describe('each further opening lasts longer (Envoy); default false'),
        eject: share
          .optional()
          .describe('for single replicas: the most of a pool that may be out at once; at least one may'),
      })
      .describe('its parts'),
  ])
  .describe('stops calling what fails: a preset, or its parts');

const models = z.array(z.string().min(1)).min(1);
export const fallback = z
  .union([
    models,
    z.strictObject({
      general: models.optional().describe('after any other error'),
      context_length: models.optional().describe('when the prompt is too long'),
      content_policy: models.optional().describe('when the content is refused'),
    }),
  ])
  .describe('models to try in order when this one fails');

// ---- limits ---------------------------------------------------------------------------------------------------

const limitPreset = startingFrom(LIMIT_PRESETS, 'the limits of a tier');
/** The keys of a limit; a deployment has limits with more of them. */
export const limitKeys = {
  preset: limitPreset.optional(),
  rpm: count.optional().describe('requests per minute'),
  tpm: tokens.optional().describe('tokens per minute'),
  input_tpm: tokens.optional().describe('prompt tokens per minute'),
  output_tpm: tokens.optional().describe('output tokens per minute'),
  concurrency: count.optional().describe('calls at once'),
  usd: z
    .strictObject({ amount: usd.describe('USD'), per: duration.describe('in each rolling window') })
    .optional()
    .describe('what may be spent: { amount: 10, per: 10m }'),
  accounting: z
    .enum(['reserve', 'charge_after', 'fraction'])
    .optional()
    .describe(
      'how unfinished output counts: reserve max_tokens and settle later (default), charge afterwards, or reserve a fraction',
    ),
  fraction: share.optional().describe('of max_tokens that `fraction` reserves; default 25%'),
  burst: duration
    .optional()
    .describe('how much of a minute can be used at once, 1s to 60s of it; default 60s'),
  cached_counts: z.boolean().optional().describe('input from the cache counts; default true'),
  retry_after: z.boolean().optional().describe('a 429 says when to come back; default true'),
};
export const rateLimit = z
  .union([limitPreset, z.strictObject(limitKeys).describe('its parts')])
  .describe('limits of an API: a preset, or its parts');

// ---- ends before their time -----------------------------------------------------------------------------------

export const cancel = z
  .strictObject({
    hazard: rate.optional().describe('chance to leave while waiting: 0.2%/s'),
    after: anyDuration.optional().describe("a user's patience: a duration or a distribution"),
    cascade: z.boolean().optional().describe('tear down running calls, tools and sub-agents; default true'),
  })
  .describe('users who leave');

export const checkpoint = z
  .strictObject({
    every: z
      .union([count, z.string()])
      .describe('after so many ended calls, tools and waits (5), or so long (30s)'),
    cost: anyDuration.optional().describe('what one costs the session; default nothing'),
  })
  .describe('state that is saved on the way');

export const restarts = z
  .strictObject({
    max: count.describe('how often'),
    from: z
      .enum(['start', 'checkpoint'])
      .optional()
      .describe('where it goes on: its last checkpoint (default where it has any), or its start'),
  })
  .describe('a session that fails or is lost starts again');

// ---- trust ----------------------------------------------------------------------------------------------------

const names = z.array(z.string().min(1));
export const allow = z
  .strictObject({
    tools: names.optional().describe('names under `tools`'),
    models: names.optional().describe('aliases under `models`'),
    hosts: names.optional().describe('hosts that tools may reach'),
    files: names.optional().describe('files and folders that tools may touch'),
    subprocesses: z.boolean().optional().describe('tools may start processes; default false'),
  })
  .describe(
    'what may be used; all else is denied, as are hosts, files and subprocesses that it does not name',
  );

export const needs = z
  .strictObject({
    hosts: names.optional().describe('hosts that it reaches'),
    files: names.optional().describe('files and folders that it touches'),
    subprocesses: z.boolean().optional().describe('it starts processes; default false'),
  })
  .describe('what it reaches: where an `allow` stands, denied unless that grants it');

export const consent = z
  .union([
    z.boolean(),
    z.strictObject({
      wait: anyDuration.optional().describe('until the human answers; default { median: 20s, p90: 60s }'),
      refuses: share.optional().describe('share of those asked who say no; default 0'),
    }),
  ])
  .describe('a human must agree first: true, or { wait, refuses }');

export const HINT_KEYS = ['session_affinity', 'output_tokens', 'cache_ttl'] as const;
export const hints = z
  .strictObject({
    priority: z.int().optional().describe('higher goes first, where the engine has priorities'),
    session_affinity: z.boolean().optional().describe('go to the replica that had the session last'),
    output_tokens: z
      .boolean()
      .optional()
      .describe('tell a live server the expected output length, where its endpoint has such hints'),
    cache_ttl: duration
      .optional()
      .describe(
        'how long this context is worth keeping: told to a live server whose endpoint has `cache_control`',
      ),
  })
  .describe('hints to router and engine');

/** What a policy may read about a call. */
export const sensitivity = z
  .string()
  .min(1)
  .describe("a label: where its data may go, by the gateway's `destinations`");
export const COMPLEXITIES = ['low', 'medium', 'high'] as const;
export const complexity = z
  .enum(COMPLEXITIES)
  .describe("a label: how hard it is, for the gateway's `choose`");
export const success = share.describe('chance that an answer is good enough; default 100%');
