// Long workflows save their state on the way, and start again from it when the process of their agent is lost. The
// topmost layer: it sees each leaf (call, tool, pause) of a session start and end.
//
//   a leaf ends ─▶ is a checkpoint due? ─▶ nothing of the session starts until it is written ─▶ saved
//   a crash ─▶ what ended since the last one is lost ─▶ restart
//
// Laws: a checkpoint that is not written saves nothing; what is held back starts or ends once.
import { IdTable } from '../../scenarios/base/id-table.ts';
import { extend, extendText, uniform } from '../../scenarios/base/key.ts';
import { drawAmount } from '../../scenarios/formats/amount.ts';
import type { PlannedFault, PlannedSession } from '../../scenarios/formats/plan.ts';
import type { GovernedRecords, Waste, WorkflowStatus } from '../../scenarios/formats/record.ts';
import type { CheckpointRule } from '../../scenarios/formats/rules.ts';
import { PassingLayer } from '../../scenarios/workflows/passing-layer.ts';
import {
  type CallResult,
  type DelayRequest,
  type LayerSetup,
  type SendRequest,
  type Sessions,
  unsent,
} from '../../scenarios/workflows/world.ts';
import { type FaultWindows, windowsOf } from '../fault-windows.ts';
import type { Journal } from '../journal.ts';
import { type Timer, Timers } from '../timers.ts';

export interface CheckpointOptions {
  readonly journal: Journal;
  /** Those of kind `agent_crash` are obeyed. */
  readonly faults: readonly PlannedFault[];
  readonly seedText: string;
  /** Told before a session that crashed starts again: what ended after `sinceMs` is lost (null: all of it). */
  readonly crashed?: (session: string, sinceMs: number | null, nowMs: number) => void;
}

/** A session that saves its state, or may crash. */
interface Saver {
  readonly planned: PlannedSession;
  readonly rule: CheckpointRule | null;
  /** Since the last checkpoint was begun. */
  leaves: number;
  lastMs: number;
  checkpoints: number;
  /** Leaves that have ended and count. */
  ended: number;
  /** The last checkpoint that was written; null: none was. */
  saved: Checkpoint | null;
  /** One that is being written. */
  saving: { readonly checkpoint: Checkpoint; readonly timer: Timer<Wake> } | null;
  /** Leaves that wait for it. */
  held: Held[];
  isCrashing: boolean;
  /** Times that it started again. */
  restarts: number;
}

/** What it holds: all that had ended by then. */
interface Checkpoint {
  readonly atMs: number;
  readonly leaves: number;
}

interface Held {
  readonly ticket: number;
  readonly saver: Saver;
  /** Null: a delay. */
  readonly request: SendRequest | null;
  readonly delayMs: number;
  readonly what: DelayRequest | undefined;
  isAborted: boolean;
}

type Wake =
  | { readonly kind: 'written'; readonly saver: Saver }
  | { readonly kind: 'withdrawn'; readonly held: Held }
  | { readonly kind: 'crash'; readonly window: FaultWindows };

/** A call that was held here: the gateway below made no attempt of it. */
const NEVER_SENT: CallResult = { ...unsent(), attempts: 0 };

/** Makes the layer of checkpoints and crashes. */
export const checkpointLayer =
  (options: CheckpointOptions) =>
  (setup: LayerSetup & { readonly sessions: Sessions }): Checkpoints =>
    new Checkpoints(options, setup);

export class Checkpoints extends PassingLayer {
  private readonly options: CheckpointOptions;
  private readonly sessions: Sessions;
  private readonly timers: Timers<Wake>;
  private readonly crashes: readonly FaultWindows[];
  private readonly savers = new Map<string, Saver>();
  /** Leaves that have gone down, by ticket. */
  private readonly leaves = new IdTable<Saver>();
  private readonly held = new IdTable<Held>();
  private isArmed = false;
  private isStopped = false;

  constructor(options: CheckpointOptions, setup: LayerSetup & { readonly sessions: Sessions }) {
    super(setup);
    this.options = options;
    this.sessions = setup.sessions;
    this.crashes = windowsOf(options.faults, 'agent_crash', options.seedText);
    this.timers = new Timers(delayMs => this.wait(delayMs));
  }

  // ---- sessions -----------------------------------------------------------------------------------------------

