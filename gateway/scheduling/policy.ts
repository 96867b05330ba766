// The contract of a scheduling policy: how urgent one call is to the engine that gets it. The engine orders its waiting
// requests by it, and preempts the least urgent first (vLLM --scheduling-policy priority). A policy knows the program
// that a call belongs to and what has become of its earlier calls, never how long an answer will be.
import type { RoutingArrival } from '../routing/policy.ts';

/** A call as it reaches the engine. */
export interface ScheduledArrival extends RoutingArrival {
  /** When its session, the program, began. */
  readonly sessionStartMs: number;
  /** When it should have ended, by the SLO of its step or of its workflow; null: no SLO. */
  readonly deadlineMs: number | null;
  /** The calls of its session whose ends released it, by id: its parents in the program's graph. */
  readonly parents: readonly number[];
}

/** A call has ended: what service it has had. */
export interface ServedCall {
  readonly id: number;
  readonly session: string;
  readonly workflow: string;
  readonly step: string;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** From its arrival at the engine to its first admission, and from then to its end. */
  readonly waitedMs: number;
  readonly servedMs: number;
}

export interface Scheduler {
  /** Lower goes first; equal ones in order of arrival. */
  urgency(arrival: ScheduledArrival, nowMs: number): number;
  ended?(call: ServedCall, nowMs: number): void;
  sessionEnded?(session: string, workflow: string, nowMs: number): void;
}

export interface SchedulingPolicy {
  name: string;
  /** One line for --help and the catalogue. */
  doc: string;
  /** Systems and papers that have it, under their own names. */
  source: string;
  /** Makes one for one pool. */
  create(options: Record<string, unknown>): Scheduler;
}

export const defineSchedulingPolicy = (policy: SchedulingPolicy): SchedulingPolicy => policy;
