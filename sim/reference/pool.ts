// A pool as the cluster sees it: requests go in, and it knows where they are. What a disaggregated one
// does is in ../split-pool.ts.
import type { DeploymentSpec, PoolSpec } from '../../engines/engine.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import type { Key } from '../../scenarios/base/key.ts';
import type { ClusterOptions, Submission } from '../cluster.ts';
import { PoolFront } from '../pool-front.ts';
import { SplitPool, type SplitSpec } from '../split-pool.ts';
import type { Transfers } from '../transfers.ts';
import type { RankGroup } from './rank-group.ts';
import type { Replica, ReplicaSink } from './replica.ts';
import { type Place, ReplicaSet } from './replica-set.ts';
import { tiersOf } from './tiers.ts';

export interface Pool {
  /** All replicas, in the order in which they are reported. */
  readonly sets: readonly ReplicaSet[];
  readonly before: PoolFront;
  /** Routes and queues a request; false when it was rejected, which has been reported. */
  submit(atNs: number, submission: Submission): boolean;
  /** The engine that acts on a live request now. */
  place(id: number): Place;
  /** It has ended, failed or was cancelled. */
  leave(id: number, outputTokens: number, isOk: boolean, atNs: number): void;
}

/** What a pool is built into. */
export interface Surroundings {
  readonly deployment: DeploymentSpec;
  readonly cluster: ClusterOptions;
  /** Cold starts are drawn from it. */
  readonly key: Key;
  readonly sink: ReplicaSink;
  readonly transfers: Transfers;
  /** The cluster takes the engines of a new replica under its clock. */
  readonly started: (group: RankGroup) => void;
  /** And lets go of those of one that has gone. */
  readonly stopped: (ranks: readonly Replica[]) => void;
}

export function buildPool(spec: PoolSpec, surroundings: Surroundings): Pool {
  const { disaggregation } = spec;
  return disaggregation === null
    ? wholePool(spec, surroundings)
    : brokenUp({ ...spec, disaggregation }, surroundings);
}

function brokenUp(spec: SplitSpec, surroundings: Surroundings): Pool {
  const { sink, transfers } = surroundings;
  const tiers = tiersOf(spec, transfers);
  const split = new SplitPool(spec, { transfers, tell: sink.event }, half => {
    const { keepsEnded, tell, started } = half;
    return new ReplicaSet({
      ...surroundings,
      ...half,
      sink: { ...sink, event: tell },
      optionsOf: () => ({ tiers: tiers(half.spec), keepsEnded }),
      started: (group, id) => {
        started(id, group.name);
        surroundings.started(group);
      },
    });
  });
  const { decode, prefill, before } = split;
  return {
    sets: [decode, prefill],
    before,
    submit: (atNs, submission) => split.submit(atNs, submission),
    place(id) {
      const place = prefill.place(id) ?? decode.place(id);
      invariant(place !== null, () => `pool ${spec.name} does not have request ${id}`);
      return place;
    },
    leave: (id, outputTokens, isOk, atNs) => decode.leave(id, outputTokens, isOk, atNs),
  };
}

function wholePool(spec: PoolSpec, surroundings: Surroundings): Pool {
  const tiers = tiersOf(spec, surroundings.transfers);
  const held: Submission[] = [];
  const set = new ReplicaSet({
    ...surroundings,
    spec,
    half: null,
    optionsOf: () => ({ tiers: tiers(spec), keepsEnded: false }),
    held: () => held.length,
  });
  return {
    sets: [set],
    before: new PoolFront(spec, [set.front], held),
    submit(atNs, submission) {
      const place = set.choose(atNs, submission);
      if (place.submit(atNs, submission)) return true;
      set.leave(submission.id, 0, false, atNs);
      return false;
    },
    place: id => set.place(id)!,
    leave: (id, outputTokens, isOk, atNs) => set.leave(id, outputTokens, isOk, atNs),
  };
}
