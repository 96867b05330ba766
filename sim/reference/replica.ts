// One engine instance: runs steps back to back while it has work. With async scheduling the next step is decided while
// one runs, so what arrives meanwhile waits for the step after it. When a step ends, its tokens appear, cancels act and
// finished requests free their blocks, and then the next step to decide is scheduled.
// Rule: a replica with work never idles.
import type { EngineLimits, PoolSpec } from '../../engines/engine.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import type { TimelineSample } from '../../scenarios/formats/record.ts';
import type { ClusterEvent, ReplicaCounters, Submission } from '../cluster.ts';
import { checkNs } from './kernel.ts';
import { KvCache } from './kv-cache.ts';
import { newRequest, type Request, tokensAtEnd } from './request.ts';
import { goesBefore, type Schedulable, type StepPlan, schedule } from './scheduler.ts';

type Rejection = Extract<ClusterEvent, { kind: 'rejected' }>;

/** Whom a replica tells. */
export interface ReplicaSink {
  event(event: ClusterEvent): void;
  /** A gap between two tokens of a request. */
  gap(gapNs: number): void;
}

export class Replica implements Schedulable {
  readonly pool: PoolSpec;
  readonly name: string;
  readonly limits: EngineLimits;
  readonly cache: KvCache;
  readonly running: Request[] = [];
  readonly waiting: Request[] = [];
  /** Steps decided and not ended, the one that runs first. */
  readonly steps: StepPlan[] = [];
  /** Steps that may be in flight at once. */
  private readonly depth: number;
  /** When the last of them ends. */
  private busyUntilNs = 0;
  private arrivals = 0;
  private readonly cancels: Request[] = [];
  private readonly sink: ReplicaSink;
  private readonly totals = {
    prefixQueriesTokens: 0,
    prefixHitsTokens: 0,
    preemptions: 0,
    promptTokens: 0,
    generationTokens: 0,
    requestsFinished: 0,
    steps: 0,
  };

  constructor(pool: PoolSpec, name: string, sink: ReplicaSink) {
    this.pool = pool;
    this.name = name;
    this.limits = pool.limits;
    this.cache = new KvCache(pool.limits);
    this.sink = sink;
    this.depth = pool.limits.asyncScheduling ? 2 : 1;
  }

  get hasWork(): boolean {
    return this.running.length > 0 || this.waiting.length > 0;
  }

  /** Queues a request; returns whether it was taken. A refused one is reported as `rejected`. */
  submit(atNs: number, submission: Submission): boolean {
    const refusal = this.refusal(submission);
    if (refusal !== null) {
      this.sink.event({ kind: 'rejected', id: submission.id, atNs, ...refusal });
      return false;
    }
    const request = newRequest(submission, this.limits.blockTokens, this.arrivals++);
    this.cache.seed(request.hashes.slice(0, Math.floor(submission.warmTokens / this.limits.blockTokens)));
    const byPriority = this.limits.schedulingPolicy === 'priority';
    const place = byPriority ? this.waiting.findIndex(each => goesBefore(request, each)) : -1;
    this.waiting.splice(place < 0 ? this.waiting.length : place, 0, request);
    return true;
  }

  private refusal(submission: Submission): Pick<Rejection, 'reason' | 'message'> | null {
    const { maxModelTokens, kvBlocks, blockTokens, maxQueuedRequests, maxQueuedTokens } = this.limits;
    const { promptTokens, outputTokens } = submission;
    if (promptTokens + outputTokens > maxModelTokens) {
      const message = `${promptTokens} prompt and ${outputTokens} output tokens exceed maxModelTokens ${maxModelTokens}`;
      return { reason: 'too_long', message };
    }
    const blocks = this.cache.blocksFor(tokensAtEnd(submission));
    if (blocks > kvBlocks) {
      const message = `needs ${blocks} KV blocks of ${blockTokens} tokens, the replica has kvBlocks ${kvBlocks}`;
      return { reason: 'too_long', message };
    }
    if (maxQueuedRequests !== null && this.waiting.length >= maxQueuedRequests) {
      const message = `${this.waiting.length} requests wait already, maxQueuedRequests is ${maxQueuedRequests}`;
      return { reason: 'queue_full', message };
    }
    const waitingTokens = this.waiting.reduce((sum, { submission }) => sum + submission.promptTokens, 0);
    if (maxQueuedTokens !== null && waitingTokens >= maxQueuedTokens) {
      const message = `${waitingTokens} prompt tokens wait already, maxQueuedTokens is ${maxQueuedTokens}`;
      return { reason: 'queue_full', message };
    }
    return null;
  }

  /** The live request of this id. */
  request(id: number): Request {
    const isIt = (request: Request) => request.submission.id === id;
    const request = this.running.find(isIt) ?? this.waiting.find(isIt);
    invariant(request !== undefined, () => `${this.name} does not have request ${id}`);
    return request;
  }

  /** Acts now while no step is in flight, else when the next one ends; no token appears for it any more. */
  cancel(atNs: number, id: number): void {
    const request = this.request(id);
    if (this.steps.length === 0) this.drop(atNs, request);
    else if (!this.cancels.includes(request)) this.cancels.push(request);
  }

