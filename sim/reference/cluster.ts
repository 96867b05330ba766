// The reference cluster: every step, every token and every block one at a time, written to be read. It specifies the
// fast engine, which must give the same events.
//
//   submit ─▶ route ─▶ replica: waiting ─▶ running ─▶ tokens ─▶ end
//                      [stepEnd]  [input]  [stepBegin]            order within one instant
import type { DeploymentSpec, PoolSpec } from '../../engines/engine.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import type { Router } from '../../gateway/routing/policy.ts';
import { invariant, UserError, unreachable } from '../../scenarios/base/errors.ts';
import type { HistogramCounts } from '../../scenarios/base/histogram.ts';
import { textKey } from '../../scenarios/base/key.ts';
import { runTokens } from '../../scenarios/formats/prompt.ts';
import type { TimelineSample } from '../../scenarios/formats/record.ts';
import type { Cluster, ClusterEvent, ClusterOptions, ReplicaCounters, Submission } from '../cluster.ts';
import { GapHistogram } from '../gap-histogram.ts';
import { Kernel, type KernelEvent } from './kernel.ts';
import { Replica, type ReplicaSink } from './replica.ts';

type Input = { kind: 'submit'; submission: Submission } | { kind: 'cancel'; id: number };

/** Replicas of one kind behind one router. Arrays are parallel. */
interface Pool {
  readonly router: Router;
  readonly replicas: readonly Replica[];
  readonly names: readonly string[];
  /** Routed and not yet ended, cancelled or rejected; exact. */
  readonly outstanding: number[];
}

export interface ReferenceOptions extends ClusterOptions {
  /** Called after every kernel event; tests check the laws there. */
  watch?: (cluster: ReferenceCluster) => void;
}

export function createCluster(deployment: DeploymentSpec, options: ReferenceOptions = {}): ReferenceCluster {
  return new ReferenceCluster(deployment, options);
}

export class ReferenceCluster implements Cluster {
  /** Of all pools, in order of the deployment; a kernel event's row. */
  readonly replicas: Replica[] = [];
  private readonly options: ReferenceOptions;
  private readonly itl = new GapHistogram();
  private readonly kernel = new Kernel();
  private readonly pools = new Map<string, Pool>();
  private readonly inputs = new Map<number, Input>();
  private inputCount = 0;
  /** Where each live request was routed to: its pool and the row there. */
  private readonly live = new Map<number, { pool: Pool; row: number }>();
  /** Replicas, by row, whose next step is in the kernel already. */
  private readonly due = new Set<number>();
  private events: ClusterEvent[] = [];

  constructor(deployment: DeploymentSpec, options: ReferenceOptions) {
    this.options = options;
    const { routing } = deployment;
    const { policy } = routing;
    const policyOf = Object.hasOwn(routingPolicies, policy) ? routingPolicies[policy] : undefined;
    if (policyOf === undefined) {
      const hint = `one of ${Object.keys(routingPolicies).join(', ')}`;
      throw new UserError(`unknown routing policy ${JSON.stringify(policy)}`, { hint });
    }
    for (const spec of deployment.pools) {
      invariant(!this.pools.has(spec.name), () => `two pools are named ${spec.name}`);
      this.pools.set(spec.name, this.buildPool(spec, policyOf.create(routing.options)));
    }
  }

  private buildPool(spec: PoolSpec, router: Router): Pool {
    const names = Array.from({ length: spec.replicas }, (_, row) => `${spec.name}/${row}`);
    const sink: ReplicaSink = {
      event: event => this.record(event),
      gap: gapNs => this.itl.record(gapNs, 1),
    };
    const replicas = names.map(name => new Replica(spec, name, sink));
    this.replicas.push(...replicas);
    return { router, replicas, names, outstanding: names.map(() => 0) };
  }

  submit(atNs: number, submission: Submission): void {
    checkSubmission(submission);
    this.addInput(atNs, { kind: 'submit', submission });
  }

