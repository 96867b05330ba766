// Reads what governs calls, as files write it (policies.ts), into the rules that the gateway obeys (rules.ts): units and
// presets resolved, defaults filled in. The schema has seen the keys; what it leaves to be read is told here.

import type { z } from 'zod';
import { type InputPath, type Issue, issue } from '../base/issue.ts';
import { type DrawnAmount, plainAmount } from './amount.ts';
import type * as policies from './policies.ts';
import { BREAKER_PRESETS, PLAIN_BREAKER } from './presets/breakers.ts';
import { LIMIT_PRESETS, PLAIN_LIMIT } from './presets/limits.ts';
import { PLAIN_RETRY, RETRY_PRESETS } from './presets/retries.ts';
import { type Dimension, parseScalar } from './quantity.ts';
import type {
  AllowRule,
  BreakerRule,
  BudgetMeasure,
  BudgetRule,
  CancelRule,
  CheckpointRule,
  FallbackRule,
  HedgeRule,
  HintRule,
  LimitRule,
  Reason,
  RetryRule,
  TimeoutRule,
  WorkflowRules,
} from './rules.ts';

/** Where something stands, and where what is wrong with it is told. */
export interface Place {
  readonly path: InputPath;
  readonly issues: Issue[];
}

export const under = ({ path, issues }: Place, ...keys: InputPath): Place => ({
  path: [...path, ...keys],
  issues,
});

type Raw = string | number | undefined;
type FileOf<K extends keyof typeof policies> = (typeof policies)[K] extends z.ZodType
  ? z.infer<(typeof policies)[K]>
  : never;

/** A quantity, or null where there is none or it cannot be read, which is told. */
export function scalarAt(raw: Raw, dimension: Dimension, place: Place): number | null {
  if (raw === undefined) return null;
  const parsed = parseScalar(raw, dimension);
  if ('value' in parsed) return parsed.value;
  place.issues.push(issue(place.path, 'WT1006', parsed.error, parsed.hint));
  return null;
}

/** An amount of ms that needs nothing but chance. */
export const drawnAt = (raw: unknown, { path, issues }: Place): DrawnAmount | null =>
  raw === undefined ? null : plainAmount(raw, path, issues);

// ---- attempts -------------------------------------------------------------------------------------------------

export function readTimeout(raw: FileOf<'timeout'> | undefined, place: Place): TimeoutRule | null {
  if (raw === undefined) return null;
  const { attempt, ttft, total } = typeof raw === 'object' ? raw : { attempt: raw };
  return {
    attemptMs: scalarAt(attempt, 'ms', place),
    ttftMs: scalarAt(ttft, 'ms', under(place, 'ttft')),
    totalMs: scalarAt(total, 'ms', under(place, 'total')),
  };
}

const reasonsOf = (errors: readonly (Reason | 429)[]): Reason[] =>
  errors.map(each => (each === 429 ? '429' : each));

/** The shortest pause and the longest: 1s..20s; or every pause. */
function backoffOf(raw: string, place: Place): Pick<RetryRule, 'baseMs' | 'capMs'> {
  const [from, to = from] = raw.split('..');
  const baseMs = scalarAt(from, 'ms', place) ?? PLAIN_RETRY.baseMs;
  const capMs = (to === from ? baseMs : scalarAt(to, 'ms', place)) ?? baseMs;
  if (baseMs > capMs) {
    const message = `the shortest pause is above the longest in "${raw}"`;
    place.issues.push(issue(place.path, 'WT1005', message, 'swap them?'));
  }
  return { baseMs, capMs };
}

