// Sessions of a trace that names none, from its block ids (workloads.md §4.2): a prompt that begins with all full blocks
// of an earlier one, and goes on behind them, is the next turn of that session.
import type { BlockPrompt } from './file-blocks.ts';
import type { Thread } from './threads.ts';

/**
 * Each call has one next turn at most, and only if it brought its last full block: calls that merely share a system
 * prompt are not turns of each other. A next turn has more full blocks, or room for the answer before it.
 */
export class PrefixChains {
  private readonly byLastBlock = new Map<number, Thread>();

  /** The session whose next turn a prompt of `promptTokens` is; the longest match. */
  before(atMs: number, promptTokens: number, { blocks, fullBlocks, hitBlocks }: BlockPrompt): Thread | null {
    // What matches has been seen.
    for (let full = Math.min(hitBlocks, fullBlocks); full > 0; full -= 1) {
      const thread = this.byLastBlock.get(blocks[full - 1] as number);
      // An answer takes time: what came in the same instant is another session.
      if (thread === undefined || thread.lastMs === null || thread.lastMs >= atMs) continue;
      const end = endOf(thread);
      if (end.blocks.length !== full || !end.blocks.every((block, row) => block === blocks[row])) continue;
      if (full < fullBlocks || promptTokens >= end.exchangeTokens) return thread;
    }
    return null;
  }

  /** The thread is about to go on with this prompt: its end moves there. */
  advance(thread: Thread, { blocks, fullBlocks, hitBlocks }: BlockPrompt): void {
    const last = blocks[fullBlocks - 1];
    const stays = last !== undefined && this.byLastBlock.get(last) === thread;
    this.forget(thread);
    if (last !== undefined && (stays || hitBlocks < fullBlocks)) this.byLastBlock.set(last, thread);
  }

  /** The thread is complete: it has no next turn. */
  forget(thread: Thread): void {
    const last = endOf(thread).blocks.at(-1);
    if (last !== undefined && this.byLastBlock.get(last) === thread) this.byLastBlock.delete(last);
  }
}

/** The full blocks of a thread's last call, and the length of its prompt with the answer. */
function endOf({ session: { calls, blockTokens } }: Thread): {
  blocks: readonly number[];
  exchangeTokens: number;
} {
  const last = calls.at(-1);
  if (last === undefined) return { blocks: [], exchangeTokens: 0 };
  const blocks = last.blocks.slice(0, Math.floor(last.promptTokens / blockTokens));
  return { blocks, exchangeTokens: last.promptTokens + last.outputTokens };
}
