// Records: what happened, in either world. Times are milliseconds since the start of the run; a field that does not
// apply is null, never 0. Derived latencies have one definition each, at the end of this file.
import type { PromptPart } from './prompt.ts';
import type { Reason } from './rules.ts';

/** A stretch of time, ms of the run. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

export type CallOutcome = 'ok' | 'error' | 'cancelled' | 'unfinished';

/** One LLM call. `call` is its path inside the session and unique there, e.g. `companies[3]/classify[7]/easy`. */
export interface CallRecord {
  session: string;
  cohort: string;
  workflow: string;
  tenant: string | null;
  call: string;
  step: string;
  role: string | null;
  /** The scenario's alias, or the trace's model name. */
  model: string;
  pool: string;
  replica: string | null;
  /** Pass of the innermost enclosing repeat, from 0; null outside of one. */
  iteration: number | null;
  /** Name of that repeat; null outside of one. */
  loop: string | null;
  /** As the server counted them where it says so, else as planned. */
  promptTokens: number;
  /** Prompt tokens found in the KV cache at first admission; null where the server does not say. */
  cachedTokens: number | null;
  /** Tokens the engine ran: prompt tokens not found in the cache, and each output token but the last; recomputation
   * after preemption included. null where unknown. */
  computedTokens: number | null;
  /** Generated tokens, reasoning included. */
  outputTokens: number;
  reasoningTokens: number;
  /** When the workflow wanted it: the later of the session's planned start and its last parent's end plus gap. */
  plannedMs: number;
  sentMs: number | null;
  /** First scheduled by the engine (simulated runs), else null. */
  scheduledMs: number | null;
  firstTokenMs: number | null;
  endMs: number | null;
  /** Largest gap between two successive tokens. */
  itlMsMax: number | null;
  /** null where unknown (live servers do not say). */
  preemptions: number | null;
  outcome: CallOutcome;
  /** A reason code (`http_429`, `timeout`, `connect`, `stream_error`, `stream_cut`, `too_long`…), null when ok. */
  error: string | null;
  /** Attempts that a gateway made of it; 1 without one, 0 where it refused to make any. */
  attempts: number;
  /** Of its time, that on links: the way there and back, KV between replicas. Absent: none that we know of. */
  transfers?: readonly Span[];
  /** What the prompt was planned to be made of, in order; sums to promptTokens unless the server counts otherwise. */
  parts: PromptPart[];
  /** Why prompt tokens were not found in the cache; sums to promptTokens - cachedTokens. Absent: nobody looked. */
  misses?: CacheMiss[];
}

/** Why the KV cache did not have a part of a prompt. */
export const MISS_REASONS = [
  /** No call had computed these tokens before, or only as an answer that another step reads. */
  'new',
  /** They were computed behind another prefix: something before them is not what it was. */
  'changed',
  /** Their time to live was over. */
  'expired',
  /** They had to make room. */
  'evicted',
  /** Another replica, or another model, has them. */
  'elsewhere',
  /** A gateway changed the prompt or the model. */
  'invalidated',
  /** Less than a KV block, or the last token, which is always computed. */
  'partial',
  /** They were computed before, and the server keeps nothing. */
  'off',
] as const;
export type MissReason = (typeof MISS_REASONS)[number];

/** Details that say why nothing could be done about it. */
export const MISS_DETAILS = {
  read: 'the answer of another step',
  reasoning: 'an answer without its reasoning',
  decode: 'left with the decode replicas',
} as const;

export interface CacheMiss {
  reason: MissReason;
  tokens: number;
  /** The segment that the missed tokens are in; of `changed`, the one that changed. */
  segment: string;
  /** `pass 3`, `was on gpu/1`; null: nothing to add. */
  detail: string | null;
}

export type NodeKind = 'llm' | 'tool' | 'human' | 'wait';
export type NodeStatus = 'completed' | 'failed' | 'skipped' | 'cancelled';

/** One leaf step of one session, of any kind: the waterfall and the critical path are made of these. */
export interface NodeRecord {
  session: string;
  call: string;
  step: string;
  kind: NodeKind;
  role: string | null;
  status: NodeStatus;
  /** Skipped nodes never start: startMs = endMs = the instant they were given up. */
  startMs: number;
  endMs: number;
  /** The node whose end released this one; null at the start of the session. */
  cause: string | null;
}

export type WorkflowStatus = 'completed' | 'failed' | 'cancelled' | 'unfinished';

/** Where a workflow's time went, along its critical path; the parts sum to the makespan. */
export interface CriticalPath {
  queueMs: number;
  prefillMs: number;
  decodeMs: number;
  toolMs: number;
  humanMs: number;
  waitMs: number;
  /** Attempts that came to nothing, and the pauses after them. */
  retryMs: number;
  /** Held back by a limit: of a provider (429 and the pause after it), of a gateway's own, or shed. */
  limitMs: number;
  /** For a replica or a sandbox that was still starting. */
  coldMs: number;
  /** KV transfers between replicas, and the network. */
  transferMs: number;
  /** Waiting on our own client or on nothing we know of. */
  otherMs: number;
}

