// The contract of admission: whether a call goes on at once, waits at the gateway, or is turned away. It stands before
// routing, in both worlds, and never sees inside an engine but through the pool's view.
import type { RouterSetup, RoutingArrival, RoutingView } from '../routing/policy.ts';

export interface AdmissionArrival extends RoutingArrival {
  readonly pool: string;
  /** No call of its session has come before. */
  readonly isFirst: boolean;
  /** When it should have ended, by an SLO; null: none. */
  readonly deadlineMs: number | null;
}

/** Why a call was turned away: the reason code of its record. */
export type Refusal = 'shed' | 'queue_full' | 'queue_timeout' | 'rate_limited';

export type Verdict = { readonly kind: 'send' } | { readonly kind: 'wait' } | Refused;
export interface Refused {
  readonly kind: 'refuse';
  readonly reason: Refusal;
}

/** What the gate sees of the pools behind it; `prefixHits` are of the last prompt that was routed: not for a gate. */
export interface PoolsView {
  view(pool: string): RoutingView;
}

/** What a gate is made for: by pool, of each replica's engine. */
export type AdmissionSetup = Readonly<
  Record<string, Readonly<Pick<RouterSetup, 'maxBatchedTokens' | 'kvTokens'>>>
>;

interface Limits {
  readonly maxBatchedTokens: number;
  readonly kvBlocks: number;
  readonly blockTokens: number;
}
/** A pool as far as gates are made for it. */
export interface PoolLimits {
  readonly name: string;
  readonly limits: Limits;
  readonly disaggregation: { readonly prefill: { readonly limits: Limits } } | null;
}

/** Of a disaggregated pool, the budget of a step where prompts are computed, and the KV where answers are. */
export const admissionSetup = (pools: readonly PoolLimits[]): AdmissionSetup =>
  Object.fromEntries(
    pools.map(({ name, limits, disaggregation }) => [
      name,
      {
        maxBatchedTokens: (disaggregation?.prefill ?? { limits }).limits.maxBatchedTokens,
        kvTokens: limits.kvBlocks * limits.blockTokens,
      },
    ]),
  );

export interface Gate {
  arrive(arrival: AdmissionArrival, nowMs: number, pools: PoolsView): Verdict;
  /** A call that was sent has ended, whatever became of it. */
  ended(id: number, nowMs: number): void;
  /** A call that waits is no longer wanted; false: it does not wait. */
  withdraw(id: number): boolean;
  sessionEnded(session: string, nowMs: number): void;
  /** Calls that waited and go on now, in order, and calls that are turned away now. */
  due(
    nowMs: number,
    pools: PoolsView,
  ): { send: readonly number[]; refuse: readonly { id: number; reason: Refusal }[] };
  /** When `due` may have something without any call coming or ending: expiry, refill, a new scrape; Infinity for never. */
  nextMs(): number;
  /** Calls that wait. */
  readonly waiting: number;
}

export interface AdmissionPolicy {
  name: string;
  /** One line for --help and the catalogue. */
  doc: string;
  /** Systems and papers that have it, under their own names. */
  source: string;
  /** Makes one for a deployment. */
  create(options: Record<string, unknown>, setup: AdmissionSetup): Gate;
}

export const defineAdmissionPolicy = (policy: AdmissionPolicy): AdmissionPolicy => policy;
