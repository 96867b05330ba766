// .windtunnel/baselines/NAME.json: a run that later ones are held against. Small enough to commit and to review: figures
// of its blocks and what it was made of, no records.
import type { FigureBlocks } from './comparison.ts';
import type { StoredInputs } from './stored-inputs.ts';

export const BASELINE_SCHEMA_VERSION = 1;
/** Earlier states kept for the drift chart. */
export const HISTORY_MAX = 20;

/** What the work asks for before anything runs: `check --gate`. */
export interface Shape {
  readonly calls: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Of the prompt tokens, those that an endless cache would have. */
  readonly cacheableRatio: number | null;
  /** At the prices that the catalogue has for the models; null: it has none. */
  readonly usd: number | null;
}

export interface Baseline {
  readonly schemaVersion: number;
  readonly kind: 'baseline';
  readonly name: string;
  readonly world: 'sim' | 'live' | 'shape';
  /** Version that made it; another one makes its simulations again. */
  readonly toolVersion: string;
  /** sha256 of the profiles and inputs that the figures rest on. */
  readonly inputs: StoredInputs | null;
  /** Of the first seed or block. */
  readonly digest: string | null;
  /** Seeds or block names, in the order of the values. */
  readonly blocks: readonly (number | string)[];
  readonly figures: readonly FigureBlocks[];
  readonly shape: Shape | null;
  /** The commit that it was saved at, where there is a repository; `null` elsewhere. */
  readonly commit: string | null;
  /** Its earlier states, the oldest first: at most HISTORY_MAX. */
  readonly history: readonly BaselineState[];
}

export interface BaselineState {
  readonly toolVersion: string;
  readonly commit: string | null;
  /** Means by figure id. */
  readonly means: Readonly<Record<string, number | null>>;
}
