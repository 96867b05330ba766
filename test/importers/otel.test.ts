// OpenTelemetry traces: tokens, sessions, streaming, and what cannot be read. otel-graph.test.ts has who waits for whom.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { emptyTally, reportOf } from '../../scenarios/importers/importer.ts';
import { detectImporter } from '../../scenarios/importers/index.ts';
import { otel } from '../../scenarios/importers/otel/otel.ts';
import { earliestStartMs } from '../../scenarios/importers/otel/spans.ts';
import { readTrace } from '../../scenarios/importers/read.ts';
import { agent, chat, otlp, type SpanSketch, spoken } from '../builders/spans.ts';
import { importText, traceText } from '../builders/traces.ts';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const fixture = (name: string): string => readFileSync(at(`test/fixtures/otel/${name}`), 'utf8');

const imported = (...spans: SpanSketch[]) => importText(otel, JSON.stringify(otlp(spans)), 'trace.json');
const lines = (...exports: SpanSketch[][]): string =>
  exports.map(spans => JSON.stringify(otlp(spans))).join('\n');

describe('times', () => {
  test('nanoseconds are strings beyond 2^53: microseconds survive', () => {
    const { sessions, tally } = importText(otel, fixture('client-and-server.jsonl'), 'a.jsonl');
    const [call] = sessions[0]!.calls;
    // 1763690400020000000 to 1763690402100001000 ns: a double of either is good to 256 ns.
    expect(call!.recorded.e2eMs).toBe(2080.001);
    expect(tally.epochMs).toBe(1_763_690_400_000);
    expect(sessions[0]!.arrivalMs).toBe(20);
  });

  test('a flat dump has times without a zone: they are UTC, in microseconds', () => {
    const { sessions, tally } = importText(otel, fixture('flat.json'), 'flat.json');
    expect(tally.epochMs).toBe(Date.UTC(2026, 1, 25, 10) + 0.5);
    expect(sessions.map(({ id, arrivalMs }) => [id, arrivalMs])).toEqual([
      ['s-1', 0],
      ['s-2', 1000.25],
    ]);
    expect(sessions[0]!.calls[0]!.recorded.e2eMs).toBe(1500.125);
  });

  test('an end before the start is no duration', () => {
    const { sessions, tally } = imported(chat({ id: 'a', from: 5, to: 4 }));
    expect(sessions[0]!.calls[0]!.recorded.e2eMs).toBeNull();
    expect(tally.provenance.end).toEqual({ recorded: 0, inferred: 0, defaulted: 1 });
  });

  test('files of one trace share a clock: the earliest of them is time 0', () => {
    const { sessions, report } = readTrace([
      at('test/fixtures/otel/later.jsonl'),
      at('test/fixtures/otel/client-and-server.jsonl'),
    ]);
    expect(report.epochMs).toBe(1_763_690_400_000);
    expect(sessions.map(({ id, arrivalMs }) => [id, arrivalMs])).toEqual([
      ['conv_2', 60_000],
      ['conv_1', 20],
    ]);
  });
});

