// The contract of an autoscaler: how many replicas a pool should have, asked for at even intervals. It sees what its
// system would see: metrics of an age, counts since the last look, what was asked for and is not ready yet.
import type { EngineLimits, StepModel } from '../../engines/engine.ts';

/** One ready replica, as last scraped. */
export interface ReplicaSignals {
  readonly running: number;
  readonly waiting: number;
  /** KV blocks in use over all, 0-1. */
  readonly kvUsedRatio: number;
  /** When it became ready. */
  readonly readySinceMs: number;
}

/** What came and went at one pool (or one half of a disaggregated one) since the last look of this loop. */
export interface Flow {
  readonly overMs: number;
  /** Calls that came. */
  readonly arrivals: number;
  /** Calls that ended well. */
  readonly ended: number;
  /** Of those that came: tokens of their prompts. Of those that ended: of their outputs; and what the cache held. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  /** Means over those that ended; 0 without any. From the arrival at the pool. */
  readonly ttftMs: number;
  readonly itlMs: number;
}

export interface ScalingView {
  readonly nowMs: number;
  /** Ready and taking requests. */
  readonly ready: number;
  /** Asked for, not ready yet. */
  readonly starting: number;
  /** Finishing what they have. */
  readonly draining: number;
  /** Of the ready ones, `signalAgeMs` old. */
  readonly replicas: readonly ReplicaSignals[];
  readonly signalAgeMs: number;
  /** Calls that wait at the gateway, because no replica is ready or the gate holds them: exact. */
  readonly queuedAtGateway: number;
  /** Calls sent and not ended, and those the gate holds: exact, the gateway counts them itself. */
  readonly inFlight: number;
  /** Sessions that have sent a call to this pool and are not over: exact. */
  readonly sessions: number;
  /** Since the last look. */
  readonly flow: Flow;
  /** Since the last call came, ms; Infinity before the first. */
  readonly idleMs: number;
  readonly min: number;
  readonly max: number;
}

/** What an autoscaler is made for. */
export interface ScalingSetup {
  readonly role: 'both' | 'prefill' | 'decode';
  readonly limits: EngineLimits;
  /** Planners that know their engine ask it. */
  readonly step: StepModel;
  readonly gpusPerReplica: number;
  /** Output tokens of a decode step for each sequence: above 1 with speculative decoding. */
  readonly tokensPerStep: number;
  /** From the wish for a replica to its first answer, as a rule: the median; 0 where it is ready at once. */
  readonly coldStartMs: number;
  /** What is to come, for the oracle alone: the work that arrives in a window, as planned. Null: nobody knows. */
  readonly oracle: OracleView | null;
}

export interface OracleView {
  /** Calls that the plan wants from one instant up to, not at, another if nothing holds it up; of their prompts, what the
   * cache then has. */
  demand(
    fromMs: number,
    toMs: number,
  ): { calls: number; promptTokens: number; cachedTokens: number; outputTokens: number };
  /** Most KV entries that the open sessions have between two instants, each counted once. */
  heldTokens(fromMs: number, toMs: number): number;
}

export interface Autoscaler {
  /** Between two looks, ms; it may change from look to look, for those that watch an empty pool more closely. */
  readonly intervalMs: number;
  /** Replicas wanted from now on, ready and starting together; the pool keeps it within min and max. */
  desired(view: ScalingView): number;
}

export interface ScalingPolicy {
  name: string;
  /** One line for --help and the catalogue. */
  doc: string;
  /** Systems and papers that have it, under their own names. */
  source: string;
  /** Options as in the deployment file, durations in ms. */
  create(options: Record<string, unknown>, setup: ScalingSetup): Autoscaler;
}

export const defineScalingPolicy = (policy: ScalingPolicy): ScalingPolicy => policy;
