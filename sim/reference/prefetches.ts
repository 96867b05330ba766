// Blocks that a retention policy fetches from the tiers before the call that needs them comes (KVFlow's background
// prefetch). Rule: a prefetch takes no block before its KV is there, gives up only what is worth less, and gives way to
// the call itself, which loads what is missing. Simplified: in an engine it would hold its blocks while it travels.

import type { Travel } from '../transfers.ts';
import type { BlockHash } from './block-hash.ts';
import type { KvCache } from './kv-cache.ts';
import type { Lease } from './lease.ts';
import type { Loads } from './loads.ts';
import type { Request } from './request.ts';
import type { Tiers } from './tiers.ts';

export class Prefetches {
  private readonly tiers: Tiers;
  private readonly cache: KvCache;
  private readonly totals: Loads['totals'];
  /** What each one waits for: its time, or its KV. */
  private readonly travels = new Map<Lease, Travel>();

  constructor(tiers: Tiers, cache: KvCache, totals: Loads['totals']) {
    this.tiers = tiers;
    this.cache = cache;
    this.totals = totals;
  }

  /** Fetches at `startNs`, or now, what of this is not here by then; in place of what was planned for it. */
  plan(atNs: number, startNs: number, lease: Lease): void {
    this.giveUp(atNs, lease);
    const delayNs = Math.max(0, startNs - atNs);
    this.travels.set(
      lease,
      this.tiers.wait(atNs, delayNs, ns => this.begin(ns, lease)),
    );
  }

  private begin(atNs: number, lease: Lease): void {
    this.travels.delete(lease);
    const { cache, tiers, totals } = this;
    const { hashes } = lease;
    const here = this.hereBlocks(hashes);
    const load = tiers.load(hashes, here);
    if (load === null) return;
    const travel = load.start(atNs, () => {
      this.travels.delete(lease);
      totals.transferredBytes += load.bytes;
      if (this.hereBlocks(hashes) < here) return; // what it goes on from is gone
      cache.seed(hashes.slice(0, load.tokens / cache.blockTokens), lease);
    });
    this.travels.set(lease, travel);
  }

  /** How many of these, from the first on, the cache has. */
  private hereBlocks(hashes: readonly BlockHash[]): number {
    let here = 0;
    while (here < hashes.length && this.cache.cached(hashes[here]!) !== undefined) here += 1;
    return here;
  }

  /** A call goes on where one of these ended: it loads for itself. */
  arrived(atNs: number, { hashes }: Request): void {
    for (const lease of [...this.travels.keys()]) {
      const last = lease.hashes.length - 1;
      if (lease.hashes[last] === hashes[last]) this.giveUp(atNs, lease);
    }
  }

  /** None of its calls will come. */
  sessionEnded(atNs: number, session: string): void {
    for (const lease of [...this.travels.keys()])
      if (lease.call.session === session) this.giveUp(atNs, lease);
  }

  private giveUp(atNs: number, lease: Lease): void {
    this.travels.get(lease)?.cancel(atNs);
    this.travels.delete(lease);
  }
}
