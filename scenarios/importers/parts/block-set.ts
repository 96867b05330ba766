// A set of block ids: a bit each where a trace numbers its blocks from 0 on, a set entry where ids are hashes.
import { UserError } from '../../base/errors.ts';

/** The bits may grow to this many ids per block in the set: no more memory than an entry of a Set takes. */
const IDS_PER_BLOCK = 256;
const DENSE_MAX = 2 ** 32;
/** What a JavaScript Set can hold, less some. */
const SPARSE_MAX = 16_000_000;

export class BlockSet {
  private bits = new Uint32Array(1 << 15);
  private readonly sparse = new Set<number>();
  private size = 0;

  /** Hot: once per block of a trace. */
  has(block: number): boolean {
    if (block < this.bits.length * 32 && ((this.bits[block >>> 5] as number) >>> (block & 31)) & 1)
      return true;
    return this.sparse.size > 0 && this.sparse.has(block);
  }

  add(block: number): void {
    if (this.has(block)) return;
    this.size += 1;
    if (block >= this.bits.length * 32 && block < Math.min(DENSE_MAX, this.size * IDS_PER_BLOCK)) {
      const longer = new Uint32Array(Math.max((block >>> 5) + 1, this.bits.length * 2));
      longer.set(this.bits);
      this.bits = longer;
    }
    if (block < this.bits.length * 32) {
      this.bits[block >>> 5] = (this.bits[block >>> 5] as number) | (1 << (block & 31));
      return;
    }
    if (this.sparse.size >= SPARSE_MAX) {
      throw new UserError(`the trace has more than ${SPARSE_MAX} different block ids that are not dense`, {
        hint: 'number its hash_ids from 0 on, in order of first use: dense ids need a bit each',
      });
    }
    this.sparse.add(block);
  }
}
