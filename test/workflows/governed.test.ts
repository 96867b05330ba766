// What a gateway does to a session's leaves: calls that are skipped or cut, tools that go otherwise than planned, sub-agents
// that are refused, sessions that are finalised.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { LiveNode, ToolRun } from '../../scenarios/workflows/progress.ts';
import { workflowText } from '../builders/scenarios.ts';
import { basePath, CHECKPOINTS, Driven, randomTexts, withRules } from '../builders/sessions.ts';

const RESTARTS = `${CHECKPOINTS}\n    restarts: { max: 2, from: checkpoint }`;
const drive = (steps: string, observer = {}): Driven => new Driven(workflowText(steps), observer).start();

describe('a call that is skipped', () => {
  test('leaves nothing in its thread, and its list goes on without an answer', () => {
    const session = drive(
      '[ { llm: a, adds: 100, out: 10 }, { llm: b, adds: 50, out: 20 }, { llm: c, adds: =5 + tokens(prev) + tokens(b), out: 1 } ]',
    );
    session.finish('a');
    session.finish('b', 'shed', { isSkipped: true });
    session.finish('c');
    expect(session.prompts()).toEqual({ a: 100, b: 160, c: 115 });
    expect(session.ends()).toEqual([
      ['a', 'completed'],
      ['b', 'failed'],
      ['c', 'completed'],
    ]);
    expect(session.dones).toEqual([{ kind: 'done', status: 'completed', error: null }]);
  });

  test('a compaction that is skipped leaves the thread as long as it was', () => {
    const session = drive(
      '[ { llm: a, adds: 100, out: 100 }, { llm: b, adds: 5, out: 1, compact_at: 150 } ]',
    );
    session.finish('a');
    session.finish('b/compact', 'budget', { isSkipped: true });
    session.finish('b');
    expect(session.prompts()).toMatchObject({ b: 205 });
  });
});

describe('an answer that is cut', () => {
  const steps = '[ { llm: a, adds: 100, out: 50, reasoning: 30 }, { llm: b, adds: 5, reads: [a], out: 1 } ]';
  const promptOfB = (answerTokens: number): number => {
    const session = drive(steps);
    session.finish('a', null, { answerTokens });
    return session.prompts().b as number;
  };

  test('is as long as what was generated after the reasoning, in the thread and where it is read', () => {
    expect(promptOfB(80)).toBe(100 + 50 + 50 + 5);
    expect(promptOfB(45)).toBe(100 + 15 + 15 + 5);
    expect(promptOfB(30)).toBe(100 + 5);
    expect(promptOfB(10)).toBe(100 + 5);
    expect(promptOfB(999)).toBe(promptOfB(80));
  });

  test('of a summary is what its thread then holds', () => {
    const session = drive(
      '[ { llm: a, adds: 100, out: 100 }, { compact: short, out: 40 }, { llm: b, adds: 5, out: 1 } ]',
    );
    session.finish('a');
    session.finish('short', null, { answerTokens: 12 });
    expect(session.prompts()).toMatchObject({ b: 17 });
  });
});

describe('a tool', () => {
  const after = '{ llm: reads, adds: =tokens(prev), out: 1 }';
  const tools =
    'tools: { fetch: { latency: 1s }, good: { latency: 1s, result: 40 }, hard: { latency: 1s, result: 40, fail: 100%, on_fail: stop }, ' +
    'weak: { latency: 1s, result: 40, fail: 100%, error_result: 7 }, odd: { latency: { median: 1s, p90: 9s }, fail: 30% } }';
  const driveTool = (tool: string): Driven =>
    new Driven(workflowText(`[ { tool: ${tool} }, ${after} ]`).replace(/^tools: .*$/m, tools)).start();
  const toolOf = (node: LiveNode): ToolRun => node.tool as ToolRun;

  test('ends as it was planned where nothing is said', () => {
    const weak = driveTool('weak');
    weak.endDelay('weak');
    expect(weak.prompts()).toEqual({ reads: 7 });
    const hard = driveTool('hard');
    hard.endDelay('hard');
    expect(hard.dones).toEqual([{ kind: 'done', status: 'failed', error: 'tool_failed' }]);
  });

  test('gives its result where it went well after all', () => {
    for (const name of ['good', 'hard', 'weak']) {
      const session = driveTool(name);
      session.endDelay(name, null);
      expect(session.prompts()).toEqual({ reads: 40 });
      expect(session.nodes[0]).toMatchObject({ call: name, status: 'completed' });
    }
  });

  test('gives its error text where it failed after all, unless it stops its list', () => {
    const good = driveTool('good');
    good.endDelay('good', 'timeout');
    expect(good.prompts()).toEqual({ reads: 60 });
    expect(good.nodes[0]).toMatchObject({ call: 'good', status: 'failed' });
    const hard = driveTool('hard');
    hard.endDelay('hard', 'denied_tool');
    expect(hard.dones).toEqual([{ kind: 'done', status: 'failed', error: 'denied_tool' }]);
  });

  test('draws each further attempt anew, the same whoever asks', () => {
    const session = driveTool('odd');
    const node = session.node('odd');
    const run = toolOf(node);
    expect(run.attempt(0).delayMs).toBe(session.delays.get(node.row));
    const attempts = Array.from({ length: 2000 }, (_, n) => run.attempt(n));
    expect(new Set(attempts.map(({ delayMs }) => delayMs)).size).toBe(2000);
    const failed = attempts.filter(({ fails }) => fails === 'tool_failed').length / 2000;
    expect(Math.abs(failed - 0.3)).toBeLessThan(0.04);
    const again = toolOf(driveTool('odd').node('odd'));
    expect([5, 0, 1999].map(n => again.attempt(n))).toMatchObject(
      [5, 0, 1999].map(n => ({ ...attempts[n] })),
    );
  });

  test('asks the same nowhere else: arguments are named by place', () => {
    const session = drive('[ { map: jobs, over: 3, steps: [ { tool: fetch }, { tool: fetch } ] } ]');
    for (const job of [0, 1, 2]) session.endDelay(`jobs[${job}]/fetch`);
    const keys = session.started.map(node => toolOf(node).argsKey);
    expect(new Set(keys.map(({ hi, lo }) => `${hi}.${lo}`)).size).toBe(6);
  });
});

