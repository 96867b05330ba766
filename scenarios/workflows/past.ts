// What a session that may start again remembers: how its leaves ended, by path. Its own life is not part of a path.
import type { Ending } from './progress.ts';

/** A leaf that has ended. */
export interface Ended {
  readonly ending: Ending;
  /** In the records. */
  readonly path: string;
  readonly endMs: number;
  /** Ticket of the last call on the way to its end. */
  readonly lastCall: number | null;
}

export class Past {
  private readonly leaves = new Map<string, Ended>();
  private readonly failed = new Set<string>();
  /** When all that had ended was saved; null: never. */
  checkpointMs: number | null = null;

  note(path: string, ended: Ended): void {
    this.leaves.set(path, ended);
  }

  endOf(path: string): Ended | undefined {
    return this.leaves.get(path);
  }

  /** What ended later, or all for null, is lost. */
  forgetSince(sinceMs: number | null): void {
    for (const [path, { endMs }] of this.leaves)
      if (sinceMs === null || endMs > sinceMs) this.leaves.delete(path);
  }

  /** The failure that ended a life would come again: it is not remembered, and a tool's is drawn anew. */
  forgetFailure(path: string): void {
    this.leaves.delete(path);
    this.failed.add(path);
  }

  hasFailed(path: string): boolean {
    return this.failed.has(path);
  }
}
