// What the gateway obeys, read: durations in ms, shares from 0 to 1, defaults and presets filled in. A scenario's steps,
// workflows, models, tools and tenants carry rules; a deployment's gateway has the same kinds for all that say nothing.
import type { DrawnAmount } from './amount.ts';

/** Why an attempt did not end well: what policies act on, and what records say. */
export const REASONS = [
  '429',
  '5xx',
  'timeout',
  'connect',
  'content_policy',
  'context_length',
  'cancelled',
  'budget',
  'breaker_open',
  'shed',
  'denied',
  'other',
] as const;
export type Reason = (typeof REASONS)[number];

/** The reason behind the error code of a call. */
export function reasonOf(error: string): Reason {
  if (error === 'http_429' || error === 'rate_limited') return '429';
  if (error === 'http_413' || error === 'too_long' || error === 'context_length') return 'context_length';
  if (error === 'content_policy') return 'content_policy';
  if (
    error.startsWith('http_5') ||
    ['stream_error', 'stream_cut', 'bad_response', 'replica_lost', 'outage', 'tool_failed'].includes(error)
  )
    return '5xx';
  if (
    error === 'http_408' ||
    error === 'timeout' ||
    error === 'ttft_timeout' ||
    error === 'stall' ||
    error === 'deadline'
  )
    return 'timeout';
  if (error === 'connect' || error === 'network_lost') return 'connect';
  if (['shed', 'queue_full', 'queue_timeout'].includes(error)) return 'shed';
  if (error.startsWith('budget')) return 'budget';
  if (error.startsWith('denied')) return 'denied';
  return (REASONS as readonly string[]).includes(error) ? (error as Reason) : 'other';
}

/** Null: no such limit. */
export interface TimeoutRule {
  readonly attemptMs: number | null;
  readonly ttftMs: number | null;
  /** Of all attempts and pauses together. */
  readonly totalMs: number | null;
}

export interface RetryRule {
  /** Attempts after the first. */
  readonly max: number;
  readonly reasons: readonly Reason[];
  readonly baseMs: number;
  readonly capMs: number;
  /** Of the pause, from one to the next. */
  readonly factor: number;
  /** full: U(0, pause); equal: half of it and U(0, half); decorrelated: U(base, 3 x the last); minus: times 1 - U(0, minus);
   * plusMs: U(0, plusMs) on top, also of the cap (LiteLLM). */
  readonly jitter:
    | 'none'
    | 'full'
    | 'equal'
    | 'decorrelated'
    | { readonly minus: number }
    | { readonly plusMs: number };
  readonly obeysRetryAfter: boolean;
  /** A longer Retry-After is not waited for: the computed pause is. */
  readonly retryAfterMaxMs: number;
  /** Retries under way as a share of calls under way; null: no limit. */
  readonly budgetRatio: number | null;
  /** Retries under way that are allowed whatever the share. */
  readonly budgetMin: number;
  /** Tries again whatever it was: tools that change something, answers that have begun. */
  readonly isBlind: boolean;
}

export interface HedgeRule {
  /** Without a first token for so long, another attempt is sent. */
  readonly afterMs: number;
  /** Attempts beside the first. */
  readonly max: number;
  /** Of all calls; null: no limit. */
  readonly shareMax: number | null;
}

/** Of one target, counted over all calls to it. */
export interface BreakerRule {
  /** Opens after so many failures in a row; null: by share. */
  readonly inARow: number | null;
  /** Opens when this share of the last calls failed; null: by failures in a row. */
  readonly share: number | null;
  /** Over the last so many calls (count) or ms (time). */
  readonly window: { readonly calls: number } | { readonly ms: number };
  /** Fewer calls in the window never open it. */
  readonly minCalls: number;
  readonly openMs: number;
  /** Trial calls once it is half open; all must end well. */
  readonly trials: number;
  /** Calls slower than this are slow; null: none are. */
  readonly slowMs: number | null;
  /** Opens when this share is slow. */
  readonly slowShare: number;
  /** What counts as a failure. */
  readonly reasons: readonly Reason[];
  /** Each further opening lasts once longer (Envoy). */
  readonly growsOpen: boolean;
  /** Of a pool's replicas that may be ejected at once; null: the rule is for whole targets, not replicas. */
  readonly ejectMax: number | null;
}