describe('a sub-agent that is refused', () => {
  test('fails its list before it starts; `try` catches it', () => {
    const asked: [string, number][] = [];
    const observer = {
      refusesAgent: (path: string, depth: number): string | null => {
        asked.push([path, depth]);
        return path.startsWith('guarded') ? 'denied_agents' : null;
      },
    };
    const session = drive(
      '[ { try: guarded, steps: [ { agent: helper } ], on_error: [ { wait: 1s } ] }, { agent: helper } ]',
      observer,
    );
    expect(asked).toEqual([['guarded/helper', 1]]);
    expect(session.ends()).toEqual([
      ['guarded/helper/think', 'skipped'],
      ['guarded/helper/fetch', 'skipped'],
      ['guarded/helper/conclude', 'skipped'],
    ]);
    session.endDelay('guarded/on_error/wait');
    expect(asked).toHaveLength(2);
    expect(session.node('helper/think').call?.agentDepth).toBe(1);
    const bare = drive('[ { agent: helper }, { wait: 1s } ]', { refusesAgent: () => 'denied_agents' });
    expect(bare.dones).toEqual([{ kind: 'done', status: 'failed', error: 'denied_agents' }]);
    expect(bare.ends().map(([, status]) => status)).toEqual(['skipped', 'skipped', 'skipped', 'skipped']);
  });

  test('what was about to start beside it never does', () => {
    const session = drive(
      '[ { parallel: both, branches: [ [ { llm: a, adds: 1, out: 1 } ], [ { agent: helper } ] ] } ]',
      { refusesAgent: () => 'denied_agents' },
    );
    expect(session.started).toEqual([]);
    expect(session.dones).toMatchObject([{ status: 'failed', error: 'denied_agents' }]);
    expect(session.ends()).toContainEqual(['both[0]/a', 'skipped']);
  });
});

