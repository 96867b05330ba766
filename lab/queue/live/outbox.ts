// Entries of one shard on their way to the coordinator. Rule: an entry is kept until the coordinator says that it has read
// it, so that neither a Redis that restarts without its data nor a coordinator that missed an answer loses one.
import type { Redis } from 'ioredis';
import { type Signer, seal } from '../sign.ts';
import { type Entry, entriesKey, entryScope, KEPT_SEC } from './message.ts';

/** Of what Redis took and the coordinator has not read in so long, it is taken that it got lost. */
const RESEND_MS = 5000;
/** At once to Redis. */
const BATCH = 32;

interface Packed {
  readonly sequence: number;
  readonly text: string;
  sentMs: number | null;
}

export interface OutboxOptions {
  readonly redis: Redis;
  readonly signer: Signer;
  readonly run: string;
  readonly shard: number;
}

export class Outbox {
  private readonly options: OutboxOptions;
  private waiting: Packed[] = [];
  private sequence = 0;
  private isPushing = false;
  private isClosed = false;
  private emptied: (() => void)[] = [];

  constructor(options: OutboxOptions) {
    this.options = options;
  }

  /** Entries that the coordinator has not read. */
  get unread(): number {
    return this.waiting.length;
  }

  add(entry: Entry): void {
    const { signer, run, shard } = this.options;
    const sequence = this.sequence++;
    const sealed = seal(signer, entryScope(run, shard, sequence), entry);
    this.waiting.push({ sequence, text: `${sequence}|${sealed}`, sentMs: null });
    void this.push();
  }

  /** The coordinator has read the first so many. It is there, so that what it lacks is sent again. */
  wasRead(count: number, nowMs: number): void {
    this.waiting = this.waiting.filter(({ sequence }) => sequence >= count);
    if (this.waiting.length === 0) for (const tell of this.emptied.splice(0)) tell();
    const oldest = this.waiting[0];
    if (oldest?.sentMs == null || nowMs - oldest.sentMs < RESEND_MS) return;
    for (const entry of this.waiting) entry.sentMs = null;
    void this.push();
  }

  /** Resolves when all has been read. */
  empty(): Promise<void> {
    if (this.waiting.length === 0) return Promise.resolve();
    return new Promise(resolve => this.emptied.push(resolve));
  }

  close(): void {
    this.isClosed = true;
  }

  /** One batch after the other; while Redis is away the one under way waits. */
  private async push(): Promise<void> {
    if (this.isPushing) return;
    this.isPushing = true;
    const { redis, run, shard } = this.options;
    const key = entriesKey(run, shard);
    try {
      for (;;) {
        const batch = this.waiting.filter(({ sentMs }) => sentMs === null).slice(0, BATCH);
        if (batch.length === 0 || this.isClosed) return;
        await redis
          .multi()
          .rpush(key, ...batch.map(({ text }) => text))
          .expire(key, KEPT_SEC)
          .exec();
        for (const entry of batch) entry.sentMs = performance.now();
      }
    } catch {
      // The connection is closed: who waits for the coordinator ends by himself.
    } finally {
      this.isPushing = false;
    }
  }
}

/** An entry of a list: its number, and what was sealed. Null: it is none. */
export function entryIn(text: string): { sequence: number; sealed: string } | null {
  const bar = text.indexOf('|');
  const sequence = Number(text.slice(0, bar));
  return bar < 1 || !Number.isSafeInteger(sequence) ? null : { sequence, sealed: text.slice(bar + 1) };
}
