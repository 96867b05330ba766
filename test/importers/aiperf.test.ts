// aiperf's conversation files: plain turns, and graphs of conversations. The fixtures' texts are invented.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RecordedSession } from '../../scenarios/formats/recorded.ts';
import { aiperf } from '../../scenarios/importers/aiperf/aiperf.ts';
import { emptyTally, reportOf } from '../../scenarios/importers/importer.ts';
import { detectImporter } from '../../scenarios/importers/index.ts';
import { readTrace } from '../../scenarios/importers/read.ts';
import { importText, traceText } from '../builders/traces.ts';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const fixture = (name: string): string => readFileSync(at(`test/fixtures/aiperf/${name}`), 'utf8');
const rows = (...each: object[]): string => each.map(row => JSON.stringify(row)).join('\n');
const imported = (...each: object[]) => importText(aiperf, rows(...each), 'chats.jsonl');

/** Each call with what it waits for, how long, and from when. */
const graphOf = ({ calls }: RecordedSession): Record<string, [string[], number, number]> =>
  Object.fromEntries(calls.map(call => [call.id, [call.parents, call.gapMs, call.recorded.startMs]]));
const callOf = ({ calls }: RecordedSession, id: string) => calls.find(call => call.id === id)!;

describe('multi_turn', () => {
  test('each turn goes on from the turns before and their answers', () => {
    const { sessions, tally } = imported({
      session_id: 's',
      turns: [
        { text: 'a'.repeat(100), output_length: 10 },
        { text: 'b'.repeat(40), output_length: 20, delay: 2000 },
      ],
    });
    const [first, second] = sessions[0]!.calls;
    // 100 characters; then 100 + 10 x 4 + 40.
    expect([first!.promptTokens, second!.promptTokens]).toEqual([25, 45]);
    expect([first!.outputTokens, second!.outputTokens]).toEqual([10, 20]);
    expect([first!.blocks, second!.blocks]).toEqual([[0], [0, 1]]);
    expect(second).toMatchObject({
      parents: ['main/0'],
      gapMs: 2000,
      gapKind: 'human',
      gapProvenance: 'recorded',
    });
    expect(tally.provenance.prompt).toEqual({ recorded: 0, inferred: 2, defaulted: 0 });
    expect(tally.provenance.output).toEqual({ recorded: 2, inferred: 0, defaulted: 0 });
    expect(tally.totals).toMatchObject({ sessions: 1, calls: 2, hitBlocks: 1, hitTokens: 16 });
  });

  test('a person writes every turn, the first one too', () => {
    const { sessions } = imported({ session_id: 's', turns: [{ text: 'a' }, { text: 'b' }] });
    expect(sessions[0]!.calls.map(({ gapKind }) => gapKind)).toEqual(['human', 'human']);
  });

  test('turns that no context holds with what came before them are left out, and named', () => {
    const turns = Array.from({ length: 4 }, () => ({ text: 'a', output_length: 16_777_216 }));
    const { sessions, tally } = imported({ session_id: 's', turns });
    expect(sessions[0]!.calls).toHaveLength(1);
    expect(tally.unreadable).toEqual([
      {
        where: 'chats.jsonl:1, from turn 2 on',
        why: 'with what came before it, its prompt has 16777218 tokens, more than 16777216',
      },
    ]);
  });

  test('a turn that does not limit its output is taken for 129 tokens, and counted', () => {
    const { sessions, tally } = imported({ session_id: 's', turns: [{ text: 'hello' }] });
    expect(sessions[0]!.calls[0]!.outputTokens).toBe(129);
    expect(tally.provenance.output).toEqual({ recorded: 0, inferred: 0, defaulted: 1 });
    expect(reportOf(tally).warnings.join('\n')).toMatch(
      /^1 turns do not limit their output: taken for 129 tokens/m,
    );
  });

  test('leading instructions are part of the first prompt, not a call', () => {
    const { sessions } = imported({
      session_id: 's',
      turns: [{ role: 'system', text: 's'.repeat(80) }, { text: 'u'.repeat(20) }, { text: 'v'.repeat(20) }],
    });
    expect(sessions[0]!.calls).toHaveLength(2);
    expect(sessions[0]!.calls[0]!.promptTokens).toBe(25);
    expect(sessions[0]!.systemTokens).toBe(20);
  });

  test('timestamps are arrivals and gaps, and the gaps count as inferred: the answer is in them', () => {
    const { sessions, tally } = imported(
      {
        session_id: 'a',
        turns: [
          { text: 'one', timestamp: 1500 },
          { text: 'two', timestamp: 4000 },
        ],
      },
      { session_id: 'b', turns: [{ text: 'one', delay: 10 }] },
    );
    expect(sessions.map(session => session.arrivalMs)).toEqual([1500, null]);
    expect(sessions[0]!.calls[1]).toMatchObject({ gapMs: 2500, gapProvenance: 'inferred' });
    expect(sessions[0]!.calls[1]!.recorded.startMs).toBe(2500);
    expect(tally.provenance.arrival).toEqual({ recorded: 1, inferred: 0, defaulted: 1 });
    expect(tally.epochMs).toBeNull();
  });

  test('leading instructions do not hide when the first turn is sent', () => {
    const { sessions } = imported({
      session_id: 'a',
      turns: [
        { role: 'system', text: 'be brief' },
        { text: 'one', timestamp: 1500 },
      ],
    });
    expect(sessions.map(({ arrivalMs, calls }) => [arrivalMs, calls.length])).toEqual([[1500, 1]]);
  });

  test('timestamps of the calendar count from the first of them', () => {
    const { sessions, tally } = imported(
      { session_id: 'a', turns: [{ text: 'one', timestamp: 1_763_690_400_000 }] },
      { session_id: 'b', turns: [{ text: 'one', timestamp: 1_763_690_402_500 }] },
      { session_id: 'c', turns: [{ text: 'one', timestamp: 1_763_690_399_000 }] },
    );
    expect(sessions.map(session => session.arrivalMs)).toEqual([0, 2500, 0]);
    expect(tally.epochMs).toBe(1_763_690_400_000);
    expect(tally.notes.earlyRows).toBe(1);
  });

  test('rows of one session that follow each other are one session', () => {
    const { sessions } = imported(
      { session_id: 'a', turns: [{ text: 'one' }] },
      { session_id: 'a', turns: [{ text: 'two' }] },
      { session_id: 'b', turns: [{ text: 'three' }] },
    );
    expect(sessions.map(({ id, calls }) => [id, calls.length])).toEqual([
      ['a', 2],
      ['b', 1],
    ]);
  });

  test('rows stream: a session is given out when the next begins', () => {
    const whole = traceText(
      rows(...[1, 2, 3, 4].map(n => ({ session_id: `s${n}`, turns: [{ text: 'hm' }] }))),
      'a.jsonl',
    );
    let read = 0;
    const counted = {
      ...whole,
      *lines() {
        for (const line of whole.lines()) {
          read += 1;
          yield line;
        }
      },
    };
    const options = { blockTokens: null, jitterQuantum: false };
    const sessions = aiperf.read(counted, emptyTally(), options)[Symbol.iterator]();
    expect(sessions.next().value!.id).toBe('s1');
    expect(read).toBe(2);
  });
});

