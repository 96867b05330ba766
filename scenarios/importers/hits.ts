// The hits of an infinite per-session cache, two ways: in the trace's own full blocks, and in tokens with the tails
// and outputs that later calls name by their blocks.
import type { Key } from '../base/key.ts';
import type { RecordedCall, RecordedSession } from '../formats/recorded.ts';
import { contentOf } from '../workflows/recorded-content.ts';

/** Leading blocks and tokens of each prompt that calls before it in `order` (file order) have already shown. */
export function infiniteCacheHits(
  session: RecordedSession,
  order: readonly RecordedCall[],
): { hitBlocks: number; hitTokens: number } {
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
