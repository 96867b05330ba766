// One session as one trace: the workflow at the root, loops and branches inside of it, and in these the calls, tools and
// waits, with what policies decided, what was tried again, and what it cost. Names are those of OpenTelemetry's GenAI
// conventions (gen_ai.*, error.type); what they have no name for is windtunnel.*.
import { extendText, type Key, keyText } from '../../scenarios/base/key.ts';
import { NANOS_PER_USD } from '../../scenarios/formats/ledger.ts';
import type {
  AttemptRecord,
  CallRecord,
  CancelRecord,
  DecisionRecord,
  NodeRecord,
  ToolRecord,
  WorkflowRecord,
} from '../../scenarios/formats/record.ts';
import { containersOf, type Placed, parentOf } from './containers.ts';
import type { Attributes, Span, SpanEvent, SpanKind } from './otlp.ts';

/** A record and what it cost, nano-dollars; null: nobody knows. */
export interface Priced<Record> {
  readonly record: Record;
  readonly nanos: number | null;
}

/** Everything of one session. */
export interface SessionStory {
  readonly workflow: WorkflowRecord;
  readonly calls: readonly Priced<CallRecord>[];
  readonly nodes: readonly NodeRecord[];
  readonly attempts: readonly Priced<AttemptRecord>[];
  readonly tools: readonly Priced<ToolRecord>[];
  readonly decisions: readonly DecisionRecord[];
  readonly cancels: readonly CancelRecord[];
}

/** Parts of a prompt that are no prefix segments. */
const UNSTABLE_PARTS = ['history', 'reads', 'input'];

const usd = (nanos: number | null): number | null => (nanos === null ? null : nanos / NANOS_PER_USD);

function sumNanos(priced: readonly Priced<unknown>[]): number | null {
  const known = priced.filter(({ nanos }) => nanos !== null);
  return known.length === 0 ? null : known.reduce((sum, { nanos }) => sum + (nanos ?? 0), 0);
}

/** Spans of one trace: ids hashed from the run's seed, the session and the place of the span in it. */
class Trace {
  readonly spans: Span[] = [];
  readonly rootId: string;
  private readonly key: Key;
  private readonly traceId: string;
  private readonly session: string;

  constructor(runKey: Key, session: string) {
    this.key = extendText(runKey, `session ${session}`);
    this.session = session;
    this.traceId = keyText(extendText(this.key, 'trace')) + keyText(extendText(this.key, 'trace, 2nd half'));
    this.rootId = this.idOf('');
  }

  idOf(place: string): string {
    return keyText(extendText(this.key, `span ${place}`));
  }

  /** Of what steps are inside of: a step may have the same path, and its own compaction inside. */
  containerId(path: string): string {
    return this.idOf(`${path}/`);
  }

  add(span: {
    id: string;
    parentId: string | null;
    name: string;
    kind?: SpanKind;
    startMs: number;
    endMs: number;
    attributes: Attributes;
    events?: readonly SpanEvent[];
    error?: string | null;
  }): void {
    const { id, kind = 1, attributes, events = [], error = null, ...rest } = span;
    this.spans.push({
      ...rest,
      traceId: this.traceId,
      spanId: id,
      kind,
      attributes: { ...attributes, 'gen_ai.conversation.id': this.session },
      events,
      error,
    });
  }
}

const decisionEvent = ({ atMs, policy, decision, why }: DecisionRecord): SpanEvent => ({
  name: `windtunnel.${policy}`,
  atMs,
  attributes: { 'windtunnel.decision': decision, 'windtunnel.why': why },
});

/**
 *   root ─▶ containers ─▶ calls, each with its attempts ─▶ tools, each with its runs ─▶ waits ─▶ clean-up
 *
 * `nowMs`: the end of the run, where something had not ended.
 */
