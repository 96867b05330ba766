// What an exported script tells of a run, put together as the records that every other run has.
import { Histogram } from '../../scenarios/base/histogram.ts';
import type { PlannedSession } from '../../scenarios/formats/plan.ts';
import {
  type CallRecord,
  type NodeKind,
  type NodeRecord,
  startedSession,
  type WorkflowRecord,
} from '../../scenarios/formats/record.ts';
import type { FleetOptions } from '../../scenarios/workflows/fleet.ts';
import type { Call } from '../../scenarios/workflows/progress.ts';
import type { LeafEnd, Reply, SessionRow } from './session.ts';
import type { TargetRow } from './settings.ts';

/** A session as it was exported. */
export interface KnownSession {
  readonly planned: PlannedSession;
  readonly row: SessionRow;
  /** By path; their prompts are not held. */
  readonly calls: ReadonlyMap<string, Pick<Call, 'parts' | 'iteration' | 'loop'>>;
  /** Leaves that run when nothing fails. */
  readonly leaves: readonly {
    readonly path: string;
    readonly step: string;
    readonly kind: NodeKind;
    readonly role: string | null;
  }[];
}

/** As the script tells them, in the metadata of a sample. */
export type Told =
  | { readonly e: 'zero'; readonly unixMs: number }
  | { readonly e: 'start'; readonly session: string; readonly plannedMs: number; readonly startMs: number }
  | {
      readonly e: 'sent';
      readonly session: string;
      readonly path: string;
      readonly plannedMs: number;
      readonly sentMs: number;
    }
  | ({ readonly e: 'leaf'; readonly session: string } & Omit<LeafEnd, 'call'>)
  | { readonly e: 'end'; readonly session: string; readonly endMs: number; readonly error: string | null };

/** Who hears of records as they come. */
export type Listener = Pick<FleetOptions, 'onCall' | 'onNode' | 'onStart' | 'onSession'>;

/** A session on its way. */
interface Live {
  readonly known: KnownSession;
  readonly record: WorkflowRecord;
  readonly ended: Set<string>;
  readonly sent: Map<string, { plannedMs: number; sentMs: number }>;
}

export class K6Tally {
  readonly calls: CallRecord[] = [];
  readonly nodes: NodeRecord[] = [];
  readonly workflows: WorkflowRecord[] = [];
  /** Unix ms of the run's zero; null: k6 has not begun. */
  zeroUnixMs: number | null = null;
  lastEndMs = 0;
  inFlight = 0;
  inFlightMax = 0;
  private readonly known: ReadonlyMap<string, KnownSession>;
  private readonly targets: readonly TargetRow[];
  private readonly listener: Listener;
  private readonly live = new Map<string, Live>();

  constructor(
    known: ReadonlyMap<string, KnownSession>,
    targets: readonly TargetRow[],
    listener: Listener = {},
  ) {
    this.known = known;
    this.targets = targets;
    this.listener = listener;
  }

  get sessionsStarted(): number {
    return this.live.size;
  }

  take(told: Told): void {
    switch (told.e) {
      case 'zero':
        this.zeroUnixMs ??= told.unixMs;
        break;
      case 'start':
        this.start(told);
        break;
      case 'sent':
        this.sent(told);
        break;
      case 'leaf':
        this.leaf(told);
        break;
      case 'end': {
        const live = this.live.get(told.session);
        if (live === undefined) break;
        live.record.status = told.error === null ? 'completed' : 'failed';
        live.record.error = told.error;
        live.record.endMs = told.endMs;
        this.session(live.record);
      }
    }
  }

  /** Nothing more will come: what was under way is unfinished, and what never began is skipped. */
  finish(nowMs: number): void {
    for (const live of this.live.values()) {
      for (const [path, sent] of live.sent) this.unfinished(live, path, sent);
      if (live.record.status === 'unfinished') {
        live.record.error = 'interrupted';
        this.session(live.record);
      }
      const endMs = live.record.endMs ?? nowMs;
      const { id } = live.known.planned;
      for (const { path, step, kind, role } of live.known.leaves) {
        if (live.ended.has(path)) continue;
        const at = { startMs: endMs, endMs, cause: null };
        this.node({ session: id, call: path, step, kind, role, status: 'skipped', ...at });
      }
    }
  }

  private start({ session, plannedMs, startMs }: Extract<Told, { e: 'start' }>): void {
    const known = this.known.get(session);
    if (known === undefined) return;
    const { id, cohort, tenant, user, program } = known.planned;
    const record = startedSession({
      session: id,
      cohort,
      workflow: program.workflow,
      tenant,
      user,
      plannedMs,
      startMs,
      injected: program.injected ?? null,
    });
    this.live.set(session, { known, record, ended: new Set(), sent: new Map() });
    this.listener.onStart?.(record);
  }

