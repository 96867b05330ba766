// One step of SGLang's scheduler (managers/scheduler.py, schedule_policy.py PrefillAdder, schedule_batch.py): a step
// computes prompts or decodes, never both, and prompts go first. Admission guesses how much the running requests will
// still write; where the guess was too low, requests are retracted. First come, first served: siblings of one step each
// compute their prefix, since only the cache-aware policies hold them back (in-batch prefix caching).
import { headOf, type Run } from '../../scenarios/formats/prompt.ts';
import type { Submission } from '../cluster.ts';
import type { Engine, Queues } from './engine.ts';
import { awaitsToken } from './pipeline.ts';
import { type Holding, RadixCache } from './radix-cache.ts';
import { isEnding, type Request, targetTokens } from './request.ts';
import { commit, goesBefore, loseTokens, newPlan, type StepPlan, take } from './scheduler.ts';
import { draftTokens, mostTokens } from './speculative.ts';

/** Of what a request may still write, how much is expected; SGLANG_INIT_NEW_TOKEN_RATIO and its kin. */
const FIRST_RATIO = 0.7;
const LEAST_RATIO = FIRST_RATIO * 0.14;
/** Lost with each decode step: 600 from the first to the least. */
const DECAY = (FIRST_RATIO - LEAST_RATIO) / 600;
/** No request is expected to write more than this (SGLANG_CLIP_MAX_NEW_TOKENS_ESTIMATION). */
const MOST_EXPECTED_TOKENS = 4096;
/** Retraction makes room for so many further steps (SGLANG_RETRACT_DECODE_STEPS). */
const RETRACT_STEPS = 20;
/** Slots an admitted request counts for besides its tokens: a page. */
const PAGE_TOKENS = 1;
/** What SGLang leaves free behind the longest request it takes. */
const SPARE_TOKENS = 2;

export const sglang = (queues: Queues): Engine => new Sglang(queues);

class Sglang implements Engine {
  private readonly queues: Queues;
  private readonly slots: RadixCache;
  private readonly holdings = new Map<Request, Holding>();
  /** Steps of prompts. */
  private readonly prefills = new Set<StepPlan>();
  /** The one request whose prompt is computed in part. */
  private chunked: Request | null = null;
  /** Nobody is admitted until somebody leaves. */
  private isFull = false;
  private ratio = FIRST_RATIO;

  constructor(queues: Queues) {
    const { kvBlocks, blockTokens, prefixCaching } = queues.limits;
    this.queues = queues;
    this.slots = new RadixCache(kvBlocks * blockTokens, prefixCaching);
  }

  get usedBlocks(): number {
    return Math.ceil(this.slots.heldTokens / this.queues.limits.blockTokens);
  }

  get evictedBlocks(): number {
    return Math.floor(this.slots.evictedTokens / this.queues.limits.blockTokens);
  }

  refusal(submission: Submission): string | null {
    const tokens = mostTokens(this.queues.pool, submission) + 1 + SPARE_TOKENS;
    const { capacityTokens } = this.slots;
    if (tokens <= capacityTokens) return null;
    return `needs ${tokens} KV slots, the replica has ${capacityTokens}`;
  }

  seed({ submission }: Request): void {
    this.slots.seed(headOf(submission.prompt, submission.warmTokens));
  }

  cachedTokens({ submission }: Request): number {
    const holding = this.slots.hold(headOf(submission.prompt, submission.promptTokens - 1));
    this.slots.release(holding);
    return holding.sharedTokens;
  }

  schedule(atNs: number): StepPlan {
    this.enterLoaded();
    for (const request of this.queues.running) this.returnRejected(request);
    const prefill = this.prefillStep(atNs);
    const plan = prefill.scheduled.length > 0 ? prefill : this.decodeStep();
    commit(plan);
    return plan;
  }

  /** Prompts that have come from another replica: they only decode. */
  private enterLoaded(): void {
    const { limits, running, loads } = this.queues;
    while (loads.done.length > 0 && running.length < limits.maxSequences) running.push(loads.done.shift()!);
  }