describe('single_turn and random_pool', () => {
  test('each row is a prompt of its own, also where rows share a session', () => {
    const { sessions } = imported(
      { text: 'x'.repeat(64), timestamp: 1000, output_length: 64, session_id: 'm1' },
      { text: 'y'.repeat(64), session_id: 'm1', delay: 500 },
      { texts: ['Job text A', { name: 'b', contents: ['Job text B'] }] },
    );
    expect(
      sessions.map(({ id, arrivalMs, calls }) => [id, arrivalMs, calls.map(call => call.promptTokens)]),
    ).toEqual([
      ['m1', 1000, [16, 16]],
      ['chats:3', null, [6]],
    ]);
    expect(sessions[0]!.calls[1]).toMatchObject({ parents: ['main/0'], gapMs: 500, blocks: [1] });
  });

  test('equal texts share their blocks over the file', () => {
    const { sessions, tally } = imported({ text: 'x'.repeat(130) }, { text: 'x'.repeat(200) });
    expect(sessions.map(({ calls }) => calls[0]!.blocks)).toEqual([
      [0, 1],
      [0, 1, 2],
    ]);
    expect(tally.totals.hitBlocks).toBe(2);
    expect(sessions[0]!.blockScope).toBe('aiperf/file:chats');
  });

  test('images are counted, and a prompt of images alone is left out', () => {
    const { tally } = imported({ text: 'What is this?', image: '/cat.png' }, { images: ['/cat.png'] });
    expect(tally.totals.calls).toBe(1);
    expect(tally.notes.imageCalls).toBe(1);
    expect(tally.unreadable).toEqual([
      { where: 'chats.jsonl:2', why: 'it has images, sound or video alone, which are not read' },
    ]);
  });
});