  /** Of a request that has ended, or is not there, does nothing: the cancel and the end may cross on their way. */
  cancel(atNs: number, id: number): void {
    this.addInput(atNs, { kind: 'cancel', id });
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
      this.options.watch?.(this);
    });
  }

  private handle({ kind, row, atNs }: KernelEvent): void {
    switch (kind) {
      case 'stepEnd': {
        const replica = this.replicas[row]!;
        replica.endStep(atNs);
        this.wake(atNs, replica);
        return;
      }
      case 'input': {
        const input = this.inputs.get(row)!;
        this.inputs.delete(row);
        if (input.kind === 'submit') this.route(atNs, input.submission);
        else this.cancelLive(atNs, input.id);
        return;
      }
      case 'stepBegin': {
        this.due.delete(row);
        const replica = this.replicas[row]!;
        while (replica.canBegin) {
          const endNs = replica.beginStep(atNs);
          if (endNs === null) break;
          this.kernel.add({ atNs: endNs, kind: 'stepEnd', row });
        }
        return;
      }
      default:
        unreachable(kind);
    }
  }

  /** Lets a replica that has work, and room for a step, begin one at this instant. */
  private wake(atNs: number, replica: Replica): void {
    const row = this.replicas.indexOf(replica);
    if (!replica.canBegin || this.due.has(row)) return;
    this.due.add(row);
    this.kernel.add({ atNs, kind: 'stepBegin', row });
  }

  /** Routes before the engine looks: a gateway does not know the engine's limits. */
  private route(atNs: number, submission: Submission): void {
    const { id, session, promptTokens } = submission;
    invariant(!this.live.has(id), () => `request ${id} is submitted while another of that id is live`);
    const pool = this.pools.get(submission.pool);
    if (pool === undefined || pool.replicas.length === 0) {
      const message =
        pool === undefined ? `no pool ${submission.pool}` : `pool ${submission.pool} has no replica`;
      this.record({ kind: 'rejected', id, atNs, reason: 'no_pool', message });
      return;
    }
    const row = pool.router.route(
      { session, sessionKey: textKey(session), promptTokens },
      { ageMs: 0, replicas: pool.names, outstanding: pool.outstanding },
    );
    const replica = pool.replicas[row];
    invariant(replica !== undefined, () => `the router chose row ${row} of ${pool.replicas.length} replicas`);
    if (!replica.submit(atNs, submission)) return;
    this.live.set(id, { pool, row });
    pool.outstanding[row]! += 1;
    this.wake(atNs, replica);
  }

  private cancelLive(atNs: number, id: number): void {
    const place = this.live.get(id);
    if (place !== undefined) place.pool.replicas[place.row]!.cancel(atNs, id);
  }

  private record(event: ClusterEvent): void {
    if (event.kind === 'token' && event.index > 0 && this.options.everyToken !== true) return;
    this.events.push(event);
    if (event.kind !== 'end' && event.kind !== 'cancelled') return;
    const { pool, row } = this.live.get(event.id)!;
    this.live.delete(event.id);
    pool.outstanding[row]! -= 1;
  }

  drain(): ClusterEvent[] {
    const drained = this.events;
    this.events = [];
    return drained;
  }

  sample(atMs: number): TimelineSample[] {
    return this.replicas.map(replica => replica.sample(atMs));
  }

  counters(): ReplicaCounters[] {
    return this.replicas.map(replica => replica.counters());
  }

  generatedTokens(id: number): number {
    const place = this.live.get(id);
    return place === undefined ? 0 : place.pool.replicas[place.row]!.request(id).generated;
  }

  itlMs(): HistogramCounts {
    return this.itl.toCountsMs();
  }

  /** Whether a step of this replica begins at the present instant. */
  isDue(replica: Replica): boolean {
    return this.due.has(this.replicas.indexOf(replica));
  }

  /** Exact count of live requests by replica, in order of `replicas`. */
  outstanding(): number[] {
    return [...this.pools.values()].flatMap(pool => pool.outstanding);
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