describe('tokens', () => {
  test('new attribute names win over old ones, which vLLM and older instrumentations still write', () => {
    const { sessions } = imported(
      chat({
        id: 'new',
        from: 0,
        to: 1,
        'gen_ai.usage.prompt_tokens': 1,
        'gen_ai.usage.completion_tokens': 1,
        'gen_ai.usage.cache_read.input_tokens': 160,
        'gen_ai.usage.reasoning.output_tokens': 6,
        'gen_ai.response.time_to_first_chunk': 0.31,
        'gen_ai.response.model': 'small-2026-01',
      }),
    );
    expect(sessions[0]!.calls[0]).toMatchObject({
      model: 'small',
      promptTokens: 320,
      outputTokens: 16,
      reasoningTokens: 6,
      recorded: { ttftMs: 310, cachedTokens: 160 },
    });
    const old = imported({
      id: 'vllm',
      from: 0,
      to: 1,
      attributes: {
        'gen_ai.response.model': 'm',
        'gen_ai.usage.prompt_tokens': 1480,
        'gen_ai.usage.completion_tokens': 96,
        'gen_ai.latency.time_to_first_token': 0.29,
      },
    });
    expect(old.sessions[0]!.calls[0]).toMatchObject({
      model: 'm',
      promptTokens: 1480,
      outputTokens: 96,
      recorded: { ttftMs: 290 },
    });
  });

  test('OpenInference attributes are read in the same envelope', () => {
    const { sessions } = imported(
      {
        id: 'root',
        from: 0,
        to: 9,
        attributes: { 'openinference.span.kind': 'AGENT', 'session.id': 'sess-9', 'user.id': 'u-1' },
      },
      {
        id: 'llm',
        parent: 'root',
        from: 1,
        to: 3,
        attributes: {
          'openinference.span.kind': 'LLM',
          'llm.model_name': 'gpt-4o',
          'llm.token_count.prompt': 1480,
          'llm.token_count.completion': 96,
          'llm.token_count.prompt_details.cache_read': 1024,
          'llm.input_messages.0.message.role': 'system',
          'llm.input_messages.0.message.content': 'x'.repeat(64),
          'llm.input_messages.1.message.role': 'user',
          'llm.input_messages.1.message.content': 'y'.repeat(64),
        },
      },
    );
    expect(sessions).toHaveLength(1);
    expect(sessions[0]).toMatchObject({ id: 'sess-9', user: 'u-1', systemTokens: 16 });
    expect(sessions[0]!.calls[0]).toMatchObject({
      agent: 'main',
      model: 'gpt-4o',
      promptTokens: 1480,
      outputTokens: 96,
      blocks: [0, 1],
      recorded: { cachedTokens: 1024 },
    });
  });

  test('input without the cached tokens, as Anthropic counts, is shown by cache reads beyond it: all are added', () => {
    const cached = (id: string, from: number, input: number, read: number, write: number) =>
      chat({
        id,
        from,
        to: from + 1,
        scope: 'anthropic',
        'gen_ai.usage.input_tokens': input,
        'gen_ai.usage.cache_read.input_tokens': read,
        'gen_ai.usage.cache_creation.input_tokens': write,
      });
    const { sessions, tally } = imported(
      cached('first', 0, 900, 0, 5000),
      cached('second', 2, 20, 5900, 300),
      // Reads less than its input: alone it would prove nothing.
      cached('third', 4, 7000, 6200, 0),
      chat({ id: 'other', from: 6, to: 7, scope: 'openai', 'gen_ai.usage.cache_read.input_tokens': 300 }),
    );
    const { calls } = sessions[0]!;
    expect(calls.map(call => call.promptTokens)).toEqual([5900, 6220, 13_200, 320]);
    expect(calls.map(call => call.recorded.cachedTokens)).toEqual([0, 5900, 6200, 300]);
    expect(tally.notes.cacheApart).toBe(3);
  });

  test('input that includes the cached tokens, as the conventions ask, stays as it is', () => {
    const { sessions, tally } = imported(
      chat({ id: 'a', from: 0, to: 1, 'gen_ai.usage.cache_read.input_tokens': 320 }),
    );
    expect(sessions[0]!.calls[0]).toMatchObject({ promptTokens: 320, recorded: { cachedTokens: 320 } });
    expect(tally.notes.cacheApart).toBeUndefined();
  });

  test('agent and workflow spans repeat the usage of their calls: only the calls are counted', () => {
    const usage = { 'gen_ai.usage.input_tokens': 640, 'gen_ai.usage.output_tokens': 32 };
    const { tally } = imported(
      { id: 'w', from: 0, to: 9, attributes: { 'gen_ai.operation.name': 'invoke_workflow', ...usage } },
      agent({ id: 'a', parent: 'w', from: 0, to: 8, name: 'scan', ...usage }),
      chat({ id: 'c1', parent: 'a', from: 1, to: 2 }),
      chat({ id: 'c2', parent: 'a', from: 3, to: 4 }),
    );
    expect(tally.totals).toMatchObject({ calls: 2, inputTokens: 640, outputTokens: 32 });
  });

  test('a vLLM server span under the client span of its call is merged, not counted twice', () => {
    const { sessions, tally } = importText(otel, fixture('client-and-server.jsonl'), 'a.jsonl');
    expect(tally.totals).toMatchObject({ calls: 1, inputTokens: 1480, outputTokens: 96 });
    expect(tally.notes.mergedSpans).toBe(1);
    // The client did not see a first token; the server did.
    expect(sessions[0]!.calls[0]).toMatchObject({
      model: 'small',
      recorded: { ttftMs: 290, e2eMs: 2080.001 },
    });
    expect(reportOf(tally).warnings.join('\n')).toMatch(
      /^1 spans tell of a call that another span tells of too/m,
    );
  });

  test('a server whose clock is ahead is still the server of its client', () => {
    const { tally } = imported(
      chat({ id: 'client', from: 0, to: 2 }),
      chat({ id: 'post', parent: 'client', from: 0.1, to: 1.9, 'gen_ai.operation.name': 'other' }),
      chat({ id: 'server', parent: 'post', from: 60, to: 61.8, kind: 2 }),
    );
    expect(tally.totals).toMatchObject({ calls: 1, inputTokens: 320 });
  });

  test('a server span whose client is in no line of the file is a call, with a warning', () => {
    const { tally } = imported(chat({ id: 'server', parent: 'elsewhere', from: 0, to: 2, kind: 2 }));
    expect(tally.totals.calls).toBe(1);
    expect(tally.notes.loneServers).toBe(1);
  });

  test('a span around several calls, such as a router with a retry, counts those and not itself', () => {
    const { tally, sessions } = imported(
      chat({ id: 'router', from: 0, to: 9, 'gen_ai.usage.input_tokens': 9999 }),
      chat({ id: 'try-1', parent: 'router', from: 1, to: 2, failed: true }),
      chat({ id: 'try-2', parent: 'router', from: 3, to: 4 }),
    );
    expect(tally.totals).toMatchObject({ calls: 2, inputTokens: 640 });
    expect(tally.notes.mergedSpans).toBe(1);
    expect(sessions[0]!.calls[1]!.parents).toEqual(['main/0']);
  });

  test('embeddings and retrieval are no calls, and are counted', () => {
    const { tally } = imported(
      chat({ id: 'a', from: 1, to: 2 }),
      chat({ id: 'e', from: 0, to: 1, 'gen_ai.operation.name': 'embeddings' }),
      { id: 'r', from: 0, to: 1, attributes: { 'openinference.span.kind': 'RETRIEVER' } },
    );
    expect(tally.totals.calls).toBe(1);
    expect(tally.notes.lookupSpans).toBe(2);
  });

  test('a span that an exporter sent twice is counted once', () => {
    const text = lines([chat({ id: 'a', from: 0, to: 1 })], [chat({ id: 'a', from: 0, to: 1 })]);
    const { tally } = importText(otel, text, 'a.jsonl');
    expect(tally.totals.calls).toBe(1);
    expect(tally.notes.repeatedSpans).toBe(1);
  });

  test('where usage is missing and text is there, a token is taken for 4 characters', () => {
    const { sessions, tally } = imported(
      spoken({
        id: 'a',
        from: 0,
        to: 1,
        input: [{ role: 'user', content: 'z'.repeat(401) }],
        output: 'y'.repeat(10),
      }),
    );
    expect(sessions[0]!.calls[0]).toMatchObject({ promptTokens: 101, outputTokens: 3, model: 'unknown' });
    expect(tally.provenance.prompt).toEqual({ recorded: 0, inferred: 1, defaulted: 0 });
    expect(tally.provenance.output).toEqual({ recorded: 0, inferred: 1, defaulted: 0 });
    expect(tally.provenance.model).toEqual({ recorded: 0, inferred: 0, defaulted: 1 });
    expect(tally.notes.estimatedTokens).toBe(1);
  });

  test('reasoning beyond the output shows that the output leaves it out: it is added', () => {
    const { sessions } = imported(
      chat({ id: 'a', from: 0, to: 1, 'gen_ai.usage.reasoning.output_tokens': 16 }),
      chat({ id: 'b', from: 2, to: 3, 'gen_ai.usage.reasoning.output_tokens': 17 }),
    );
    expect(sessions[0]!.calls.map(call => [call.outputTokens, call.reasoningTokens])).toEqual([
      [16, 16],
      [33, 17],
    ]);
  });

  test('a failed call keeps its reason, never a sentence, and has an output of at least 1 token', () => {
    const failing = (id: string, from: number, attributes: object) =>
      chat({ id, from, to: from + 1, failed: true, 'gen_ai.usage.output_tokens': 0, ...attributes });
    const { sessions, tally } = imported(
      failing('a', 0, { 'error.type': 'timeout' }),
      failing('b', 2, { 'error.type': 'the user said: my password is tulip' }),
      failing('c', 4, {}),
      chat({ id: 'd', from: 6, to: 7 }),
    );
    expect(sessions[0]!.calls.map(call => [call.recorded.error, call.outputTokens])).toEqual([
      ['timeout', 1],
      ['error', 1],
      ['error', 1],
      [null, 16],
    ]);
    expect(tally.notes).toMatchObject({ failedCalls: 3, unknownOutputs: 3 });
    expect(tally.provenance.output).toEqual({ recorded: 1, inferred: 0, defaulted: 3 });
  });
});

