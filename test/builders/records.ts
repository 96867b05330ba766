// Records for tests: each builder defaults everything that the test is not about.
import { Histogram } from '../../scenarios/base/histogram.ts';
import type {
  CallRecord,
  NodeRecord,
  TimelineSample,
  WorkflowRecord,
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
  criticalPath: { queueMs: 0, prefillMs: 0, decodeMs: 0, toolMs: 0, humanMs: 0, waitMs: 0, otherMs: 0 },
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
