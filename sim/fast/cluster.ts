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
import { DueHeap } from './due-heap.ts';
import { FastReplica, STEP_BEGINS, STEP_ENDS } from './replica.ts';
import type { FastRequest } from './request.ts';

/** Given, and not yet due: a submission, the id of a request to cancel, or a crash. */
interface Input {
  readonly atNs: number;
  readonly submission: Submission | null;
  readonly cancelId: number;
  readonly crash: { pool: string; draw: number } | null;
}

const NOTHING: ClusterEvent[] = [];

interface Pool {
  readonly front: Front;
  readonly before: PoolFront;
  /** By id of the replica in the pool. */
  readonly replicas: FastReplica[];
}

/** Whether the fast engine models all that a pool asks for; sim/reference models the rest. */
export const isFast = (pool: PoolSpec): boolean =>
  pool.engine === 'vllm' &&
  pool.pipelineStages === 1 &&
  pool.dataParallelRanks === 1 &&
  pool.speculative === null &&
  pool.kvTiers.length === 0 &&
  pool.disaggregation === null &&
  pool.retention === null;

export class FastCluster implements ManagedCluster {
  /** All there ever were, a row each. */
  readonly replicas: FastReplica[] = [];
  private readonly pools = new Map<string, Pool>();
  private readonly live = new IdTable<FastRequest>();
  /** By row of the cluster. */
  private readonly homes: Pool[] = [];
  private readonly arrival = new Arrival();
  private readonly gaps = new GapHistogram();
  private readonly ranges: { spec: PoolSpec; range: LoadRange }[] = [];
  private readonly due = new DueHeap();
  /** By time, then as given; those before `inputStart` are done. */
  private inputs: Input[] = [];
  private inputStart = 0;
  /** When a front has something to do by itself. */
  private frontNs = Number.POSITIVE_INFINITY;
  private events: ClusterEvent[] = [];
  private nowNs = 0;

  constructor(deployment: DeploymentSpec, options: ClusterOptions = {}) {
    const key = seedKey(options.seed ?? 0);
    for (const spec of deployment.pools) {
      invariant(isFast(spec), () => `pool ${spec.name} asks for what the fast engine does not model`);
      invariant(!this.pools.has(spec.name), () => `two pools are named ${spec.name}`);
      const range = new LoadRange();
      this.ranges.push({ spec, range });
      const replicas: FastReplica[] = [];
      const held: Submission[] = [];
      const front: Front = new Front({
        ...frontOptions(deployment, spec.name, options),
        spec,
        name: spec.name,
        role: 'both',
        engines: this.enginesOf(spec, replicas, range),
        key,
        held: () => held.length,
      });
      const pool = { front, before: new PoolFront(spec, [front], held), replicas };
      this.pools.set(spec.name, pool);
      for (const replica of replicas) this.homes[replica.row] = pool;
    }
    this.retime();
  }

  private enginesOf(spec: PoolSpec, replicas: FastReplica[], range: LoadRange): Engines {
    return {
      start: (id, name) => {
        const row = this.replicas.length;
        const told = { gaps: this.gaps, range, emit: (event: ClusterEvent) => this.record(event) };
        const replica = new FastReplica(spec, name, row, told);
        replicas[id] = replica;
        this.replicas.push(replica);
        this.due.add(replica);
        const pool = this.pools.get(spec.name);
        if (pool !== undefined) this.homes[row] = pool;
      },
      stop: (id, atNs) => {
        const replica = replicas[id]!;
        replica.stop(atNs);
        this.due.moved(replica);
      },
      signals: (id, atNs) => replicas[id]!.signals(atNs),
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
    return this.live.size === 0 && this.inputStart === this.inputs.length && this.heldAt().length === 0;
  }

  view(pool: string): RoutingView {
    return this.pools.get(pool)!.front.view(this.nowNs);
  }

  replicaSpans(): ReplicaSpan[] {
    return [...this.pools.values()].flatMap(({ before }) => before.spans());
  }

  private inputNs(): number {
    const ns = this.inputs[this.inputStart]?.atNs ?? Number.POSITIVE_INFINITY;
    return Math.min(ns, this.frontNs);
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
        if (this.frontNs === inputNs) this.advanceFronts();
        else this.takeInput();
        continue;
      }
      if ((top.dueRank === STEP_BEGINS ? top.dueNs + 1 : top.dueNs) > ns) break;
      this.nowNs = top.dueNs;
      top.advance();
      // Where no input can come between, the next step begins at once: replicas do not see each other.
      if (top.dueRank === STEP_BEGINS && top.dueNs < inputNs && top.dueNs < ns) top.advance();
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
    if (pool.before.held.length === 0 || !pool.front.isOpen) return;
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
    if (pool?.front.isOpen === true) this.send(pool, submission);
    else if (pool?.front.opens === true) pool.before.held.push(submission);
    else this.record(noPool(submission, pool !== undefined, this.nowNs));
  }

  private send(pool: Pool, given: Submission): void {
    const { front, before } = pool;
    const id = front.choose(this.nowNs, this.arrival.of(given));
    const submission = before.scheduledBy(given, this.nowNs);
    const replica = pool.replicas[id]!;
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
    this.events.push(event);
    const { kind, id, atNs } = event;
    if (kind === 'rejected') return;
    const request = this.live.get(id);
    if (request === undefined) return; // it waited for a replica
    const { front, before } = this.homes[request.row]!;
    if (kind === 'scheduled') {
      front.scheduled(id, request.submission.prompt, event.cachedTokens, atNs);
      before.scheduled(id, atNs);
    } else if (kind === 'token') front.firstToken(id, atNs);
    else {
      this.live.delete(id);
      front.ended(id, event.outputTokens, kind === 'end', atNs);
      before.ended(id, event.outputTokens, atNs);
    }
  }

  drain(): ClusterEvent[] {
    if (this.events.length === 0) return NOTHING;
    const drained = this.events;
    this.events = [];
    return drained;
  }

  sample(atMs: number): TimelineSample[] {
    return this.inOrder()
      .filter(({ isStopped }) => !isStopped)
      .map(replica => replica.sample(atMs));
  }

  /** By pool and id: rows are in the order in which replicas began. */
  private inOrder(): FastReplica[] {
    return [...this.pools.values()].flatMap(({ replicas }) => replicas);
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
    return this.ranges
      .map(({ spec, range }) => range.beyond(spec.name, spec.step))
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
