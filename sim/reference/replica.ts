// One engine instance: runs steps back to back while it has work. With async scheduling the next step is decided while
// one runs, so what arrives meanwhile waits for the step after it. When a step ends, its tokens appear, cancels act and
// finished requests free their blocks, and then the next step to decide is scheduled.
// Rule: a replica with work never idles.
import type { EngineLimits, PoolSpec } from '../../engines/engine.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';
import type { TimelineSample } from '../../scenarios/formats/record.ts';
import { type ClusterEvent, noTotals, type ReplicaCounters, type Submission } from '../cluster.ts';
import type { Carried } from '../handover.ts';
import type { LoadRange } from '../load-range.ts';
import { beyondQueue, beyondWindow, type Refusal } from '../refusal.ts';
import { stuckText } from '../stuck.ts';
import type { Engine, Queues } from './engine.ts';
import { engines } from './engines.ts';
import { checkNs } from './kernel.ts';
import type { KvCache } from './kv-cache.ts';
import { Loads } from './loads.ts';
import { Pipeline, stepsInFlight } from './pipeline.ts';
import { newRequest, type Request } from './request.ts';
import { goesBefore, type StepPlan } from './scheduler.ts';
import { acceptedTokens } from './speculative.ts';
import type { Tiers } from './tiers.ts';

/** A request that only asks. */
const PROBE: Omit<Submission, 'pool' | 'prompt' | 'promptTokens'> = {
  id: -1,
  session: '',
  outputTokens: 1,
  output: [],
  warmTokens: 0,
  priority: 0,
};

/** Whom a replica tells. */
export interface ReplicaSink {
  event(event: ClusterEvent): void;
  /** `tokens` tokens of a request appear together, so long after the one before them. */
  gap(gapNs: number, tokens: number): void;
  /** Work of this replica that could not go on may do so now: KV has come, or blocks are free again. */
  ready(atNs: number, replica: Replica): void;
}

export interface ReplicaOptions {
  tiers: Tiers | null;
  /** Requests that end keep their blocks until `letGo`: another replica will load them. */
  keepsEnded: boolean;
  /** Told of every step. */
  range: LoadRange;
}

export class Replica implements Queues {
  readonly pool: PoolSpec;
  readonly name: string;
  readonly limits: EngineLimits;
  readonly engine: Engine;
  readonly running: Request[] = [];
  readonly waiting: Request[] = [];
  readonly loads: Loads;
  /** Ended here, and holding their blocks for the replica that generates. */
  readonly kept: Request[] = [];
  private readonly keepsEnded: boolean;
  private readonly range: LoadRange;
  /** Steps decided and not ended, the one that runs first. */
  readonly steps: StepPlan[] = [];
  /** Steps that may be in flight at once. */
  private readonly depth: number;
  private readonly pipeline: Pipeline;
  private arrivals = 0;
  /** Since when a step has been in flight; means nothing while there is none. */
  private busySinceNs = 0;
  private readonly cancels: Request[] = [];
  private readonly sink: ReplicaSink;
  private readonly totals = noTotals();

  constructor(pool: PoolSpec, name: string, sink: ReplicaSink, options: ReplicaOptions) {
    this.pool = pool;
    this.name = name;
    this.limits = pool.limits;
    this.sink = sink;
    this.depth = stepsInFlight(pool);
    this.pipeline = new Pipeline(pool.pipelineStages);
    this.keepsEnded = options.keepsEnded;
    this.range = options.range;
    this.loads = new Loads(options.tiers, (atNs, request) => {
      this.engine.loaded(request);
      sink.ready(atNs, this);
    });
    this.engine = engines[pool.engine](this);
  }

  /** vLLM's blocks; other engines keep their own. */
  get cache(): KvCache {
    const { cache } = this.engine;
    invariant(cache !== undefined, () => `engine ${this.pool.engine} of ${this.name} has no cache of blocks`);
    return cache;
  }

