// The contract of a routing policy: choose one replica of the pool for one request. A policy reads the view, changes
// nothing in it, and remembers only what it keeps itself. True output lengths are not in the view.
import type { Key } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';

/** The replicas of one pool as the gateway sees them; arrays are parallel, a row per replica. */
export interface RoutingView {
  /** Age of the scraped columns, ms; router-local counts are exact. */
  ageMs: number;
  replicas: readonly string[];
  /** Requests this router sent and has not seen the end of. */
  outstanding: readonly number[];
}

export interface RoutingArrival {
  session: string;
  /** Session name as a key, for consistent choices. */
  sessionKey: Key;
  /** Named content; in the live replay the text stands for it. */
  prompt: readonly Run[];
  promptTokens: number;
}

export interface Router {
  /** Returns a row of `view.replicas`. */
  route(arrival: RoutingArrival, view: RoutingView): number;
}

export interface RoutingPolicy {
  name: string;
  /** One line for --help and the catalogue. */
  doc: string;
  /** Systems and papers that have it, under their own names. */
  source: string;
  /** Makes one router for one pool. */
  create(options: Record<string, unknown>): Router;
}

export const defineRoutingPolicy = (policy: RoutingPolicy): RoutingPolicy => policy;
