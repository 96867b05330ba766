// What a run is judged by: an assertion line of a scenario, parsed (`p95(e2e, workflow=ingest) < 8s`), or an SLO.
import type { InputPath } from '../base/issue.ts';

export type AssertionFunction =
  | { kind: 'quantile'; quantile: number; metric: AssertedMetric }
  | { kind: 'mean' | 'max'; metric: AssertedMetric }
  | { kind: 'rate'; code: string }
  | { kind: 'cache_hit' }
  /** The share that ends well and keeps every limit (ms); sessions have only an e2e. */
  | { kind: 'attainment'; of: 'calls' | 'sessions'; withinMs: Partial<Record<SloMetric, number>> }
  | { kind: 'count'; what: 'calls' | 'workflows' | 'tool_calls' };

/** What an SLO may bound. */
export type SloMetric = 'ttft' | 'itl' | 'tpot' | 'e2e';

/** Latencies in ms, by the names people use. */
export type AssertedMetric = 'ttft' | 'itl' | 'tpot' | 'e2e' | 'queue' | 'makespan';

/** `e2e` filtered by `workflow=` alone means the workflow's makespan; with step or role, the call's E2E. */
export interface Assertion {
  /** As written. */
  text: string;
  subject: AssertionFunction;
  filter: { workflow?: string; cohort?: string; role?: string; step?: string; model?: string };
  op: '<' | '<=' | '>' | '>=' | '==';
  /** In the metric's unit: ms, a ratio from 0 to 1, or a count. */
  target: number;
  /** Where in the scenario. */
  path?: InputPath;
  /** In which file; columns and lines count from 1. */
  at?: Place;
}

export interface Place {
  file: string;
  line: number;
  column: number;
}
