// What a coordinator and its workers say to one another through Redis, and under which keys it lies. Keys and presence
// keep their form from version to version, so that strangers can tell each other who they are.
import type { GridCase, Outcome } from '../grid/case.ts';
import type { Signer } from './sign.ts';

export const PREFIX = 'windtunnel';
/** What a coordinator leaves behind when it is killed goes after so long without its sign of life, seconds. */
export const KEPT_SEC = 3600;

/** Workers of one build and one key share a queue; a worker of another never sees its jobs. */
export const queueName = (build: string, signer: Signer): string => `cases-${build}-${signer.id}`;
export const jobKey = (queue: string, job: string): string => `${PREFIX}:${queue}:${job}`;
/** The sign of life of a sweep; workers drop the cases of one that has none. */
export const sweepKey = (sweep: string): string => `${PREFIX}:sweep:${sweep}`;
/** A stream: workers add, the coordinator reads. */
export const reportsKey = (sweep: string): string => `${sweepKey(sweep)}:reports`;
/** A file of the inputs, compressed. */
export const fileKey = (sweep: string, sha256: string): string => `${sweepKey(sweep)}:file:${sha256}`;

/** What a signature is bound to. */
export const jobScope = (sweep: string, job: string): string => `cases ${sweep} ${job}`;
export const reportScope = (sweep: string): string => `report ${sweep}`;

/** A file of an input: where it lies there, relative, and its content. */
export interface ShippedFile {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** Files that belong together, as one folder. A case names one of them as `shipped:ID/PATH`. */
export interface ShippedInput {
  readonly id: string;
  readonly files: readonly ShippedFile[];
}

export const SHIPPED = 'shipped:';

export interface CaseJob {
  readonly inputs: readonly ShippedInput[];
  /** By their place in the sweep. */
  readonly cases: readonly { readonly index: number; readonly of: GridCase }[];
  /** Of the first case's scenario at some seed: what the coordinator compiled it to. */
  readonly check: { readonly scenario: GridCase['scenario']; readonly planSha256: string } | null;
}

export interface CaseReport {
  readonly index: number;
  /** How long it ran. */
  readonly ms: number;
  readonly outcome: Outcome;
}

export type Report = { readonly job: string; readonly worker: string } & (
  | { readonly kind: 'done'; readonly cases: readonly CaseReport[] }
  /** The worker that had the job before was not heard of any more. */
  | { readonly kind: 'died' }
  /** Inputs were not at the queue, or were not what was announced. */
  | { readonly kind: 'unread'; readonly why: string }
  /** The worker left, since it does not compute what we compute. */
  | { readonly kind: 'refused'; readonly why: string }
);
