// OpenTelemetry spans out of their two JSON envelopes: OTLP (resourceSpans, as SDKs and the collector's file exporter
// write it) and inference-perf's flat dump. Ids are opaque here; nanoseconds pass 2^53 and are read as BigInt.
import { utcMicros } from '../parts/clock.ts';
import { isObject, isText, type Json, Refusal, shown } from '../parts/rows.ts';

/** A span as it was recorded. */
export interface RawSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string | null;
  readonly name: string;
  readonly startNs: bigint;
  /** null: missing, or before the start. */
  readonly endNs: bigint | null;
  /** The side that served the request recorded it. */
  readonly isServer: boolean;
  readonly hasFailed: boolean;
  /** The instrumentation that wrote it. */
  readonly scope: string;
  readonly attributes: ReadonlyMap<string, unknown>;
}

/** A span that cannot be read, and why. */
export interface BadSpan {
  readonly where: string;
  readonly why: string;
}

const DEPTH_MAX = 64;

/** Plain JSON of an OTLP AnyValue. */
function plainValue(value: unknown, depth = 0): unknown {
  if (!isObject(value) || depth > DEPTH_MAX) return null;
  if ('stringValue' in value) return value.stringValue;
  if ('intValue' in value) return Number(value.intValue);
  if ('doubleValue' in value) return Number(value.doubleValue);
  if ('boolValue' in value) return value.boolValue;
  const { arrayValue, kvlistValue } = value;
  if (isObject(arrayValue) && Array.isArray(arrayValue.values))
    return arrayValue.values.map(item => plainValue(item, depth + 1));
  if (isObject(kvlistValue) && Array.isArray(kvlistValue.values))
    return Object.fromEntries(pairsOf(kvlistValue.values, depth + 1));
  return null;
}

function pairsOf(list: unknown, depth = 0): [string, unknown][] {
  if (!Array.isArray(list)) return [];
  return list.flatMap(pair =>
    isObject(pair) && isText(pair.key) ? [[pair.key, plainValue(pair.value, depth)]] : [],
  );
}

function idAt(row: Json, key: string): string | null {
  const value = row[key];
  if (value === undefined || value === null || value === '') return null;
  if (!isText(value)) throw new Refusal(`${key} is ${shown(value)}, not an id`);
  return value;
}

function givenId(row: Json, key: string): string {
  const id = idAt(row, key);
  if (id === null) throw new Refusal(`${key} is missing`);
  return id;
}

/** Nanoseconds since 1970; null where missing, which OTLP also writes as 0. */
function nanosAt(row: Json, key: string): bigint | null {
  const value = row[key];
  if (value === undefined || value === null || value === '') return null;
  const isWhole = isText(value)
    ? /^\d{1,20}$/.test(value)
    : Number.isInteger(value) && (value as number) >= 0;
  if (!isWhole) throw new Refusal(`${key} is ${shown(value)}, expected nanoseconds since 1970`);
  const nanos = BigInt(value as string | number);
  return nanos === 0n ? null : nanos;
}

/** Nanoseconds since 1970 of a time as text; one without a zone is UTC. */
function isoNanosAt(row: Json, key: string): bigint | null {
  const value = row[key];
  if (value === undefined || value === null) return null;
  const micros = isText(value) ? utcMicros(value) : null;
  if (micros === null)
    throw new Refusal(`${key} is ${shown(value)}, expected a time such as 2026-02-25T10:00:00.5`);
  return BigInt(micros) * 1000n;
}

function rawSpan(
  row: Json,
  given: Pick<RawSpan, 'traceId' | 'spanId' | 'parentId' | 'scope' | 'attributes'>,
  times: { startNs: bigint | null; endNs: bigint | null; startKey: string },
): RawSpan {
  const { startNs, endNs } = times;
  if (startNs === null) throw new Refusal(`${times.startKey} is missing`);
  const status = isObject(row.status) ? row.status.code : null;
  return {
    ...given,
    name: isText(row.name) ? row.name : '',
    startNs,
    endNs: endNs === null || endNs < startNs ? null : endNs,
    isServer: row.kind === 2 || row.kind === 'SPAN_KIND_SERVER',
    hasFailed: status === 2 || status === 'STATUS_CODE_ERROR' || status === 'ERROR',
  };
}

