// The attempts of a call: sent through limits and breakers, timed, copied when slow; and what comes after each of them:
// the answer, another attempt, another model, a wait, or the end.
import { IdTable } from '../scenarios/base/id-table.ts';
import { extendText, uniform } from '../scenarios/base/key.ts';
import type { AttemptKind, Waste } from '../scenarios/formats/record.ts';
import { type Reason, reasonOf } from '../scenarios/formats/rules.ts';
import { type CallResult, type SendRequest, unsent } from '../scenarios/workflows/world.ts';
import { withOutput } from '../scenarios/workflows/written-call.ts';
import { attemptRecord } from './attempt-record.ts';
import { Health } from './breakers/health.ts';
import type { Attempt, Failure, GovernedCall } from './calls.ts';
import type { Desk } from './desk.ts';
import { OUTPUT_TOKENS } from './entrance.ts';
import { isBilled } from './ledger/spent.ts';
import { Hedging } from './retries/hedging.ts';
import type { RetryAsk } from './retries/retries.ts';
import { isUnheard, Waits } from './waits.ts';

/** A target that does not say when it is back is looked at so often. */
const LOOK_AGAIN_MS = 1000;
/** Of these, asking the same server again changes nothing. */
const ELSEWHERE_FIRST: readonly Reason[] = ['breaker_open', 'context_length', 'content_policy'];
/** Of these, a server may recover. */
const PASSING: readonly Reason[] = ['breaker_open', '5xx', 'connect', '429', 'timeout'];
const NOTHING_USED = { promptTokens: 0, cachedTokens: 0, outputTokens: 0, usd: 0 };

export class Attempts {
  private readonly desk: Desk;
  private readonly live = new IdTable<Attempt>();
  private readonly health = new Health();
  private readonly hedging = new Hedging();
  /** Calls that wait for the end of others, in the order in which they came. */
  private readonly limitWaiters = new Map<GovernedCall, (nowMs: number) => void>();
  private readonly waits: Waits;

  constructor(desk: Desk) {
    this.desk = desk;
    this.waits = new Waits(desk.timers, {
      timedOut: (attempt, error, nowMs) => this.timedOut(attempt, error, nowMs),
      unheard: (attempt, nowMs) => this.hedge(attempt, nowMs),
      totalEnded: (call, nowMs) => this.totalEnded(call, nowMs),
    });
  }

  /** The time of the whole call, from now on. */
  limitTotal(call: GovernedCall, totalMs: number, nowMs: number): void {
    // What is left until a deadline is another length each time.
    if (totalMs === call.rules.timeout?.totalMs) this.waits.total(totalMs, call, nowMs);
    else this.desk.timers.set(nowMs + totalMs, now => this.totalEnded(call, now), nowMs);
  }

  get isIdle(): boolean {
    return this.live.size === 0;
  }

  // ---- on the way down ----------------------------------------------------------------------------------------

  /** One attempt, if limits and breaker let it go. */
  start(call: GovernedCall, kind: AttemptKind, because: Reason | null, target: string, nowMs: number): void {
    if (call.isDone || call.isAborted) return;
    const { setup } = this.desk;
    const n = call.made;
    const ticket = n === 0 ? call.ticket : setup.newTicket();
    // Beside others that still run it has a reservation of its own.
    const isBeside = call.under > 0;
    const budgetId = isBeside ? ticket : call.ticket;
    this.settle(call, nowMs);
    if (n > 0 && !this.desk.reservesAgain(call, { budgetId, kind, target }, nowMs)) return;
    if (
      this.isLimited(call, { ticket, kind, because, target }, nowMs) ||
      this.isBroken(call, { ticket, kind, target }, nowMs)
    ) {
      if (isBeside) this.desk.parts.budgets?.release(budgetId);
      return;
    }
    const attempt: Attempt = {
      ticket,
      call,
      n,
      kind,
      because,
      target,
      wantedMs: n === 0 ? call.request.plannedMs : nowMs,
      startMs: nowMs,
      isOver: false,
      hasBegun: false,
      cancelledMs: null,
      cancelledTokens: null,
      gaveUp: null,
      budgetId,
    };
    if (n === 0) this.hedging.callStarted();
    call.made += 1;
    call.under += 1;
    call.waitsSinceMs = null;
    call.firstSentMs ??= nowMs;
    // Nearly always it is the only one: an array of exactly that size.
    if (call.live.length === 0) call.live = [attempt];
    else call.live.push(attempt);
    this.live.set(ticket, attempt);
    this.arm(attempt, nowMs);
    setup.below.send(ticket, this.requestOf(attempt));
  }

