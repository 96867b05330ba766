// spans.otlp.json: valid OTLP, the same ids for the same seed, every call and decision in its place, and read back by our
// own importer as the graph that ran.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ledgerOf } from '../../gateway/ledger/ledger.ts';
import { type SpanOptions, spansJson } from '../../reports/governed/spans.ts';
import type { CallRecord, NodeRecord } from '../../scenarios/formats/record.ts';
import type { RecordedCall } from '../../scenarios/formats/recorded.ts';
import type { RunOutput } from '../../scenarios/formats/run.ts';
import { otel } from '../../scenarios/importers/otel/otel.ts';
import { anAgentRun } from '../builders/agents.ts';
import {
  aCall,
  aHeader,
  aNode,
  anAttempt,
  aRun,
  aSpan,
  aTool,
  aWorkflow,
  theGoverned,
} from '../builders/records.ts';
import { planOf, randomSteps, workflowText } from '../builders/scenarios.ts';
import { importText } from '../builders/traces.ts';
import { simulated } from '../builders/worlds.ts';

interface Json {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Record<string, unknown> }[];
  events?: { name: string; timeUnixNano: string; attributes: Json['attributes'] }[];
  status: { code?: number; message?: string };
}

const textOf = (run: RunOutput, options?: SpanOptions): string => [...spansJson(run, options)].join('');

function read(run: RunOutput, options?: SpanOptions): { resource: Json['attributes']; spans: Json[] } {
  const file = JSON.parse(textOf(run, options));
  expect(Object.keys(file)).toEqual(['resourceSpans']);
  const [{ resource, scopeSpans }] = file.resourceSpans;
  return { resource: resource.attributes, spans: scopeSpans[0].spans };
}

const said = (attributes: Json['attributes']): Record<string, unknown> =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [
      key,
      'intValue' in value ? Number(value.intValue) : Object.values(value)[0],
    ]),
  );

