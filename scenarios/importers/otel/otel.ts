// OpenTelemetry traces of agents: OTLP JSON (a document, or a line per export as the collector writes it) and
// inference-perf's flat dump, with GenAI, vLLM or OpenInference attributes. Spans come when they end, children first, so a
// session is made when no span of it came for half an hour of trace time, and at the end.
import type { RecordedSession } from '../../formats/recorded.ts';
import {
  countField,
  countNote,
  countUnreadable,
  type Importer,
  type Tally,
  type TraceText,
} from '../importer.ts';
import { BlockMinter } from '../parts/blocks.ts';
import { FileCache } from '../parts/hits.ts';
import { hasDocumentLines, parsedJson, Refusal } from '../parts/rows.ts';
import { countTextSession, TextBlocks } from '../parts/text-blocks.ts';
import { type Span, spanOf } from './attributes.ts';
import { type Batch, OpenBatches } from './batches.ts';
import { type SessionContext, sessionOf, spansBySession, tidy } from './session.ts';
import { earliestStartMs, type RawSpan, spansOf } from './spans.ts';

export const otel: Importer = {
  name: 'otel',
  doc: 'OpenTelemetry spans with GenAI, vLLM or OpenInference attributes: OTLP JSON or JSONL, or a flat dump.',
  detect: head =>
    /^\s*[[{]/m.test(head) &&
    (/"resourceSpans"\s*:/.test(head) || (/"spans"\s*:/.test(head) && /"(trace_id|span_id)"\s*:/.test(head))),
  epochMs,
  *read(text, tally) {
    const mint = new BlockMinter();
    const names = new TextBlocks(mint);
    const context: SessionContext = { source: text.file, blockScope: `otel/file:${text.name}`, mint, tally };
    const cache = new FileCache();
    const open = new OpenBatches(tally);
    // Spans count from the first one of the file.
    let zeroNs: bigint | null = null;

    for (const { value, where } of documentsOf(text, tally)) {
      const { spans, bad } = spansOf(value, where);
      for (const part of bad) countUnreadable(tally, part.where, part.why);
      for (const raw of spans) {
        zeroNs ??= raw.startNs;
        const span = readSpan(raw, { zeroNs, where, names }, tally);
        if (span === null) continue;
        open.add(span);
        for (const batch of open.idle()) yield* sessionsOf(batch, zeroNs);
      }
    }
    for (const batch of open.rest()) yield* sessionsOf(batch, zeroNs as bigint);

    function* sessionsOf({ spans }: Batch, fromNs: bigint): Generator<RecordedSession> {
      for (const [id, own] of spansBySession([...spans.values()])) {
        const made = sessionOf(id, own, context);
        if (made === null) continue;
        const { session, startMs } = made;
        session.arrivalMs = arrivalOf(fromNs, startMs);
        countField(tally, 'session', own.some(span => span.session !== null) ? 'recorded' : 'inferred');
        countField(tally, 'arrival', 'recorded');
        countTextSession(session, cache, tally);
        yield session;
      }
    }

    function arrivalOf(fromNs: bigint, startMs: number): number {
      // Microseconds since 1970 are whole numbers that a double holds.
      const fromMicros = Number(fromNs / 1000n);
      tally.epochMs ??= epochMs(text) ?? fromMicros / 1000;
      const arrivalMs = tidy((fromMicros - Math.round(tally.epochMs * 1000)) / 1000 + startMs);
      if (arrivalMs < 0) countNote(tally, 'earlyRows');
      return Math.max(0, arrivalMs);
    }
  },
};

/** Of lines, the head tells: they come about in the order of time. */
function epochMs(text: TraceText): number | null {
  return earliestStartMs(hasDocumentLines(text.head) ? text.head : text.whole());
}

function* documentsOf(text: TraceText, tally: Tally): Generator<{ value: unknown; where: string }> {
  if (hasDocumentLines(text.head)) {
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
  else
    for (const [index, part] of value.entries()) yield { value: part, where: `${where}, part ${index + 1}` };
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
