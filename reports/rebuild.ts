// A run that never came to publish its results, from the log of its records. Pure. Law: of a run that came to its end, the
// log gives the very run; of one that was cut off, what had ended, and its sessions under way as unfinished.
import {
  type AttemptRecord,
  type CallRecord,
  type DecisionRecord,
  type GovernedRecords,
  type NodeRecord,
  startedSession,
  type TimelineSample,
  type ToolRecord,
  type WorkflowRecord,
} from '../scenarios/formats/record.ts';
import type { RunOutput } from '../scenarios/formats/run.ts';
import type { LineKind, RunEnd, RunStart } from '../scenarios/formats/run-log.ts';
import { bySession } from './critical-path.ts';
import { plural, showMs } from './numbers.ts';

/** The lines of a log, in their order. */
export interface LoggedRecords extends Record<LineKind, readonly object[]> {
  readonly call: CallRecord[];
  readonly node: NodeRecord[];
  readonly session: WorkflowRecord[];
  readonly sample: TimelineSample[];
  readonly attempt: AttemptRecord[];
  readonly tool: ToolRecord[];
  readonly decision: DecisionRecord[];
}

export interface RunLogRead {
  readonly start: RunStart;
  readonly records: LoggedRecords;
  /** null: the run was cut off. */
  readonly end: RunEnd | null;
  /** Lines that were not whole, and are left out. */
  readonly cutLines: number;
}

const NO_GAPS = { count: 0, sum: 0, min: 0, max: 0, buckets: [] };

export function rebuilt({ start, records, end, cutLines }: RunLogRead): RunOutput {
  const calls = records.call;
  const workflows = sessionsOf(records);
  const known = new Set(workflows.map(({ session }) => session));
  const nodes = records.node.filter(({ session }) => known.has(session));
  const left = cutLines + (records.node.length - nodes.length);
  const lost =
    left === 0 ? [] : [`${plural(left, 'line')} of its log ${left === 1 ? 'was' : 'were'} cut off`];
  const governed = governedOf(records, end);
  const common = {
    calls,
    nodes,
    workflows,
    timeline: records.sample,
    assertions: start.assertions,
    ...(governed === null ? {} : { governed }),
  };
  if (end !== null) {
    const { header, measured, itlMs, durationMs, interrupted, valid, invalidReason } = end;
    return {
      ...common,
      header: { ...header, warnings: [...header.warnings, ...lost] },
      ...(measured === null ? {} : { measured }),
      itlMs,
      durationMs,
      interrupted,
      valid,
      invalidReason,
    };
  }
  const durationMs = lastMs(records);
  const { header } = start;
  return {
    ...common,
    header: { ...header, warnings: [...header.warnings, cutOff(common, start, durationMs), ...lost] },
    itlMs: NO_GAPS,
    durationMs,
    interrupted: true,
    valid: true,
    invalidReason: null,
  };
}

/** Those that ended in order of their end, then those under way in order of their start. */
function sessionsOf({ session: lines, call, node }: LoggedRecords): WorkflowRecord[] {
  const latest = new Map<string, WorkflowRecord>();
  for (const each of call) if (!latest.has(each.session)) latest.set(each.session, unknownSession(each));
  for (const record of lines) {
    latest.delete(record.session);
    latest.set(record.session, record);
  }
  const isUnderWay = ({ status, error }: WorkflowRecord): boolean =>
    status === 'unfinished' && error === null;
  const all = [...latest.values()];
  const calls = bySession(call);
  const nodes = bySession(node);
  return [...all.filter(each => !isUnderWay(each)), ...all.filter(isUnderWay)].map(record => {
    const own = calls.get(record.session) ?? [];
    const sum = (of: (call: CallRecord) => number): number =>
      own.reduce((total, each) => total + of(each), 0);
    // A call that was given up may have ended after its session.
    const tokens = {
      promptTokens: sum(({ promptTokens }) => promptTokens),
      cachedTokens: sum(({ cachedTokens }) => cachedTokens ?? 0),
      outputTokens: sum(({ outputTokens }) => outputTokens),
    };
    if (!isUnderWay(record)) return { ...record, ...tokens };
    const tools = (nodes.get(record.session) ?? []).filter(
      ({ kind, status }) => kind === 'tool' && status !== 'skipped',
    );
    return {
      ...record,
      ...tokens,
      error: 'interrupted',
      calls: own.length,
      toolCalls: tools.length,
      widthMax: widthOf(own),
    };
  });
}

/** Of a call whose session's own lines did not fit on the disk any more. */
const unknownSession = ({ session, cohort, workflow, tenant, plannedMs }: CallRecord): WorkflowRecord =>
  startedSession({
    session,
    cohort,
    workflow,
    tenant,
    user: null,
    plannedMs,
    startMs: plannedMs,
    injected: null,
  });

/** Most of them in flight at once. */
function widthOf(calls: readonly CallRecord[]): number {
  const edges = calls.flatMap(({ plannedMs, endMs }): [number, number][] => [
    [plannedMs, 1],
    [endMs ?? plannedMs, -1],
  ]);
  // At one instant ends come first.
  edges.sort(([a, up], [b, down]) => a - b || up - down);
  let width = 0;
  let widest = 0;
  for (const [, change] of edges) {
    width += change;
    widest = Math.max(widest, width);
  }
  return Math.max(widest, Math.min(1, calls.length));
}

/** null: no gateway decided anything. */
function governedOf({ attempt, tool, decision }: LoggedRecords, end: RunEnd | null): GovernedRecords | null {
  const late = end?.governed ?? null;
  if (late === null && attempt.length + tool.length + decision.length === 0) return null;
  for (const [row, waste] of late?.attemptWastes ?? []) if (attempt[row]) attempt[row].waste = waste;
  for (const [row, waste] of late?.toolWastes ?? []) if (tool[row]) tool[row].waste = waste;
  return {
    attempts: attempt,
    tools: tool,
    decisions: decision,
    cancels: late?.cancels ?? [],
    anomalies: late?.anomalies ?? [],
    classifierUsd: late?.classifierUsd ?? 0,
    idleToolsUsd: late?.idleToolsUsd ?? 0,
  };
}

/** The latest instant that any record knows of. */
function lastMs({ call, node, session, sample }: LoggedRecords): number {
  let last = 0;
  for (const { endMs } of call) last = Math.max(last, endMs ?? 0);
  for (const { endMs } of node) last = Math.max(last, endMs);
  for (const { startMs, endMs } of session) last = Math.max(last, endMs ?? startMs);
  for (const { atMs } of sample) last = Math.max(last, atMs);
  return last;
}

function cutOff(
  { calls, workflows }: Pick<RunOutput, 'calls' | 'workflows'>,
  { sessionsPlanned }: RunStart,
  durationMs: number,
): string {
  const underWay = workflows.filter(({ status }) => status === 'unfinished').length;
  const planned = sessionsPlanned === null ? '' : ` of ${sessionsPlanned} planned`;
  return (
    `the run ended without a word, ${showMs(durationMs)} after its start: ${plural(calls.length, 'call')} of ` +
    `${plural(workflows.length, 'session')}${planned} had ended, ${plural(underWay, 'session')} ${underWay === 1 ? 'was' : 'were'} under way; ` +
    'token gaps and what only the end of a run knows of client and servers are missing'
  );
}
