// The cluster for simulation: the same events as sim/reference, at a cost of a few operations a request. See replica.ts.
//
//   submit ─▶ route ─▶ replica ─▶ events              order within one instant: steps end, inputs, steps begin
import type { DeploymentSpec, PoolSpec } from '../../engines/engine.ts';
import { routingPolicy } from '../../gateway/routing/index.ts';
import type { Router, RoutingArrival, RoutingView } from '../../gateway/routing/policy.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import type { HistogramCounts } from '../../scenarios/base/histogram.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import { type Key, textKey } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';
import type { TimelineSample } from '../../scenarios/formats/record.ts';
import type { Cluster, ClusterEvent, ReplicaCounters, Submission } from '../cluster.ts';
import { GapHistogram } from '../gap-histogram.ts';
import { LoadRange } from '../load-range.ts';
import { DueHeap } from './due-heap.ts';
import { FastReplica, STEP_BEGINS, STEP_ENDS } from './replica.ts';
import type { FastRequest } from './request.ts';

/** Given, and not yet due; `submission` or the id of a request to cancel. */
interface Input {
  readonly atNs: number;
  readonly submission: Submission | null;
  readonly cancelId: number;
}

const NOTHING: ClusterEvent[] = [];

interface Pool {
  readonly router: Router;
  readonly replicas: readonly FastReplica[];
  /** Routed and not yet over, by replica; exact. */
  readonly outstanding: number[];
  readonly view: RoutingView;
}

/** What a router is told of a request; one object for all of them, and the session's key only for who asks. */
class Arrival implements RoutingArrival {
  session = '';
  prompt: readonly Run[] = [];
  promptTokens = 0;

  set(session: string, prompt: readonly Run[], promptTokens: number): void {
    this.session = session;
    this.prompt = prompt;
    this.promptTokens = promptTokens;
  }

  get sessionKey(): Key {
    return textKey(this.session);
  }
}

/** Whether the fast engine models all that a pool asks for; sim/reference models the rest. */
export const isFast = (pool: PoolSpec): boolean =>
  pool.engine === 'vllm' &&
  pool.pipelineStages === 1 &&
  pool.dataParallelRanks === 1 &&
  pool.speculative === null &&
  pool.kvTiers.length === 0 &&
  pool.disaggregation === null;

export class FastCluster implements Cluster {
  readonly replicas: FastReplica[] = [];
  private readonly pools = new Map<string, Pool>();
  private readonly live = new IdTable<FastRequest>();
  /** By row of the cluster: its pool, and the row there. */
  private readonly homes: { pool: Pool; row: number }[] = [];
  private readonly arrival = new Arrival();
  private readonly gaps = new GapHistogram();
  private readonly ranges: { spec: PoolSpec; range: LoadRange }[] = [];
  private readonly due: DueHeap;
  /** By time, then as given; those before `inputStart` are done. */
  private inputs: Input[] = [];
  private inputStart = 0;
  private events: ClusterEvent[] = [];
  private nowNs = 0;

  constructor(deployment: DeploymentSpec) {
    const { options } = deployment.routing;
    const policy = routingPolicy(deployment.routing.policy);
    for (const spec of deployment.pools) {
      invariant(isFast(spec), () => `pool ${spec.name} asks for what the fast engine does not model`);
      invariant(!this.pools.has(spec.name), () => `two pools are named ${spec.name}`);
      const range = new LoadRange();
      const names = Array.from({ length: spec.replicas }, (_, row) => `${spec.name}/${row}`);
      const replicas = names.map((name, i) => {
        const row = this.replicas.length + i;
        return new FastReplica(spec, name, row, {
          gaps: this.gaps,
          range,
          emit: event => this.record(event),
        });
      });
      this.replicas.push(...replicas);
      this.ranges.push({ spec, range });
      const outstanding = names.map(() => 0);
      const view = { ageMs: 0, replicas: names, outstanding };
      const pool = { router: policy.create(options), replicas, outstanding, view };
      this.pools.set(spec.name, pool);
      for (const row of names.keys()) this.homes.push({ pool, row });
    }
    this.due = new DueHeap(this.replicas);
  }

  submit(atNs: number, submission: Submission): void {
    this.give({ atNs, submission, cancelId: -1 });
  }

  /** Of a request that has ended, or is not there, does nothing: the cancel and the end may cross on their way. */
  cancel(atNs: number, id: number): void {
    this.give({ atNs, submission: null, cancelId: id });
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

  nextNs(): number {
    const inputNs = this.inputs[this.inputStart]?.atNs ?? Number.POSITIVE_INFINITY;
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
      const inputNs = this.inputs[this.inputStart]?.atNs ?? Number.POSITIVE_INFINITY;
      const top = this.due.top();
      const isStep =
        top !== undefined && (top.dueNs < inputNs || (top.dueNs === inputNs && top.dueRank === STEP_ENDS));
      if (!isStep) {
        if (inputNs > ns) break;
        this.nowNs = inputNs;
        this.takeInput();
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

  private takeInput(): void {
    const { submission, cancelId } = this.inputs[this.inputStart++]!;
    if (this.inputStart > 64 && this.inputStart * 2 > this.inputs.length) {
      this.inputs = this.inputs.slice(this.inputStart);
      this.inputStart = 0;
    }
    if (submission !== null) {
      this.route(submission);
      return;
    }
    const request = this.live.get(cancelId);
    if (request === undefined) return;
    const replica = this.replicas[request.row]!;
    replica.cancel(this.nowNs, request);
    this.due.moved(replica);
  }

  /** Routes before the engine looks: a gateway does not know the engine's limits. */
  private route(submission: Submission): void {
    const { id, session, prompt, promptTokens } = submission;
    invariant(!this.live.has(id), () => `request ${id} is submitted while another of that id is live`);
    const pool = this.pools.get(submission.pool);
    if (pool === undefined || pool.replicas.length === 0) {
      const message =
        pool === undefined ? `no pool ${submission.pool}` : `pool ${submission.pool} has no replica`;
      this.record({ kind: 'rejected', id, atNs: this.nowNs, reason: 'no_pool', message });
      return;
    }
    this.arrival.set(session, prompt, promptTokens);
    const row = pool.router.route(this.arrival, pool.view);
    const replica = pool.replicas[row];
    invariant(replica !== undefined, () => `the router chose row ${row} of ${pool.replicas.length} replicas`);
    const request = replica.submit(this.nowNs, submission);
    this.due.moved(replica);
    if (request === null) return;
    this.live.set(id, request);
    pool.outstanding[row]! += 1;
  }

  private record(event: ClusterEvent): void {
    this.events.push(event);
    if (event.kind !== 'end' && event.kind !== 'cancelled') return;
    const { pool, row } = this.homes[this.live.get(event.id)!.row]!;
    this.live.delete(event.id);
    pool.outstanding[row]! -= 1;
  }

  drain(): ClusterEvent[] {
    if (this.events.length === 0) return NOTHING;
    const drained = this.events;
    this.events = [];
    return drained;
  }

  sample(atMs: number): TimelineSample[] {
    return this.replicas.map(replica => replica.sample(atMs));
  }

  counters(): ReplicaCounters[] {
    return this.replicas.map(replica => {
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
