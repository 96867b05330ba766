// The hits of an infinite cache. Of one session, two ways: in the trace's own full blocks, and in tokens with the tails
// and outputs that later calls name by their blocks. Of a file whose ids mean the same throughout: in its blocks.
import type { Key } from '../../base/key.ts';
import type { RecordedCall, RecordedSession } from '../../formats/recorded.ts';
import { contentOf } from '../../workflows/recorded-content.ts';
import { BlockSet } from './block-set.ts';

/** Leading blocks and tokens of each prompt that calls before it in `order` (file order) have already shown. */
export function infiniteCacheHits(session: RecordedSession, order: readonly RecordedCall[]): Hits {
  const content = contentOf(session);
  const blocks = new Set<number>();
  // Content by the identity of its key, which contentOf makes once per block; runs of a content are seen from its
  // token 0 on, so one number per content says how much of it is known.
  const known = new Map<Key, number>();
  let hitBlocks = 0;
  let hitTokens = 0;
  for (const call of order) {
    const firstNew = call.blocks.findIndex(block => !blocks.has(block));
    hitBlocks += firstNew < 0 ? call.blocks.length : firstNew;
    for (const block of call.blocks) blocks.add(block);

    const { prompt, output } = content.get(call.id)!;
    for (const run of prompt) {
      const hit = Math.min(run.tokens, Math.max(0, (known.get(run.key) ?? 0) - run.from));
      hitTokens += hit;
      if (hit < run.tokens) break;
    }
    for (const runs of [prompt, output]) {
      for (const run of runs) known.set(run.key, Math.max(known.get(run.key) ?? 0, run.from + run.tokens));
    }
  }
  return { hitBlocks, hitTokens };
}

/** Of one prompt, or summed over several. */
export interface Hits {
  hitBlocks: number;
  hitTokens: number;
}

/** An infinite cache over the block ids of a file, shown its prompts in file order. Memory: about a bit per block. */
export class FileCache {
  private readonly seen = new BlockSet();

  /** Leading blocks of a prompt that the prompts before it have shown; the last one may be partial. */
  hits(blocks: readonly number[], promptTokens: number, blockTokens: number): Hits {
    let hitBlocks = 0;
    while (hitBlocks < blocks.length && this.seen.has(blocks[hitBlocks] as number)) hitBlocks += 1;
    for (let row = hitBlocks; row < blocks.length; row += 1) this.seen.add(blocks[row] as number);
    return { hitBlocks, hitTokens: Math.min(hitBlocks * blockTokens, promptTokens) };
  }
}
