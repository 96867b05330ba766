// A live run as it is written while it goes on, so that nothing is lost when it is cut off: run.json at its start, a line
// for each record as it is made, run-end.json at its end. Rule: where run.json lies, the run has not been published.
import type { HistogramCounts } from '../base/histogram.ts';
import type { Assertion } from './assertion.ts';
import type { ApiOffer, CostBasis, TokenPrice, WorkRate } from './ledger.ts';
import type { Measured } from './measured.ts';
import type { AnomalyRecord, CancelRecord, ReplicaSpan, Waste } from './record.ts';
import type { RunHeader } from './run.ts';

export const RUN_LOG_VERSION = 1;

/** In the order in which they are written: a session's end comes after its calls and steps. */
export const LINE_FILES = {
  call: 'calls.jsonl',
  node: 'nodes.jsonl',
  /** A line as a session starts and one as it ends; the later one counts. */
  session: 'workflows.jsonl',
  sample: 'timeline.jsonl',
  attempt: 'attempts.jsonl',
  tool: 'tools.jsonl',
  decision: 'decisions.jsonl',
} as const;
export type LineKind = keyof typeof LINE_FILES;

export const START_FILE = 'run.json';
export const END_FILE = 'run-end.json';

/** What the Parquet files and result.json hold as well; calls.jsonl stays, as plain text for other tools. */
export const SUPERSEDED_FILES: readonly string[] = [
  ...Object.values(LINE_FILES).filter(name => name !== LINE_FILES.call),
  END_FILE,
  // Last: as long as it is there, the others count.
  START_FILE,
];

/** run.json: what is known before the first call. */
export interface RunStart {
  schemaVersion: typeof RUN_LOG_VERSION;
  kind: 'run_log';
  header: RunHeader;
  assertions: Assertion[];
  /** Sessions in all; null: not known beforehand. */
  sessionsPlanned: number | null;
  books: StoredBooks;
}

/** run-end.json: what a run knows at its end only, beside its records. */
export interface RunEnd {
  header: RunHeader;
  measured: Measured | null;
  itlMs: HistogramCounts;
  durationMs: number;
  interrupted: boolean;
  valid: boolean;
  invalidReason: string | null;
  governed: GovernedEnd | null;
}

export interface GovernedEnd {
  cancels: CancelRecord[];
  anomalies: AnomalyRecord[];
  classifierUsd: number;
  idleToolsUsd: number;
  /** Whether an attempt or a tool run was in vain may show after its line was written: its row, and what is so. */
  attemptWastes: [number, Waste | null][];
  toolWastes: [number, Waste | null][];
}

/** A cost basis and the replicas that stood there, as plain data. */
export interface StoredBooks {
  rates: [string, WorkRate][];
  prices: { target: string; model: string; price: TokenPrice }[];
  replicas: ReplicaSpan[];
  /** Absent in logs of older versions. */
  offers?: readonly ApiOffer[];
}

/** `targets`: what providers sell; `models`: what calls may ask for. */
export function storedBooks(
  { rates, price, offers = [] }: CostBasis,
  targets: readonly string[],
  models: readonly string[],
  replicas: ReplicaSpan[],
): StoredBooks {
  const prices: StoredBooks['prices'] = [];
  for (const target of targets) {
    for (const model of new Set([...models, target])) {
      const each = price(target, model);
      if (each !== null) prices.push({ target, model, price: each });
    }
  }
  return { rates: [...rates], prices, replicas, offers };
}

export function basisOf({ rates, prices, offers = [] }: StoredBooks): CostBasis {
  const nameOf = (target: string, model: string): string => JSON.stringify([target, model]);
  const known = new Map(prices.map(({ target, model, price }) => [nameOf(target, model), price]));
  return {
    offers,
    rates: new Map(rates),
    price: (target, model) => known.get(nameOf(target, model)) ?? null,
  };
}
