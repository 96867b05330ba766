// Tools, from the wish for one to its end: may it run, does a human agree, is there room, a sandbox, the run itself, its
// limits, its retries. Everything that is not a tool passes.
//
//   delay(tool) ─▶ allow ─▶ consent ─▶ line ─▶ sandbox ─▶ run below ─▶ once more, or delayEnded
//
// Laws: a tool that is asked for ends once; what it held is free again; what may have done something is not done again
// unless that does no harm, or its rule is blind.

import { IdTable } from '../../scenarios/base/id-table.ts';
import { extendText, uniform } from '../../scenarios/base/key.ts';
import { drawAmount } from '../../scenarios/formats/amount.ts';
import type { PlannedFault } from '../../scenarios/formats/plan.ts';
import type { ToolRecord, Waste, WorkflowStatus } from '../../scenarios/formats/record.ts';
import { reasonOf, type ToolRuntimeSpec } from '../../scenarios/formats/rules.ts';
import { PassingLayer } from '../../scenarios/workflows/passing-layer.ts';
import type { DelayRequest, LayerSetup } from '../../scenarios/workflows/world.ts';
import { type FaultWindows, windowsOf } from '../fault-windows.ts';
import type { Journal } from '../journal.ts';
import { Retries } from '../retries/retries.ts';
import { type Timer, Timers } from '../timers.ts';
import { RuntimeTable } from './runtime-table.ts';
import {
  type Ask,
  fate,
  newRun,
  recordOf,
  type ToolRequest,
  type ToolRun,
  type ToolRuntime,
  type ToolSession,
  type Wake,
} from './tool-run.ts';

export interface ToolOptions {
  readonly runtimes: readonly ToolRuntimeSpec[];
  /** Those of kind `tool_failure` are obeyed. */
  readonly faults: readonly PlannedFault[];
  readonly journal: Journal;
  readonly seedText: string;
  /** The reason code why a tool may not run; null: it may. */
  readonly allow?: (what: DelayRequest) => string | null;
  /** USD of one operation on a store, by its name. */
  readonly storeUsd?: ReadonlyMap<string, number>;
  /** False: a runtime does not hear that its answer is no longer wanted, and goes on. Default true. */
  readonly propagates?: boolean;
}

/** Makes the layer of tools. */
export const toolLayer =
  (options: ToolOptions) =>
  (setup: LayerSetup): ToolRuntimes =>
    new ToolRuntimes(options, setup);

export class ToolRuntimes extends PassingLayer {
  private readonly options: ToolOptions;
  /** Where tools run; its `idleUsd` is what no run pays. */
  readonly runtimes: RuntimeTable<ToolRun>;
  private readonly propagates: boolean;
  private readonly agentsCrash: boolean;
  private readonly timers: Timers<Wake>;
  private readonly faults: readonly FaultWindows[];
  private readonly retries = new Retries();
  private readonly asks = new IdTable<Ask>();
  /** By ticket of the run below. */
  private readonly running = new IdTable<ToolRun>();
  /** They go on, though nobody waits for them. */
  private readonly left = new Set<ToolRun>();
  /** Of each runtime with a line: when it next gets room by time alone. */
  private readonly room = new Map<ToolRuntime, Timer<Wake>>();
  /** Those with tools under way, or of which some may have changed something. */
  private readonly sessions = new Map<string, ToolSession>();
  private isStopped = false;

  constructor(options: ToolOptions, setup: LayerSetup) {
    super(setup);
    this.options = options;
    this.propagates = options.propagates ?? true;
    this.agentsCrash = options.faults.some(({ kind }) => kind === 'agent_crash');
    this.faults = windowsOf(options.faults, 'tool_failure', options.seedText);
    this.runtimes = new RuntimeTable(options.runtimes);
    this.timers = new Timers(delayMs => this.wait(delayMs));
  }

  // ---- as a world ---------------------------------------------------------------------------------------------

  override delay(ticket: number, delayMs: number, what?: DelayRequest): void {
    if (what?.kind !== 'tool' || this.isPlain(what)) {
      super.delay(ticket, delayMs, what);
      return;
    }
    const nowMs = this.setup.nowMs();
    const session = this.sessionOf(what.session.id);
    const ask: Ask = {
      ticket,
      what,
      session,
      sinceMs: nowMs,
      consentMs: 0,
      attempt: 0,
      lastPauseMs: 0,
      mayHaveRun: session.mayHaveRun?.has(nameOf(what)) ?? false,
      isRetry: false,
      run: null,
      timer: null,
      attemptTimer: null,
      totalTimer: null,
    };
    this.asks.set(ticket, ask);
    ask.session.tools += 1;
    this.retries.callStarted();
    const denied = this.options.allow?.(what) ?? null;
    if (denied !== null) {
      this.decide(ask, 'allow', 'denied', denied, nowMs);
      this.refuse(ask, denied, nowMs);
      return;
    }
    const { consentMs, refusesRatio } = what.rules;
    if (consentMs === null) {
      this.begin(ask, nowMs);
      return;
    }
    ask.consentMs = drawAmount(consentMs, uniform(extendText(what.key, 'consent')), false);
    const refuses = refusesRatio > 0 && uniform(extendText(what.key, 'refuses')) < refusesRatio;
    const wake: Wake = refuses ? { kind: 'refused', ask, error: 'denied_consent' } : { kind: 'agreed', ask };
    ask.timer = this.timers.set(nowMs + ask.consentMs, wake, nowMs);
  }

