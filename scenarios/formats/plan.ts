// The plan: a lazy list of sessions, each a program and the instant it starts. Nothing is drawn before it is asked for,
// so a plan of any length needs no memory.

import type { OpenArrival } from '../arrivals/arrivals.ts';
import type { Key } from '../base/key.ts';
import type { DrawnValues } from '../workflows/draws.ts';
import type { Program } from '../workflows/progress.ts';
import type { Assertion } from './assertion.ts';
import type { ScenarioRules } from './rules.ts';

/** One session about to start. */
export interface PlannedSession {
  /** `cohort/ordinal`, or `cohort/agent.ordinal` in a closed cohort. */
  readonly id: string;
  readonly cohort: string;
  readonly tenant: string | null;
  /** One of the tenant's users; null where the scenario has none. */
  readonly user: string | null;
  /** Of its calls, where they have none of their own: higher goes first in an engine with priorities. */
  readonly priority: number;
  readonly key: Key;
  readonly plannedMs: number;
  readonly program: Program;
}

interface CohortBase {
  readonly name: string;
  readonly index: number;
  readonly tenant: string | null;
}

/** Sessions start by the clock, whatever becomes of the earlier ones. */
export interface OpenCohort extends CohortBase {
  readonly kind: 'open';
  readonly arrival: OpenArrival;
  /** In order of plannedMs; may be drawn again from the start. */
  sessions(log?: DrawnValues): Iterable<PlannedSession>;
}

/** Each agent starts its next session when its last one has ended, after thinking. */
export interface ClosedCohort extends CohortBase {
  readonly kind: 'closed';
  readonly agents: number;
  /** The agent's `ordinal`-th session, or null when it has done its share. */
  session(agent: number, ordinal: number, readyMs: number, log?: DrawnValues): PlannedSession | null;
  thinkMs(agent: number, ordinal: number): number;
}

export type Cohort = OpenCohort | ClosedCohort;

export interface Plan {
  readonly name: string;
  readonly sha256: string;
  readonly seed: number | string;
  readonly cohorts: readonly Cohort[];
  readonly assertions: readonly Assertion[];
  /** Model aliases that calls may name, and the catalogue id behind each. */
  readonly models: ReadonlyMap<string, ModelAlias>;
  /** Every alias or trace model that a call may name. */
  readonly modelsUsed: readonly string[];
  /** Sessions in all where that is known beforehand. */
  readonly sessionCount: number | null;
  /** Replicas that the scenario takes away. */
  readonly crashes?: readonly PlannedCrash[];
  /** Faults of other kinds. */
  readonly faults?: readonly PlannedFault[];
  /** What the gateway obeys; absent: nothing is said. */
  readonly rules?: ScenarioRules;
}

/** What goes wrong, beside replicas that are lost. */
export interface PlannedFault {
  /** Its place among the scenario's faults, for messages. */
  readonly fault: number;
  readonly kind:
    | 'provider_outage'
    | 'slow_replica'
    | 'network_loss'
    | 'tool_failure'
    | 'degraded_model'
    | 'agent_crash'
    | 'operator_cancel'
    | 'runaway';
  /** A pool, provider, tool, link, workflow or step; null: any. */
  readonly target: string | null;
  /** When it begins, ms; null: at a rate. */
  readonly atMs: number | null;
  readonly perSec: number | null;
  /** How long it lasts, ms; Infinity: to the end. */
  readonly lastsMs: number;
  /** How much slower, or how often. */
  readonly factor: number;
  /** Of calls, runs or sessions that it reaches, 0 to 1. */
  readonly share: number;
  /** What it stands for in the records: `loop`, `prompt_attack`… */
  readonly label: string;
}

/** Replicas that are lost: one at a time, or so often. */
export interface PlannedCrash {
  /** Its place among the scenario's faults, for messages. */
  readonly fault: number;
  /** A pool; null: any. */
  readonly pool: string | null;
  /** When; null: at a rate. */
  readonly atMs: number | null;
  /** How often, per second; null: once. */
  readonly perSec: number | null;
}

export interface ModelAlias {
  readonly alias: string;
  readonly modelId: string;
  /** USD per million tokens, as the scenario says; null: the catalogue's list price. */
  readonly price: { in: number; cachedIn: number; out: number } | null;
}