/** Names of models, or of targets in a deployment; tried in order. */
export interface FallbackRule {
  readonly general: readonly string[];
  readonly contextLength: readonly string[];
  readonly contentPolicy: readonly string[];
}

export type Accounting = 'reserve' | 'charge_after' | 'fraction';

export interface LimitRule {
  readonly rpm: number | null;
  readonly tpm: number | null;
  readonly inputTpm: number | null;
  readonly outputTpm: number | null;
  readonly concurrency: number | null;
  /** USD per window (Gemini). */
  readonly spend: { readonly usd: number; readonly windowMs: number } | null;
  readonly accounting: Accounting;
  /** Of the output allowed that `fraction` reserves. */
  readonly fraction: number;
  /** How much of a minute may be used at once, ms of it. */
  readonly burstMs: number;
  /** Input from the cache counts. */
  readonly cachedCounts: boolean;
  /** A 429 says when to come back. */
  readonly retryAfter: boolean;
}

export type BudgetMeasure =
  | 'inputTokens'
  | 'outputTokens'
  | 'tokens'
  | 'llmCalls'
  | 'toolCalls'
  | 'wallMs'
  | 'usd';
export type OnExceed = 'stop' | 'finalize' | 'degrade' | 'queue';

export interface BudgetRule {
  readonly limits: Readonly<Partial<Record<BudgetMeasure, number>>>;
  /** Share of each limit from which on calls are made in their saving form; null: never. */
  readonly softRatio: number | null;
  /** The saving form: another model, and a cap of the output. */
  readonly save: { readonly model: string | null; readonly outputTokens: number | null };
  readonly onExceed: OnExceed;
  /** With `degrade`: how far beyond the limit calls in their saving form still go, as a share of it. */
  readonly overdrawRatio: number;
  /** The limits are for each such window; null: for all of a session, or of a run. */
  readonly perMs: number | null;
}

export interface CancelRule {
  /** Chance to leave, per second. */
  readonly hazardPerSec: number | null;
  /** A user's patience, ms. */
  readonly after: DrawnAmount | null;
  /** The end of a session reaches what is under way. */
  readonly cascade: boolean;
}

/** Null: all; a list: nothing else. */
export interface AllowRule {
  readonly tools: readonly string[] | null;
  readonly models: readonly string[] | null;
  readonly hosts: readonly string[] | null;
  readonly files: readonly string[] | null;
  readonly subprocesses: boolean | null;
}

export interface HintRule {
  readonly sessionAffinity: boolean;
  readonly outputTokens: boolean;
  readonly cacheTtlMs: number | null;
}

export type Complexity = 'low' | 'medium' | 'high';

/** Of one `llm` or `compact` step; its workflow's stand in where it says nothing. */
export interface StepRules {
  readonly timeout: TimeoutRule | null;
  readonly retry: RetryRule | null;
  readonly hedge: HedgeRule | null;
  readonly breaker: BreakerRule | null;
  readonly fallback: FallbackRule | null;
  readonly sensitivity: string | null;
  readonly complexity: Complexity | null;
  readonly allow: AllowRule | null;
  readonly hints: HintRule | null;
  /** Chance that its answer is good enough; null: as the model's. */
  readonly success: number | null;
  /** Output tokens that the client allows (`max_tokens`); where the file does not say, what 99.9 % of its answers stay below. */
  readonly maxOutputTokens: number | null;
  /** Expected share of the time from its start to the end of the workflow that is its own; null: not known. */
  readonly slackShare: number | null;
}

export const NO_RULES: StepRules = {
  timeout: null,
  retry: null,
  hedge: null,
  breaker: null,
  fallback: null,
  sensitivity: null,
  complexity: null,
  allow: null,
  hints: null,
  success: null,
  maxOutputTokens: null,
  slackShare: null,
};

