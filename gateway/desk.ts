// What every part of the gateway shares: its rules and counts, its timers, the calls that are here, and their end.
import { IdTable } from '../scenarios/base/id-table.ts';
import type { Key } from '../scenarios/base/key.ts';
import type { PlannedSession } from '../scenarios/formats/plan.ts';
import type { DecisionRecord } from '../scenarios/formats/record.ts';
import type { CancelRule, GatewaySpec, StepRules } from '../scenarios/formats/rules.ts';
import {
  type CallResult,
  type LayerSetup,
  type SendRequest,
  type Sessions,
  unsent,
} from '../scenarios/workflows/world.ts';
import type { AnomalyWatch } from './anomalies/watch.ts';
import type { Budgets } from './budgets/budgets.ts';
import type { Attempt, Due, GovernedCall, GovernedSession } from './calls.ts';
import type { ChoiceAsk, Chooser } from './choice/chooser.ts';
import type { Journal } from './journal.ts';
import type { OwnLimits } from './limits/limits.ts';
import type { Quality } from './quality/quality.ts';
import { Retries } from './retries/retries.ts';
import { Teardowns } from './teardowns.ts';
import { Timers } from './timers.ts';
import type { AgentLimits } from './trust/agents.ts';

/** What a gateway is made of. Null: it has no such rule. */
export interface GatewayParts {
  readonly spec: GatewaySpec;
  readonly journal: Journal;
  readonly budgets: Budgets | null;
  readonly limits: OwnLimits | null;
  readonly chooser: Chooser | null;
  /** Calls may go elsewhere than they ask, or nowhere. */
  readonly chooses: boolean;
  readonly quality: Quality | null;
  readonly anomalies: AnomalyWatch | null;
  readonly agents: AgentLimits | null;
  /** Labels of places where a tenant's data may go; null: any. */
  residencyOf(tenant: string | null): readonly string[] | null;
  /** When a session's user leaves: its cohort's rule, where the workflow has none. */
  cohortCancel(cohort: string): CancelRule | null;
  /** What a session was made to do wrong; null: nothing. */
  injectedOf(session: PlannedSession): string | null;
  readonly operator: Operator;
  /** USD of so many tokens at a target. */
  usdOf(target: string, promptTokens: number, cachedTokens: number, outputTokens: number): number;
}

/** Whoever ends sessions by hand. */
export interface Operator {
  isArmed: boolean;
  /** When it does so next, ms; Infinity: never. */
  nextMs(): number;
  /** Nobody was there until now. */
  missed(nowMs: number): void;
  /** Whom it ends now. */
  due(nowMs: number): (session: PlannedSession) => boolean;
}

export type GatewaySetup = LayerSetup & { readonly sessions: Sessions };

/** A call, as the choice of its model sees it; its key is hashed for who draws. */
class Asked implements ChoiceAsk {
  private readonly request: SendRequest;
  readonly role: string | null;
  readonly complexity: StepRules['complexity'];
  readonly sensitivity: string | null;
  readonly allow: StepRules['allow'];
  readonly model: string;
  readonly workflow: string;
  readonly tenant: string | null;
  readonly wanted: string;
  readonly residency: readonly string[] | null;

  constructor(request: SendRequest, step: StepRules, residency: readonly string[] | null) {
    const { call, facts, pool } = request;
    this.request = request;
    this.role = call.role;
    this.complexity = step.complexity;
    this.sensitivity = step.sensitivity;
    this.allow = step.allow;
    this.model = call.model;
    this.workflow = facts.workflow;
    this.tenant = facts.tenant;
    this.wanted = pool;
    this.residency = residency;
  }
  get key(): Key {
    return this.request.facts.key;
  }
}

const NO_USE = { inputTokens: 0, outputTokens: 0, usd: 0, kind: 'llm' } as const;

export class Desk {
  readonly parts: GatewayParts;
  readonly setup: GatewaySetup;
  readonly timers: Timers<Due>;
  readonly teardowns: Teardowns;
  readonly retries = new Retries();
  readonly sessions = new Map<string, GovernedSession>();
  readonly calls = new IdTable<GovernedCall>();
  /** Calls that wait for what others have reserved. */
  readonly budgetWaiters = new Set<GovernedCall>();
  /** Whether a further attempt of a call has a budget; what comes of it if not is under way. */
  reservesAgain: (
    call: GovernedCall,
    attempt: Pick<Attempt, 'budgetId' | 'kind' | 'target'>,
    nowMs: number,
  ) => boolean = () => true;
  /** Told when a budget may have room again. */
  onFreed: (nowMs: number) => void = () => {};