describe('the file', () => {
  const run = anAgentRun({ workflows: 30 });
  const { spans, resource } = read(run);

  test('is OTLP JSON: hex ids of 16 and 8 bytes, nanoseconds as text, one root a trace, parents that are there', () => {
    const ids = new Set(spans.map(({ traceId, spanId }) => `${traceId}/${spanId}`));
    expect(ids.size).toBe(spans.length);
    for (const span of spans) {
      expect(span.traceId).toMatch(/^[0-9a-f]{32}$/);
      expect(span.spanId).toMatch(/^[0-9a-f]{16}$/);
      expect(span.startTimeUnixNano).toMatch(/^\d{19}$/);
      expect(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano)).toBe(true);
      if (span.parentSpanId !== undefined) expect(ids).toContain(`${span.traceId}/${span.parentSpanId}`);
      for (const { value } of span.attributes) expect(Object.keys(value)).toHaveLength(1);
    }
    const roots = spans.filter(({ parentSpanId }) => parentSpanId === undefined);
    expect(roots).toHaveLength(30);
    expect(new Set(roots.map(({ traceId }) => traceId)).size).toBe(30);
    for (const { name } of roots) expect(name).toMatch(/^invoke_workflow \w+$/);
  });

  test('has the workflow id on every span, and each call with its tokens once', () => {
    for (const { attributes } of spans)
      expect(run.workflows.map(({ session }) => session)).toContain(
        said(attributes)['gen_ai.conversation.id'],
      );
    const chats = spans.filter(({ name }) => name.startsWith('chat '));
    expect(chats).toHaveLength(run.calls.length);
    const sum = (key: string): number =>
      chats.reduce((total, { attributes }) => total + Number(said(attributes)[key] ?? 0), 0);
    const all = (field: 'promptTokens' | 'outputTokens' | 'cachedTokens'): number =>
      run.calls.reduce((total, call) => total + (call[field] ?? 0), 0);
    expect(sum('gen_ai.usage.input_tokens')).toBe(all('promptTokens'));
    expect(sum('gen_ai.usage.output_tokens')).toBe(all('outputTokens'));
    expect(sum('gen_ai.usage.cache_read.input_tokens')).toBe(all('cachedTokens'));
    for (const { attributes } of chats) {
      const {
        'windtunnel.prefix.retained_tokens': retained,
        'gen_ai.usage.cache_read.input_tokens': cached,
      } = said(attributes);
      expect(Number(retained ?? 0)).toBeLessThanOrEqual(Number(cached ?? 0));
    }
  });

  test('begins in 2026 when simulated, and when it began when live; ids are those of the seed in both', () => {
    const live = read({
      ...run,
      header: { ...run.header, world: 'live', startedAt: '2026-11-21T10:00:00.500Z' },
    });
    expect(said(resource)['windtunnel.epoch']).toBe('2026-01-01T00:00:00Z');
    expect(said(live.resource)['windtunnel.epoch']).toBe('2026-11-21T10:00:00.500Z');
    const shiftNs = (BigInt(Date.UTC(2026, 10, 21, 10)) - BigInt(Date.UTC(2026, 0, 1)) + 500n) * 1_000_000n;
    for (const [i, span] of live.spans.entries()) {
      expect(span.spanId).toBe(spans[i]!.spanId);
      expect(BigInt(span.startTimeUnixNano) - BigInt(spans[i]!.startTimeUnixNano)).toBe(shiftNs);
    }
    const other = read({ ...run, header: aHeader({ ...run.header, seed: 8 }) });
    const ids = new Set(spans.map(({ spanId }) => spanId));
    expect(other.spans.filter(({ spanId }) => ids.has(spanId))).toEqual([]);
  });

  test('is a sample of as many sessions as are asked for, and says so; a smaller one is part of a larger', () => {
    const sessions = (most: number): Set<unknown> => {
      const file = read(run, { sessions: most });
      expect(said(file.resource)).toMatchObject({
        'windtunnel.sessions': 30,
        'windtunnel.sessions_in_file': most,
      });
      return new Set(file.spans.map(({ attributes }) => said(attributes)['gen_ai.conversation.id']));
    };
    const [five, ten] = [sessions(5), sessions(10)];
    expect([five.size, ten.size]).toEqual([5, 10]);
    expect([...five].every(session => ten.has(session))).toBe(true);
  });

  test('of a run without a session has no span', () => {
    expect(read(aRun({ calls: [], nodes: [], workflows: [] })).spans).toEqual([]);
  });
});

