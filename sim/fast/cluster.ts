// The cluster for simulation: the same events as sim/reference, at a cost of a few operations a request. See replica.ts.
//
//   submit ─▶ route ─▶ replica ─▶ events              order within one instant: steps end, inputs, steps begin
import type { DeploymentSpec, PoolSpec } from '../../engines/engine.ts';
import type { RoutingView } from '../../gateway/routing/policy.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import type { HistogramCounts } from '../../scenarios/base/histogram.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import { seedKey } from '../../scenarios/base/key.ts';
import type { ReplicaSpan, TimelineSample } from '../../scenarios/formats/record.ts';
import {
  type ClusterEvent,
  type ClusterOptions,
  type ManagedCluster,
  noPool,
  type ReplicaCounters,
  type Submission,
  withdrawn,
} from '../cluster.ts';
import { type Engines, Front, frontOptions } from '../front.ts';
import { GapHistogram } from '../gap-histogram.ts';
import { LoadRange } from '../load-range.ts';
import { Arrival, PoolFront } from '../pool-front.ts';
import { SplitPool, type SplitSpec } from '../split-pool.ts';
import { Transfers } from '../transfers.ts';
import { DueHeap } from './due-heap.ts';
import { FastHalf } from './half.ts';
import { FastReplica, STEP_BEGINS, STEP_ENDS } from './replica.ts';
import type { FastRequest } from './request.ts';

/** Given, and not yet due: a submission, the id of a request to cancel, or a crash. */
interface Input {
  readonly atNs: number;
  readonly submission: Submission | null;
  readonly cancelId: number;
  readonly crash: { pool: string; draw: number } | null;
}

/** No events; never added to. */
const NOTHING: ClusterEvent[] = [];

/** Replicas of one kind: a pool, or one half of a disaggregated one. */
interface ReplicaSet {
  readonly front: Front;
  readonly spec: PoolSpec;
  readonly range: LoadRange;
  /** By id. */
  readonly replicas: FastReplica[];
}

interface Pool {
  readonly before: PoolFront;
  /** One; of a disaggregated pool the decode half and the prefill half. */
  readonly sets: readonly ReplicaSet[];
  /** Null for one that is not disaggregated. */
  readonly split: SplitPool<FastHalf> | null;
}

/** How the replicas of a set are made. */
interface SetOptions {
  readonly spec: PoolSpec;
  readonly half: 'prefill' | 'decode' | null;
  readonly keepsEnded: boolean;
  readonly tell: (event: ClusterEvent) => void;
  readonly held: () => number;
  readonly started?: (id: number, name: string) => void;
  readonly stopping?: (id: number, atNs: number) => void;
}

/** Whether the fast engine models all that a pool asks for; sim/reference models the rest. */
export const isFast = (pool: PoolSpec): boolean =>
  pool.engine === 'vllm' &&
  pool.pipelineStages === 1 &&
  pool.dataParallelRanks === 1 &&
  pool.speculative === null &&
  pool.kvTiers.length === 0 &&
  pool.retention === null;

export class FastCluster implements ManagedCluster {
  /** All there ever were, a row each. */
  readonly replicas: FastReplica[] = [];
  private readonly pools = new Map<string, Pool>();
  readonly live = new IdTable<FastRequest>();
  /** By row of the cluster. */
  private readonly homes: Pool[] = [];
  private readonly arrival = new Arrival();
  private readonly gaps = new GapHistogram();
  readonly due = new DueHeap();
  /** KV between the halves of disaggregated pools. */
  private readonly transfers = new Transfers();
  /** Replicas of some pool act on each other at once. */
  private isLinked = false;
  /** By time, then as given; those before `inputStart` are done. */
  private inputs: Input[] = [];
  private inputStart = 0;
  /** When a front has something to do by itself. */
  private frontNs = Number.POSITIVE_INFINITY;
  private events = NOTHING;
  private nowNs = 0;

