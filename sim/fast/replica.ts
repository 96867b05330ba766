// One vLLM engine instance, exactly as sim/reference/replica.ts runs it, but without walking its steps. While nothing
// comes, ends or lacks a block, the same requests decode step after step: such a run of steps is one closed form
// (StepSum), made when it begins and cut where something happens. Every other step is decided one by one, and its cost
// depends on what changes in it: the decoding requests are sums (Batch), the KV cache is a tree of runs (PrefixTree).
//
//   arrival ─▶ waiting ─▶ [decide: admit, chunk] ─▶ loose (prefill) ─▶ batch (decode) ─▶ ending ─▶ end
//
// Terms: a step is decided (its members and length are known) `lag` steps before it begins: 1 with async scheduling.
// An instant is when a step ends; the next step to decide is decided there.
import { UNITS_PER_NS } from '../../engines/affine.ts';
import type { EngineLimits, PoolSpec, StepLoad } from '../../engines/engine.ts';
import { addSequence, emptyLoad } from '../../engines/step-load.ts';
import type { Signals } from '../../gateway/routing/balancer.ts';
import { Sequence } from '../../gateway/routing/passage.ts';
import { invariant } from '../../scenarios/base/errors.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';
import type { TimelineSample } from '../../scenarios/formats/record.ts';
import { type ClusterEvent, noTotals, type ReplicaCounters, type Submission } from '../cluster.ts';
import type { GapHistogram } from '../gap-histogram.ts';
import type { Carried } from '../handover.ts';
import type { LoadRange } from '../load-range.ts';
import { beyondCache, beyondQueue, beyondWindow, type Refusal } from '../refusal.ts';
import { StepSum } from '../step-sum.ts';
import { stuckText } from '../stuck.ts';
import { Batch } from './batch.ts';
import { Flight, NOBODY, type Step } from './flight.ts';
import { closeHandover, Loading } from './loading.ts';
import { LongestStep } from './longest-step.ts';
import { PrefixTree } from './prefix-tree.ts';
import { FastRequest, goesBefore } from './request.ts';
import { WaitingQueue } from './waiting-queue.ts';

/** Ranks of what happens to a replica at one instant; inputs come between. */
export const STEP_ENDS = 0;
export const STEP_BEGINS = 2;

/** Whom a replica tells. */
interface Told {
  gaps: GapHistogram;
  range: LoadRange;
  emit(event: ClusterEvent): void;
  /** When it is due next has changed, and not by an input. */
  moved(replica: FastReplica): void;
}

/** What `admit` says instead of tokens: the request waits for its KV, others may go on. */
const LOADS = -1;

export class FastReplica {
  readonly pool: PoolSpec;
  readonly name: string;
  readonly row: number;
  /** When something happens next, and its rank there. */
  dueNs = Number.POSITIVE_INFINITY;
  dueRank = STEP_ENDS;
  readonly tree: PrefixTree;
  /** It is gone. */
  isStopped = false;
  private readonly limits: EngineLimits;
  private readonly lag: number;
  private readonly waiting: WaitingQueue;
  private readonly batch: Batch;
  private readonly gaps: GapHistogram;
  private readonly range: LoadRange;
  private readonly emit: (event: ClusterEvent) => void;
  private readonly moved: (replica: FastReplica) => void;
  /** Requests that end keep their blocks until `letGo`: another replica will load them. */
  private readonly keepsEnded: boolean;
  /** Ended here, and holding their blocks. By id. */
  readonly kept = new Map<number, FastRequest>();
  private readonly loading = new Loading();
  private readonly longest = new LongestStep();

  private first: FastRequest | null = null;
  private last: FastRequest | null = null;
  private runningCount = 0;
  /** Running, not decoding in the batch, with tokens left to compute; in order of admission. */
  private loose: FastRequest[] = [];
  /** Their last token is on its way; by the step that gives it, then by admission. */
  private readonly ending: FastRequest[] = [];
  private cancels: FastRequest[] = [];

  /** Index of the next step to decide, not counting the run. */
  private nextStep = 0;
  private readonly flight = new Flight();
  /** Who gives a token at the end of the step that is being decided; null for nobody. */
  private givers: FastRequest[] | null = null;
  /** When the last decided step ends, not counting the run. */
  private busyUntilNs = 0;

  /** The run: `runSteps` (0: none) steps of the batch alone, from `nextStep` on, back to back from `runFromNs`. */
  private runSteps = 0;
  private runFromNs = 0;
  /** Its first step has its blocks already. */
  private runHasBlocks = false;
  private readonly sums = new StepSum();

  private readonly load: StepLoad = emptyLoad();
  private arrivals = 0;
  private admissions = 0;
  private readonly totals = noTotals();

