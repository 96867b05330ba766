// Prompt reuse by block ids: how much of each prompt an infinite cache would find, and whether in earlier calls of the
// same session or only in other sessions. Whole blocks; a hit is the leading run of a prompt that was seen before.
import type { RecordedSession } from '../formats/recorded.ts';
import type { ReuseFigures } from '../formats/trace-profile.ts';
import { BlockSet } from '../importers/parts/block-set.ts';

/** Tokens of one prompt that are found. */
export interface Found {
  /** In earlier calls of the session, or in calls that a cut of the trace left out. */
  ownTokens: number;
  /** In any session: never less. */
  anyTokens: number;
}

/** Whether the block ids of a session mean nothing outside of it: its scope ends with its own id. */
export const hasOwnScope = ({ id, blockScope }: RecordedSession): boolean => blockScope.endsWith(`/${id}`);

/** Counts over sessions in the order they come. Of chained ids (each names all before it) the order does not matter. */
export class ReuseCounter {
  private readonly seen = new Map<string, BlockSet>();
  private promptTokens = 0;
  private ownTokens = 0;
  private anyTokens = 0;
  private named = false;

  /** What each call of the session finds, in the order of its calls. */
  add(session: RecordedSession): Found[] {
    const own = new Set<number>();
    const any = hasOwnScope(session) ? null : this.scope(session.blockScope);
    const before = new Map<string, readonly number[]>();
    return session.calls.map(call => {
      const { blocks, promptTokens, primedTokens } = call;
      const known = commonLead(before.get(call.agent) ?? [], blocks);
      const ownBlocks = lead(blocks, known, own);
      const anyBlocks = any === null ? ownBlocks : Math.max(ownBlocks, lead(blocks, known, any));
      for (let at = known; at < blocks.length; at += 1) {
        own.add(blocks[at]!);
        any?.add(blocks[at]!);
      }
      before.set(call.agent, blocks);

      const tokensOf = (count: number): number =>
        Math.min(promptTokens, Math.max(primedTokens, count * session.blockTokens));
      const found = { ownTokens: tokensOf(ownBlocks), anyTokens: tokensOf(anyBlocks) };
      this.promptTokens += promptTokens;
      this.ownTokens += found.ownTokens;
      this.anyTokens += found.anyTokens;
      if (blocks.length > 0) this.named = true;
      return found;
    });
  }

  private scope(name: string): BlockSet {
    const found = this.seen.get(name) ?? new BlockSet();
    this.seen.set(name, found);
    return found;
  }

  /** Null when no call had block ids. */
  figures(): ReuseFigures | null {
    if (!this.named) return null;
    return {
      bySessionRatio: this.ownTokens / this.promptTokens,
      acrossRatio: this.seen.size === 0 ? null : (this.anyTokens - this.ownTokens) / this.promptTokens,
    };
  }
}

/** Blocks at the head of both lists: most of a prompt is the prompt before, and comparing is cheaper than looking up. */
export function commonLead(a: readonly number[], b: readonly number[]): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  while (at < length && a[at] === b[at]) at += 1;
  return at;
}

/** Leading blocks that are in the set; the first `known` of them are. */
function lead(blocks: readonly number[], known: number, seen: { has(block: number): boolean }): number {
  let at = known;
  while (at < blocks.length && seen.has(blocks[at]!)) at += 1;
  return at;
}
