// What is taken out of a trace before it is simulated or replayed, and what that did to it: a window of time, a sample
// of whole sessions, a cap on gaps, pseudonyms. Said beside every figure that rests on it.
import type { ArrivalFigures, ReuseFigures } from './trace-profile.ts';

/** A point of a trace: from its start, or on its own wall clock (Unix ms). */
export type Moment = { readonly elapsedMs: number } | { readonly unixMs: number };

/** What to take; null: all of it, as it is. */
export interface Selection {
  readonly window: { readonly from: Moment | null; readonly to: Moment | null } | null;
  /** Leaves out sessions with a call of more tokens than this, prompt and output: what no served window holds. */
  readonly maxContextTokens: number | null;
  /** Keeps `keep` of every `of` sessions. */
  readonly sample: { readonly keep: number; readonly of: number } | null;
  /** Longest gap that a run keeps, after scaling; only counted here. */
  readonly gapCap: { readonly capMs: number; readonly gapScale: number } | null;
  readonly anonymize: boolean;
}

/** Sessions as load and as cache content: what a sample should keep, and thins out. */
export interface TrafficFigures {
  sessions: number;
  calls: number;
  /** Of sessions; null where they have no common clock. */
  arrivals: ArrivalFigures | null;
  /** Null where no block ids were recorded. */
  reuse: ReuseFigures | null;
}

export interface WindowReport {
  /** From the start of the trace, or of each session. */
  fromMs: number;
  /** Null: to the end. */
  toMs: number | null;
  /** The window of the trace's clock, or, without a common one, of each session's own. */
  clock: 'trace' | 'session';
  sessionsKept: number;
  /** Of these, sessions that lost calls. */
  sessionsCut: number;
  sessionsDropped: number;
  callsKept: number;
  callsDropped: number;
  /** Leading prompt tokens that dropped calls would have left in the cache; a run starts with them cached. */
  primedTokens: number;
}

export interface LongContextReport {
  maxContextTokens: number;
  sessions: number;
  /** Of these, sessions left out. */
  sessionsDropped: number;
}

export interface GapCapReport {
  capMs: number;
  gaps: number;
  /** Gaps over the cap. */
  capped: number;
  /** Sum of all gaps, and how much of it the cap takes away. */
  gapsMs: number;
  removedMs: number;
}

export interface SelectionReport {
  window: WindowReport | null;
  longContexts: LongContextReport | null;
  sample: { keep: number; of: number; before: TrafficFigures; after: TrafficFigures } | null;
  gapCap: GapCapReport | null;
  /** Names and ids replaced; null: not asked for. */
  anonymized: { sessions: number; names: number; blocks: number } | null;
}