  constructor(pool: PoolSpec, name: string, row: number, told: Told, keepsEnded = false) {
    const { gaps, range, emit, moved } = told;
    const { limits } = pool;
    this.pool = pool;
    this.name = name;
    this.row = row;
    this.limits = limits;
    this.lag = limits.asyncScheduling ? 1 : 0;
    this.waiting = new WaitingQueue(limits.schedulingPolicy === 'priority');
    this.batch = new Batch(limits.blockTokens);
    this.tree = new PrefixTree(limits);
    this.gaps = gaps;
    this.range = range;
    this.emit = emit;
    this.moved = moved;
    this.keepsEnded = keepsEnded;
  }

  private get hasWork(): boolean {
    return this.runningCount > 0 || this.waiting.length > 0 || this.loading.done.length > 0;
  }

  /** Neither running nor ended, their KV on its way or not. */
  private get waitingRequests(): number {
    return this.waiting.length + this.loading.count;
  }

  // ── Inputs ──

  /** Queues a request; null when it is refused, which is reported. */
  submit(atNs: number, submission: Submission): FastRequest | null {
    const refusal = this.refusal(submission);
    if (refusal !== null) {
      this.emit({ kind: 'rejected', id: submission.id, atNs, ...refusal });
      return null;
    }
    const request = new FastRequest(submission, this.arrivals++, this.row);
    this.seed(atNs, submission);
    if (this.isHeededBy(this.waiting)) this.interrupt(atNs);
    this.waiting.add(request);
    this.wake(atNs);
    return request;
  }

  /** Behind a request that waits first come, first served, an arrival changes nothing now. */
  private isHeededBy({ length }: WaitingQueue): boolean {
    return length === 0 || this.limits.schedulingPolicy === 'priority';
  }

  /** Puts the resumed session of a request into the cache. */
  seed(atNs: number, submission: Submission): void {
    const blocks = Math.floor(submission.warmTokens / this.limits.blockTokens);
    if (blocks === 0) return;
    this.interrupt(atNs);
    this.tree.seed(submission.prompt, blocks);
  }

  /** Queues a request whose prompt another replica has computed; steps of this instant may still have to end. */
  takeOver(atNs: number, submission: Submission, carried: Carried): FastRequest {
    const request = new FastRequest(submission, this.arrivals++, this.row);
    request.handover = carried.handover;
    request.cachedTokens = carried.cachedTokens;
    request.generated = carried.generated;
    request.hasToken = carried.generated > 0;
    request.lastTokenNs = carried.lastTokenNs;
    request.computedTokens = carried.computedTokens;
    request.preemptions = carried.preemptions;
    if (this.isHeededBy(this.waiting)) this.cutRun(atNs);
    this.waiting.add(request);
    this.wake(atNs);
    return request;
  }

  /** Why a request cannot be taken now; null when it can. */
  refusal(submission: Submission): Refusal | null {
    const { limits } = this;
    const waiting = { requests: this.waitingRequests, promptTokens: this.waiting.promptTokens };
    const window = beyondWindow(submission, limits);
    if (window !== null) return window;
    // The last token is never computed itself.
    const never = beyondCache(submission.promptTokens + submission.outputTokens - 1, limits);
    return never === null ? beyondQueue(waiting, limits) : { reason: 'too_long' as const, message: never };
  }

  /** Acts now while no step is in flight, else when the next one ends; no token appears for it any more. */
  cancel(atNs: number, request: FastRequest): void {
    this.interrupt(atNs);
    if (this.flight.count === 0) {
      this.drop(atNs, request);
      this.wake(atNs);
    } else if (!request.isCancelled) {
      request.isCancelled = true;
      this.cancels.push(request);
    }
  }

  /** The KV that a request was to load from another replica is lost. */
  fail(atNs: number, request: FastRequest): void {
    this.interrupt(atNs);
    this.drop(atNs, request, undefined, 'failed');
    this.wake(atNs);
  }

  /** The blocks of a request that ended here and was kept are free. */
  letGo(atNs: number, id: number): void {
    const request = this.kept.get(id);
    invariant(request !== undefined, () => `${this.name} does not keep request ${id}`);
    this.kept.delete(id);
    this.tree.release(request.hold, request.computed, request.content);
    this.wake(atNs);
  }

  /** The KV of a request has come. */
  private loaded(atNs: number, request: FastRequest): void {
    this.interrupt(atNs);
    this.tree.fill(request.hold, request.computed, request.content);
    this.wake(atNs);
    this.moved(this);
  }

  /** It is gone, and what it had fails. */
  stop(atNs: number): void {
    this.interrupt(atNs);
    const fail = (request: FastRequest) => this.drop(atNs, request, undefined, 'failed');
    while (this.first !== null) fail(this.first);
    for (let head = this.waiting.head(); head !== undefined; head = this.waiting.head()) fail(head);
    for (const request of [...this.loading.underWay, ...this.loading.done]) fail(request);
    this.totals.busyNs = this.busyNs(atNs);
    this.busyUntilNs = atNs;
    this.isStopped = true;
    // It may go while a step of it ends: nothing of what is in flight appears any more.
    this.flight.count = 0;
    this.rest();
  }

