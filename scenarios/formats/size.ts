// size.json: the answer of `windtunnel size`, and what it rests on. Plain data.

export const SIZE_SCHEMA_VERSION = 1;

export interface SizedPromise {
  readonly text: string;
  readonly value: number | null;
  readonly target: number;
  readonly unit: 'ms' | 'ratio' | 'count';
  /** Over seeds, 95 %; null of one. */
  readonly ci95: readonly [number, number] | null;
  /** Room to the target over it; negative where it is broken. */
  readonly marginRatio: number;
  /** How much of it is used up: 1 at the target; null: nothing ran, or beyond all measure. */
  readonly usedRatio: number | null;
  readonly verdict: 'kept' | 'unsure' | 'broken';
}

/** One deployment, played. */
export interface Sized {
  readonly name: string;
  readonly choices: Readonly<Record<string, string | number>>;
  readonly gpus: number;
  readonly verdict: 'kept' | 'unsure' | 'broken' | 'failed';
  readonly seeds: number;
  readonly promises: readonly SizedPromise[];
  readonly usdPerHour: number | null;
  readonly usdPer1000Workflows: number | null;
  readonly workflowsPerHour: number;
  readonly callsPerSec: number;
  readonly hitRatio: number | null;
}

/** What differs in the number of replicas alone. */
export interface SizedGroup {
  readonly name: string;
  readonly choices: Readonly<Record<string, string | number>>;
  /** Fewer cannot do the work, by arithmetic alone; and how that is known. */
  readonly replicasMin: number;
  readonly bound: string;
  /** The last rung it was in: short, middle, long; null: out before any run. */
  readonly rung: string | null;
  readonly best: Sized | null;
  readonly closest: Sized | null;
  /** Why it went no further; null: it was among the last. */
  readonly left: string | null;
}

export interface SizedCheck {
  readonly name: 'burst' | 'growth' | 'replica-down';
  readonly words: string;
  readonly sized: Sized | null;
  /** Replicas with which it holds where the answer does not. */
  readonly holdsWith: number | null;
}

export interface SizedFlip {
  readonly assumption: string;
  readonly now: string;
  readonly at: string;
  readonly changeRatio: number | null;
  readonly becomes: string;
}

export interface SizedAlternative {
  readonly kind: 'api' | 'hybrid';
  readonly name: string;
  readonly usdPerHour: number | null;
  readonly usdPer1000Workflows: number | null;
  /** Played, not only priced. */
  readonly isJudged: boolean;
  readonly verdict: Sized['verdict'] | null;
  readonly why: string;
}

export interface SizeResult {
  readonly schemaVersion: number;
  readonly kind: 'size';
  readonly tool: { readonly name: 'agent-windtunnel'; readonly version: string };
  readonly command: string;
  readonly scenario: { readonly name: string; readonly sha256: string };
  /** What candidates were made of. */
  readonly base: string;
  readonly pool: string;
  readonly seed: number | string;
  /** Times the scenario's traffic. */
  readonly trafficRatio: number;
  readonly promises: readonly string[];
  readonly budgetUsdPerHour: number | null;
  readonly notes: readonly string[];
  /** What the numbers rest on: step models and their errors. */
  readonly evidence: readonly string[];
  readonly effort: {
    readonly candidates: number;
    readonly groups: number;
    /** Groups that arithmetic alone left out. */
    readonly groupsImpossible: number;
    readonly tried: number;
    readonly runs: number;
    readonly calls: number;
  };
  /** Null: nothing keeps the promises; `closest` came nearest. */
  readonly answer: Sized | null;
  readonly runnerUp: Sized | null;
  readonly closest: Sized | null;
  readonly groups: readonly SizedGroup[];
  readonly trials: readonly Sized[];
  readonly checks: readonly SizedCheck[];
  /** Times this traffic that the answer holds, what breaks then, and how that was found: as `--max-load` says it. */
  readonly headroom: {
    readonly title: string;
    readonly lines: readonly string[];
    readonly loadRatio: number;
    readonly breaksFirst: string | null;
    readonly kneeRatio: number | null;
  } | null;
  readonly flips: readonly SizedFlip[];
  readonly sustained: {
    readonly demo: Sized;
    readonly week: Sized;
    readonly demoMs: number;
    readonly simulatedMs: number;
  } | null;
  readonly alternatives: readonly SizedAlternative[];
  readonly files: readonly { readonly path: string; readonly what: string }[];
  readonly isInterrupted: boolean;
}
