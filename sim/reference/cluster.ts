// The reference cluster: every step, every token and every block one at a time, written to be read. It specifies the
// fast engine, which must give the same events.
//
//   submit ─▶ route ─▶ replica: waiting ─▶ running ─▶ tokens ─▶ end
//                      [stepEnd]  [transfer]  [input]  [stepBegin]    order within one instant
import type { DeploymentSpec } from '../../engines/engine.ts';
import type { RoutingView } from '../../gateway/routing/policy.ts';
import { invariant, unreachable } from '../../scenarios/base/errors.ts';
import type { HistogramCounts } from '../../scenarios/base/histogram.ts';
import { seedKey } from '../../scenarios/base/key.ts';
import { runTokens } from '../../scenarios/formats/prompt.ts';
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
import { GapHistogram } from '../gap-histogram.ts';
import { Transfers } from '../transfers.ts';
import { Kernel, type KernelEvent } from './kernel.ts';
import { buildPool, type Pool, type Surroundings } from './pool.ts';
import type { RankGroup, Stepper } from './rank-group.ts';
import type { Replica } from './replica.ts';
import type { ReplicaSet } from './replica-set.ts';

type Input =
  | { kind: 'submit'; submission: Submission }
  | { kind: 'cancel'; id: number }
  | { kind: 'crash'; pool: string; draw: number };

export interface ReferenceOptions extends ClusterOptions {
  /** Called after every kernel event; tests check the laws there. */
  watch?: (cluster: ReferenceCluster) => void;
}

export function createCluster(deployment: DeploymentSpec, options: ReferenceOptions = {}): ReferenceCluster {
  return new ReferenceCluster(deployment, options);
}

export class ReferenceCluster implements ManagedCluster {
  /** Engines that are there, in the order in which they began; their ranks one by one. */
  replicas: Replica[] = [];
  /** What steps, with the group it belongs to; a kernel event's row. */
  private readonly steppers: { stepper: Stepper | null; group: RankGroup }[] = [];
  /** The row of what steps each engine. */
  private readonly rows = new Map<Replica, number>();
  private readonly options: ReferenceOptions;
  private readonly itl = new GapHistogram();
  private readonly kernel = new Kernel();
  private readonly pools = new Map<string, Pool>();
  private readonly inputs = new Map<number, Input>();
  private inputCount = 0;
  /** Each live request and its pool. */
  private readonly live = new Map<number, { pool: Pool; submission: Submission }>();
  private readonly transfers = new Transfers();
  /** When the kernel looks at the transfers next; Infinity while it need not. */
  private transferNs = Number.POSITIVE_INFINITY;
  /** The same for what fronts do by themselves. */
  private frontNs = Number.POSITIVE_INFINITY;
  /** Steppers, by row, whose next step is in the kernel already. */
  private readonly due = new Set<number>();
  private events: ClusterEvent[] = [];

  constructor(deployment: DeploymentSpec, options: ReferenceOptions) {
    this.options = options;
    const surroundings: Surroundings = {
      deployment,
      cluster: options,
      key: seedKey(options.seed ?? 0),
      sink: {
        event: event => this.record(event),
        gap: (gapNs, tokens) => this.itl.share(gapNs, tokens),
        ready: (atNs, replica) => this.wakeReplica(atNs, replica),
      },
      transfers: this.transfers,
      started: group => this.own(group),
      stopped: ranks => this.disown(ranks),
    };
    for (const spec of deployment.pools) {
      invariant(!this.pools.has(spec.name), () => `two pools are named ${spec.name}`);
      this.pools.set(spec.name, buildPool(spec, surroundings));
    }
    this.retime();
  }

  /** Takes the engines of a replica under its clock. */
  private own(group: RankGroup): void {
    this.replicas.push(...group.ranks);
    for (const stepper of new Set(group.steppers)) {
      const row = this.steppers.push({ stepper, group }) - 1;
      for (const [i, rank] of group.ranks.entries())
        if (group.steppers[i] === stepper) this.rows.set(rank, row);
    }
  }

  private disown(ranks: readonly Replica[]): void {
    for (const rank of ranks) {
      this.steppers[this.rows.get(rank)!]!.stepper = null;
      this.rows.delete(rank);
    }
    this.replicas = this.replicas.filter(each => !ranks.includes(each));
  }

  submit(atNs: number, submission: Submission): void {
    checkSubmission(submission);
    this.addInput(atNs, { kind: 'submit', submission });
  }