  get hasWork(): boolean {
    return this.running.length > 0 || this.waiting.length > 0 || this.loads.done.length > 0;
  }

  /** Neither running nor ended, their KV on its way or not. */
  get waitingRequests(): number {
    return this.waiting.length + this.loads.count;
  }

  /** Queues a request; returns whether it was taken. A refused one is reported as `rejected`. */
  submit(atNs: number, submission: Submission): boolean {
    const refusal = this.refusal(submission);
    if (refusal !== null) {
      this.sink.event({ kind: 'rejected', id: submission.id, atNs, ...refusal });
      return false;
    }
    const request = newRequest(submission, this.limits.blockTokens, this.arrivals++);
    this.engine.arrived?.(request, atNs);
    this.engine.seed(request);
    this.enqueue(request);
    return true;
  }

  /** Puts the resumed session of a request into the cache; `submit` does so itself. */
  seed(submission: Submission): void {
    this.engine.seed(newRequest(submission, this.limits.blockTokens, this.arrivals));
  }

  /** Prompt tokens that a request would find in the cache if it were admitted now. */
  cachedTokens(prompt: readonly Run[], promptTokens: number): number {
    return this.engine.cachedTokens(this.probe(prompt, promptTokens));
  }

  /** Of its tiers, tokens that go on where the cache ends. */
  tierTokens(
    prompt: readonly Run[],
    promptTokens: number,
    cachedTokens: number,
  ): { host: number; disk: number } {
    const blocks = Math.floor(cachedTokens / this.limits.blockTokens);
    return this.loads.tiers?.held(this.probe(prompt, promptTokens), blocks) ?? { host: 0, disk: 0 };
  }

  private probe(prompt: readonly Run[], promptTokens: number): Request {
    const submission = { ...PROBE, pool: this.pool.name, prompt, promptTokens };
    return newRequest(submission, this.limits.blockTokens, this.arrivals);
  }

  /** Queues a request whose prompt another replica has computed. */
  takeOver(submission: Submission, carried: Carried): void {
    const request = Object.assign(newRequest(submission, this.limits.blockTokens, this.arrivals++), carried);
    request.lostTokens = carried.computedTokens; // here they count as loaded
    this.engine.arrived?.(request, carried.lastTokenNs);
    this.enqueue(request);
  }

  /** No call of this session will come any more. */
  sessionEnded(atNs: number, session: string): void {
    this.engine.sessionEnded?.(session, atNs);
  }

  private enqueue(request: Request): void {
    const byPriority = this.limits.schedulingPolicy === 'priority';
    const place = byPriority ? this.waiting.findIndex(each => goesBefore(request, each)) : -1;
    this.waiting.splice(place < 0 ? this.waiting.length : place, 0, request);
  }

  /** Why a request cannot be taken now; null when it can. */
  refusal(submission: Submission): Refusal | null {
    const window = beyondWindow(submission, this.limits);
    if (window !== null) return window;
    const never = this.engine.refusal(submission);
    if (never !== null) return { reason: 'too_long', message: never };
    const promptTokens = this.waiting.reduce((sum, { submission }) => sum + submission.promptTokens, 0);
    return beyondQueue({ requests: this.waitingRequests, promptTokens }, this.limits);
  }

  /** The live request of this id. */
  request(id: number): Request {
    const isIt = (request: Request) => request.submission.id === id;
    const { running, waiting, loads } = this;
    const request = [running, waiting, loads.underWay, loads.done].flatMap(
      queue => queue.find(isIt) ?? [],
    )[0];
    invariant(request !== undefined, () => `${this.name} does not have request ${id}`);
    return request;
  }

  /** Acts now while no step is in flight, else when the next one ends; no token appears for it any more. */
  cancel(atNs: number, id: number): void {
    const request = this.request(id);
    if (this.steps.length === 0) this.drop(atNs, request);
    else if (!this.cancels.includes(request)) this.cancels.push(request);
  }