  /** Nothing is to be decided of it, and nobody wants its record: it takes the time it takes. */
  private isPlain(what: ToolRequest): boolean {
    const { journal, allow } = this.options;
    if (journal.wantsTools || this.faults.length > 0) return false;
    const { retry, timeout, consentMs } = what.rules;
    return (
      retry === null &&
      timeout === null &&
      consentMs === null &&
      this.runtimes.of(what.rules) === null &&
      (allow?.(what) ?? null) === null
    );
  }

  override abort(ticket: number): void {
    const ask = this.asks.get(ticket);
    if (ask === undefined) {
      super.abort(ticket);
      return;
    }
    const { run } = ask;
    this.close(ask);
    if (run === null) return;
    const nowMs = this.setup.nowMs();
    if (this.leaves(run, 'cancelled', 'after_cancel')) return;
    this.note(run, { outcome: 'cancelled', error: 'cancelled', waste: 'cancelled' }, nowMs);
    this.free(run, false, nowMs);
  }

  override sessionEnded(session: string, workflow: string, status: WorkflowStatus): void {
    const nowMs = this.setup.nowMs();
    const row = this.sessions.get(session);
    if (row !== undefined) row.isOver = true;
    this.sessions.delete(session);
    for (const runtime of this.runtimes.all) {
      if (runtime.spec.keep !== 'session') continue;
      runtime.sandboxes.sessionEnded(session, nowMs);
      this.admit(runtime, nowMs);
    }
    super.sessionEnded(session, workflow, status);
  }

  /** What goes on without anyone is recorded as it stands. */
  override stop(nowMs: number): void {
    this.isStopped = true;
    for (const run of this.left) {
      const { error, waste } = run.leftAs!;
      this.note(run, { outcome: 'cancelled', error, waste }, nowMs);
    }
    this.left.clear();
    super.stop(nowMs);
  }

  override isIdle(): boolean {
    return this.asks.size === 0 && this.left.size === 0 && super.isIdle();
  }

  // ---- as told from below -------------------------------------------------------------------------------------

  override delayEnded(ticket: number, nowMs: number, failure?: string | null): void {
    const run = this.running.get(ticket);
    if (run !== undefined) {
      this.running.delete(ticket);
      run.ticket = null;
      this.ended(run, failure ?? run.error, nowMs);
      return;
    }
    if (!this.timers.rings(ticket)) {
      super.delayEnded(ticket, nowMs, failure);
      return;
    }
    for (let wake = this.timers.take(nowMs); wake !== undefined; wake = this.timers.take(nowMs))
      this.wake(wake, nowMs);
  }

  private wake(wake: Wake, nowMs: number): void {
    switch (wake.kind) {
      case 'refused': {
        const { ask, error } = wake;
        if (error === 'denied_consent') this.decide(ask, 'consent', 'refused', 'a human refused', nowMs);
        this.fail(ask.run ?? newRun(ask, null, nowMs), error, nowMs);
        break;
      }
      case 'agreed':
        this.decide(wake.ask, 'consent', 'granted', 'a human agreed', nowMs);
        this.begin(wake.ask, nowMs);
        break;
      case 'again':
        this.begin(wake.ask, nowMs);
        break;
      case 'too_late':
        this.giveUp(wake.ask, true, nowMs);
        break;
      case 'all_too_late':
        this.giveUp(wake.ask, false, nowMs);
        break;
      case 'ready':
        this.run(wake.run, nowMs);
        break;
      case 'killed':
        this.ended(wake.run, 'timeout', nowMs);
        break;
      case 'room':
        this.admit(wake.runtime, nowMs);
        break;
    }
  }

  // ---- an attempt ---------------------------------------------------------------------------------------------

