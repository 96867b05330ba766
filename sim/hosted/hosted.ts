// Hosted APIs as the lowest layer: calls that go to a model of a provider are answered here, from its latencies, limits,
// outages and prompt cache; all others go on to the cluster below. Links are not of its business: a refusal comes at once.
//
//   send ─▶ down or too long or over a limit ─▶ end with 503, too_long, 429
//        └▶ first token after ttft, more at an even pace ─▶ end        abort ─▶ end, billed for what appeared

import type { HostedModel } from '../../engines/engine.ts';
import { Limiter } from '../../gateway/limits/limiter.ts';
import { type Timer, Timers } from '../../gateway/timers.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import { NANOSECOND_MS } from '../../scenarios/base/instants.ts';
import { extendText, seedKey } from '../../scenarios/base/key.ts';
import type { PlannedFault, PlannedSession } from '../../scenarios/formats/plan.ts';
import type { WorkflowStatus } from '../../scenarios/formats/record.ts';
import type { Call } from '../../scenarios/workflows/progress.ts';
import type { MakeLayer } from '../../scenarios/workflows/stack.ts';
import {
  type CallResult,
  type DelayRequest,
  type Layer,
  type LayerSetup,
  type SendRequest,
  unsent,
} from '../../scenarios/workflows/world.ts';
import { type Answer, ServedModel } from './served.ts';

export interface HostedOptions {
  /** Those without `api` are left to the world below. */
  readonly hosted: readonly HostedModel[];
  readonly faults: readonly PlannedFault[];
  readonly seed: number | string;
}

/** One call at an API. */
interface Flight {
  readonly ticket: number;
  readonly model: ServedModel;
  readonly call: Call;
  readonly result: CallResult;
  readonly tpotMs: number;
  readonly fails: boolean;
  /** Whether it counts at the limits, to its end. */
  readonly isServed: boolean;
  /** Its outcome is settled and told when its timer is due. */
  isOver: boolean;
  timer: Timer<Flight> | null;
}

/** Laws: a call ends once; sent <= first token <= end; tokens appear evenly, and those that appeared are billed. */
class HostedApis implements Layer {
  private readonly setup: LayerSetup;
  private readonly models: ReadonlyMap<string, ServedModel>;
  private readonly flights = new IdTable<Flight>();
  private readonly timers: Timers<Flight>;

  constructor({ hosted, faults, seed }: HostedOptions, setup: LayerSetup) {
    this.setup = setup;
    const key = extendText(seedKey(seed), 'hosted');
    const providers = new Map<string, Limiter>();
    const models = new Map<string, ServedModel>();
    for (const model of hosted) {
      const { provider, api } = model;
      if (api === null) continue;
      const rule = api.limits.provider;
      if (rule !== null && !providers.has(provider)) providers.set(provider, new Limiter(rule));
      const shared = { key, faults, provider: providers.get(provider) ?? null };
      models.set(model.name, new ServedModel(model, api, shared));
    }
    this.models = models;
    this.timers = new Timers(delayMs => {
      const ticket = setup.newTicket();
      setup.below.delay(ticket, delayMs);
      return ticket;
    });
  }

  send(ticket: number, request: SendRequest): void {
    const model = this.models.get(request.pool);
    if (model === undefined) {
      this.setup.below.send(ticket, request);
      return;
    }
    const nowMs = this.setup.nowMs();
    const answer = model.arrive(ticket, request, nowMs);
    const flight = takeOff(ticket, model, request.call, answer, nowMs);
    this.flights.set(ticket, flight);
    this.wait(flight, answer.kind === 'refused' ? 0 : answer.ttftMs, nowMs);
  }

  abort(ticket: number): void {
    const flight = this.flights.get(ticket);
    if (flight === undefined) this.setup.below.abort(ticket);
    else if (!flight.isOver) {
      const nowMs = this.setup.nowMs();
      this.timers.cancel(flight.timer);
      this.settle(flight, 'cancelled', 'cancelled', tokensAt(flight, nowMs), nowMs);
      this.wait(flight, 0, nowMs);
    }
  }

  tokensOf(ticket: number): number {
    const flight = this.flights.get(ticket);
    return flight === undefined
      ? (this.setup.below.tokensOf?.(ticket) ?? 0)
      : tokensAt(flight, this.setup.nowMs());
  }

  delayEnded(ticket: number, nowMs: number, failure?: string | null): void {
    if (!this.timers.rings(ticket)) {
      this.setup.above.delayEnded(ticket, nowMs, failure);
      return;
    }
    for (let due = this.timers.take(nowMs); due !== undefined; due = this.timers.take(nowMs))
      this.goOn(due, nowMs);
  }

