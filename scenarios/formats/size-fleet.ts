// size.json of `windtunnel size --fleet`: the best use of GPUs that one has, and what it rests on. Plain data.
import type { Sized } from './size.ts';

export const SIZE_FLEET_SCHEMA_VERSION = 1;

/** GPUs of one kind. */
export interface FleetKind {
  /** Catalogue id. */
  readonly gpu: string;
  readonly gpus: number;
}

/** How full a pool is at the most that is held; shares 0-1. */
export interface FleetPoolUse {
  /** KV blocks held by requests, p95 over time and replicas. */
  readonly kvRatio: number;
  /** Sequences that run on a replica over those that may, p95. */
  readonly batchRatio: number;
  /** Of the samples, those with a request that waits. */
  readonly queuedRatio: number;
  /** Of the promise of which its own calls use most: 1 at the target; null: none is about calls of this pool. */
  readonly promiseRatio: number | null;
  readonly promise: string | null;
}

/** One pool of a split. */
export interface FleetPool {
  readonly pool: string;
  readonly model: string;
  readonly gpu: string;
  readonly tensorParallel: number;
  readonly shape: string;
  /** Of a split pool, of both halves together. */
  readonly replicas: number;
  /** `12`, or `3+9` of prefill and decode. */
  readonly replicasText: string;
  readonly gpus: number;
  /** Null: it was not looked at. */
  readonly use: FleetPoolUse | null;
}

/** A use of the GPUs, and what it holds. */
export interface FleetSplit {
  readonly name: string;
  readonly routing: string;
  /** What --vary chose, by name. */
  readonly choices: Readonly<Record<string, string | number>>;
  readonly pools: readonly FleetPool[];
  readonly gpus: number;
  /** Most traffic that breaks no promise, times today's; 0: none. */
  readonly loadRatio: number;
  /** Over seeds, 95 %; null of one. */
  readonly loadCi95: readonly [number, number] | null;
  /** The promise that breaks beyond; null: the most that was tried broke none, or a pool drowns before. */
  readonly breaksFirst: string | null;
  /** The pool that gets more work than it can do beyond, before a promise notices; null: none. */
  readonly drowns: string | null;
  /** At that load; null: it holds none. */
  readonly sized: Sized | null;
  readonly seeds: number;
}

/** One combination of GPU kinds, TP, shapes, router. */
export interface FleetCombination {
  readonly name: string;
  /** No more can be held by arithmetic alone, times today's traffic; null: no such bound is known. */
  readonly boundRatio: number | null;
  /** Last rung it was in: race, short, middle, long; null: out before any run. */
  readonly rung: string | null;
  /** Held there, at least; 0: nothing that was tried. */
  readonly loadRatio: number;
  /** GPUs of its pools when it held that. */
  readonly gpus: readonly number[];
  /** Why it went no further; null: it was among the last. */
  readonly left: string | null;
}

export interface FleetResult {
  readonly schemaVersion: number;
  readonly kind: 'size-fleet';
  readonly tool: { readonly name: 'agent-windtunnel'; readonly version: string };
  readonly command: string;
  readonly scenario: { readonly name: string; readonly sha256: string };
  readonly base: string;
  readonly fleet: readonly FleetKind[];
  readonly seed: number | string;
  /** Times the scenario's traffic that is taken for today's. */
  readonly trafficRatio: number;
  readonly promises: readonly string[];
  readonly notes: readonly string[];
  readonly evidence: readonly string[];
  readonly effort: {
    readonly combinations: number;
    /** Splits that were simulated. */
    readonly splits: number;
    readonly runs: number;
    readonly calls: number;
  };
  /** The best use, though it may hold less than today's traffic; null: nothing holds any. */
  readonly answer: FleetSplit | null;
  /** The best of another combination; null: there was none. */
  readonly runnerUp: FleetSplit | null;
  /** Where nothing holds any traffic, what came closest. */
  readonly closest: Sized | null;
  /** What comes to its limit first. */
  readonly tightest: { readonly pool: string; readonly why: string } | null;
  /** Of the answer: GPUs that no replica uses. */
  readonly idle: readonly (FleetKind & { readonly why: string })[];
  /** The fewest GPUs of the same combination that hold today's traffic; null: not even all do. */
  readonly enough: { readonly split: FleetSplit; readonly free: readonly FleetKind[] } | null;
  /** What another server would bring: the load held with it, with the same runs as `before`. */
  readonly more: {
    readonly kind: FleetKind;
    readonly split: FleetSplit;
    readonly beforeRatio: number;
  } | null;
  readonly combinations: readonly FleetCombination[];
  /** Choices of a pool that cannot be built. */
  readonly impossible: readonly { readonly name: string; readonly why: string }[];
  readonly files: readonly { readonly path: string; readonly what: string }[];
}
