// The tree of seen content against its plain twin: chained hashes of every block, looked up in a set.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SeenContent } from '../../lab/seen-content.ts';
import { textKey } from '../../scenarios/base/key.ts';
import type { Run } from '../../scenarios/formats/prompt.ts';
import { blockHashes } from '../../sim/reference/block-hash.ts';

/** Few contents and places, so that sequences begin alike and part inside of runs. */
const run: fc.Arbitrary<Run> = fc.record({
  key: fc.constantFrom('a', 'b', 'c').map(textKey),
  from: fc.constantFrom(0, 3, 5),
  tokens: fc.integer({ min: 1, max: 8 }),
});
const sequence = fc.array(run, { minLength: 1, maxLength: 6 });

test('whole blocks that were seen are those whose hashes were', () => {
  fc.assert(
    fc.property(
      fc.array(sequence, { minLength: 1, maxLength: 12 }),
      fc.constantFrom(1, 2, 4),
      (sequences, blockTokens) => {
        const seen = new SeenContent();
        const hashes = new Set<number>();
        for (const each of sequences) {
          const own = blockHashes(each, blockTokens);
          let hits = 0;
          while (hits < own.length && hashes.has(own[hits]!)) hits++;
          expect(Math.floor(seen.knownTokens(each) / blockTokens)).toBe(hits);
          for (const hash of own) hashes.add(hash);
          seen.add(each);
        }
      },
    ),
    { seed: 3, numRuns: 3000 },
  );
});