const scopeName = (scope: unknown): string => (isObject(scope) && isText(scope.name) ? scope.name : '');

function otlpSpan(row: Json, scope: string): RawSpan {
  return rawSpan(
    row,
    {
      traceId: givenId(row, 'traceId'),
      spanId: givenId(row, 'spanId'),
      parentId: idAt(row, 'parentSpanId'),
      scope,
      attributes: new Map(pairsOf(row.attributes)),
    },
    {
      startNs: nanosAt(row, 'startTimeUnixNano'),
      endNs: nanosAt(row, 'endTimeUnixNano'),
      startKey: 'startTimeUnixNano',
    },
  );
}

function flatSpan(row: Json, traceId: unknown): RawSpan {
  return rawSpan(
    row,
    {
      traceId: idAt(row, 'trace_id') ?? (isText(traceId) ? traceId : givenId(row, 'trace_id')),
      spanId: givenId(row, 'span_id'),
      parentId: idAt(row, 'parent_span_id'),
      scope: scopeName(row.scope),
      attributes: new Map(isObject(row.attributes) ? Object.entries(row.attributes) : []),
    },
    { startNs: isoNanosAt(row, 'start_time'), endNs: isoNanosAt(row, 'end_time'), startKey: 'start_time' },
  );
}

/** The earliest start that a text shows, Unix ms; the text may be cut off anywhere. */
export function earliestStartMs(text: string): number | null {
  let earliest = Number.POSITIVE_INFINITY;
  for (const [, nanos, time] of text.matchAll(
    /"(?:startTimeUnixNano"\s*:\s*"?(\d{10,})(?=[",}\s])|start_time"\s*:\s*"([^"]*)")/g,
  )) {
    const micros = nanos === undefined ? utcMicros(time as string) : Number(BigInt(nanos) / 1000n);
    if (micros !== null) earliest = Math.min(earliest, micros / 1000);
  }
  return Number.isFinite(earliest) ? earliest : null;
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);

/** The spans of one document or line, in the order of their ends; `where` names it. */
export function spansOf(value: unknown, where: string): { spans: RawSpan[]; bad: BadSpan[] } {
  const spans: RawSpan[] = [];
  const bad: BadSpan[] = [];
  const read = (row: unknown, make: (row: Json) => RawSpan): void => {
    const ordinal = spans.length + bad.length + 1;
    try {
      if (!isObject(row)) throw new Refusal(`is ${shown(row)}, not an object`);
      spans.push(make(row));
    } catch (refusal) {
      if (!(refusal instanceof Refusal)) throw refusal;
      bad.push({ where: `${where}, span ${ordinal}`, why: refusal.message });
    }
  };
  if (isObject(value) && Array.isArray(value.resourceSpans)) {
    for (const resource of value.resourceSpans) {
      for (const group of isObject(resource) ? listOf(resource.scopeSpans) : []) {
        if (!isObject(group)) continue;
        for (const row of listOf(group.spans)) read(row, span => otlpSpan(span, scopeName(group.scope)));
      }
    }
  } else if (isObject(value) && Array.isArray(value.spans)) {
    for (const row of value.spans) read(row, span => flatSpan(span, value.trace_id));
  } else {
    bad.push({ where, why: `is ${shown(value)}, with neither resourceSpans nor spans` });
  }
  const endOf = (span: RawSpan): bigint => span.endNs ?? span.startNs;
  spans.sort((a, b) => (endOf(a) < endOf(b) ? -1 : endOf(a) > endOf(b) ? 1 : 0));
  return { spans, bad };
}
