// Records for tests: each builder defaults everything that the test is not about.
import { Histogram } from '../../scenarios/base/histogram.ts';
import {
  type AttemptRecord,
  type CallRecord,
  type GovernedRecords,
  type NodeRecord,
  noTime,
  type ReplicaSpan,
  type TimelineSample,
  type ToolRecord,
  type WorkflowRecord,
} from '../../scenarios/formats/record.ts';
import type { RunHeader, RunOutput } from '../../scenarios/formats/run.ts';

/** A call that was planned at 0, queued 10 ms, prefilled 90 ms and decoded 101 tokens in 1 s. */
export const aCall = (fields: Partial<CallRecord> = {}): CallRecord => ({
  session: 's0',
  cohort: 'users',
  workflow: 'chat',
  tenant: null,
  call: 'answer',
  step: 'answer',
  role: null,
  model: 'main',
  pool: 'main',
  replica: 'main/0',
  iteration: null,
  loop: null,
  promptTokens: 1000,
  cachedTokens: 0,
  computedTokens: 1000,
  outputTokens: 101,
  reasoningTokens: 0,
  plannedMs: 0,
  sentMs: 0,
  scheduledMs: 10,
  firstTokenMs: 100,
  endMs: 1100,
  itlMsMax: 12,
  preemptions: 0,
  outcome: 'ok',
  error: null,
  attempts: 1,
  parts: [{ segment: 'input', tokens: fields.promptTokens ?? 1000 }],
  ...fields,
});

/** The one attempt of `aCall`. */
export const anAttempt = (fields: Partial<AttemptRecord> = {}): AttemptRecord => ({
  session: 's0',
  call: 'answer',
  workflow: 'chat',
  tenant: null,
  user: null,
  step: 'answer',
  role: null,
  attempt: 0,
  kind: 'first',
  because: null,
  model: 'main',
  target: 'main',
  replica: 'main/0',
  promptTokens: 1000,
  cachedTokens: 0,
  computedTokens: null,
  outputTokens: 101,
  wantedMs: 0,
  sentMs: 0,
  scheduledMs: 10,
  firstTokenMs: 100,
  endMs: 1100,
  outcome: 'ok',
  reason: null,
  error: null,
  cancelledMs: null,
  cancelledTokens: null,
  isGood: null,
  waste: null,
  ...fields,
});

/** A run of a tool for a second in a sandbox that was ready. */
export const aTool = (fields: Partial<ToolRecord> = {}): ToolRecord => ({
  session: 's0',
  call: 'fetch',
  workflow: 'chat',
  tenant: null,
  user: null,
  step: 'fetch',
  tool: 'fetch',
  runtime: 'sandboxes',
  attempt: 0,
  askedMs: 0,
  queueMs: 0,
  coldStartMs: 0,
  isCold: false,
  consentMs: 0,
  startMs: 0,
  endMs: 1000,
  outcome: 'ok',
  error: null,
  isDoubled: false,
  usd: 0,
  waste: null,
  ...fields,
});

export const theGoverned = (fields: Partial<GovernedRecords> = {}): GovernedRecords => ({
  attempts: [],
  tools: [],
  decisions: [],
  cancels: [],
  anomalies: [],
  classifierUsd: 0,
  idleToolsUsd: 0,
  ...fields,
});

/** One GPU at 3.6 USD an hour, which is a thousandth of a dollar a second, there from the start to the end. */
export const aSpan = (fields: Partial<ReplicaSpan> = {}): ReplicaSpan => ({
  pool: 'main',
  replica: 'main/0',
  askedMs: 0,
  readyMs: 0,
  goneMs: null,
  isLost: false,
  gpus: 1,
  usdPerGpuHour: 3.6,
  ...fields,
});

export const aNode = (fields: Partial<NodeRecord> = {}): NodeRecord => ({
  session: 's0',
  call: 'answer',
  step: 'answer',
  kind: 'llm',
  role: null,
  status: 'completed',
  startMs: 0,
  endMs: 1100,
  cause: null,
  ...fields,
});

export const aWorkflow = (fields: Partial<WorkflowRecord> = {}): WorkflowRecord => ({
  session: 's0',
  cohort: 'users',
  workflow: 'chat',
  tenant: null,
  user: null,
  plannedMs: 0,
  startMs: 0,
  endMs: 1100,
  status: 'completed',
  error: null,
  calls: 1,
  toolCalls: 0,
  promptTokens: 1000,
  cachedTokens: 0,
  outputTokens: 101,
  widthMax: 1,
  restarts: 0,
  isFinalized: false,
  injected: null,
  criticalPath: noTime(),
  ...fields,
});

export const aSample = (fields: Partial<TimelineSample> = {}): TimelineSample => ({
  atMs: 0,
  pool: 'main',
  replica: 'main/0',
  runningRequests: 1,
  waitingRequests: 0,
  kvUsedRatio: 0.1,
  ...fields,
});

export const aHeader = (fields: Partial<RunHeader> = {}): RunHeader => ({
  tool: { name: 'agent-windtunnel', version: '0.1.0' },
  world: 'sim',
  seed: 7,
  scenario: { name: 'chat', sha256: 'a'.repeat(64) },
  deployment: { name: 'one-gpu', sha256: 'b'.repeat(64) },
  command: 'windtunnel simulate chat.yaml -d one-gpu.yaml --seed 7',
  startedAt: null,
  evidence: [],
  warnings: [],
  ...fields,
});

/** A run of one workflow of one call. */
export function aRun(fields: Partial<RunOutput> = {}): RunOutput {
  const itl = new Histogram();
  itl.record(10, 100);
  return {
    header: aHeader(),
    calls: [aCall()],
    nodes: [aNode()],
    workflows: [aWorkflow()],
    timeline: [aSample()],
    itlMs: itl.toCounts(),
    assertions: [],
    durationMs: 1100,
    interrupted: false,
    valid: true,
    invalidReason: null,
    ...fields,
  };
}