  private session(record: WorkflowRecord): void {
    this.workflows.push(record);
    this.listener.onSession?.(record);
  }

  private node(record: NodeRecord): void {
    this.nodes.push(record);
    this.listener.onNode?.(record);
  }

  private sent({ session, path, plannedMs, sentMs }: Extract<Told, { e: 'sent' }>): void {
    const live = this.live.get(session);
    // A further attempt is of the same call.
    if (live === undefined || live.sent.has(path)) return;
    live.sent.set(path, { plannedMs, sentMs });
    live.record.calls++;
    live.record.widthMax = Math.max(live.record.widthMax, live.sent.size);
    this.inFlightMax = Math.max(this.inFlightMax, ++this.inFlight);
  }

  private leaf(told: Extract<Told, { e: 'leaf' }>): void {
    const live = this.live.get(told.session);
    if (live === undefined) return;
    const { path, step, kind, cause, plannedMs, endMs, outcome, reply } = told;
    live.ended.add(path);
    this.lastEndMs = Math.max(this.lastEndMs, endMs);
    const row = reply === null ? undefined : live.known.row.calls.find(call => call.path === path);
    if (kind === 'tool') live.record.toolCalls++;
    if (row !== undefined && reply !== null) {
      live.sent.delete(path);
      this.inFlight--;
      const { firstSentMs, attempts, error } = told;
      this.call(live, path, { plannedMs, sentMs: firstSentMs, endMs, outcome, error, attempts, reply });
    }
    this.node({
      session: told.session,
      call: path,
      step,
      kind: kind as NodeKind,
      role: row?.role ?? null,
      status: outcome === 'ok' ? 'completed' : outcome === 'error' ? 'failed' : 'cancelled',
      startMs: plannedMs,
      endMs,
      cause,
    });
  }

  private unfinished(
    live: Live,
    path: string,
    { plannedMs, sentMs }: { plannedMs: number; sentMs: number },
  ): void {
    live.ended.add(path);
    const ended = {
      endMs: null,
      outcome: 'unfinished' as const,
      error: 'interrupted',
      attempts: 1,
      reply: null,
    };
    this.call(live, path, { plannedMs, sentMs, ...ended });
  }

  private call(
    { known, record: of }: Live,
    path: string,
    ended: Pick<CallRecord, 'plannedMs' | 'sentMs' | 'endMs' | 'outcome' | 'error' | 'attempts'> & {
      reply: Reply | null;
    },
  ): void {
    const row = known.row.calls.find(call => call.path === path);
    const call = known.calls.get(path);
    if (row === undefined || call === undefined) return;
    const { reply, ...rest } = ended;
    const { pool, replica } = this.targets[row.target] as TargetRow;
    const promptTokens = reply?.promptTokens ?? row.promptTokens;
    const cachedTokens = reply?.cachedTokens ?? null;
    const outputTokens = reply?.outputTokens ?? 0;
    const record: CallRecord = {
      session: known.planned.id,
      cohort: known.planned.cohort,
      workflow: known.planned.program.workflow,
      tenant: known.planned.tenant,
      call: path,
      step: row.step,
      role: row.role,
      model: row.model,
      pool,
      replica,
      iteration: call.iteration,
      loop: call.loop,
      promptTokens,
      cachedTokens,
      computedTokens:
        cachedTokens === null ? null : promptTokens - cachedTokens + Math.max(0, outputTokens - 1),
      outputTokens,
      reasoningTokens: reply?.reasoningTokens ?? 0,
      // k6 buffers answers.
      scheduledMs: null,
      firstTokenMs: null,
      itlMsMax: null,
      preemptions: null,
      ...rest,
      parts: [...call.parts],
    };
    of.promptTokens += promptTokens;
    of.cachedTokens += cachedTokens ?? 0;
    of.outputTokens += outputTokens;
    this.calls.push(record);
    this.listener.onCall?.(record);
  }
}

/** No gap between tokens was seen. */
export const NO_GAPS = new Histogram().toCounts();

/** How a line of k6's JSON output begins that holds a record. */
const RECORD = '{"metric":"windtunnel_records","type":"Point"';

/** What a line of k6's JSON output tells; null: nothing of ours. */
export function toldIn(line: string): Told | null {
  if (!line.startsWith(RECORD)) return null;
  const sample = JSON.parse(line) as { data: { metadata?: { record?: string } } };
  const record = sample.data.metadata?.record;
  return record === undefined ? null : (JSON.parse(record) as Told);
}