describe('a governed session', () => {
  const run = aRun({
    durationMs: 10_000,
    calls: [
      aCall({
        attempts: 2,
        endMs: 3000,
        role: 'planner',
        cachedTokens: 700,
        parts: [
          { segment: 'system', tokens: 600 },
          { segment: 'history', tokens: 400 },
        ],
      }),
    ],
    nodes: [
      aNode({ endMs: 3000 }),
      aNode({ call: 'fetch', step: 'fetch', kind: 'tool', startMs: 3000, endMs: 5000, cause: 'answer' }),
    ],
    workflows: [aWorkflow({ status: 'cancelled', error: 'user_left', endMs: 6000, toolCalls: 1 })],
    governed: theGoverned({
      attempts: [
        anAttempt({
          target: 'large',
          outcome: 'error',
          error: 'http_429',
          reason: '429',
          outputTokens: 0,
          firstTokenMs: null,
          scheduledMs: null,
          endMs: 200,
          waste: 'failed',
        }),
        anAttempt({
          attempt: 1,
          kind: 'retry',
          because: '429',
          target: 'large',
          wantedMs: 1000,
          sentMs: 1000,
          endMs: 3000,
          cancelledMs: 2900,
          cancelledTokens: 90,
        }),
      ],
      tools: [
        aTool({
          askedMs: 3000,
          startMs: 3500,
          endMs: 4000,
          consentMs: 400,
          outcome: 'error',
          error: 'tool_failed',
          usd: 0.001,
        }),
        aTool({ attempt: 1, askedMs: 4000, startMs: 4100, endMs: 5000, isDoubled: true, usd: 0.002 }),
      ],
      decisions: [
        { atMs: 200, session: 's0', call: 'answer', policy: 'retry', decision: 'again', why: '429' },
        {
          atMs: 3400,
          session: 's0',
          call: 'fetch',
          policy: 'consent',
          decision: 'granted',
          why: 'a human agreed',
        },
        { atMs: 6000, session: 's0', call: null, policy: 'cancel', decision: 'cancelled', why: 'user_left' },
      ],
      cancels: [
        {
          session: 's0',
          workflow: 'chat',
          reason: 'user_left',
          atMs: 6000,
          cleanMs: 6400,
          calls: 1,
          tools: 0,
          tokensAfter: 11,
        },
      ],
    }),
  });
  const ledger = ledgerOf(run, {
    rates: new Map(),
    price: () => ({ in: 1, cachedIn: 0.1, cacheWrite: 1, out: 10 }),
  });
  const { spans } = read({ ...run, ledger });
  const named = (name: string): Json => spans.find(span => span.name === name)!;

  test('shows attempts below their call, with reason codes and what each cost', () => {
    const call = named('chat main');
    expect(said(call.attributes)).toMatchObject({
      'gen_ai.operation.name': 'chat',
      'windtunnel.role': 'planner',
      'windtunnel.prefix.tokens': 600,
      'windtunnel.prefix.retained_tokens': 600,
      'windtunnel.attempts': 2,
      // The 429 is free: 1000 input tokens at 1 and 101 output tokens at 10 USD per million.
      'windtunnel.cost.usd': 0.002_01,
    });
    const [first, retry] = [named('attempt large'), named('retry large')];
    expect([first.parentSpanId, retry.parentSpanId]).toEqual([call.spanId, call.spanId]);
    expect(first.status).toEqual({ code: 2, message: 'http_429' });
    expect(said(first.attributes)).toMatchObject({
      'windtunnel.reason': '429',
      'windtunnel.waste': 'failed',
    });
    expect(said(retry.attributes)).toMatchObject({ 'windtunnel.attempt.because': '429' });
    expect(retry.events?.map(({ name }) => name)).toEqual(['windtunnel.given_up']);
    for (const { attributes } of [first, retry])
      expect(Object.keys(said(attributes)).filter(key => key.startsWith('gen_ai.usage'))).toEqual([]);
  });

  test('shows what policies decided where they did, consent too', () => {
    const events = (name: string) =>
      named(name).events?.map(event => [event.name, said(event.attributes)['windtunnel.decision']]);
    expect(events('chat main')).toEqual([['windtunnel.retry', 'again']]);
    expect(events('execute_tool fetch')).toEqual([['windtunnel.consent', 'granted']]);
    expect(events('invoke_workflow chat')).toEqual([
      ['windtunnel.cancel', 'cancelled'],
      ['windtunnel.cancelled', undefined],
    ]);
  });

  test('shows the runs of a tool, and the time to clean up after a cancel', () => {
    const tool = named('execute_tool fetch');
    const runs = [named('run 0'), named('run 1')];
    expect(runs.map(({ parentSpanId }) => parentSpanId)).toEqual([tool.spanId, tool.spanId]);
    expect(said(runs[0]!.attributes)).toMatchObject({ 'windtunnel.tool.consent_ms': 400 });
    expect(said(runs[1]!.attributes)).toMatchObject({ 'windtunnel.tool.repeats_side_effect': true });
    const cleanUp = named('clean up');
    expect(BigInt(cleanUp.endTimeUnixNano) - BigInt(cleanUp.startTimeUnixNano)).toBe(400_000_000n);
    expect(said(cleanUp.attributes)).toMatchObject({ 'windtunnel.cancel.output_tokens_after': 11 });
    const root = named('invoke_workflow chat');
    expect(root.endTimeUnixNano).toBe(cleanUp.endTimeUnixNano);
  });

  test('says at its root what each step cost', () => {
    expect(said(named('invoke_workflow chat').attributes)).toMatchObject({
      'windtunnel.cost.usd': 0.005_01,
      'windtunnel.cost.usd.answer': 0.002_01,
      'windtunnel.cost.usd.fetch': 0.003,
    });
  });

  test('is one call to our importer, however many attempts it took', () => {
    const { sessions } = importText(otel, textOf(run), 'spans.otlp.json');
    expect(sessions[0]!.calls).toHaveLength(1);
    expect(sessions[0]!.calls[0]).toMatchObject({ promptTokens: 1000, outputTokens: 101, model: 'main' });
  });
});