  constructor(parts: GatewayParts, setup: GatewaySetup) {
    this.parts = parts;
    this.setup = setup;
    this.teardowns = new Teardowns(parts.journal);
    this.timers = new Timers(delayMs => {
      const ticket = setup.newTicket();
      setup.below.delay(ticket, delayMs);
      return ticket;
    });
  }

  decided(
    { session, request }: GovernedCall,
    policy: DecisionRecord['policy'],
    decision: string,
    why: string,
    nowMs: number,
  ): void {
    this.parts.journal.decision(nowMs, session.id, request.path, policy, decision, why);
  }

  /** A call goes on at an instant, unless it is given up before. */
  later(call: GovernedCall, atMs: number, due: Due): void {
    const run = (nowMs: number) => {
      call.timer = null;
      due(nowMs);
    };
    call.timer = this.timers.set(atMs, run, this.setup.nowMs());
  }

  stopWaiting(call: GovernedCall): void {
    this.timers.cancel(call.timer);
    call.timer = null;
    this.budgetWaiters.delete(call);
  }

  /** What decides which model a call goes to. */
  asks({ rules, request }: GovernedCall): ChoiceAsk {
    return new Asked(request, rules.step, this.parts.residencyOf(request.facts.tenant));
  }

  /** May a call go to this target, as far as its label and its tenant are concerned? */
  allows({ rules, request }: GovernedCall, target: string): boolean {
    const { chooser } = this.parts;
    const residency = this.parts.residencyOf(request.facts.tenant);
    return chooser?.allows(target, rules.step.sensitivity, residency) ?? true;
  }

  /** Ends a call in the same instant, once nobody is in the middle of sending it. */
  endSoon(call: GovernedCall, end: Partial<CallResult>, nowMs: number): void {
    this.stopWaiting(call);
    this.later(call, nowMs, now => {
      const sentMs = end.sentMs ?? call.firstSentMs ?? call.askedMs;
      this.fail(call, { ...unsent(), ...end, sentMs, endMs: now }, now);
    });
  }

  /** From its grant to its end, the pause included, so that many granted at once are seen. */
  retryGranted(call: GovernedCall): void {
    if (!call.isRetrying) this.retries.retryStarted();
    call.isRetrying = true;
  }

  retryOver(call: GovernedCall): void {
    if (call.isRetrying) this.retries.retryEnded();
    call.isRetrying = false;
  }

  /** It came to nothing; an answer that was not good enough is better than none. */
  fail(call: GovernedCall, result: CallResult, nowMs: number): void {
    const { answer } = call;
    if (answer === null || result.outcome !== 'error') {
      this.finish(call, result, nowMs);
      return;
    }
    if (answer.record !== null) answer.record.waste = null;
    call.lastTarget = answer.result.pool ?? answer.record?.target ?? call.lastTarget;
    this.finish(call, answer.result, nowMs);
  }

  /** Something that was reserved is settled. */
  budgetFreed(nowMs: number): void {
    if (this.budgetWaiters.size > 0) this.onFreed(nowMs);
  }

  /** The reservation of a call is over with the last of its attempts: a copy that was given up may outlive its answer. */
  settleLast(call: GovernedCall, nowMs: number): void {
    if (!call.isReserved || call.under > 0) return;
    this.parts.budgets?.settle(call.ticket, call.unsettled ?? NO_USE, true, nowMs);
    call.unsettled = null;
  }

  /** Tells the end of a call upwards. */
  finish(call: GovernedCall, result: CallResult, nowMs: number): void {
    if (call.isDone) return;
    call.isDone = true;
    this.stopWaiting(call);
    this.calls.delete(call.ticket);
    this.retryOver(call);
    this.retries.callEnded();
    this.settleLast(call, nowMs);
    const { capTokens, request } = call;
    // It belongs to this call alone, and is told to nobody else.
    const end = result;
    end.pool ??= call.lastTarget ?? call.choice?.target ?? request.pool;
    end.sentMs = call.firstSentMs ?? end.sentMs;
    end.attempts = call.made;
    if (capTokens !== null && capTokens < request.call.outputTokens) end.answerTokens = end.outputTokens;
    this.setup.above.callEnded(call.ticket, end, nowMs);
    this.budgetFreed(nowMs);
  }
}