/** One session: a workflow from start to end. */
export interface WorkflowRecord {
  session: string;
  cohort: string;
  workflow: string;
  tenant: string | null;
  /** One of the tenant's users. */
  user: string | null;
  plannedMs: number;
  startMs: number;
  endMs: number | null;
  status: WorkflowStatus;
  error: string | null;
  calls: number;
  toolCalls: number;
  promptTokens: number;
  cachedTokens: number;
  outputTokens: number;
  /** Most LLM calls in flight at once. */
  widthMax: number;
  /** Times that it started again, after a failure or without its process. */
  restarts: number;
  /** From some time on only its steps of role `final` started. */
  isFinalized: boolean;
  /** Label of the fault that made it run away; null: none did. */
  injected: string | null;
  criticalPath: CriticalPath;
}

/** Of no time at all. */
export const noTime = (): CriticalPath => ({
  queueMs: 0,
  prefillMs: 0,
  decodeMs: 0,
  toolMs: 0,
  humanMs: 0,
  waitMs: 0,
  retryMs: 0,
  limitMs: 0,
  coldMs: 0,
  transferMs: 0,
  otherMs: 0,
});

/** What is known of a session when it starts. */
export type StartedSession = Pick<
  WorkflowRecord,
  'session' | 'cohort' | 'workflow' | 'tenant' | 'user' | 'plannedMs' | 'startMs' | 'injected'
>;

/** A session of which nothing has ended yet. */
export const startedSession = ({
  session,
  cohort,
  workflow,
  tenant,
  user,
  plannedMs,
  startMs,
  injected,
}: StartedSession): WorkflowRecord => ({
  session,
  cohort,
  workflow,
  tenant,
  user,
  plannedMs,
  startMs,
  endMs: null,
  status: 'unfinished',
  error: null,
  calls: 0,
  toolCalls: 0,
  promptTokens: 0,
  cachedTokens: 0,
  outputTokens: 0,
  widthMax: 0,
  restarts: 0,
  isFinalized: false,
  injected,
  criticalPath: noTime(),
});

/** Why an attempt was made. */
export type AttemptKind = 'first' | 'retry' | 'hedge' | 'fallback' | 'escalation' | 'repeat';

/** Why what was paid for was thrown away. */
export const WASTES = [
  'retried',
  'hedged',
  'failed',
  'timed_out',
  'cancelled',
  'after_cancel',
  'over_budget',
  'escalated',
  'stale_read',
  'crash',
  'anomaly',
  'session_failed',
] as const;
export type Waste = (typeof WASTES)[number];

/** One request to one server: what a gateway makes of a call. Kept by runs with a gateway. */
export interface AttemptRecord {
  session: string;
  /** Path of its call. */
  call: string;
  workflow: string;
  tenant: string | null;
  user: string | null;
  step: string;
  role: string | null;
  /** From 0, over all attempts of the call. */
  attempt: number;
  kind: AttemptKind;
  /** Why it was made: the reason of the attempt before; null for a first one. */
  because: Reason | null;
  /** Alias or model that the workflow asked for. */
  model: string;
  /** The pool, or the model of a provider, that it went to. */
  target: string;
  replica: string | null;
  promptTokens: number;
  cachedTokens: number | null;
  /** Of the others, those that a provider wrote to its cache; absent: none that we know of. */
  cacheWriteTokens?: number | null;
  computedTokens: number | null;
  outputTokens: number;
  wantedMs: number;
  sentMs: number | null;
  scheduledMs: number | null;
  firstTokenMs: number | null;
  endMs: number | null;
  outcome: CallOutcome;
  reason: Reason | null;
  error: string | null;
  /** When somebody gave it up; null: nobody did. */
  cancelledMs: number | null;
  /** Output tokens that had appeared by then. */
  cancelledTokens: number | null;
  /** Its answer was good enough; null: nobody knows, or there was none. */
  isGood: boolean | null;
  /** Why it was paid for in vain; null: its answer was used. */
  waste: Waste | null;
}

/** One run of a tool on its runtime, its waits included. Kept by runs with a gateway or with tool runtimes. */
export interface ToolRecord {
  session: string;
  /** Path of its step. */
  call: string;
  workflow: string;
  tenant: string | null;
  user: string | null;
  step: string;
  tool: string;
  runtime: string | null;
  attempt: number;
  askedMs: number;
  /** From the wish to a free sandbox, and of its start; 0 where one was ready. */
  queueMs: number;
  coldStartMs: number;
  isCold: boolean;
  consentMs: number;
  startMs: number | null;
  endMs: number;
  outcome: 'ok' | 'error' | 'cancelled';
  error: string | null;
  /** It ran before, may have done something, and did it again. */
  isDoubled: boolean;
  /** Priced by the hour of its sandbox; 0 where nothing is known. */
  usd: number;
  waste: Waste | null;
}