test('costs on calls and tools sum to what the ledger says of the session', () => {
  const run = anAgentRun({ workflows: 6 });
  const replicas = ['main/0', 'main/1'].map(replica => aSpan({ replica }));
  const rate = { prefillNs: 100, decodeNs: 1000, contextNs: 1 };
  const ledger = ledgerOf({ ...run, replicas }, { rates: new Map([['main', rate]]), price: () => null });
  const { spans } = read({ ...run, ledger });
  const usd = (name: RegExp): number =>
    spans
      .filter(span => name.test(span.name))
      .reduce((sum, { attributes }) => sum + Number(said(attributes)['windtunnel.cost.usd'] ?? 0), 0);
  expect(usd(/^chat /)).toBeGreaterThan(0);
  expect(usd(/^chat /)).toBeCloseTo(ledger.components.gpu_work / 1e9, 8);
  expect(usd(/^invoke_workflow /)).toBeCloseTo(ledger.components.gpu_work / 1e9, 8);
});

// ---- there and back ----

/** The call whose end released this one, perhaps through tools and waits; null: none did. */
function releasedBy(node: NodeRecord, nodes: ReadonlyMap<string, NodeRecord>): NodeRecord | null {
  for (
    let up = node.cause === null ? undefined : nodes.get(node.cause);
    up !== undefined;
    up = nodes.get(up.cause ?? '')
  ) {
    if (up.kind === 'llm') return up;
  }
  return null;
}

/** Steps of different branches that ran side by side, by the first part of their paths that differs. */
function isBeside(a: CallRecord, b: CallRecord, run: RunOutput): boolean {
  // A step and its own compaction.
  if (a.call.startsWith(`${b.call}/`) || b.call.startsWith(`${a.call}/`)) return false;
  const [as, bs] = [a.call.split('/'), b.call.split('/')];
  const at = as.findIndex((part, i) => part !== bs[i]);
  const extent = (parts: string[]): [number, number] => {
    const path = parts.slice(0, at + 1).join('/');
    const inside = run.nodes.filter(
      ({ session, call, status }) =>
        session === a.session && status !== 'skipped' && (call === path || call.startsWith(`${path}/`)),
    );
    return [Math.min(...inside.map(each => each.startMs)), Math.max(...inside.map(each => each.endMs))];
  };
  const [[fromA, toA], [fromB, toB]] = [extent(as), extent(bs)];
  return fromA < toB && fromB < toA;
}