export function sessionSpans(runKey: Key, story: SessionStory, nowMs: number): Span[] {
  const { workflow, calls } = story;
  const trace = new Trace(runKey, workflow.session);
  const others = story.nodes.filter(({ kind, status }) => kind !== 'llm' && status !== 'skipped');
  const endOf = (call: CallRecord): number => call.endMs ?? nowMs;

  // 1. Where everything is.
  const containers = containersOf(placesOf(story, nowMs));
  const parentId = (path: string): string =>
    parentOf(path) === '' ? trace.rootId : trace.containerId(parentOf(path));
  const decisions = Map.groupBy(story.decisions, ({ call }) => call);
  const eventsOf = (path: string | null) => (decisions.get(path) ?? []).map(decisionEvent);

  // 2. The workflow, and what its steps are inside of.
  addRoot(trace, story, eventsOf(null), nowMs);
  for (const { path, name, isLane, startMs, endMs } of containers)
    trace.add({
      id: trace.containerId(path),
      parentId: parentId(path),
      name: isLane ? `invoke_agent ${name}` : path.slice(path.lastIndexOf('/') + 1),
      startMs,
      endMs,
      attributes: isLane
        ? { 'gen_ai.operation.name': 'invoke_agent', 'gen_ai.agent.name': name, 'windtunnel.path': path }
        : { 'windtunnel.path': path },
    });

  // 3. Its calls, tools and waits. What was restarted has a path twice.
  const attempts = Map.groupBy(story.attempts, ({ record }) => record.call);
  for (const [path, again] of Map.groupBy(calls, ({ record }) => record.call))
    for (const [n, call] of again.entries()) {
      const untilMs = again[n + 1]?.record.plannedMs ?? Number.POSITIVE_INFINITY;
      const own = (attempts.get(path) ?? []).filter(
        ({ record: { wantedMs } }) => wantedMs < untilMs && (n === 0 || wantedMs >= call.record.plannedMs),
      );
      const at = { id: trace.idOf(n === 0 ? path : `${path} ${n}`), parentId: parentId(path) };
      addCall(
        trace,
        at,
        { call, attempts: own, events: n === 0 ? eventsOf(path) : [] },
        endOf(call.record),
        nowMs,
      );
    }
  const runs = Map.groupBy(story.tools, ({ record }) => record.call);
  for (const [path, again] of Map.groupBy(others, ({ call }) => call))
    for (const [n, node] of again.entries()) {
      const at = { id: trace.idOf(n === 0 ? path : `${path} ${n}`), parentId: parentId(path) };
      const own = (runs.get(path) ?? []).filter(
        ({ record: { askedMs } }) => askedMs >= node.startMs && askedMs <= node.endMs,
      );
      if (node.kind === 'tool') addTool(trace, at, node, own, n === 0 ? eventsOf(path) : []);
      else
        trace.add({
          ...at,
          name: `${node.kind} ${node.step}`,
          startMs: node.startMs,
          endMs: node.endMs,
          attributes: { 'windtunnel.path': path, 'windtunnel.step': node.step },
        });
    }

  // 4. What was left to do after an end before its time.
  for (const { reason, atMs, cleanMs, calls: aborted, tools, tokensAfter } of story.cancels)
    trace.add({
      id: trace.idOf('/clean-up'),
      parentId: trace.rootId,
      name: 'clean up',
      startMs: atMs,
      endMs: cleanMs,
      attributes: {
        'windtunnel.cancel.reason': reason,
        'windtunnel.cancel.calls': aborted,
        'windtunnel.cancel.tools': tools,
        'windtunnel.cancel.output_tokens_after': tokensAfter,
      },
    });
  return trace.spans;
}

/**
 * Steps by when their workflow waited for them. One that it gave up may still end on its server later, when what comes
 * after it has begun.
 */
function placesOf({ nodes, calls }: SessionStory, nowMs: number): Placed[] {
  const ran = nodes.filter(({ status }) => status !== 'skipped');
  const ended = new Set(ran.map(({ call }) => call));
  const open = calls.filter(({ record }) => !ended.has(record.call));
  return [
    ...ran.map(({ call, startMs, endMs }) => ({ path: call, startMs, endMs })),
    ...open.map(({ record }) => ({
      path: record.call,
      startMs: record.plannedMs,
      endMs: record.endMs ?? nowMs,
    })),
  ];
}

