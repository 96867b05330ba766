// What is to come, for the autoscaler that knows: every call of the plan at the instant it would be wanted if nothing
// held it up. It is found by a run of its own, on as many replicas as there may be.
import type { CallRecord } from '../scenarios/formats/record.ts';
import type { OracleView } from './scaling/policy.ts';

/** Calls of one pool by time, with sums of their tokens so far. */
export class Demand implements OracleView {
  private readonly atMs: number[] = [];
  private readonly promptTokens: number[] = [0];
  private readonly outputTokens: number[] = [0];

  constructor(
    calls: readonly Pick<CallRecord, 'plannedMs' | 'promptTokens' | 'cachedTokens' | 'outputTokens'>[],
  ) {
    for (const call of calls.toSorted((a, b) => a.plannedMs - b.plannedMs)) {
      this.atMs.push(call.plannedMs);
      this.promptTokens.push(this.promptTokens.at(-1)! + call.promptTokens - (call.cachedTokens ?? 0));
      this.outputTokens.push(this.outputTokens.at(-1)! + call.outputTokens);
    }
  }

  /** From `fromMs` up to, and not at, `toMs`; prompt tokens that a cache would not have. */
  demand(fromMs: number, toMs: number) {
    const from = this.rank(fromMs);
    const to = this.rank(toMs);
    return {
      calls: to - from,
      promptTokens: this.promptTokens[to]! - this.promptTokens[from]!,
      outputTokens: this.outputTokens[to]! - this.outputTokens[from]!,
    };
  }

  /** How many come before `ms`. */
  private rank(ms: number): number {
    let low = 0;
    let high = this.atMs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.atMs[middle]! < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
