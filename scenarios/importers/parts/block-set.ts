// A set of block ids: a bit each where a trace numbers its blocks from 0 on, or where its importer minted them; a set
// entry where ids are hashes.
import { UserError } from '../../base/errors.ts';
import { MINTED_FROM } from './blocks.ts';

/** The bits may grow to this many ids per block in the set: no more memory than an entry of a Set takes. */
const IDS_PER_BLOCK = 256;
const DENSE_MAX = 2 ** 32;
/** What a JavaScript Set can hold, less some. */
const SPARSE_MAX = 16_000_000;

/** Bits of the ids from `first` on. */
class BitColumn {
  private readonly first: number;
  private bits = new Uint32Array(1 << 10);

  constructor(first: number) {
    this.first = first;
  }

  /** Hot: once per block of a trace. */
  has(block: number): boolean {
    const at = block - this.first;
    return at >= 0 && at < this.bits.length * 32 && ((this.bits[at >>> 5]! >>> (at & 31)) & 1) === 1;
  }

  /** False where the id lies `limit` or more behind the first. */
  add(block: number, limit: number): boolean {
    const at = block - this.first;
    if (at < 0 || at >= Math.max(limit, this.bits.length * 32)) return false;
    if (at >= this.bits.length * 32) {
      const longer = new Uint32Array(Math.max((at >>> 5) + 1, this.bits.length * 2));
      longer.set(this.bits);
      this.bits = longer;
    }
    this.bits[at >>> 5] = this.bits[at >>> 5]! | (1 << (at & 31));
    return true;
  }
}

export class BlockSet {
  private readonly numbered = new BitColumn(0);
  private readonly minted = new BitColumn(MINTED_FROM);
  private readonly sparse = new Set<number>();
  private size = 0;

  /** Hot: once per block of a trace. */
  has(block: number): boolean {
    if (this.numbered.has(block) || this.minted.has(block)) return true;
    return this.sparse.size > 0 && this.sparse.has(block);
  }

  add(block: number): void {
    if (this.has(block)) return;
    this.size += 1;
    const limit = Math.min(DENSE_MAX, this.size * IDS_PER_BLOCK);
    if (this.numbered.add(block, limit) || this.minted.add(block, limit)) return;
    if (this.sparse.size >= SPARSE_MAX) {
      throw new UserError(`the trace has more than ${SPARSE_MAX} different block ids that are not dense`, {
        hint: 'number its hash_ids from 0 on, in order of first use: dense ids need a bit each',
      });
    }
    this.sparse.add(block);
  }
}
