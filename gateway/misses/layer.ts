// The ledger of cache misses: a layer that changes nothing. It stands above all that serves, sees what is sent there and
// what comes back, and writes into each result why its cache missed what it missed.
import { IdTable } from '../../scenarios/base/id-table.ts';
import { headOf } from '../../scenarios/formats/prompt.ts';
import { PassingLayer } from '../../scenarios/workflows/passing-layer.ts';
import type { MakeLayer } from '../../scenarios/workflows/stack.ts';
import type { CallResult, LayerSetup, SendRequest } from '../../scenarios/workflows/world.ts';
import { type Author, ComputedContent, hold, type Place, type Stretch } from './computed.ts';
import { type CacheRule, missesOf } from './explain.ts';

/** Whose prompts find each other's cache. */
export type CacheScope = 'run' | 'session' | 'call';

export interface MissOptions {
  /** The pool that serves a model where nobody decides otherwise. */
  readonly poolOf: (model: string) => string;
  /** By pool, or by model of a provider. */
  readonly rules: ReadonlyMap<string, CacheRule>;
  /** Default: the run. */
  readonly scope?: CacheScope;
  /** After so many calls every second session is looked at, after as many more every fourth, and so on. */
  readonly callsMax?: number;
}

/** Some 1.7 kB of memory each. */
const CALLS_MAX = 2 ** 15;

export interface MissLedger {
  readonly layer: MakeLayer;
  /** What of the run was not looked at. */
  warnings(): string[];
}

/** A call on its way. */
interface Flight {
  readonly request: SendRequest;
  readonly rule: CacheRule;
  readonly author: Author;
  readonly content: ComputedContent;
  readonly sentMs: number;
  /** Where its prompt ends, once its first token is there. */
  end: Stretch | null;
}

export function missLedger(options: MissOptions): MissLedger {
  const sampled = { calls: 0, explained: 0 };
  return {
    layer: setup => new MissLayer(options, sampled, setup),
    warnings: () =>
      sampled.explained === sampled.calls
        ? []
        : [
            `why caches missed is known of ${sampled.explained} of ${sampled.calls} calls: whole sessions, the fewer the longer the run`,
          ],
  };
}

class MissLayer extends PassingLayer {
  private readonly options: MissOptions;
  private readonly sampled: { calls: number; explained: number };
  private readonly flights = new IdTable<Flight>();
  private readonly shared = new ComputedContent();
  /** Of sessions, where they share nothing. */
  private readonly own = new Map<string, ComputedContent>();
  private readonly places = new Map<string, Place>();

  constructor(options: MissOptions, sampled: MissLayer['sampled'], setup: LayerSetup) {
    super(setup);
    this.options = options;
    this.sampled = sampled;
  }

  override send(ticket: number, request: SendRequest): void {
    const rule = this.options.rules.get(request.pool);
    if (rule !== undefined && this.isSampled(request)) {
      const { call, session, pool, path } = request;
      const isDiverted = pool !== this.options.poolOf(call.model);
      this.flights.set(ticket, {
        request,
        rule,
        author: { ticket, session: session.id, path, isDiverted },
        content: this.contentOf(session.id),
        sentMs: this.setup.nowMs(),
        end: null,
      });
    }
    super.send(ticket, request);
  }

  override firstToken(ticket: number, nowMs: number): void {
    const flight = this.flights.get(ticket);
    if (flight !== undefined && flight.end === null)
      flight.end = flight.content.computed(flight.request.call.prompt, flight.author, nowMs);
    super.firstToken(ticket, nowMs);
  }

  override callEnded(ticket: number, result: CallResult, nowMs: number): void {
    const flight = this.flights.get(ticket);
    if (flight !== undefined) {
      this.flights.delete(ticket);
      this.ended(flight, result, nowMs);
    }
    super.callEnded(ticket, result, nowMs);
  }

  override sessionEnded(...[session, ...more]: Parameters<PassingLayer['sessionEnded']>): void {
    this.own.delete(session);
    super.sessionEnded(session, ...more);
  }

  /** By session: its calls explain each other. */
  private isSampled({ session }: SendRequest): boolean {
    const { sampled } = this;
    sampled.calls += 1;
    const halvings = Math.floor(sampled.explained / (this.options.callsMax ?? CALLS_MAX));
    const isIn = halvings === 0 || (halvings < 32 && session.key.lo >>> (32 - halvings) === 0);
    if (isIn) sampled.explained += 1;
    return isIn;
  }

  private contentOf(session: string): ComputedContent {
    const { scope = 'run' } = this.options;
    if (scope === 'run') return this.shared;
    if (scope === 'call') return new ComputedContent();
    const known = this.own.get(session) ?? new ComputedContent();
    this.own.set(session, known);
    return known;
  }

  private placeOf(pool: string, replica: string | null): Place {
    const name = replica ?? pool;
    const known = this.places.get(name) ?? { pool, replica };
    this.places.set(name, known);
    return known;
  }

  private ended(flight: Flight, result: CallResult, nowMs: number): void {
    const { request, rule, author, content, sentMs } = flight;
    const { call } = request;
    const { cachedTokens, firstTokenMs } = result;
    const place = this.placeOf(request.pool, result.replica);
    if (cachedTokens !== null) {
      result.misses = missesOf(
        {
          author,
          place,
          rule,
          atMs: result.scheduledMs ?? sentMs,
          plannedTokens: call.promptTokens,
          promptTokens: result.promptTokens ?? call.promptTokens,
          cachedTokens,
          warmTokens: call.warmTokens,
          parts: call.parts,
          iteration: call.iteration,
        },
        flight.end ?? content.find(call.prompt),
      );
    }
    const sinceMs = firstTokenMs ?? nowMs;
    const isTimed = rule.ttlMs < Number.POSITIVE_INFINITY;
    const end = flight.end ?? this.givenUp(flight, result, nowMs);
    if (end === null) return;
    // An API keeps a prompt from its first token on; an engine lets go of it at the end.
    hold(end, place, sinceMs, rule.answers === 'nowhere' ? sinceMs : nowMs, isTimed);
    // The last token was never read.
    const answer = headOf(call.output, result.outputTokens - 1);
    if (answer.length === 0 || rule.answers === 'nowhere') return;
    const tail = content.computed(answer, author, nowMs, { from: end, isAnswer: true });
    const half = rule.answers === 'here' ? place : this.placeOf(request.pool, null);
    hold(tail, half, nowMs, nowMs, isTimed);
  }

  /** It ended before its first token: so much of its prompt was computed; null: nothing. */
  private givenUp(
    { request, author, content }: Flight,
    { scheduledMs, cachedTokens, computedTokens }: CallResult,
    nowMs: number,
  ): Stretch | null {
    if (scheduledMs === null) return null;
    const tokens = (cachedTokens ?? 0) + (computedTokens ?? 0);
    return tokens === 0 ? null : content.computed(headOf(request.call.prompt, tokens), author, nowMs);
  }
}
