// A retention policy at work behind vLLM's cache: what calls leave gets ranks, ranks end, and what the policy sees of
// later calls changes them. Rule: only free blocks move, and nothing that is said of a block takes it from who holds it.
import { Heap } from '../../scenarios/base/heap.ts';
import type { Submission } from '../cluster.ts';
import {
  type Change,
  type Keeper,
  type RetentionCall,
  type RetentionEvent,
  wholly,
} from '../retention/policy.ts';
import type { Block } from './free-queue.ts';
import type { KvCache } from './kv-cache.ts';
import { Lease, toNs } from './lease.ts';
import type { Prefetches } from './prefetches.ts';
import type { Request } from './request.ts';

const NS_PER_MS = 1e6;

/** When what a lease said of some blocks is over. */
interface End {
  readonly atNs: number;
  readonly sequence: number;
  readonly lease: Lease;
}

export class Retained {
  private readonly keeper: Keeper;
  private readonly cache: KvCache;
  /** Null where there is no tier to fetch from. */
  private readonly prefetches: Prefetches | null;
  private readonly ends = new Heap<End>(
    (a, b) => a.atNs < b.atNs || (a.atNs === b.atNs && a.sequence < b.sequence),
  );
  private sequence = 0;
  /** Requests that wait for their first admission, and when they came. */
  private readonly arrivedNs = new Map<Request, number>();
  private readonly calls = new WeakMap<Submission, RetentionCall>();

  constructor(keeper: Keeper, cache: KvCache, prefetches: Prefetches | null) {
    this.keeper = keeper;
    this.cache = cache;
    this.prefetches = prefetches;
  }

  arrived(atNs: number, request: Request): void {
    this.arrivedNs.set(request, atNs);
    this.prefetches?.arrived(atNs, request);
    this.observe(atNs, { kind: 'arrived', call: this.callOf(request), atMs: atNs / NS_PER_MS });
  }

  admitted(atNs: number, requests: readonly Request[]): void {
    for (const request of requests) {
      const arrivedNs = this.arrivedNs.get(request);
      if (arrivedNs === undefined) continue; // back from a preemption
      this.arrivedNs.delete(request);
      this.observe(atNs, {
        kind: 'admitted',
        call: this.callOf(request),
        atMs: atNs / NS_PER_MS,
        queuedMs: (atNs - arrivedNs) / NS_PER_MS,
        cachedTokens: request.hitTokens,
      });
    }
  }

  sessionEnded(atNs: number, session: string): void {
    this.prefetches?.sessionEnded(atNs, session);
    this.observe(atNs, { kind: 'session_ended', session, atMs: atNs / NS_PER_MS });
  }

  /** A request that is over lets go of its blocks. */
  release(atNs: number, request: Request): void {
    const { cache, keeper } = this;
    this.arrivedNs.delete(request);
    const tokens = request.computed - request.drafted;
    if (tokens === 0) {
      cache.release(request.blocks); // it had no more than room
      return;
    }
    const lease = new Lease({
      call: this.callOf(request),
      atNs,
      tokens,
      hashes: this.prefetches === null ? [] : request.hashes.slice(0, Math.floor(tokens / cache.blockTokens)),
      lastWordWins: keeper.lastWordWins === true,
    });
    const { worth, prefetchMs } = keeper.letGo(lease);
    lease.worth = worth;
    cache.release(request.blocks, lease);
    if (lease.blocks > 0)
      for (const untilMs of new Set(worth.map(each => each.untilMs))) this.endAt(untilMs, lease);
    if (prefetchMs !== undefined) this.prefetches?.plan(atNs, toNs(prefetchMs), lease);
  }

  /** What was worth keeping until now is worth it no longer. Before anything at `atNs` takes a block. */
  expire(atNs: number): void {
    for (let end = this.ends.peek(); end !== undefined && end.atNs <= atNs; end = this.ends.peek()) {
      this.ends.pop();
      const over = end.lease.own().filter(({ untilNs }) => untilNs <= atNs);
      this.rank(over, 0, Number.POSITIVE_INFINITY);
    }
  }

  private observe(atNs: number, event: RetentionEvent): void {
    this.expire(atNs);
    for (const change of this.keeper.observe?.(event) ?? []) this.change(atNs, change);
  }

  private change(
    atNs: number,
    { left, rank, untilMs, upTo = Number.POSITIVE_INFINITY, prefetchMs }: Change,
  ): void {
    const lease = left as Lease;
    const untilNs = toNs(untilMs);
    const raises = (block: Block) => rank > block.rank || (rank === block.rank && untilNs >= block.untilNs);
    const changes = (block: Block) => block.rank <= upTo && (!block.isShared || raises(block));
    lease.worth = wholly(rank, untilMs);
    this.rank(lease.own().filter(changes), rank, untilNs);
    if (lease.blocks > 0) this.endAt(untilMs, lease);
    if (prefetchMs !== undefined) this.prefetches?.plan(atNs, toNs(prefetchMs), lease);
  }

  private rank(blocks: readonly Block[], rank: number, untilNs: number): void {
    for (const block of blocks) block.untilNs = untilNs;
    this.cache.free.move(
      blocks.filter(({ refs }) => refs === 0),
      rank,
    );
    for (const block of blocks) block.rank = rank;
  }

  private endAt(untilMs: number, lease: Lease): void {
    const atNs = toNs(untilMs);
    if (atNs < Number.POSITIVE_INFINITY) this.ends.push({ atNs, sequence: this.sequence++, lease });
  }

  private callOf({ submission }: Request): RetentionCall {
    const known = this.calls.get(submission);
    if (known !== undefined) return known;
    const { session, prompt, promptTokens, retention = [], call } = submission;
    const { workflow = '', step = '', tenant = null } = call ?? {};
    const made = { session, workflow, step, tenant, prompt, promptTokens, retention };
    this.calls.set(submission, made);
    return made;
  }
}
