// A world of timers and nothing else, and a fleet stand-in that notes what it is told: for tests of single layers.
import { Heap } from '../../../scenarios/base/heap.ts';
import { extendText, type Key, textKey } from '../../../scenarios/base/key.ts';
import type { PlannedSession } from '../../../scenarios/formats/plan.ts';
import { noToolRules, type ToolRules } from '../../../scenarios/formats/rules.ts';
import type { Call } from '../../../scenarios/workflows/progress.ts';
import type { MakeLayer } from '../../../scenarios/workflows/stack.ts';
import {
  type CallResult,
  type DelayRequest,
  type Layer,
  type Reports,
  type SendRequest,
  type Sessions,
  unsent,
  type World,
} from '../../../scenarios/workflows/world.ts';

interface Due {
  readonly atMs: number;
  readonly sequence: number;
  readonly act: () => void;
}

/** What reached the top. */
export type Told =
  | { readonly kind: 'call'; readonly ticket: number; readonly atMs: number; readonly result: CallResult }
  | {
      readonly kind: 'delay';
      readonly ticket: number;
      readonly atMs: number;
      readonly failure: string | null | undefined;
    }
  | { readonly kind: 'token'; readonly ticket: number; readonly atMs: number };

/** Layers over a world in which a call takes `callMs` and its first token half of that. */
export class Clockwork implements World {
  nowMs = 0;
  readonly told: Told[] = [];
  /** Calls and delays that the bottom was asked for, and aborts. */
  readonly bottom: {
    readonly kind: 'send' | 'delay' | 'abort';
    readonly ticket: number;
    readonly atMs: number;
  }[] = [];
  readonly restarts: { readonly session: string; readonly sinceMs: number | null; readonly atMs: number }[] =
    [];
  readonly cancels: { readonly session: string; readonly reason: string; readonly atMs: number }[] = [];
  readonly saved: { readonly session: string; readonly atMs: number }[] = [];
  /** Told of each end as it comes. */
  onTold: (told: Told) => void = () => {};
  onRestart: (session: string) => void = () => {};
  callMs = 100;
  private readonly due = new Heap<Due>(
    (a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence),
  );
  private readonly live = new Map<number, { result: CallResult | null }>();
  private sequence = 0;
  private tickets = 0;
  private isAsking = false;
  private reports: Reports;
  private readonly layers: Layer[] = [];

  constructor(makes: readonly MakeLayer[]) {
    const top: Reports = {
      callEnded: (ticket, result, atMs) => this.note({ kind: 'call', ticket, atMs, result: { ...result } }),
      delayEnded: (ticket, atMs, failure) => this.note({ kind: 'delay', ticket, atMs, failure }),
      firstToken: (ticket, atMs) => this.note({ kind: 'token', ticket, atMs }),
    };
    const sessions: Sessions = {
      cancel: (session, reason, atMs) => this.cancels.push({ session, reason, atMs }),
      finalize: () => {},
      restart: (session, sinceMs, atMs) => {
        this.restarts.push({ session, sinceMs, atMs });
        this.onRestart(session);
      },
      checkpointed: (session: string, atMs: number) => this.saved.push({ session, atMs }),
    } as Sessions;
    const lowers: Reports[] = makes.map(() => top);
    let below: World = this;
    for (let i = makes.length - 1; i >= 0; i--) {
      const above: Reports = {
        callEnded: (...end) => lowers[i]!.callEnded(...end),
        delayEnded: (...end) => lowers[i]!.delayEnded(...end),
        firstToken: (...token) => lowers[i]!.firstToken(...token),
      };
      const newTicket = () => this.tickets++;
      const layer = makes[i]!({ below, above, newTicket, nowMs: () => this.nowMs, sessions });
      this.layers.unshift(layer);
      below = layer;
    }
    for (let i = 1; i < makes.length; i++) lowers[i] = this.layers[i - 1]!;
    this.reports = this.layers.at(-1) ?? top;
  }

  get top(): Layer {
    return this.layers[0] as Layer;
  }

  /** Asks for a tool at once; the ticket. */
  tool(what: ToolAsk): number {
    const ticket = this.tickets++;
    this.ask(() => this.top.delay(ticket, what.attempt(0).delayMs, what));
    return ticket;
  }
  call(request: SendRequest): number {
    const ticket = this.tickets++;
    this.ask(() => this.top.send(ticket, request));
    return ticket;
  }
  abortNow(ticket: number): void {
    this.ask(() => this.top.abort(ticket));
  }
  at(atMs: number, act: () => void): void {
    this.due.push({ atMs, sequence: this.sequence++, act });
  }

