// OpenTelemetry traces of agents: OTLP JSON (a document, or a line per export as the collector writes it) and
// inference-perf's flat dump, with GenAI, vLLM or OpenInference attributes. Spans come when they end, children first, so a
// session is made when no span of it came for half an hour of trace time, and at the end.
import { BlockMinter } from './blocks.ts';
import { infiniteCacheHits } from './hits.ts';
import { countField, countNote, countSession, countUnreadable, type Importer, type Tally, type TraceText } from './importer.ts';
import { type Span, spanOf } from './otel-attributes.ts';
import { spanKey } from './otel-calls.ts';
import { type SessionContext, sessionOf, spansBySession, tidy } from './otel-session.ts';
import { type RawSpan, spansOf } from './otel-spans.ts';
import { parsedJson, Refusal } from './rows.ts';
import { TextBlocks } from './text-blocks.ts';
import type { RecordedSession } from '../formats/recorded.ts';

/** A conversation that pauses longer is read as two. */
const IDLE_MS = 30 * 60_000;

export const otel: Importer = {
  name: 'otel',
  doc: 'OpenTelemetry spans with GenAI, vLLM or OpenInference attributes: OTLP JSON or JSONL, or a flat dump.',
  detect: head =>
    /^\s*[[{]/.test(head) &&
    (/"resourceSpans"\s*:/.test(head) || (/"spans"\s*:/.test(head) && /"(trace_id|span_id)"\s*:/.test(head))),
  *read(text, tally) {
    const mint = new BlockMinter();
    const names = new TextBlocks(mint);
    const context: SessionContext = {
      source: text.file,
      blockScope: `otel/file:${text.name}`,
      mint,
      tally,
    };
    const open = new OpenBatches();
    const clock = new TraceClock(tally);
    const sessions = function* (batches: Iterable<Batch>): Generator<RecordedSession> {
      for (const { spans } of batches) {
        for (const [id, own] of spansBySession([...spans.values()])) {
          const made = sessionOf(id, own, context);
          if (made === null) continue;
          const { session, startMs } = made;
          session.arrivalMs = clock.arrivalMs(startMs);
          countField(tally, 'session', own.some(span => span.session !== null) ? 'recorded' : 'inferred');
          countField(tally, 'arrival', 'recorded');
          countSession(tally, session, infiniteCacheHits(session, session.calls));
          yield session;
        }
      }
    };
    for (const { value, where } of documentsOf(text, tally)) {
      const { spans, bad } = spansOf(value, where);
      for (const part of bad) countUnreadable(tally, part.where, part.why);
      for (const raw of spans) {
        const span = readSpan(raw, { zeroNs: clock.zeroNs(raw), where, names }, tally);
        if (span === null) continue;
        clock.see(span);
        if (!open.add(span)) countNote(tally, 'repeatedSpans');
        yield* sessions(open.idle());
      }
    }
    yield* sessions(open.rest());
  },
};

/** The documents in a text: lines of them, unless the first line is none and another follows. */
function* documentsOf(text: TraceText, tally: Tally): Generator<{ value: unknown; where: string }> {
  const [first = '', ...rest] = text.head.trimStart().split('\n', 2);
  if (rest.length === 0 || 'value' in parsedJson(first)) {
    for (const { text: line, number } of text.lines()) {
      const where = `${text.file}:${number}`;
      const parsed = parsedJson(line);
      if ('why' in parsed) countUnreadable(tally, where, parsed.why);
      else yield* listed(parsed.value, where);
    }
    return;
  }
  const parsed = parsedJson(text.whole());
  if ('why' in parsed) countUnreadable(tally, text.file, parsed.why);
  else yield* listed(parsed.value, text.file);
}

/** A list of documents is each of them. */
function* listed(value: unknown, where: string): Generator<{ value: unknown; where: string }> {
  if (!Array.isArray(value)) yield { value, where };
  else for (const [index, part] of value.entries()) yield { value: part, where: `${where}, part ${index + 1}` };
}

function readSpan(raw: RawSpan, on: Parameters<typeof spanOf>[1], tally: Tally): Span | null {
  try {
    return spanOf(raw, on);
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    countUnreadable(tally, `${on.where}, span ${raw.spanId}`, refusal.message);
    return null;
  }
}

/** The clock of a file: spans count from its first span, sessions from the trace's first call. */
class TraceClock {
  private readonly tally: Tally;
  private baseNs: bigint | null = null;
  private firstCallMs = Number.POSITIVE_INFINITY;

  constructor(tally: Tally) {
    this.tally = tally;
  }

  zeroNs({ startNs }: RawSpan): bigint {
    this.baseNs ??= startNs;
    return this.baseNs;
  }

  see({ call, startMs }: Span): void {
    if (call !== null) this.firstCallMs = Math.min(this.firstCallMs, startMs);
  }

  /** Time 0 is the earliest call read before the first session was made; what is earlier still arrives there. */
  arrivalMs(startMs: number): number {
    // Microseconds since 1970 are whole numbers that a double holds.
    const baseMs = Number(this.baseNs! / 1000n) / 1000;
    this.tally.epochMs ??= tidy(baseMs + this.firstCallMs);
    const arrivalMs = tidy(baseMs - this.tally.epochMs + startMs);
    if (arrivalMs < 0) countNote(this.tally, 'earlySessions');
    return Math.max(0, arrivalMs);
  }
}

/** Spans that belong together: of traces that share a session. */
interface Batch {
  /** By trace and span. */
  readonly spans: Map<string, Span>;
  readonly keys: Set<string>;
  /** The latest end in the file when a span of it last came. */
  touchedMs: number;
}

/** What is not complete yet, in the order in which it was last added to. */
class OpenBatches {
  private readonly byKey = new Map<string, Batch>();
  private readonly inOrder = new Set<Batch>();
  private nowMs = Number.NEGATIVE_INFINITY;

  /** Whether the span is new: exporters repeat what they are not sure has arrived. */
  add(span: Span): boolean {
    this.nowMs = Math.max(this.nowMs, span.endMs);
    const batch = this.batchOf(
      span.session === null ? [`trace ${span.traceId}`] : [`trace ${span.traceId}`, `session ${span.session}`],
    );
    const key = spanKey(span.traceId, span.spanId);
    if (batch.spans.has(key)) return false;
    batch.spans.set(key, span);
    return true;
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

  /** Takes out what no span came for in a while. */
  *idle(): Generator<Batch> {
    for (const batch of this.inOrder) {
      if (this.nowMs - batch.touchedMs <= IDLE_MS) return;
      yield this.close(batch);
    }
  }

  /** Takes out all that is left. */
  *rest(): Generator<Batch> {
    for (const batch of this.inOrder) yield this.close(batch);
  }

  private close(batch: Batch): Batch {
    this.inOrder.delete(batch);
    for (const key of batch.keys) this.byKey.delete(key);
    return batch;
  }
}