  /** Steps in flight compute its tokens all the same. */
  private drop(atNs: number, request: Request): void {
    for (const { scheduled } of this.steps)
      for (const entry of scheduled) if (entry.request === request) request.computedTokens += entry.tokens;
    this.leave(request);
    this.sink.event({ kind: 'cancelled', atNs, ...ended(request) });
  }

  /** Out of its queue, its blocks free. */
  private leave(request: Request): void {
    request.gone = true;
    const queue = this.running.includes(request) ? this.running : this.waiting;
    queue.splice(queue.indexOf(request), 1);
    this.cache.release(request.blocks);
  }

  get canBegin(): boolean {
    return this.steps.length < this.depth && this.hasWork;
  }

  /** Decides the next step; returns when it ends, null when there is nothing to schedule yet. */
  beginStep(atNs: number): number | null {
    invariant(this.canBegin, () => `${this.name} begins a step it has no room for`);
    let plan = schedule(this);
    this.totals.preemptions += plan.preempted.length;
    // By priority the first in line may only have made room: an empty step takes no time, and the next is decided.
    while (plan.scheduled.length === 0 && plan.preempted.length > 0) {
      plan = schedule(this);
      this.totals.preemptions += plan.preempted.length;
    }
    if (plan.scheduled.length === 0) {
      invariant(this.steps.length > 0, () => this.stuck());
      return null;
    }
    this.steps.push(plan);
    this.totals.steps += 1;
    for (const request of plan.admitted) this.reportFirstAdmission(atNs, request);
    const stepNs = this.pool.step.stepNs(plan.load);
    checkNs(
      stepNs,
      `a step of model ${this.pool.step.name} in pool ${this.pool.name}, ${JSON.stringify(plan.load)},`,
    );
    invariant(stepNs >= 1, () => `step model ${this.pool.step.name} gives a step of ${stepNs} ns`);
    this.busyUntilNs = Math.max(atNs, this.busyUntilNs) + stepNs;
    return this.busyUntilNs;
  }

  private reportFirstAdmission(atNs: number, request: Request): void {
    if (request.cachedTokens !== null) return; // back from a preemption
    const cachedTokens = request.hitTokens;
    request.cachedTokens = cachedTokens;
    this.totals.prefixQueriesTokens += request.submission.promptTokens;
    this.totals.prefixHitsTokens += cachedTokens;
    this.sink.event({ kind: 'scheduled', id: request.submission.id, atNs, replica: this.name, cachedTokens });
  }

  /** The step's tokens appear, all at its end. */
  endStep(atNs: number): void {
    const step = this.steps.shift();
    invariant(step !== undefined, () => `${this.name} ends a step it never began`);
    for (const { request, tokens } of step.scheduled) if (!request.gone) request.computedTokens += tokens;
    for (const request of this.cancels.splice(0)) if (!request.gone) this.drop(atNs, request);
    for (const { request, samples } of step.scheduled) {
      if (samples && !request.gone) this.emitToken(atNs, request);
    }
  }

  private emitToken(atNs: number, request: Request): void {
    const { id, promptTokens, outputTokens } = request.submission;
    this.sink.event({ kind: 'token', id, atNs, index: request.generated });
    if (request.generated === 0) this.totals.promptTokens += promptTokens;
    else {
      const gapNs = atNs - request.lastTokenNs;
      this.sink.gap(gapNs);
      request.itlMaxNs = Math.max(request.itlMaxNs, gapNs);
    }
    request.lastTokenNs = atNs;
    request.expected -= 1;
    request.generated += 1;
    this.totals.generationTokens += 1;
    if (request.generated < outputTokens) return;
    this.leave(request);
    this.totals.requestsFinished += 1;
    this.sink.event({ kind: 'end', atNs, ...ended(request) });
  }

  private stuck(): string {
    const { running, waiting, cache } = this;
    const head = waiting[0];
    const need = head === undefined ? 0 : cache.blocksFor(head.submission.promptTokens + head.generated);
    return (
      `${this.name} has work it can never schedule: ${running.length} running, ${waiting.length} waiting, ` +
      `${cache.free.count} of ${cache.blocks.length} KV blocks free, the first waiting needs ${need}, ` +
      `maxBatchedTokens ${this.limits.maxBatchedTokens}, maxSequences ${this.limits.maxSequences}`
    );
  }

  sample(atMs: number): TimelineSample {
    return {
      atMs,
      pool: this.pool.name,
      replica: this.name,
      runningRequests: this.running.length,
      waitingRequests: this.waiting.length,
      kvUsedRatio: this.cache.usedBlocks / this.limits.kvBlocks,
    };
  }

  counters(): ReplicaCounters {
    return {
      pool: this.pool.name,
      replica: this.name,
      model: this.pool.modelId,
      runningRequests: this.running.length,
      waitingRequests: this.waiting.length,
      kvBlocks: this.limits.kvBlocks,
      kvBlocksUsed: this.cache.usedBlocks,
      blockTokens: this.limits.blockTokens,
      maxModelTokens: this.limits.maxModelTokens,
      evictedBlocks: this.cache.evictedBlocks,
      ...this.totals,
    };
  }
}

const ended = ({ submission, generated, computedTokens, preemptions, itlMaxNs }: Request) => ({
  id: submission.id,
  outputTokens: generated,
  computedTokens,
  preemptions,
  itlMaxNs,
});