  /** Slots of drafts that were rejected, or of a last token that is computed again. */
  private returnRejected(request: Request): void {
    const holding = this.holdings.get(request)!;
    this.slots.shrink(holding, holding.sharedTokens + holding.ownTokens - request.computed);
  }

  /** Prompts: the rest of the one under way, then waiting ones in order until tokens or memory are used up. */
  private prefillStep(atNs: number): StepPlan {
    const { limits, pool, running, waiting, loads } = this.queues;
    const plan = newPlan(limits.maxBatchedTokens);
    if (this.chunked === null && (this.isFull || waiting.length === 0)) return plan;
    /** Slots that what runs will still take, as far as one expects. */
    let reservedTokens = 0;
    for (const request of [...running, ...loads.underWay, ...loads.done])
      if (request !== this.chunked) reservedTokens += this.mostLeft(request) * this.ratio;
    const roomTokens = () => this.slots.availableTokens + this.slots.evictableTokens - reservedTokens;
    const compute = (request: Request, wanted: number, mostTokens: number) => {
      const tokens = Math.min(wanted, mostTokens);
      this.chunked = tokens < wanted ? request : null;
      this.compute(plan, request, tokens);
      reservedTokens += PAGE_TOKENS + (tokens < wanted ? 0 : this.mostLeft(request));
    };

    if (this.chunked !== null) {
      const request = this.chunked;
      this.slots.share(this.holdings.get(request)!, sequence(request, request.computed));
      const most = Math.min(plan.budgetLeft, Math.floor(roomTokens()));
      if (most > 0) compute(request, targetTokens(request) - request.computed, most);
    }
    while (waiting.length > 0 && this.chunked === null && !this.isFull) {
      const request = waiting[0]!;
      if (limits.chunkedPrefill && plan.budgetLeft <= 0) break;
      if (awaitsToken(pool, request)) break;
      const target = targetTokens(request);
      const holding = this.slots.hold(sequence(request, target - 1));
      const wanted = target - holding.sharedTokens;
      // Asked with its prefix held, which cannot be evicted for it.
      const fits = wanted + this.mostLeft(request) + PAGE_TOKENS < roomTokens();
      this.isFull = !fits || running.length + loads.count >= limits.maxSequences;
      const load = loads.find(request, Math.floor(holding.sharedTokens / limits.blockTokens));
      const isLater =
        load === null && !limits.chunkedPrefill && wanted > plan.budgetLeft && plan.scheduled.length > 0;
      if (this.isFull || isLater) {
        this.slots.release(holding);
        break;
      }
      waiting.shift();
      this.holdings.set(request, holding);
      if (load !== null) {
        this.slots.grow(holding, load.tokens - holding.sharedTokens);
        reservedTokens += PAGE_TOKENS + this.mostLeft(request);
        loads.start(atNs, request, load, holding.sharedTokens);
        continue;
      }
      running.push(request);
      plan.admitted.push(request);
      request.computed = holding.sharedTokens;
      request.hitTokens += holding.sharedTokens;
      compute(request, wanted, limits.chunkedPrefill ? plan.budgetLeft : wanted);
    }
    if (plan.scheduled.length > 0) this.prefills.add(plan);
    return plan;
  }

  /** One token, or one and the drafts, for everyone whose prompt is computed; retracts where there is no room. */
  private decodeStep(): StepPlan {
    const { pool, running } = this.queues;
    const plan = newPlan(0);
    let batch = running.filter(request => request !== this.chunked && !isEnding(request));
    batch = batch.filter(request => !awaitsToken(pool, request));
    const needed = () => batch.reduce((sum, request) => sum + 1 + draftTokens(pool, request), 0);
    const hasRoom = () => {
      this.slots.makeRoom(needed());
      return this.slots.availableTokens >= needed();
    };
    while (!hasRoom()) {
      // The last one may wait for requests that end with a step in flight. A prompt in part ends nothing: it goes first.
      const others = running.length - batch.length - (this.chunked === null ? 0 : 1);
      if (batch.length === 1 && others > 0) return plan;
      const victim = batch.reduce((worst, request) => (isRetractedBefore(worst, request) ? worst : request));
      batch = batch.filter(request => request !== victim);
      this.retract(plan, victim);
      this.slots.makeRoom(batch.length * RETRACT_STEPS);
    }
    this.ratio =
      plan.preempted.length === 0 ? Math.max(this.ratio - DECAY, LEAST_RATIO) : this.ratioOf(batch);
    for (const request of batch) {
      const drafts = draftTokens(pool, request);
      this.compute(plan, request, 1 + drafts, drafts);
    }
    return plan;
  }