  /** Of a request that has ended, or is not there, does nothing: the cancel and the end may cross on their way. */
  cancel(atNs: number, id: number): void {
    this.addInput(atNs, { kind: 'cancel', id });
  }

  sessionEnded(atNs: number, session: string, workflow: string): void {
    for (const { before } of this.pools.values()) before.sessionEnded(session, workflow, atNs);
    for (const replica of this.replicas) replica.sessionEnded(atNs, session);
    this.retime();
  }

  crash(atNs: number, pool: string, draw: number): void {
    this.addInput(atNs, { kind: 'crash', pool, draw });
  }

  heldAt(): string[] {
    return [...this.pools.values()].flatMap(({ before }) => (before.held.length > 0 ? [before.name] : []));
  }

  isIdle(): boolean {
    const hasWork = this.live.size > 0 || this.inputs.size > 0 || this.transferNs < Number.POSITIVE_INFINITY;
    return !hasWork && this.heldAt().length === 0;
  }

  view(pool: string): RoutingView {
    return this.pools.get(pool)!.sets[0]!.front.view(this.kernel.nowNs);
  }

  replicaSpans(): ReplicaSpan[] {
    return [...this.pools.values()].flatMap(({ before }) => before.spans());
  }

  private addInput(atNs: number, input: Input): void {
    const row = this.inputCount;
    this.kernel.add({ atNs, kind: 'input', row });
    this.inputs.set(row, input);
    this.inputCount += 1;
  }

  nextNs(): number {
    return this.kernel.nextNs();
  }

  advanceTo(ns: number): void {
    this.kernel.advanceTo(ns, event => {
      this.handle(event);
      this.retime();
      this.options.watch?.(this);
    });
  }

  /** The kernel holds one event for whatever transfer is due next, and one for the fronts. */
  private retime(): void {
    let frontNs = Number.POSITIVE_INFINITY;
    for (const { before } of this.pools.values()) frontNs = Math.min(frontNs, before.nextNs());
    this.transferNs = this.move('transfer', this.transferNs, this.transfers.nextNs());
    this.frontNs = this.move('front', this.frontNs, frontNs);
  }

  private move(kind: 'transfer' | 'front', fromNs: number, toNs: number): number {
    if (toNs === fromNs) return toNs;
    if (fromNs < Number.POSITIVE_INFINITY) this.kernel.remove({ atNs: fromNs, kind, row: 0 });
    if (toNs < Number.POSITIVE_INFINITY) this.kernel.add({ atNs: toNs, kind, row: 0 });
    return toNs;
  }

  private handle({ kind, row, atNs }: KernelEvent): void {
    switch (kind) {
      case 'stepEnd': {
        const { stepper, group } = this.steppers[row]!;
        if (stepper === null) return;
        group.observe(atNs);
        stepper.endStep(atNs);
        this.wake(atNs, row);
        return;
      }
      case 'transfer':
        this.transferNs = Number.POSITIVE_INFINITY;
        this.transfers.advanceTo(atNs);
        return;
      case 'front':
        this.frontNs = Number.POSITIVE_INFINITY;
        for (const pool of this.pools.values()) {
          pool.before.advanceTo(atNs);
          if (pool.before.isOpen) for (const held of pool.before.held.splice(0)) this.send(pool, held, atNs);
        }
        return;
      case 'input': {
        const input = this.inputs.get(row)!;
        this.inputs.delete(row);
        if (input.kind === 'submit') this.route(atNs, input.submission);
        else if (input.kind === 'cancel') this.cancelLive(atNs, input.id);
        else this.pools.get(input.pool)?.before.crash(input.draw, atNs);
        return;
      }
      case 'stepBegin': {
        this.due.delete(row);
        const { stepper, group } = this.steppers[row]!;
        if (stepper === null) return;
        group.observe(atNs);
        while (stepper.canBegin) {
          const endNs = stepper.beginStep(atNs);
          if (endNs === null) break;
          this.kernel.add({ atNs: endNs, kind: 'stepEnd', row });
        }
        return;
      }
      default:
        unreachable(kind);
    }
  }

  /** Lets what has work, and room for a step, begin one at this instant. */
  private wakeReplica(atNs: number, replica: Replica): void {
    const row = this.rows.get(replica);
    if (row !== undefined) this.wake(atNs, row);
  }

  private wake(atNs: number, row: number): void {
    if (this.steppers[row]!.stepper?.canBegin !== true || this.due.has(row)) return;
    this.due.add(row);
    this.kernel.add({ atNs, kind: 'stepBegin', row });
  }