  override sessionStarted(planned: PlannedSession, nowMs: number): void {
    super.sessionStarted(planned, nowMs);
    if (!this.isArmed)
      for (const window of this.crashes) {
        window.missed(nowMs);
        this.arm(window, nowMs);
      }
    this.isArmed = true;
    const { checkpoint: rule = null, restarts = null } = planned.program.rules ?? {};
    if (rule === null && restarts === null && this.crashes.length === 0) return;
    this.savers.set(planned.id, {
      planned,
      rule,
      leaves: 0,
      lastMs: nowMs,
      checkpoints: 0,
      ended: 0,
      saved: null,
      saving: null,
      held: [],
      isCrashing: false,
      restarts: 0,
    });
  }

  override sessionEnded(session: string, workflow: string, status: WorkflowStatus): void {
    this.timers.cancel(this.savers.get(session)?.saving?.timer ?? null);
    this.savers.delete(session);
    super.sessionEnded(session, workflow, status);
  }

  /** By a crash, or after a failure by its own rule: what was being written is lost too. */
  override sessionRestarted(session: string, sinceMs: number | null, nowMs: number): void {
    super.sessionRestarted(session, sinceMs, nowMs);
    const saver = this.savers.get(session);
    if (saver === undefined) return;
    this.timers.cancel(saver.saving?.timer ?? null);
    saver.saving = null;
    // They belong to the life that is over, and are about to be aborted.
    saver.held = [];
    saver.leaves = 0;
    saver.lastMs = nowMs;
    saver.restarts += 1;
    if (!saver.isCrashing) this.lose(saver, sinceMs, 'retried');
  }

  // ---- leaves -------------------------------------------------------------------------------------------------

  override send(ticket: number, request: SendRequest): void {
    const saver = this.savers.get(request.session.id);
    if (saver?.saving != null) this.hold({ ticket, saver, request, delayMs: 0, what: undefined });
    else {
      if (saver !== undefined) this.leaves.set(ticket, saver);
      super.send(ticket, request);
    }
  }

  override delay(ticket: number, delayMs: number, what?: DelayRequest): void {
    const saver = what === undefined ? undefined : this.savers.get(what.session.id);
    if (saver?.saving != null) this.hold({ ticket, saver, request: null, delayMs, what });
    else {
      if (saver !== undefined) this.leaves.set(ticket, saver);
      super.delay(ticket, delayMs, what);
    }
  }

  override abort(ticket: number): void {
    const held = this.held.get(ticket);
    if (held === undefined) {
      this.leaves.delete(ticket);
      super.abort(ticket);
      return;
    }
    held.isAborted = true;
    if (held.request === null) {
      this.held.delete(ticket);
      return;
    }
    const nowMs = this.setup.nowMs();
    this.timers.set(nowMs, { kind: 'withdrawn', held }, nowMs);
  }

  override callEnded(ticket: number, result: CallResult, nowMs: number): void {
    this.leafEnded(ticket, nowMs);
    super.callEnded(ticket, result, nowMs);
  }

  override delayEnded(ticket: number, nowMs: number, failure?: string | null): void {
    if (this.timers.rings(ticket)) {
      for (let wake = this.timers.take(nowMs); wake !== undefined; wake = this.timers.take(nowMs))
        this.wake(wake, nowMs);
      return;
    }
    this.leafEnded(ticket, nowMs);
    super.delayEnded(ticket, nowMs, failure);
  }

  override isIdle(): boolean {
    return this.held.size === 0 && super.isIdle();
  }

  /** No time passes any more: calls that are held back are told as they stand. */
  override stop(nowMs: number): void {
    this.isStopped = true;
    super.stop(nowMs);
    for (const [ticket, { request }] of [...this.held.entries()].sort(([a], [b]) => a - b)) {
      this.held.delete(ticket);
      if (request !== null)
        super.callEnded(ticket, { ...NEVER_SENT, error: 'interrupted', endMs: nowMs }, nowMs);
    }
  }

  private wake(wake: Wake, nowMs: number): void {
    switch (wake.kind) {
      case 'written': {
        const { saver } = wake;
        const { saving } = saver;
        saver.saving = null;
        if (saving !== null) this.written(saver, saving.checkpoint, nowMs);
        this.release(saver);
        break;
      }
      case 'withdrawn': {
        const { ticket } = wake.held;
        this.held.delete(ticket);
        const result = { ...NEVER_SENT, outcome: 'cancelled', error: 'cancelled', endMs: nowMs } as const;
        super.callEnded(ticket, result, nowMs);
        break;
      }
      case 'crash':
        this.crash(wake.window, nowMs);
        break;
    }
  }

  // ---- saving -------------------------------------------------------------------------------------------------

