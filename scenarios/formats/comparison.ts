// comparison.json: runs held against a baseline run, figure by figure, with the uncertainty of each difference.
// COMPARISON_SCHEMA_VERSION rises when a field changes its meaning; new fields may be added.
import type { RunResult } from './result.ts';

export const COMPARISON_SCHEMA_VERSION = 1;

/** What two runs are compared by: one number of a run, or of one block of it. */
export interface Figure {
  /** `makespan.p95`, `ttft.p50`, `goodput.workflows`, `cost.per1000Workflows`, `errors`… */
  readonly id: string;
  readonly label: string;
  readonly unit: 'ms' | 'ratio' | 'perSec' | 'tokensPerSec' | 'usd' | 'count';
  readonly better: 'lower' | 'higher';
  /** Primary figures gate; the others inform. */
  readonly isPrimary: boolean;
}

/** The values of one figure over the independent blocks of one side: seeds of a simulation, blocks of time live. */
export interface FigureBlocks extends Figure {
  /** In block order; null where a block has no value. */
  readonly values: readonly (number | null)[];
}

export type Verdict = 'improved' | 'unchanged' | 'regressed' | 'inconclusive';

/** How the blocks of the two sides belong together. */
export type Pairing =
  /** Equal digests: the same run. */
  | 'identical'
  /** The same seeds on both sides: differences by seed. */
  | 'seeds'
  /** Live blocks that took turns (A B B A). */
  | 'interleaved'
  /** Live blocks of runs made one after the other: time itself may have made the difference. */
  | 'apart'
  /** One deterministic run on each side (a trace without seeds): the difference is exact. */
  | 'exact';

export interface FigureComparison extends Figure {
  /** Means over the blocks; null where a side has no value. */
  readonly baseline: number | null;
  readonly candidate: number | null;
  /** (candidate - baseline) / baseline; null where it is not defined. */
  readonly changeRatio: number | null;
  /** 95 % interval of changeRatio; null: none can be given (one block), and exact where both ends are equal. */
  readonly ci95: readonly [number, number] | null;
  /** Corrected for the number of primary figures (Holm); null: no test was made. */
  readonly pValue: number | null;
  /** A change under this share is no change. */
  readonly minEffectRatio: number;
  readonly verdict: Verdict;
  /** Further blocks a side that would settle it, at the spread that was seen; null: it is settled. */
  readonly blocksMissing: number | null;
}

/** One difference between the inputs of two runs, and what undoing it alone does. */
export interface ExplainedDifference {
  /** `deployment: pools.main.replicas`, `scenario: params.width`, `seed`, `routing`. */
  readonly where: string;
  readonly baseline: string;
  readonly candidate: string;
  /** Of the change of each primary figure, what disappears when this alone is as in the baseline; ratio of the baseline. */
  readonly effects: readonly { readonly id: string; readonly changeRatio: number | null }[];
  /** What could not be simulated with it undone, in words; null: it could. */
  readonly problem: string | null;
}

/** The first thing that happened otherwise in two simulations of the same plan. */
export interface FirstDifference {
  readonly atMs: number;
  readonly session: string;
  readonly call: string | null;
  /** `replica was gpu/0, is gpu/1`. */
  readonly text: string;
}

/** One candidate against the baseline. */
export interface RunComparison {
  readonly name: string;
  readonly pairing: Pairing;
  readonly blocks: number;
  readonly figures: readonly FigureComparison[];
  /** The primary figures together: the worst of them. */
  readonly verdict: Verdict;
  /** One sentence: the answer. */
  readonly headline: string;
  readonly firstDifference: FirstDifference | null;
  readonly explained: readonly ExplainedDifference[] | null;
  /** What the reader must know before trusting it. */
  readonly warnings: readonly string[];
}

export interface ComparisonResult {
  readonly schemaVersion: number;
  readonly kind: 'comparison';
  readonly baselineName: string;
  /** Of the first seed or block each; the baseline first. What the page shows under the comparison. */
  readonly runs: readonly RunResult[];
  readonly comparisons: readonly RunComparison[];
  /** Of a gate: whether it holds; null where none was asked for. */
  readonly gate: GateResult | null;
}

/** What a gate decided, and by what. */
export interface GateResult {
  readonly pass: boolean;
  readonly checks: readonly GateCheck[];
}

export interface GateCheck {
  /** `figure makespan.p95`, `assert ttft.p95 < 500ms`, `shape calls`. */
  readonly name: string;
  readonly status: 'pass' | 'fail' | 'inconclusive' | 'info';
  /** One clause with its numbers. */
  readonly text: string;
  readonly value: number | null;
  readonly baseline: number | null;
  readonly unit: string;
  readonly better: 'lower' | 'higher';
  readonly changeRatio: number | null;
  readonly ci95: readonly [number, number] | null;
  /** Where the promise is written; null: nowhere in a file. */
  readonly at: { readonly file: string; readonly line: number; readonly column: number } | null;
}
