// How a call comes in: is it part of a runaway, may it be made, by which model, and is there a budget for it.
import type { BudgetMeasure, BudgetRule, OnExceed } from '../scenarios/formats/rules.ts';
import type { Attempts } from './attempts.ts';
import type { BudgetClaim, Budgets, BudgetVerdict } from './budgets/budgets.ts';
import type { Attempt, GovernedCall, GovernedSession } from './calls.ts';
import { stepDeadlineMs } from './deadlines/slack.ts';
import type { Desk } from './desk.ts';
import { modelDenial } from './trust/allow.ts';

type Save = BudgetRule['save'];

/** What is reserved of an answer of which nobody said how long it may be. */
export const OUTPUT_TOKENS = 4096;

/** What ends sessions, as the entrance may ask for it; never from inside of `send`. */
export interface SessionEnds {
  cancelSession(session: GovernedSession, reason: string, nowMs: number): void;
}

export class Entrance {
  private readonly desk: Desk;
  private readonly attempts: Attempts;
  private readonly ends: SessionEnds;

  constructor(desk: Desk, attempts: Attempts, ends: SessionEnds) {
    this.desk = desk;
    this.attempts = attempts;
    this.ends = ends;
    desk.onFreed = nowMs => this.budgetFreed(nowMs);
    desk.reservesAgain = (call, attempt, nowMs) => this.reservesAgain(call, attempt, nowMs);
  }

  arrive(call: GovernedCall, nowMs: number): void {
    const { throttleMs } = call.session;
    const totalMs = this.totalMs(call, nowMs);
    if (totalMs !== null) this.attempts.limitTotal(call, totalMs, nowMs);
    if (this.runsAway(call, nowMs)) return;
    if (throttleMs > 0) this.desk.later(call, nowMs + throttleMs, now => this.decide(call, now));
    else this.decide(call, nowMs);
  }

  /** From now to its timeout, or to its share of the workflow's deadline. */
  private totalMs({ rules, request }: GovernedCall, nowMs: number): number | null {
    const totalMs = rules.timeout?.totalMs ?? null;
    const { deadlineMs } = request.facts;
    if (!this.desk.parts.spec.splitsDeadline || deadlineMs === null) return totalMs;
    const leftMs = Math.max(0, stepDeadlineMs(nowMs, deadlineMs, rules.step.slackShare) - nowMs);
    return totalMs === null ? leftMs : Math.min(totalMs, leftMs);
  }

  private runsAway(call: GovernedCall, nowMs: number): boolean {
    const { anomalies } = this.desk.parts;
    if (anomalies === null) return false;
    const { session, request } = call;
    const { promptTokens, step, argsKey } = request.call;
    const seen = { session: session.id, step, argsKey: argsKey ?? null, promptTokens, outputTokens: 0 };
    const rule = anomalies.call(seen, nowMs);
    return rule !== null && this.actOn(session, rule, request.path, nowMs);
  }

  /** What a rule against runaways leads to; true: the session will be cancelled, once nobody is in the middle of something. */
  actOn(session: GovernedSession, rule: string, path: string | null, nowMs: number): boolean {
    const { spec, journal } = this.desk.parts;
    const { action = 'flag', throttleMs = 0 } = spec.anomalies ?? {};
    journal.decision(nowMs, session.id, path, 'anomaly', action, rule);
    if (action === 'throttle') session.throttleMs = throttleMs;
    if (action !== 'cancel') return false;
    this.desk.timers.set(nowMs, now => this.ends.cancelSession(session, 'anomaly', now), nowMs);
    return true;
  }

