// Spans that still wait for others of their session, in memory that does not grow with the trace: what no span came to
// for half an hour of trace time is complete.
import { countNote, type Tally } from '../importer.ts';
import type { Span } from './attributes.ts';
import { spanKey } from './calls.ts';

/** A conversation that pauses longer is read as two. */
const IDLE_MS = 30 * 60_000;
/** Blocks and messages held; beyond, the batch that waits longest is closed. About 200 MB. */
const HELD_MAX = 1 << 24;
/** What a span weighs besides its content. */
const SPAN_WEIGHT = 64;

/** Spans that belong together: of traces that share a session. */
export interface Batch {
  /** By trace and span. */
  readonly spans: Map<string, Span>;
  readonly keys: Set<string>;
  /** The latest end in the file when a span of it last came. */
  touchedMs: number;
}

function weightOf({ call }: Span): number {
  const prompt = call?.prompt ?? null;
  return SPAN_WEIGHT + (prompt === null ? 0 : prompt.blocks.length + prompt.messages.length * 8);
}

/** What is not complete yet, in the order in which it was last added to. */
export class OpenBatches {
  private readonly byKey = new Map<string, Batch>();
  private readonly inOrder = new Set<Batch>();
  private readonly tally: Tally;
  private nowMs = Number.NEGATIVE_INFINITY;
  private held = 0;

  constructor(tally: Tally) {
    this.tally = tally;
  }

  add(span: Span): void {
    const { traceId, session } = span;
    this.nowMs = Math.max(this.nowMs, span.endMs);
    const batch = this.batchOf([`trace ${traceId}`, ...(session === null ? [] : [`session ${session}`])]);
    const key = spanKey(traceId, span.spanId);
    // Exporters send again what they are not sure has arrived.
    if (batch.spans.has(key)) countNote(this.tally, 'repeatedSpans');
    else {
      batch.spans.set(key, span);
      this.held += weightOf(span);
    }
  }

  /** The one batch that has these keys, put together from several where needed. */
  private batchOf(keys: readonly string[]): Batch {
    const found = new Set(keys.flatMap(key => this.byKey.get(key) ?? []));
    const [batch = { spans: new Map(), keys: new Set(), touchedMs: 0 }, ...others] = [...found].toSorted(
      (a, b) => b.spans.size - a.spans.size,
    );
    for (const other of others) {
      for (const [key, span] of other.spans) batch.spans.set(key, span);
      for (const key of other.keys) this.claim(batch, key);
      this.inOrder.delete(other);
    }
    for (const key of keys) this.claim(batch, key);
    batch.touchedMs = this.nowMs;
    this.inOrder.delete(batch);
    this.inOrder.add(batch);
    return batch;
  }

  private claim(batch: Batch, key: string): void {
    batch.keys.add(key);
    this.byKey.set(key, batch);
  }

  /** Takes out what no span came to in a while, and where too much is held what waits longest. */
  *idle(): Generator<Batch> {
    for (const batch of this.inOrder) {
      const isIdle = this.nowMs - batch.touchedMs > IDLE_MS;
      const isTooMuch = this.held > HELD_MAX && this.inOrder.size > 1;
      if (!isIdle && !isTooMuch) return;
      yield this.close(batch);
    }
  }

  /** Takes out the others, at the end of the file. */
  *rest(): Generator<Batch> {
    for (const batch of this.inOrder) yield this.close(batch);
  }

  private close(batch: Batch): Batch {
    this.inOrder.delete(batch);
    for (const key of batch.keys) this.byKey.delete(key);
    for (const span of batch.spans.values()) this.held -= weightOf(span);
    return batch;
  }
}
