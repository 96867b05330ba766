// The calls among the spans of a session. A call may be told several times: by the framework, the client and the server,
// each inside the other; those are one call. Agents and workflows repeat the usage of their calls and are none.
import type { CallFacts, Span } from './attributes.ts';

/** A span's place in its trace. */
export class SpanTree {
  private readonly byId: ReadonlyMap<string, Span>;

  constructor(spans: readonly Span[]) {
    this.byId = new Map(spans.map(span => [spanKey(span.traceId, span.spanId), span]));
  }

  parentOf(span: Span): Span | null {
    if (span.parentId === null) return null;
    return this.byId.get(spanKey(span.traceId, span.parentId)) ?? null;
  }

  /** Parents upwards, as many as a sound trace has at most: a broken one may turn in a circle. */
  *above(span: Span): Generator<Span> {
    let up = this.parentOf(span);
    for (let step = 0; up !== null && step < DEPTH_MAX; step += 1) {
      yield up;
      up = this.parentOf(up);
    }
  }

  nearest(span: Span, kind: Span['kind']): Span | null {
    for (const up of this.above(span)) if (up.kind === kind) return up;
    return null;
  }
}

const DEPTH_MAX = 1000;

export const spanKey = (traceId: string, spanId: string): string => `${traceId}/${spanId}`;

/** A call with all that its spans say. */
export interface ToldCall {
  /** The outermost span: the client's side. */
  readonly span: Span;
  readonly facts: CallFacts;
}

export interface Told {
  readonly calls: ToldCall[];
  /** Of a call that its span names as parent though it had ended before: conversations are chained so. */
  readonly after: ReadonlyMap<Span, Span>;
  /** Spans that went into the call of another, or hold several calls. */
  readonly merged: number;
  /** Server spans whose client is not in the file. */
  readonly loneServers: number;
  /** Spans of calls inside each other without end. */
  readonly circular: Span[];
}

/** Routers and retries nest calls two or three deep. */
const NESTED_MAX = 100;

/** One call per span that is told once. Of a span around several calls (a router, a retry) only those inside count. */
export function toldCalls(spans: readonly Span[], tree: SpanTree): Told {
  // 1. Which call is told inside which, and which came after which.
  const inside = new Map<Span, Span[]>();
  const after = new Map<Span, Span>();
  const outermost: Span[] = [];
  let loneServers = 0;
  for (const span of spans) {
    if (span.call === null) continue;
    const around = tree.nearest(span, 'call');
    // A server's clock may be ahead, so that its span seems to come later.
    if (around !== null && (span.call.isServer || span.startMs < around.endMs)) {
      const list = inside.get(around);
      if (list === undefined) inside.set(around, [span]);
      else list.push(span);
      continue;
    }
    outermost.push(span);
    if (around !== null) after.set(span, around);
    else if (span.call.isServer && span.parentId !== null && tree.parentOf(span) === null) loneServers += 1;
  }

  // 2. From the outside in.
  const told = new Set<Span>();
  const leaves = (span: Span, depth: number): ToldCall[] => {
    told.add(span);
    const inner = depth < NESTED_MAX ? (inside.get(span) ?? []).flatMap(each => leaves(each, depth + 1)) : [];
    if (inner.length > 1) return inner;
    const facts = span.call as CallFacts;
    const [only] = inner;
    return [{ span, facts: only === undefined ? facts : filled(facts, only.facts) }];
  };
  const calls = outermost.flatMap(span => leaves(span, 0));
  const circular = spans.filter(span => span.call !== null && !told.has(span));
  return { calls, after, merged: told.size - calls.length, loneServers, circular };
}

/** What the outer span leaves open, as the inner one says. */
function filled(outer: CallFacts, inner: CallFacts): CallFacts {
  const counted = outer.inputTokens === null ? inner : outer;
  return {
    model: outer.model ?? inner.model,
    countedBy: counted.countedBy,
    isServer: outer.isServer,
    inputTokens: counted.inputTokens,
    outputTokens: outer.outputTokens ?? inner.outputTokens,
    reasoningTokens: outer.reasoningTokens ?? inner.reasoningTokens,
    cacheReadTokens: counted.cacheReadTokens ?? inner.cacheReadTokens,
    cacheWriteTokens: counted.cacheWriteTokens ?? inner.cacheWriteTokens,
    ttftMs: outer.ttftMs ?? inner.ttftMs,
    error: outer.error ?? inner.error,
    wantsTool: outer.wantsTool || inner.wantsTool,
    prompt: outer.prompt ?? inner.prompt,
    output: outer.output ?? inner.output,
  };
}
