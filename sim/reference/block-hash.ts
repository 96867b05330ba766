// Names of KV blocks: hash_i = H(hash_{i-1}, content of block i), as in vLLM's prefix cache, but over runs of named
// content in place of token ids. Rule: equal content, however it was cut into runs, has equal hashes.
import { extend, type Key, keyText, textKey } from '../../scenarios/base/key.ts';
import { appendRuns, type Run } from '../../scenarios/formats/prompt.ts';

/** 64 bits as 16 hexadecimal digits. */
export type BlockHash = string;

const root: Key = textKey('kv-block');

/** The hash of each full block of a sequence; a last, partial block has none. */
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
      hashes.push(keyText(hash));
      room = blockTokens;
    }
  }
  return hashes;
}