  /** The first attempt, or another after its pause. */
  private begin(ask: Ask, nowMs: number): void {
    const { rules } = ask.what;
    const { attemptMs = null, totalMs = null } = rules.timeout ?? {};
    ask.timer = null;
    if (ask.attempt === 0) {
      ask.sinceMs = nowMs;
      if (totalMs !== null)
        ask.totalTimer = this.timers.set(nowMs + totalMs, { kind: 'all_too_late', ask }, nowMs);
    }
    if (attemptMs !== null)
      ask.attemptTimer = this.timers.set(nowMs + attemptMs, { kind: 'too_late', ask }, nowMs);
    const runtime = this.runtimes.of(rules);
    const run = newRun(ask, runtime, nowMs);
    ask.run = run;
    if (runtime === null) {
      run.placedMs = nowMs;
      this.run(run, nowMs);
      return;
    }
    const refusal = runtime.refuses(run, nowMs);
    if (refusal === null) {
      runtime.join(run);
      this.admit(runtime, nowMs);
    } else this.refuse(ask, refusal, nowMs);
  }

  /** Whoever fits now gets a place and a sandbox. */
  private admit(runtime: ToolRuntime, nowMs: number): void {
    for (let run = runtime.next(nowMs); run !== undefined; run = runtime.next(nowMs)) {
      const { startMs, isCold } = runtime.sandboxes.take(run.sessionId, run.what.key, nowMs);
      run.placedMs = nowMs;
      run.isCold = isCold;
      if (startMs > 0) run.timer = this.timers.set(nowMs + startMs, { kind: 'ready', run }, nowMs);
      else this.run(run, nowMs);
    }
    if (runtime.spec.keep === 'call') return;
    this.timers.cancel(this.room.get(runtime) ?? null);
    const { nextExpiryMs } = runtime.sandboxes;
    if (runtime.waiting > 0 && nextExpiryMs < Number.POSITIVE_INFINITY)
      this.room.set(runtime, this.timers.set(nextExpiryMs, { kind: 'room', runtime }, nowMs));
  }

  /** Its sandbox is ready. */
  private run(run: ToolRun, nowMs: number): void {
    const { runMs, error } = fate(run, this.faults, nowMs);
    const ticket = this.setup.newTicket();
    run.startMs = nowMs;
    run.error = error;
    run.ticket = ticket;
    run.timer = null;
    this.running.set(ticket, run);
    if (!run.what.rules.idempotent && this.mayStartAgain(run.what)) this.remember(run.ask);
    this.setup.below.delay(ticket, runMs, run.what);
    const most = run.runtime?.spec.limits.timeMs ?? null;
    if (most !== null) run.timer = this.timers.set(nowMs + most, { kind: 'killed', run }, nowMs);
  }

  /** It is over by itself, or its runtime killed it. */
  private ended(run: ToolRun, error: string | null, nowMs: number): void {
    const { ask, leftAs } = run;
    if (leftAs !== null) {
      this.left.delete(run);
      this.note(run, { outcome: error === null ? 'ok' : 'error', error, waste: leftAs.waste }, nowMs);
      this.free(run, false, nowMs);
    } else if (error === null) {
      const { isOver } = ask.session;
      this.note(run, { outcome: 'ok', error: null, waste: isOver ? 'after_cancel' : null }, nowMs);
      this.close(ask);
      this.free(run, !isOver, nowMs);
      this.tell(ask, null, nowMs);
    } else this.fail(run, error, nowMs);
  }

  /** An attempt that somebody waits for came to nothing. */
  private fail(run: ToolRun, error: string, nowMs: number): void {
    const pauseMs = this.pauseAfter(run, error, nowMs);
    const waste = error === 'timeout' ? 'timed_out' : pauseMs === null ? 'failed' : 'retried';
    this.note(run, { outcome: 'error', error, waste }, nowMs);
    this.free(run, error !== 'timeout' && error !== 'oom', nowMs);
    this.goOn(run.ask, error, pauseMs, nowMs);
  }

  /** The caller's own timeout, of an attempt or of all of them. */
  private giveUp(ask: Ask, mayRetry: boolean, nowMs: number): void {
    const { run } = ask;
    if (run === null) {
      this.goOn(ask, 'timeout', null, nowMs);
      return;
    }
    const goesOn = this.leaves(run, 'timeout', 'timed_out');
    const pauseMs = mayRetry ? this.pauseAfter(run, 'timeout', nowMs) : null;
    if (!goesOn) {
      this.note(run, { outcome: 'error', error: 'timeout', waste: 'timed_out' }, nowMs);
      this.free(run, false, nowMs);
    }
    this.goOn(ask, 'timeout', pauseMs, nowMs);
  }

  /** After an attempt that failed: its pause, or the end. */
  private goOn(ask: Ask, error: string, pauseMs: number | null, nowMs: number): void {
    this.timers.cancel(ask.timer);
    this.timers.cancel(ask.attemptTimer);
    ask.run = null;
    if (pauseMs === null) {
      this.close(ask);
      this.tell(ask, error, nowMs);
      return;
    }
    ask.attempt += 1;
    ask.lastPauseMs = pauseMs;
    ask.timer = this.timers.set(nowMs + pauseMs, { kind: 'again', ask }, nowMs);
  }