  private compute(plan: StepPlan, request: Request, tokens: number, drafts = 0): void {
    this.slots.grow(this.holdings.get(request)!, tokens);
    take(plan, request, tokens, drafts);
  }

  /** Its own slots are free at once, and not shared; it waits behind everyone. */
  private retract(plan: StepPlan, victim: Request): void {
    const { limits, running, waiting } = this.queues;
    this.slots.release(this.holdings.get(victim)!);
    this.holdings.delete(victim);
    running.splice(running.indexOf(victim), 1);
    const byPriority = limits.schedulingPolicy === 'priority';
    const place = byPriority ? waiting.findIndex(each => goesBefore(victim, each)) : -1;
    waiting.splice(place < 0 ? waiting.length : place, 0, victim);
    loseTokens(victim);
    this.isFull = false;
    plan.preempted.push(victim);
  }

  /** After a retraction: what the others have written and will soon, of what they may. */
  private ratioOf(batch: readonly Request[]): number {
    let written = 0;
    let most = 1;
    for (const request of batch) {
      written += request.generated + RETRACT_STEPS;
      most += this.maxOutputTokens(request);
    }
    return Math.min(1, written / most);
  }

  /** Tokens it may still write, no more than admission counts. */
  private mostLeft(request: Request): number {
    return Math.min(Math.max(this.maxOutputTokens(request) - request.generated, 0), MOST_EXPECTED_TOKENS);
  }

  /** As the client says, but no more than fits behind the prompt. */
  private maxOutputTokens({ submission }: Request): number {
    const { promptTokens, outputTokens, maxOutputTokens = outputTokens } = submission;
    const room = this.slots.capacityTokens - promptTokens - SPARE_TOKENS;
    return Math.max(outputTokens, Math.min(maxOutputTokens, room));
  }

  /** A prompt that is through can be shared; what is decoded is shared at the end. */
  stepEnded(plan: StepPlan): void {
    if (!this.prefills.delete(plan)) return;
    for (const { request, samples, preemptions } of plan.scheduled) {
      if (!samples || request.gone || request.preemptions > preemptions) continue;
      const { promptTokens } = request.submission;
      this.slots.share(this.holdings.get(request)!, sequence(request, promptTokens + request.generated));
    }
  }

  /** A prompt that has come from another replica can be shared too. */
  loaded(request: Request): void {
    this.slots.share(this.holdings.get(request)!, sequence(request, request.computed));
  }

  release(request: Request): void {
    const { running, waiting } = this.queues;
    const holding = this.holdings.get(request);
    if (holding !== undefined) {
      this.slots.share(holding, sequence(request, request.computed - request.drafted));
      this.slots.release(holding);
      this.holdings.delete(request);
    }
    if (this.chunked === request) this.chunked = null;
    this.isFull = false;
    if (running.length === 0 && waiting.length === 0) this.ratio = FIRST_RATIO;
  }
}

/** Policy "length": the least written first, then the longest prompt, then the last admitted. */
const isRetractedBefore = (a: Request, b: Request): boolean =>
  a.generated < b.generated ||
  (a.generated === b.generated && a.submission.promptTokens > b.submission.promptTokens);

const sequence = ({ submission }: Request, tokens: number): Run[] =>
  headOf([...submission.prompt, ...submission.output], tokens);