  /** A step may begin at this instant if there is room for one and work to do. */
  private wake(atNs: number): void {
    if (this.runSteps > 0 || this.flight.count > this.lag || !this.hasWork) return;
    // What ends now goes first, and then begins what it can.
    if (this.dueNs === atNs && this.dueRank === STEP_ENDS) return;
    this.dueNs = atNs;
    this.dueRank = STEP_BEGINS;
  }

  // ── Time ──

  /** What is due happens. */
  advance(): void {
    if (this.dueRank === STEP_ENDS) this.endSteps(this.dueNs);
    else this.beginSteps(this.dueNs);
  }

  /** Puts the run behind: what was decided before `ns` counts, and the next step is open. Steps that end at `ns` end. */
  interrupt(ns: number): void {
    this.cutRun(ns);
    if (this.dueNs === ns && this.dueRank === STEP_ENDS) this.endSteps(ns);
  }

  /** The same, but what ends at `ns` is still to end. */
  private cutRun(ns: number): void {
    if (this.runSteps === 0) return;
    this.applyRun(this.decidedBefore(ns));
    this.runSteps = 0;
    this.dueNs = this.flight.first.endNs;
    this.dueRank = STEP_ENDS;
  }

  /** Steps of the run that were decided before `ns`: the first when it began, each other when a step ended. */
  private decidedBefore(ns: number): number {
    return Math.min(
      this.runSteps,
      Math.max(1, this.sums.stepsToReach(ns - this.runFromNs, this.runSteps) + this.lag),
    );
  }

  /** The first `steps` steps of the run are decided; those that ended are told. */
  private applyRun(steps: number): void {
    const { flight, sums, batch, nextStep, runFromNs } = this;
    this.tree.take(batch.blocksFor(nextStep, steps) - (this.runHasBlocks ? batch.blocksAt(nextStep) : 0));
    this.range.noteDecodes(batch.count, batch.contextTokens(nextStep + steps - 1));
    let ended = flight.count + steps - (this.lag + 1);
    for (; ended > 0 && flight.count > 0; ended--) this.tellDecodes(flight.shift());
    if (ended > 0) {
      this.gaps.recordSteps(sums, 0, ended, batch.count);
      this.totals.generationTokens += batch.count * ended;
      this.longest.add(nextStep + ended - 1, sums.lengthNs(ended - 1));
    }
    for (let i = Math.max(0, ended); i < steps; i++) {
      const endNs = runFromNs + sums.sumNs(i + 1);
      const gapNs = sums.lengthNs(i);
      flight.push(nextStep + i, endNs, gapNs, batch.count, NOBODY);
    }
    this.nextStep += steps;
    this.busyUntilNs = runFromNs + sums.sumNs(steps);
    this.totals.steps += steps;
    this.totals.busyNs += sums.sumNs(steps);
  }

  private tellDecodes(step: Step): void {
    this.gaps.record(step.gapNs, step.decodes);
    this.totals.generationTokens += step.decodes;
    if (step.decodes > 0) this.longest.add(step.index, step.gapNs);
  }

  /** Every step that has ended by now: its tokens appear. */
  private endSteps(nowNs: number): void {
    const { flight } = this;
    if (this.runSteps > 0) {
      this.applyRun(this.runSteps);
      this.runSteps = 0;
    }
    while (flight.count > 0 && flight.first.endNs <= nowNs) this.endStep(flight.shift(), nowNs);
    if (this.hasWork) {
      this.dueNs = nowNs;
      this.dueRank = STEP_BEGINS;
    } else this.rest();
  }

  /** Until the next step ends, if one is in flight. */
  private rest(): void {
    this.dueNs = this.flight.count > 0 ? this.flight.first.endNs : Number.POSITIVE_INFINITY;
    this.dueRank = STEP_ENDS;
  }

  private endStep(step: Step, nowNs: number): void {
    this.parkEnding(step.index + 1);
    if (this.cancels.length > 0) {
      const cancels = this.cancels;
      this.cancels = [];
      for (const request of cancels) if (request.isCancelled) this.drop(nowNs, request, step);
    }
    this.tellDecodes(step);
    const { givers } = step;
    const { ending } = this;
    let giver = 0;
    while (giver < givers.length || ending[0]?.lastStep === step.index) {
      const ender = ending[0]?.lastStep === step.index ? ending[0] : undefined;
      const next = givers[giver];
      if (next !== undefined && (ender === undefined || next.seq <= ender.seq)) {
        this.giveToken(next, nowNs);
        giver += 1;
        if (next !== ender) continue;
      }
      this.dropEnding(0);
      this.finish(ender!, nowNs);
    }
  }

  /** A token outside of the batch: the first, or the first after it was preempted or left out. */
  private giveToken(request: FastRequest, nowNs: number): void {
    const { id, promptTokens } = request.submission;
    this.totals.generationTokens += 1;
    if (!request.hasToken) {
      request.hasToken = true;
      this.totals.promptTokens += promptTokens;
      this.emit({ kind: 'token', id, atNs: nowNs, index: 0 });
    } else {
      const gapNs = nowNs - request.lastTokenNs;
      this.gaps.record(gapNs, 1);
      if (gapNs > request.itlMaxNs) request.itlMaxNs = gapNs;
    }
    request.lastTokenNs = nowNs;
  }