  private arm(attempt: Attempt, nowMs: number): void {
    const { call } = attempt;
    const { timeout, hedge } = call.rules;
    if (timeout?.attemptMs != null) this.waits.attempt(timeout.attemptMs, attempt, nowMs);
    if (timeout?.ttftMs != null) this.waits.ttft(timeout.ttftMs, attempt, nowMs);
    if (hedge !== null && attempt.kind !== 'hedge' && call.live.length === 1)
      this.waits.hedge(hedge.afterMs, attempt, nowMs);
  }

  private requestOf({ call, target, n, startMs }: Attempt): SendRequest {
    const { request, capTokens } = call;
    const isCapped = capTokens !== null && capTokens < request.call.outputTokens;
    const avoids = this.health.avoids(target, startMs);
    const isSticky = call.rules.step.hints?.sessionAffinity === true;
    const prefers = call.lastReplica ?? (isSticky ? call.session.lastReplica : null);
    const isAsAsked = n === 0 && target === request.pool && prefers === null;
    if (isAsAsked && !isCapped && avoids === null) return request;
    const asked = isCapped ? withOutput(request.call, cappedOutput(request.call, capTokens)) : request.call;
    return { ...request, pool: target, attempt: n, prefers, avoids, call: asked };
  }

  /** True: a limit of ours holds it, or refused it. */
  private isLimited(
    call: GovernedCall,
    { ticket, kind, because, target }: Pick<Attempt, 'ticket' | 'kind' | 'because' | 'target'>,
    nowMs: number,
  ): boolean {
    const { limits, usdOf } = this.desk.parts;
    if (limits === null) return false;
    const { promptTokens, model } = call.request.call;
    const allowedTokens = call.rules.step.maxOutputTokens ?? OUTPUT_TOKENS;
    const maxOutputTokens = Math.min(allowedTokens, call.capTokens ?? allowedTokens);
    const { id: session, workflow, planned } = call.session;
    const { tenant, user } = planned;
    const usd = usdOf(target, promptTokens, 0, maxOutputTokens);
    const claim = { promptTokens, cachedTokens: 0, maxOutputTokens, usd };
    const refusal = limits.ask(ticket, { tenant, user, workflow, session, target, model }, claim, nowMs);
    if (refusal === null) return false;
    if (kind === 'hedge') return true;
    const { by, limit, retryAfterMs } = refusal;
    const sinceMs = call.waitsSinceMs ?? nowMs;
    const again = (now: number) => this.start(call, kind, because, target, now);
    const untilMs = sinceMs + (limit.maxWaitMs ?? 0);
    // Time alone brings no room where so many at once are the limit: the end of another does.
    const isForOthers = retryAfterMs === Number.POSITIVE_INFINITY && by === 'concurrency';
    const nextMs = isForOthers ? untilMs : nowMs + retryAfterMs;
    if (nextMs > nowMs && nextMs <= untilMs) {
      if (call.waitsSinceMs === null) this.desk.decided(call, 'limit', 'waits', by, nowMs);
      call.waitsSinceMs = sinceMs;
      if (isForOthers) this.limitWaiters.set(call, again);
      this.desk.later(call, nextMs, now => {
        this.limitWaiters.delete(call);
        again(now);
      });
      return true;
    }
    this.desk.decided(call, 'limit', 'refused', by, nowMs);
    const isKnown = retryAfterMs < Number.POSITIVE_INFINITY;
    const failure = { reason: '429' as const, error: 'rate_limited', target, hasBegun: false };
    const back = isKnown
      ? { retryAfterMs, backMs: nowMs + retryAfterMs }
      : { retryAfterMs: null, backMs: null };
    this.failed(call, { ...failure, ...back, result: null }, nowMs);
    return true;
  }

  /** A place is free: who waited longest asks first. */
  private limitFreed(nowMs: number): void {
    for (const [call, again] of [...this.limitWaiters]) {
      this.limitWaiters.delete(call);
      if (call.isDone || call.isAborted) continue;
      this.desk.stopWaiting(call);
      const before = this.limitWaiters.size;
      again(nowMs);
      // It waits again: there is no more room.
      if (this.limitWaiters.size > before) return;
    }
  }