/** Of one tool where a step runs it. */
export interface ToolRules {
  readonly tool: string;
  readonly timeout: TimeoutRule | null;
  readonly retry: RetryRule | null;
  readonly sensitivity: string | null;
  /** A further run does no harm. */
  readonly idempotent: boolean;
  /** A human agrees first: how long that takes, ms; null: nobody is asked. */
  readonly consentMs: DrawnAmount | null;
  /** Share of those asked who refuse. */
  readonly refusesRatio: number;
  readonly allow: AllowRule | null;
  /** What it reaches: denied unless `allow` grants it. */
  readonly needs: {
    readonly hosts: readonly string[];
    readonly files: readonly string[];
    readonly subprocesses: boolean;
  };
  /** What one run uses of its sandbox; null: not said. */
  readonly cpuCores: number | null;
  readonly memoryBytes: number | null;
  /** A store that it reads or writes. */
  readonly store: { readonly name: string; readonly writes: boolean } | null;
  /** Where the scenario itself gives the tool a runtime of its own. */
  readonly runtime: {
    readonly concurrency: number | null;
    readonly coldStart: DrawnAmount | null;
    readonly warmPool: number;
  } | null;
  /** Role of the agent that runs it; null: not said. */
  readonly role: string | null;
}

/** Of a tool of which nothing is said. */
export const noToolRules = (tool: string): ToolRules => ({
  tool,
  timeout: null,
  retry: null,
  sensitivity: null,
  idempotent: true,
  consentMs: null,
  refusesRatio: 0,
  allow: null,
  needs: { hosts: [], files: [], subprocesses: false },
  cpuCores: null,
  memoryBytes: null,
  store: null,
  runtime: null,
  role: null,
});

export interface WorkflowRules {
  readonly budget: BudgetRule | null;
  readonly cancel: CancelRule | null;
  /** Of the whole session. */
  readonly timeoutMs: number | null;
  /** State that is saved on the way. */
  readonly checkpoint: CheckpointRule | null;
  /** A session that fails or is lost starts again, so often; from its beginning, or from its last checkpoint. */
  readonly restarts: { readonly max: number; readonly from: 'start' | 'checkpoint' } | null;
}

export const NO_WORKFLOW_RULES: WorkflowRules = {
  budget: null,
  cancel: null,
  timeoutMs: null,
  checkpoint: null,
  restarts: null,
};

export interface CheckpointRule {
  /** After so many ended leaves (steps), or so long (ms). */
  readonly every: { readonly steps: number } | { readonly ms: number };
  /** What one costs the session, ms. */
  readonly cost: DrawnAmount | null;
}

export interface TenantRules {
  readonly budget: BudgetRule | null;
  /** Of each of its users. */
  readonly userBudget: BudgetRule | null;
  readonly limit: LimitRule | null;
  /** Labels of the places where its data may go; null: any. */
  readonly residency: readonly string[] | null;
}

/** What of a scenario the gateway obeys, beside the rules of steps. */
export interface ScenarioRules {
  readonly tenants: ReadonlyMap<string, TenantRules>;
  /** By alias. */
  readonly models: ReadonlyMap<
    string,
    {
      readonly limit: LimitRule | null;
      readonly fallback: FallbackRule | null;
      readonly success: number | null;
    }
  >;
  readonly cohorts: ReadonlyMap<string, CancelRule | null>;
  /** Any step, tool, workflow or tenant has a rule: without one, and without any of the deployment, no gateway is needed. */
  readonly isGoverned: boolean;
  /** A workflow has a budget of its own; a step or model says how good its answers are. */
  readonly hasBudgets?: boolean;
  readonly hasSuccess?: boolean;
  /** A workflow saves its state, or starts again when it fails. */
  readonly hasCheckpoints?: boolean;
}

// ---- of a deployment ------------------------------------------------------------------------------------------

/** Which calls a rule of the gateway is for; null: any. */
export interface Match {
  readonly roles: readonly string[] | null;
  readonly complexities: readonly Complexity[] | null;
  readonly sensitivities: readonly string[] | null;
  readonly models: readonly string[] | null;
  readonly workflows: readonly string[] | null;
  readonly tenants: readonly string[] | null;
}