export function readRetry(raw: FileOf<'retry'> | undefined, place: Place): RetryRule | null {
  if (raw === undefined) return null;
  if (typeof raw === 'string') return RETRY_PRESETS[raw];
  const from = raw.preset === undefined ? PLAIN_RETRY : RETRY_PRESETS[raw.preset];
  return {
    ...from,
    ...(raw.backoff === undefined ? {} : backoffOf(raw.backoff, under(place, 'backoff'))),
    max: raw.max ?? from.max,
    reasons: raw.errors === undefined ? from.reasons : reasonsOf(raw.errors),
    factor: raw.factor ?? from.factor,
    jitter: raw.jitter ?? from.jitter,
    obeysRetryAfter: raw.retry_after ?? from.obeysRetryAfter,
    retryAfterMaxMs:
      scalarAt(raw.retry_after_max, 'ms', under(place, 'retry_after_max')) ?? from.retryAfterMaxMs,
    budgetRatio: scalarAt(raw.budget, 'ratio', under(place, 'budget')) ?? from.budgetRatio,
    budgetMin: raw.budget_min ?? from.budgetMin,
    isBlind: raw.blind ?? from.isBlind,
  };
}

/** Rules of the same attempts that no run can obey together. `place`: of what both stand in. */
export function checkAttempts(
  timeout: TimeoutRule | null,
  retry: RetryRule | null,
  { path, issues }: Place,
): void {
  const refuse = (code: string, key: string, message: string, hint: string): void => {
    issues.push(issue([...path, key], code, message, hint, { atKey: true }));
  };
  const total = timeout?.totalMs ?? null;
  const ofOne = Math.max(timeout?.attemptMs ?? 0, timeout?.ttftMs ?? 0);
  if (total !== null && ofOne > total) {
    const message = `the total of ${total} ms ends before one attempt of ${ofOne} ms does`;
    refuse('WT1403', 'timeout', message, 'raise `total`, or shorten `attempt`');
  }
  if (retry === null) return;
  const hasRetries = retry.max > 0;
  if (hasRetries && total !== null && retry.baseMs > total) {
    const message = `the first pause of ${retry.baseMs} ms is longer than the total of ${total} ms: no retry happens`;
    refuse('WT1403', 'retry', message, 'shorten `backoff`, or raise `total`');
  }
  if (!hasRetries && retry.budgetRatio !== null && retry.budgetRatio > 0)
    refuse(
      'WT1405',
      'retry',
      'a budget for retries, and `max: 0` allows none',
      'raise `max`, or take `budget` out',
    );
  if (hasRetries && retry.budgetRatio === 0 && retry.budgetMin === 0)
    refuse(
      'WT1405',
      'retry',
      `\`max: ${retry.max}\`, and the budget allows no retry`,
      'raise `budget` or `budget_min`',
    );
}

export function readHedge(raw: FileOf<'hedge'> | undefined, place: Place): HedgeRule | null {
  if (raw === undefined) return null;
  return {
    afterMs: scalarAt(raw.after, 'ms', under(place, 'after')) ?? 0,
    max: raw.max ?? 1,
    shareMax: scalarAt(raw.share, 'ratio', under(place, 'share')),
  };
}

export function readBreaker(raw: FileOf<'breaker'> | undefined, place: Place): BreakerRule | null {
  if (raw === undefined) return null;
  if (typeof raw === 'string') return BREAKER_PRESETS[raw];
  const from: BreakerRule = raw.preset === undefined ? PLAIN_BREAKER : BREAKER_PRESETS[raw.preset];
  for (const key of ['failures', 'open'] as const) {
    if (raw[key] !== undefined || raw.preset !== undefined) continue;
    const hint = 'e.g. { failures: 5, open: 30s }, or a preset';
    place.issues.push(issue([...place.path, key], 'WT1004', `missing key "${key}"`, hint));
  }
  if (raw.window !== undefined && raw.window_calls !== undefined) {
    const message = 'a window is of time or of calls, not both';
    place.issues.push(issue([...place.path, 'window_calls'], 'WT1005', message, 'keep one of them'));
  }
  const windowMs = scalarAt(raw.window, 'ms', under(place, 'window'));
  const { failures } = raw;
  const counts =
    failures === undefined
      ? { inARow: from.inARow, share: from.share }
      : typeof failures === 'number'
        ? { inARow: failures, share: null }
        : { inARow: null, share: scalarAt(failures, 'ratio', under(place, 'failures')) };
  return {
    ...from,
    ...counts,
    window:
      raw.window_calls !== undefined
        ? { calls: raw.window_calls }
        : windowMs !== null
          ? { ms: windowMs }
          : from.window,
    minCalls: raw.min_calls ?? from.minCalls,
    openMs: scalarAt(raw.open, 'ms', under(place, 'open')) ?? from.openMs,
    trials: raw.half_open ?? from.trials,
    slowMs: scalarAt(raw.slow, 'ms', under(place, 'slow')) ?? from.slowMs,
    slowShare: scalarAt(raw.slow_share, 'ratio', under(place, 'slow_share')) ?? from.slowShare,
    reasons: raw.errors === undefined ? from.reasons : reasonsOf(raw.errors),
    growsOpen: raw.grows ?? from.growsOpen,
    ejectMax: scalarAt(raw.eject, 'ratio', under(place, 'eject')) ?? from.ejectMax,
  };
}

