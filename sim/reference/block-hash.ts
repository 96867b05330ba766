// Names of KV blocks: hash_i = H(hash_{i-1}, content of block i), as in vLLM's prefix cache, but over runs of named
// content in place of token ids. Rule: equal content, however it was cut into runs, has equal hashes.
import { extend, type Key, keyNumber, textKey } from '../../scenarios/base/key.ts';
import { appendRuns, type Run } from '../../scenarios/formats/prompt.ts';

/** The upper 53 bits of a key, exact in a number: of a million blocks, two share a name once in 18,000 runs. */
export type BlockHash = number;

const root: Key = textKey('kv-block');

/** The hash of each full block of a sequence; a last, partial block has none. Hot: most of what a long prompt costs. */
export function blockHashes(sequence: readonly Run[], blockTokens: number): BlockHash[] {
  const runs: Run[] = [];
  appendRuns(runs, sequence); // merges runs that continue each other
  const hashes: BlockHash[] = [];
  let hash = root;
  let room = blockTokens;
  for (const run of runs) {
    let from = run.from;
    let left = run.tokens;
    while (left > 0) {
      const piece = Math.min(left, room);
      hash = extend(extend(hash, run.key.hi, run.key.lo), from, piece);
      from += piece;
      left -= piece;
      room -= piece;
      if (room > 0) continue;
      hashes.push(keyNumber(hash));
      room = blockTokens;
    }
  }
  return hashes;
}