  constructor(deployment: DeploymentSpec, options: ClusterOptions = {}) {
    const key = seedKey(options.seed ?? 0);
    for (const spec of deployment.pools) {
      invariant(isFast(spec), () => `pool ${spec.name} asks for what the fast engine does not model`);
      invariant(!this.pools.has(spec.name), () => `two pools are named ${spec.name}`);
      const setOf = (of: SetOptions): ReplicaSet => {
        const range = new LoadRange();
        const replicas: FastReplica[] = [];
        const front = new Front({
          ...frontOptions(deployment, spec.name, options),
          spec: of.spec,
          name: of.half === null ? spec.name : `${spec.name}/${of.half}`,
          role: of.half ?? 'both',
          engines: this.enginesOf(of, replicas, range),
          key,
          held: of.held,
        });
        return { front, spec: of.spec, range, replicas };
      };
      const pool = spec.disaggregation === null ? this.whole(spec, setOf) : this.brokenUp(spec, setOf);
      this.pools.set(spec.name, pool);
      for (const { replicas } of pool.sets) for (const replica of replicas) this.homes[replica.row] = pool;
    }
    this.retime();
  }

  private whole(spec: PoolSpec, setOf: (of: SetOptions) => ReplicaSet): Pool {
    const held: Submission[] = [];
    const tell = (event: ClusterEvent) => this.record(event);
    const set = setOf({ spec, half: null, keepsEnded: false, tell, held: () => held.length });
    return { sets: [set], before: new PoolFront(spec, [set.front], held), split: null };
  }

  private brokenUp(spec: PoolSpec, setOf: (of: SetOptions) => ReplicaSet): Pool {
    this.isLinked = true;
    const split = new SplitPool(
      spec as SplitSpec,
      { transfers: this.transfers, tell: event => this.record(event) },
      half => new FastHalf(setOf(half), this),
    );
    return { sets: [split.decode, split.prefill], before: split.before, split };
  }

  private enginesOf(of: SetOptions, replicas: FastReplica[], range: LoadRange): Engines {
    const { spec, keepsEnded } = of;
    const moved = (replica: FastReplica) => this.due.moved(replica);
    return {
      start: (id, name) => {
        const row = this.replicas.length;
        const told = { gaps: this.gaps, range, emit: of.tell, moved };
        const replica = new FastReplica(spec, name, row, told, keepsEnded);
        replicas[id] = replica;
        this.replicas.push(replica);
        this.due.add(replica);
        of.started?.(id, name);
        const pool = this.pools.get(spec.name);
        if (pool !== undefined) this.homes[row] = pool;
      },
      stop: (id, atNs) => {
        const replica = replicas[id]!;
        of.stopping?.(id, atNs);
        replica.stop(atNs);
        this.due.moved(replica);
      },
      signals: (id, atNs) => replicas[id]!.signals(atNs),
      holds: id => replicas[id]!.kept.size > 0,
      cachedTokens: (id, prompt, promptTokens) => {
        const replica = replicas[id]!;
        const tokens = replica.cachedTokens(this.nowNs, prompt, promptTokens);
        this.due.moved(replica);
        return tokens;
      },
    };
  }

  submit(atNs: number, submission: Submission): void {
    this.give({ atNs, submission, cancelId: -1, crash: null });
  }

  /** Of a request that has ended, or is not there, does nothing: the cancel and the end may cross on their way. */
  cancel(atNs: number, id: number): void {
    this.give({ atNs, submission: null, cancelId: id, crash: null });
  }

  private give(input: Input): void {
    const { inputs } = this;
    const { atNs } = input;
    invariant(
      Number.isSafeInteger(atNs) && atNs >= this.nowNs,
      () => `an input at ${atNs} ns lies behind now, ${this.nowNs} ns, or is not exact`,
    );
    let place = inputs.length;
    while (place > this.inputStart && inputs[place - 1]!.atNs > atNs) place -= 1;
    if (place === inputs.length) inputs.push(input);
    else inputs.splice(place, 0, input);
  }

  sessionEnded(atNs: number, session: string, workflow: string): void {
    for (const { before } of this.pools.values()) before.sessionEnded(session, workflow, atNs);
    this.retime();
  }

