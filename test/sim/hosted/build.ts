// Hosted models, and a world for tests of the layer that answers for them: time, timers, and whoever is above.
import type { HostedModel } from '../../../engines/engine.ts';
import { Heap } from '../../../scenarios/base/heap.ts';
import { textKey } from '../../../scenarios/base/key.ts';
import { constant } from '../../../scenarios/formats/amount.ts';
import type { PlannedFault, PlannedSession } from '../../../scenarios/formats/plan.ts';
import type { Run } from '../../../scenarios/formats/prompt.ts';
import { type HostedSpec, NO_RULES } from '../../../scenarios/formats/rules.ts';
import type { CallResult, Layer, SendRequest } from '../../../scenarios/workflows/world.ts';
import { hostedLayer } from '../../../sim/hosted/hosted.ts';

/** First token after 500 ms, then one each 10 ms. */
export const API: HostedSpec = {
  latency: { ttft: constant(500), tpot: constant(10), perInputTokenMs: 0 },
  limits: { model: null, provider: null },
  failRatio: 0,
  outages: [],
  cache: null,
  place: null,
};

export const model = (api: Partial<HostedSpec> = {}, some: Partial<HostedModel> = {}): HostedModel => ({
  name: 'frontier',
  provider: 'anthropic',
  modelId: 'claude',
  price: null,
  maxModelTokens: null,
  api: { ...API, ...api },
  endpoint: null,
  ...some,
});

export const fault = (some: Partial<PlannedFault>): PlannedFault => ({
  fault: 0,
  kind: 'provider_outage',
  target: null,
  atMs: 0,
  perSec: null,
  lastsMs: Number.POSITIVE_INFINITY,
  factor: 1,
  share: 1,
  label: '',
  ...some,
});

interface Asked {
  readonly pool?: string;
  /** Names the call; its draws hang on it. */
  readonly name?: string;
  readonly attempt?: number;
  readonly prompt?: readonly Run[];
  readonly promptTokens?: number;
  readonly outputTokens?: number;
  readonly maxOutputTokens?: number;
}

export const text = (name: string, tokens: number): Run => ({ key: textKey(name), from: 0, tokens });

export function request(ask: Asked = {}): SendRequest {
  const { pool = 'frontier', name = 'call', attempt = 0, outputTokens = 11 } = ask;
  const prompt = ask.prompt ?? [text(name, ask.promptTokens ?? 1000)];
  const promptTokens = prompt.reduce((sum, run) => sum + run.tokens, 0);
  const maxOutputTokens = ask.maxOutputTokens ?? null;
  return {
    call: {
      step: 'step',
      role: null,
      model: 'big',
      priority: null,
      iteration: null,
      loop: null,
      prompt,
      parts: [],
      promptTokens,
      outputTokens,
      reasoningTokens: 0,
      output: [text(`${name}/out`, outputTokens)],
      warmTokens: 0,
      rules: { ...NO_RULES, maxOutputTokens },
    } as unknown as SendRequest['call'],
    path: name,
    session: { id: 's' } as PlannedSession,
    pool,
    plannedMs: 0,
    facts: {
      key: textKey(name),
      workflow: 'w',
      tenant: null,
      step: 'step',
      sessionStartMs: 0,
      deadlineMs: null,
      parents: [],
    },
    isFirst: true,
    attempt,
  };
}

export type Told =
  | { readonly kind: 'end'; readonly ticket: number; readonly atMs: number; readonly result: CallResult }
  | { readonly kind: 'first'; readonly ticket: number; readonly atMs: number };

/** Keeps the world's laws: nothing is told from inside of an ask, and timers come due in order. */
export class Stage {
  nowMs = 0;
  readonly told: Told[] = [];
  /** What went on to the world below. */
  readonly below: { readonly kind: 'send' | 'abort'; readonly ticket: number }[] = [];
  readonly layer: Layer;
  onTold: (told: Told) => void = () => {};
  private readonly timers = new Heap<{
    atMs: number;
    sequence: number;
    ticket: number;
    what: (() => void) | null;
  }>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence));
  private tickets = 1_000_000;
  private sequence = 0;
  private isAsking = false;

  constructor(
    hosted: readonly HostedModel[],
    { faults = [], seed = 1 }: { faults?: readonly PlannedFault[]; seed?: number } = {},
  ) {
    const tell = (told: Told) => {
      if (this.isAsking) throw new Error(`told of ${told.ticket} from inside of an ask`);
      this.told.push(told);
      this.onTold(told);
    };
    this.layer = hostedLayer({ hosted, faults, seed })({
      below: {
        send: ticket => this.below.push({ kind: 'send', ticket }),
        abort: ticket => this.below.push({ kind: 'abort', ticket }),
        delay: (ticket, delayMs) => this.timer(this.nowMs + delayMs, ticket, null),
      },
      above: {
        callEnded: (ticket, result, atMs) => tell({ kind: 'end', ticket, atMs, result: { ...result } }),
        firstToken: (ticket, atMs) => tell({ kind: 'first', ticket, atMs }),
        delayEnded: () => {},
      },
      newTicket: () => this.tickets++,
      nowMs: () => this.nowMs,
      sessions: { cancel() {}, finalize() {}, restart() {} } as never,
    });
  }

  /** Done at that instant. */
  at(atMs: number, what: () => void): void {
    this.timer(atMs, -1, what);
  }

  send(ticket: number, ask: Asked = {}): void {
    this.ask(() => this.layer.send(ticket, request(ask)));
  }

  abort(ticket: number): void {
    this.ask(() => this.layer.abort(ticket));
  }

  /** Until nothing is due any more, or the instant has come. */
  run(untilMs = Number.POSITIVE_INFINITY): void {
    for (;;) {
      const next = this.timers.peek();
      if (next === undefined || next.atMs > untilMs) break;
      this.timers.pop();
      this.nowMs = next.atMs;
      if (next.what === null) this.layer.delayEnded(next.ticket, this.nowMs);
      else next.what();
    }
    if (untilMs < Number.POSITIVE_INFINITY) this.nowMs = untilMs;
  }

  /** How a call ended; throws unless it ended once. */
  end(ticket: number): CallResult & { readonly atMs: number } {
    const ends = this.told.flatMap(told => (told.kind === 'end' && told.ticket === ticket ? [told] : []));
    if (ends.length !== 1) throw new Error(`call ${ticket} ended ${ends.length} times`);
    return { ...ends[0]!.result, atMs: ends[0]!.atMs };
  }

  private timer(atMs: number, ticket: number, what: (() => void) | null): void {
    this.timers.push({ atMs, sequence: this.sequence++, ticket, what });
  }

  private ask(what: () => void): void {
    this.isAsking = true;
    what();
    this.isAsking = false;
  }
}
