// Who waits for whom in OpenTelemetry traces: by agent spans, by time, and by whose output a prompt holds.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { RecordedCall, RecordedSession } from '../../scenarios/formats/recorded.ts';
import { otel } from '../../scenarios/importers/otel/otel.ts';
import { readTrace } from '../../scenarios/importers/read.ts';
import { agent, chat, otlp, type SpanSketch, spoken, tool } from '../builders/spans.ts';
import { importText } from '../builders/traces.ts';

function imported(...spans: SpanSketch[]) {
  const { sessions, tally } = importText(otel, JSON.stringify(otlp(spans)), 'trace.json');
  const [session] = sessions as [RecordedSession];
  return { session, tally, parents: parentsOf(session) };
}

/** Each call with what it waits for. */
const parentsOf = ({ calls }: RecordedSession): Record<string, string[]> =>
  Object.fromEntries(calls.map(call => [call.id, call.parents]));

const callOf = ({ calls }: RecordedSession, id: string): RecordedCall => calls.find(call => call.id === id)!;

describe('by time', () => {
  test('what had ended is waited for, what overlaps runs beside it, and the next waits for all', () => {
    const { session, parents } = imported(
      chat({ id: 'plan', from: 0, to: 2 }),
      chat({ id: 'left', from: 2.5, to: 4 }),
      chat({ id: 'right', from: 3, to: 5 }),
      chat({ id: 'merge', from: 6, to: 7 }),
      chat({ id: 'after', from: 7, to: 8 }),
    );
    expect(parents).toEqual({
      'main/0': [],
      'main/1': ['main/0'],
      'main/2': ['main/0'],
      'main/3': ['main/1', 'main/2'],
      'main/4': ['main/3'],
    });
    // After the last of its parents: right ended at 5 s.
    expect(callOf(session, 'main/3')).toMatchObject({ gapMs: 1000, gapProvenance: 'inferred' });
    expect(callOf(session, 'main/4').gapMs).toBe(0);
  });

  test('the tool that took most of a gap names it; one that overlaps the call does not', () => {
    const { session } = imported(
      chat({ id: 'a', from: 0, to: 1 }),
      tool({ id: 't1', from: 1.1, to: 1.3, name: 'look' }),
      tool({ id: 't2', from: 1.1, to: 3.9, name: 'fetch' }),
      chat({ id: 'b', from: 4, to: 5 }),
      tool({ id: 't3', from: 5.1, to: 6.5, name: 'late' }),
      chat({ id: 'c', from: 6, to: 7 }),
    );
    expect(session.calls.map(({ gapMs, gapKind, tool }) => [gapMs, gapKind, tool])).toEqual([
      [0, 'unknown', null],
      [3000, 'tool', 'fetch'],
      [1000, 'unknown', null],
    ]);
  });

  test('a call that ended in a tool call is followed by a tool, though no span says which', () => {
    const { session } = imported(
      chat({ id: 'a', from: 0, to: 1, 'gen_ai.response.finish_reasons': ['tool_calls'] }),
      chat({ id: 'b', from: 4, to: 5, 'gen_ai.response.finish_reasons': ['stop'] }),
      chat({ id: 'c', from: 6, to: 7 }),
    );
    expect(session.calls.map(({ gapKind, tool }) => [gapKind, tool])).toEqual([
      ['unknown', null],
      ['tool', null],
      ['unknown', null],
    ]);
  });

  test('a span whose parent is a call that had ended goes on from it: conversations are chained so', () => {
    const { session, parents } = imported(
      chat({ id: 'a', from: 0, to: 1 }),
      chat({ id: 'x', from: 1.5, to: 2 }),
      chat({ id: 'b', parent: 'a', from: 3, to: 4 }),
    );
    expect(parents['main/2']).toEqual(['main/0']);
    expect(callOf(session, 'main/2')).toMatchObject({ gapMs: 2000, gapProvenance: 'recorded' });
  });
});