  private drop(atNs: number, request: Request): void {
    this.leave(atNs, request);
    this.sink.event({ kind: 'cancelled', atNs, ...ended(request) });
  }

  /** It is gone, and what it had fails. */
  stop(atNs: number): void {
    const { running, waiting, loads } = this;
    for (const request of [...running, ...waiting, ...loads.underWay, ...loads.done])
      this.fail(atNs, request);
    this.totals.busyNs = this.busyNs(atNs);
    this.steps.length = 0;
  }

  /** The KV that a request was to load from another replica is lost. */
  failRequest(atNs: number, id: number): void {
    this.fail(atNs, this.request(id));
    this.sink.ready(atNs, this);
  }

  private fail(atNs: number, request: Request): void {
    this.leave(atNs, request);
    this.sink.event({ kind: 'failed', reason: 'replica_lost', atNs, ...ended(request) });
  }

  /** Out of its queue, its blocks free. Steps in flight compute its tokens all the same. */
  private leave(atNs: number, request: Request): void {
    request.gone = true;
    for (const { scheduled } of this.steps)
      for (const entry of scheduled) if (entry.request === request) request.computedTokens += entry.tokens;
    this.loads.drop(atNs, request);
    for (const queue of [this.running, this.waiting]) {
      if (queue.includes(request)) queue.splice(queue.indexOf(request), 1);
    }
    this.engine.release(request, atNs);
  }

  /** The blocks of a request that ended here and was kept are free. */
  letGo(atNs: number, id: number): void {
    const place = this.kept.findIndex(({ submission }) => submission.id === id);
    invariant(place >= 0, () => `${this.name} does not keep request ${id}`);
    this.engine.release(this.kept.splice(place, 1)[0]!, atNs);
    this.sink.ready(atNs, this);
  }

  get canBegin(): boolean {
    return this.steps.length < this.depth && this.hasWork;
  }

  /** Decides the next step and starts it; returns when it ends, null when there is nothing to schedule yet. */
  beginStep(atNs: number): number | null {
    const plan = this.decide(atNs);
    return plan === null ? null : this.start(atNs, plan, this.stepNs(plan));
  }

  /** The next step; null when there is nothing to schedule yet. */
  decide(atNs: number): StepPlan | null {
    invariant(this.canBegin, () => `${this.name} begins a step it has no room for`);
    let plan = this.engine.schedule(atNs);
    this.totals.preemptions += plan.preempted.length;
    // By priority the first in line may only have made room: an empty step takes no time, and the next is decided.
    while (plan.scheduled.length === 0 && plan.preempted.length > 0) {
      plan = this.engine.schedule(atNs);
      this.totals.preemptions += plan.preempted.length;
    }
    if (plan.scheduled.length > 0) return plan;
    const canGoOn = this.steps.length > 0 || this.loads.underWay.length > 0 || this.kept.length > 0;
    invariant(canGoOn, () => this.stuck());
    return null;
  }

  /** How long a step takes, over all stages. */
  stepNs(plan: StepPlan): number {
    const { step, name } = this.pool;
    this.range.note(plan.load);
    const stepNs = step.stepNs(plan.load);
    checkNs(stepNs, `a step of model ${step.name} in pool ${name}, ${JSON.stringify(plan.load)},`);
    invariant(stepNs >= 1, () => `step model ${step.name} gives a step of ${stepNs} ns`);
    return stepNs;
  }

  /** Puts a decided step behind those in flight; returns when it ends. */
  start(atNs: number, plan: StepPlan, stepNs: number): number {
    if (this.steps.length === 0) this.busySinceNs = atNs;
    this.steps.push(plan);
    this.totals.steps += 1;
    for (const request of plan.admitted) this.reportFirstAdmission(atNs, request);
    return this.pipeline.enter(atNs, stepNs);
  }

