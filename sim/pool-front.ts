// A pool before its engines: how urgent a call is to them, and the calls that wait until a replica is ready.
import type { PoolSpec } from '../engines/engine.ts';
import { schedulingPolicy } from '../gateway/scheduling/index.ts';
import type { ScheduledArrival, Scheduler } from '../gateway/scheduling/policy.ts';
import { IdTable } from '../scenarios/base/id-table.ts';
import { extend, type Key, textKey } from '../scenarios/base/key.ts';
import type { PromptMakeup, Run } from '../scenarios/formats/prompt.ts';
import type { ReplicaSpan } from '../scenarios/formats/record.ts';
import type { Submission } from './cluster.ts';
import type { Front } from './front.ts';

const NS_PER_MS = 1e6;
const NO_PARENTS: readonly number[] = [];
const STRANGER: Key = textKey('a request of which nothing is known');

/**
 * What policies are told of a submission; one object for all of them, keys only for who asks. How many tokens will be
 * generated is in there too: no policy, one from outside included, gets at it.
 */
export class Arrival implements ScheduledArrival {
  #submission!: Submission;

  of(submission: Submission): this {
    this.#submission = submission;
    return this;
  }
  get id(): number {
    return this.#submission.id;
  }
  get key(): Key {
    return this.#submission.call?.key ?? extend(STRANGER, this.#submission.id);
  }
  get session(): string {
    return this.#submission.session;
  }
  get sessionKey(): Key {
    return textKey(this.#submission.session);
  }
  get workflow(): string {
    return this.#submission.call?.workflow ?? '';
  }
  get tenant(): string | null {
    return this.#submission.call?.tenant ?? null;
  }
  get step(): string {
    return this.#submission.call?.step ?? '';
  }
  get priority(): number {
    return 0 - this.#submission.priority;
  }
  get prompt(): readonly Run[] {
    return this.#submission.prompt;
  }
  get makeup(): PromptMakeup | undefined {
    return this.#submission.makeup;
  }
  get promptTokens(): number {
    return this.#submission.promptTokens;
  }
  get maxOutputTokens(): number | null {
    return this.#submission.maxOutputTokens ?? null;
  }
  get prefers(): string | null {
    return this.#submission.prefers ?? null;
  }
  get avoids(): readonly string[] | null {
    return this.#submission.avoids ?? null;
  }
  get sessionStartMs(): number {
    return this.#submission.call?.sessionStartMs ?? 0;
  }
  get deadlineMs(): number | null {
    return this.#submission.call?.deadlineMs ?? null;
  }
  get parents(): readonly number[] {
    return this.#submission.call?.parents ?? NO_PARENTS;
  }
}

/** A call that its scheduler hears of again. */
interface Served {
  readonly submission: Submission;
  readonly arrivedNs: number;
  scheduledNs: number;
}

export class PoolFront {
  readonly name: string;
  /** One; of a disaggregated pool the decode half and the prefill half. */
  readonly fronts: readonly Front[];
  /** Calls that came while no replica was ready, in order. */
  readonly held: Submission[];
  private readonly specs: readonly PoolSpec[];
  /** Null where the engine's own order is all there is. */
  private readonly scheduler: Scheduler | null;
  private readonly served = new IdTable<Served>();
  private readonly arrival = new Arrival();

  constructor(
    spec: PoolSpec,
    fronts: readonly Front[],
    held: Submission[],
    specs: readonly PoolSpec[] = [spec],
  ) {
    this.name = spec.name;
    this.fronts = fronts;
    this.held = held;
    this.specs = specs;
    const { policy, options } = spec.scheduling;
    const isEngines = policy === 'fcfs' || policy === 'priority';
    this.scheduler = isEngines ? null : schedulingPolicy(policy).create(options);
  }

  /** Every set has a replica that takes requests. */
  get isOpen(): boolean {
    return this.fronts.every(front => front.isOpen);
  }

  /** It has, or will. */
  get opens(): boolean {
    return this.fronts.every(front => front.opens);
  }

  nextNs(): number {
    let ns = Number.POSITIVE_INFINITY;
    for (const front of this.fronts) ns = Math.min(ns, front.nextNs());
    return ns;
  }

  advanceTo(atNs: number): void {
    for (const front of this.fronts) if (front.nextNs() <= atNs) front.advanceTo(atNs);
  }

  /** A call has come. */
  came(submission: Submission, atNs: number): void {
    for (const front of this.fronts) front.came(this.arrival.of(submission), atNs);
  }

  /** A call that waits for a replica is taken back; false: it does not wait. */
  withdraw(id: number, atNs: number): boolean {
    const place = this.held.findIndex(each => each.id === id);
    if (place < 0) return false;
    this.held.splice(place, 1);
    for (const front of this.fronts) front.withdrawn(id, atNs);
    return true;
  }

  /** One of the ready replicas, of either half, by a uniform draw, is lost. */
  crash(draw: number, atNs: number): void {
    const ready = this.fronts.flatMap(front =>
      front.lifecycle.members.flatMap(member => (member.state === 'ready' ? [{ front, member }] : [])),
    );
    const lost = ready[Math.floor(draw * ready.length)];
    lost?.front.crash(lost.member, atNs);
  }

  /** The submission with the urgency that its scheduler gives it. */
  scheduledBy(submission: Submission, atNs: number): Submission {
    const { scheduler } = this;
    if (scheduler === null) return submission;
    const priority = scheduler.urgency(this.arrival.of(submission), atNs / NS_PER_MS);
    const urgent = { ...submission, prompt: submission.prompt, priority };
    this.served.set(submission.id, { submission: urgent, arrivedNs: atNs, scheduledNs: atNs });
    return urgent;
  }

  scheduled(id: number, atNs: number): void {
    const served = this.served.get(id);
    if (served !== undefined) served.scheduledNs = atNs;
  }

  ended(id: number, outputTokens: number, atNs: number): void {
    const { scheduler } = this;
    const served = this.served.get(id);
    if (scheduler === null || served === undefined) return;
    this.served.delete(id);
    const { submission, arrivedNs, scheduledNs } = served;
    const { session, promptTokens, call } = submission;
    scheduler.ended?.(
      {
        id,
        session,
        workflow: call?.workflow ?? '',
        step: call?.step ?? '',
        promptTokens,
        outputTokens,
        waitedMs: (scheduledNs - arrivedNs) / NS_PER_MS,
        servedMs: (atNs - scheduledNs) / NS_PER_MS,
      },
      atNs / NS_PER_MS,
    );
  }

  sessionEnded(session: string, workflow: string, atNs: number): void {
    for (const front of this.fronts) front.sessionEnded(session, atNs);
    this.scheduler?.sessionEnded?.(session, workflow, atNs / NS_PER_MS);
  }

  spans(): ReplicaSpan[] {
    const ms = (ns: number): number | null => (ns === Number.POSITIVE_INFINITY ? null : ns / NS_PER_MS);
    return this.fronts.flatMap((front, i) => {
      const { tensorParallel, pipelineStages, dataParallelRanks, usdPerGpuHour } = this.specs[i]!;
      return front.lifecycle.members.map(({ name, askedNs, readyNs, goneNs, isLost }) => ({
        pool: this.name,
        replica: name,
        askedMs: askedNs / NS_PER_MS,
        readyMs: readyNs <= goneNs ? ms(readyNs) : null,
        goneMs: ms(goneNs),
        isLost,
        gpus: tensorParallel * pipelineStages * dataParallelRanks,
        usdPerGpuHour,
      }));
    });
  }
}
