// All sessions of a run: starts them when the plan says, hands the interpreter's actions to a world, takes what the world
// reports, and writes the records. The simulator and the load generator differ only in the World they give.
import { invariant, UserError } from '../base/errors.ts';
import { Heap } from '../base/heap.ts';
import { IdTable } from '../base/id-table.ts';
import { extendText, type Key } from '../base/key.ts';
import type { ClosedCohort, Plan, PlannedSession } from '../formats/plan.ts';
import type { PromptPart } from '../formats/prompt.ts';
import {
  type CallRecord,
  type NodeRecord,
  startedSession,
  type WorkflowRecord,
  type WorkflowStatus,
} from '../formats/record.ts';
import { Deadlines } from './deadlines.ts';
import { type Action, type Call, type LiveNode, SessionProgress } from './progress.ts';
import type { CallFacts, CallResult, DelayRequest, Reports, Sessions, World } from './world.ts';

export interface FleetOptions {
  plan: Plan;
  world: World;
  /** The pool that serves a model alias. */
  poolOf: (model: string) => string;
  /** Told of each call as it ends, of each step, and of each session as it starts and as it ends. A call that was given
   * up may end after its session, whose record then grows by its tokens. */
  onCall?: (record: CallRecord) => void;
  onNode?: (record: NodeRecord) => void;
  onStart?: (record: WorkflowRecord) => void;
  onSession?: (record: WorkflowRecord) => void;
  /** False: records are told and not kept, so that memory stays flat. Default true. */
  keepRecords?: boolean;
}

interface ActiveSession {
  readonly planned: PlannedSession;
  readonly progress: SessionProgress;
  readonly record: WorkflowRecord;
  readonly restart: { cohort: ClosedCohort; agent: number; ordinal: number } | null;
  callsInFlight: number;
}

/** The facts of one call; its name becomes a key when somebody draws. */
class Facts implements CallFacts {
  private readonly active: ActiveSession;
  private readonly node: LiveNode;
  readonly step: string;
  readonly deadlineMs: number | null;
  private hashed: Key | null = null;

  constructor(active: ActiveSession, node: LiveNode, step: string, deadlineMs: number | null) {
    this.active = active;
    this.node = node;
    this.step = step;
    this.deadlineMs = deadlineMs;
  }
  get key(): Key {
    this.hashed ??= extendText(this.active.planned.key, this.node.path);
    return this.hashed;
  }
  get parents(): readonly number[] {
    const { after } = this.node;
    return after === null ? NO_PARENTS : [after];
  }
  get workflow(): string {
    return this.active.record.workflow;
  }
  get tenant(): string | null {
    return this.active.planned.tenant;
  }
  get sessionStartMs(): number {
    return this.active.record.startMs;
  }
}

const NO_PARENTS: readonly number[] = [];

interface Ticket {
  readonly active: ActiveSession;
  readonly node: LiveNode;
  readonly pool: string;
  /** When the workflow wanted it. */
  readonly plannedMs: number;
  aborted: boolean;
}

/** A session that will start. Ties: earlier cohort first, then the order in which they were queued. */
interface Start {
  readonly atMs: number;
  readonly cohort: number;
  readonly sequence: number;
  readonly planned: PlannedSession;
  readonly restart: ActiveSession['restart'];
  readonly more: Iterator<PlannedSession> | null;
}

/** So many agents starting anew at one instant are a loop that takes no time. */
const RESTARTS_AT_ONCE = 1_000_000;

/** A scenario whose work takes no time and never ends. */
export const endless = (what: string): UserError =>
  new UserError(`the scenario never ends: ${what}`, {
    hint: 'give closed agents some `think` time or a number of `sessions`, and loops something that takes time',
  });