  private reportFirstAdmission(atNs: number, request: Request): void {
    if (request.cachedTokens !== null) return; // back from a preemption
    const cachedTokens = request.hitTokens;
    request.cachedTokens = cachedTokens;
    this.totals.prefixQueriesTokens += request.submission.promptTokens;
    this.totals.prefixHitsTokens += cachedTokens - request.loadedTokens;
    this.sink.event({ kind: 'scheduled', id: request.submission.id, atNs, replica: this.name, cachedTokens });
  }

  /** The step's tokens appear, all at its end. */
  endStep(atNs: number): void {
    const step = this.steps.shift();
    invariant(step !== undefined, () => `${this.name} ends a step it never began`);
    if (this.steps.length === 0) this.totals.busyNs += atNs - this.busySinceNs;
    for (const { request, tokens } of step.scheduled) if (!request.gone) request.computedTokens += tokens;
    this.engine.stepEnded(step, atNs);
    for (const request of this.cancels.splice(0)) if (!request.gone) this.drop(atNs, request);
    for (const entry of step.scheduled) {
      const { request, samples } = entry;
      if (!samples || request.gone) continue;
      request.expected -= 1;
      this.emitTokens(atNs, request, acceptedTokens(this.pool, entry));
    }
  }

  private emitTokens(atNs: number, request: Request, tokens: number): void {
    const { id, promptTokens, outputTokens } = request.submission;
    if (request.generated === 0) this.totals.promptTokens += promptTokens;
    else {
      const gapNs = atNs - request.lastTokenNs;
      this.sink.gap(gapNs, tokens);
      request.itlMaxNs = Math.max(request.itlMaxNs, gapNs);
    }
    request.lastTokenNs = atNs;
    for (let i = 0; i < tokens; i++) {
      this.sink.event({ kind: 'token', id, atNs, index: request.generated });
      request.generated += 1;
    }
    this.totals.generationTokens += tokens;
    if (request.generated < outputTokens) return;
    if (this.keepsEnded && this.running.includes(request)) this.keep(request);
    else this.leave(atNs, request); // preempted while its last token was on its way: nothing is left to keep
    this.totals.requestsFinished += 1;
    this.sink.event({ kind: 'end', atNs, ...ended(request) });
  }

  private keep(request: Request): void {
    request.gone = true;
    this.running.splice(this.running.indexOf(request), 1);
    this.kept.push(request);
  }

  private stuck(): string {
    const { name, limits, running, waiting, engine } = this;
    const [head] = waiting;
    const headTokens = head === undefined ? 0 : head.submission.promptTokens + head.generated;
    const freeBlocks = limits.kvBlocks - engine.usedBlocks;
    return stuckText({
      name,
      limits,
      running: running.length,
      waiting: waiting.length,
      freeBlocks,
      headTokens,
    });
  }

  sample(atMs: number): TimelineSample {
    return {
      atMs,
      pool: this.pool.name,
      replica: this.name,
      runningRequests: this.running.length,
      waitingRequests: this.waitingRequests,
      kvUsedRatio: this.engine.usedBlocks / this.limits.kvBlocks,
    };
  }

  private busyNs(nowNs: number): number {
    return this.totals.busyNs + (this.steps.length > 0 ? nowNs - this.busySinceNs : 0);
  }

  counters(nowNs: number): ReplicaCounters {
    return {
      pool: this.pool.name,
      replica: this.name,
      model: this.pool.modelId,
      runningRequests: this.running.length,
      waitingRequests: this.waitingRequests,
      kvBlocks: this.limits.kvBlocks,
      kvBlocksUsed: this.engine.usedBlocks,
      blockTokens: this.limits.blockTokens,
      maxModelTokens: this.limits.maxModelTokens,
      evictedBlocks: this.engine.evictedBlocks,
      ...this.totals,
      busyNs: this.busyNs(nowNs),
      ...this.loads.totals,
    };
  }
}

const ended = ({ submission, generated, computedTokens, preemptions, itlMaxNs, transfer }: Request) => ({
  id: submission.id,
  outputTokens: generated,
  computedTokens,
  preemptions,
  itlMaxNs,
  ...(transfer === null ? {} : { transfer }),
});
