// Laws of the interpreter on random workflows, driven in a random order with random failures and cancellations.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { NodeRecord } from '../../scenarios/formats/record.ts';
import { type Action, type LiveNode, SessionProgress } from '../../scenarios/workflows/progress.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { firstSession, planOf, randomSteps, workflowText } from '../builders/scenarios.ts';

interface Drive {
  nodes: NodeRecord[];
  started: LiveNode[];
  aborted: LiveNode[];
  dones: Extract<Action, { kind: 'done' }>[];
  endedAt: Map<string, number>;
  left: number;
}

/** Ends live nodes in the order that `choices` says; some fail; the session may be cancelled on the way. */
function drive(text: string, choices: readonly number[], failEvery: number, cancelAfter: number): Drive {
  const session = firstSession(planOf(workflowText(text)));
  const nodes: NodeRecord[] = [];
  const progress = new SessionProgress(session.id, session.key, session.program, {
    onNode: node => nodes.push(node),
  });
  const live: LiveNode[] = [];
  const out: Drive = { nodes, started: [], aborted: [], dones: [], endedAt: new Map(), left: 0 };
  let clock = 0;
  const take = (actions: readonly Action[]): void => {
    for (const action of actions) {
      if (action.kind === 'done') out.dones.push(action);
      else if (action.kind === 'abort') {
        out.aborted.push(action.node);
        live.splice(live.indexOf(action.node), 1);
      } else {
        live.push(action.node);
        out.started.push(action.node);
      }
    }
  };
  take(progress.start(clock));
  for (let i = 0; live.length > 0 && i < 5000; i++) {
    clock++;
    if (i === cancelAfter) {
      take(progress.cancel('user_left', clock));
      break;
    }
    const node = live.splice((choices[i % choices.length] as number) % live.length, 1)[0] as LiveNode;
    out.endedAt.set(node.path, clock);
    const fails = node.kind === 'llm' && failEvery > 0 && i % failEvery === failEvery - 1;
    take(progress.finish(node.row, fails ? 'http_500' : null, clock));
  }
  out.left = live.length;
  return out;
}

const inputs = fc.record({
  steps: randomSteps,
  choices: fc.array(fc.nat(50), { minLength: 1, maxLength: 20 }),
  failEvery: fc.constantFrom(0, 0, 3, 7),
  cancelAfter: fc.constantFrom(-1, -1, 2, 9),
});