describe('by agent spans', () => {
  test('a sub-agent is a thread of its own: spawned after what had ended, waited for by what comes after it', () => {
    const { session, parents, tally } = imported(
      agent({ id: 'root', from: 0, to: 20, name: 'lead' }),
      chat({ id: 'plan', parent: 'root', from: 1, to: 2 }),
      tool({ id: 'ask', parent: 'root', from: 2.5, to: 9, name: 'ask_scout' }),
      agent({ id: 'scout', parent: 'ask', from: 3, to: 9, name: 'scout' }),
      chat({ id: 's1', parent: 'scout', from: 3.5, to: 5 }),
      tool({ id: 'grep', parent: 'scout', from: 5, to: 6, name: 'grep' }),
      chat({ id: 's2', parent: 'scout', from: 6, to: 8 }),
      chat({ id: 'sum', parent: 'root', from: 10, to: 11 }),
    );
    expect(parents).toEqual({
      'main/0': [],
      'scout/0': ['main/0'],
      'scout/1': ['scout/0'],
      'main/1': ['scout/1'],
    });
    expect(session.calls.map(({ agent, gapMs, gapKind, tool }) => [agent, gapMs, gapKind, tool])).toEqual([
      ['main', 0, 'unknown', null],
      ['scout', 1500, 'client', null],
      ['scout', 1000, 'tool', 'grep'],
      ['main', 2000, 'client', null],
    ]);
    expect(tally.subagents).toBe(1);
  });

  test('sub-agents of one name that run at once are threads of their own, and the join waits for all of them', () => {
    const scout = (n: number, from: number): SpanSketch[] => [
      agent({ id: `scout${n}`, parent: 'root', from, to: from + 4, name: 'scout' }),
      chat({ id: `s${n}`, parent: `scout${n}`, from: from + 0.5, to: from + 3 }),
    ];
    const { parents, tally } = imported(
      agent({ id: 'root', from: 0, to: 20, name: 'lead' }),
      chat({ id: 'plan', parent: 'root', from: 1, to: 2 }),
      ...scout(1, 3),
      ...scout(2, 3.1),
      ...scout(3, 3.2),
      chat({ id: 'sum', parent: 'root', from: 10, to: 11 }),
    );
    expect(parents).toEqual({
      'main/0': [],
      'scout/0': ['main/0'],
      'scout~2/0': ['main/0'],
      'scout~3/0': ['main/0'],
      'main/1': ['scout/0', 'scout~2/0', 'scout~3/0'],
    });
    expect(tally.subagents).toBe(3);
  });

  test('an agent inside an agent is waited for through it', () => {
    const { parents } = imported(
      agent({ id: 'root', from: 0, to: 20, name: 'lead' }),
      chat({ id: 'plan', parent: 'root', from: 1, to: 2 }),
      agent({ id: 'mid', parent: 'root', from: 3, to: 12, name: 'mid' }),
      chat({ id: 'm1', parent: 'mid', from: 3, to: 4 }),
      agent({ id: 'deep', parent: 'mid', from: 5, to: 11, name: 'deep' }),
      chat({ id: 'd1', parent: 'deep', from: 6, to: 7 }),
      chat({ id: 'sum', parent: 'root', from: 13, to: 14 }),
    );
    expect(parents).toEqual({
      'main/0': [],
      'mid/0': ['main/0'],
      'deep/0': ['mid/0'],
      'main/1': ['deep/0'],
    });
  });

  test('what a sub-agent does after its span ended is not waited for', () => {
    const { parents } = imported(
      agent({ id: 'root', from: 0, to: 20, name: 'lead' }),
      chat({ id: 'plan', parent: 'root', from: 1, to: 2 }),
      agent({ id: 'launch', parent: 'root', from: 3, to: 3.1, name: 'background' }),
      chat({ id: 'b1', parent: 'launch', from: 3.5, to: 9 }),
      chat({ id: 'b2', parent: 'launch', from: 9.5, to: 15 }),
      chat({ id: 'sum', parent: 'root', from: 10, to: 11 }),
    );
    expect(parents).toEqual({
      'main/0': [],
      'background/0': ['main/0'],
      'background/1': ['background/0'],
      'main/1': ['main/0'],
    });
  });

  test('the one agent of a session is its main thread, from turn to turn and trace to trace', () => {
    const turn = (trace: string, from: number): SpanSketch[] => [
      agent({ id: 'root', trace, from, to: from + 5, name: 'helper', 'gen_ai.conversation.id': 'c' }),
      chat({ id: 'a', trace, parent: 'root', from: from + 1, to: from + 2 }),
    ];
    const { parents, session, tally } = imported(...turn('t1', 0), ...turn('t2', 60), ...turn('t3', 120));
    expect(parents).toEqual({ 'main/0': [], 'main/1': ['main/0'], 'main/2': ['main/1'] });
    expect(session.calls.map(call => call.gapMs)).toEqual([0, 59_000, 59_000]);
    expect(tally.subagents).toBe(0);
  });

  test('agents that a workflow runs one after the other are threads under their names', () => {
    const { parents, session } = imported(
      { id: 'flow', from: 0, to: 30, attributes: { 'gen_ai.operation.name': 'invoke_workflow' } },
      agent({ id: 'w', parent: 'flow', from: 1, to: 5, name: 'writer' }),
      chat({ id: 'w1', parent: 'w', from: 2, to: 4 }),
      agent({ id: 'r', parent: 'flow', from: 6, to: 9, name: 'reviewer' }),
      chat({ id: 'r1', parent: 'r', from: 7, to: 8 }),
      agent({ id: 'w2', parent: 'flow', from: 10, to: 15, name: 'writer' }),
      chat({ id: 'w2a', parent: 'w2', from: 11, to: 12 }),
    );
    expect(parents).toEqual({ 'writer/0': [], 'reviewer/0': ['writer/0'], 'writer/1': ['reviewer/0'] });
    // The writer goes on from its own prompt.
    expect(callOf(session, 'writer/1').blocks).toEqual(callOf(session, 'writer/0').blocks);
    expect(callOf(session, 'reviewer/0').blocks[0]).not.toBe(callOf(session, 'writer/0').blocks[0]);
  });

  test('one agent that runs twice at once is two threads, the first of them the main one', () => {
    const { parents } = imported(
      agent({ id: 'a', from: 0, to: 9, name: 'writer' }),
      chat({ id: 'a1', parent: 'a', from: 1, to: 2 }),
      agent({ id: 'b', from: 0.5, to: 9, name: 'writer' }),
      chat({ id: 'b1', parent: 'b', from: 1.5, to: 3 }),
    );
    expect(parents).toEqual({ 'main/0': [], 'writer/0': [] });
  });

  test('an agent that a framework wraps in another of its own is one thread', () => {
    const { parents } = imported(
      agent({ id: 'outer', from: 0, to: 9, name: 'graph' }),
      agent({ id: 'inner', parent: 'outer', from: 0.1, to: 8.9, name: 'helper' }),
      chat({ id: 'a', parent: 'inner', from: 1, to: 2 }),
    );
    expect(parents).toEqual({ 'main/0': [] });
  });

  test('an agent without calls is counted and not waited for', () => {
    const { parents, tally } = imported(
      chat({ id: 'a', from: 0, to: 1 }),
      agent({ id: 'remote', from: 2, to: 8, name: 'remote', 'gen_ai.usage.input_tokens': 999 }),
      chat({ id: 'b', from: 9, to: 10 }),
    );
    expect(parents).toEqual({ 'main/0': [], 'main/1': ['main/0'] });
    expect(tally.notes.emptyAgents).toBe(1);
    expect(tally.totals.inputTokens).toBe(640);
  });
});