  private finish(request: FastRequest, nowNs: number): void {
    this.noteLongest(request);
    // One that was preempted while its last token was on its way has nothing left to keep.
    if (this.keepsEnded && request.isRunning) {
      this.unlink(request);
      this.kept.set(request.submission.id, request);
    } else this.leave(request, nowNs);
    request.isCancelled = false;
    this.totals.requestsFinished += 1;
    this.emit(this.over('end', request, request.generated, nowNs));
  }

  /** The longest gap while it was in the batch, of steps that ended. */
  private noteLongest(request: FastRequest): void {
    if (request.joinStep < 0) return;
    const gapNs = this.longest.since(request.joinStep);
    if (gapNs > request.itlMaxNs) request.itlMaxNs = gapNs;
  }

  private over(
    kind: 'end' | 'cancelled' | 'failed',
    request: FastRequest,
    outputTokens: number,
    atNs: number,
  ): ClusterEvent {
    const { submission, computedTokens, preemptions, itlMaxNs, transfer } = request;
    const { id } = submission;
    const over = { id, atNs, outputTokens, computedTokens, preemptions, itlMaxNs };
    const told = transfer === null ? over : { ...over, transfer };
    return kind === 'failed' ? { kind, reason: 'replica_lost', ...told } : { kind, ...told };
  }

  /** Cancelled. Of `ended`, the step that ends now, and of those in flight it gives no token any more. */
  private drop(
    nowNs: number,
    request: FastRequest,
    ended?: Step,
    kind: 'cancelled' | 'failed' = 'cancelled',
  ): void {
    request.isCancelled = false; // it may fail while its cancel waits for a step to end
    this.noteLongest(request);
    let lost = 0;
    const isMember = request.inBatch || (request.isEnding && request.joinStep >= 0);
    const lastStep = request.isEnding ? request.lastStep : this.nextStep - 1;
    for (const step of ended === undefined ? this.flight.all() : [ended, ...this.flight.all()]) {
      const place = step.givers.indexOf(request);
      if (place >= 0) {
        step.givers = step.givers.filter(each => each !== request);
        lost += 1;
      } else if (isMember && step.index >= request.joinStep && step.index <= lastStep) {
        step.decodes -= 1;
        lost += 1;
      }
    }
    if (request.inBatch) this.leaveBatch(request, this.nextStep);
    else if (request.isEnding) this.dropEnding(this.ending.indexOf(request));
    this.leave(request, nowNs);
    this.emit(this.over(kind, request, request.generated - lost, nowNs));
  }

  /** Out of its queue, its blocks free. */
  private leave(request: FastRequest, nowNs: number): void {
    const isLoading = !request.isRunning && this.loading.drop(nowNs, request);
    closeHandover(nowNs, request);
    if (request.isRunning) {
      this.unlink(request);
      if (!request.isEnding) this.removeLoose(request);
    } else if (!isLoading) {
      this.waiting.remove(request);
      return;
    }
    this.tree.release(request.hold, request.computed, request.content);
  }

  private removeLoose(request: FastRequest): void {
    const place = this.loose.indexOf(request);
    if (place >= 0) this.loose.splice(place, 1);
  }

  private leaveBatch(request: FastRequest, step: number): void {
    this.batch.leave(request, step);
    request.hold.blocks = this.tree.blocksFor(request.computed);
  }

  private link(request: FastRequest): void {
    request.isRunning = true;
    request.seq = this.admissions++;
    request.previous = this.last;
    request.next = null;
    if (this.last === null) this.first = request;
    else this.last.next = request;
    this.last = request;
    this.runningCount += 1;
  }

  private unlink(request: FastRequest): void {
    const { previous, next } = request;
    if (previous === null) this.first = next;
    else previous.next = next;
    if (next === null) this.last = previous;
    else next.previous = previous;
    request.previous = null;
    request.next = null;
    request.isRunning = false;
    this.runningCount -= 1;
  }

  // ── Steps ──

  /** Decides steps while there is room for one in flight. */
  private beginSteps(nowNs: number): void {
    while (this.hasWork && this.flight.count <= this.lag) {
      if (!this.decide(nowNs)) {
        const canGoOn = this.flight.count > 0 || this.loading.underWay.length > 0 || this.kept.size > 0;
        invariant(canGoOn, () => this.stuck());
        break;
      }
      if (this.runSteps > 0) {
        // The run ends where the step behind it is decided.
        this.dueNs = this.runFromNs + this.sums.sumNs(this.runSteps - this.lag);
        this.dueRank = STEP_ENDS;
        return;
      }
    }
    this.rest();
  }

