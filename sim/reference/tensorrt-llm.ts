// One step of TensorRT-LLM's schedulers (batch_manager/capacityScheduler.cpp, microBatchScheduler.cpp): a request is
// admitted when it can finish, whatever the others still write (GUARANTEED_NO_EVICT), so nothing is ever preempted.
// Rule: generation goes first, then prompts under way, then waiting ones; a prompt whose next block is being computed
// by another is passed over, so that it can share it a step later.
import { headOf } from '../../scenarios/formats/prompt.ts';
import type { Submission } from '../cluster.ts';
import { beyondCache } from '../refusal.ts';
import type { BlockHash } from './block-hash.ts';
import type { Engine, Queues } from './engine.ts';
import { awaitsToken } from './pipeline.ts';
import { isEnding, type Request, targetTokens } from './request.ts';
import { type Match, type RetainedBlock, RetentionCache, type Worth } from './retention-cache.ts';
import { commit, newPlan, type StepPlan, take } from './scheduler.ts';
import { draftTokens, mostTokens } from './speculative.ts';

export const tensorrtLlm = (queues: Queues): Engine => new TensorrtLlm(queues);

class TensorrtLlm implements Engine {
  /** Blocks held, in order of the sequence. */
  readonly held = new Map<Request, RetainedBlock[]>();
  readonly retained: RetentionCache;
  private readonly queues: Queues;
  /** Of prompts under way: the first block that each will add to the cache. */
  private readonly coming = new Map<Request, BlockHash>();

  constructor(queues: Queues) {
    this.queues = queues;
    this.retained = new RetentionCache(queues.limits);
  }

  get usedBlocks(): number {
    return this.queues.limits.kvBlocks - this.retained.freeCount;
  }

  get evictedBlocks(): number {
    return this.retained.evictedBlocks;
  }

  refusal(submission: Submission): string | null {
    const { chunkedPrefill, maxBatchedTokens } = this.queues.limits;
    const never = beyondCache(this.leastTokens(submission), this.queues.limits);
    if (never !== null) return never;
    if (!chunkedPrefill && submission.promptTokens > maxBatchedTokens) {
      return `${submission.promptTokens} prompt tokens exceed maxBatchedTokens ${maxBatchedTokens} without chunked prefill`;
    }
    return null;
  }

  /** In the KV cache at the end, the last token too: it is counted as if it were computed. */
  private leastTokens(submission: Submission): number {
    return mostTokens(this.queues.pool, submission) + 1;
  }

  /** What admission reserves for it: all that it may write, as far as it fits at all. */
  private neededBlocks({ submission }: Request): number {
    const { maxModelTokens, kvBlocks, blockTokens } = this.queues.limits;
    const { promptTokens, outputTokens, maxOutputTokens = outputTokens } = submission;
    const more = Math.min(maxOutputTokens, maxModelTokens - promptTokens) - outputTokens;
    const tokens = this.leastTokens(submission) + Math.max(0, more);
    return Math.min(kvBlocks, Math.ceil(tokens / blockTokens));
  }

  seed({ submission, hashes }: Request): void {
    const { retained } = this;
    const { prompt, warmTokens } = submission;
    const blocks = Math.floor(warmTokens / retained.blockTokens);
    const sequence = headOf(prompt, blocks * retained.blockTokens);
    const match = retained.match(sequence, hashes);
    const held = retained.hold({ blocks: match.blocks, part: null }, () => null);
    while (held.length < blocks && retained.freeCount > 0) held.push(retained.take(null));
    retained.store(held, sequence, hashes, false);
    retained.release(held, 0);
  }

  cachedTokens(request: Request): number {
    return this.retained.tokensOf(this.matchOf(request));
  }

  /** At least one token of the prompt stays to be computed. */
  private matchOf({ submission, hashes }: Request): Match {
    return this.retained.match(headOf(submission.prompt, submission.promptTokens - 1), hashes);
  }

  schedule(atNs: number): StepPlan {
    const { pool, limits, running } = this.queues;
    const plan = newPlan(limits.maxBatchedTokens);
    this.retained.expire(atNs);
    const live = running.filter(request => !isEnding(request) && !awaitsToken(pool, request));
    for (const request of live) {
      if (isPrompt(request) || plan.budgetLeft === 0) continue;
      const drafts = Math.min(draftTokens(pool, request), plan.budgetLeft - 1);
      this.compute(plan, request, 1 + drafts, drafts);
    }
    for (const request of live) {
      if (!isPrompt(request)) continue;
      const tokens = this.chunkTokens(plan, targetTokens(request) - request.computed);
      if (tokens > 0) this.compute(plan, request, tokens);
    }
    this.admit(plan, atNs);
    commit(plan);
    for (const { request, samples } of plan.scheduled) if (samples) this.storePrompt(request);
    return plan;
  }

