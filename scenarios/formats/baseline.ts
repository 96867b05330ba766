// .windtunnel/baselines/NAME.json: a run that later ones are held against. Small enough to commit and to review: figures
// of its blocks and what it was made of, no records.
import type { FigureBlocks } from './comparison.ts';
import type { StoredInputs } from './stored-inputs.ts';

export const BASELINE_SCHEMA_VERSION = 1;
/** Earlier states kept for the drift chart. */
export const HISTORY_MAX = 20;

export interface Baseline {
  readonly schemaVersion: number;
  readonly kind: 'baseline';
  readonly name: string;
  /** `shape`: what the work asks for before anything runs, of `check --gate`. */
  readonly world: 'sim' | 'live' | 'shape';
  /** Version that made it; another one makes its simulations again. */
  readonly toolVersion: string;
  /** What its simulations are made again from; null: they cannot be. */
  readonly inputs: StoredInputs | null;
  /** Of the first seed or block. */
  readonly digest: string | null;
  /** Seeds or block names, in the order of the values. */
  readonly blocks: readonly (number | string)[];
  readonly figures: readonly FigureBlocks[];
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