export function readFallback(raw: FileOf<'fallback'> | undefined): FallbackRule | null {
  if (raw === undefined) return null;
  const lists = Array.isArray(raw) ? { general: raw } : raw;
  return {
    general: lists.general ?? [],
    contextLength: lists.context_length ?? [],
    contentPolicy: lists.content_policy ?? [],
  };
}

// ---- limits and budgets ---------------------------------------------------------------------------------------

export function readLimit(raw: FileOf<'rateLimit'> | undefined, place: Place): LimitRule | null {
  if (raw === undefined) return null;
  if (typeof raw === 'string') return LIMIT_PRESETS[raw];
  const from: LimitRule = raw.preset === undefined ? PLAIN_LIMIT : LIMIT_PRESETS[raw.preset];
  const tokens = (key: 'tpm' | 'input_tpm' | 'output_tpm') => scalarAt(raw[key], 'tokens', under(place, key));
  return {
    rpm: raw.rpm ?? from.rpm,
    tpm: tokens('tpm') ?? from.tpm,
    inputTpm: tokens('input_tpm') ?? from.inputTpm,
    outputTpm: tokens('output_tpm') ?? from.outputTpm,
    concurrency: raw.concurrency ?? from.concurrency,
    spend:
      raw.usd === undefined
        ? from.spend
        : {
            usd: scalarAt(raw.usd.amount, 'usd', under(place, 'usd', 'amount')) ?? 0,
            windowMs: scalarAt(raw.usd.per, 'ms', under(place, 'usd', 'per')) ?? 0,
          },
    accounting: raw.accounting ?? from.accounting,
    fraction: scalarAt(raw.fraction, 'ratio', under(place, 'fraction')) ?? from.fraction,
    burstMs: burstOf(raw.burst, under(place, 'burst')) ?? from.burstMs,
    cachedCounts: raw.cached_counts ?? from.cachedCounts,
    retryAfter: raw.retry_after ?? from.retryAfter,
  };
}

/** Vendors refill at least once a minute, and none more often than they say they may, each second. */
function burstOf(raw: Raw, place: Place): number | null {
  const ms = scalarAt(raw, 'ms', place);
  if (ms === null || (ms >= 1000 && ms <= 60_000)) return ms;
  const message = `a burst is 1s to 60s of a minute, not ${raw}`;
  place.issues.push(
    issue(place.path, 'WT1005', message, '60s: all of it at once; 1s: a sixtieth each second'),
  );
  return null;
}

const MEASURES = {
  input_tokens: ['inputTokens', 'tokens'],
  output_tokens: ['outputTokens', 'tokens'],
  tokens: ['tokens', 'tokens'],
  llm_calls: ['llmCalls', 'count'],
  tool_calls: ['toolCalls', 'count'],
  wall: ['wallMs', 'ms'],
  usd: ['usd', 'usd'],
} as const satisfies Record<string, readonly [BudgetMeasure, Dimension]>;

/** How far beyond its limit a budget may go where calls save; our choice. */
const DEFAULT_OVERDRAW = 0.2;

