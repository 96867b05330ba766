// Replicas of one kind behind one front: a pool, or one half of a disaggregated one. Knows where each of its requests is.
import type { DeploymentSpec, PoolSpec, StepModel } from '../../engines/engine.ts';
import type { Key } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';
import type { ClusterOptions, Submission } from '../cluster.ts';
import { Front, frontOptions } from '../front.ts';
import type { Carried } from '../handover.ts';
import { LoadRange } from '../load-range.ts';
import { Arrival } from '../pool-front.ts';
import type { Refusal } from '../refusal.ts';
import type { SplitHalf, SplitPlace } from '../split-pool.ts';
import { RankGroup } from './rank-group.ts';
import type { Replica, ReplicaOptions, ReplicaSink } from './replica.ts';

/** Where a request was routed to: the id of the replica, and the engine of it. */
export class Place implements SplitPlace {
  readonly id: number;
  readonly group: RankGroup;
  readonly replica: Replica;
  private readonly sink: ReplicaSink;

  constructor(id: number, group: RankGroup, replica: Replica, sink: ReplicaSink) {
    this.id = id;
    this.group = group;
    this.replica = replica;
    this.sink = sink;
  }

  refusal(submission: Submission): Refusal | null {
    return this.replica.refusal(submission);
  }

  seed(_: number, submission: Submission): void {
    this.replica.seed(submission);
  }

  cachedTokens(_: number, { prompt, promptTokens }: Submission): number {
    return this.replica.cachedTokens(prompt, promptTokens);
  }

  submit(atNs: number, submission: Submission): boolean {
    const isTaken = this.replica.submit(atNs, submission);
    if (isTaken) this.sink.ready(atNs, this.replica);
    return isTaken;
  }

  takeOver(atNs: number, submission: Submission, carried: Carried): void {
    this.group.observe(atNs);
    this.replica.takeOver(submission, carried);
    this.sink.ready(atNs, this.replica);
  }

  cancel(atNs: number, id: number): void {
    this.group.observe(atNs);
    this.replica.cancel(atNs, id);
    // At once where no step is in flight: others may have waited for its blocks.
    if (this.replica.steps.length === 0) this.sink.ready(atNs, this.replica);
  }

  fail(atNs: number, id: number): void {
    this.replica.failRequest(atNs, id);
  }

  keeps(id: number): boolean {
    return this.replica.kept.some(({ submission }) => submission.id === id);
  }

  letGo(atNs: number, id: number): void {
    this.group.observe(atNs);
    this.replica.letGo(atNs, id);
  }
}

export interface ReplicaSetOptions {
  readonly spec: PoolSpec;
  /** Of a disaggregated pool; part of the replicas' names. */
  readonly half: 'prefill' | 'decode' | null;
  readonly deployment: DeploymentSpec;
  readonly cluster: ClusterOptions;
  readonly key: Key;
  readonly sink: ReplicaSink;
  /** Asked once for each engine. */
  readonly optionsOf: () => Omit<ReplicaOptions, 'range'>;
  /** Told of each replica as it begins. */
  readonly started: (group: RankGroup, id: number) => void;
  /** Told of the engines of each replica that has gone: nobody may keep them. */
  readonly stopped: (ranks: readonly Replica[]) => void;
  /** Told of each replica that goes, while what it has is still there. */
  readonly stopping?: (id: number, atNs: number) => void;
  readonly held: () => number;
}

export class ReplicaSet implements SplitHalf {
  /** All there ever were, by id. */
  readonly groups: RankGroup[] = [];
  readonly front: Front;
  private readonly name: string;
  private readonly step: StepModel;
  private readonly range = new LoadRange();
  private readonly places = new Map<number, Place>();
  private readonly arrival = new Arrival();
  private readonly sink: ReplicaSink;

  constructor(options: ReplicaSetOptions) {
    const { spec, half, deployment, cluster, key, sink, optionsOf, started, held } = options;
    this.sink = sink;
    this.name = half === null ? spec.name : `${spec.name}/${half}`;
    this.step = spec.step;
    const ranged = () => ({ ...optionsOf(), range: this.range });
    const ranksOf = (id: number): readonly Replica[] => this.groups[id]!.ranks;
    const most = (id: number, of: (rank: Replica) => number): number => Math.max(...ranksOf(id).map(of));
    this.front = new Front({
      ...frontOptions(deployment, spec.name, cluster),
      spec,
      name: this.name,
      role: half ?? 'both',
      key,
      held,
      engines: {
        start: (id, name) => {
          const group = new RankGroup(spec, name, sink, ranged);
          this.groups[id] = group;
          started(group, id);
        },
        stop: (id, atNs) => {
          const group = this.groups[id]!;
          options.stopping?.(id, atNs);
          const { ranks } = group;
          group.stop(atNs);
          options.stopped(ranks);
        },
        signals: (id, atNs) => {
          const { runningRequests, waitingRequests, kvUsedRatio } = this.groups[id]!.sample(atNs / 1e6);
          return { running: runningRequests, waiting: waitingRequests, kvUsedRatio };
        },
        holds: id => ranksOf(id).some(({ kept }) => kept.length > 0),
        cachedTokens: (id, prompt, promptTokens) => most(id, rank => rank.cachedTokens(prompt, promptTokens)),
        ...(spec.kvTiers.length === 0
          ? {}
          : {
              behind: (id: number, prompt: readonly Run[], promptTokens: number, deviceTokens: number) =>
                ranksOf(id)[0]!.tierTokens(prompt, promptTokens, deviceTokens),
            }),
      },
    });
  }

  /** Routes a request; it counts as outstanding there until it leaves. */
  choose(atNs: number, submission: Submission): Place {
    const id = this.front.choose(atNs, this.arrival.of(submission));
    const group = this.groups[id]!;
    const place = new Place(id, group, group.choose(atNs), this.sink);
    this.places.set(submission.id, place);
    return place;
  }

  /** Its part here is over. `isOk`: it was done. */
  leave(id: number, outputTokens: number, isOk: boolean, atNs: number): void {
    this.places.delete(id);
    this.front.ended(id, outputTokens, isOk, atNs);
  }

  place(id: number): Place | null {
    return this.places.get(id) ?? null;
  }

  keptAt(replicaId: number): number[] {
    return this.groups[replicaId]!.ranks.flatMap(({ kept }) => kept.map(({ submission }) => submission.id));
  }

  /** What its steps so far had that the step model was not tried with; null for nothing. */
  beyondRange(): string | null {
    return this.range.beyond(this.name, this.step);
  }
}