  stop(nowMs: number): void {
    for (const [, flight] of [...this.flights.entries()].sort(([a], [b]) => a - b)) {
      this.timers.cancel(flight.timer);
      if (!flight.isOver) this.settle(flight, 'unfinished', 'interrupted', tokensAt(flight, nowMs), nowMs);
      this.tell(flight, nowMs);
    }
    this.setup.below.stop?.(nowMs);
  }

  delay(ticket: number, delayMs: number, what?: DelayRequest): void {
    this.setup.below.delay(ticket, delayMs, what);
  }
  sessionStarted(session: PlannedSession, nowMs: number): void {
    this.setup.below.sessionStarted?.(session, nowMs);
  }
  sessionEnded(session: string, workflow: string, status: WorkflowStatus): void {
    this.setup.below.sessionEnded?.(session, workflow, status);
  }
  refusesAgent(session: string, path: string, depth: number): string | null {
    return this.setup.below.refusesAgent?.(session, path, depth) ?? null;
  }
  callEnded(ticket: number, result: CallResult, nowMs: number): void {
    this.setup.above.callEnded(ticket, result, nowMs);
  }
  firstToken(ticket: number, nowMs: number): void {
    this.setup.above.firstToken(ticket, nowMs);
  }

  private wait(flight: Flight, delayMs: number, nowMs: number): void {
    flight.timer = this.timers.set(nowMs + delayMs, flight, nowMs);
  }

  /** Its timer is due: the first token, or the end. */
  private goOn(flight: Flight, nowMs: number): void {
    const { result, call, tpotMs } = flight;
    if (!flight.isOver) {
      if (flight.fails) this.settle(flight, 'error', 'http_500', null, nowMs);
      else if (result.firstTokenMs === null && call.outputTokens > 0) {
        if (flight.model.begun(call, nowMs))
          result.cacheWriteTokens = call.promptTokens - (result.cachedTokens ?? 0);
        result.firstTokenMs = nowMs;
        this.wait(flight, (call.outputTokens - 1) * tpotMs, nowMs);
        this.setup.above.firstToken(flight.ticket, nowMs);
        return;
      } else this.settle(flight, 'ok', null, call.outputTokens, nowMs);
    }
    this.tell(flight, nowMs);
  }

  /** `outputTokens`: billed; null: nothing is. */
  private settle(
    flight: Flight,
    outcome: CallResult['outcome'],
    error: string | null,
    outputTokens: number | null,
    nowMs: number,
  ): void {
    const { ticket, model, call, result, tpotMs } = flight;
    flight.isOver = true;
    result.outcome = outcome;
    result.error = error;
    result.outputTokens = outputTokens ?? 0;
    result.reasoningTokens = Math.min(call.reasoningTokens, result.outputTokens);
    result.itlMsMax = result.outputTokens > 1 ? tpotMs : null;
    if (flight.isServed) model.ended(ticket, call, result.cachedTokens ?? 0, outputTokens, nowMs);
  }

  private tell(flight: Flight, nowMs: number): void {
    this.flights.delete(flight.ticket);
    flight.result.endMs = nowMs;
    this.setup.above.callEnded(flight.ticket, flight.result, nowMs);
  }
}

function takeOff(ticket: number, model: ServedModel, call: Call, answer: Answer, nowMs: number): Flight {
  const result = unsent();
  result.pool = model.name;
  result.sentMs = nowMs;
  const base = { ticket, model, call, result, timer: null };
  if (answer.kind === 'refused') {
    result.outcome = 'error';
    result.error = answer.error;
    result.retryAfterMs = answer.retryAfterMs;
    return { ...base, tpotMs: 0, fails: false, isServed: false, isOver: true };
  }
  const { cachedTokens, tpotMs, fails } = answer;
  result.promptTokens = call.promptTokens;
  result.cachedTokens = cachedTokens;
  return { ...base, tpotMs, fails, isServed: true, isOver: false };
}

/** Output tokens that have appeared. */
function tokensAt({ result, call, tpotMs, isOver }: Flight, nowMs: number): number {
  const { firstTokenMs, outputTokens } = result;
  if (isOver) return outputTokens;
  if (firstTokenMs === null) return 0;
  const more = tpotMs > 0 ? Math.floor((nowMs - firstTokenMs + NANOSECOND_MS) / tpotMs) : call.outputTokens;
  return Math.min(call.outputTokens, 1 + more);
}

/** Answers calls to hosted models; all else passes. For simulations: live, the providers themselves answer. */
export const hostedLayer =
  (options: HostedOptions): MakeLayer =>
  setup =>
    new HostedApis(options, setup);
