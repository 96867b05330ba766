// OpenTelemetry spans for tests: what a test is about, in OTLP JSON.

/** 2025-11-21T02:00:00Z in nanoseconds: past 2^53. */
const ZERO_NS = 1_763_690_400_000_000_000n;

export interface SpanSketch {
  id: string;
  parent?: string;
  trace?: string;
  /** Seconds from the first instant of the test. */
  from: number;
  to: number;
  /** 3 is a client, 2 a server. */
  kind?: number;
  failed?: boolean;
  scope?: string;
  attributes?: Record<string, unknown>;
}

function anyValue(value: unknown): unknown {
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'number')
    return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
  if (Array.isArray(value)) return { arrayValue: { values: value.map(anyValue) } };
  return {
    kvlistValue: {
      values: Object.entries(value as object).map(([key, inner]) => ({ key, value: anyValue(inner) })),
    },
  };
}

const nanos = (seconds: number): string => String(ZERO_NS + BigInt(Math.round(seconds * 1e9)));

/** One export of the collector: a document, or a line of its file. */
export const otlp = (spans: readonly SpanSketch[]) => ({
  resourceSpans: [
    {
      resource: { attributes: [] },
      scopeSpans: spans.map(({ id, parent, trace, from, to, kind, failed, scope, attributes }) => ({
        scope: { name: scope ?? 'test' },
        spans: [
          {
            traceId: trace ?? 't1',
            spanId: id,
            ...(parent === undefined ? {} : { parentSpanId: parent }),
            name: id,
            kind: kind ?? 3,
            startTimeUnixNano: nanos(from),
            endTimeUnixNano: nanos(to),
            attributes: Object.entries(attributes ?? {}).map(([key, value]) => ({
              key,
              value: anyValue(value),
            })),
            status: failed === true ? { code: 2 } : {},
          },
        ],
      })),
    },
  ],
});

type Sketch = Omit<SpanSketch, 'attributes'> & Record<string, unknown>;
const FIELDS = ['id', 'parent', 'trace', 'from', 'to', 'kind', 'failed', 'scope'];

function sketch(given: Sketch, attributes: Record<string, unknown>): SpanSketch {
  const fields = Object.entries(given);
  return {
    ...(Object.fromEntries(fields.filter(([key]) => FIELDS.includes(key))) as unknown as SpanSketch),
    attributes: { ...attributes, ...Object.fromEntries(fields.filter(([key]) => !FIELDS.includes(key))) },
  };
}

/** A chat call; further keys are attributes. */
export const chat = (given: Sketch): SpanSketch =>
  sketch(given, {
    'gen_ai.operation.name': 'chat',
    'gen_ai.request.model': 'small',
    'gen_ai.usage.input_tokens': 320,
    'gen_ai.usage.output_tokens': 16,
  });

/** A chat call that says what was said, and counts nothing. */
export const spoken = (given: Sketch & { input: unknown; output: unknown }): SpanSketch => {
  const { input, output, ...rest } = given;
  return sketch(rest as Sketch, {
    'gen_ai.operation.name': 'chat',
    'gen_ai.input.messages': typeof input === 'string' ? input : JSON.stringify(input),
    ...(typeof output === 'string' ? { 'gen_ai.output.text': output } : { 'gen_ai.output.messages': output }),
  });
};

export const agent = (given: Sketch & { name: string }): SpanSketch => {
  const { name, ...rest } = given;
  return sketch(rest as Sketch, { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': name });
};

export const tool = (given: Sketch & { name: string }): SpanSketch => {
  const { name, ...rest } = given;
  return sketch(rest as Sketch, { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': name });
};