export class Fleet implements Reports, Sessions {
  readonly calls: CallRecord[] = [];
  readonly nodes: NodeRecord[] = [];
  readonly workflows: WorkflowRecord[] = [];
  private readonly options: FleetOptions;
  private readonly keeps: boolean;
  private readonly deadlines: Deadlines;
  private readonly starts = new Heap<Start>(
    (a, b) =>
      a.atMs < b.atMs ||
      (a.atMs === b.atMs && (a.cohort < b.cohort || (a.cohort === b.cohort && a.sequence < b.sequence))),
  );
  private readonly tickets = new IdTable<Ticket>();
  private readonly active = new Map<string, ActiveSession>();
  private readonly lastStartMs = new Map<number, number>();
  private sequence = 0;
  private nextTicket = 0;
  private startedSessions = 0;
  private endedCalls = 0;
  private stopped = false;

  constructor(options: FleetOptions) {
    this.options = options;
    this.keeps = options.keepRecords ?? true;
    this.deadlines = new Deadlines(options.plan.assertions);
    for (const cohort of options.plan.cohorts) {
      if (cohort.kind === 'open') this.queueNext(cohort.index, cohort.sessions()[Symbol.iterator]());
      else for (let agent = 0; agent < cohort.agents; agent++) this.queueAgent(cohort, agent, 0, 0);
    }
  }

  /** When the next session starts; Infinity when none is left. */
  nextStartMs(): number {
    return this.starts.peek()?.atMs ?? Number.POSITIVE_INFINITY;
  }

  get activeSessions(): number {
    return this.active.size;
  }

  /** Of all sessions under way. */
  get callsInFlight(): number {
    let calls = 0;
    for (const { callsInFlight } of this.active.values()) calls += callsInFlight;
    return calls;
  }

  get sessionsStarted(): number {
    return this.startedSessions;
  }

  get callsEnded(): number {
    return this.endedCalls;
  }

  get isDone(): boolean {
    return this.active.size === 0 && this.starts.size === 0 && this.tickets.size === 0;
  }

  /** Starts every session that is due. */
  startDue(nowMs: number): void {
    let started = 0;
    for (
      let start = this.starts.peek();
      start !== undefined && start.atMs <= nowMs;
      start = this.starts.peek()
    ) {
      this.starts.pop();
      if (start.more !== null) this.queueNext(start.cohort, start.more);
      if (start.restart !== null && ++started > RESTARTS_AT_ONCE)
        throw endless(`sessions of one cohort start anew at ${nowMs} ms`);
      this.startSession(start, nowMs);
    }
  }

  /** A ticket for a layer between: no call or delay of ours has it. */
  newTicket(): number {
    return this.nextTicket++;
  }

  delayEnded(ticket: number, nowMs: number, failure?: string | null): void {
    const entry = this.tickets.get(ticket);
    if (entry === undefined || entry.aborted) return;
    this.tickets.delete(ticket);
    const actions = entry.active.progress.delayEnded(entry.node.row, nowMs, failure);
    this.act(entry.active, actions, nowMs);
  }

  /** Nobody here waits for it. */
  firstToken(): void {}

  callEnded(ticket: number, result: CallResult, nowMs: number): void {
    const entry = this.tickets.get(ticket);
    invariant(entry !== undefined, () => `call ${ticket} ended, but is not in flight`);
    this.tickets.delete(ticket);
    this.record(entry, result);
    entry.active.callsInFlight--;
    if (entry.aborted || this.stopped) return;
    const error = result.outcome === 'ok' ? null : (result.error ?? result.outcome);
    this.act(entry.active, entry.active.progress.finish(entry.node.row, error, nowMs, result), nowMs);
  }

  cancel(session: string, reason: string, nowMs: number): void {
    const active = this.active.get(session);
    if (active !== undefined) this.act(active, active.progress.cancel(reason, nowMs), nowMs);
  }

  finalize(session: string): void {
    const active = this.active.get(session);
    if (active === undefined) return;
    active.record.isFinalized = true;
    active.progress.finalize();
  }

  checkpointed(session: string, nowMs: number): void {
    this.active.get(session)?.progress.checkpointed(nowMs);
  }