describe('blocks', () => {
  const system = { role: 'system', content: 's'.repeat(100) };
  const ask = (text: string) => ({ role: 'user', content: text });

  test('come from the text, 64 characters each, and are the same across sessions as far as the text is', () => {
    const { sessions } = imported(
      spoken({ id: 'a', trace: 't1', from: 0, to: 1, input: [system, ask('a'.repeat(100))], output: 'x' }),
      spoken({ id: 'b', trace: 't2', from: 2, to: 3, input: [system, ask('b'.repeat(100))], output: 'x' }),
    );
    // 200 characters: three blocks, of which the first lies in the system prompt and the second goes over its end.
    expect(sessions.map(session => session.calls[0]!.blocks)).toEqual([
      [0, 1, 2],
      [0, 3, 4],
    ]);
    expect(sessions.map(session => session.systemTokens)).toEqual([25, 25]);
    expect(new Set(sessions.map(session => session.blockScope))).toEqual(new Set(['otel/file:trace']));
  });

  test('the same text in another role is another prompt', () => {
    const { sessions } = imported(
      spoken({ id: 'a', trace: 't1', from: 0, to: 1, input: [ask('q'.repeat(64))], output: 'x' }),
      spoken({
        id: 'b',
        trace: 't2',
        from: 2,
        to: 3,
        input: [{ ...system, content: 'q'.repeat(64) }],
        output: 'x',
      }),
    );
    expect(sessions.map(session => session.calls[0]!.blocks)).toEqual([[0], [1]]);
  });

  test('are no more than the recorded prompt holds', () => {
    const { sessions } = imported(
      spoken({
        id: 'a',
        from: 0,
        to: 1,
        input: [ask('a'.repeat(640))],
        output: 'x',
        'gen_ai.usage.input_tokens': 40,
      }),
    );
    expect(sessions[0]!.calls[0]!.blocks).toEqual([0, 1]);
  });

  test('hits are those of an infinite cache over the file', () => {
    const { tally } = imported(
      spoken({ id: 'a', trace: 't1', from: 0, to: 1, input: [system, ask('a'.repeat(92))], output: 'x' }),
      spoken({ id: 'b', trace: 't2', from: 2, to: 3, input: [system, ask('a'.repeat(92))], output: 'x' }),
    );
    expect(tally.totals).toMatchObject({ hitBlocks: 3, hitTokens: 48 });
  });

  test('without text a prompt goes on from the last call of its thread that had ended, and the guess is counted', () => {
    const { sessions, tally } = imported(
      chat({ id: 'a', from: 0, to: 1, 'gen_ai.usage.input_tokens': 33 }),
      chat({ id: 'b', from: 2, to: 4, 'gen_ai.usage.input_tokens': 48 }),
      chat({ id: 'c', from: 3, to: 5, 'gen_ai.usage.input_tokens': 64 }),
      chat({ id: 'd', from: 6, to: 7, 'gen_ai.usage.input_tokens': 20 }),
    );
    expect(sessions[0]!.calls.map(call => call.blocks)).toEqual([[0, 1], [0, 1, 2], [0, 1, 3, 4], [5]]);
    expect(tally.notes).toMatchObject({ mintedBlocks: 4, contextEpochs: 1 });
    expect(tally.provenance.blocks).toEqual({ recorded: 0, inferred: 4, defaulted: 0 });
  });

  test('no text of a message, nor a trace of it, is in a session', () => {
    const secret = 'the tulips are in the safe';
    const { sessions, tally } = imported(
      spoken({
        id: 'a',
        from: 0,
        to: 1,
        input: [{ role: 'user', parts: [{ type: 'text', content: `${secret} ${'a'.repeat(200)}` }] }],
        output: secret,
        'gen_ai.system_instructions': [{ type: 'text', content: secret }],
        'gen_ai.tool.definitions': JSON.stringify([{ name: 'open', description: secret }]),
      }),
    );
    expect(JSON.stringify([sessions, reportOf(tally)])).not.toMatch(/tulip|safe|open/);
    // Ids count up from 0: no hash.
    expect(sessions[0]!.calls[0]!.blocks).toEqual([0, 1, 2, 3]);
  });
});