/** What a policy decided about a call, a tool or a session, and why: the audit log. */
export interface DecisionRecord {
  atMs: number;
  session: string;
  /** Path of the call or tool; null: of the session. */
  call: string | null;
  policy:
    | 'budget'
    | 'deadline'
    | 'retry'
    | 'hedge'
    | 'breaker'
    | 'fallback'
    | 'limit'
    | 'choose'
    | 'sensitivity'
    | 'escalate'
    | 'cancel'
    | 'allow'
    | 'consent'
    | 'anomaly'
    | 'agents'
    | 'checkpoint'
    | 'store'
    | 'degraded'
    | 'drift';
  /** What was decided: `denied`, `retry`, `open`, `local`… */
  decision: string;
  /** One clause in the field's words. */
  why: string;
}

/** The end of a session before its time, and how long it took until nothing of it ran any more. */
export interface CancelRecord {
  session: string;
  workflow: string;
  /** `user_left`, `budget`, `deadline`, `failure`, `operator`, `anomaly`. */
  reason: string;
  atMs: number;
  /** When the last call, tool or timer of it had ended. */
  cleanMs: number;
  calls: number;
  tools: number;
  /** Output tokens that appeared after it. */
  tokensAfter: number;
}

/** A session that somebody knows to be wrong, and what the anomaly rules said of it. */
export interface AnomalyRecord {
  session: string;
  workflow: string;
  /** What was injected; null: nothing. */
  injected: string | null;
  /** Rules that fired, in order; empty: none. */
  flagged: { rule: string; atMs: number }[];
  /** Tokens it used, and would have used had nobody stopped it; the latter null where it was not stopped. */
  tokens: number;
  tokensUnstopped: number | null;
}

/** Everything a gateway has to tell of a run, in order of time. */
export interface GovernedRecords {
  attempts: AttemptRecord[];
  tools: ToolRecord[];
  decisions: DecisionRecord[];
  cancels: CancelRecord[];
  anomalies: AnomalyRecord[];
  /** USD of looks by the classifier. */
  classifierUsd: number;
  /** USD of sandboxes that waited for a tool. */
  idleToolsUsd: number;
}

/** The cluster (or the live server's /metrics) at one instant. */
export interface TimelineSample {
  atMs: number;
  pool: string;
  replica: string;
  runningRequests: number;
  waitingRequests: number;
  /** 0 to 1: blocks held by requests, over all blocks. */
  kvUsedRatio: number;
}

/** A replica from the wish for it to its end, ms of the run. */
export interface ReplicaSpan {
  pool: string;
  replica: string;
  askedMs: number;
  /** null: it never was. */
  readyMs: number | null;
  /** null: it was there to the end. */
  goneMs: number | null;
  /** It crashed, or its owner took it back. */
  isLost: boolean;
  gpus: number;
  usdPerGpuHour: number | null;
}

/** GPU-hours from the wish for a replica to its end, or to that of the run: what is paid for. */
export const gpuHours = ({ askedMs, goneMs, gpus }: ReplicaSpan, durationMs: number): number =>
  (gpus * Math.max(0, (goneMs ?? durationMs) - askedMs)) / 3_600_000;

const minus = (end: number | null, start: number | null): number | null =>
  end === null || start === null ? null : end - start;

/** From the planned time to the first token, so that our own lag is inside, never hidden. */
export const ttftMs = (call: CallRecord): number | null => minus(call.firstTokenMs, call.plannedMs);
/** From the planned time to the last token. */
export const e2eMs = (call: CallRecord): number | null =>
  call.outcome === 'ok' ? minus(call.endMs, call.plannedMs) : null;
/** Mean time per output token after the first; null for one token. */
export function tpotMs(call: CallRecord): number | null {
  const decode = call.outcome === 'ok' ? minus(call.endMs, call.firstTokenMs) : null;
  return decode === null || call.outputTokens < 2 ? null : decode / (call.outputTokens - 1);
}
/** From sent to first scheduled by the engine. */
export const queueMs = (call: CallRecord): number | null => minus(call.scheduledMs, call.sentMs);
/** Our own lateness. */
export const lagMs = (call: CallRecord): number | null => minus(call.sentMs, call.plannedMs);
/** Planned start to end of a session. */
export const makespanMs = (workflow: WorkflowRecord): number | null =>
  workflow.status === 'completed' ? minus(workflow.endMs, workflow.plannedMs) : null;