export interface ChooseRule extends Match {
  /** Targets by weight; one: always it. */
  readonly use: readonly { readonly target: string; readonly weight: number }[];
  /** Answers asked for again by a stronger target: a share of them, or those judged not good enough (null). */
  readonly escalate: { readonly to: string; readonly share: number | null } | null;
}

export interface Classifier {
  readonly latency: DrawnAmount | null;
  readonly usd: number;
  /** P(seen | true): rows and columns low, medium, high; each row sums to 1. */
  readonly confusion: readonly (readonly [number, number, number])[];
  /** Judged `high` from this score on, where it gives scores; null: by the matrix alone. */
  readonly threshold: number | null;
}

export interface AnomalyRule {
  /** Same step and arguments so often: a loop. */
  readonly repeats: number | null;
  /** LLM calls of a session that are too many. */
  readonly calls: number | null;
  /** Standard deviations above the mean of its workflow's sessions: more calls than that are too many. */
  readonly callsSd: number | null;
  /** Tool runs without a call between that are a cascade. */
  readonly toolCascade: number | null;
  /** Times the expected tokens of its workflow that are too many. */
  readonly burn: number | null;
  /** Times the first prompt of its step that a prompt has grown to. */
  readonly contextGrowth: number | null;
  readonly action: 'flag' | 'throttle' | 'cancel';
  /** With `throttle`: the pause before each further call of the session. */
  readonly throttleMs: number;
}

export interface OwnLimit extends LimitRule {
  readonly each: 'all' | 'tenant' | 'user' | 'workflow' | 'session';
  /** Only calls to this target. */
  readonly model: string | null;
  /** Only calls that ask for this alias; absent: whatever they ask for. */
  readonly alias?: string;
  /** Only calls of this tenant; absent: of any. */
  readonly tenant?: string;
  /** Beyond it a call waits, at most so long; null: it is refused at once. */
  readonly maxWaitMs: number | null;
}

export interface OwnBudget extends BudgetRule {
  /** Who shares it: workflow means all sessions of an agent type. */
  readonly each: 'session' | 'user' | 'tenant' | 'workflow';
  /** Only this agent type; null: each of them. */
  readonly workflow: string | null;
}

/** How good the answers of a target are, by complexity; and whether somebody looks. */
export interface QualityRule {
  readonly success: Readonly<Record<Complexity, number>>;
}

export interface GatewaySpec {
  readonly place: string | null;
  /** For workflows that have none of their own. */
  readonly allow: AllowRule | null;
  readonly limits: readonly OwnLimit[];
  /** Each for whom it names; one of each `session` is for sessions whose workflow has none. */
  readonly budgets: readonly OwnBudget[];
  readonly anomalies: AnomalyRule | null;
  readonly classifier: Classifier | null;
  readonly choose: readonly ChooseRule[];
  /** By sensitivity: allowed targets and providers; null: no rule. A label that is not here is denied. */
  readonly destinations: ReadonlyMap<string, readonly string[]> | null;
  readonly timeout: TimeoutRule | null;
  readonly retry: RetryRule | null;
  readonly hedge: HedgeRule | null;
  readonly breaker: BreakerRule | null;
  /** By target. */
  readonly fallback: ReadonlyMap<string, FallbackRule>;
  readonly degraded: 'fail_closed' | 'fall_back' | 'queue';
  /** With `queue`: how long a call waits for a target to come back. */
  readonly degradedWaitMs: number;
  /** A step's calls end by their share of the workflow's deadline. */
  readonly splitsDeadline: boolean;
  /** The end of a session reaches engines, tools and sub-agents. */
  readonly propagatesCancel: boolean;
  /** By target; a target that is not here always answers well. */
  readonly quality: ReadonlyMap<string, QualityRule>;
  /** What an answer that is not good enough leads to: nothing, another attempt, or the rule's `escalate`. */
  readonly onBadAnswer: 'accept' | 'retry' | 'escalate';
  /** Share of answers that are looked at. */
  readonly evaluatesRatio: number;
  /** Most sub-agents of a session, and how deep; null: no limit. */
  readonly agents: { readonly max: number | null; readonly depth: number | null };
}