  /** True: its target has failed too often. */
  private isBroken(
    call: GovernedCall,
    { ticket, kind, target }: Pick<Attempt, 'ticket' | 'kind' | 'target'>,
    nowMs: number,
  ): boolean {
    const broken = this.health.refuses(call.rules.breaker, target, nowMs);
    if (broken === null) return false;
    this.desk.parts.limits?.ended(ticket, NOTHING_USED, nowMs);
    if (kind === 'hedge') return true;
    this.desk.decided(call, 'breaker', 'refused', target, nowMs);
    const failure = { reason: 'breaker_open' as const, error: 'breaker_open', target, hasBegun: false };
    const { backMs } = broken;
    this.failed(call, { ...failure, retryAfterMs: null, backMs, result: null }, nowMs);
    return true;
  }

  /** Another copy of a call whose first token does not come. */
  private hedge(slow: Attempt, nowMs: number): void {
    const { call } = slow;
    const rule = call.rules.hedge!;
    const copies = call.live.length - 1;
    if (!isUnheard(slow) || !this.hedging.allows(rule, copies)) return;
    this.hedging.hedged();
    this.desk.decided(call, 'hedge', 'sent', 'no first token', nowMs);
    this.start(call, 'hedge', null, slow.target, nowMs);
    if (copies + 1 < rule.max)
      this.desk.timers.set(nowMs + rule.afterMs, now => this.hedge(slow, now), nowMs);
  }

  // ---- given up -----------------------------------------------------------------------------------------------

  /** Nobody waits for it any more: it is torn down, and no part of its call. */
  private giveUp(attempt: Attempt, why: Waste, nowMs: number): void {
    const { live } = attempt.call;
    live.splice(live.indexOf(attempt), 1);
    if (attempt.kind === 'retry') this.desk.retryOver(attempt.call);
    this.mark(attempt, why, nowMs);
    this.desk.setup.below.abort(attempt.ticket);
  }

  private mark(attempt: Attempt, why: Waste, nowMs: number): void {
    attempt.gaveUp = why;
    attempt.cancelledMs = nowMs;
    attempt.cancelledTokens = this.desk.setup.below.tokensOf?.(attempt.ticket) ?? null;
  }

  private timedOut(attempt: Attempt, error: string, nowMs: number): void {
    if (attempt.gaveUp !== null) return;
    const { call, target, hasBegun } = attempt;
    this.giveUp(attempt, 'timed_out', nowMs);
    this.observe(attempt, false, 'timeout', nowMs);
    const failure = { reason: 'timeout' as const, error, target, hasBegun, retryAfterMs: null, backMs: null };
    this.failed(call, { ...failure, result: null }, nowMs);
  }

  /** The time of the whole call is over. */
  private totalEnded(call: GovernedCall, nowMs: number): void {
    if (call.isDone || call.isAborted) return;
    this.desk.decided(call, 'deadline', 'ended', 'its time is over', nowMs);
    for (const attempt of [...call.live]) {
      this.giveUp(attempt, 'timed_out', nowMs);
      this.observe(attempt, false, 'timeout', nowMs);
    }
    const sentMs = call.firstSentMs ?? call.askedMs;
    this.desk.fail(call, { ...unsent(), outcome: 'error', error: 'deadline', sentMs, endMs: nowMs }, nowMs);
  }

  /** Its session gave the call up. */
  abort(call: GovernedCall, nowMs: number): void {
    if (call.isAborted || call.isDone) return;
    call.isAborted = true;
    this.desk.stopWaiting(call);
    if (call.live.length === 0) {
      this.desk.endSoon(call, { outcome: 'cancelled', error: 'cancelled' }, nowMs);
      return;
    }
    const { session } = call;
    const why = wasteOf(session.reason, session.propagates);
    for (const attempt of call.live) {
      this.desk.teardowns.callAborted(session, nowMs);
      this.mark(attempt, why, nowMs);
      if (session.propagates) this.desk.setup.below.abort(attempt.ticket);
    }
  }

  // ---- on the way up ------------------------------------------------------------------------------------------

  /** False: it is none of ours. */
  firstToken(ticket: number, nowMs: number): boolean {
    const attempt = this.live.get(ticket);
    if (attempt === undefined) return false;
    if (attempt.gaveUp !== null) return true;
    attempt.hasBegun = true;
    const { call } = attempt;
    if (call.rules.hedge !== null) {
      for (const other of [...call.live]) if (other !== attempt) this.giveUp(other, 'hedged', nowMs);
    }
    this.desk.setup.above.firstToken(call.ticket, nowMs);
    return true;
  }

