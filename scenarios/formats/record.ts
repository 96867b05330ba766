// Records: what happened, in either world. Times are milliseconds since the start of the run; a field that does not
// apply is null, never 0. Derived latencies have one definition each, at the end of this file.
import type { PromptPart } from './prompt.ts';

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
  /** What the prompt was planned to be made of, in order; sums to promptTokens unless the server counts otherwise. */
  parts: PromptPart[];
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
  criticalPath: CriticalPath;
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