  private admit(plan: StepPlan, atNs: number): void {
    const { limits, running, waiting, loads } = this.queues;
    const coming = new Set(this.coming.values());
    let freeBlocks = this.retained.freeCount;
    for (const request of [...running, ...loads.underWay, ...loads.done])
      freeBlocks -= this.neededBlocks(request) - this.held.get(request)!.length;
    while (loads.done.length > 0 && plan.budgetLeft > 0 && running.length < limits.maxSequences) {
      const request = loads.done.shift()!;
      running.push(request);
      plan.admitted.push(request);
      this.compute(plan, request, targetTokens(request) - request.computed);
    }
    for (const request of [...waiting]) {
      if (plan.budgetLeft <= 0 || running.length >= limits.maxSequences) return;
      const match = this.matchOf(request);
      const load = loads.find(request, match.blocks.length);
      const next = load === null ? this.nextBlock(request, match.blocks.length) : null;
      if (next !== null && coming.has(next)) continue;
      const shared = match.blocks.filter(({ refs }) => refs > 0).length;
      const needed = this.neededBlocks(request) - shared;
      if (needed > freeBlocks) return;
      if (load !== null) {
        freeBlocks -= needed;
        waiting.splice(waiting.indexOf(request), 1);
        const held = this.retained.hold({ blocks: match.blocks, part: null }, i => this.worthOf(request, i));
        this.held.set(request, held);
        this.grow(request, load.tokens);
        loads.start(atNs, request, load, match.blocks.length * this.retained.blockTokens);
        continue;
      }
      const hitTokens = this.retained.tokensOf(match);
      const tokens = this.chunkTokens(plan, request.submission.promptTokens - hitTokens);
      if (tokens <= 0) return;
      freeBlocks -= needed;
      if (next !== null) {
        coming.add(next);
        this.coming.set(request, next);
      }
      waiting.splice(waiting.indexOf(request), 1);
      running.push(request);
      plan.admitted.push(request);
      this.held.set(
        request,
        this.retained.hold(match, i => this.worthOf(request, i)),
      );
      request.computed = hitTokens;
      request.hitTokens += hitTokens;
      this.compute(plan, request, tokens);
    }
  }

  /** The first whole block of the prompt that is not cached. */
  private nextBlock({ submission, hashes }: Request, cachedBlocks: number): BlockHash | null {
    const { prefixCaching, blockTokens } = this.queues.limits;
    const isWhole = (cachedBlocks + 1) * blockTokens <= submission.promptTokens;
    return prefixCaching && isWhole ? hashes[cachedBlocks]! : null;
  }

  /** How much of a prompt goes into a step: whole blocks, but for its end. */
  private chunkTokens(plan: StepPlan, wanted: number): number {
    const { chunkedPrefill, blockTokens } = this.queues.limits;
    if (wanted <= plan.budgetLeft) return wanted;
    if (!chunkedPrefill) return 0;
    const whole = Math.floor(plan.budgetLeft / blockTokens) * blockTokens;
    return whole === 0 && plan.scheduled.length === 0 ? plan.budgetLeft : whole;
  }

  private compute(plan: StepPlan, request: Request, tokens: number, drafts = 0): void {
    this.grow(request, request.computed + tokens);
    take(plan, request, tokens, drafts);
  }

  /** Takes blocks until it holds `tokens` tokens. */
  private grow(request: Request, tokens: number): void {
    const held = this.held.get(request)!;
    const blocks = Math.ceil(tokens / this.retained.blockTokens);
    while (held.length < blocks) held.push(this.retained.take(this.worthOf(request, held.length)));
  }

  /** A prompt that has come from another replica can be shared too. */
  loaded(request: Request): void {
    this.store(request, request.computed, false);
  }

  /** What the first range that the first token of this block lies in says of it. */
  private worthOf({ submission }: Request, block: number): Worth | null {
    const { promptTokens, retention = [] } = submission;
    const at = block * this.retained.blockTokens;
    const range = retention.find(
      ({ fromToken, toToken }) => fromToken <= at && at < Math.min(toToken ?? promptTokens, promptTokens),
    );
    return range === undefined ? null : { priority: range.priority, durationMs: range.durationMs };
  }

  /** A prompt that is through can be shared from the next step on. */
  private storePrompt(request: Request): void {
    if (request.generated + request.expected > 1) return;
    this.coming.delete(request);
    this.store(request, request.submission.promptTokens, false);
  }

  private store(request: Request, tokens: number, withPart: boolean): void {
    const { submission, hashes } = request;
    const sequence = headOf([...submission.prompt, ...submission.output], tokens);
    this.retained.store(this.held.get(request)!, sequence, hashes, withPart);
  }

  stepEnded(): void {}

  release(request: Request, atNs: number): void {
    this.coming.delete(request);
    const held = this.held.get(request);
    if (held === undefined) return;
    this.store(request, request.computed - request.drafted, true);
    this.held.delete(request);
    this.retained.release(held, atNs);
  }
}

const isPrompt = (request: Request): boolean => request.generated + request.expected === 0;
