// OTLP's JSON: hex ids, 64-bit numbers as text, enums as numbers.
// https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding

export type AttributeValue = string | number | boolean | readonly string[];
/** Attributes that are null are left out. */
export type Attributes = Readonly<Record<string, AttributeValue | null>>;

/** 1: inside of a process; 3: a client's side of a request. */
export type SpanKind = 1 | 3;

export interface SpanEvent {
  readonly name: string;
  readonly atMs: number;
  readonly attributes: Attributes;
}

/** A span; times in ms of the run. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  /** null: the root. */
  readonly parentId: string | null;
  readonly name: string;
  readonly kind: SpanKind;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  readonly events: readonly SpanEvent[];
  /** A reason code; null: it went well. */
  readonly error: string | null;
}

function anyValue(value: AttributeValue): object {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number')
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  return { arrayValue: { values: value.map(anyValue) } };
}

export const keyValues = (attributes: Attributes): object[] =>
  Object.entries(attributes).flatMap(([key, value]) =>
    value === null ? [] : [{ key, value: anyValue(value) }],
  );

/** What SDKs keep of a span's events by default. */
const EVENTS_MAX = 128;

/** The span as JSON. `zeroNanos`: time 0 of the run since 1970. */
export function spanJson(span: Span, zeroNanos: bigint): string {
  const nanos = (ms: number): string => String(zeroNanos + BigInt(Math.round(ms * 1e6)));
  const { traceId, spanId, parentId, name, kind, startMs, endMs, attributes, events, error } = span;
  const dropped = events.length - EVENTS_MAX;
  return JSON.stringify({
    traceId,
    spanId,
    ...(parentId === null ? {} : { parentSpanId: parentId }),
    name,
    kind,
    startTimeUnixNano: nanos(startMs),
    endTimeUnixNano: nanos(Math.max(startMs, endMs)),
    attributes: keyValues(error === null ? attributes : { ...attributes, 'error.type': error }),
    ...(events.length === 0
      ? {}
      : {
          events: events.slice(0, EVENTS_MAX).map(event => ({
            timeUnixNano: nanos(event.atMs),
            name: event.name,
            attributes: keyValues(event.attributes),
          })),
        }),
    ...(dropped > 0 ? { droppedEventsCount: dropped } : {}),
    status: error === null ? {} : { code: 2, message: error },
  });
}