describe('by content', () => {
  const ask = (content: string) => ({ role: 'user', content });
  const say = (content: string) => ({ role: 'assistant', content });

  test('a prompt that holds an output waits for it, and for nothing that merely ended before', () => {
    const { parents } = imported(
      spoken({ id: 'a1', from: 0, to: 1, input: [ask('A')], output: 'alpha' }),
      spoken({ id: 'b1', from: 0, to: 3, input: [ask('B')], output: 'beta' }),
      spoken({ id: 'a2', from: 4, to: 5, input: [ask('A'), say('alpha'), ask('go on')], output: 'gamma' }),
      spoken({ id: 'b2', from: 4.5, to: 6, input: [ask('B'), say('beta'), ask('go on')], output: 'delta' }),
      spoken({
        id: 'join',
        from: 7,
        to: 8,
        input: [say('gamma'), say('delta'), ask('compare')],
        output: 'end',
      }),
    );
    // By time alone a2 and b2 would each wait for both.
    expect(parents).toEqual({
      'main/0': [],
      'main/1': [],
      'main/2': ['main/0'],
      'main/3': ['main/1'],
      'main/4': ['main/2', 'main/3'],
    });
  });

  test('of a long history only the last output is waited for: the others come with it', () => {
    const { parents } = imported(
      spoken({ id: 'a', from: 0, to: 1, input: [ask('1')], output: 'one' }),
      spoken({ id: 'b', from: 2, to: 3, input: [ask('1'), say('one'), ask('2')], output: 'two' }),
      spoken({
        id: 'c',
        from: 4,
        to: 5,
        input: [ask('1'), say('one'), ask('2'), say('two'), ask('3')],
        output: 'three',
      }),
    );
    expect(parents['main/2']).toEqual(['main/1']);
  });

  test('a tool call is found by its id, though output and prompt write it in different ways', () => {
    const { session, parents } = imported(
      spoken({
        id: 'a',
        from: 0,
        to: 1,
        input: [ask('weather?')],
        output: [
          {
            role: 'assistant',
            parts: [{ type: 'tool_call', id: 'call_77', name: 'weather', arguments: { city: 'Paris' } }],
          },
        ],
      }),
      spoken({ id: 'x', from: 1.2, to: 1.5, input: [ask('title?')], output: 'Weather' }),
      spoken({
        id: 'b',
        from: 3,
        to: 4,
        input: [
          ask('weather?'),
          {
            role: 'assistant',
            tool_calls: [{ id: 'call_77', type: 'function', function: { name: 'weather', arguments: '{}' } }],
          },
          { role: 'tool', tool_call_id: 'call_77', content: 'rain' },
        ],
        output: 'It rains.',
      }),
    );
    expect(parents['main/2']).toEqual(['main/0']);
    expect(callOf(session, 'main/2')).toMatchObject({ gapMs: 2000, gapKind: 'tool', tool: null });
  });

  test('of several that said the same, it came from the last one that was done', () => {
    const { parents, session } = imported(
      spoken({ id: 'a', from: 0, to: 1, input: [{ role: 'tool', content: 'rain' }], output: 'yes' }),
      spoken({ id: 'b', from: 2, to: 3, input: [ask('B')], output: 'yes' }),
      spoken({ id: 'c', from: 2.5, to: 9, input: [ask('C')], output: 'yes' }),
      spoken({ id: 'd', from: 4, to: 5, input: [ask('B'), say('yes'), ask('sure?')], output: 'no' }),
    );
    expect(parents['main/3']).toEqual(['main/1']);
    // A tool's result in the first prompt is not a tool that ran in the session.
    expect(callOf(session, 'main/0').gapKind).toBe('unknown');
  });

  test('an output that is JSON is found as the text that it is', () => {
    const { parents } = imported(
      spoken({ id: 'a', from: 0, to: 1, input: [ask('rate')], output: '{"mood":"good"}' }),
      spoken({ id: 'b', from: 0.5, to: 2, input: [ask('rate')], output: '{"mood":"bad"}' }),
      spoken({
        id: 'c',
        from: 3,
        to: 4,
        input: [ask('rate'), say('{"mood":"good"}'), ask('why')],
        output: 'so',
      }),
    );
    expect(parents['main/2']).toEqual(['main/0']);
  });

  test('a short text that others may say too is no evidence, unless the assistant is said to have said it', () => {
    const { parents } = imported(
      spoken({ id: 'a', from: 0, to: 2, input: [ask('first')], output: 'yes' }),
      spoken({ id: 'b', from: 1, to: 3, input: [ask('second')], output: 'no' }),
      spoken({ id: 'c', from: 4, to: 5, input: [ask('yes')], output: 'fine' }),
      spoken({ id: 'd', from: 6, to: 7, input: [say('yes'), ask('and?')], output: 'well' }),
    );
    expect(parents['main/2']).toEqual(['main/0', 'main/1']);
    expect(parents['main/3']).toEqual(['main/0']);
  });

  test('with agent spans, a sub-agent is waited for even if its report was rewritten', () => {
    const { parents } = imported(
      agent({ id: 'root', from: 0, to: 20, name: 'lead' }),
      spoken({
        id: 'plan',
        parent: 'root',
        from: 1,
        to: 2,
        input: [ask('go')],
        output: 'I will ask the scout.',
      }),
      agent({ id: 'scout', parent: 'root', from: 3, to: 9, name: 'scout' }),
      spoken({ id: 's1', parent: 'scout', from: 3.5, to: 5, input: [ask('scout!')], output: 'found it' }),
      spoken({
        id: 'sum',
        parent: 'root',
        from: 10,
        to: 11,
        input: [ask('go'), say('I will ask the scout.'), ask('The scout found something.')],
        output: 'done',
      }),
    );
    expect(parents['main/1']).toEqual(['main/0', 'scout/0']);
  });

  test('without agent spans, system instructions tell agents apart, and one whose clock changes stays one', () => {
    const { session } = imported(
      spoken({
        id: 'a',
        from: 0,
        to: 1,
        input: [{ role: 'system', content: 'Lead. 10:00' }, ask('go')],
        output: 'ok',
      }),
      spoken({
        id: 's',
        from: 2,
        to: 3,
        input: [{ role: 'system', content: 'Scout.' }, ask('look')],
        output: 'seen',
      }),
      spoken({
        id: 'b',
        from: 4,
        to: 5,
        input: [{ role: 'system', content: 'Lead. 10:01' }, ask('go'), say('ok'), ask('next')],
        output: 'fine',
      }),
    );
    expect(session.calls.map(call => call.id)).toEqual(['main/0', 'agent-1/0', 'main/1']);
  });
});

