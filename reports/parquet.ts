// Records as Parquet files, a column per field, types stated so that an empty or all-null column keeps its own.
import type { BasicType } from 'hyparquet-writer';
import { parquetWriteBuffer } from 'hyparquet-writer';
import type { CallRecord, NodeRecord, TimelineSample, WorkflowRecord } from '../scenarios/formats/record.ts';
import { CRITICAL_PARTS } from './critical-path.ts';

/** `type` and how to read a cell; null cells are nulls. */
interface Column<Row> {
  type: BasicType;
  cell(row: Row): string | number | null;
}

type Columns<Row> = Record<string, Column<Row>>;

const text = <Row>(cell: Column<Row>['cell']): Column<Row> => ({ type: 'STRING', cell });
const whole = <Row>(cell: Column<Row>['cell']): Column<Row> => ({ type: 'INT32', cell });
const real = <Row>(cell: Column<Row>['cell']): Column<Row> => ({ type: 'DOUBLE', cell });

/** Every field of a call, in order; the compiler holds the list complete. `parts` is JSON text. */
const CALLS: Record<keyof CallRecord, Column<CallRecord>> = {
  session: text(call => call.session),
  cohort: text(call => call.cohort),
  workflow: text(call => call.workflow),
  tenant: text(call => call.tenant),
  call: text(call => call.call),
  step: text(call => call.step),
  role: text(call => call.role),
  model: text(call => call.model),
  pool: text(call => call.pool),
  replica: text(call => call.replica),
  iteration: whole(call => call.iteration),
  loop: text(call => call.loop),
  promptTokens: whole(call => call.promptTokens),
  cachedTokens: whole(call => call.cachedTokens),
  computedTokens: whole(call => call.computedTokens),
  outputTokens: whole(call => call.outputTokens),
  reasoningTokens: whole(call => call.reasoningTokens),
  plannedMs: real(call => call.plannedMs),
  sentMs: real(call => call.sentMs),
  scheduledMs: real(call => call.scheduledMs),
  firstTokenMs: real(call => call.firstTokenMs),
  endMs: real(call => call.endMs),
  itlMsMax: real(call => call.itlMsMax),
  preemptions: whole(call => call.preemptions),
  outcome: text(call => call.outcome),
  error: text(call => call.error),
  attempts: whole(call => call.attempts),
  parts: text(call => JSON.stringify(call.parts)),
};

const NODES: Record<keyof NodeRecord, Column<NodeRecord>> = {
  session: text(node => node.session),
  call: text(node => node.call),
  step: text(node => node.step),
  kind: text(node => node.kind),
  role: text(node => node.role),
  status: text(node => node.status),
  startMs: real(node => node.startMs),
  endMs: real(node => node.endMs),
  cause: text(node => node.cause),
};

/** The critical path becomes a column per part: `criticalQueueMs`. */
const WORKFLOWS: Columns<WorkflowRecord> = {
  ...({
    session: text(workflow => workflow.session),
    cohort: text(workflow => workflow.cohort),
    workflow: text(workflow => workflow.workflow),
    tenant: text(workflow => workflow.tenant),
    user: text(workflow => workflow.user),
    plannedMs: real(workflow => workflow.plannedMs),
    startMs: real(workflow => workflow.startMs),
    endMs: real(workflow => workflow.endMs),
    status: text(workflow => workflow.status),
    error: text(workflow => workflow.error),
    calls: whole(workflow => workflow.calls),
    toolCalls: whole(workflow => workflow.toolCalls),
    promptTokens: real(workflow => workflow.promptTokens),
    cachedTokens: real(workflow => workflow.cachedTokens),
    outputTokens: real(workflow => workflow.outputTokens),
    widthMax: whole(workflow => workflow.widthMax),
  } satisfies Record<Exclude<keyof WorkflowRecord, 'criticalPath'>, Column<WorkflowRecord>>),
  ...Object.fromEntries(
    CRITICAL_PARTS.map(part => [
      `critical${part[0]!.toUpperCase()}${part.slice(1)}`,
      real((workflow: WorkflowRecord) => workflow.criticalPath[part]),
    ]),
  ),
};

const TIMELINE: Record<keyof TimelineSample, Column<TimelineSample>> = {
  atMs: real(sample => sample.atMs),
  pool: text(sample => sample.pool),
  replica: text(sample => sample.replica),
  runningRequests: whole(sample => sample.runningRequests),
  waitingRequests: whole(sample => sample.waitingRequests),
  kvUsedRatio: real(sample => sample.kvUsedRatio),
};

function write<Row>(columns: Columns<Row>, rows: readonly Row[]): Uint8Array {
  const columnData = Object.entries(columns).map(([name, { type, cell }]) => ({
    name,
    type,
    data: rows.map(cell),
  }));
  return new Uint8Array(parquetWriteBuffer({ columnData, createdBy: 'agent-windtunnel' }));
}

export const callsParquet = (calls: readonly CallRecord[]): Uint8Array => write(CALLS, calls);
export const nodesParquet = (nodes: readonly NodeRecord[]): Uint8Array => write(NODES, nodes);
export const timelineParquet = (samples: readonly TimelineSample[]): Uint8Array => write(TIMELINE, samples);
/** `workflows` with their critical paths attached. */
export const workflowsParquet = (workflows: readonly WorkflowRecord[]): Uint8Array =>
  write(WORKFLOWS, workflows);