  /** Runs until nothing is due, or to an instant. */
  run(untilMs = Number.POSITIVE_INFINITY): void {
    for (let next = this.due.peek(); next !== undefined && next.atMs <= untilMs; next = this.due.peek()) {
      this.due.pop();
      if (next.atMs < this.nowMs) throw new Error(`time went back from ${this.nowMs} to ${next.atMs}`);
      this.nowMs = next.atMs;
      next.act();
    }
    if (untilMs < Number.POSITIVE_INFINITY) this.nowMs = untilMs;
  }

  // ---- the bottom

  send(ticket: number, _request: SendRequest): void {
    this.bottom.push({ kind: 'send', ticket, atMs: this.nowMs });
    const result = { ...unsent(), sentMs: this.nowMs, scheduledMs: this.nowMs, outputTokens: 10 };
    this.live.set(ticket, { result });
    const firstMs = this.nowMs + this.callMs / 2;
    this.later(this.callMs / 2, () => {
      if (!this.live.has(ticket)) return;
      result.firstTokenMs = firstMs;
      this.reports.firstToken(ticket, this.nowMs);
    });
    this.later(this.callMs, () => this.endCall(ticket, 'ok'));
  }
  delay(ticket: number, delayMs: number, what?: DelayRequest): void {
    if (what !== undefined) this.bottom.push({ kind: 'delay', ticket, atMs: this.nowMs });
    this.live.set(ticket, { result: null });
    this.later(delayMs, () => {
      if (this.live.delete(ticket)) this.reports.delayEnded(ticket, this.nowMs);
    });
  }
  abort(ticket: number): void {
    this.bottom.push({ kind: 'abort', ticket, atMs: this.nowMs });
    const live = this.live.get(ticket);
    if (live === undefined) return;
    if (live.result === null) this.live.delete(ticket);
    else this.later(0, () => this.endCall(ticket, 'cancelled'));
  }

  private endCall(ticket: number, outcome: 'ok' | 'cancelled'): void {
    const result = this.live.get(ticket)?.result;
    if (result == null) return;
    this.live.delete(ticket);
    Object.assign(result, { outcome, error: outcome === 'ok' ? null : 'cancelled', endMs: this.nowMs });
    this.reports.callEnded(ticket, result, this.nowMs);
  }
  private later(delayMs: number, act: () => void): void {
    this.at(this.nowMs + delayMs, act);
  }
  private ask(act: () => void): void {
    this.isAsking = true;
    act();
    this.isAsking = false;
  }
  private note(told: Told): void {
    if (this.isAsking) throw new Error(`ticket ${told.ticket} ended from inside of a wish`);
    this.told.push(told);
    this.onTold(told);
  }
}

export type ToolAsk = Extract<DelayRequest, { kind: 'tool' }>;

/** A session that nobody walks. */
export const sessionOf = (id: string, some: Partial<PlannedSession> = {}): PlannedSession =>
  ({
    id,
    cohort: 'c',
    tenant: null,
    user: null,
    priority: 0,
    key: textKey(id),
    plannedMs: 0,
    program: { workflow: 'w' },
    ...some,
  }) as PlannedSession;

/** A run of a tool that takes `ms` each time; `fails` by attempt. */
export function toolOf(
  session: PlannedSession,
  path: string,
  ms: number | ((n: number) => number),
  rules: Partial<ToolRules> = {},
  fails: (n: number) => string | null = () => null,
): ToolAsk {
  const key: Key = extendText(session.key, path);
  const { tool = 'fetch' } = rules;
  return {
    kind: 'tool',
    path,
    step: path,
    session,
    rules: { ...noToolRules(tool), ...rules },
    key,
    argsKey: key,
    resultTokens: 0,
    attempt: n => ({ delayMs: typeof ms === 'number' ? ms : ms(n), fails: fails(n) }),
  };
}

/** A call of which layers see only size, place and name. */
export function callOf(
  session: PlannedSession,
  path: string,
  some: { pool?: string; promptTokens?: number } = {},
): SendRequest {
  const { pool = 'pool', promptTokens = 1000 } = some;
  return {
    call: { step: path, promptTokens, outputTokens: 10 } as Call,
    path,
    session,
    pool,
    plannedMs: 0,
    facts: {
      key: extendText(session.key, path),
      workflow: 'w',
      tenant: null,
      step: path,
      sessionStartMs: 0,
      deadlineMs: null,
      parents: [],
    },
    isFirst: false,
  } as SendRequest;
}
