// The gateway: what lies between agents and servers. A call becomes attempts (retries, hedges, fallbacks), each of which
// passes the same rules in the same order; a session that ends takes along what runs of it.
//
//   call ─▶ Entrance: anomalies, allowed?, which model, budget ─▶ Attempts: limits, breaker, send ─▶ answer
//                                                                    ▲                      │ timeout, 429, 5xx…
//                                                                    └─ retry, fallback, wait ◀┘
//
// Laws: a call ends once; nothing is sent of a session that is over; what an attempt reserved is settled when it ends.
import { IdTable } from '../scenarios/base/id-table.ts';
import type { PlannedSession } from '../scenarios/formats/plan.ts';
import type { WorkflowStatus } from '../scenarios/formats/record.ts';
import type { MakeLayer } from '../scenarios/workflows/stack.ts';
import { walk } from '../scenarios/workflows/walk.ts';
import {
  type CallResult,
  type DelayRequest,
  type Layer,
  type SendRequest,
  unsent,
} from '../scenarios/workflows/world.ts';
import { Attempts } from './attempts.ts';
import type { Attempt, Due, GovernedCall, GovernedSession } from './calls.ts';
import { leavesAfterMs } from './cancel/leaving.ts';
import { Desk, type GatewayParts, type GatewaySetup } from './desk.ts';
import { EffectiveRules } from './effective.ts';
import { Entrance } from './entrance.ts';

/** A run of a tool that is under way below. */
interface GovernedTool {
  readonly session: GovernedSession;
  readonly isReserved: boolean;
  /** Somebody waits for it. */
  isWanted: boolean;
}

/** Replaced with the first attempt, never written. */
const NONE_LIVE: Attempt[] = [];

const TOOL_CLAIM = { inputTokens: 0, outputTokens: 0, usd: 0, kind: 'tool' } as const;

export const gatewayLayer =
  (parts: GatewayParts): MakeLayer =>
  setup =>
    new Gateway(parts, setup);

export class Gateway implements Layer {
  private readonly desk: Desk;
  private readonly attempts: Attempts;
  private readonly entrance: Entrance;
  private readonly effective: EffectiveRules;
  private readonly tools = new IdTable<GovernedTool>();

  constructor(parts: GatewayParts, setup: GatewaySetup) {
    this.desk = new Desk(parts, setup);
    this.attempts = new Attempts(this.desk);
    this.entrance = new Entrance(this.desk, this.attempts, this);
    this.effective = new EffectiveRules(parts.spec);
  }

  // ---- sessions -----------------------------------------------------------------------------------------------

  sessionStarted(planned: PlannedSession, nowMs: number): void {
    const { parts, setup, sessions } = this.desk;
    setup.below.sessionStarted?.(planned, nowMs);
    if (sessions.size === 0) {
      parts.operator.missed(nowMs);
      this.armOperator(nowMs);
    }
    const rules = planned.program.rules ?? null;
    const cancel = rules?.cancel ?? parts.cohortCancel(planned.cohort);
    const session: GovernedSession = {
      id: planned.id,
      planned,
      workflow: planned.program.workflow,
      startMs: nowMs,
      rules,
      propagates: parts.spec.propagatesCancel && (cancel?.cascade ?? true),
      timers: [],
      throttleMs: 0,
      saves: null,
      isFinalized: false,
      lastReplica: null,
      reason: null,
      teardown: null,
    };
    sessions.set(session.id, session);
    parts.anomalies?.sessionStarted(session.id, session.workflow);
    const leavesMs = cancel === null ? Number.POSITIVE_INFINITY : leavesAfterMs(cancel, planned.key);
    this.at(session, nowMs + leavesMs, now => this.cancelSession(session, 'user_left', now));
    const timeoutMs = rules?.timeoutMs ?? Number.POSITIVE_INFINITY;
    this.at(session, nowMs + timeoutMs, now => this.cancelSession(session, 'deadline', now));
    this.openBudget(session, nowMs);
  }

  private openBudget(session: GovernedSession, nowMs: number): void {
    const { budgets, spec } = this.desk.parts;
    if (budgets === null) return;
    const { id, workflow, planned, rules } = session;
    const { tenant, user } = planned;
    const rule = rules?.budget ?? null;
    budgets.open({ session: id, workflow, tenant, user, startMs: nowMs, rule });
    const wallMs = budgets.wallEndMs(id);
    const of = rule ?? spec.budgets.find(each => each.each === 'session' && each.limits.wallMs !== undefined);
    if (of == null) return;
    this.at(session, wallMs, now => this.entrance.exceed(session, of.onExceed, 'wallMs', of.save, now));
  }

  private at(session: GovernedSession, atMs: number, due: Due): void {
    if (atMs < Number.POSITIVE_INFINITY)
      session.timers.push(this.desk.timers.set(atMs, due, this.desk.setup.nowMs()));
  }