describe('dag_jsonl', () => {
  const graphs = (name: string) => importText(aiperf, fixture(name), name);

  test('a spawn starts after its turn and is waited for by the next, or by the turn that it names', () => {
    const { sessions, tally } = graphs('dag.jsonl');
    expect(sessions.map(({ id, arrivalMs }) => [id, arrivalMs])).toEqual([
      ['root', null],
      ['alone', null],
    ]);
    // Only gaps are known: calls are taken to last no time.
    expect(graphOf(sessions[0]!)).toEqual({
      'main/0': [[], 0, 0],
      'co-1/0': [['main/0'], 50, 50],
      'co-1/1': [['co-1/0'], 1000, 1050],
      'co-2/0': [['main/0'], 0, 0],
      'main/1': [['main/0', 'co-1/1'], 100, 1150],
      'main/2': [['main/1', 'co-2/0'], 250, 1400],
    });
    expect(sessions[0]!.calls.map(({ id, gapKind }) => [id, gapKind])).toEqual([
      ['main/0', 'unknown'],
      ['co-2/0', 'client'],
      ['co-1/0', 'client'],
      ['co-1/1', 'unknown'],
      ['main/1', 'client'],
      ['main/2', 'client'],
    ]);
    expect(tally.subagents).toBe(2);
  });

  test('a spawn starts with a fresh context, and the parent goes on with its own', () => {
    const [session] = graphs('dag.jsonl').sessions;
    // 'Classify listing 1' alone; then that, 32 tokens and 'And the other'.
    expect(callOf(session!, 'co-1/0').promptTokens).toBe(5);
    expect(callOf(session!, 'co-1/1').promptTokens).toBe(Math.ceil((18 + 32 * 4 + 13) / 4));
    // 69 + 18, 200 x 4, 29 characters.
    expect(callOf(session!, 'main/1').promptTokens).toBe(Math.ceil((69 + 18 + 800 + 29) / 4));
    expect(session!.systemTokens).toBe(18);
  });

  test('max_tokens is the output, model is the turn’s, and what is not given is defaulted', () => {
    const { sessions, tally } = graphs('dag.jsonl');
    expect(callOf(sessions[0]!, 'main/0')).toMatchObject({ outputTokens: 200, model: 'big' });
    expect(callOf(sessions[0]!, 'main/2')).toMatchObject({ outputTokens: 129, model: 'unknown' });
    expect(tally.provenance.output).toEqual({ recorded: 6, inferred: 0, defaulted: 1 });
    expect(tally.provenance.model).toEqual({ recorded: 1, inferred: 0, defaulted: 6 });
  });

  test('a fork goes on from the context of its parent: the same leading blocks', () => {
    const [session] = graphs('forks.jsonl').sessions;
    expect(graphOf(session!)).toMatchObject({
      'notes/0': [['main/0'], 0, 0],
      'main/1': [['main/0'], 0, 0],
      'left/0': [['main/1'], 0, 0],
      'right/0': [['main/1'], 0, 0],
      'left/1': [['left/0'], 0, 0],
    });
    const parent = callOf(session!, 'main/1');
    expect(parent.blocks.length).toBeGreaterThan(4);
    for (const id of ['left/0', 'right/0']) {
      const child = callOf(session!, id);
      expect(child.promptTokens).toBeGreaterThan(parent.promptTokens + parent.outputTokens);
      expect(child.blocks.slice(0, parent.blocks.length)).toEqual(parent.blocks);
    }
    // One in the background starts from the turn that it names, not from what came later.
    expect(callOf(session!, 'notes/0').promptTokens).toBeLessThan(parent.promptTokens + 4);
  });

  test('pre_session_spawns start with their conversation, and nothing waits for them', () => {
    const [session] = graphs('forks.jsonl').sessions;
    expect(callOf(session!, 'early/0').parents).toEqual(['main/1']);
    expect(session!.calls.filter(call => call.parents.includes('early/0'))).toEqual([]);
  });

  test('rounds of an orchestrator wait for all of the round before, and think in between', () => {
    const chat = (id: string) => ({
      session_id: id,
      turns: [{ messages: [{ role: 'user', content: id }], max_tokens: 4 }],
    });
    const { sessions, tally } = imported(
      {
        session_id: 'start',
        orchestrator: true,
        rounds: 2,
        think_time_ms: 100,
        think_time_sigma: 0.6,
        spawns: ['a', 'b'],
      },
      chat('a'),
      chat('b'),
    );
    expect(graphOf(sessions[0]!)).toEqual({
      'a/0': [[], 100, 100],
      'b/0': [[], 100, 100],
      'a~2/0': [['a/0', 'b/0'], 100, 200],
      'b~2/0': [['a/0', 'b/0'], 100, 200],
    });
    // What is drawn in aiperf is taken at its median here.
    expect(tally.provenance.gap).toEqual({ recorded: 0, inferred: 4, defaulted: 0 });
    const listed = imported(
      {
        session_id: 'start',
        orchestrator: true,
        think_time_ms: 7,
        rounds: [{ spawns: ['a'], think_time_ms: 1000 }, { spawns: ['b'] }],
      },
      chat('a'),
      chat('b'),
    );
    expect(graphOf(listed.sessions[0]!)).toEqual({ 'a/0': [[], 1000, 1000], 'b/0': [['a/0'], 7, 1007] });
  });

  test('an orchestrator inside another pauses after the pause of that one, and a pause keeps its bounds', () => {
    const { sessions } = imported(
      { session_id: 'outer', orchestrator: true, rounds: [{ spawns: ['inner'], think_time_ms: 1000 }] },
      {
        session_id: 'inner',
        orchestrator: true,
        rounds: 1,
        spawns: ['a'],
        think_time_ms: 100,
        think_time_sigma: 0.6,
        think_time_min_ms: 200,
      },
      { session_id: 'a', turns: [{ messages: [{ role: 'user', content: 'a' }], max_tokens: 4, delay: 7 }] },
    );
    expect(graphOf(sessions[0]!)).toEqual({ 'a/0': [[], 1207, 1207] });
  });

  test('context_mode says what a turn comes behind', () => {
    const prompts = (context_mode: string) =>
      imported({
        session_id: 's',
        context_mode,
        turns: ['a', 'b'].map(letter => ({
          messages: [{ role: 'user', content: letter.repeat(40) }],
          max_tokens: 5,
        })),
      }).sessions[0]!.calls.map(call => call.promptTokens);
    expect(prompts('deltas_without_responses')).toEqual([10, 25]);
    expect(prompts('deltas_with_responses')).toEqual([10, 20]);
    expect(prompts('message_array_with_responses')).toEqual([10, 10]);
  });

  test('tools stand once at the head of a context, and are inherited by forks', () => {
    const tools = [{ type: 'function', function: { name: 'look' } }];
    const chars = JSON.stringify(tools).length;
    const turn = (more: object) => ({
      messages: [{ role: 'user', content: 'u'.repeat(8) }],
      max_tokens: 1,
      tools,
      ...more,
    });
    const { sessions } = imported(
      { session_id: 'r', turns: [turn({}), turn({ forks: ['f'] })] },
      { session_id: 'f', turns: [turn({})] },
    );
    expect(sessions[0]!.calls.map(call => call.promptTokens)).toEqual([
      Math.ceil((chars + 8) / 4),
      Math.ceil((chars + 8 + 4 + 8) / 4),
      Math.ceil((chars + 8 + 4 + 8 + 4 + 8) / 4),
    ]);
  });

  test('what aiperf refuses is refused with its row: unknown keys, joins and forks that cannot be, circles', () => {
    const { sessions, tally } = graphs('bad-dag.jsonl');
    const turnKeys = 'messages, model, max_tokens, tools, extra, forks, spawns, delay';
    expect(tally.unreadable).toEqual([
      { where: 'bad-dag.jsonl:1', why: `turns[0]: unknown key "max_token"; there are ${turnKeys}` },
      {
        where: 'bad-dag.jsonl:2',
        why: expect.stringMatching(/^unknown key "colour"; there are session_id, turns/),
      },
      { where: 'bad-dag.jsonl:3', why: 'turns[0]: join_at is 4, expected a turn from 1 to 1' },
      {
        where: 'bad-dag.jsonl:4',
        why: 'turns[0]: fork "good" ends its conversation here: only the last turn may, or "background": true',
      },
      {
        where: 'bad-dag.jsonl:8',
        why: 'turns[0]: messages[0] is {"content":"no role"}, not a message with a role',
      },
      { where: 'bad-dag.jsonl:9', why: 'an orchestrator needs spawns' },
      { where: 'bad-dag.jsonl:10', why: 'think_time_ms is for orchestrators ("orchestrator": true)' },
      {
        where: 'bad-dag.jsonl:11',
        why: expect.stringMatching(/^context_mode is "all", expected deltas_without/),
      },
      { where: 'bad-dag.jsonl:13', why: 'session_id "good" is there twice' },
      {
        where: 'bad-dag.jsonl:5',
        why: 'it starts "nowhere", which is no conversation of the file that can be read',
      },
      { where: 'bad-dag.jsonl:6', why: 'it starts itself: a → b → a' },
      { where: 'bad-dag.jsonl:7', why: 'what starts it is left out' },
    ]);
    expect(sessions.map(session => session.id)).toEqual(['fine']);
    expect(tally.provenance.output).toEqual({ recorded: 1, inferred: 0, defaulted: 1 });
  });

  test('a graph that unrolls beyond all bounds is refused, not followed', () => {
    const doubling = (level: number) => ({
      session_id: `l${level}`,
      orchestrator: true,
      rounds: [{ spawns: [`l${level + 1}`] }, { spawns: [`l${level + 1}`] }],
    });
    const leaf = {
      session_id: 'l30',
      turns: [{ messages: [{ role: 'user', content: 'x' }], max_tokens: 1 }],
    };
    const { sessions, tally } = imported(...Array.from({ length: 30 }, (_, level) => doubling(level)), leaf);
    expect(sessions).toEqual([]);
    expect(tally.unreadable[0]!.why).toBe('it unrolls to more than 100000 calls');
  });

  test('of a graph that is refused every row is named, and none of it counted', () => {
    const turn = { messages: [{ role: 'user', content: 'x' }], max_tokens: 1 };
    const { sessions, tally } = imported(
      { session_id: 'child', turns: [turn] },
      { session_id: 'root', turns: [{ ...turn, spawns: ['child', 'nowhere'] }, turn] },
      { session_id: 'other', turns: [turn] },
    );
    expect(sessions.map(({ id }) => id)).toEqual(['other']);
    expect(tally.unreadable.map(({ where, why }) => [where, why])).toEqual([
      ['chats.jsonl:2', expect.stringMatching(/^it starts "nowhere"/)],
      ['chats.jsonl:1', 'what starts it is left out'],
    ]);
    expect(tally.provenance).toMatchObject({
      arrival: { recorded: 0, inferred: 0, defaulted: 1 },
      output: { recorded: 1, inferred: 0, defaulted: 0 },
    });
  });

  test('few lines that would make more blocks than memory holds are refused', () => {
    const long = { messages: [{ role: 'user', content: 'y'.repeat(400_000) }], max_tokens: 1 };
    const { tally } = imported(
      { session_id: 'root', orchestrator: true, rounds: 90_000, spawns: ['child'] },
      { session_id: 'child', turns: Array.from({ length: 100 }, () => long) },
    );
    expect(tally.unreadable[0]!.why).toBe('its prompts have more than 16777216 blocks in all');
    const answers = { messages: [{ role: 'user', content: 'y' }], max_tokens: 16_777_216 };
    expect(imported({ session_id: 'root', turns: [answers, answers] }).tally.unreadable[0]!.why).toMatch(
      /^main\/1: with what came before it, its prompt has 16777217 tokens, more than 16777216$/,
    );
  });
});