const samples = '../shared/data/traces/otel-genai';
const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
describe.skipIf(!existsSync(at(samples)))('the shared samples (skipped where ../shared is absent)', () => {
  const sample = (name: string) => readTrace([at(`${samples}/${name}.json`)], { strict: true });

  /** The most calls that run at once. */
  const width = ({ calls }: RecordedSession): number =>
    Math.max(
      ...calls.map(
        ({ recorded: { startMs } }) =>
          calls.filter(
            ({ recorded: other }) => other.startMs <= startMs && startMs < other.startMs + (other.e2eMs ?? 0),
          ).length,
      ),
    );

  test('all five are read in full', () => {
    const { sessions, report } = readTrace([at(samples)], { strict: true });
    expect(report.unreadable).toEqual([]);
    expect(report.totals).toMatchObject({ sessions: 8, calls: 31 });
    expect(new Set(sessions.map(session => session.source)).size).toBe(5);
  });

  test('fan_in_dependencies: the last call waits for all', () => {
    const [session] = sample('fan_in_dependencies').sessions as [RecordedSession];
    expect(session.calls.at(-1)!.parents).toEqual(session.calls.slice(0, -1).map(call => call.id));
  });

  test('parallel_requests: two calls run at once, from one and into one', () => {
    const [session] = sample('parallel_requests').sessions as [RecordedSession];
    expect(width(session)).toBe(2);
    expect(parentsOf(session)).toEqual({
      'main/0': [],
      'main/1': ['main/0'],
      'main/2': ['main/0'],
      'main/3': ['main/1', 'main/2'],
      'main/4': ['main/3'],
    });
  });

  test('simple_chain: each call waits for the one before and holds its prompt', () => {
    const [session] = sample('simple_chain').sessions as [RecordedSession];
    expect(width(session)).toBe(1);
    expect(session.calls.map(call => call.parents)).toEqual([[], ['main/0'], ['main/1']]);
    const [, second, third] = session.calls.map(call => call.blocks);
    expect(third!.slice(0, second!.length)).toEqual(second);
  });

  test('multi_agent_research: nine sub-agents, three at a time, each round brought together', () => {
    const { sessions, report } = sample('multi_agent_research');
    const [session] = sessions as [RecordedSession];
    expect(report.subagents).toBe(9);
    expect(width(session)).toBe(3);
    expect(session.calls.filter(call => call.agent === 'main').map(call => call.parents)).toEqual([
      [],
      ['agent-4/0'],
      ['agent-8/0'],
    ]);
    expect(callOf(session, 'agent-4/0').parents).toEqual(['agent-1/0', 'agent-2/0', 'agent-3/0']);
    expect(callOf(session, 'agent-8/0').parents).toEqual(['agent-5/0', 'agent-6/0', 'agent-7/0']);
  });

  test('prefix_sharing_example: four turns of a conversation share their beginning, the others share nothing', () => {
    const { sessions } = sample('prefix_sharing_example');
    const turns = sessions.find(session => session.id === 'conversation_trace')!.calls;
    expect(turns.map(call => call.parents)).toEqual([[], ['main/0'], ['main/1'], ['main/2']]);
    for (const [index, call] of turns.slice(1).entries()) {
      const before = turns[index]!.blocks;
      expect(call.blocks.slice(0, before.length)).toEqual(before);
    }
    const others = sessions
      .filter(session => session.id !== 'conversation_trace')
      .flatMap(({ calls }) => calls);
    const shared = new Set(turns.flatMap(call => call.blocks));
    expect(others.flatMap(call => call.blocks).filter(block => shared.has(block))).toEqual([]);
  });
});