export function readBudget(raw: FileOf<'budget'> | undefined, place: Place): BudgetRule | null {
  if (raw === undefined) return null;
  const limits: Partial<Record<BudgetMeasure, number>> = {};
  for (const [key, [measure, dimension]] of Object.entries(MEASURES)) {
    const limit = scalarAt(raw[key as keyof typeof MEASURES], dimension, under(place, key));
    if (limit !== null) limits[measure] = limit;
  }
  if (Object.keys(limits).length === 0) {
    const hint = `e.g. { tokens: 2M }; one of ${Object.keys(MEASURES).join(', ')}`;
    place.issues.push(issue(place.path, 'WT1004', 'a budget without a limit', hint));
  }
  const save = under(place, 'save');
  return {
    limits,
    softRatio: scalarAt(raw.soft, 'ratio', under(place, 'soft')),
    save: {
      model: raw.save?.model ?? null,
      outputTokens: scalarAt(raw.save?.output_tokens, 'tokens', under(save, 'output_tokens')),
    },
    onExceed: raw.on_exceed ?? 'stop',
    overdrawRatio: scalarAt(raw.overdraw, 'ratio', under(place, 'overdraw')) ?? DEFAULT_OVERDRAW,
    perMs: scalarAt(raw.per, 'ms', under(place, 'per')),
  };
}

// ---- sessions -------------------------------------------------------------------------------------------------

export function readCancel(raw: FileOf<'cancel'> | undefined, place: Place): CancelRule | null {
  if (raw === undefined) return null;
  return {
    hazardPerSec: scalarAt(raw.hazard, 'perSec', under(place, 'hazard')),
    after: drawnAt(raw.after, under(place, 'after')),
    cascade: raw.cascade ?? true,
  };
}

export function readCheckpoint(raw: FileOf<'checkpoint'> | undefined, place: Place): CheckpointRule | null {
  if (raw === undefined) return null;
  const every =
    typeof raw.every === 'number'
      ? { steps: raw.every }
      : { ms: scalarAt(raw.every, 'ms', under(place, 'every')) ?? 0 };
  return { every, cost: drawnAt(raw.cost, under(place, 'cost')) };
}

export function readRestarts(
  raw: FileOf<'restarts'> | undefined,
  hasCheckpoints: boolean,
  place: Place,
): WorkflowRules['restarts'] {
  if (raw === undefined) return null;
  if (raw.from === 'checkpoint' && !hasCheckpoints) {
    const hint = 'add `checkpoint: { every: 5 }` to the workflow, or write from: start';
    place.issues.push(
      issue([...place.path, 'from'], 'WT1005', 'there are no checkpoints to go on from', hint),
    );
  }
  return { max: raw.max, from: raw.from ?? (hasCheckpoints ? 'checkpoint' : 'start') };
}

// ---- trust and hints ------------------------------------------------------------------------------------------

export const readAllow = (raw: FileOf<'allow'> | undefined): AllowRule | null =>
  raw === undefined
    ? null
    : {
        tools: raw.tools ?? null,
        models: raw.models ?? null,
        hosts: raw.hosts ?? null,
        files: raw.files ?? null,
        subprocesses: raw.subprocesses ?? null,
      };

/** A person who is asked to agree; an assumption. */
const ASKED = { median: '20s', p90: '60s' };

/** `consent` of the step, else of its tool. */
export function readConsent(
  raw: FileOf<'consent'> | undefined,
  place: Place,
): { consentMs: DrawnAmount | null; refusesRatio: number } {
  if (raw === undefined || raw === false) return { consentMs: null, refusesRatio: 0 };
  const { wait = ASKED, refuses } = raw === true ? {} : raw;
  return {
    consentMs: drawnAt(wait, under(place, 'wait')),
    refusesRatio: scalarAt(refuses, 'ratio', under(place, 'refuses')) ?? 0,
  };
}

/** Null where none but `priority` is given, which is of the call itself. */
export function readHints(raw: FileOf<'hints'> | undefined, place: Place): HintRule | null {
  if (raw === undefined) return null;
  const { session_affinity: affinity, output_tokens: output, cache_ttl: ttl } = raw;
  if (affinity === undefined && output === undefined && ttl === undefined) return null;
  return {
    sessionAffinity: affinity ?? false,
    outputTokens: output ?? false,
    cacheTtlMs: scalarAt(ttl, 'ms', under(place, 'cache_ttl')),
  };
}
