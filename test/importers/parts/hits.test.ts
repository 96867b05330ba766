// The infinite cache over the ids of a file, and the set behind it, against plain sets.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BlockSet } from '../../../scenarios/importers/parts/block-set.ts';
import { MINTED_FROM } from '../../../scenarios/importers/parts/blocks.ts';
import { FileCache } from '../../../scenarios/importers/parts/hits.ts';

/** Dense ids, ids around the growth of the bits, and 64-bit hashes. */
const blockIds = fc.oneof(
  { weight: 4, arbitrary: fc.nat(100) },
  { weight: 2, arbitrary: fc.integer({ min: 2 ** 20 - 40, max: 2 ** 20 + 40 }) },
  { weight: 2, arbitrary: fc.integer({ min: 2 ** 52, max: 2 ** 52 + 100_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52, 2 ** 63, 2 ** 63 + 2048) },
);

describe('BlockSet', () => {
  test('law: holds what a Set holds', () => {
    fc.assert(
      fc.property(fc.array(blockIds, { maxLength: 300 }), ids => {
        const blocks = new BlockSet();
        const plain = new Set<number>();
        for (const id of ids) {
          expect(blocks.has(id)).toBe(plain.has(id));
          blocks.add(id);
          plain.add(id);
          expect(blocks.has(id)).toBe(true);
        }
      }),
    );
  });

  test('keeps ids that were entries of the set when the bits grow over them', () => {
    const blocks = new BlockSet();
    const far = 3_000_000;
    blocks.add(far);
    for (let id = 0; id < 20_000; id += 1) blocks.add(id);
    blocks.add(far + 1);
    expect([far - 1, far, far + 1].map(id => blocks.has(id))).toEqual([false, true, true]);
  });
});

test('ids that an importer minted need a bit each: more of them fit than a Set has room for', () => {
  const blocks = new BlockSet();
  const count = 2 ** 24 + 1;
  for (let row = 0; row < count; row += 1) blocks.add(MINTED_FROM + row);
  expect(blocks.has(MINTED_FROM + count - 1)).toBe(true);
  expect(blocks.has(MINTED_FROM + count)).toBe(false);
});

describe('FileCache', () => {
  test('law: counts the leading ids that prompts before have shown, and no more tokens than the prompt has', () => {
    const prompts = fc.array(fc.array(blockIds, { maxLength: 6 }), { maxLength: 30 });
    fc.assert(
      fc.property(prompts, fc.integer({ min: 1, max: 2000 }), (lists, promptTokens) => {
        const cache = new FileCache();
        const seen = new Set<number>();
        for (const ids of lists) {
          let leading = 0;
          while (leading < ids.length && seen.has(ids[leading]!)) leading += 1;
          for (const id of ids) seen.add(id);
          expect(cache.hits(ids, promptTokens, 512)).toEqual({
            hitBlocks: leading,
            hitTokens: Math.min(leading * 512, promptTokens),
          });
        }
      }),
    );
  });
});