  /** Decides one step, or a run of them; false when nothing can be scheduled yet. */
  private decide(nowNs: number): boolean {
    const step = this.nextStep;
    this.parkEnding(step);
    for (;;) {
      const preempted = this.totals.preemptions;
      if (this.schedule(nowNs, step)) return true;
      // By priority the first in line may only have made room: an empty step takes no time.
      if (this.totals.preemptions === preempted) return false;
    }
  }

  /** Members of the batch whose last token is on its way leave it. */
  private parkEnding(step: number): void {
    const { batch } = this;
    for (let top = batch.firstToEnd(); top !== undefined && top.lastStep < step; top = batch.firstToEnd()) {
      this.leaveBatch(top, step);
      top.isEnding = true;
      this.addEnding(top);
    }
  }

  private addEnding(request: FastRequest): void {
    const { ending } = this;
    let place = ending.length;
    ending.push(request);
    for (; place > 0; place--) {
      const before = ending[place - 1]!;
      const isLater =
        before.lastStep > request.lastStep ||
        (before.lastStep === request.lastStep && before.seq > request.seq);
      if (!isLater) break;
      ending[place] = before;
    }
    ending[place] = request;
  }

  private dropEnding(place: number): void {
    const { ending } = this;
    for (let i = place + 1; i < ending.length; i++) ending[i - 1] = ending[i]!;
    ending.pop();
  }

  /** A long prompt leaves room for others, if there are any. */
  private capped(tokens: number): number {
    const { longPrefillTokens } = this.limits;
    if (longPrefillTokens === 0 || tokens <= longPrefillTokens) return tokens;
    return this.runningCount + this.waitingRequests <= 1 ? tokens : longPrefillTokens;
  }

  private schedule(nowNs: number, step: number): boolean {
    const { limits, batch, tree, loose, load } = this;
    this.givers = null;
    const isPlain = this.isPlain(step);
    const arrives = this.waiting.length > 0 || this.loading.done.length > 0;
    if (isPlain && loose.length === 0 && !arrives && batch.count > 0)
      return this.beginRun(nowNs, step, false);
    load.decodes = 0;
    load.decodeContextTokens = 0;
    load.prefills = 0;
    load.prefillTokens = 0;
    load.prefillContextTokens = 0;
    load.prefillPairs = 0;
    load.samples = 0;
    const preempted = this.totals.preemptions;
    let budget = limits.maxBatchedTokens;
    let isRun = false;
    if (isPlain) {
      tree.take(batch.blocksAt(step));
      budget -= batch.count;
      const chunked = loose[0];
      if (chunked !== undefined && budget > 0) {
        const tokens = Math.min(this.capped(chunked.target - chunked.computed), budget);
        this.growTo(chunked, tokens);
        budget -= tokens;
        this.count(chunked, tokens);
      } else isRun = batch.count > 0 && chunked === undefined;
    } else if (this.isOrdered()) budget = this.scheduleShort(step, budget);
    else budget = this.scheduleOneByOne(step, budget);
    if (this.totals.preemptions === preempted) {
      while (budget > 0 && this.runningCount < limits.maxSequences) {
        const tokens = this.admitNext(nowNs, budget);
        if (tokens === 0) break;
        if (tokens === LOADS) continue;
        budget -= tokens;
        isRun = false;
      }
    }
    if (isRun) return this.beginRun(nowNs, step, true);
    if (batch.count === 0 && load.decodes + load.prefills === 0) return false;
    this.commit(nowNs, step);
    return true;
  }

  /** Whether all running requests get what they want, and the order among them does not matter. */
  private isPlain(step: number): boolean {
    const { batch, tree, loose, limits } = this;
    const decodeBlocks = batch.blocksAt(step);
    if (decodeBlocks > tree.free || batch.count > limits.maxBatchedTokens) return false;
    if (loose.length === 0) return true;
    const request = loose[0]!;
    if (loose.length > 1 || request !== this.last) return false;
    const tokens = Math.min(
      this.capped(request.target - request.computed),
      limits.maxBatchedTokens - batch.count,
    );
    return tree.blocksFor(request.computed + tokens) - request.hold.blocks + decodeBlocks <= tree.free;
  }

  /** Whether decodes come before the one prompt that is left, and the last admitted is the one to preempt. */
  private isOrdered(): boolean {
    const { loose, limits, batch } = this;
    return (
      limits.schedulingPolicy === 'fcfs' &&
      batch.count <= limits.maxBatchedTokens &&
      (loose.length === 0 || (loose.length === 1 && loose[0] === this.last))
    );
  }

  private growTo(request: FastRequest, tokens: number): void {
    this.tree.grow(request.hold, request.computed + tokens, request.content);
  }

  /** A loose request computes `tokens` tokens in this step. */
  private count(request: FastRequest, tokens: number): void {
    const before = request.computed;
    request.computed += tokens;
    request.computedTokens += tokens;
    const gives = request.computed === request.target;
    addSequence(this.load, before, tokens, gives);
    if (!gives) return;
    // Mostly it is one alone: a list that begins with it has no room to grow into.
    if (this.givers === null) this.givers = [request];
    else this.givers.push(request);
  }

