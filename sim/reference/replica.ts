// One engine instance: runs steps back to back while it has work. At a boundary the finished step's work counts, cancels
// act, tokens appear, finished requests free their blocks, and then the next step is scheduled.
// Rule: a replica with work never idles.
import type { EngineLimits, PoolSpec } from '../../engines/engine.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import type { TimelineSample } from '../../scenarios/formats/record.ts';
import type { ClusterEvent, ReplicaCounters, Submission } from '../cluster.ts';
import { checkNs } from './kernel.ts';
import { KvCache } from './kv-cache.ts';
import { newRequest, type Request, targetTokens, tokensAtEnd } from './request.ts';
import { type Schedulable, type StepPlan, schedule, stepLoad } from './scheduler.ts';

type Rejection = Extract<ClusterEvent, { kind: 'rejected' }>;

export class Replica implements Schedulable {
  readonly pool: PoolSpec;
  readonly name: string;
  readonly limits: EngineLimits;
  readonly cache: KvCache;
  readonly running: Request[] = [];
  readonly waiting: Request[] = [];
  /** The step in progress; null between steps. */
  step: StepPlan | null = null;
  private readonly cancels: Request[] = [];
  private readonly emit: (event: ClusterEvent) => void;
  private readonly totals = {
    prefixQueriesTokens: 0,
    prefixHitsTokens: 0,
    preemptions: 0,
    promptTokens: 0,
    generationTokens: 0,
    requestsFinished: 0,
  };

  constructor(pool: PoolSpec, name: string, emit: (event: ClusterEvent) => void) {
    this.pool = pool;
    this.name = name;
    this.limits = pool.limits;
    this.cache = new KvCache(pool.limits);
    this.emit = emit;
  }

  get hasWork(): boolean {
    return this.running.length > 0 || this.waiting.length > 0;
  }

  /** Queues a request; returns whether it was taken. A refused one is reported as `rejected`. */
  submit(atNs: number, submission: Submission): boolean {
    const refusal = this.refusal(submission);
    if (refusal !== null) {
      this.emit({ kind: 'rejected', id: submission.id, atNs, ...refusal });
      return false;
    }
    const request = newRequest(submission, this.limits.blockTokens);
    this.cache.seed(request.hashes.slice(0, Math.floor(submission.warmTokens / this.limits.blockTokens)));
    this.waiting.push(request);
    return true;
  }

  private refusal(submission: Submission): Pick<Rejection, 'reason' | 'message'> | null {
    const { maxModelTokens, kvBlocks, blockTokens, maxQueuedRequests } = this.limits;
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
    return null;
  }

  /** Acts now between two steps, else when the step in progress ends; that step gives no token any more. */
  cancel(atNs: number, id: number): void {
    const isIt = (request: Request) => request.submission.id === id;
    const request = this.running.find(isIt) ?? this.waiting.find(isIt);
    invariant(
      request !== undefined,
      () => `request ${id} is cancelled on ${this.name}, which does not have it`,
    );
    if (this.step === null) this.drop(atNs, request);
    else if (!this.cancels.includes(request)) this.cancels.push(request);
  }

  private drop(atNs: number, request: Request): void {
    this.leave(request);
    const { computedTokens, preemptions } = request;
    this.emit({ kind: 'cancelled', id: request.submission.id, atNs, computedTokens, preemptions });
  }

  /** Out of its queue, its blocks free. */
  private leave(request: Request): void {
    const queue = this.running.includes(request) ? this.running : this.waiting;
    queue.splice(queue.indexOf(request), 1);
    this.cache.release(request.blocks);
  }

  /** Schedules the next step; returns its length in ns, null when there is nothing to do. */
  beginStep(atNs: number): number | null {
    invariant(this.step === null, () => `${this.name} begins a step inside of another`);
    if (!this.hasWork) return null;
    const plan = schedule(this);
    invariant(plan.scheduled.length > 0, () => this.stuck());
    this.step = plan;
    this.totals.preemptions += plan.preempted.length;
    for (const request of plan.admitted) this.reportFirstAdmission(atNs, request);
    const load = stepLoad(plan);
    const stepNs = this.pool.step.stepNs(load);
    checkNs(
      stepNs,
      `a step of model ${this.pool.step.name} in pool ${this.pool.name}, ${JSON.stringify(load)},`,
    );
    invariant(stepNs >= 1, () => `step model ${this.pool.step.name} gives a step of ${stepNs} ns`);
    return stepNs;
  }

  private reportFirstAdmission(atNs: number, request: Request): void {
    if (request.cachedTokens !== null) return; // back from a preemption
    const cachedTokens = request.hitTokens;
    request.cachedTokens = cachedTokens;
    this.totals.prefixQueriesTokens += request.submission.promptTokens;
    this.totals.prefixHitsTokens += cachedTokens;
    this.emit({ kind: 'scheduled', id: request.submission.id, atNs, replica: this.name, cachedTokens });
  }

  /** The step's tokens appear, all at its end. */
  endStep(atNs: number): void {
    const step = this.step;
    invariant(step !== null, () => `${this.name} ends a step it never began`);
    this.step = null;
    for (const { request, tokens } of step.scheduled) {
      request.computed += tokens;
      request.computedTokens += tokens;
    }
    const cancelled = this.cancels.splice(0);
    for (const request of cancelled) this.drop(atNs, request);
    for (const { request } of step.scheduled) {
      if (cancelled.includes(request)) continue;
      if (request.computed === targetTokens(request)) this.emitToken(atNs, request);
    }
  }

  private emitToken(atNs: number, request: Request): void {
    const { id, promptTokens, outputTokens } = request.submission;
    this.emit({ kind: 'token', id, atNs, index: request.generated });
    if (request.generated === 0) this.totals.promptTokens += promptTokens;
    request.generated += 1;
    this.totals.generationTokens += 1;
    if (request.generated < outputTokens) return;
    this.leave(request);
    this.totals.requestsFinished += 1;
    const { computedTokens, preemptions } = request;
    this.emit({ kind: 'end', id, atNs, computedTokens, preemptions });
  }

  private stuck(): string {
    const { running, waiting, cache } = this;
    const head = waiting[0];
    const need = head === undefined ? 0 : cache.blocksFor(targetTokens(head));
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
      ...this.totals,
    };
  }
}