describe('sessions', () => {
  test('are conversations, whatever traces they have, or else traces', () => {
    const conversation = { 'gen_ai.conversation.id': 'conv' };
    const { sessions, tally } = imported(
      chat({ id: 'a', trace: 't1', from: 0, to: 1, ...conversation }),
      chat({ id: 'b', trace: 't2', from: 5, to: 6, ...conversation }),
      chat({ id: 'c', trace: 't3', from: 7, to: 8 }),
    );
    expect(sessions.map(({ id, arrivalMs, calls }) => [id, arrivalMs, calls.length])).toEqual([
      ['conv', 0, 2],
      ['t3', 7000, 1],
    ]);
    expect(sessions[0]!.calls[1]).toMatchObject({ parents: ['main/0'], gapMs: 4000, gapKind: 'unknown' });
    expect(tally.provenance.session).toEqual({ recorded: 1, inferred: 1, defaulted: 0 });
  });

  test('a call is of the conversation that spans above it name, and of the only one that its trace names', () => {
    const { sessions } = imported(
      agent({ id: 'x', from: 0, to: 9, name: 'x', 'gen_ai.conversation.id': 'one' }),
      chat({ id: 'a', parent: 'x', from: 1, to: 2 }),
      chat({ id: 'b', parent: 'lost', from: 3, to: 4 }),
      agent({ id: 'y', trace: 't2', from: 0, to: 9, name: 'y', 'gen_ai.conversation.id': 'two' }),
      agent({ id: 'z', trace: 't2', from: 0, to: 9, name: 'z', 'gen_ai.conversation.id': 'three' }),
      chat({ id: 'c', trace: 't2', parent: 'z', from: 1, to: 2 }),
    );
    expect(sessions.map(({ id, calls }) => [id, calls.length])).toEqual([
      ['one', 2],
      ['three', 1],
    ]);
  });

  test('one that no span came to for half an hour is given out before the rest is read', () => {
    const text = lines(
      [chat({ id: 'a', trace: 't1', from: 0, to: 1 })],
      [chat({ id: 'b', trace: 't2', from: 1700, to: 1800 })],
      [chat({ id: 'c', trace: 't3', from: 1801, to: 1802 })],
      [chat({ id: 'd', trace: 't4', from: 1803, to: 1804 })],
    );
    const whole = traceText(text, 'a.jsonl');
    const read: number[] = [];
    const counted = {
      ...whole,
      *lines() {
        for (const line of whole.lines()) {
          read.push(line.number);
          yield line;
        }
      },
    };
    const sessions = otel.read(counted, emptyTally(), { blockTokens: null, jitterQuantum: false });
    const first = sessions[Symbol.iterator]().next();
    expect(first.value!.id).toBe('t1');
    expect(read).toEqual([1, 2, 3]);
  });

  test('one that began before the trace is taken to arrives at its start', () => {
    const text = lines(
      [chat({ id: 'a', trace: 't1', from: 9000, to: 9001 })],
      [chat({ id: 'b', trace: 't2', from: 8990, to: 12_000 })],
    );
    // The clock is set by what the head of the file shows, and here that is cut inside the second line's times.
    const cut =
      text.indexOf('startTimeUnixNano', text.indexOf('\n')) + 'startTimeUnixNano":"176369939000'.length;
    const tally = emptyTally();
    const options = { blockTokens: null, jitterQuantum: false };
    const sessions = [
      ...otel.read({ ...traceText(text, 'a.jsonl'), head: text.slice(0, cut) }, tally, options),
    ];
    expect(sessions.map(({ id, arrivalMs }) => [id, arrivalMs])).toEqual([
      ['t1', 0],
      ['t2', 0],
    ]);
    expect(tally.notes.earlyRows).toBe(1);
    expect(earliestStartMs(text.slice(0, cut))).toBe(1_763_690_400_000 + 9_000_000);
  });

  test('a root span that comes long after its calls makes no session of its own', () => {
    const text = lines(
      [chat({ id: 'a', parent: 'root', from: 0, to: 1 })],
      [chat({ id: 'b', trace: 't2', from: 4000, to: 4001 })],
      [agent({ id: 'root', from: 0, to: 4100, name: 'x' })],
    );
    const { sessions, tally } = importText(otel, text, 'a.jsonl');
    expect(sessions.map(session => session.id)).toEqual(['t1', 't2']);
    expect(tally.unreadable).toEqual([]);
  });

  test('a document may hold its spans in any order: they are read by their ends', () => {
    const spans = [
      chat({ id: 'b', trace: 't2', from: 9000, to: 9001 }),
      chat({ id: 'a', trace: 't1', from: 0, to: 1, 'gen_ai.conversation.id': 'c' }),
      chat({ id: 'c', trace: 't3', from: 60, to: 61, 'gen_ai.conversation.id': 'c' }),
    ];
    const { sessions } = importText(otel, JSON.stringify(otlp(spans), null, 1), 'a.json');
    expect(sessions.map(({ id, arrivalMs, calls }) => [id, arrivalMs, calls.length])).toEqual([
      ['c', 0, 2],
      ['t2', 9_000_000, 1],
    ]);
  });
});