  crash(atNs: number, pool: string, draw: number): void {
    this.give({ atNs, submission: null, cancelId: -1, crash: { pool, draw } });
  }

  heldAt(): string[] {
    return [...this.pools.values()].flatMap(({ before }) => (before.held.length > 0 ? [before.name] : []));
  }

  isIdle(): boolean {
    const hasWork = this.live.size > 0 || this.inputStart < this.inputs.length;
    return !hasWork && this.heldAt().length === 0 && this.transfers.nextNs() === Number.POSITIVE_INFINITY;
  }

  view(pool: string): RoutingView {
    return this.pools.get(pool)!.sets[0]!.front.view(this.nowNs);
  }

  replicaSpans(): ReplicaSpan[] {
    return [...this.pools.values()].flatMap(({ before }) => before.spans());
  }

  private inputNs(): number {
    const ns = this.inputs[this.inputStart]?.atNs ?? Number.POSITIVE_INFINITY;
    return Math.min(ns, this.frontNs, this.transfers.nextNs());
  }

  nextNs(): number {
    const inputNs = this.inputNs();
    const top = this.due.top();
    if (top === undefined) return inputNs;
    // A step that begins now is still open to inputs of this instant.
    return Math.min(inputNs, top.dueRank === STEP_BEGINS ? top.dueNs + 1 : top.dueNs);
  }

  advanceTo(ns: number): void {
    invariant(
      Number.isSafeInteger(ns) && ns >= this.nowNs,
      () => `advancing to ${ns} ns lies behind now, ${this.nowNs} ns, or is not exact`,
    );
    for (;;) {
      const inputNs = this.inputNs();
      const top = this.due.top();
      const isStep =
        top !== undefined && (top.dueNs < inputNs || (top.dueNs === inputNs && top.dueRank === STEP_ENDS));
      if (!isStep) {
        if (inputNs > ns) break;
        this.nowNs = inputNs;
        if (this.transfers.nextNs() === inputNs) {
          this.transfers.advanceTo(inputNs);
          this.retime();
        } else if (this.frontNs === inputNs) this.advanceFronts();
        else this.takeInput();
        continue;
      }
      if ((top.dueRank === STEP_BEGINS ? top.dueNs + 1 : top.dueNs) > ns) break;
      this.nowNs = top.dueNs;
      top.advance();
      // Where no input can come between, the next step begins at once, unless replicas see each other.
      if (!this.isLinked && top.dueRank === STEP_BEGINS && top.dueNs < inputNs && top.dueNs < ns)
        top.advance();
      this.due.moved(top);
    }
    this.nowNs = ns;
  }

  /** What fronts do by themselves comes before the inputs of an instant: metrics are scraped, replicas come and go. */
  private advanceFronts(): void {
    for (const pool of this.pools.values()) {
      pool.before.advanceTo(this.nowNs);
      this.sendHeld(pool);
    }
    this.retime();
  }

  private sendHeld(pool: Pool): void {
    if (pool.before.held.length === 0 || !pool.before.isOpen) return;
    for (const submission of pool.before.held.splice(0)) this.send(pool, submission);
  }

  private retime(): void {
    this.frontNs = Number.POSITIVE_INFINITY;
    for (const { before } of this.pools.values()) this.frontNs = Math.min(this.frontNs, before.nextNs());
  }

  private takeInput(): void {
    const { submission, cancelId, crash } = this.inputs[this.inputStart++]!;
    if (this.inputStart > 64 && this.inputStart * 2 > this.inputs.length) {
      this.inputs = this.inputs.slice(this.inputStart);
      this.inputStart = 0;
    }
    if (submission !== null) {
      this.route(submission);
      return;
    }
    if (crash !== null) {
      this.pools.get(crash.pool)?.before.crash(crash.draw, this.nowNs);
      this.retime();
      return;
    }
    const request = this.live.get(cancelId);
    if (request === undefined) {
      this.withdraw(cancelId);
      return;
    }
    const replica = this.replicas[request.row]!;
    replica.cancel(this.nowNs, request);
    this.due.moved(replica);
  }