  restart(session: string, sinceMs: number | null, nowMs: number): void {
    const active = this.active.get(session);
    if (active !== undefined) this.act(active, active.progress.restart(sinceMs, nowMs), nowMs);
  }

  /** Ctrl-C: no new session; what runs is given up and recorded as unfinished. */
  stop(nowMs: number): void {
    this.stopped = true;
    while (this.starts.size > 0) this.starts.pop();
    for (const active of [...this.active.values()]) {
      // What this asks for is done below, for all sessions at once.
      active.progress.cancel('interrupted', nowMs);
      this.end(active, 'unfinished', 'interrupted', nowMs);
    }
    for (const [ticket, entry] of [...this.tickets.entries()].sort(([a], [b]) => a - b)) {
      entry.aborted = true;
      this.options.world.abort(ticket);
      if (entry.node.call === null) this.tickets.delete(ticket);
    }
  }

  private queueNext(cohort: number, more: Iterator<PlannedSession>): void {
    const next = more.next();
    if (next.done === true) return;
    const planned = next.value;
    const lastMs = this.lastStartMs.get(cohort) ?? 0;
    invariant(
      planned.plannedMs >= lastMs,
      () => `session ${planned.id} of an open cohort starts before the one ahead of it`,
    );
    this.lastStartMs.set(cohort, planned.plannedMs);
    this.starts.push({
      atMs: planned.plannedMs,
      cohort,
      sequence: this.sequence++,
      planned,
      restart: null,
      more,
    });
  }

  private queueAgent(cohort: ClosedCohort, agent: number, ordinal: number, readyMs: number): void {
    const planned = cohort.session(agent, ordinal, readyMs);
    if (planned === null) return;
    const restart = { cohort, agent, ordinal };
    this.starts.push({
      atMs: planned.plannedMs,
      cohort: cohort.index,
      sequence: this.sequence++,
      planned,
      restart,
      more: null,
    });
  }

  private startSession(start: Start, nowMs: number): void {
    const { planned } = start;
    const { id, cohort, tenant, user, plannedMs, program } = planned;
    const record = startedSession({
      session: id,
      cohort,
      workflow: program.workflow,
      tenant,
      user,
      plannedMs,
      startMs: nowMs,
      injected: program.injected ?? null,
    });
    const { world } = this.options;
    const progress = new SessionProgress(id, planned.key, program, {
      onNode: node => {
        if (this.keeps) this.nodes.push(node);
        if (node.kind === 'tool' && node.status !== 'skipped') record.toolCalls++;
        this.options.onNode?.(node);
      },
      onRestart: (sinceMs, atMs) => {
        record.restarts++;
        world.sessionRestarted?.(id, sinceMs, atMs);
      },
      refusesAgent: (path, depth) => world.refusesAgent?.(id, path, depth) ?? null,
    });
    const active: ActiveSession = { planned, progress, record, restart: start.restart, callsInFlight: 0 };
    this.startedSessions++;
    this.active.set(id, active);
    this.options.onStart?.(record);
    world.sessionStarted?.(planned, nowMs);
    this.act(active, progress.start(nowMs), nowMs, plannedMs);
  }

  /** `plannedMs`: when these actions were wanted; the instant itself, or a session's planned start. */
  private act(active: ActiveSession, actions: readonly Action[], nowMs: number, plannedMs = nowMs): void {
    for (const action of actions) {
      switch (action.kind) {
        case 'call': {
          const pool = this.options.poolOf(action.call.model);
          const ticket = this.issue(active, action.node, pool, plannedMs);
          active.record.calls++;
          active.callsInFlight++;
          active.record.widthMax = Math.max(active.record.widthMax, active.callsInFlight);
          const { planned } = active;
          const { call, node } = action;
          this.options.world.send(ticket, {
            call,
            path: node.path,
            session: planned,
            pool,
            plannedMs,
            facts: this.factsOf(active, node, call.step, nowMs),
            isFirst: active.record.calls === 1,
          });
          break;
        }
        case 'delay':
          this.options.world.delay(
            this.issue(active, action.node, '', plannedMs),
            action.delayMs,
            whatOf(action.node, active.planned),
          );
          break;
        case 'abort': {
          const { ticket } = action.node;
          const entry = ticket === null ? undefined : this.tickets.get(ticket);
          if (ticket === null || entry === undefined) break;
          entry.aborted = true;
          action.node.ticket = null;
          if (action.node.call === null) this.tickets.delete(ticket);
          this.options.world.abort(ticket);
          break;
        }
        case 'done':
          this.end(active, action.status, action.error, nowMs);
          break;
      }
    }
  }

