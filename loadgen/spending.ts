// What a live run may send and spend at most. Pure. Rule: a request is counted, and the most that it can cost set aside,
// before it is sent; at its end the server's own usage takes that place.
import type { TokenPrice } from '../scenarios/formats/ledger.ts';

export interface SpendingLimits {
  /** Null: as many as there are. */
  readonly maxRequests: number | null;
  /** Null: whatever it costs. */
  readonly maxUsd: number | null;
}

export interface SpendingOptions extends SpendingLimits {
  /** Of a target, by the alias that was asked for; null: it is not sold by the token. */
  readonly price: (target: string, model: string) => TokenPrice | null;
  /** Of replicas of our own, which cost time whatever they do. */
  readonly usdPerHour: number;
}

/** A request as it is about to be sent. */
export interface SpendRequest {
  readonly target: string;
  /** The alias that was asked for. */
  readonly model: string;
  /** As planned. */
  readonly promptTokens: number;
  /** What the server is told as the limit of its answer, reasoning included. */
  readonly outputTokens: number;
}

/** What the server says of a call that has ended. */
export interface SpentUsage {
  /** Null: it did not count. */
  readonly promptTokens: number | null;
  /** Of these. */
  readonly cachedTokens: number | null;
  readonly outputTokens: number;
  /** Of the answer's head; null: none came. What was refused is free. */
  readonly httpStatus: number | null;
}

const NANOS_PER_USD = 1e9;
const MS_PER_HOUR = 3_600_000;

/** A planned token is a word of 12 letters and a space at most, and byte-level tokenizers make no more tokens than bytes. */
const TOKENS_PER_PLANNED_MAX = 13;
/** Above the highest share that a target has shown. */
const MARGIN = 1.5;
/** The template around messages; prompts of the plan that are shorter than this say nothing of the tokenizer. */
const TEMPLATE_TOKENS = 64;

interface Reserved {
  readonly nanos: number;
  readonly request: SpendRequest;
}

export class Spending {
  /** Sent so far. */
  requests = 0;
  private readonly options: SpendingOptions;
  private readonly open = new Map<number, Reserved>();
  /** Of calls that have ended, and the most that those in flight can cost. */
  private nanos = 0;
  /** Most tokens that each target has counted for a planned one. */
  private readonly perPlanned = new Map<string, number>();

  constructor(options: SpendingOptions) {
    this.options = options;
  }

  /** So far, `runMs` after the start, with the most that calls in flight can cost. */
  usd(runMs: number): number {
    return this.nanos / NANOS_PER_USD + (this.options.usdPerHour * runMs) / MS_PER_HOUR;
  }

  /**
   * Counts a request that is to be sent now, `runMs` after the start of the run. Null: it may go, and `ended` must be told
   * of its end. Else why the run has to stop: it must not go, and nothing was counted.
   */
  begin(id: number, request: SpendRequest, runMs: number): string | null {
    const { maxRequests, maxUsd } = this.options;
    if (maxRequests !== null && this.requests >= maxRequests)
      return `--max-requests ${maxRequests}: as many requests have been sent`;
    const nanos = this.most(request);
    const spentUsd = this.usd(runMs);
    const nextUsd = nanos / NANOS_PER_USD;
    if (maxUsd !== null && spentUsd + nextUsd > maxUsd) {
      return `--max-usd ${maxUsd}: ${shown(spentUsd)} is spent or under way, and the next request may cost ${shown(nextUsd)}`;
    }
    this.requests += 1;
    this.nanos += nanos;
    this.open.set(id, { nanos, request });
    return null;
  }

  /** A request that `begin` let go has ended, well or not. Where the server did not count, it cost all that it could. */
  ended(id: number, usage: SpentUsage): void {
    const reserved = this.open.get(id);
    if (reserved === undefined) return;
    this.open.delete(id);
    const { request } = reserved;
    const { promptTokens, cachedTokens, outputTokens, httpStatus } = usage;
    this.nanos -= reserved.nanos;
    if (promptTokens === null) {
      if (httpStatus === 200) this.nanos += reserved.nanos;
      return;
    }
    this.nanos += this.nanosOf(request, promptTokens, cachedTokens ?? 0, outputTokens);
    if (request.promptTokens < TEMPLATE_TOKENS) return;
    const { target } = request;
    const seen = this.perPlanned.get(target) ?? 0;
    this.perPlanned.set(target, Math.max(seen, promptTokens / request.promptTokens));
  }

  /** The most that it can cost. */
  private most(request: SpendRequest): number {
    const seen = this.perPlanned.get(request.target);
    const ratio =
      seen === undefined ? TOKENS_PER_PLANNED_MAX : Math.min(TOKENS_PER_PLANNED_MAX, seen * MARGIN);
    const promptTokens = Math.ceil(request.promptTokens * ratio) + TEMPLATE_TOKENS;
    return this.nanosOf(request, promptTokens, 0, request.outputTokens);
  }

  /** Whole, rounded up. What no cache had is charged as written to one, where that costs more. */
  private nanosOf(
    { target, model }: SpendRequest,
    promptTokens: number,
    cachedTokens: number,
    outputTokens: number,
  ): number {
    const price = this.options.price(target, model);
    if (price === null) return 0;
    const cached = Math.min(cachedTokens, promptTokens);
    const uncached = (promptTokens - cached) * Math.max(price.in, price.cacheWrite);
    const micros = uncached + cached * price.cachedIn + outputTokens * price.out;
    return Math.ceil((micros * NANOS_PER_USD) / 1e6);
  }
}

const shown = (usd: number): string => `${usd.toPrecision(3)} USD`;
