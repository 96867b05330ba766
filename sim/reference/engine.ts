// What sets engines apart: the order of work in a step, and the KV cache behind it. A replica keeps time, tokens and
// events; its engine decides. Rule: an engine moves requests between `running` and `waiting`, nobody else admits.
import type { EngineLimits, PoolSpec } from '../../engines/engine.ts';
import type { Submission } from '../cluster.ts';
import type { KvCache } from './kv-cache.ts';
import type { Loads } from './loads.ts';
import type { Request } from './request.ts';
import type { StepPlan } from './scheduler.ts';

/** The part of a replica that its engine reads and changes. */
export interface Queues {
  readonly pool: PoolSpec;
  readonly limits: EngineLimits;
  /** In order of admission. */
  readonly running: Request[];
  /** In order of admission to come. */
  readonly waiting: Request[];
  readonly loads: Loads;
}

export interface Engine {
  /** Only of vLLM. */
  readonly cache?: KvCache;
  /** In blocks of `limits.blockTokens`: held by requests. */
  readonly usedBlocks: number;
  /** Cached blocks whose content was given up for new content. */
  readonly evictedBlocks: number;
  /** Why this request can never run here; null when it can. */
  refusal(submission: Submission): string | null;
  /** A request has come, before it is seeded and queued. */
  arrived?(request: Request, atNs: number): void;
  /** Before a request is queued: its first `warmTokens` are in the cache, as if a request had just released them. */
  seed(request: Request): void;
  /** Prompt tokens that a request would find in the cache if it were admitted now. */
  cachedTokens(request: Request): number;
  /** Decides the next step; one without requests when nothing can be computed now. */
  schedule(atNs: number): StepPlan;
  /** A step is through; its tokens have not appeared yet. */
  stepEnded(plan: StepPlan, atNs: number): void;
  /** The blocks of a request that loads hold its first `computed` tokens; it is in `loads.done`. */
  loaded(request: Request): void;
  /** A request that ended or was cancelled, and is in no queue any more, lets go of its blocks. */
  release(request: Request, atNs: number): void;
  /** No call of this session will come any more. */
  sessionEnded?(session: string, atNs: number): void;
}