  /** Admits who comes next; returns its tokens in this step, 0 when it stays or nobody waits. */
  private admitNext(nowNs: number, budget: number): number {
    const loaded = this.loading.done[0];
    if (loaded !== undefined) return this.admitLoaded(loaded, budget);
    const head = this.waiting.head();
    return head === undefined || head.isEnding ? 0 : this.admit(nowNs, head, budget);
  }

  private admitLoaded(request: FastRequest, budget: number): number {
    const { tree, limits } = this;
    const wanted = this.capped(request.target - request.computed);
    if (!limits.chunkedPrefill && wanted > budget) return 0;
    if (tree.blocksFor(request.target) - request.hold.blocks > tree.free) return 0;
    const tokens = Math.min(wanted, budget);
    this.loading.done.shift();
    this.link(request);
    this.growTo(request, tokens);
    this.loose.push(request);
    this.count(request, tokens);
    return tokens;
  }

  private admit(nowNs: number, request: FastRequest, budget: number): number {
    const { tree, limits } = this;
    const { promptTokens, id } = request.submission;
    const { target } = request;
    const match = tree.match(request.content, target);
    const hitTokens = match.blocks * tree.blockTokens;
    const load = request.handover?.find(match.blocks) ?? null;
    if (load !== null) {
      if (!tree.fits(target, this.reservedBlocks())) return 0;
      tree.takeMatch(request.hold);
      tree.reserve(request.hold, load.tokens);
      this.waiting.takeHead();
      request.computed = hitTokens;
      this.loading.start(nowNs, request, load, (ns, each) => this.loaded(ns, each));
      return LOADS;
    }
    const wanted = this.capped(target - hitTokens);
    if (!limits.chunkedPrefill && wanted > budget) return 0;
    if (!tree.fits(target)) return 0;
    const tokens = Math.min(wanted, budget);
    tree.takeMatch(request.hold);
    this.waiting.takeHead();
    this.link(request);
    request.computed = hitTokens;
    this.growTo(request, tokens);
    if (request.cachedTokens < 0) {
      request.cachedTokens = hitTokens;
      this.totals.prefixQueriesTokens += promptTokens;
      this.totals.prefixHitsTokens += hitTokens;
      this.emit({ kind: 'scheduled', id, atNs: nowNs, replica: this.name, cachedTokens: hitTokens });
    }
    closeHandover(nowNs, request);
    this.loose.push(request);
    this.count(request, tokens);
    return tokens;
  }

  /** Blocks still to be taken by all who have begun: a load that took them could stop everybody, itself included. */
  private reservedBlocks(): number {
    const { tree, loose, ending, loading } = this;
    let blocks = 0;
    for (const requests of [loose, ending, loading.underWay, loading.done])
      for (const { target, hold, isEnding, isRunning } of requests)
        if (!isEnding || isRunning) blocks += Math.max(0, tree.blocksFor(target) - hold.blocks);
    return blocks;
  }

  /** The step is decided: its length is known, and those that give a token go on in the batch. */
  private commit(nowNs: number, step: number): void {
    const { batch, load } = this;
    const givers = this.givers ?? NOBODY;
    load.decodes += batch.count;
    load.decodeContextTokens += batch.contextTokens(step);
    load.samples += batch.count;
    this.range.note(load);
    const stepNs = this.pool.step.stepNs(load);
    invariant(
      Number.isSafeInteger(stepNs) && stepNs >= 1,
      () =>
        `a step of model ${this.pool.step.name} in pool ${this.pool.name}, ${JSON.stringify(load)}, is ${stepNs} ns`,
    );
    this.begin(nowNs, step, stepNs, givers);
    for (const request of givers) {
      this.removeLoose(request);
      request.generated += 1;
      const left = request.submission.outputTokens - request.generated;
      if (left > 0) batch.join(request, step + 1, step + left);
      else {
        request.isEnding = true;
        request.joinStep = -1;
        request.lastStep = step;
        this.addEnding(request);
      }
    }
  }

  /** The step is in flight from now on. */
  private begin(nowNs: number, step: number, stepNs: number, givers: readonly FastRequest[]): void {
    const endNs = Math.max(nowNs, this.busyUntilNs) + stepNs;
    this.flight.push(step, endNs, endNs - this.busyUntilNs, this.batch.count, givers);
    this.nextStep = step + 1;
    this.busyUntilNs = endNs;
    this.totals.steps += 1;
    this.totals.busyNs += stepNs;
  }

