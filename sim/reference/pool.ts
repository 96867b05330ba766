// A pool as the cluster sees it: requests go in, and it knows where they are. A disaggregated one is in split-pool.ts.
import type { PoolSpec } from '../../engines/engine.ts';
import type { Router } from '../../gateway/routing/policy.ts';
import type { Submission } from '../cluster.ts';
import type { ReplicaSink } from './replica.ts';
import { type Place, ReplicaSet } from './replica-set.ts';
import { splitPool } from './split-pool.ts';
import { tiersOf } from './tiers.ts';
import type { Transfers } from './transfers.ts';

export interface Pool {
  /** All replicas, in the order in which they are reported. */
  readonly sets: readonly ReplicaSet[];
  /** Routes and queues a request; false when it was rejected, which has been reported. */
  submit(atNs: number, submission: Submission): boolean;
  /** The engine that acts on a live request now. */
  place(id: number): Place;
  /** It has ended or was cancelled. */
  leave(id: number): void;
}

/** What a pool is built into. */
export interface Surroundings {
  readonly createRouter: () => Router;
  readonly sink: ReplicaSink;
  readonly transfers: Transfers;
}

export function buildPool(spec: PoolSpec, surroundings: Surroundings): Pool {
  const { disaggregation } = spec;
  return disaggregation === null
    ? wholePool(spec, surroundings)
    : splitPool({ ...spec, disaggregation }, surroundings);
}

function wholePool(spec: PoolSpec, { createRouter, sink, transfers }: Surroundings): Pool {
  const tiers = tiersOf(spec, transfers);
  const set = new ReplicaSet(spec, createRouter(), sink, () => ({ tiers: tiers(spec), keepsEnded: false }));
  return {
    sets: [set],
    submit(atNs, submission) {
      const place = set.choose(atNs, submission);
      if (!place.replica.submit(atNs, submission)) return false;
      set.enter(submission.id, place);
      return true;
    },
    place: id => set.place(id)!,
    leave: id => set.leave(id),
  };
}