describe('a session that is finalised', () => {
  test('goes on to its final step, on the thread as it is', () => {
    const session = drive(
      '[ { llm: a, adds: 100, out: 10 }, { tool: fetch }, { repeat: look, times: 9, steps: [ { llm: b, adds: 5, out: 5 } ] }, { llm: end, role: final, adds: 3, out: 1, compact_at: 50 }, { llm: late, adds: 1, out: 1 } ]',
    );
    session.progress.finalize();
    expect(session.live.map(({ path }) => path)).toEqual(['a']);
    session.finish('a');
    expect(session.live.map(({ path }) => path)).toEqual(['end']);
    expect(session.prompts()).toEqual({ a: 100, end: 113 });
    session.finish('end');
    expect(session.dones).toMatchObject([{ status: 'completed' }]);
    expect(session.ends()).toEqual([
      ['a', 'completed'],
      ['fetch', 'skipped'],
      ['look/b', 'skipped'],
      ['end', 'completed'],
      ['late', 'skipped'],
    ]);
  });

  test('makes one pass of what holds a final step, and no further one of what runs', () => {
    const session = drive(
      '[ { map: jobs, over: 4, max_parallel: 1, steps: [ { llm: work, adds: 1, out: 1 }, { llm: tell, role: final, adds: 1, out: 1 } ] }, { repeat: r, times: 3, steps: [ { llm: last, role: final, adds: 1, out: 1 } ] } ]',
    );
    session.progress.finalize();
    for (const path of ['jobs[0]/work', 'jobs[0]/tell', 'r[0]/last']) session.finish(path);
    expect(session.dones).toMatchObject([{ status: 'completed' }]);
    expect(session.started).toHaveLength(3);
    expect(session.ends().filter(([, status]) => status === 'skipped')).toHaveLength(2 * 3);
  });

  test('a call whose compaction runs is not made, unless it is a final one', () => {
    const session = drive(
      '[ { llm: a, adds: 100, out: 100 }, { llm: b, adds: 5, out: 1, compact_at: 150 } ]',
    );
    session.finish('a');
    session.progress.finalize();
    session.finish('b/compact');
    expect(session.dones).toMatchObject([{ status: 'completed' }]);
    expect(session.ends().at(-1)).toEqual(['b', 'skipped']);
  });

  test('starts no leaf that is not final, whatever it is made of, and ends', () => {
    const inputs = fc.tuple(randomTexts, fc.array(fc.nat(50), { minLength: 1, maxLength: 20 }), fc.nat(6));
    fc.assert(
      fc.property(inputs, ([text, choices, at]) => {
        const session = new Driven(text).start();
        let known = Number.POSITIVE_INFINITY;
        for (let i = 0; session.live.length > 0; i++) {
          if (i === at) {
            session.progress.finalize();
            known = session.started.length;
          }
          const node = session.live[(choices[i % choices.length] as number) % session.live.length];
          session.finish((node as LiveNode).path);
        }
        expect(session.dones).toHaveLength(1);
        for (const { call } of session.started.slice(known)) expect(call?.role).toBe('final');
        const paths = session.nodes.map(({ call }) => call);
        expect(new Set(paths).size).toBe(paths.length);
      }),
      { numRuns: 150 },
    );
  });
});

describe('whatever is done to a session, in any order', () => {
  const operations = fc.array(
    fc.record({
      what: fc.constantFrom(
        ...(['finish', 'finish', 'finish', 'finish', 'fail', 'skip', 'cut', 'well', 'bad'] as const),
        ...(['finalize', 'restart', 'lose', 'save', 'cancel'] as const),
      ),
      which: fc.nat(50),
    }),
    { minLength: 1, maxLength: 60 },
  );

  test('every node ends once, the session ends once, and nothing is left alive', () => {
    fc.assert(
      fc.property(randomTexts, operations, fc.boolean(), (text, all, restarts) => {
        const session = new Driven(withRules(text, restarts ? RESTARTS : CHECKPOINTS)).start();
        const { progress } = session;
        let savedMs: number | null = null;
        const one = ({ what, which }: (typeof all)[number]): void => {
          const node = session.live[which % session.live.length] as LiveNode;
          const { path } = node;
          const isDelay = node.call === null;
          if (what === 'finish') session.finish(path);
          else if (what === 'fail') session.finish(path, 'http_500');
          else if (what === 'skip') session.finish(path, 'shed', { isSkipped: true });
          else if (what === 'cut') session.finish(path, null, { answerTokens: which });
          else if (what === 'well' || what === 'bad')
            if (isDelay) session.endDelay(path, what === 'well' ? null : 'timeout');
            else session.finish(path);
          else if (what === 'finalize') progress.finalize();
          else if (what === 'restart') session.restart(savedMs);
          else if (what === 'lose') session.restart(null);
          else if (what === 'save') {
            savedMs = session.nowMs;
            progress.checkpointed(savedMs);
          } else session.take(progress.cancel('user_left', ++session.nowMs));
        };
        for (const each of all) if (session.live.length > 0) one(each);
        while (session.live.length > 0) session.finish((session.live[0] as LiveNode).path);
        expect(session.dones).toHaveLength(1);
        const paths = session.nodes.map(({ call }) => call);
        expect(new Set(paths).size).toBe(paths.length);
        const ran = session.nodes.filter(({ status }) => status !== 'skipped').map(({ call }) => call);
        expect(ran.sort()).toEqual(session.started.map(({ path }) => path).sort());
        const cancelled = session.nodes
          .filter(({ status }) => status === 'cancelled')
          .map(({ call }) => call);
        expect(cancelled.sort()).toEqual(session.aborted.map(({ path }) => path).sort());
        for (const { path } of session.started) expect(paths).toContain(path);
        if (progress.restarts === 0)
          for (const { path } of session.started) expect(path).toBe(basePath(path));
      }),
      { numRuns: 250 },
    );
  });
});