  /** The batch alone, for as many steps as nothing changes. */
  private beginRun(nowNs: number, step: number, hasBlocks: boolean): boolean {
    const { batch, sums, lag, flight } = this;
    const contextTokens = batch.contextTokens(step);
    const line = this.pool.step.decodeLine(batch.count, contextTokens);
    const units = line.interceptUnits + line.slopeUnits * contextTokens;
    let steps = batch.firstToEnd()!.lastStep - step + 1;
    // What happens at the end of a step in flight, or of one to come, ends the run there.
    if (this.ending.length > 0) steps = Math.min(steps, this.ending[0]!.lastStep - step + 1 + lag);
    if (flight.count > 0 && (flight.first.givers.length > 0 || this.cancels.length > 0))
      steps = Math.min(steps, flight.first.index - step + 1 + lag);
    // Where another step is decided at this same instant, and where a step takes no time, one by one.
    if (units < UNITS_PER_NS || flight.count < lag) steps = 1;
    if (steps > 1) {
      const from = hasBlocks ? 1 : 0;
      steps = from + batch.stepsThatFit(step + from, steps - from, this.tree.free);
      if (line.untilContextTokens < Number.POSITIVE_INFINITY)
        steps = Math.min(steps, Math.floor((line.untilContextTokens - contextTokens) / batch.count) + 1);
    }
    if (steps <= 1) {
      if (!hasBlocks) this.tree.take(batch.blocksAt(step));
      this.range.noteDecodes(batch.count, contextTokens);
      this.begin(nowNs, step, Math.max(1, Math.floor(units / UNITS_PER_NS)), NOBODY);
      return true;
    }
    sums.set(units, line.slopeUnits * batch.count);
    this.runSteps = steps;
    this.runFromNs = Math.max(nowNs, this.busyUntilNs);
    this.runHasBlocks = hasBlocks;
    return true;
  }

  // ── Shortage ──

  /** First come, first served: decodes take what is free, in order; then the last admitted makes room. */
  private scheduleShort(step: number, budgetTokens: number): number {
    const { tree, batch, loose } = this;
    for (let taken = 0; ; ) {
      const needed = batch.blocksAt(step) - taken;
      const found = Math.min(needed, tree.free);
      tree.take(found);
      taken += found;
      if (found === needed) break;
      this.preempt(this.last!, step, 0);
    }
    let budget = budgetTokens - batch.count;
    const chunked = loose[0];
    if (chunked === undefined || budget === 0) return budget;
    const tokens = Math.min(this.capped(chunked.target - chunked.computed), budget);
    if (tree.blocksFor(chunked.computed + tokens) - chunked.hold.blocks > tree.free) {
      this.preempt(chunked, step, 0);
      return budget;
    }
    this.growTo(chunked, tokens);
    budget -= tokens;
    this.count(chunked, tokens);
    return budget;
  }

  /** Whatever the order: request by request, as in the reference. */
  private scheduleOneByOne(step: number, budgetTokens: number): number {
    const { tree, batch } = this;
    let budget = budgetTokens;
    const chunks: { request: FastRequest; tokens: number }[] = [];
    const decodes = new Set<FastRequest>();
    let stopped = false;
    for (let request = this.first; request !== null && budget > 0 && !stopped; ) {
      const following: FastRequest | null = request.next;
      if (request.isEnding) {
        request = following;
        continue;
      }
      const before = request.inBatch ? request.computed + step - request.joinStep : request.computed;
      const tokens = request.inBatch ? 1 : Math.min(this.capped(request.target - request.computed), budget);
      const held = request.inBatch ? tree.blocksFor(before) : request.hold.blocks;
      const needed = tree.blocksFor(before + tokens) - held;
      while (!stopped && needed > tree.free) {
        const victim = this.victim();
        const chunk = chunks.findIndex(each => each.request === victim);
        // Only by priority: a victim that has tokens in this step already gives them back.
        const taken = chunk >= 0 ? chunks.splice(chunk, 1)[0]!.tokens : decodes.delete(victim) ? 1 : 0;
        budget += taken;
        this.preempt(victim, step, taken);
        stopped = victim === request;
      }
      if (stopped) break;
      budget -= tokens;
      if (request.inBatch) {
        tree.take(needed);
        decodes.add(request);
      } else {
        this.growTo(request, tokens);
        chunks.push({ request, tokens });
      }
      request = request.next;
    }
    for (let request = this.first; request !== null; request = request.next) {
      if (!request.inBatch || decodes.has(request)) continue;
      this.pause(request, step);
      this.loose.push(request);
    }
    this.loose.sort((a, b) => a.seq - b.seq);
    for (const { request, tokens } of chunks) this.count(request, tokens);
    invariant(batch.count === decodes.size, () => `${this.name} lost count of its batch`);
    return budget;
  }

  /** The last admitted; by priority, the one that would wait longest. */
  private victim(): FastRequest {
    let victim = this.last!;
    if (this.limits.schedulingPolicy === 'fcfs') return victim;
    for (let each = this.first; each !== null; each = each.next) if (goesBefore(victim, each)) victim = each;
    return victim;
  }

