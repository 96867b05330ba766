// One store: who may use it now, what it still holds, and when a read sees what was written. An entry belongs to a
// session, in a long-term store to a user; each has one.
import type { StoreSpec } from '../../scenarios/formats/rules.ts';
import { type InLine, Line } from '../tools/line.ts';

/** What a read finds: what it should, something older, or nothing where there was something. */
export type Found =
  | { readonly kind: 'fresh' | 'missed' }
  | { readonly kind: 'stale'; readonly untilMs: number };

const FRESH: Found = { kind: 'fresh' };
const MISSED: Found = { kind: 'missed' };

/** `C`: what its user remembers of an operation. */
export class Store<C extends InLine> {
  readonly spec: StoreSpec;
  private readonly line = new Line<C>();
  private busy = 0;
  /** When each entry was last written, ms; the least recently used first. */
  private readonly entries = new Map<string, number>();
  /** Written once, and pushed out since. */
  private readonly gone = new Set<string>();

  constructor(spec: StoreSpec) {
    this.spec = spec;
  }

  get held(): number {
    return this.entries.size;
  }

  /** Nobody uses it or waits for it. */
  get isIdle(): boolean {
    return this.busy === 0 && this.line.size === 0;
  }

  join(claim: C): void {
    this.line.join(claim);
  }

  leave(claim: C): void {
    this.line.leave(claim);
  }

  /** Who may start an operation now, out of the line. */
  next(): C | undefined {
    const { concurrency } = this.spec;
    if (concurrency !== null && this.busy >= concurrency) return undefined;
    const first = this.line.first();
    if (first === undefined) return undefined;
    this.line.leave(first);
    this.busy += 1;
    return first;
  }

  /** An operation is over. */
  release(): void {
    this.busy -= 1;
  }

  write(owner: string, nowMs: number): void {
    const { capacity } = this.spec;
    this.entries.delete(owner);
    this.entries.set(owner, nowMs);
    this.gone.delete(owner);
    if (capacity === null || this.entries.size <= capacity) return;
    for (const oldest of this.entries.keys()) {
      this.entries.delete(oldest);
      this.gone.add(oldest);
      break;
    }
  }

  /** `atMs`: when the read began: it sees the store as it was then. */
  read(owner: string, atMs: number): Found {
    const writtenMs = this.entries.get(owner);
    // What nobody has written in this run was there before it, or is known to be nothing.
    if (writtenMs === undefined) return this.gone.has(owner) ? MISSED : FRESH;
    this.entries.delete(owner);
    this.entries.set(owner, writtenMs);
    const untilMs = writtenMs + this.spec.staleMs;
    // One that began before the write was over was not promised it.
    return writtenMs <= atMs && atMs < untilMs ? { kind: 'stale', untilMs } : FRESH;
  }

  forget(owner: string): void {
    this.entries.delete(owner);
    this.gone.delete(owner);
  }
}