  /** Its call; null: it is none of ours. */
  ended(ticket: number, result: CallResult, nowMs: number): GovernedCall | null {
    const attempt = this.live.get(ticket);
    if (attempt === undefined) return null;
    this.over(attempt, result, nowMs);
    return attempt.call;
  }

  private over(attempt: Attempt, result: CallResult, nowMs: number): void {
    const { ticket } = attempt;
    this.live.delete(ticket);
    attempt.isOver = true;
    const { call, target } = attempt;
    // One that was given up was over then; another may be under way by now.
    if (attempt.kind === 'retry' && attempt.gaveUp === null) this.desk.retryOver(call);
    this.bill(attempt, result, nowMs);
    const place = call.live.indexOf(attempt);
    if (place >= 0) call.live.splice(place, 1);
    if (attempt.gaveUp !== null || call.isAborted || call.isDone) {
      this.orphanEnded(attempt, result, nowMs);
      this.desk.budgetFreed(nowMs);
      return;
    }
    call.lastReplica = result.replica;
    call.lastTarget = result.pool ?? target;
    if (result.outcome === 'ok') {
      call.session.lastReplica = result.replica ?? call.session.lastReplica;
      this.answered(attempt, result, nowMs);
      return;
    }
    this.record(attempt, result, 'failed', null);
    if (result.outcome === 'unfinished') {
      this.desk.finish(call, result, nowMs);
      return;
    }
    const error = result.error ?? result.outcome;
    const reason = reasonOf(error);
    this.observe(attempt, false, reason, nowMs, result.replica);
    const hasBegun = result.firstTokenMs !== null;
    const { retryAfterMs } = result;
    this.failed(call, { reason, error, target, hasBegun, retryAfterMs, backMs: null, result }, nowMs);
  }

  /** Limits and budgets learn what an attempt really used. */
  private bill(attempt: Attempt, result: CallResult, nowMs: number): void {
    const { limits, budgets, usdOf } = this.desk.parts;
    const { call, target } = attempt;
    const promptTokens = isBilled(result) ? (result.promptTokens ?? call.request.call.promptTokens) : 0;
    const { outputTokens } = result;
    const cachedTokens = result.cachedTokens ?? 0;
    const isCounted = limits !== null || budgets !== null;
    const usd = isCounted ? usdOf(target, promptTokens, cachedTokens, outputTokens) : 0;
    limits?.ended(attempt.ticket, { promptTokens, cachedTokens, outputTokens, usd }, nowMs);
    call.under -= 1;
    const use = { inputTokens: promptTokens, outputTokens, usd, kind: 'llm' as const };
    if (attempt.budgetId !== call.ticket) budgets?.settle(attempt.budgetId, use, true, nowMs);
    else if (call.isDone) budgets?.settle(call.ticket, use, true, nowMs);
    else call.unsettled = use;
    if (call.isDone) this.desk.settleLast(call, nowMs);
    if (this.limitWaiters.size > 0) this.limitFreed(nowMs);
  }

  /** What the attempt before this one used. */
  private settle(call: GovernedCall, nowMs: number): void {
    const { unsettled } = call;
    call.unsettled = null;
    if (unsettled !== null && call.isReserved)
      this.desk.parts.budgets?.settle(call.ticket, unsettled, false, nowMs);
  }

  /** An end that nobody waits for: what it cost is of interest, and whether it was the last of its call. */
  private orphanEnded(attempt: Attempt, result: CallResult, nowMs: number): void {
    const { call } = attempt;
    // A breaker gets its trial back; what timed out was told when it did.
    if (attempt.gaveUp !== 'timed_out') this.observe(attempt, false, 'cancelled', nowMs, result.replica);
    this.record(attempt, result, attempt.gaveUp ?? 'cancelled', null);
    if (!call.isAborted) return;
    const before = attempt.cancelledTokens ?? result.outputTokens;
    this.desk.teardowns.callEnded(call.session, Math.max(0, result.outputTokens - before), nowMs);
    if (call.isDone || call.live.length > 0) return;
    // What was told to stop may have come to its end first; what was not told was cancelled all the same.
    const goesOn = !call.session.propagates && result.outcome === 'ok';
    this.desk.finish(call, goesOn ? { ...result, outcome: 'cancelled', error: 'cancelled' } : result, nowMs);
  }

