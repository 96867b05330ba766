// What a run cost, in whole nano-dollars: every breakdown of a total sums to it exactly.
import type { Waste } from './record.ts';

/** USD per million tokens. */
export interface TokenPrice {
  in: number;
  cachedIn: number;
  cacheWrite: number;
  out: number;
}

/**
 * Marginal time of work on a set of replicas, ns: of a prompt token that is computed, of an output token after the first,
 * and of each context token that such a one reads.
 */
export interface WorkRate {
  readonly prefillNs: number;
  readonly decodeNs: number;
  readonly contextNs: number;
}

/** A model that is sold by the token, beside what GPUs of one's own serve. */
export interface ApiOffer {
  /** By its id in the catalogue of prices, or as the deployment calls it. */
  readonly model: string;
  readonly price: TokenPrice;
  /** `same`: the very model that is served; `near`: the nearest in size; `used`: the deployment buys from it already. */
  readonly relation: 'same' | 'near' | 'used';
  /** Day of the list price; null: it is the deployment's own. */
  readonly asOf: string | null;
}

/** What things cost, and how work is weighed. */
export interface CostBasis {
  /** What could be bought in place of GPUs, the nearest first. */
  readonly offers?: readonly ApiOffer[];
  /** Of each set of replicas: `pool`, or `pool/prefill` beside it. */
  readonly rates: ReadonlyMap<string, WorkRate>;
  /** Of what a provider sells, by target and by the alias that was asked for; null: it is not sold by the token. */
  price(target: string, model: string): TokenPrice | null;
}

export const COST_COMPONENTS = [
  'gpu_work',
  'gpu_idle',
  'api_input',
  'api_cached_input',
  'api_cache_write',
  'api_output',
  'tools',
  'tools_idle',
  'classifier',
] as const;
export type CostComponent = (typeof COST_COMPONENTS)[number];

/** By what a cost is attributed. `user` is `tenant/user`. */
export const COST_DIMENSIONS = ['workflow', 'step', 'role', 'tenant', 'user', 'target'] as const;
export type CostDimension = (typeof COST_DIMENSIONS)[number];

/** Rows for what nobody in particular caused; no name in a scenario has parentheses. */
export const IDLE_GROUP = '(idle GPUs)';
export const IDLE_TOOLS_GROUP = '(idle sandboxes)';
export const CLASSIFIER_GROUP = '(classifier)';
export const NO_GROUP = '(none)';

export interface LedgerRow {
  readonly group: string;
  readonly nanos: number;
  /** Of these, paid for in vain. */
  readonly wastedNanos: number;
}

export interface WasteRow {
  readonly reason: Waste;
  readonly nanos: number;
  /** Prompt and output tokens. */
  readonly tokens: number;
  readonly gpuSeconds: number;
}

/** Amounts in nano-dollars. Rows of each dimension sum to `totalNanos`; the most expensive come first. */
export interface Ledger {
  readonly totalNanos: number;
  readonly components: Readonly<Record<CostComponent, number>>;
  readonly rows: Readonly<Record<CostDimension, readonly LedgerRow[]>>;
  readonly waste: readonly WasteRow[];
  /** Of each attempt (in a run without a gateway: of each call) and each tool run, in the order of the records. */
  readonly attemptNanos: Float64Array;
  readonly toolNanos: Float64Array;
  /** GPU-seconds that replicas computed, and that were paid for. */
  readonly gpuSeconds: { readonly busy: number; readonly paid: number };
  /** Of the busy ones, those that computed prompts: by the marginal times of prompt tokens and of decodes. */
  readonly prefillGpuSeconds: number;
  /** What the amounts leave out or assume, a sentence each. */
  readonly notes: readonly string[];
}

export const NANOS_PER_USD = 1e9;