describe('the format', () => {
  test('is told by its first row, and leaves other formats of lines alone', () => {
    expect(detectImporter(fixture('dag.jsonl'), 'a.jsonl')?.name).toBe('aiperf');
    expect(detectImporter(rows({ text: 'hm' }), 'a.jsonl')?.name).toBe('aiperf');
    expect(detectImporter(`{"session_id":"s","turns":[{"text":"${'x'.repeat(70_000)}`, 'a.jsonl')?.name).toBe(
      'aiperf',
    );
    expect(detectImporter(rows({ session_id: 's', input_length: 5, delay: 3 }), 'a.jsonl')?.name).toBe(
      'mooncake',
    );
    expect(aiperf.detect(rows({ chat_id: 1, type: 'text', input_length: 3 }), 'a.jsonl')).toBe(false);
  });

  test('no text is in a session', () => {
    const { sessions, tally } = importText(aiperf, fixture('dag.jsonl'), 'dag.jsonl');
    expect(JSON.stringify([sessions, reportOf(tally)])).not.toMatch(/planner|companies|listing|headline/i);
  });

  test('law: whatever the rows are, the importer returns, and parents come first', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd');
    const turn = fc.record(
      {
        messages: fc.constant([{ role: 'user', content: 'hello there' }]),
        max_tokens: fc.integer({ min: 0, max: 50 }),
        delay: fc.nat(1000),
        spawns: fc.array(
          fc.oneof(name, fc.record({ children: fc.array(name, { maxLength: 2 }), join_at: fc.nat(3) })),
          {
            maxLength: 2,
          },
        ),
        forks: fc.array(fc.oneof(name, fc.record({ child: name, background: fc.boolean() })), {
          maxLength: 1,
        }),
      },
      { requiredKeys: ['messages'] },
    );
    const conversation = fc.record(
      {
        session_id: name,
        turns: fc.array(turn, { maxLength: 3 }),
        pre_session_spawns: fc.array(name, { maxLength: 1 }),
      },
      { requiredKeys: ['session_id', 'turns'] },
    );
    const anything = fc.oneof(
      { weight: 5, arbitrary: conversation },
      { weight: 1, arbitrary: fc.jsonValue() },
    );
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 6 }), list => {
        const text = list.map(row => JSON.stringify(row)).join('\n');
        const { sessions, tally } = importText(aiperf, text, 'a.jsonl');
        expect(tally.totals.sessions).toBe(sessions.length);
        for (const { calls } of sessions) {
          const seen = new Set<string>();
          for (const call of calls) {
            for (const parent of call.parents) expect(seen.has(parent)).toBe(true);
            expect(seen.has(call.id)).toBe(false);
            seen.add(call.id);
          }
        }
      }),
    );
  });
});