  private decide(call: GovernedCall, nowMs: number): void {
    const { desk } = this;
    const { chooser, journal } = desk.parts;
    const denial = modelDenial(call.rules.step.allow, call.request.call.model);
    if (denial !== null) {
      desk.decided(call, 'allow', 'denied', denial, nowMs);
      desk.endSoon(call, { outcome: 'error', error: denial }, nowMs);
      return;
    }
    if (chooser === null || !desk.parts.chooses) {
      this.reserve(call, nowMs);
      return;
    }
    const choice = chooser.choose(desk.asks(call));
    call.choice = choice;
    if (choice.denied !== null) {
      desk.decided(call, 'sensitivity', 'denied', choice.why, nowMs);
      desk.endSoon(call, { outcome: 'error', error: choice.denied }, nowMs);
      return;
    }
    if (choice.rule !== null || choice.seen !== null)
      desk.decided(call, 'choose', choice.target, choice.why, nowMs);
    if (choice.classifyUsd > 0) journal.classified(choice.classifyUsd);
    if (choice.classifyMs > 0) desk.later(call, nowMs + choice.classifyMs, now => this.reserve(call, now));
    else this.reserve(call, nowMs);
  }

  /** Its share of every budget it belongs to, then the first attempt. */
  private reserve(call: GovernedCall, nowMs: number): void {
    const { session, request } = call;
    const target = call.choice?.target ?? request.pool;
    if (call.waitsSinceMs !== null) this.desk.budgetWaiters.delete(call);
    const verdict = this.ask(call, call.ticket, target, session.saves, nowMs);
    if (verdict?.kind === 'exceeded') {
      this.overBudget(call, verdict, nowMs);
      return;
    }
    const isSoft = verdict?.kind === 'soft' && session.saves === null;
    if (isSoft) this.desk.decided(call, 'budget', 'saves', verdict.why, nowMs);
    const form = isSoft ? verdict.save : session.saves;
    this.attempts.start(call, 'first', null, this.saved(call, form, target, nowMs), nowMs);
  }

  /**
   * Reserves for an attempt. Where only the saving form of the call fits, or where it is wanted, that is what is reserved.
   * null: there are no budgets.
   */
  private ask(
    call: GovernedCall,
    id: number,
    target: string,
    saves: Save | null,
    nowMs: number,
  ): BudgetVerdict | null {
    const { budgets } = this.desk.parts;
    if (budgets === null) return null;
    const fullTokens = call.rules.step.maxOutputTokens ?? OUTPUT_TOKENS;
    const verdict = this.claim(
      budgets,
      call,
      id,
      target,
      Math.min(fullTokens, saves?.outputTokens ?? fullTokens),
      nowMs,
    );
    if (verdict.kind !== 'exceeded') call.isReserved = true;
    if (verdict.kind === 'ok' || saves !== null) return verdict;
    const { save, why } = verdict;
    if (save.outputTokens === null || save.outputTokens >= fullTokens) return verdict;
    const smaller = this.claim(budgets, call, id, target, save.outputTokens, nowMs);
    if (smaller.kind === 'exceeded') return verdict.kind === 'soft' ? smaller : verdict;
    call.isReserved = true;
    return { kind: 'soft', save, why };
  }

  private claim(
    budgets: Budgets,
    call: GovernedCall,
    id: number,
    target: string,
    outputTokens: number,
    nowMs: number,
  ): BudgetVerdict {
    return budgets.reserve(id, call.session.id, this.claimOf(call, target, outputTokens), nowMs);
  }

  private claimOf({ request }: GovernedCall, target: string, outputTokens: number): BudgetClaim {
    const { promptTokens, role } = request.call;
    const usd = this.desk.parts.usdOf(target, promptTokens, 0, outputTokens);
    return { inputTokens: promptTokens, outputTokens, usd, kind: 'llm', isFinal: role === 'final' };
  }

  /** A further attempt: of the same call it is the same reservation, a copy beside it has one of its own. */
  private reservesAgain(
    call: GovernedCall,
    { budgetId, kind, target }: Pick<Attempt, 'budgetId' | 'kind' | 'target'>,
    nowMs: number,
  ): boolean {
    const verdict = this.ask(call, budgetId, target, call.session.saves, nowMs);
    if (verdict === null || verdict.kind !== 'exceeded') {
      const save = verdict?.kind === 'soft' ? verdict.save : call.session.saves;
      // What was reserved is what may be generated.
      call.capTokens ??= save?.outputTokens ?? null;
      return true;
    }
    if (kind === 'hedge') return false;
    const onExceed = verdict.onExceed === 'finalize' ? 'finalize' : 'stop';
    // Else it waits for the end of its session.
    if (onExceed === 'finalize')
      this.desk.endSoon(call, { outcome: 'error', error: 'budget', isSkipped: true }, nowMs);
    this.exceedSoon(call.session, onExceed, verdict.measure, verdict.save, nowMs);
    return false;
  }

