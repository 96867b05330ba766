// Replicas of one kind behind one router: a pool, or one half of a disaggregated one. Knows where each of its requests is.
import type { PoolSpec, StepModel } from '../../engines/engine.ts';
import type { Router } from '../../gateway/routing/policy.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import { textKey } from '../../scenarios/base/key.ts';
import type { Submission } from '../cluster.ts';
import { LoadRange } from '../load-range.ts';
import { RankGroup } from './rank-group.ts';
import type { Replica, ReplicaOptions, ReplicaSink } from './replica.ts';

/** Where a request was routed to: the row of the replica, and the engine of it. */
export interface Place {
  readonly row: number;
  readonly group: RankGroup;
  readonly replica: Replica;
}

export class ReplicaSet {
  readonly groups: readonly RankGroup[];
  readonly names: readonly string[];
  /** By row: routed there and not yet ended, cancelled or rejected; exact. */
  readonly outstanding: number[];
  private readonly name: string;
  private readonly step: StepModel;
  private readonly range = new LoadRange();
  private readonly router: Router;
  private readonly places = new Map<number, Place>();

  /** `optionsOf` is asked once for each engine; `half`, if any, is part of the replicas' names. */
  constructor(
    spec: PoolSpec,
    router: Router,
    sink: ReplicaSink,
    optionsOf: () => Omit<ReplicaOptions, 'range'>,
    half?: 'prefill' | 'decode',
  ) {
    this.name = half === undefined ? spec.name : `${spec.name}/${half}`;
    this.step = spec.step;
    this.names = Array.from({ length: spec.replicas }, (_, row) => `${this.name}/${row}`);
    const ranged = () => ({ ...optionsOf(), range: this.range });
    this.groups = this.names.map(each => new RankGroup(spec, each, sink, ranged));
    this.outstanding = this.names.map(() => 0);
    this.router = router;
  }

  choose(atNs: number, { session, prompt, promptTokens }: Submission): Place {
    const { names, outstanding, groups } = this;
    const row = this.router.route(
      { session, sessionKey: textKey(session), prompt, promptTokens },
      { ageMs: 0, replicas: names, outstanding },
    );
    const group = groups[row];
    invariant(group !== undefined, () => `the router chose row ${row} of ${groups.length} replicas`);
    return { row, group, replica: group.choose(atNs) };
  }

  /** The request counts as outstanding there until it leaves. */
  enter(id: number, place: Place): void {
    this.places.set(id, place);
    this.outstanding[place.row]! += 1;
  }

  leave(id: number): void {
    const place = this.place(id);
    invariant(place !== null, () => `request ${id} leaves ${this.names[0]} and was not there`);
    this.places.delete(id);
    this.outstanding[place.row]! -= 1;
  }

  place(id: number): Place | null {
    return this.places.get(id) ?? null;
  }

  /** What its steps so far had that the step model was not tried with; null for nothing. */
  beyondRange(): string | null {
    return this.range.beyond(this.name, this.step);
  }
}
