// A measure for the grid: when each call and step did what, for the first difference between two runs.
import type { CallRecord, NodeRecord } from '../../scenarios/formats/record.ts';
import type { Measure } from '../grid/case.ts';

export type CallEvents = Pick<
  CallRecord,
  | 'session'
  | 'call'
  | 'plannedMs'
  | 'sentMs'
  | 'scheduledMs'
  | 'firstTokenMs'
  | 'endMs'
  | 'model'
  | 'pool'
  | 'replica'
  | 'promptTokens'
  | 'cachedTokens'
  | 'outputTokens'
  | 'outcome'
  | 'error'
>;

/** Steps that call no model. */
export type StepEvents = Pick<NodeRecord, 'session' | 'call' | 'status' | 'startMs' | 'endMs'>;

export interface RunEvents {
  readonly calls: readonly CallEvents[];
  readonly steps: readonly StepEvents[];
}

const events: Measure<RunEvents> = ({ calls, nodes }) => ({
  calls: calls.map(call => ({
    session: call.session,
    call: call.call,
    plannedMs: call.plannedMs,
    sentMs: call.sentMs,
    scheduledMs: call.scheduledMs,
    firstTokenMs: call.firstTokenMs,
    endMs: call.endMs,
    model: call.model,
    pool: call.pool,
    replica: call.replica,
    promptTokens: call.promptTokens,
    cachedTokens: call.cachedTokens,
    outputTokens: call.outputTokens,
    outcome: call.outcome,
    error: call.error,
  })),
  steps: nodes
    .filter(({ kind }) => kind !== 'llm')
    .map(({ session, call, status, startMs, endMs }) => ({ session, call, status, startMs, endMs })),
});

export default events;
