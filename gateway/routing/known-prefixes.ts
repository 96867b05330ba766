// What a router takes to be cached where: what the engines' KV events say, or, where there are none, what it sent itself
// not long ago. Events come late, so a second memory, a short one, may stand in for those that are under way.
import type { PrefixHits, RoutingArrival, RoutingView } from './policy.ts';
import { PrefixIndex, type PrefixIndexOptions } from './prefix-index.ts';

export interface KnownPrefixesOptions {
  /** Of what the router sent, for use without events. */
  readonly remembered: PrefixIndexOptions;
  /** False: events are not asked for. */
  readonly usesEvents: boolean;
  /** How long what was sent counts as cached beside the events; 0: not at all. */
  readonly burstTtlMs?: number;
}

export class KnownPrefixes {
  private readonly remembered: PrefixIndex;
  private readonly burst: PrefixIndex | null;
  private readonly usesEvents: boolean;
  /** Events were there the last time. */
  private hasEvents = false;
  private readonly device: number[] = [];
  private readonly none: number[] = [];

  constructor({ remembered, usesEvents, burstTtlMs = 0 }: KnownPrefixesOptions) {
    this.remembered = new PrefixIndex(remembered);
    this.burst = burstTtlMs > 0 ? new PrefixIndex({ ...remembered, ttlMs: burstTtlMs }) : null;
    this.usesEvents = usesEvents;
  }

  /** Tokens of the prompt by row and tier; good until the next call. */
  look({ prompt }: RoutingArrival, view: RoutingView): PrefixHits {
    const { ids, nowMs } = view;
    const hits = this.usesEvents ? view.prefixHits() : null;
    this.hasEvents = hits !== null;
    if (hits !== null && this.burst === null) return hits;
    const sent = (hits === null ? this.remembered : this.burst!).match(prompt, ids, nowMs);
    const { device, none } = this;
    for (let row = 0; row < ids.length; row++) {
      device[row] = Math.max(sent[row]!, hits?.device[row] ?? 0);
      none[row] = 0;
    }
    return { device, host: hits?.host ?? none, disk: hits?.disk ?? none };
  }

  /** After `look`: the prompt goes to this replica. */
  sent({ prompt }: RoutingArrival, replicaId: number, nowMs: number): void {
    if (!this.hasEvents) this.remembered.add(prompt, replicaId, nowMs);
    else this.burst?.add(prompt, replicaId, nowMs);
  }

  forget(replicaId: number): void {
    this.remembered.forget(replicaId);
    this.burst?.forget(replicaId);
  }
}