  /** The pause before another attempt; null: there is none. */
  private pauseAfter(run: ToolRun, error: string, nowMs: number): number | null {
    const { ask } = run;
    const { retry, idempotent, timeout } = ask.what.rules;
    // One that nobody stops may yet run.
    ask.mayHaveRun ||= run.startMs !== null || run.leftAs !== null;
    if (retry === null) return null;
    if (ask.isRetry) this.retries.retryEnded();
    ask.isRetry = false;
    const reason = reasonOf(error);
    const next = this.retries.next(retry, {
      made: ask.attempt,
      lastPauseMs: ask.lastPauseMs,
      retryAfterMs: null,
      draw: uniform(extendText(run.what.key, 'pause')),
      reason,
      told: null,
      began: false,
      idempotent: idempotent || !ask.mayHaveRun,
      elapsedMs: nowMs - ask.sinceMs,
      totalMs: timeout?.totalMs ?? null,
    });
    if ('stops' in next) {
      this.decide(ask, 'retry', 'stopped', next.stops, nowMs);
      return null;
    }
    this.retries.retryStarted();
    ask.isRetry = true;
    this.decide(ask, 'retry', 'retry', reason, nowMs);
    return next.pauseMs;
  }

  // ---- what they share ----------------------------------------------------------------------------------------

  /** Without propagation a runtime goes on with what nobody wants: true where it does. */
  private leaves(run: ToolRun, error: string, waste: Waste): boolean {
    if (this.propagates || this.isStopped || (run.placedMs === null && !run.waits)) return false;
    run.leftAs = { error, waste };
    this.left.add(run);
    return true;
  }

  /** Told after 0 ms: nothing is told from inside of a wish. */
  private refuse(ask: Ask, error: string, nowMs: number): void {
    ask.timer = this.timers.set(nowMs, { kind: 'refused', ask, error }, nowMs);
  }

  /** Whatever it held or waited for. `keeps`: its sandbox is as good as before. */
  private free(run: ToolRun, keeps: boolean, nowMs: number): void {
    const { runtime, ticket } = run;
    this.timers.cancel(run.timer);
    if (ticket !== null) {
      this.running.delete(ticket);
      this.setup.below.abort(ticket);
    }
    if (runtime === null) return;
    if (run.placedMs !== null) {
      runtime.release(run);
      runtime.sandboxes.release(run.sessionId, keeps, nowMs);
    } else runtime.leave(run);
    this.admit(runtime, nowMs);
  }

  /** Nobody waits for it any more. */
  private close(ask: Ask): void {
    this.asks.delete(ask.ticket);
    this.timers.cancel(ask.timer);
    this.timers.cancel(ask.attemptTimer);
    this.timers.cancel(ask.totalTimer);
    if (ask.isRetry) this.retries.retryEnded();
    this.retries.callEnded();
    ask.session.tools -= 1;
    if (ask.session.tools > 0 || ask.session.isOver || ask.session.mayHaveRun !== null) return;
    this.sessions.delete(ask.what.session.id);
  }

  private mayStartAgain({ session }: ToolRequest): boolean {
    return this.agentsCrash || (session.program.rules?.restarts ?? null) !== null;
  }

  /** From now on it may have changed something. */
  private remember({ session, what }: Ask): void {
    session.mayHaveRun ??= new Set();
    session.mayHaveRun.add(nameOf(what));
  }

  private sessionOf(id: string): ToolSession {
    let session = this.sessions.get(id);
    if (session === undefined) {
      session = { tools: 0, isOver: false, mayHaveRun: null };
      this.sessions.set(id, session);
    }
    return session;
  }

  private tell(ask: Ask, error: string | null, nowMs: number): void {
    const isAsPlanned = ask.attempt === 0 && error === ask.what.attempt(0).fails;
    this.setup.above.delayEnded(ask.ticket, nowMs, isAsPlanned ? undefined : error);
  }

  private note(
    run: ToolRun,
    end: {
      readonly outcome: ToolRecord['outcome'];
      readonly error: string | null;
      readonly waste: Waste | null;
    },
    nowMs: number,
  ): void {
    const { store } = run.what.rules;
    const storeUsd = store === null ? 0 : (this.options.storeUsd?.get(store.name) ?? 0);
    this.options.journal.tool(recordOf(run, { ...end, nowMs, storeUsd }));
  }

  private decide(
    { what }: Ask,
    policy: 'allow' | 'consent' | 'retry',
    decision: string,
    why: string,
    nowMs: number,
  ): void {
    this.options.journal.decision(nowMs, what.session.id, what.path, policy, decision, why);
  }
}

/** The same in every life of its session. */
const nameOf = ({ key }: ToolRequest): string => `${key.hi}:${key.lo}`;
