// The limits of one API, or of one who shares ours: requests, tokens, calls at once and USD, counted as vendors do
// (reserve, then settle; charge afterwards; reserve a fraction). All limits let a call go, or none takes anything of it.
import { IdTable } from '../../scenarios/base/id-table.ts';
import type { LimitRule } from '../../scenarios/formats/rules.ts';
import { Bucket } from './bucket.ts';
import { SpendWindow } from './spend-window.ts';

/** What a call may use at most, as far as is known before. */
export interface LimitClaim {
  readonly promptTokens: number;
  /** Expected from a cache; 0 where unknown. */
  readonly cachedTokens: number;
  readonly maxOutputTokens: number;
  readonly usd: number;
}

/** What it used. */
export interface LimitUse {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly usd: number;
}

export type LimitBy = 'rpm' | 'tpm' | 'input_tpm' | 'output_tpm' | 'concurrency' | 'spend';

export interface LimitRefusal {
  readonly by: LimitBy;
  /**
   * When it would go if nobody else asks, ms from now. Infinity: not by time; either it is larger than the limit ever
   * allows, or only the end of another call makes room (`concurrency`, or `spend` that calls under way have reserved).
   */
  readonly retryAfterMs: number;
}

/** What a bucket must hold for a call that is charged afterwards. */
const ONE_TOKEN = 1;
/** Share of a spend limit that leaves something of it. */
const BELOW_LIMIT = 1 - 1e-9;
/** Amounts that are kept of a call under way: input tokens, output tokens, USD. */
const KEPT = 3;

/** Amounts reserved by calls under way: a row for each, used again once it has ended. */
class Reservations {
  private readonly rowOf = new IdTable<number>(16);
  private readonly free: number[] = [];
  private rows = 0;
  private amounts = new Float64Array(8 * KEPT);

  get size(): number {
    return this.rowOf.size;
  }

  set(id: number, input: number, output: number, usd: number): void {
    const row = this.free.pop() ?? this.rows++;
    if ((row + 1) * KEPT > this.amounts.length) {
      const { amounts } = this;
      this.amounts = new Float64Array(amounts.length * 2);
      this.amounts.set(amounts);
    }
    this.amounts[row * KEPT] = input;
    this.amounts[row * KEPT + 1] = output;
    this.amounts[row * KEPT + 2] = usd;
    this.rowOf.set(id, row);
  }

  /** Row of a call; undefined: it is not under way. It stays as it is until the next `set`. */
  take(id: number): number | undefined {
    const row = this.rowOf.get(id);
    if (row === undefined) return undefined;
    this.rowOf.delete(id);
    this.free.push(row);
    return row;
  }

  input(row: number): number {
    return this.amounts[row * KEPT]!;
  }
  output(row: number): number {
    return this.amounts[row * KEPT + 1]!;
  }
  usd(row: number): number {
    return this.amounts[row * KEPT + 2]!;
  }
}

const bucket = (perMinute: number | null, burstMs: number, least?: number): Bucket | null =>
  perMinute === null ? null : new Bucket(perMinute, burstMs, least);

/**
 * A call is counted from `ask` or `take` to `ended`; ids are whole numbers from 0 on, and one that is not under way ends
 * without effect. A burst below one request still lets one through at a time. Hot: constant time, no garbage where a call goes.
 */
export class Limiter {
  readonly rule: LimitRule;
  private readonly requests: Bucket | null;
  private readonly tokens: Bucket | null;
  private readonly input: Bucket | null;
  private readonly output: Bucket | null;
  private readonly spend: SpendWindow | null;
  private readonly reserved = new Reservations();
  private reservedUsd = 0;

  constructor(rule: LimitRule) {
    const { rpm, tpm, inputTpm, outputTpm, burstMs, spend } = rule;
    this.rule = rule;
    this.requests = bucket(rpm, burstMs, 1);
    this.tokens = bucket(tpm, burstMs);
    this.input = bucket(inputTpm, burstMs);
    this.output = bucket(outputTpm, burstMs);
    this.spend = spend === null ? null : new SpendWindow(spend.windowMs);
  }

  /** null: it may go, and counts from now on; else why not. Takes nothing when refused. */
  ask(id: number, claim: LimitClaim, nowMs: number): LimitRefusal | null {
    const refusal = this.refusal(claim, nowMs);
    if (refusal === null) this.take(id, claim, nowMs);
    return refusal;
  }

