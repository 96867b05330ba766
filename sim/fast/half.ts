// One half of a disaggregated pool in the fast engine: its replicas, and where each of its requests is.
import type { PoolSpec } from '../../engines/engine.ts';
import { IdTable } from '../../scenarios/base/id-table.ts';
import type { Submission } from '../cluster.ts';
import type { Front } from '../front.ts';
import type { Carried } from '../handover.ts';
import type { LoadRange } from '../load-range.ts';
import { Arrival } from '../pool-front.ts';
import type { Refusal } from '../refusal.ts';
import type { SplitHalf, SplitPlace } from '../split-pool.ts';
import type { FastReplica } from './replica.ts';
import type { FastRequest } from './request.ts';

/** What the cluster knows of its engines. */
export interface Register {
  /** By id of the request, the part of it that is alive now. */
  readonly live: IdTable<FastRequest>;
  readonly due: { moved(replica: FastReplica): void };
}

class FastPlace implements SplitPlace {
  readonly id: number;
  private readonly replica: FastReplica;
  private readonly register: Register;

  constructor(id: number, replica: FastReplica, register: Register) {
    this.id = id;
    this.replica = replica;
    this.register = register;
  }

  refusal(submission: Submission): Refusal | null {
    return this.replica.refusal(submission);
  }

  seed(atNs: number, submission: Submission): void {
    this.replica.seed(atNs, submission);
    this.register.due.moved(this.replica);
  }

  cachedTokens(atNs: number, { prompt, promptTokens }: Submission): number {
    const tokens = this.replica.cachedTokens(atNs, prompt, promptTokens);
    this.register.due.moved(this.replica);
    return tokens;
  }

  submit(atNs: number, submission: Submission): boolean {
    const request = this.replica.submit(atNs, submission);
    this.register.due.moved(this.replica);
    if (request !== null) this.register.live.set(submission.id, request);
    return request !== null;
  }

  takeOver(atNs: number, submission: Submission, carried: Carried): void {
    this.register.live.set(submission.id, this.replica.takeOver(atNs, submission, carried));
    this.register.due.moved(this.replica);
  }

  cancel(atNs: number, id: number): void {
    this.replica.cancel(atNs, this.register.live.get(id)!);
    this.register.due.moved(this.replica);
  }

  fail(atNs: number, id: number): void {
    this.replica.fail(atNs, this.register.live.get(id)!);
    this.register.due.moved(this.replica);
  }

  keeps(id: number): boolean {
    return this.replica.kept.has(id);
  }

  letGo(atNs: number, id: number): void {
    this.replica.letGo(atNs, id);
    this.register.due.moved(this.replica);
  }
}

export class FastHalf implements SplitHalf {
  readonly front: Front;
  readonly spec: PoolSpec;
  readonly range: LoadRange;
  /** By id. */
  readonly replicas: FastReplica[];
  private readonly register: Register;
  private readonly places: FastPlace[] = [];
  private readonly requests = new IdTable<FastPlace>();
  private readonly arrival = new Arrival();

  constructor(
    { front, spec, range, replicas }: Pick<FastHalf, 'front' | 'spec' | 'range' | 'replicas'>,
    register: Register,
  ) {
    this.front = front;
    this.spec = spec;
    this.range = range;
    this.replicas = replicas;
    this.register = register;
  }

  choose(atNs: number, submission: Submission): FastPlace {
    const id = this.front.choose(atNs, this.arrival.of(submission));
    this.places[id] ??= new FastPlace(id, this.replicas[id]!, this.register);
    const place = this.places[id];
    this.requests.set(submission.id, place);
    return place;
  }

  place(id: number): FastPlace | null {
    return this.requests.get(id) ?? null;
  }

  leave(id: number, outputTokens: number, isOk: boolean, atNs: number): void {
    this.requests.delete(id);
    this.front.ended(id, outputTokens, isOk, atNs);
  }

  keptAt(replicaId: number): number[] {
    return [...this.replicas[replicaId]!.kept.keys()];
  }
}