  private factsOf(active: ActiveSession, node: LiveNode, step: string, nowMs: number): CallFacts {
    const { workflow, startMs } = active.record;
    return new Facts(active, node, step, this.deadlines.of(workflow, step, startMs, nowMs));
  }

  private issue(active: ActiveSession, node: LiveNode, pool: string, plannedMs: number): number {
    const ticket = this.nextTicket++;
    this.tickets.set(ticket, { active, node, pool, plannedMs, aborted: false });
    node.ticket = ticket;
    return ticket;
  }

  private end(active: ActiveSession, status: WorkflowStatus, error: string | null, nowMs: number): void {
    const { record, restart } = active;
    record.status = status;
    record.error = error;
    record.endMs = status === 'unfinished' ? null : nowMs;
    if (this.keeps) this.workflows.push(record);
    this.active.delete(record.session);
    this.options.onSession?.(record);
    this.options.world.sessionEnded?.(record.session, record.workflow, status);
    if (restart === null || this.stopped) return;
    const { cohort, agent, ordinal } = restart;
    this.queueAgent(cohort, agent, ordinal + 1, nowMs + cohort.thinkMs(agent, ordinal));
  }

  private record(entry: Ticket, result: CallResult): void {
    const { active, node, pool, plannedMs } = entry;
    const call = node.call as Call;
    const record: CallRecord = {
      session: active.planned.id,
      cohort: active.planned.cohort,
      workflow: active.record.workflow,
      tenant: active.planned.tenant,
      call: node.path,
      step: call.step,
      role: call.role,
      model: call.model,
      pool: result.pool ?? pool,
      replica: result.replica,
      iteration: call.iteration,
      loop: call.loop,
      promptTokens: result.promptTokens ?? call.promptTokens,
      cachedTokens: result.cachedTokens,
      computedTokens: result.computedTokens,
      outputTokens: result.outputTokens,
      reasoningTokens: result.reasoningTokens,
      plannedMs,
      sentMs: result.sentMs,
      scheduledMs: result.scheduledMs,
      firstTokenMs: result.firstTokenMs,
      endMs: result.endMs,
      itlMsMax: result.itlMsMax,
      preemptions: result.preemptions,
      outcome: result.outcome,
      error: result.error,
      attempts: result.attempts,
      parts: this.keeps ? [...call.parts] : (call.parts as PromptPart[]),
    };
    if (result.transfers !== undefined) record.transfers = result.transfers;
    if (result.misses !== undefined) record.misses = result.misses;
    active.record.promptTokens += record.promptTokens;
    active.record.cachedTokens += record.cachedTokens ?? 0;
    active.record.outputTokens += record.outputTokens;
    this.endedCalls++;
    if (this.keeps) this.calls.push(record);
    this.options.onCall?.(record);
  }
}

/** What a node waits for. */
function whatOf(node: LiveNode, session: PlannedSession): DelayRequest | undefined {
  const { path, step, kind, tool } = node;
  if (tool !== null) {
    const { rules, key, argsKey, resultTokens } = tool;
    // A plain value: a layer may hand it on with another key.
    return {
      kind: 'tool',
      path,
      step,
      session,
      rules,
      key,
      argsKey,
      resultTokens,
      attempt: n => tool.attempt(n),
    };
  }
  return kind === 'human' || kind === 'wait' ? { kind, path, step, session } : undefined;
}