  sessionRestarted(session: string, sinceMs: number | null, nowMs: number): void {
    this.desk.setup.below.sessionRestarted?.(session, sinceMs, nowMs);
  }

  sessionEnded(id: string, workflow: string, status: WorkflowStatus): void {
    const { parts, setup, sessions, timers, teardowns } = this.desk;
    setup.below.sessionEnded?.(id, workflow, status);
    const session = sessions.get(id);
    if (session === undefined) return;
    sessions.delete(id);
    for (const timer of session.timers) timers.cancel(timer);
    if (status === 'failed') session.reason ??= 'failure';
    teardowns.sessionOver(session, setup.nowMs());
    const { budgets, limits, anomalies, agents, journal } = parts;
    budgets?.close(id);
    limits?.sessionEnded(id);
    agents?.sessionEnded(id);
    const seen = anomalies?.sessionEnded(id) ?? null;
    if (seen === null) return;
    const injected = parts.injectedOf(session.planned);
    const { tokens, flagged } = seen;
    const tokensUnstopped = session.reason === 'anomaly' ? tokensOfAll(session.planned) : null;
    journal.anomaly({ session: id, workflow, injected, flagged: [...flagged], tokens, tokensUnstopped });
  }

  refusesAgent(session: string, path: string, depth: number): string | null {
    const { parts, setup } = this.desk;
    const refusal = parts.agents?.refuses(session, depth) ?? null;
    if (refusal === null) return setup.below.refusesAgent?.(session, path, depth) ?? null;
    parts.journal.decision(setup.nowMs(), session, path, 'agents', 'denied', refusal);
    return refusal;
  }

  /** Ends a session before its time; from a timer or an end, never from inside of `send`. */
  cancelSession(session: GovernedSession, reason: string, nowMs: number): void {
    const { sessions, parts, teardowns, setup } = this.desk;
    if (session.reason !== null || !sessions.has(session.id)) return;
    session.reason = reason;
    parts.journal.decision(nowMs, session.id, null, 'cancel', 'cancelled', reason);
    teardowns.begin(session, nowMs);
    setup.sessions.cancel(session.id, reason, nowMs);
  }

  /** Whoever operates the gateway ends sessions, as the faults of the scenario say. */
  private armOperator(nowMs: number): void {
    const { parts, timers } = this.desk;
    const { operator } = parts;
    const atMs = operator.nextMs();
    if (atMs === Number.POSITIVE_INFINITY || operator.isArmed) return;
    operator.isArmed = true;
    const due = (now: number) => {
      operator.isArmed = false;
      const ends = operator.due(now);
      for (const session of [...this.desk.sessions.values()])
        if (ends(session.planned)) this.cancelSession(session, 'operator', now);
      // Without a session it would keep the run alive for nothing.
      if (this.desk.sessions.size > 0) this.armOperator(now);
    };
    timers.set(Math.max(atMs, nowMs), due, nowMs);
  }

  // ---- calls --------------------------------------------------------------------------------------------------

  send(ticket: number, request: SendRequest): void {
    const { sessions, calls, retries, setup } = this.desk;
    const nowMs = setup.nowMs();
    const call: GovernedCall = {
      ticket,
      request,
      session: sessions.get(request.session.id)!,
      rules: this.effective.of(request.call.rules),
      askedMs: nowMs,
      choice: null,
      made: 0,
      under: 0,
      retries: 0,
      lastPauseMs: 0,
      isRetrying: false,
      firstSentMs: null,
      live: NONE_LIVE,
      tried: null,
      timer: null,
      waitsSinceMs: null,
      degradedSinceMs: null,
      capTokens: null,
      lastReplica: null,
      lastTarget: null,
      lastRecord: null,
      answer: null,
      isReserved: false,
      unsettled: null,
      isAborted: false,
      isDone: false,
    };
    calls.set(ticket, call);
    retries.callStarted();
    this.entrance.arrive(call, nowMs);
  }

  callEnded(ticket: number, result: CallResult, nowMs: number): void {
    const call = this.attempts.ended(ticket, result, nowMs);
    if (call === null) {
      this.desk.setup.above.callEnded(ticket, result, nowMs);
      return;
    }
    const { anomalies } = this.desk.parts;
    const { session, request } = call;
    if (anomalies === null || !this.desk.sessions.has(session.id)) return;
    const tokens = (result.promptTokens ?? request.call.promptTokens) + result.outputTokens;
    const rule = anomalies.ended(session.id, tokens, nowMs);
    if (rule !== null) this.entrance.actOn(session, rule, request.path, nowMs);
  }

  firstToken(ticket: number, nowMs: number): void {
    if (!this.attempts.firstToken(ticket, nowMs)) this.desk.setup.above.firstToken(ticket, nowMs);
  }