  private leafEnded(ticket: number, nowMs: number): void {
    const saver = this.leaves.get(ticket);
    if (saver === undefined) return;
    this.leaves.delete(ticket);
    saver.leaves += 1;
    saver.ended += 1;
    const { rule } = saver;
    if (rule === null || saver.saving !== null || this.isStopped) return;
    const isDue =
      'steps' in rule.every ? saver.leaves >= rule.every.steps : nowMs - saver.lastMs >= rule.every.ms;
    if (isDue) this.begin(saver, rule, nowMs);
  }

  /** What has ended until now is written; what ends meanwhile is for the next one. */
  private begin(saver: Saver, { cost }: CheckpointRule, nowMs: number): void {
    const key = extend(extendText(saver.planned.key, 'checkpoint'), saver.checkpoints);
    const ms = cost === null ? 0 : drawAmount(cost, uniform(key), false);
    const checkpoint = { atMs: nowMs, leaves: saver.ended };
    saver.checkpoints += 1;
    saver.leaves = 0;
    saver.lastMs = nowMs;
    if (ms === 0) this.written(saver, checkpoint, nowMs);
    else saver.saving = { checkpoint, timer: this.timers.set(nowMs + ms, { kind: 'written', saver }, nowMs) };
  }

  private written(saver: Saver, checkpoint: Checkpoint, nowMs: number): void {
    const { id } = saver.planned;
    saver.saved = checkpoint;
    this.options.journal.decision(nowMs, id, null, 'checkpoint', 'saved', 'its interval is over');
    this.sessions.checkpointed(id, checkpoint.atMs);
  }

  private hold(held: Omit<Held, 'isAborted'>): void {
    const mine: Held = { ...held, isAborted: false };
    this.held.set(held.ticket, mine);
    held.saver.held.push(mine);
  }

  private release(saver: Saver): void {
    const { held } = saver;
    saver.held = [];
    for (const { isAborted, ticket, request, delayMs, what } of held) {
      if (isAborted) continue;
      this.held.delete(ticket);
      if (request !== null) this.send(ticket, request);
      else this.delay(ticket, delayMs, what);
    }
  }
  // ---- crashes ------------------------------------------------------------------------------------------------

  private arm(window: FaultWindows, nowMs: number): void {
    if (window.nextMs === Number.POSITIVE_INFINITY) return;
    this.timers.set(Math.max(nowMs, window.nextMs), { kind: 'crash', window }, nowMs);
  }

  private crash(window: FaultWindows, nowMs: number): void {
    const { target } = window.fault;
    if (window.advance(nowMs) > 0)
      for (const saver of [...this.savers.values()]) {
        const { key, program } = saver.planned;
        if (target !== null && target !== program.workflow) continue;
        if (window.hits(extend(key, window.begun))) this.restart(saver, nowMs);
      }
    this.arm(window, nowMs);
  }

  private restart(saver: Saver, nowMs: number): void {
    const { id, program } = saver.planned;
    const rule = program.rules?.restarts ?? null;
    if (rule !== null && saver.restarts >= rule.max) {
      this.options.journal.decision(nowMs, id, null, 'checkpoint', 'lost', 'it has no restarts left');
      this.sessions.cancel(id, 'agent_crash', nowMs);
      return;
    }
    const saved = rule?.from === 'start' ? null : saver.saved;
    const sinceMs = saved?.atMs ?? null;
    const lost = saver.ended - (saved?.leaves ?? 0);
    const why = `${lost} ended ${lost === 1 ? 'step' : 'steps'} lost`;
    this.options.journal.decision(nowMs, id, null, 'checkpoint', 'crashed', why);
    this.lose(saver, sinceMs, 'crash');
    this.options.crashed?.(id, sinceMs, nowMs);
    saver.isCrashing = true;
    this.sessions.restart(id, sinceMs, nowMs);
    saver.isCrashing = false;
  }

  /** What had ended since then was paid for in vain. */
  private lose(saver: Saver, sinceMs: number | null, waste: Waste): void {
    saver.ended = sinceMs === null ? 0 : (saver.saved?.leaves ?? 0);
    if (sinceMs === null) saver.saved = null;
    markLost(this.options.journal.records, saver.planned.id, sinceMs, waste);
  }
}

/** Of a session's attempts and tools that ended after `sinceMs`, those whose results were used until now. */
export function markLost(
  { attempts, tools }: Pick<GovernedRecords, 'attempts' | 'tools'>,
  session: string,
  sinceMs: number | null,
  waste: Waste,
): void {
  for (const records of [attempts, tools])
    for (let i = records.length - 1; i >= 0; i--) {
      const record = records[i]!;
      // They are in order of their ends.
      if (sinceMs !== null && record.endMs !== null && record.endMs <= sinceMs) break;
      if (record.session === session) record.waste ??= waste;
    }
}