interface At {
  readonly id: string;
  readonly parentId: string;
}

function addRoot(trace: Trace, story: SessionStory, decided: readonly SpanEvent[], nowMs: number): void {
  const { workflow, calls, attempts, tools, cancels } = story;
  const requests = attempts.length > 0 ? attempts : calls;
  const byStep = Map.groupBy<string, Priced<{ step: string }>>(
    [...requests, ...tools],
    ({ record }) => record.step,
  );
  const cancelled = cancels.map(({ reason, atMs }) => ({
    name: 'windtunnel.cancelled',
    atMs,
    attributes: { 'windtunnel.cancel.reason': reason },
  }));
  trace.add({
    id: trace.rootId,
    parentId: null,
    name: `invoke_workflow ${workflow.workflow}`,
    startMs: workflow.plannedMs,
    endMs: Math.max(workflow.endMs ?? nowMs, ...cancels.map(({ cleanMs }) => cleanMs)),
    attributes: {
      'gen_ai.operation.name': 'invoke_workflow',
      'gen_ai.workflow.name': workflow.workflow,
      'user.id': workflow.user,
      'windtunnel.tenant': workflow.tenant,
      'windtunnel.cohort': workflow.cohort,
      'windtunnel.status': workflow.status,
      'windtunnel.calls': workflow.calls,
      'windtunnel.tool_calls': workflow.toolCalls,
      'windtunnel.input_tokens': workflow.promptTokens,
      'windtunnel.cached_tokens': workflow.cachedTokens,
      'windtunnel.output_tokens': workflow.outputTokens,
      'windtunnel.cost.usd': usd(sumNanos([...requests, ...tools])),
      ...Object.fromEntries(
        [...byStep].map(([step, own]) => [`windtunnel.cost.usd.${step}`, usd(sumNanos(own))]),
      ),
    },
    events: [...decided, ...cancelled].sort((a, b) => a.atMs - b.atMs),
    error: workflow.status === 'completed' ? null : (workflow.error ?? workflow.status),
  });
}

/** Of a prompt found in the cache from the left, the tokens that lie in its prefix segments. */
function retainedTokens({ cachedTokens, parts }: CallRecord): number | null {
  if (cachedTokens === null) return null;
  let left = cachedTokens;
  let retained = 0;
  for (const { segment, tokens } of parts) {
    const found = Math.min(left, tokens);
    if (!UNSTABLE_PARTS.includes(segment)) retained += found;
    left -= found;
  }
  return retained;
}

const prefixTokens = ({ parts }: CallRecord): number =>
  parts.reduce((sum, { segment, tokens }) => sum + (UNSTABLE_PARTS.includes(segment) ? 0 : tokens), 0);

const between = (fromMs: number | null, toMs: number | null): number | null =>
  fromMs === null || toMs === null ? null : toMs - fromMs;

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000);

const errorOf = ({ outcome, error }: CallRecord | AttemptRecord): string | null =>
  outcome === 'ok' ? null : (error ?? outcome);