describe('any workflow, in any order of ends', () => {
  test('every node ends exactly once, and the session ends exactly once with nothing live', () => {
    fc.assert(
      fc.property(inputs, ({ steps, choices, failEvery, cancelAfter }) => {
        const { nodes, started, dones, left } = drive(steps, choices, failEvery, cancelAfter);
        expect(dones).toHaveLength(1);
        expect(left).toBe(0);
        const paths = nodes.map(node => node.call);
        expect(new Set(paths).size).toBe(paths.length);
        const ran = nodes.filter(node => node.status !== 'skipped').map(node => node.call);
        expect(ran.sort()).toEqual(started.map(node => node.path).sort());
      }),
      { numRuns: 300 },
    );
  });

  test('nothing starts before the node that released it has ended', () => {
    fc.assert(
      fc.property(inputs, ({ steps, choices, failEvery, cancelAfter }) => {
        const { started, endedAt } = drive(steps, choices, failEvery, cancelAfter);
        for (const node of started) {
          if (node.cause === null) continue;
          const causeEnd = endedAt.get(node.cause);
          expect(causeEnd).toBeDefined();
          expect(node.startMs).toBeGreaterThanOrEqual(causeEnd as number);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('cancelling reaches every live descendant: each is aborted once and recorded as cancelled', () => {
    fc.assert(
      fc.property(inputs, ({ steps, choices, failEvery, cancelAfter }) => {
        const { nodes, aborted } = drive(steps, choices, failEvery, cancelAfter);
        const cancelled = nodes.filter(node => node.status === 'cancelled').map(node => node.call);
        expect(aborted.map(node => node.path).sort()).toEqual(cancelled.sort());
      }),
      { numRuns: 300 },
    );
  });

  test('prompts add up: parts, runs and promptTokens agree, and the output names its tokens', () => {
    fc.assert(
      fc.property(randomSteps, steps => {
        const { calls } = walk(firstSession(planOf(workflowText(steps))));
        for (const call of calls) {
          const sum = (list: readonly { tokens: number }[]): number =>
            list.reduce((total, each) => total + each.tokens, 0);
          expect(sum(call.parts)).toBe(call.promptTokens);
          expect(sum(call.prompt)).toBe(call.promptTokens);
          expect(sum(call.output)).toBe(call.outputTokens);
          expect(call.promptTokens).toBeGreaterThan(0);
          expect(call.outputTokens).toBeGreaterThan(0);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe('joins', () => {
  test('`any` goes on with the first branch and cancels the others', () => {
    const walked = walk(
      firstSession(
        planOf(
          workflowText(
            '[ { parallel: race, join: any, branches: [ [ { wait: 1s }, { llm: slow, adds: 1, out: 1 } ], [ { llm: fast, adds: 1, out: 1 } ] ] }, { llm: after, adds: 1, out: 1 } ]',
          ),
        ),
      ),
      () => 500,
    );
    const status = Object.fromEntries(walked.nodes.map(node => [node.call, node.status]));
    expect(status['race[1]/fast']).toBe('completed');
    expect(status['race[0]/wait']).toBe('cancelled');
    expect(status['race[0]/slow']).toBe('skipped');
    expect(status.after).toBe('completed');
  });

  test('a number waits for so many', () => {
    const walked = walk(
      firstSession(
        planOf(
          workflowText(
            '[ { map: jobs, over: 5, join: 2, steps: [ { llm: work, adds: 1, out: 1 }, { tool: fetch } ] } ]',
          ),
        ),
      ),
    );
    expect(walked.status).toBe('completed');
    expect(walked.nodes.filter(node => node.status === 'completed' && node.kind === 'tool')).toHaveLength(2);
  });

  test('max_parallel bounds the width', () => {
    const walked = walk(
      firstSession(
        planOf(
          workflowText(
            '[ { map: jobs, over: 9, max_parallel: 4, steps: [ { llm: work, adds: 1, out: 1 } ] } ]',
          ),
        ),
      ),
    );
    expect(walked.widthMax).toBe(4);
    expect(walked.calls).toHaveLength(9);
  });
});

describe('threads', () => {
  const promptsOf = (steps: string): Record<string, number> =>
    Object.fromEntries(
      walk(firstSession(planOf(workflowText(steps)))).calls.map(call => [call.step, call.promptTokens]),
    );

  test('the thread grows by what each call adds and answers; reasoning is billed and leaves', () => {
    expect(
      promptsOf(
        '[ { llm: a, adds: 100, out: 10, reasoning: 500 }, { llm: b, adds: 5, out: 10 }, { llm: c, adds: 5, out: 1 } ]',
      ),
    ).toEqual({
      a: 100,
      b: 115,
      c: 130,
    });
  });

  test('prev is the result of a tool, what a human wrote, and 0 for an llm whose thread holds its answer', () => {
    expect(
      promptsOf(
        '[ { llm: a, adds: =tokens(prev), out: 9 }, { tool: fetch }, { llm: b, adds: =tokens(prev), out: 9 }, { llm: c, adds: =tokens(prev), out: 9 }, { human: 1s, adds: 30 }, { llm: d, adds: =tokens(prev), out: 1 } ]',
      ),
    ).toEqual({
      a: 1,
      b: 1 + 9 + 40,
      c: 1 + 9 + 40 + 9,
      d: 1 + 9 + 40 + 9 + 9 + 30,
    });
  });

  test('a branch of a fan-out forks the thread; the join drops the fork, reads brings its answers back', () => {
    expect(
      promptsOf(
        '[ { llm: plan, adds: 100, out: 10 }, { map: team, over: 3, steps: [ { llm: work, adds: 20, out: 5 } ] }, { llm: sum, reads: [work], out: 1 }, { llm: alone, adds: 1, out: 1 } ]',
      ),
    ).toEqual({ plan: 100, work: 130, sum: 110 + 15, alone: 110 + 15 + 1 + 1 });
  });

  test('fresh starts empty and leaves no trace; a named thread keeps its own history', () => {
    expect(
      promptsOf(
        '[ { llm: a, adds: 100, out: 10 }, { llm: f, context: fresh, adds: 7, out: 4 }, { llm: s1, thread: critic, adds: 50, out: 5 }, { llm: s2, thread: critic, adds: 1, out: 1 }, { llm: b, adds: =tokens(f), out: 1 } ]',
      ),
    ).toEqual({ a: 100, f: 7, s1: 50, s2: 56, b: 114 });
  });

  test('a sub-agent starts fresh, and its last answer is what its caller sees', () => {
    expect(
      promptsOf(
        '[ { llm: a, adds: 100, out: 10 }, { agent: helper }, { llm: b, adds: =tokens(prev), out: 1 } ]',
      ),
    ).toEqual({
      a: 100,
      think: 10,
      conclude: 10 + 5 + 40,
      b: 110 + 7,
    });
  });

  test('a loop hands its last result to the next pass', () => {
    const walked = walk(
      firstSession(
        planOf(
          workflowText(
            '[ { repeat: look, times: 3, steps: [ { llm: turn, adds: =tokens(prev), out: 2 }, { tool: fetch } ] } ]',
          ),
        ),
      ),
    );
    expect(walked.calls.map(call => call.promptTokens)).toEqual([1, 1 + 2 + 40, 1 + 2 + 40 + 2 + 40]);
    expect(walked.calls.map(call => call.iteration)).toEqual([0, 1, 2]);
  });

  test('a task prefix is one per outermost branch, a global one is shared by all sessions', () => {
    const plan = planOf(
      workflowText(
        '[ { map: jobs, over: 2, steps: [ { llm: work, prefix: [system, mine], adds: 1, out: 1 }, { map: inner, over: 2, steps: [ { llm: deep, adds: 1, out: 1 } ] } ] } ]',
        '',
        1,
      ),
    );
    const { calls } = walk(firstSession(plan));
    const keyOf = (index: number, run: number) => calls[index]?.prompt[run]?.key;
    const works = calls.flatMap((call, index) => (call.step === 'work' ? [index] : []));
    const deeps = calls.flatMap((call, index) => (call.step === 'deep' ? [index] : []));
    expect(keyOf(works[0] as number, 0)).toEqual(keyOf(works[1] as number, 0));
    expect(keyOf(works[0] as number, 1)).not.toEqual(keyOf(works[1] as number, 1));
    expect([keyOf(works[0] as number, 1), keyOf(works[1] as number, 1)]).toContainEqual(
      keyOf(deeps[0] as number, 1),
    );
  });
});

describe('failures', () => {
  test('a tool that stops fails its workflow and skips what follows; a soft one hands its error on', () => {
    const hard = walk(
      firstSession(planOf(workflowText('[ { tool: broken }, { llm: never, adds: 1, out: 1 } ]'))),
    );
    expect(hard.status).toBe('failed');
    expect(hard.nodes.map(node => [node.call, node.status])).toEqual(
      [
        ['never', 'skipped'],
        ['broken', 'failed'],
      ].reverse(),
    );
    const soft = walk(
      firstSession(
        planOf(workflowText('[ { tool: soft }, { llm: reads-error, adds: =tokens(prev), out: 1 } ]')),
      ),
    );
    expect(soft.status).toBe('completed');
    expect(soft.calls[0]?.promptTokens).toBe(60);
  });
});

test('no two nodes of a session share a path or their content, whatever steps and tools are called', () => {
  // Names that stand for something else in places and draws.
  const taken = ['on_error', 'compact', 'case', 'count', 'stop', 'adds', 'out', 'human', 'wait', 'fetch'];
  const block = fc.constantFrom(...taken);
  const lists = fc.letrec<{ list: string; step: string }>(tie => ({
    list: fc
      .array(tie('step'), { minLength: 1, maxLength: 3, depthIdentifier: 'taken' })
      .map(steps => `[ ${steps.join(', ')} ]`),
    step: fc.oneof(
      { depthSize: 'small', withCrossShrink: true, depthIdentifier: 'taken' },
      fc.constantFrom(
        '{ llm: NAME, adds: 200, out: { median: 10, p90: 30 }, compact_at: 150 }',
        '{ llm: NAME, adds: =out, out: 5, reasoning: 4 }',
        '{ compact: NAME, out: 5 }',
        '{ tool: on_error }',
        '{ tool: case }',
        '{ agent: on_error }',
        '{ human: 1s, adds: 4 }',
      ),
      fc
        .tuple(block, tie('list'), tie('list'))
        .map(([name, a, b]) => `{ try: ${name}, steps: ${a}, on_error: ${b} }`),
      fc.tuple(block, tie('list')).map(([name, a]) => `{ map: ${name}, over: 2, steps: ${a} }`),
      fc
        .tuple(block, tie('list'))
        .map(([name, a]) => `{ repeat: ${name}, until: "=out > 9", max: 2, steps: ${a} }`),
      fc
        .tuple(block, tie('list'), tie('list'))
        .map(
          ([name, a, b]) =>
            `{ branch: ${name}, cases: [ { when: "=out > 5", steps: ${a} }, { steps: ${b} } ] }`,
        ),
    ),
  })).list;
  const text = (list: string): string => {
    let count = 0;
    const steps = list.replace(/NAME/g, () => taken[count++] ?? `s${count}`);
    return `
windtunnel: 1
models: { m: { model: ministral-3-14b } }
params: { out: { dist: uniform, min: 1, max: 10 } }
tools: { on_error: { latency: 1s, result: { median: 5, p90: 50 }, fail: 50% }, case: { latency: 1s, result: =out } }
workflows:
  on_error: { steps: [ { llm: case, adds: 5, out: =out }, case ] }
  main: { steps: ${steps} }
traffic: [ { workflow: main, arrival: { at_once: true }, sessions: 1 } ]
`;
  };
  const property = fc.property(
    lists,
    fc.array(fc.boolean(), { minLength: 1, maxLength: 9 }),
    (list, fails) => {
      const session = firstSession(planOf(text(list)));
      const progress = new SessionProgress(session.id, session.key, session.program, { onNode: () => {} });
      const paths: string[] = [];
      const contents: string[] = [];
      const open = new Map<number, LiveNode>();
      const take = (actions: readonly Action[]): void => {
        for (const action of actions) {
          if (action.kind === 'done') continue;
          if (action.kind === 'abort') open.delete(action.node.row);
          else {
            open.set(action.node.row, action.node);
            paths.push(action.node.path);
            for (const { key } of action.node.call?.output ?? []) contents.push(`${key.hi}.${key.lo}`);
          }
        }
      };
      take(progress.start(0));
      for (let clock = 1; open.size > 0; clock++) {
        const [[row, node]] = open as unknown as [[number, LiveNode]];
        open.delete(row);
        const isFailing = node.kind === 'llm' && fails[clock % fails.length] === true;
        take(progress.finish(row, isFailing ? 'http_500' : null, clock));
      }
      expect(paths).toEqual([...new Set(paths)]);
      expect(contents).toEqual([...new Set(contents)]);
    },
  );
  fc.assert(property, { seed: 9, numRuns: 400 });
});

test('a step whose compaction is cancelled was never started, and is told as skipped', () => {
  const race =
    '[ { parallel: race, join: any, branches: [ [ { llm: a, adds: 100, out: 20 }, { llm: b, adds: 100, out: 20, compact_at: 150 }, { wait: 1s } ], [ { wait: 1s } ] ] } ]';
  const session = firstSession(planOf(workflowText(race)));
  const nodes: NodeRecord[] = [];
  const progress = new SessionProgress(session.id, session.key, session.program, {
    onNode: node => nodes.push(node),
  });
  progress.start(0);
  progress.finish(0, null, 1);
  progress.finish(1, null, 2);
  expect(nodes.map(({ call, status }) => [call, status])).toEqual([
    ['race[0]/a', 'completed'],
    ['race[1]/wait', 'completed'],
    ['race[0]/b/compact', 'cancelled'],
    ['race[0]/b', 'skipped'],
    ['race[0]/wait', 'skipped'],
  ]);
});
