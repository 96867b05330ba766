// The contract of a routing policy: choose one replica of the pool for one request. A policy reads the view, changes
// nothing in it, and remembers only what it keeps itself. True output lengths are in no view: nobody knows them.
import type { Key } from '../../scenarios/base/key.ts';
import type { PromptMakeup, Run } from '../../scenarios/formats/prompt.ts';

/** What a router is told of a request. */
export interface RoutingArrival {
  /** Unique among live requests; the same in the events of `observe`. */
  readonly id: number;
  /** Names the call. What a policy draws is hashed from it, so that a draw depends on no other call. */
  readonly key: Key;
  readonly session: string;
  /** Session name as a key, for consistent choices. */
  readonly sessionKey: Key;
  readonly workflow: string;
  readonly tenant: string | null;
  readonly step: string;
  /** Higher goes first. */
  readonly priority: number;
  /** Named content; in the live replay the text stands for it. */
  readonly prompt: readonly Run[];
  /** Of `prompt`, where it is known: an index finds what it shares with the thread's last one without a look. */
  readonly makeup?: PromptMakeup | undefined;
  readonly promptTokens: number;
  /** What the client allows (`max_tokens`); null: it does not say. */
  readonly maxOutputTokens: number | null;
  /** The replica that has its prefix, of an attempt after the first: it goes there, if that one takes requests. */
  readonly prefers?: string | null;
  /** Replicas that have failed too often: it goes to none of them while there is another. */
  readonly avoids?: readonly string[] | null;
}

/** Of each row, tokens at the start of a prompt whose KV is there; of the tiers, beyond what is nearer. */
export interface PrefixHits {
  readonly device: readonly number[];
  readonly host: readonly number[];
  readonly disk: readonly number[];
}

/** The replicas of one pool as the gateway sees them; arrays are parallel, a row for each replica that takes requests. */
export interface RoutingView {
  readonly nowMs: number;
  /** The same array for as long as no replica comes or goes. */
  readonly replicas: readonly string[];
  /** A small number of each replica, never given to another: for tables of one's own. */
  readonly ids: readonly number[];
  /** Requests this router sent and has not seen the end of: exact. */
  readonly outstanding: readonly number[];
  /** Of these, tokens of prompts whose first token has not been seen: exact. */
  readonly prefillTokens: readonly number[];
  /** Of these, tokens of prompts whose first token has been seen: exact, and less than what their KV takes. */
  readonly decodeTokens: readonly number[];
  /** Age of the scraped columns below, ms; Infinity before the first scrape, when they are 0. */
  readonly ageMs: number;
  /** Scraped: requests that wait in the engine. */
  readonly waiting: readonly number[];
  /** Scraped: requests in the engine's batch. */
  readonly running: readonly number[];
  /** Scraped: KV blocks in use over all, 0-1. */
  readonly kvUsedRatio: readonly number[];
  /**
   * What the engines' KV events say of this prompt; costly, so it is computed when asked for, once a request. Null where
   * there are no events: remember what was sent (prefix-index.ts).
   */
  prefixHits(): PrefixHits | null;
}

/** What a router sees of the requests it sent, and of its replicas. */
export type RoutingEvent =
  | { readonly kind: 'first_token'; readonly id: number; readonly replicaId: number; readonly atMs: number }
  /** Answered, failed or given up; `outputTokens` is known from now on. */
  | {
      readonly kind: 'ended';
      readonly id: number;
      readonly replicaId: number;
      readonly atMs: number;
      readonly outputTokens: number;
    }
  | { readonly kind: 'left'; readonly replicaId: number; readonly atMs: number };

export interface Router {
  /** Returns a row of `view`; the request is sent there. There is always at least one. */
  route(arrival: RoutingArrival, view: RoutingView): number;
  /** For policies that keep account of what they sent. */
  observe?(event: RoutingEvent): void;
}

/** What a router is made for. */
export interface RouterSetup {
  /** Of a disaggregated pool each half has a router of its own. */
  readonly role: 'both' | 'prefill' | 'decode';
  /** Of each replica's engine. */
  readonly blockTokens: number;
  readonly kvTokens: number;
  readonly maxBatchedTokens: number;
  readonly maxSequences: number;
}

export interface RoutingPolicy {
  name: string;
  /** One line for --help and the catalogue. */
  doc: string;
  /** Systems and papers that have it, under their own names. */
  source: string;
  /** Makes one router for one pool; throws UserError for options it does not have. */
  create(options: Record<string, unknown>, setup: RouterSetup): Router;
}

export const defineRoutingPolicy = (policy: RoutingPolicy): RoutingPolicy => policy;