  /** The saving form of a call: a smaller model where the policies let it go there, a shorter answer. */
  private saved(call: GovernedCall, save: Save | null, target: string, nowMs: number): string {
    if (save === null) return target;
    call.capTokens = save.outputTokens;
    const { chooser } = this.desk.parts;
    if (save.model === null || save.model === target || chooser === null) return target;
    const smaller = chooser.targetOf(save.model, this.desk.asks(call));
    if (smaller !== null) return smaller;
    this.desk.decided(call, 'sensitivity', 'denied', 'the saving model is no allowed destination', nowMs);
    return target;
  }

  private overBudget(
    call: GovernedCall,
    verdict: Extract<BudgetVerdict, { kind: 'exceeded' }>,
    nowMs: number,
  ): void {
    const { desk } = this;
    const { session } = call;
    const { onExceed, measure, save, freeMs, somethingReserved } = verdict;
    if (onExceed === 'queue' && (freeMs < Number.POSITIVE_INFINITY || somethingReserved)) {
      if (call.waitsSinceMs === null) desk.decided(call, 'budget', 'queue', verdict.why, nowMs);
      call.waitsSinceMs ??= nowMs;
      desk.budgetWaiters.add(call);
      if (freeMs < Number.POSITIVE_INFINITY)
        desk.later(call, Math.max(nowMs, freeMs), now => this.reserve(call, now));
      return;
    }
    const isFinalize = onExceed === 'finalize' || session.isFinalized;
    if (isFinalize) desk.endSoon(call, { outcome: 'error', error: 'budget', isSkipped: true }, nowMs);
    // Else it waits for the end of its session.
    this.exceedSoon(session, isFinalize ? 'finalize' : 'stop', measure, save, nowMs);
  }

  exceedSoon(
    session: GovernedSession,
    onExceed: OnExceed,
    measure: BudgetMeasure,
    save: Save,
    nowMs: number,
  ): void {
    this.desk.timers.set(nowMs, now => this.exceed(session, onExceed, measure, save, now), nowMs);
  }

  /** What a session does when a budget is used up. */
  exceed(
    session: GovernedSession,
    onExceed: OnExceed,
    measure: BudgetMeasure,
    save: Save,
    nowMs: number,
  ): void {
    const { journal } = this.desk.parts;
    const tell = (what: string) => journal.decision(nowMs, session.id, null, 'budget', what, measure);
    if (!this.desk.sessions.has(session.id)) return;
    if (onExceed === 'finalize') {
      if (session.isFinalized) return;
      session.isFinalized = true;
      tell('finalize');
      this.desk.setup.sessions.finalize(session.id, nowMs);
    } else if (onExceed === 'degrade' && session.saves === null) {
      session.saves = save;
      tell('degrade');
    } else if (session.reason === null) {
      tell('stop');
      this.ends.cancelSession(session, `budget_${measure}`, nowMs);
    }
  }

  /** What was reserved has been settled: who waited for it asks again. */
  private budgetFreed(nowMs: number): void {
    for (const call of [...this.desk.budgetWaiters]) {
      if (this.waitsOn(call, nowMs)) continue;
      this.desk.timers.cancel(call.timer);
      call.timer = null;
      this.reserve(call, nowMs);
    }
  }

  /** Whether asking again would change nothing: many who wait must cost little at each end. */
  private waitsOn(call: GovernedCall, nowMs: number): boolean {
    const { session, choice, request, rules } = call;
    // Without a timer this is all that it waits for.
    if (call.timer === null) return false;
    const fullTokens = rules.step.maxOutputTokens ?? OUTPUT_TOKENS;
    const outputTokens = Math.min(fullTokens, session.saves?.outputTokens ?? fullTokens);
    const claim = this.claimOf(call, choice?.target ?? request.pool, outputTokens);
    return this.desk.parts.budgets?.waitsOn(session.id, claim, nowMs) ?? false;
  }
}
