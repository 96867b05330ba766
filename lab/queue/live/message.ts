// What the coordinator of a live run and its workers say to one another through Redis. A job hands a shard out once; from
// then on the coordinator writes one note that all workers read, and each worker adds entries to a list of its own.

import type { LiveOptions } from '../../../loadgen/live-options.ts';
import type { LineKind, RunEnd } from '../../../scenarios/formats/run-log.ts';
import type { GridCase } from '../../grid/case.ts';
import { PREFIX, type ShippedInput } from '../message.ts';
import type { Signer } from '../sign.ts';
import type { ClockOffset } from './clock-offset.ts';

/** Workers of one build and one key share a queue. */
export const liveQueueName = (build: string, signer: Signer): string => `live-${build}-${signer.id}`;

export const liveKey = (run: string): string => `${PREFIX}:live:${run}`;
/** The coordinator's note. */
export const noteKey = (run: string): string => `${liveKey(run)}:note`;
/** Who has taken a shard: set once, so that no shard is ever sent twice. */
export const claimKey = (run: string, shard: number): string => `${liveKey(run)}:claim:${shard}`;
/** Entries of a shard, the oldest first; the coordinator takes them away. */
export const entriesKey = (run: string, shard: number): string => `${liveKey(run)}:entries:${shard}`;
export const inputKey = (run: string, sha256: string): string => `${liveKey(run)}:file:${sha256}`;

/** What a signature is bound to. */
export const shardScope = (run: string, shard: number): string => `live ${run} ${shard}`;
export const noteScope = (run: string): string => `live ${run} note`;
export const entryScope = (run: string, shard: number, sequence: number): string =>
  `live ${run} ${shard} entry ${sequence}`;

/** What nobody has asked for in so long goes, seconds. */
export const KEPT_SEC = 3600;

/** How long either side waits for the other, ms. */
export interface LiveTimes {
  /** From one note to the next. */
  readonly noteMs: number;
  /** Between two entries of a worker; an empty one says that it is there. */
  readonly entryMs: number;
  /** From the word to start until the start. */
  readonly leadMs: number;
  /** A worker that was not heard for so long, with Redis there, is lost. */
  readonly lostMs: number;
  /** The same of the coordinator: its workers end then. */
  readonly goneMs: number;
  /** A worker that does not reach Redis for so long ends. */
  readonly awayMs: number;
}

export const LIVE_TIMES: LiveTimes = {
  noteMs: 250,
  entryMs: 1000,
  leadMs: 2000,
  lostMs: 20_000,
  goneMs: 30_000,
  awayMs: 600_000,
};

/** Redis did not answer for so long: nobody could be heard meanwhile. Notes that are due are missed now and then. */
export const unansweredMs = ({ noteMs }: LiveTimes): number => 8 * noteMs;

/** A shard as it is handed out. No value of a variable is in it: a worker has them in its own environment. */
export interface ShardJob {
  readonly index: number;
  readonly count: number;
  readonly inputs: readonly ShippedInput[];
  readonly of: Pick<GridCase, 'scenario' | 'deployment'>;
  /** Another router, by its name; null: the deployment's. */
  readonly routing: string | null;
  /** As the coordinator compiled it. */
  readonly planDigest: string | null;
  readonly options: LiveOptions;
  /** ISO 8601, of the coordinator. */
  readonly startedAt: string;
  readonly times: LiveTimes;
}

/** What the coordinator says now. A note with a lower number than one that was read is an old one. */
export interface Note {
  readonly number: number;
  /** `over`: all that came has been read. */
  readonly phase: 'gather' | 'start' | 'stop' | 'over';
  /** Of the queue's clock, ms since 1970; null: not settled. */
  readonly startMs: number | null;
  /** With `stop`. */
  readonly reason: string | null;
  /** Entries that have been read, of each shard. */
  readonly read: readonly number[];
}

export interface ShardProgress {
  readonly sessionsStarted: number;
  readonly activeSessions: number;
  readonly callsInFlight: number;
}

export type Entry =
  | { readonly kind: 'taken'; readonly worker: string }
  | {
      readonly kind: 'ready';
      /** The queue's clock against the worker's monotonic one, and the worker's wall clock minus the queue's. */
      readonly clock: ClockOffset & { readonly wallMs: number };
    }
  /** It will not be run; nothing was sent but a first call. */
  | { readonly kind: 'refused'; readonly message: string; readonly hint: string | null }
  /** Lines of the run log, joined by line feeds. */
  | {
      readonly kind: 'lines';
      readonly lines: Readonly<Partial<Record<LineKind, string>>>;
      readonly progress: ShardProgress;
    }
  /** `lost`: why it came before its time; null: it did not, or was told to stop. */
  | { readonly kind: 'end'; readonly end: RunEnd; readonly lost: string | null }
  /** It broke. */
  | { readonly kind: 'failed'; readonly message: string };
