// One model that a provider sells, as it decides about a request: what is wrong, whether its limits let it go, what of the
// prompt its cache has, and how fast it will answer.

import type { HostedModel, TokenPrice } from '../../engines/engine.ts';
import { type LimitClaim, Limiter, type LimitUse } from '../../gateway/limits/limiter.ts';
import { PrefixIndex } from '../../gateway/routing/prefix-index.ts';
import { NANOSECOND_MS } from '../../scenarios/base/instants.ts';
import { extend, type Key, uniform } from '../../scenarios/base/key.ts';
import { drawAmount } from '../../scenarios/formats/amount.ts';
import type { PlannedFault } from '../../scenarios/formats/plan.ts';
import type { HostedSpec } from '../../scenarios/formats/rules.ts';
import type { Call } from '../../scenarios/workflows/progress.ts';
import type { SendRequest } from '../../scenarios/workflows/world.ts';
import { Troubles } from './troubles.ts';

/** Cached prompts are found by so many tokens [OpenAI, prompt caching: in increments of 128]. */
const CACHE_CHUNK_TOKENS = 128;
/** Stretches of prompts that a cache knows at most, some 600 bytes each. */
const CACHE_STRETCHES_MAX = 2 ** 17;
/** The cache knows prompts, not where they are. */
const ANYWHERE = 0;
const ONLY = [ANYWHERE] as const;

const TOKENS_PER_PRICE = 1e6;
const MS_PER_SEC = 1000;

/** Tells draws of one attempt apart. */
const HOSTED = 0x686f7374;
const DRAWS = { trouble: 1, fail: 2, ttft: 3, tpot: 4 } as const;

/** What becomes of a request, decided when it comes. */
export type Answer =
  | { readonly kind: 'refused'; readonly error: string; readonly retryAfterMs: number | null }
  | {
      readonly kind: 'answered';
      readonly cachedTokens: number;
      readonly ttftMs: number;
      readonly tpotMs: number;
      /** It ends in a 5xx in place of its first token. */
      readonly fails: boolean;
    };

const refused = (error: string, retryAfterMs: number | null = null): Answer => ({
  kind: 'refused',
  error,
  retryAfterMs,
});

const usdOf = (price: TokenPrice | null, uncached: number, cached: number, output: number): number =>
  price === null
    ? 0
    : (uncached * price.in + cached * price.cachedIn + output * price.out) / TOKENS_PER_PRICE;

export class ServedModel {
  readonly name: string;
  private readonly model: HostedModel;
  private readonly api: HostedSpec;
  private readonly troubles: Troubles;
  private readonly cache: PrefixIndex | null;
  /** Its provider's, shared by all of its models, and its own. */
  private readonly limiters: readonly Limiter[];

  /** `key`: of the run. */
  constructor(
    model: HostedModel,
    api: HostedSpec,
    shared: {
      readonly key: Key;
      readonly faults: readonly PlannedFault[];
      readonly provider: Limiter | null;
    },
  ) {
    this.name = model.name;
    this.model = model;
    this.api = api;
    this.troubles = new Troubles(shared.key, model, api.outages, shared.faults);
    this.cache =
      api.cache === null
        ? null
        : new PrefixIndex({
            chunkTokens: CACHE_CHUNK_TOKENS,
            ttlMs: api.cache.ttlMs,
            stretchesMax: CACHE_STRETCHES_MAX,
          });
    const own = api.limits.model === null ? null : new Limiter(api.limits.model);
    this.limiters = [shared.provider, own].filter(limiter => limiter !== null);
  }

  /** One that is answered counts at the limits until `ended`. */
  arrive(ticket: number, { call, facts, attempt = 0 }: SendRequest, nowMs: number): Answer {
    const { api, model } = this;
    const { promptTokens, outputTokens } = call;
    const key = extend(facts.key, HOSTED, attempt);
    const { isDown, slowdown } = this.troubles.reach(extend(key, DRAWS.trouble), nowMs);
    if (isDown) return refused('http_503');
    if (model.maxModelTokens !== null && promptTokens + outputTokens > model.maxModelTokens)
      return refused('too_long');
    const cachedTokens = this.cachedOf(call, nowMs);
    const limit = this.limit(ticket, call, cachedTokens, nowMs);
    if (limit !== null) return limit;
    const { ttft, tpot, perInputTokenMs } = api.latency;
    const ttftMs =
      drawAmount(ttft, uniform(extend(key, DRAWS.ttft)), false) +
      perInputTokenMs * (promptTokens - cachedTokens);
    return {
      kind: 'answered',
      cachedTokens,
      ttftMs: ttftMs * slowdown,
      tpotMs: drawAmount(tpot, uniform(extend(key, DRAWS.tpot)), false) * slowdown,
      fails: uniform(extend(key, DRAWS.fail)) < api.failRatio,
    };
  }

  /** Its first token is there: from now on others find its prompt in the cache. True: it was written there. */
  begun({ prompt, promptTokens }: Call, nowMs: number): boolean {
    if (this.api.cache === null || promptTokens < this.api.cache.minTokens) return false;
    this.cache?.add(prompt, ANYWHERE, nowMs);
    return true;
  }

  /** A call that was answered is over; `outputTokens`: those that appeared, null: it failed and costs nothing. */
  ended(ticket: number, call: Call, cachedTokens: number, outputTokens: number | null, nowMs: number): void {
    const use: LimitUse =
      outputTokens === null
        ? { promptTokens: 0, cachedTokens: 0, outputTokens: 0, usd: 0 }
        : {
            promptTokens: call.promptTokens,
            cachedTokens,
            outputTokens,
            usd: usdOf(this.model.price, call.promptTokens - cachedTokens, cachedTokens, outputTokens),
          };
    for (let i = 0; i < this.limiters.length; i++) this.limiters[i]!.ended(ticket, use, nowMs);
  }

  private cachedOf({ prompt, promptTokens, warmTokens }: Call, nowMs: number): number {
    if (this.cache === null) return 0;
    const matched = Math.max(this.cache.match(prompt, ONLY, nowMs)[0]!, warmTokens);
    return matched < this.api.cache!.minTokens ? 0 : Math.min(matched, promptTokens);
  }

  /** A 429, or null: it counts at all limits from now on. */
  private limit(ticket: number, call: Call, cachedTokens: number, nowMs: number): Answer | null {
    const { limiters, model } = this;
    if (limiters.length === 0) return null;
    const { promptTokens, outputTokens, rules } = call;
    const maxOutputTokens = rules?.maxOutputTokens ?? outputTokens;
    const usd = usdOf(model.price, promptTokens - cachedTokens, cachedTokens, maxOutputTokens);
    const claim: LimitClaim = { promptTokens, cachedTokens, maxOutputTokens, usd };
    let waitMs = 0;
    let isTold = true;
    for (let i = 0; i < limiters.length; i++) {
      const retryAfterMs = limiters[i]!.refusal(claim, nowMs)?.retryAfterMs ?? 0;
      if (retryAfterMs <= waitMs) continue;
      waitMs = retryAfterMs;
      isTold = limiters[i]!.rule.retryAfter;
    }
    if (waitMs > 0) {
      // Retry-After is in whole seconds [RFC 9110, 10.2.3].
      const toldMs = Math.ceil((waitMs - NANOSECOND_MS) / MS_PER_SEC) * MS_PER_SEC;
      return refused('http_429', isTold && waitMs < Number.POSITIVE_INFINITY ? toldMs : null);
    }
    for (let i = 0; i < limiters.length; i++) limiters[i]!.take(ticket, claim, nowMs);
    return null;
  }
}