/** Imports the spans of a run, and holds every session against its records. Returns the calls compared. */
function compareGraphs(run: RunOutput): number {
  const { sessions, tally } = importText(otel, textOf(run), 'spans.otlp.json');
  expect(tally.unreadable).toEqual([]);
  const withCalls = run.workflows.filter(({ calls }) => calls > 0);
  expect(sessions.map(({ id }) => id).sort()).toEqual(withCalls.map(({ session }) => session).sort());
  let compared = 0;
  for (const session of sessions) {
    const calls = run.calls.filter(call => call.session === session.id);
    const nodes = new Map(
      run.nodes.filter(node => node.session === session.id).map(node => [node.call, node]),
    );
    const zeroMs = Math.min(...calls.map(({ plannedMs }) => plannedMs));
    // Times go through microseconds twice.
    const isSame = (call: CallRecord, other: RecordedCall): boolean => {
      const { startMs, e2eMs } = other.recorded;
      return (
        call.promptTokens === other.promptTokens &&
        Math.max(1, call.outputTokens) === other.outputTokens &&
        Math.abs(call.plannedMs - zeroMs - startMs) < 0.003 &&
        Math.abs(call.endMs! - zeroMs - startMs - e2eMs!) < 0.005
      );
    };
    expect(session.calls).toHaveLength(calls.length);
    const recordOf = new Map<string, CallRecord>();
    for (const imported of session.calls) {
      const found = calls.filter(call => isSame(call, imported));
      expect(found.length, `${imported.id} ran`).toBeGreaterThan(0);
      // Twins of one instant and one length cannot be told apart, nor need they be.
      if (found.length === 1) recordOf.set(imported.id, found[0]!);
    }
    const parentsOf = new Map(session.calls.map(({ id, parents }) => [id, parents]));
    const ancestors = (id: string): Set<string> => {
      const found = new Set<string>();
      const stack = [...parentsOf.get(id)!];
      for (let up = stack.pop(); up !== undefined; up = stack.pop()) {
        if (found.has(up)) continue;
        found.add(up);
        stack.push(...parentsOf.get(up)!);
      }
      return found;
    };
    for (const imported of session.calls) {
      const record = recordOf.get(imported.id);
      if (record === undefined) continue;
      const node = nodes.get(record.call)!;
      const cause = releasedBy(node, nodes);
      const before = [...ancestors(imported.id)].flatMap(id => recordOf.get(id) ?? []);
      if (node.cause === null) expect(imported.parents, `${record.call} waits for nobody`).toEqual([]);
      if (cause !== null && [...recordOf.values()].some(({ call }) => call === cause.call))
        expect(
          before.map(({ call }) => call),
          `${record.call} waits for ${cause.call}`,
        ).toContain(cause.call);
      for (const parent of imported.parents.flatMap(id => recordOf.get(id) ?? []))
        expect(isBeside(parent, record, run), `${record.call} runs beside ${parent.call}`).toBe(false);
      compared += 1;
    }
  }
  return compared;
}

describe('read back by our own importer', () => {
  const steps = {
    'a chain with tools':
      '[ { llm: a, adds: 10, out: 5 }, { tool: fetch }, { llm: b, adds: 20, out: 7 }, { llm: c, adds: 3, out: 9 } ]',
    'a loop':
      '[ { repeat: pass, times: 3, steps: [ { llm: draft, adds: 10, out: 5 }, { tool: fetch }, { llm: judge, adds: 9, out: 4 } ] }, { llm: end, adds: 1, out: 3 } ]',
    'a map of chains':
      '[ { llm: plan, adds: 10, out: 5 }, { map: item, over: 4, steps: [ { llm: read, adds: { dist: uniform, min: 10, max: 900 }, out: { dist: uniform, min: 2, max: 60 } }, { tool: fetch }, { llm: note, adds: 9, out: { dist: uniform, min: 2, max: 40 } } ] }, { llm: join, adds: 30, out: 6 } ]',
    'branches, one of them a single call':
      '[ { llm: plan, adds: 10, out: 5 }, { parallel: both, branches: [ [ { llm: long, adds: 10, out: 90 } ], [ { llm: one, adds: 10, out: 20 }, { tool: fetch }, { llm: two, adds: 10, out: 30 } ] ] }, { llm: join, adds: 30, out: 6 } ]',
  };
  test.each(Object.entries(steps))('%s is the graph that ran', (_, text) => {
    expect(compareGraphs(simulated(planOf(workflowText(text, '', 3))))).toBeGreaterThan(8);
  });

  // Spans have no causes: the importer infers them from time, and about one drawn workflow in some thousand, whose branches
  // begin with a person, can be read in two ways. So a fixed sample.
  test('so are drawn workflows', () => {
    let compared = 0;
    fc.assert(
      fc.property(randomSteps, text => {
        compared += compareGraphs(simulated(planOf(workflowText(text, '', 2))));
      }),
      { numRuns: 60, seed: 7 },
    );
    expect(compared).toBeGreaterThan(200);
  });
});