  private answered(attempt: Attempt, result: CallResult, nowMs: number): void {
    const { desk } = this;
    const { call, target } = attempt;
    this.observe(attempt, true, null, nowMs, result.replica);
    const isGood = this.judge(attempt, nowMs);
    const to = this.escalatesTo(call, isGood);
    if (to !== null && to !== target && desk.allows(call, to)) {
      this.record(attempt, result, 'escalated', isGood);
      call.answer = { result, record: call.lastRecord };
      desk.decided(call, 'escalate', to, 'the answer was not good enough', nowMs);
      this.start(call, 'escalation', null, to, nowMs);
      return;
    }
    if (isGood === false && desk.parts.spec.onBadAnswer === 'retry') {
      const failure = { reason: 'other' as const, error: 'bad_answer', target, hasBegun: false };
      const bad = { ...failure, retryAfterMs: null, backMs: null, result };
      const asked = this.askRetry(call, bad, nowMs, true);
      if ('pauseMs' in asked) {
        this.record(attempt, result, 'retried', false);
        call.answer = { result, record: call.lastRecord };
        this.again(call, 'other', target, asked.pauseMs, nowMs);
        return;
      }
    }
    this.record(attempt, result, null, isGood);
    for (const other of [...call.live]) this.giveUp(other, 'hedged', nowMs);
    desk.finish(call, result, nowMs);
  }

  private judge({ call, target, n }: Attempt, nowMs: number): boolean | null {
    const { quality } = this.desk.parts;
    if (quality === null) return null;
    const { key } = call.request.facts;
    const { complexity, success: stepSuccess } = call.rules.step;
    const { good, looked } = quality.judge({ key, target, attempt: n, complexity, stepSuccess }, nowMs);
    if (!looked) return null;
    const drift = quality.observe(target, good, nowMs);
    if (drift !== null) this.desk.decided(call, 'drift', target, drift, nowMs);
    return good;
  }

  /** Where an answer is asked for again; null: it is good enough, or there is nowhere. */
  private escalatesTo({ choice }: GovernedCall, isGood: boolean | null): string | null {
    if (choice === null || choice.escalateTo === null) return null;
    const { onBadAnswer } = this.desk.parts.spec;
    return choice.escalates || (isGood === false && onBadAnswer === 'escalate') ? choice.escalateTo : null;
  }

  /** Breakers of targets, and those of replicas, learn how it ended. */
  private observe(
    { call, target, startMs }: Attempt,
    ok: boolean,
    reason: Reason | null,
    nowMs: number,
    replica: string | null = null,
  ): void {
    const end = { ok, reason, tookMs: nowMs - startMs, sentMs: startMs };
    const found = this.health.observe(call.rules.breaker, { target, replica }, end, nowMs);
    if (found !== null) this.desk.decided(call, 'breaker', found.change, found.of, nowMs);
  }

  private record(attempt: Attempt, result: CallResult, waste: Waste | null, isGood: boolean | null): void {
    const { journal } = this.desk.parts;
    if (!journal.wantsAttempts) return;
    const record = attemptRecord(attempt, result, waste, isGood);
    attempt.call.lastRecord = record;
    journal.attempt(record);
  }

  // ---- what comes after a failure -----------------------------------------------------------------------------

  private failed(call: GovernedCall, failure: Failure, nowMs: number): void {
    if (call.isDone || call.isAborted || call.live.length > 0) return;
    this.desk.stopWaiting(call);
    const isElsewhereFirst = ELSEWHERE_FIRST.includes(failure.reason);
    if (isElsewhereFirst && this.fallBack(call, failure, nowMs)) return;
    const asked = this.askRetry(call, failure, nowMs);
    if ('pauseMs' in asked) {
      this.again(call, failure.reason, failure.target, asked.pauseMs, nowMs);
      return;
    }
    if (call.rules.retry !== null) this.desk.decided(call, 'retry', 'stopped', asked.stops, nowMs);
    if (!isElsewhereFirst && this.fallBack(call, failure, nowMs)) return;
    if (this.waitsFor(call, failure, nowMs)) return;
    const { result, error } = failure;
    // Of an end we are told from outside; a refusal of ours may come from inside of `send`.
    if (result !== null) this.desk.fail(call, { ...result, outcome: 'error', error }, nowMs);
    else this.desk.endSoon(call, { outcome: 'error', error }, nowMs);
  }