const fixtures = '../shared/data/traces/format-fixtures';
describe.skipIf(!existsSync(at(fixtures)))('the shared fixtures (skipped where ../shared is absent)', () => {
  test.each([
    ['aiperf-multi-turn.jsonl', { sessions: 2, calls: 3, outputTokens: 200 + 80 + 129 }],
    ['aiperf-single-turn.jsonl', { sessions: 2, calls: 2, outputTokens: 129 + 64 }],
    ['aiperf-random-pool.jsonl', { sessions: 2, calls: 2, outputTokens: 2 * 129 }],
    ['aiperf-dag.jsonl', { sessions: 1, calls: 4, outputTokens: 200 + 300 + 32 + 32 }],
  ])('%s is read in full', (name, totals) => {
    const { report } = readTrace([at(`${fixtures}/${name}`)], { strict: true });
    expect(report.format).toBe('aiperf');
    expect(report.totals).toMatchObject(totals);
  });

  test('the turn after the spawns of aiperf-dag.jsonl waits for both companies', () => {
    const { sessions } = readTrace([at(`${fixtures}/aiperf-dag.jsonl`)]);
    expect(callOf(sessions[0]!, 'main/1')).toMatchObject({
      parents: ['main/0', 'co-1/0', 'co-2/0'],
      gapMs: 250,
    });
  });
});
