// The sandboxes of one runtime: started when a run needs one, or beforehand in a warm pool, and kept for one run or for
// a session. Nothing here waits: a start is an instant at which it is ready.
// Law: started = warm + used + kept + discarded.

import { Heap } from '../../scenarios/base/heap.ts';
import { NANOSECOND_MS } from '../../scenarios/base/instants.ts';
import { extendText, type Key, uniform } from '../../scenarios/base/key.ts';
import { drawAmount } from '../../scenarios/formats/amount.ts';
import type { ToolRuntimeSpec } from '../../scenarios/formats/rules.ts';
import { type InLine, Line } from './line.ts';

/** Of a pool; it may still be starting. */
interface Warm {
  readonly readyMs: number;
  readonly sequence: number;
}

/** A session's, between two runs. */
interface Kept extends InLine {
  readonly session: string;
  readonly sinceMs: number;
}

/** What a run got. */
export interface TakenSandbox {
  /** Until it is ready, ms; 0: it was. */
  readonly startMs: number;
  /** It was started for this run. */
  readonly isCold: boolean;
}

const READY: TakenSandbox = { startMs: 0, isCold: false };

export class Sandboxes {
  private readonly spec: ToolRuntimeSpec;
  private readonly pool = new Heap<Warm>(
    (a, b) => a.readyMs < b.readyMs || (a.readyMs === b.readyMs && a.sequence < b.sequence),
  );
  /** In order of the end of their last run, so that they idle out in this order too. */
  private readonly idle = new Line<Kept>();
  private readonly kept = new Map<string, Kept[]>();
  private keptMs = 0;
  private sequence = 0;
  started = 0;
  used = 0;
  discarded = 0;

  /** The warm pool is ready when a run starts. */
  constructor(spec: ToolRuntimeSpec) {
    this.spec = spec;
    if (spec.start !== null) for (let i = 0; i < spec.warmPool; i++) this.warm(0);
  }

  /** In the warm pool, ready or starting. */
  get warmed(): number {
    return this.pool.size;
  }

  /** Of sessions, between two runs. */
  get idling(): number {
    return this.idle.size;
  }

  /** Those that hold a place. */
  get placed(): number {
    return this.used + this.idle.size;
  }

  /** When the next kept one idles out; Infinity: none is kept. */
  get nextExpiryMs(): number {
    return (this.idle.first()?.sinceMs ?? Number.POSITIVE_INFINITY) + this.spec.idleMs;
  }

  /** Time that nobody ran on: of the warm pool, starts included, and of kept ones between runs. */
  idleMs(nowMs: number): number {
    return this.pool.size * nowMs + this.keptMs;
  }

  /** Does the session have one that is free? */
  hasFor(session: string): boolean {
    return this.kept.has(session);
  }

  /** `key`: of the run, from which starts are drawn. */
  take(session: string, key: Key, nowMs: number): TakenSandbox {
    this.used += 1;
    const own = this.kept.get(session)?.at(-1);
    if (own !== undefined) {
      this.unkeep(own, nowMs);
      return READY;
    }
    const { start } = this.spec;
    const first = this.pool.peek();
    if (first !== undefined && first.readyMs <= nowMs + NANOSECOND_MS && start !== null) {
      this.pool.pop();
      this.warm(nowMs + drawAmount(start, uniform(extendText(key, 'refill')), false));
      return READY;
    }
    this.started += 1;
    if (start === null) return READY;
    return { startMs: drawAmount(start, uniform(extendText(key, 'start')), false), isCold: true };
  }

  /** A run is over. `keeps`: its session may use it again. */
  release(session: string, keeps: boolean, nowMs: number): void {
    this.used -= 1;
    if (!keeps || this.spec.keep === 'call') {
      this.discarded += 1;
      return;
    }
    const kept: Kept = { session, sinceMs: nowMs, waits: true };
    this.idle.join(kept);
    const own = this.kept.get(session);
    if (own === undefined) this.kept.set(session, [kept]);
    else own.push(kept);
  }

  /** Drops what has idled for too long. */
  expire(nowMs: number): void {
    for (let first = this.idle.first(); first !== undefined; first = this.idle.first()) {
      const endMs = first.sinceMs + this.spec.idleMs;
      if (endMs > nowMs + NANOSECOND_MS) return;
      this.unkeep(first, endMs);
      this.discarded += 1;
    }
  }

  sessionEnded(session: string, nowMs: number): void {
    for (const kept of [...(this.kept.get(session) ?? [])]) {
      this.unkeep(kept, nowMs);
      this.discarded += 1;
    }
  }

  private unkeep(kept: Kept, nowMs: number): void {
    this.idle.leave(kept);
    this.keptMs += nowMs - kept.sinceMs;
    const own = this.kept.get(kept.session)!;
    own.splice(own.indexOf(kept), 1);
    if (own.length === 0) this.kept.delete(kept.session);
  }

  private warm(readyMs: number): void {
    this.started += 1;
    this.pool.push({ readyMs, sequence: this.sequence++ });
  }
}