  /** Loses its blocks, those for `taken` tokens of this step too, and waits in front of its like. */
  private preempt(victim: FastRequest, step: number, taken: number): void {
    if (victim.inBatch) {
      this.pause(victim, step);
      victim.hold.blocks = this.tree.blocksFor(victim.computed + taken);
    } else this.removeLoose(victim);
    this.tree.release(victim.hold, victim.computed + taken, victim.content);
    victim.computed = 0;
    victim.preemptions += 1;
    this.unlink(victim);
    this.waiting.addBack(victim);
    this.totals.preemptions += 1;
  }

  /** Out of the batch before step `step`; a token of it in flight is told on its own. */
  private pause(request: FastRequest, step: number): void {
    this.noteLongest(request);
    // Without a step in the batch yet its last token is that of `giveToken`.
    if (request.joinStep < step) request.lastTokenNs = this.busyUntilNs;
    for (const each of this.flight.all()) {
      if (each.index < request.joinStep) continue;
      if (request.lastTokenNs === this.busyUntilNs) request.lastTokenNs = each.endNs - each.gapNs;
      each.decodes -= 1;
      each.givers = [...each.givers, request].sort((a, b) => a.seq - b.seq);
    }
    this.leaveBatch(request, step);
    request.joinStep = -1;
  }

  private stuck(): string {
    const { name, limits, tree, waiting } = this;
    const headTokens = waiting.head()?.target ?? 0;
    const freeBlocks = tree.free;
    return stuckText({
      name,
      limits,
      running: this.runningCount,
      waiting: waiting.length,
      freeBlocks,
      headTokens,
    });
  }

  // ── Views ──

  /** Tokens of a live request that have appeared by `nowNs`. */
  generatedTokens(request: FastRequest, nowNs: number): number {
    this.interrupt(nowNs);
    const isMember = request.inBatch || (request.isEnding && request.joinStep >= 0);
    let tokens = request.generated + (request.inBatch ? this.nextStep - request.joinStep : 0);
    const lastStep = request.isEnding ? request.lastStep : this.nextStep - 1;
    for (const { index, givers } of this.flight.all()) {
      if (givers.includes(request)) tokens -= 1;
      else if (isMember && index >= request.joinStep && index <= lastStep) tokens -= 1;
    }
    return tokens;
  }

  /** Used by the steps decided before `ns`: looking changes nothing. */
  private usedBlocks(ns: number): number {
    if (this.runSteps === 0) return this.tree.usedBlocks;
    const taken = this.runHasBlocks ? this.batch.blocksAt(this.nextStep) : 0;
    return this.tree.usedBlocks + this.batch.blocksFor(this.nextStep, this.decidedBefore(ns)) - taken;
  }

  /** What its metrics say at `atNs`, with the steps that were decided before it. */
  signals(atNs: number): Signals {
    return {
      running: this.runningCount,
      waiting: this.waitingRequests,
      kvUsedRatio: this.usedBlocks(atNs) / this.limits.kvBlocks,
    };
  }

  /** Prompt tokens that a request would find in the cache if it were admitted now. */
  cachedTokens(atNs: number, prompt: readonly Run[], promptTokens: number): number {
    // A run takes its blocks when it is put behind: what they evict must be gone before anybody looks.
    if (
      this.runSteps > 0 &&
      this.batch.blocksFor(this.nextStep, this.decidedBefore(atNs)) > this.tree.blankBlocks
    )
      this.interrupt(atNs);
    return this.tree.match(new Sequence(prompt), promptTokens).blocks * this.limits.blockTokens;
  }

  /** Steps are back to back: what is left of those in flight lies between now and the end of the last one. */
  private busyNs(nowNs: number): number {
    return this.totals.busyNs - Math.max(0, this.busyUntilNs - nowNs);
  }

  sample(atMs: number): TimelineSample {
    // Whoever looks from outside sees a step only after the instant at which it was decided.
    const { running, waiting, kvUsedRatio } = this.signals(Math.round(atMs * 1e6) - 1);
    return {
      atMs,
      pool: this.pool.name,
      replica: this.name,
      runningRequests: running,
      waitingRequests: waiting,
      kvUsedRatio,
    };
  }

  counters(nowNs: number): ReplicaCounters {
    this.interrupt(nowNs);
    return {
      pool: this.pool.name,
      replica: this.name,
      model: this.pool.modelId,
      runningRequests: this.runningCount,
      waitingRequests: this.waitingRequests,
      kvBlocks: this.limits.kvBlocks,
      kvBlocksUsed: this.tree.usedBlocks,
      blockTokens: this.limits.blockTokens,
      maxModelTokens: this.limits.maxModelTokens,
      evictedBlocks: this.tree.evictedBlocks,
      ...this.loading.totals,
      ...this.totals,
      busyNs: this.busyNs(nowNs),
    };
  }

  /** For tests: the laws that hold between events. */
  check(): void {
    const { tree, batch } = this;
    invariant(tree.countFree() === tree.free, () => 'free blocks are those in the queue');
    let members = 0;
    for (let each = this.first; each !== null; each = each.next) if (each.inBatch) members += 1;
    invariant(members === batch.count, () => 'the batch counts its members');
  }
}