  private askRetry(call: GovernedCall, failure: Failure, nowMs: number, isWanted = false) {
    const { retry, timeout } = call.rules;
    if (retry === null) return { stops: 'reason' as const };
    const ask: RetryAsk = {
      made: call.retries,
      lastPauseMs: call.lastPauseMs,
      retryAfterMs: failure.retryAfterMs,
      draw: uniform(extendText(call.request.facts.key, `pause ${call.made} ${call.retries}`)),
      reason: failure.reason,
      told: failure.result?.shouldRetry ?? null,
      isWanted,
      began: failure.hasBegun,
      idempotent: true,
      elapsedMs: nowMs - call.askedMs,
      totalMs: timeout?.totalMs ?? null,
    };
    return this.desk.retries.next(retry, ask);
  }

  private again(call: GovernedCall, reason: Reason, target: string, pauseMs: number, nowMs: number): void {
    this.desk.decided(call, 'retry', 'again', reason, nowMs);
    isRetried(call);
    this.desk.retryGranted(call);
    call.retries += 1;
    call.lastPauseMs = pauseMs;
    this.desk.later(call, nowMs + pauseMs, now => this.start(call, 'retry', reason, target, now));
  }

  private fallBack(call: GovernedCall, { reason, target, hasBegun }: Failure, nowMs: number): boolean {
    const { chooser, spec } = this.desk.parts;
    if (chooser === null || !maySendAgain(call, hasBegun)) return false;
    call.tried ??= [];
    const { tried } = call;
    if (!tried.includes(target)) tried.push(target);
    const ask = this.desk.asks(call);
    const isUntried = (each: string) => !tried.includes(each);
    const next =
      chooser.fallbacks(target, reason, call.rules.step.fallback, spec.fallback, ask).find(isUntried) ??
      (spec.degraded === 'fall_back' ? chooser.others(target, ask).find(isUntried) : undefined);
    if (next === undefined) return false;
    this.desk.decided(call, 'fallback', next, reason, nowMs);
    isRetried(call);
    call.retries = 0;
    call.lastPauseMs = 0;
    this.start(call, 'fallback', reason, next, nowMs);
    return true;
  }

  /** Nothing is left to try: with `queue` it waits for its target to come back. */
  private waitsFor(
    call: GovernedCall,
    { reason, target, backMs, hasBegun }: Failure,
    nowMs: number,
  ): boolean {
    const { degraded, degradedWaitMs } = this.desk.parts.spec;
    if (degraded !== 'queue' || !PASSING.includes(reason) || !maySendAgain(call, hasBegun)) return false;
    const sinceMs = call.degradedSinceMs ?? nowMs;
    const untilMs = sinceMs + degradedWaitMs;
    const nextMs = Math.max(nowMs + LOOK_AGAIN_MS, Math.min(backMs ?? 0, untilMs));
    if (nextMs > untilMs) return false;
    if (call.degradedSinceMs === null) this.desk.decided(call, 'degraded', 'queue', reason, nowMs);
    call.degradedSinceMs = sinceMs;
    isRetried(call);
    this.desk.later(call, nextMs, now => this.start(call, 'retry', reason, target, now));
    return true;
  }
}

/** What was in vain was not the end. */
function isRetried({ lastRecord }: GovernedCall): void {
  if (lastRecord?.waste === 'failed') lastRecord.waste = 'retried';
}

/** Somebody may have read the beginning of an answer: another one is asked for only where the rule is blind to that. */
const maySendAgain = ({ rules }: GovernedCall, hasBegun: boolean): boolean =>
  !hasBegun || rules.retry?.isBlind === true;

/** Why what runs of a session that is being ended was paid for in vain. */
function wasteOf(reason: string | null, propagates: boolean): Waste {
  if (!propagates) return 'after_cancel';
  if (reason?.startsWith('budget')) return 'over_budget';
  return reason === 'anomaly' ? 'anomaly' : 'cancelled';
}

/** A shorter answer: reasoning, which comes first, counts first. */
function cappedOutput({ output, outputTokens, reasoningTokens }: SendRequest['call'], capTokens: number) {
  const tokens = Math.max(1, Math.min(outputTokens, capTokens));
  let left = tokens;
  const runs = output.flatMap(run => {
    const taken = Math.min(left, run.tokens);
    left -= taken;
    return taken === 0 ? [] : [taken === run.tokens ? run : { ...run, tokens: taken }];
  });
  return { output: runs, outputTokens: tokens, reasoningTokens: Math.min(reasoningTokens, tokens) };
}