  /** Routes before the engine looks: a gateway does not know the engine's limits. */
  private route(atNs: number, submission: Submission): void {
    const { id } = submission;
    invariant(!this.live.has(id), () => `request ${id} is submitted while another of that id is live`);
    const pool = this.pools.get(submission.pool);
    pool?.before.came(submission, atNs);
    if (pool?.before.isOpen === true) this.send(pool, submission, atNs);
    else if (pool?.before.opens === true) pool.before.held.push(submission);
    else this.record(noPool(submission, pool !== undefined, atNs));
  }

  private send(pool: Pool, given: Submission, atNs: number): void {
    const { id } = given;
    const submission = pool.before.scheduledBy(given, atNs);
    if (!pool.submit(atNs, submission)) {
      pool.before.ended(id, 0, atNs);
      return;
    }
    this.live.set(id, { pool, submission });
  }

  private cancelLive(atNs: number, id: number): void {
    const place = this.live.get(id)?.pool.place(id);
    if (place === undefined) {
      for (const { before } of this.pools.values())
        if (before.withdraw(id, atNs)) this.record(withdrawn(id, atNs));
      return;
    }
    place.cancel(atNs, id);
  }

  private record(event: ClusterEvent): void {
    if (event.kind === 'token' && event.index > 0 && this.options.everyToken !== true) return;
    this.events.push(event);
    const { kind, id, atNs } = event;
    const live = kind === 'rejected' ? undefined : this.live.get(id);
    if (live === undefined) return;
    const { pool, submission } = live;
    if (kind === 'scheduled') {
      pool.sets[0]!.front.scheduled(id, submission, event.cachedTokens, atNs);
      pool.before.scheduled(id, atNs);
    } else if (kind === 'token') {
      if (event.index === 0) pool.sets[0]!.front.firstToken(id, atNs);
    } else if (kind !== 'rejected') {
      this.live.delete(id);
      pool.leave(id, event.outputTokens, kind === 'end', atNs);
      pool.before.ended(id, event.outputTokens, atNs);
    }
  }

  drain(): ClusterEvent[] {
    const drained = this.events;
    this.events = [];
    return drained;
  }

  sample(atMs: number): TimelineSample[] {
    return this.groups()
      .filter(({ isStopped }) => !isStopped)
      .map(group => group.sample(atMs));
  }

  counters(): ReplicaCounters[] {
    return this.groups().map(group => group.counters(this.kernel.nowNs));
  }

  private sets(): ReplicaSet[] {
    return [...this.pools.values()].flatMap(({ sets }) => sets);
  }

  private groups(): RankGroup[] {
    return this.sets().flatMap(({ groups }) => groups);
  }

  generatedTokens(id: number): number {
    return this.live.get(id)?.pool.place(id).replica.request(id).generated ?? 0;
  }

  beyondRange(): string[] {
    return this.sets().flatMap(set => set.beyondRange() ?? []);
  }

  itlMs(): HistogramCounts {
    return this.itl.toCountsMs();
  }

  /** Whether a step of this replica begins at the present instant. */
  isDue(replica: Replica): boolean {
    return this.due.has(this.rows.get(replica)!);
  }

  /** Exact count of live requests by replica; of a disaggregated pool one at both of its replicas while its prompt is computed. */
  outstanding(): number[] {
    return this.sets().flatMap(({ front }) => front.view(this.kernel.nowNs).outstanding);
  }
}

function checkSubmission({ id, prompt, promptTokens, output, outputTokens, warmTokens }: Submission): void {
  const whole = (tokens: number, least: number, what: string) =>
    invariant(
      Number.isSafeInteger(tokens) && tokens >= least,
      () => `request ${id} has ${tokens} ${what} tokens, not a whole number from ${least} on`,
    );
  whole(promptTokens, 1, 'prompt');
  whole(outputTokens, 1, 'output');
  whole(warmTokens, 0, 'warm');
  for (const run of [...prompt, ...output]) whole(run.tokens, 1, 'run');
  invariant(
    runTokens(prompt) === promptTokens,
    () => `request ${id}: runs of ${runTokens(prompt)} tokens for a prompt of ${promptTokens}`,
  );
  invariant(
    runTokens(output) === outputTokens,
    () => `request ${id}: runs of ${runTokens(output)} tokens for an output of ${outputTokens}`,
  );
  invariant(
    warmTokens <= promptTokens,
    () => `request ${id}: ${warmTokens} warm tokens in a prompt of ${promptTokens}`,
  );
}