/** A gateway that lets everything go as it wants. */
export const PLAIN_GATEWAY: GatewaySpec = {
  place: null,
  limits: [],
  budgets: [],
  anomalies: null,
  classifier: null,
  choose: [],
  destinations: null,
  timeout: null,
  retry: null,
  hedge: null,
  breaker: null,
  fallback: new Map(),
  degraded: 'fail_closed',
  degradedWaitMs: 0,
  splitsDeadline: false,
  propagatesCancel: true,
  quality: new Map(),
  onBadAnswer: 'accept',
  evaluatesRatio: 1,
  agents: { max: null, depth: null },
  allow: null,
};

/** How fast an API answers. */
export interface HostedLatency {
  readonly ttft: DrawnAmount;
  readonly tpot: DrawnAmount;
  /** For each prompt token that is not cached. */
  readonly perInputTokenMs: number;
}

export interface OutageSpec {
  readonly atMs: number | null;
  /** How often it begins; null: once, at `atMs`. */
  readonly perSec: number | null;
  readonly lastsMs: DrawnAmount;
  /** Of calls that fail meanwhile. */
  readonly share: number;
  /** How much slower those are that do not fail (a brown-out). */
  readonly slowdown: number;
}

/** What a hosted API is beside its price. */
export interface HostedSpec {
  readonly latency: HostedLatency;
  /** Of this model alone, and of its provider; each may be null. */
  readonly limits: { readonly model: LimitRule | null; readonly provider: LimitRule | null };
  readonly failRatio: number;
  readonly outages: readonly OutageSpec[];
  /** Its prompt cache: how long a prefix stays, and from how many tokens on; null: none. */
  readonly cache: { readonly ttlMs: number; readonly minTokens: number } | null;
  readonly place: string | null;
}

export interface PlaceSpec {
  readonly name: string;
  readonly kind: 'client' | 'edge' | 'region' | 'data' | 'provider';
  /** For residency rules. */
  readonly labels: readonly string[];
}

export interface LinkSpec {
  /** What faults call it. */
  readonly name: string;
  readonly between: readonly [string, string];
  readonly rttMs: number;
  /** Added to each way. */
  readonly jitter: DrawnAmount | null;
  readonly bytesPerSec: number | null;
  /** A new connection costs two more round trips. */
  readonly tls: boolean;
  readonly keepAliveMs: number;
  readonly lossRatio: number;
}

export interface ToolRuntimeSpec {
  readonly name: string;
  /** Null: every tool that no other runtime names. */
  readonly runs: readonly string[] | null;
  readonly place: string | null;
  readonly start: DrawnAmount | null;
  readonly warmPool: number;
  readonly keep: 'call' | 'session';
  readonly idleMs: number;
  readonly concurrency: number | null;
  /** Runs that may wait; null: no limit. */
  readonly queue: number | null;
  readonly limits: {
    readonly cpu: number | null;
    readonly memoryBytes: number | null;
    readonly timeMs: number | null;
  };
  readonly cpu: number | null;
  readonly memoryBytes: number | null;
  readonly failRatio: number;
  readonly usdPerHour: number | null;
}

export interface StoreSpec {
  readonly name: string;
  readonly kind: 'session' | 'vector' | 'kv' | 'long_term';
  readonly read: DrawnAmount;
  readonly write: DrawnAmount;
  /** Operations at once; null: no limit. */
  readonly concurrency: number | null;
  /** Entries that it holds; the least recently used go first, and reading one that went is a miss; null: no limit. */
  readonly capacity: number | null;
  /** From a write until reads see it. */
  readonly staleMs: number;
  readonly place: string | null;
  readonly usdPerOp: number;
}

/** Where agents run, and what lies between. */
export interface PlacesSpec {
  readonly places: readonly PlaceSpec[];
  readonly links: readonly LinkSpec[];
  /** Where the loop of an agent runs, and its user is; null: with the gateway. */
  readonly agents: string | null;
}
