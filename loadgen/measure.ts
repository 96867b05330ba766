// What one streamed call delivered and when: fed by the client read by read, it counts tokens and their gaps. No
// sockets, no clock: times come in. Rule: chunks of one socket read, and tokens of one chunk, share their gap evenly.
import type { StreamDelta, Usage } from '../engines/wire/delta.ts';
import type { Histogram } from '../scenarios/base/histogram.ts';

/** Chunks closer than this came with one socket read (tokens of one sequence are never that close). */
const SAME_READ_MS = 0.2;

/** The tokens of one call as a client can know them. */
export class StreamMeter {
  firstTokenMs: number | null = null;
  lastTokenMs: number | null = null;
  finishReason: string | null = null;
  usage: Usage | null = null;
  tokenIds: number[] | null = null;
  done = false;
  private outputPieces: string[] = [];
  private reasoningPieces: string[] = [];
  /** Arrivals of tokens: when, and how many were counted. Two columns, a row per read with tokens. */
  private arrivalsMs: number[] = [];
  private arrivalTokens: number[] = [];
  private countedTokens = 0;
  private countedReasoningTokens = 0;
  /** Tokens per chunk are known from usage on each chunk, not assumed to be 1. */
  private continuous = false;

  /** Takes one payload that came with the read at `atMs`. */
  take(delta: StreamDelta, atMs: number): void {
    if (delta.done) this.done = true;
    if (delta.finishReason !== null) this.finishReason = delta.finishReason;
    const tokens = this.tokensIn(delta);
    if (delta.usage !== null) this.usage = delta.usage;
    if (delta.outputText !== '') this.outputPieces.push(delta.outputText);
    if (delta.reasoningText !== '') this.reasoningPieces.push(delta.reasoningText);
    if (delta.tokenIds !== null) {
      this.tokenIds ??= [];
      for (const id of delta.tokenIds) this.tokenIds.push(id);
    }
    if (tokens === 0) return;
    if (delta.reasoningText !== '') this.countedReasoningTokens += tokens;
    this.countedTokens += tokens;
    this.firstTokenMs ??= atMs;
    const last = this.arrivalsMs.length - 1;
    if (last >= 0 && atMs - this.arrivalsMs[last]! < SAME_READ_MS) this.arrivalTokens[last]! += tokens;
    else {
      this.arrivalsMs.push(atMs);
      this.arrivalTokens.push(tokens);
    }
    this.lastTokenMs = atMs;
  }

  private tokensIn({ usage, hasChoice, hasToken, finishReason, tokenIds }: StreamDelta): number {
    // Usage beside a choice that is not the last one is continuous usage: it says how many tokens the chunk holds.
    if (usage !== null && hasChoice && finishReason === null) this.continuous = true;
    if (usage !== null && hasChoice && this.continuous) {
      return Math.max(0, usage.completionTokens - this.countedTokens);
    }
    if (tokenIds !== null && tokenIds.length > 0) return tokenIds.length;
    return hasToken ? 1 : 0;
  }

  /** Generated tokens, reasoning included: the server's count when it gave one. */
  get outputTokens(): number {
    return this.usage?.completionTokens ?? this.countedTokens;
  }

  get reasoningTokens(): number {
    return this.usage?.reasoningTokens ?? this.countedReasoningTokens;
  }

  get outputText(): string {
    return this.outputPieces.join('');
  }

  get reasoningText(): string {
    return this.reasoningPieces.join('');
  }

  /** Reads with tokens. */
  get chunks(): number {
    return this.arrivalsMs.length;
  }

  /**
   * The largest gap between two reads with tokens, ms; null when there were fewer than two tokens. Adds one gap per token
   * after the first to `itlMs`, and one per read after the first to `chunkGapMs`, unless `into` is null.
   */
  gaps(into: { itlMs: Histogram; chunkGapMs: Histogram } | null): number | null {
    const reads = this.arrivalsMs.length;
    if (reads === 0) return null;
    // A server without continuous usage may still put several tokens into each chunk: the total tells.
    const perCounted = this.continuous ? 1 : Math.max(1, Math.round(this.outputTokens / this.countedTokens));
    const extra = this.arrivalTokens[0]! * perCounted - 1;
    if (extra > 0) into?.itlMs.record(0, extra);
    let maxMs = extra > 0 ? 0 : null;
    for (let i = 1; i < reads; i++) {
      const gapMs = this.arrivalsMs[i]! - this.arrivalsMs[i - 1]!;
      const tokens = this.arrivalTokens[i]! * perCounted;
      into?.itlMs.record(gapMs / tokens, tokens);
      into?.chunkGapMs.record(gapMs);
      if (maxMs === null || gapMs > maxMs) maxMs = gapMs;
    }
    return maxMs;
  }
}
