// One memory behind the GPU's that keeps full KV blocks by content; the least recently used goes first, to the next tier.
// Rule: a block can be found once it is written, and is not given up while it is written or read.
import type { KvTier } from '../../engines/engine.ts';
import { type Leg, newLink } from '../links.ts';
import type { Transfers, Travel } from '../transfers.ts';
import type { BlockHash } from './block-hash.ts';

const NS_PER_MS = 1e6;

interface Entry {
  readonly hash: BlockHash;
  isWritten: boolean;
  /** Loads that read it. */
  readers: number;
  /** Its neighbours in order of use. */
  older: Entry | null;
  newer: Entry | null;
}

export class Tier {
  readonly spec: KvTier;
  readonly blockBytes: number;
  readonly capacityBlocks: number;
  readonly entries = new Map<BlockHash, Entry>();
  private oldest: Entry | null = null;
  private newest: Entry | null = null;
  /** Blocks that went in and out, whole. */
  writtenBlocks = 0;
  readBlocks = 0;
  private readonly transfers: Transfers;
  /** Where its own evictions go. */
  private readonly next: Tier | null;
  /** The way between the memories. */
  private readonly path;
  private readonly clock: Leg = { link: newLink('clock'), bytesPerSec: 1 };
  private writing: readonly BlockHash[] = [];
  private toWrite: BlockHash[] = [];

  constructor(spec: KvTier, blockBytes: number, transfers: Transfers, next: Tier | null) {
    this.spec = spec;
    this.blockBytes = blockBytes;
    this.capacityBlocks = Math.floor(spec.capacityBytes / blockBytes);
    this.transfers = transfers;
    this.next = next;
    this.path = newLink(`KV tier ${spec.tier}`);
  }

  has(hash: BlockHash): boolean {
    return this.entries.get(hash)?.isWritten === true;
  }

  /** What so many blocks would take to read from now on, ns, if the link stayed as full as it is. */
  readNs(blocks: number): number {
    const sharers = this.path.sharers.size + 1;
    return this.setupNs + (blocks * this.blockBytes * sharers * 1e9) / this.spec.readBytesPerSec;
  }

  /** These blocks of one sequence, in its order, are used: its root last, so that its suffix goes first. */
  touch(hashes: readonly BlockHash[]): void {
    for (let i = hashes.length - 1; i >= 0; i--) {
      const entry = this.entries.get(hashes[i]!);
      if (entry === undefined) continue;
      this.unlink(entry);
      this.link(entry);
    }
  }

  /** Reads blocks that are here. */
  read(atNs: number, hashes: readonly BlockHash[], arrived: (atNs: number) => void): Travel {
    const entries = hashes.map(hash => this.entries.get(hash)!);
    let isReading = true;
    const letGo = () => {
      if (isReading) for (const entry of entries) entry.readers -= 1;
      isReading = false;
    };
    for (const entry of entries) entry.readers += 1;
    const travel = this.transfers.start(atNs, this.way(hashes.length, this.spec.readBytesPerSec), ns => {
      letGo();
      this.readBlocks += hashes.length;
      arrived(ns);
    });
    return {
      cancel(ns) {
        letGo();
        travel.cancel(ns);
      },
    };
  }

  /** Takes in those that are not here, in order of their sequence, as far as room can be made. */
  write(atNs: number, hashes: readonly BlockHash[]): void {
    const fresh: BlockHash[] = [];
    const evicted: BlockHash[] = [];
    for (const hash of hashes) {
      if (this.entries.has(hash)) continue;
      if (this.entries.size + fresh.length >= this.capacityBlocks) {
        const victim = this.evictable();
        if (victim === undefined) break;
        this.unlink(victim);
        this.entries.delete(victim.hash);
        evicted.push(victim.hash);
      }
      fresh.push(hash);
    }
    for (const hash of fresh.toReversed()) {
      const entry: Entry = { hash, isWritten: false, readers: 0, older: null, newer: null };
      this.entries.set(hash, entry);
      this.link(entry);
    }
    this.toWrite.push(...fresh);
    this.next?.write(atNs, evicted.toReversed());
    this.writeOn(atNs);
  }

  /** The least recently used that nobody writes or reads. */
  private evictable(): Entry | undefined {
    for (let entry = this.oldest; entry !== null; entry = entry.newer)
      if (entry.isWritten && entry.readers === 0) return entry;
    return undefined;
  }

  /** Used just now. */
  private link(entry: Entry): void {
    entry.older = this.newest;
    entry.newer = null;
    if (this.newest === null) this.oldest = entry;
    else this.newest.newer = entry;
    this.newest = entry;
  }

  private unlink(entry: Entry): void {
    if (entry.older === null) this.oldest = entry.newer;
    else entry.older.newer = entry.newer;
    if (entry.newer === null) this.newest = entry.older;
    else entry.newer.older = entry.older;
  }

  /** Writes are one stream, one share of the link: what comes meanwhile follows in one piece. */
  private writeOn(atNs: number): void {
    if (this.writing.length > 0 || this.toWrite.length === 0) return;
    this.writing = this.toWrite;
    this.toWrite = [];
    this.transfers.start(atNs, this.way(this.writing.length, this.spec.writeBytesPerSec), ns => {
      for (const hash of this.writing) this.entries.get(hash)!.isWritten = true;
      this.writtenBlocks += this.writing.length;
      this.writing = [];
      this.writeOn(ns);
    });
  }

  /** Calls back when `delayNs` are over, beside the link. */
  wait(atNs: number, delayNs: number, then: (atNs: number) => void): Travel {
    return this.transfers.start(atNs, { legs: [this.clock], bytes: 0, setupNs: delayNs }, then);
  }

  private get setupNs(): number {
    return Math.round(this.spec.latencyMs * NS_PER_MS);
  }

  private way(blocks: number, bytesPerSec: number) {
    const legs: Leg[] = [{ link: this.path, bytesPerSec: Math.max(1, Math.round(bytesPerSec)) }];
    return { legs, bytes: blocks * this.blockBytes, setupNs: this.setupNs };
  }
}