  /** Why a call may not go now; of several limits, the one that it waits for longest. Takes nothing. */
  refusal(claim: LimitClaim, nowMs: number): LimitRefusal | null {
    const { rule, spend } = this;
    const isLater = rule.accounting === 'charge_after';
    const input = isLater ? ONE_TOKEN : this.inputOf(claim);
    const output = isLater ? ONE_TOKEN : this.outputOf(claim);
    let by: LimitBy = 'rpm';
    let waitMs = this.requests?.waitMs(1, nowMs) ?? 0;
    const tokensMs = this.tokens?.waitMs(isLater ? ONE_TOKEN : input + output, nowMs) ?? 0;
    if (tokensMs > waitMs) {
      by = 'tpm';
      waitMs = tokensMs;
    }
    const inputMs = this.input?.waitMs(input, nowMs) ?? 0;
    if (inputMs > waitMs) {
      by = 'input_tpm';
      waitMs = inputMs;
    }
    const outputMs = this.output?.waitMs(output, nowMs) ?? 0;
    if (outputMs > waitMs) {
      by = 'output_tpm';
      waitMs = outputMs;
    }
    const spendMs = spend === null ? 0 : this.spendWaitMs(spend, claim.usd, nowMs);
    if (spendMs > waitMs) {
      by = 'spend';
      waitMs = spendMs;
    }
    if (rule.concurrency !== null && this.reserved.size >= rule.concurrency) {
      if (waitMs < Number.POSITIVE_INFINITY) by = 'concurrency';
      waitMs = Number.POSITIVE_INFINITY;
    }
    return waitMs === 0 ? null : { by, retryAfterMs: waitMs };
  }

  /** A call goes, whether there is room or not. */
  take(id: number, claim: LimitClaim, nowMs: number): void {
    const isLater = this.rule.accounting === 'charge_after';
    const input = isLater ? 0 : this.inputOf(claim);
    const output = isLater ? 0 : this.outputOf(claim);
    const usd = isLater ? 0 : claim.usd;
    this.requests?.take(1, nowMs);
    this.charge(input, output, nowMs);
    if (this.spend !== null) this.reservedUsd += usd;
    this.reserved.set(id, input, output, usd);
  }

  /** A call that went has ended: what was reserved is settled by what it used. */
  ended(id: number, use: LimitUse, nowMs: number): void {
    const { reserved } = this;
    const row = reserved.take(id);
    if (row === undefined) return;
    const input = this.counted(use.promptTokens, use.cachedTokens);
    this.charge(input - reserved.input(row), use.outputTokens - reserved.output(row), nowMs);
    if (this.spend === null) return;
    // Nothing is left of sums of fractions once nobody is under way.
    this.reservedUsd = reserved.size === 0 ? 0 : this.reservedUsd - reserved.usd(row);
    this.spend.spend(use.usd, nowMs);
  }

  /** Nothing that it remembers matters any more: a new one would decide the same. */
  isIdle(nowMs: number): boolean {
    const { requests, tokens, input, output, spend } = this;
    return (
      this.reserved.size === 0 &&
      (requests === null || requests.isFull(nowMs)) &&
      (tokens === null || tokens.isFull(nowMs)) &&
      (input === null || input.isFull(nowMs)) &&
      (output === null || output.isFull(nowMs)) &&
      (spend === null || spend.spentUsd(nowMs) === 0)
    );
  }

  private charge(input: number, output: number, nowMs: number): void {
    this.tokens?.take(input + output, nowMs);
    this.input?.take(input, nowMs);
    this.output?.take(output, nowMs);
  }

  private counted(promptTokens: number, cachedTokens: number): number {
    return this.rule.cachedCounts ? promptTokens : Math.max(0, promptTokens - cachedTokens);
  }

  private inputOf({ promptTokens, cachedTokens }: LimitClaim): number {
    return this.counted(promptTokens, cachedTokens);
  }

  private outputOf({ maxOutputTokens }: LimitClaim): number {
    return this.rule.accounting === 'fraction' ? this.rule.fraction * maxOutputTokens : maxOutputTokens;
  }

  /** Charged afterwards, a call goes while the window has anything left. */
  private spendWaitMs(spend: SpendWindow, usd: number, nowMs: number): number {
    const limitUsd = this.rule.spend!.usd;
    if (this.rule.accounting !== 'charge_after')
      return spend.waitMs(limitUsd - this.reservedUsd - usd, nowMs);
    return spend.spentUsd(nowMs) < limitUsd ? 0 : spend.waitMs(limitUsd * BELOW_LIMIT, nowMs);
  }
}