  tokensOf(ticket: number): number {
    return this.desk.setup.below.tokensOf?.(ticket) ?? 0;
  }

  // ---- tools --------------------------------------------------------------------------------------------------

  delay(ticket: number, delayMs: number, what?: DelayRequest): void {
    const { sessions, setup } = this.desk;
    const session = what?.kind === 'tool' ? sessions.get(what.session.id) : undefined;
    if (what?.kind === 'tool' && session !== undefined) {
      const nowMs = setup.nowMs();
      if (this.runsAway(session, what, nowMs)) return;
      const isReserved = this.reservesTool(ticket, session, nowMs);
      if (isReserved === null) return;
      this.tools.set(ticket, { session, isReserved, isWanted: true });
    }
    setup.below.delay(ticket, delayMs, what);
  }

  private runsAway(
    session: GovernedSession,
    what: Extract<DelayRequest, { kind: 'tool' }>,
    nowMs: number,
  ): boolean {
    const rule = this.desk.parts.anomalies?.tool(session.id, what.step, what.argsKey, nowMs) ?? null;
    return rule !== null && this.entrance.actOn(session, rule, what.path, nowMs);
  }

  /** null: no budget is left for it. */
  private reservesTool(ticket: number, session: GovernedSession, nowMs: number): boolean | null {
    const { parts, timers, setup } = this.desk;
    const verdict = parts.budgets?.reserve(ticket, session.id, TOOL_CLAIM, nowMs);
    if (verdict === undefined) return false;
    if (verdict.kind !== 'exceeded') return true;
    const onExceed = verdict.onExceed === 'finalize' || session.isFinalized ? 'finalize' : 'stop';
    // With `stop` it waits for the end of its session.
    if (onExceed === 'finalize')
      timers.set(nowMs, now => setup.above.delayEnded(ticket, now, 'budget'), nowMs);
    this.entrance.exceedSoon(session, onExceed, verdict.measure, verdict.save, nowMs);
    return null;
  }

  delayEnded(ticket: number, nowMs: number, failure?: string | null): void {
    const { timers, setup, teardowns } = this.desk;
    if (timers.rings(ticket)) {
      for (let due = timers.take(nowMs); due !== undefined; due = timers.take(nowMs)) due(nowMs);
      return;
    }
    const tool = this.tools.get(ticket);
    if (tool === undefined) {
      setup.above.delayEnded(ticket, nowMs, failure);
      return;
    }
    this.toolOver(ticket, tool, nowMs);
    if (tool.isWanted) setup.above.delayEnded(ticket, nowMs, failure);
    else teardowns.toolEnded(tool.session, nowMs);
    this.desk.budgetFreed(nowMs);
  }

  private toolOver(ticket: number, { isReserved }: GovernedTool, nowMs: number): void {
    this.tools.delete(ticket);
    if (!isReserved) return;
    this.desk.parts.budgets?.settle(ticket, TOOL_CLAIM, true, nowMs);
  }

  // ---- given up -----------------------------------------------------------------------------------------------

  abort(ticket: number): void {
    const { calls, setup, teardowns } = this.desk;
    const nowMs = setup.nowMs();
    const call = calls.get(ticket);
    if (call !== undefined) {
      this.attempts.abort(call, nowMs);
      return;
    }
    const tool = this.tools.get(ticket);
    if (tool === undefined) {
      setup.below.abort(ticket);
      return;
    }
    teardowns.toolAborted(tool.session, nowMs);
    tool.isWanted = false;
    if (!tool.session.propagates) return;
    this.toolOver(ticket, tool, nowMs);
    setup.below.abort(ticket);
    teardowns.toolEnded(tool.session, nowMs);
    if (tool.isReserved) this.desk.timers.set(nowMs, now => this.desk.budgetFreed(now), nowMs);
  }

  isIdle(): boolean {
    const { below } = this.desk.setup;
    return this.attempts.isIdle && this.tools.size === 0 && (below.isIdle?.() ?? true);
  }

  stop(nowMs: number): void {
    const { calls, setup } = this.desk;
    // What is under way below is told of there.
    setup.below.stop?.(nowMs);
    for (const [, call] of [...calls.entries()].sort(([a], [b]) => a - b)) {
      if (call.live.length > 0) continue;
      const sentMs = call.firstSentMs ?? call.askedMs;
      this.desk.finish(call, { ...unsent(), error: 'interrupted', sentMs, endMs: nowMs }, nowMs);
    }
  }
}

/** Tokens of a session that nobody stops. */
function tokensOfAll(planned: PlannedSession): number {
  let tokens = 0;
  for (const { promptTokens, outputTokens } of walk(planned).calls) tokens += promptTokens + outputTokens;
  return tokens;
}