  /** Routes before the engine looks: a gateway does not know the engine's limits. */
  private route(submission: Submission): void {
    const { id } = submission;
    invariant(!this.live.has(id), () => `request ${id} is submitted while another of that id is live`);
    const pool = this.pools.get(submission.pool);
    pool?.before.came(submission, this.nowNs);
    if (pool?.before.isOpen === true) this.send(pool, submission);
    else if (pool?.before.opens === true) pool.before.held.push(submission);
    else this.record(noPool(submission, pool !== undefined, this.nowNs));
  }

  private send(pool: Pool, given: Submission): void {
    const { before, split, sets } = pool;
    if (split !== null) {
      const isTaken = split.submit(this.nowNs, before.scheduledBy(given, this.nowNs));
      if (!isTaken) before.ended(given.id, 0, this.nowNs);
      this.frontNs = Math.min(this.frontNs, before.nextNs());
      return;
    }
    const { front, replicas } = sets[0]!;
    const id = front.choose(this.nowNs, this.arrival.of(given));
    const submission = before.scheduledBy(given, this.nowNs);
    const replica = replicas[id]!;
    const request = replica.submit(this.nowNs, submission);
    this.due.moved(replica);
    if (request === null) {
      front.ended(given.id, 0, false, this.nowNs);
      before.ended(given.id, 0, this.nowNs);
    } else this.live.set(given.id, request);
    const frontNs = front.nextNs();
    if (frontNs < this.frontNs) this.frontNs = frontNs;
  }

  /** Of a request that waits for a replica. */
  private withdraw(id: number): void {
    for (const { before } of this.pools.values())
      if (before.withdraw(id, this.nowNs)) this.record(withdrawn(id, this.nowNs));
  }

  private record(event: ClusterEvent): void {
    if (this.events === NOTHING) this.events = [event];
    else this.events.push(event);
    const { kind, id, atNs } = event;
    if (kind === 'rejected') return;
    const request = this.live.get(id);
    if (request === undefined) return; // it waited for a replica
    const { sets, before, split } = this.homes[request.row]!;
    const { front } = sets[0]!;
    if (kind === 'scheduled') {
      front.scheduled(id, request.submission, event.cachedTokens, atNs);
      before.scheduled(id, atNs);
    } else if (kind === 'token') front.firstToken(id, atNs);
    else {
      this.live.delete(id);
      if (split === null) front.ended(id, event.outputTokens, kind === 'end', atNs);
      else split.decode.leave(id, event.outputTokens, kind === 'end', atNs);
      before.ended(id, event.outputTokens, atNs);
    }
  }

  drain(): ClusterEvent[] {
    if (this.events.length === 0) return NOTHING;
    const drained = this.events;
    this.events = NOTHING;
    return drained;
  }

  sample(atMs: number): TimelineSample[] {
    return this.inOrder()
      .filter(({ isStopped }) => !isStopped)
      .map(replica => replica.sample(atMs));
  }

  /** By pool and id: rows are in the order in which replicas began. */
  private inOrder(): FastReplica[] {
    return [...this.pools.values()].flatMap(({ sets }) => sets.flatMap(({ replicas }) => replicas));
  }

  counters(): ReplicaCounters[] {
    return this.inOrder().map(replica => {
      const counters = replica.counters(this.nowNs);
      this.due.moved(replica);
      return counters;
    });
  }

  generatedTokens(id: number): number {
    const request = this.live.get(id);
    if (request === undefined) return 0;
    const replica = this.replicas[request.row]!;
    const tokens = replica.generatedTokens(request, this.nowNs);
    this.due.moved(replica);
    return tokens;
  }

  beyondRange(): string[] {
    return [...this.pools.values()]
      .flatMap(({ sets }) => sets.map(({ front, spec, range }) => range.beyond(front.name, spec.step)))
      .filter(line => line !== null);
  }

  itlMs(): HistogramCounts {
    for (const replica of this.replicas) {
      replica.interrupt(this.nowNs);
      this.due.moved(replica);
    }
    return this.gaps.toCountsMs();
  }
}