function addCall(
  trace: Trace,
  at: At,
  of: {
    call: Priced<CallRecord>;
    attempts: readonly Priced<AttemptRecord>[];
    events: readonly SpanEvent[];
  },
  endMs: number,
  nowMs: number,
): void {
  const { record: call, nanos } = of.call;
  trace.add({
    ...at,
    name: `chat ${call.model}`,
    kind: 3,
    startMs: call.plannedMs,
    endMs,
    attributes: {
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': call.pool,
      'gen_ai.request.model': call.model,
      'gen_ai.request.stream': true,
      'gen_ai.usage.input_tokens': call.promptTokens,
      'gen_ai.usage.output_tokens': call.outputTokens,
      'gen_ai.usage.reasoning.output_tokens': call.reasoningTokens > 0 ? call.reasoningTokens : null,
      'gen_ai.usage.cache_read.input_tokens': call.cachedTokens,
      'gen_ai.response.time_to_first_chunk': seconds(between(call.plannedMs, call.firstTokenMs)),
      'windtunnel.path': call.call,
      'windtunnel.step': call.step,
      'windtunnel.role': call.role,
      'windtunnel.replica': call.replica,
      'windtunnel.queue_ms': between(call.sentMs, call.scheduledMs),
      'windtunnel.prefix.tokens': prefixTokens(call),
      'windtunnel.prefix.retained_tokens': retainedTokens(call),
      'windtunnel.attempts': call.attempts,
      'windtunnel.cost.usd': usd(of.attempts.length > 0 ? sumNanos(of.attempts) : nanos),
    },
    events: of.events,
    error: errorOf(call),
  });
  // One that went well at once is the call itself.
  const [only, another] = of.attempts;
  if (only !== undefined && another === undefined && only.record.outcome === 'ok') return;
  for (const { record: attempt, nanos: spent } of of.attempts)
    trace.add({
      id: trace.idOf(`${at.id} attempt ${attempt.attempt}`),
      parentId: at.id,
      name: `${attempt.kind === 'first' ? 'attempt' : attempt.kind} ${attempt.target}`,
      kind: 3,
      startMs: attempt.sentMs ?? attempt.wantedMs,
      endMs: attempt.endMs ?? nowMs,
      // Its usage has names of its own: the call's is not to be counted twice.
      attributes: {
        'gen_ai.operation.name': 'windtunnel.attempt',
        'gen_ai.provider.name': attempt.target,
        'windtunnel.attempt': attempt.attempt,
        'windtunnel.attempt.kind': attempt.kind,
        'windtunnel.attempt.because': attempt.because,
        'windtunnel.attempt.input_tokens': attempt.promptTokens,
        'windtunnel.attempt.cached_tokens': attempt.cachedTokens,
        'windtunnel.attempt.output_tokens': attempt.outputTokens,
        'windtunnel.replica': attempt.replica,
        'windtunnel.reason': attempt.reason,
        'windtunnel.waste': attempt.waste,
        'windtunnel.cost.usd': usd(spent),
      },
      events:
        attempt.cancelledMs === null
          ? []
          : [
              {
                name: 'windtunnel.given_up',
                atMs: attempt.cancelledMs,
                attributes: { 'windtunnel.attempt.output_tokens': attempt.cancelledTokens ?? 0 },
              },
            ],
      error: errorOf(attempt),
    });
}

function addTool(
  trace: Trace,
  at: At,
  node: NodeRecord,
  runs: readonly Priced<ToolRecord>[],
  events: readonly SpanEvent[],
): void {
  const [first] = runs;
  const tool = first?.record.tool ?? node.step;
  const ofRun = ({ record, nanos }: Priced<ToolRecord>): Attributes => ({
    'windtunnel.tool.runtime': record.runtime,
    'windtunnel.tool.queue_ms': record.queueMs,
    'windtunnel.tool.cold_start_ms': record.coldStartMs,
    'windtunnel.tool.consent_ms': record.consentMs,
    'windtunnel.tool.repeats_side_effect': record.isDoubled,
    'windtunnel.waste': record.waste,
    'windtunnel.cost.usd': usd(nanos),
  });
  trace.add({
    ...at,
    name: `execute_tool ${tool}`,
    startMs: node.startMs,
    endMs: node.endMs,
    attributes: {
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': tool,
      'windtunnel.path': node.call,
      'windtunnel.step': node.step,
      'windtunnel.role': node.role,
      ...(first !== undefined && runs.length === 1 ? ofRun(first) : {}),
    },
    events,
    error: node.status === 'completed' ? null : (runs.at(-1)?.record.error ?? node.status),
  });
  if (runs.length < 2) return;
  for (const run of runs)
    trace.add({
      id: trace.idOf(`${at.id} run ${run.record.attempt}`),
      parentId: at.id,
      name: `run ${run.record.attempt}`,
      startMs: run.record.startMs ?? run.record.askedMs,
      endMs: run.record.endMs,
      attributes: { 'gen_ai.operation.name': 'windtunnel.run', ...ofRun(run) },
      error: run.record.outcome === 'ok' ? null : (run.record.error ?? run.record.outcome),
    });
}