describe('what cannot be read', () => {
  test('is named by file, line and span, and the rest is kept', () => {
    const { sessions, tally } = importText(otel, fixture('bad-spans.jsonl'), 'bad.jsonl');
    expect(tally.unreadable).toEqual([
      { where: 'bad.jsonl:1, span 2', why: 'traceId is missing' },
      { where: 'bad.jsonl:1, span 3', why: 'startTimeUnixNano is "soon", expected nanoseconds since 1970' },
      { where: 'bad.jsonl:1, span 4', why: 'startTimeUnixNano is missing' },
      { where: 'bad.jsonl:1, span 5', why: 'is 7, not an object' },
      {
        where: 'bad.jsonl:1, span s6',
        why: 'gen_ai.usage.input_tokens is -5, expected a whole number up to 16777216',
      },
      { where: 'bad.jsonl:2', why: expect.stringMatching(/not valid JSON, perhaps cut off/) },
      { where: 'bad.jsonl:3', why: 'is {"hello":1}, with neither resourceSpans nor spans' },
      { where: 'bad.jsonl:1', why: 'span s7 has neither token counts nor messages' },
    ]);
    expect(tally.totals.calls).toBe(1);
    expect(sessions[0]!.calls).toHaveLength(1);
  });

  test('a document that is cut off is recognised and named', () => {
    const text = JSON.stringify(otlp([chat({ id: 'a', from: 0, to: 1 })]), null, 1).slice(0, 300);
    expect(otel.detect(text, 'a.json')).toBe(true);
    const { sessions, tally } = importText(otel, text, 'a.json');
    expect(sessions).toEqual([]);
    expect(tally.unreadable[0]).toMatchObject({ where: 'a.json', why: expect.stringContaining('cut off') });
  });

  test('a first line that is cut off is lost alone', () => {
    const text = lines([chat({ id: 'a', from: 0, to: 1 })], [chat({ id: 'b', from: 2, to: 3 })]);
    for (const broken of [text.slice(20), `{"resourceSp\n${text}`]) {
      expect(otel.detect(broken, 'a.jsonl')).toBe(true);
      const { tally } = importText(otel, broken, 'a.jsonl');
      expect(tally.unreadable.map(({ where }) => where)).toEqual(['a.jsonl:1']);
      expect(tally.totals.calls).toBeGreaterThan(0);
    }
    const pretty = JSON.stringify(otlp([chat({ id: 'a', from: 0, to: 1 })]), null, 1);
    expect(importText(otel, pretty, 'a.json').tally).toMatchObject({ unreadable: [], totals: { calls: 1 } });
  });

  test('a time to the first chunk that is no number of seconds is not taken', () => {
    const ttft = { 'gen_ai.response.time_to_first_chunk': 1e306 };
    const { sessions } = imported(chat({ id: 'a', from: 0, to: 1, attributes: ttft }));
    expect(sessions[0]!.calls[0]!.recorded.ttftMs).toBeNull();
  });

  test('spans that are their own ancestors are named, not followed for ever', () => {
    const { sessions, tally } = imported(
      chat({ id: 'a', parent: 'b', from: 0, to: 5 }),
      chat({ id: 'b', parent: 'a', from: 0, to: 5 }),
      agent({ id: 'x', parent: 'y', from: 0, to: 9, name: 'x' }),
      agent({ id: 'y', parent: 'x', from: 0, to: 9, name: 'y' }),
      chat({ id: 'c', parent: 'x', from: 6, to: 7 }),
      chat({ id: 'd', parent: 'x', from: 8, to: 9 }),
    );
    expect(sessions[0]!.calls.map(call => call.parents.length)).toEqual([0, 1]);
    expect(tally.unreadable.map(({ why }) => why)).toEqual([
      'span a is inside itself, or deeper than any trace goes',
      'span b is inside itself, or deeper than any trace goes',
    ]);
  });

  test('the format is told by the head of a file, wherever it is cut', () => {
    const text = JSON.stringify(otlp([chat({ id: 'a', from: 0, to: 1 })]));
    expect(detectImporter(text.slice(0, 60), 'a.json')?.name).toBe('otel');
    expect(detectImporter(fixture('flat.json').slice(0, 200), 'flat.json')?.name).toBe('otel');
    expect(otel.detect('{"spans":[{"spanID":"jaeger"}]}', 'a.json')).toBe(false);
  });

  test('law: whatever the spans are, parents come first, gaps are not negative, and each call is counted once', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f');
    const messages = fc.array(
      fc.record({
        role: fc.constantFrom('user', 'assistant', 'system', 'tool'),
        content: fc.constantFrom('hm', 'x'.repeat(70)),
      }),
      { maxLength: 4 },
    );
    const span = fc.record(
      {
        id: name,
        trace: fc.constantFrom('t1', 't2'),
        from: fc.integer({ min: 0, max: 9 }),
        to: fc.integer({ min: 0, max: 9 }),
        parent: name,
        kind: fc.constantFrom(2, 3),
        attributes: fc.record(
          {
            'gen_ai.operation.name': fc.constantFrom('chat', 'invoke_agent', 'execute_tool', 'embeddings'),
            'gen_ai.usage.input_tokens': fc.oneof(fc.integer({ min: -1, max: 2000 }), fc.constant('7')),
            'gen_ai.usage.output_tokens': fc.nat(200),
            'gen_ai.usage.cache_read.input_tokens': fc.nat(2000),
            'gen_ai.conversation.id': fc.constantFrom('p', 'q'),
            'gen_ai.input.messages': messages.map(list => JSON.stringify(list)),
            'gen_ai.output.text': fc.constantFrom('hm', 'x'.repeat(70)),
          },
          { requiredKeys: ['gen_ai.operation.name'] },
        ),
      },
      { requiredKeys: ['id', 'from', 'to', 'attributes'] },
    );
    fc.assert(
      fc.property(fc.array(span, { maxLength: 12 }), spans => {
        const { sessions, tally } = imported(...(spans as SpanSketch[]));
        expect(tally.totals.sessions).toBe(sessions.length);
        expect(tally.totals.calls).toBe(sessions.reduce((sum, { calls }) => sum + calls.length, 0));
        for (const { calls, arrivalMs } of sessions) {
          expect(arrivalMs).toBeGreaterThanOrEqual(0);
          const seen = new Set<string>();
          for (const call of calls) {
            expect(call.gapMs).toBeGreaterThanOrEqual(0);
            expect(call.blocks.length).toBeLessThanOrEqual(call.promptTokens / 16);
            for (const parent of call.parents) expect(seen.has(parent)).toBe(true);
            expect(seen.has(call.id)).toBe(false);
            seen.add(call.id);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test('law: whatever the JSON is, the importer returns', () => {
    fc.assert(
      fc.property(fc.json(), json => {
        const text = `{"resourceSpans":[{"scopeSpans":[{"spans":[${json},{"traceId":"t","spanId":"s","startTimeUnixNano":"9","attributes":${json}}]}]}]}`;
        importText(otel, text, 'a.json');
        importText(otel, `{"trace_id":"t","spans":[${json}]}`, 'a.json');
      }),
    );
  });
});

const fixtures = '../shared/data/traces/format-fixtures';
describe.skipIf(!existsSync(at(fixtures)))('the shared fixtures (skipped where ../shared is absent)', () => {
  test.each([
    ['otlp-genai.json', { sessions: 1, calls: 2, inputTokens: 3690, outputTokens: 160 }],
    ['vllm-otel-span.json', { sessions: 1, calls: 1, inputTokens: 1480, outputTokens: 96 }],
    ['openinference-otlp.json', { sessions: 1, calls: 1, inputTokens: 1480, outputTokens: 96 }],
  ])('%s is read in full', (name, totals) => {
    const { report } = readTrace([at(`${fixtures}/${name}`)], { strict: true });
    expect(report.totals).toMatchObject(totals);
  });

  test('the tool of otlp-genai.json is the gap before the call after it', () => {
    const { sessions } = readTrace([at(`${fixtures}/otlp-genai.json`)]);
    expect(sessions[0]!.id).toBe('conv_1');
    // The tool ran for 850 of the 870 ms.
    expect(sessions[0]!.calls[1]).toMatchObject({
      parents: ['main/0'],
      gapMs: 870,
      gapKind: 'tool',
      tool: 'fetch_listing',
      recorded: { error: 'timeout' },
    });
  });
});
