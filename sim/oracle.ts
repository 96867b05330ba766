// What is to come, for the autoscaler that knows: every call of the plan at the instant it would be wanted if nothing
// held it up, and the KV cache that its session would have. It is found by a run of its own, on as many replicas as there
// may be.
import type { CallRecord } from '../scenarios/formats/record.ts';
import type { OracleView } from './scaling/policy.ts';

type Foreseen = Pick<
  CallRecord,
  'session' | 'plannedMs' | 'endMs' | 'promptTokens' | 'cachedTokens' | 'outputTokens'
>;

/** Calls of one pool by time, with sums of their tokens so far. */
export class Demand implements OracleView {
  private readonly atMs: number[] = [];
  private readonly promptTokens: number[] = [0];
  private readonly cachedTokens: number[] = [0];
  private readonly outputTokens: number[] = [0];
  /** When sessions get more KV, or are over and let it go; and what all have from then on. */
  private readonly heldFromMs: number[] = [];
  private readonly held: number[] = [0];

  constructor(calls: readonly Foreseen[]) {
    const open = new Map<string, { tokens: number; untilMs: number }>();
    const changes: { atMs: number; tokens: number }[] = [];
    for (const call of calls.toSorted((a, b) => a.plannedMs - b.plannedMs)) {
      const { session, plannedMs, endMs, promptTokens, outputTokens } = call;
      const cachedTokens = call.cachedTokens ?? 0;
      this.atMs.push(plannedMs);
      this.promptTokens.push(this.promptTokens.at(-1)! + promptTokens);
      this.cachedTokens.push(this.cachedTokens.at(-1)! + cachedTokens);
      this.outputTokens.push(this.outputTokens.at(-1)! + outputTokens);
      // What the cache had is another call's already.
      const tokens = promptTokens - cachedTokens + outputTokens;
      const known = open.get(session) ?? { tokens: 0, untilMs: 0 };
      known.tokens += tokens;
      known.untilMs = Math.max(known.untilMs, endMs ?? plannedMs);
      open.set(session, known);
      changes.push({ atMs: plannedMs, tokens });
    }
    for (const { tokens, untilMs } of open.values()) changes.push({ atMs: untilMs, tokens: -tokens });
    for (const { atMs, tokens } of changes.toSorted((a, b) => a.atMs - b.atMs)) {
      this.heldFromMs.push(atMs);
      this.held.push(this.held.at(-1)! + tokens);
    }
  }

  demand(fromMs: number, toMs: number) {
    const from = rank(this.atMs, fromMs);
    const to = rank(this.atMs, toMs);
    const between = (sums: readonly number[]): number => sums[to]! - sums[from]!;
    return {
      calls: to - from,
      promptTokens: between(this.promptTokens),
      cachedTokens: between(this.cachedTokens),
      outputTokens: between(this.outputTokens),
    };
  }

  heldTokens(fromMs: number, toMs: number): number {
    let most = 0;
    const last = rank(this.heldFromMs, toMs);
    for (let i = rank(this.heldFromMs, fromMs); i <= last; i++) most = Math.max(most, this.held[i]!);
    return most;
  }
}

/** How many of these come before `ms`. */
function rank(atMs: readonly number[], ms: number): number {
  let low = 0;
  let high = atMs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (atMs[middle]! < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}
