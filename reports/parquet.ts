// Records as Parquet files, a column per field, types stated so that an empty or all-null column keeps its own.
import type { BasicType } from 'hyparquet-writer';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { type Ledger, NANOS_PER_USD } from '../scenarios/formats/ledger.ts';
import type {
  AttemptRecord,
  CallRecord,
  NodeRecord,
  TimelineSample,
  ToolRecord,
  WorkflowRecord,
} from '../scenarios/formats/record.ts';
import { CRITICAL_PARTS } from './critical-path.ts';

/** `type` and how to read a cell; null cells are nulls. */
interface Column<Row> {
  type: BasicType;
  cell(row: Row): string | number | boolean | null;
}

export type Columns<Row> = Record<string, Column<Row>>;

export const text = <Row>(cell: Column<Row>['cell']): Column<Row> => ({ type: 'STRING', cell });
export const whole = <Row>(cell: Column<Row>['cell']): Column<Row> => ({ type: 'INT32', cell });
export const flag = <Row>(cell: Column<Row>['cell']): Column<Row> => ({ type: 'BOOLEAN', cell });
export const real = <Row>(cell: Column<Row>['cell']): Column<Row> => ({ type: 'DOUBLE', cell });

/** Every field of a call, in order; the compiler holds the list complete. `transfers`, `parts` and `misses` are JSON text. */
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
  transfers: text(call => (call.transfers === undefined ? null : JSON.stringify(call.transfers))),
  parts: text(call => JSON.stringify(call.parts)),
  misses: text(call => (call.misses === undefined ? null : JSON.stringify(call.misses))),
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
    restarts: whole(workflow => workflow.restarts),
    isFinalized: flag(workflow => workflow.isFinalized),
    injected: text(workflow => workflow.injected),
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

/** A row with its amount of the ledger. */
interface Priced<Row> {
  row: Row;
  usd: number | null;
}

const ATTEMPTS: Columns<Priced<AttemptRecord>> = {
  ...({
    session: text(({ row }) => row.session),
    call: text(({ row }) => row.call),
    workflow: text(({ row }) => row.workflow),
    tenant: text(({ row }) => row.tenant),
    user: text(({ row }) => row.user),
    step: text(({ row }) => row.step),
    role: text(({ row }) => row.role),
    attempt: whole(({ row }) => row.attempt),
    kind: text(({ row }) => row.kind),
    because: text(({ row }) => row.because),
    model: text(({ row }) => row.model),
    target: text(({ row }) => row.target),
    replica: text(({ row }) => row.replica),
    promptTokens: whole(({ row }) => row.promptTokens),
    cachedTokens: whole(({ row }) => row.cachedTokens),
    cacheWriteTokens: whole(({ row }) => row.cacheWriteTokens ?? null),
    computedTokens: whole(({ row }) => row.computedTokens),
    outputTokens: whole(({ row }) => row.outputTokens),
    wantedMs: real(({ row }) => row.wantedMs),
    sentMs: real(({ row }) => row.sentMs),
    scheduledMs: real(({ row }) => row.scheduledMs),
    firstTokenMs: real(({ row }) => row.firstTokenMs),
    endMs: real(({ row }) => row.endMs),
    outcome: text(({ row }) => row.outcome),
    reason: text(({ row }) => row.reason),
    error: text(({ row }) => row.error),
    cancelledMs: real(({ row }) => row.cancelledMs),
    cancelledTokens: whole(({ row }) => row.cancelledTokens),
    isGood: flag(({ row }) => row.isGood),
    waste: text(({ row }) => row.waste),
  } satisfies Record<keyof AttemptRecord, Column<Priced<AttemptRecord>>>),
  usd: real(({ usd }) => usd),
};

/** `usd` is as the ledger has it, in whole nano-dollars. */
const TOOLS: Record<keyof ToolRecord, Column<Priced<ToolRecord>>> = {
  session: text(({ row }) => row.session),
  call: text(({ row }) => row.call),
  workflow: text(({ row }) => row.workflow),
  tenant: text(({ row }) => row.tenant),
  user: text(({ row }) => row.user),
  step: text(({ row }) => row.step),
  tool: text(({ row }) => row.tool),
  runtime: text(({ row }) => row.runtime),
  attempt: whole(({ row }) => row.attempt),
  askedMs: real(({ row }) => row.askedMs),
  queueMs: real(({ row }) => row.queueMs),
  coldStartMs: real(({ row }) => row.coldStartMs),
  isCold: flag(({ row }) => row.isCold),
  consentMs: real(({ row }) => row.consentMs),
  startMs: real(({ row }) => row.startMs),
  endMs: real(({ row }) => row.endMs),
  outcome: text(({ row }) => row.outcome),
  error: text(({ row }) => row.error),
  isDoubled: flag(({ row }) => row.isDoubled),
  usd: real(({ row, usd }) => usd ?? row.usd),
  waste: text(({ row }) => row.waste),
};

/** What a reader takes in at once: few enough that one session of a long run is found in little memory. */
const ROW_GROUP_ROWS = 20_000;

/** A file of rows, a column each of these. */
export function tableParquet<Row>(columns: Columns<Row>, rows: readonly Row[]): Uint8Array {
  const columnData = Object.entries(columns).map(([name, { type, cell }]) => ({
    name,
    type,
    data: rows.map(cell),
  }));
  return new Uint8Array(
    parquetWriteBuffer({ columnData, rowGroupSize: ROW_GROUP_ROWS, createdBy: 'agent-windtunnel' }),
  );
}

export const callsParquet = (calls: readonly CallRecord[]): Uint8Array => tableParquet(CALLS, calls);
export const nodesParquet = (nodes: readonly NodeRecord[]): Uint8Array => tableParquet(NODES, nodes);
export const timelineParquet = (samples: readonly TimelineSample[]): Uint8Array =>
  tableParquet(TIMELINE, samples);
/** `workflows` with their critical paths attached. */
export const workflowsParquet = (workflows: readonly WorkflowRecord[]): Uint8Array =>
  tableParquet(WORKFLOWS, workflows);

/** Records with their amounts in USD; null where nobody kept the books. */
const priced = <Row>(rows: readonly Row[], nanos: Float64Array | undefined): Priced<Row>[] =>
  rows.map((row, i) => ({ row, usd: nanos === undefined ? null : nanos[i]! / NANOS_PER_USD }));

export const attemptsParquet = (attempts: readonly AttemptRecord[], ledger?: Ledger): Uint8Array =>
  tableParquet(ATTEMPTS, priced(attempts, ledger?.attemptNanos));
export const toolsParquet = (tools: readonly ToolRecord[], ledger?: Ledger): Uint8Array =>
  tableParquet(TOOLS, priced(tools, ledger?.toolNanos));
