import fc from 'fast-check';
import { expect, test } from 'vitest';
import { headOf, type Run } from '../../../scenarios/formats/prompt.ts';
import { blockHashes } from '../../../sim/reference/block-hash.ts';
import type { Block } from '../../../sim/reference/free-queue.ts';
import { KvCache } from '../../../sim/reference/kv-cache.ts';
import { run } from './build.ts';

const cacheOf = (kvBlocks: number, prefixCaching = true) =>
  new KvCache({ kvBlocks, blockTokens: 4, prefixCaching });

/** Allocates a whole sequence as one request would, hits first. */
function hold(cache: KvCache, sequence: Run[], tokens: number): Block[] {
  const hashes = blockHashes(sequence, 4);
  const held: Block[] = [];
  cache.allocate(held, cache.hits(hashes, tokens), tokens, hashes);
  return held;
}

const ids = (blocks: readonly Block[]) => blocks.map(block => block.id);

test('equal content has equal hashes, however it is cut into runs', () => {
  const cut = fc.array(fc.tuple(fc.nat(2), fc.nat(20), fc.integer({ min: 1, max: 9 })), { maxLength: 6 });
  fc.assert(
    fc.property(cut, fc.integer({ min: 1, max: 5 }), fc.nat(8), (pieces, blockTokens, at) => {
      const whole = pieces.map(([name, from, tokens]) => run(`content ${name}`, tokens, from));
      const single = whole.flatMap(({ key, from, tokens }) =>
        Array.from({ length: tokens }, (_, i) => ({ key, from: from + i, tokens: 1 })),
      );
      const hashes = blockHashes(whole, blockTokens);
      expect(hashes).toEqual(blockHashes(single, blockTokens));
      expect(hashes).toHaveLength(Math.floor(single.length / blockTokens));
      // a prefix has the hashes of a prefix
      const head = blockHashes(headOf(whole, at), blockTokens);
      expect(head).toEqual(hashes.slice(0, head.length));
    }),
  );
});

test('a block is named by all that lies before it, not by its own content alone', () => {
  const a = blockHashes([run('x', 4), run('same', 4)], 4);
  const b = blockHashes([run('y', 4), run('same', 4)], 4);
  expect(a[1]).not.toBe(b[1]);
  expect(blockHashes([run('x', 4, 1)], 4)).not.toEqual(blockHashes([run('x', 4)], 4));
});

test('free blocks are reused LRU by the end of the request, and within one from its suffix to its root', () => {
  const cache = cacheOf(8);
  const first = hold(cache, [run('first', 10)], 10); // blocks 0 1 full, 2 partial
  const second = hold(cache, [run('second', 8)], 8); // blocks 3 4 full
  expect(ids(first)).toEqual([0, 1, 2]);
  expect(ids(second)).toEqual([3, 4]);
  cache.release(second);
  cache.release(first);
  // the partial block in front, never used ones next, then the earlier end, each with its tail first
  expect(ids(cache.free.toArray())).toEqual([2, 5, 6, 7, 4, 3, 1, 0]);
});

test('a hit on a free block takes it out of the queue, and allocation drops the content of the head', () => {
  const cache = cacheOf(4);
  cache.release(hold(cache, [run('a', 8)], 8)); // free: 2 3 1 0
  const sibling = hold(cache, [run('a', 8)], 8); // limit 7 tokens: hits block 0, computes the second again
  expect(ids(sibling)).toEqual([0, 2]);
  expect(ids(cache.free.toArray())).toEqual([3, 1]);
  hold(cache, [run('b', 8)], 8); // takes 3 and 1
  expect(cache.usedBlocks).toBe(4);
  cache.release(sibling);
  expect(ids(cache.hits(blockHashes([run('a', 9)], 4), 9))).toEqual([0, 2]); // the copy in block 2 is found now
});

test('at least one token is computed: a prompt that is cached whole computes its last block again', () => {
  const cache = cacheOf(10);
  cache.release(hold(cache, [run('a', 16)], 16));
  const hashes = blockHashes([run('a', 17)], 4);
  expect([15, 16, 17].map(tokens => cache.hits(hashes, tokens).length)).toEqual([3, 3, 4]);
});

test('a chain is hit up to its first missing block', () => {
  const cache = cacheOf(4);
  cache.release(hold(cache, [run('a', 16)], 16)); // free: 3 2 1 0
  hold(cache, [run('b', 4)], 4); // takes block 3, the deepest
  expect(cache.hits(blockHashes([run('a', 17)], 4), 17)).toHaveLength(3);
});

test('a block is hit from the moment it is allocated to be filled, before its step is over', () => {
  const cache = cacheOf(10);
  const hashes = blockHashes([run('a', 12)], 4);
  hold(cache, [run('a', 12)], 6); // a chunk of 6 tokens fills one block
  expect(cache.hits(hashes, 12)).toHaveLength(1);
});

test('free hits count as free blocks to be taken', () => {
  const cache = cacheOf(3);
  cache.release(hold(cache, [run('a', 8)], 8));
  const hits = cache.hits(blockHashes([run('a', 16)], 4), 16);
  expect(hits).toHaveLength(2);
  expect(cache.canAllocate([], hits, 12)).toBe(true);
  expect(cache.canAllocate([], hits, 13)).toBe(false);
});

test('allocating without room is a broken invariant', () => {
  expect(() => hold(cacheOf(1), [run('a', 8)], 8)).toThrow('ask canAllocate before allocate');
});

test('without prefix caching nothing is hit and nothing is seeded', () => {
  const cache = cacheOf(4, false);
  cache.seed(blockHashes([run('a', 8)], 4));
  cache.release(hold(cache, [run('a', 8)], 8));
  expect(cache.hits(blockHashes([run('a', 12)], 4), 12)).toEqual([]);
});

test('seeding puts a chain into free blocks, its root the last to be evicted', () => {
  const cache = cacheOf(4);
  const hashes = blockHashes([run('a', 12)], 4);
  cache.seed(hashes);
  expect(cache.usedBlocks).toBe(0);
  expect(ids(cache.free.toArray())).toEqual([3, 2, 1, 0]);
  expect(ids(cache.hits(hashes, 13))).toEqual([0, 1, 2]);
});

test('seeding never evicts the chain it seeds, and stops where no free block is left', () => {
  const cache = cacheOf(4);
  const hashes = blockHashes([run('a', 24)], 4);
  cache.seed(hashes.slice(0, 2));
  hold(cache, [run('b', 4)], 4);
  cache.seed(hashes);
  expect(cache.hits(hashes, 25)).toHaveLength(3);
  cache.seed(hashes);
  expect(cache.hits(hashes, 25)).toHaveLength(3);
  expect(cache.usedBlocks).toBe(1);
});
