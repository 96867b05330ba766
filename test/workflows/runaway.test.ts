// Sessions that run away on purpose: how often, where, and what a rule that looks for them can see.
import { describe, expect, test } from 'vitest';
import type { PlannedSession } from '../../scenarios/formats/plan.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { firstSession, planOf, sessionsOf, workflowText } from '../builders/scenarios.ts';
import { Driven } from '../builders/sessions.ts';

const steps =
  '[ { llm: a, adds: 10, out: 5 }, { repeat: look, times: 2, steps: [ { llm: turn, adds: 20, out: 5 }, { tool: fetch } ] }, { llm: end, adds: 1, out: 1 } ]';
const textOf = (fault: string, sessions = 1): string =>
  workflowText(steps, `faults: [ { fault: runaway, ${fault} } ]`, sessions);
const sessionOf = (fault: string): PlannedSession => firstSession(planOf(textOf(fault)));
const pathsOf = (fault: string): string[] => walk(sessionOf(fault)).nodes.map(({ call }) => call);

describe('a session that runs away', () => {
  test('runs a named step so many times in a row, in each pass', () => {
    expect(pathsOf('target: turn, factor: 3')).toEqual([
      'a',
      'look[0]/turn',
      'look[0]/turn~r1',
      'look[0]/turn~r2',
      'look[0]/fetch',
      'look[1]/turn',
      'look[1]/turn~r1',
      'look[1]/turn~r2',
      'look[1]/fetch',
      'end',
    ]);
  });

  test('without a name: the first loop; a cascade: the first tool; a growing context: the first call', () => {
    expect(pathsOf('factor: 2')).toEqual([
      'a',
      ...['look', 'look~r1'].flatMap(look =>
        [0, 1].flatMap(pass => [`${look}[${pass}]/turn`, `${look}[${pass}]/fetch`]),
      ),
      'end',
    ]);
    const cascade = pathsOf('factor: 2, label: tool_cascade');
    expect(cascade.filter(path => path.endsWith('~r1'))).toEqual(['look[0]/fetch~r1', 'look[1]/fetch~r1']);
    expect(pathsOf('factor: 2, label: context_blowup').slice(0, 3)).toEqual(['a', 'a~r1', 'look[0]/turn']);
  });

  test('each run adds to the thread as a further one would; a growing context adds twice as much', () => {
    const promptsOf = (fault: string): number[] =>
      walk(sessionOf(fault)).calls.map(call => call.promptTokens);
    expect(promptsOf('target: a, factor: 3').slice(0, 4)).toEqual([10, 25, 40, 65]);
    expect(promptsOf('target: a, factor: 3, label: context_blowup').slice(0, 4)).toEqual([10, 35, 60, 85]);
  });

  const keysOf = (fault: string): string[] => {
    const session = new Driven(textOf(fault)).start();
    const keys: string[] = [];
    for (let node = session.live[0]; node !== undefined; node = session.live[0]) {
      const key = (node.call ?? node.tool)?.argsKey;
      keys.push(`${node.step} ${key?.hi}.${key?.lo}`);
      session.finish(node.path);
    }
    return keys;
  };

  test('asks the same in a loop, inside of blocks too, and something else otherwise', () => {
    const sane = keysOf('share: 0%');
    expect(new Set(sane).size).toBe(sane.length);
    // Two passes of two steps are asked for once more each time.
    const looping = keysOf('factor: 4');
    expect(looping).toHaveLength(2 + 4 * 4);
    expect(new Set(looping)).toEqual(new Set(sane));
    const cascade = keysOf('factor: 4, label: tool_cascade');
    expect(cascade).toHaveLength(sane.length + 2 * 3);
    expect(new Set(cascade).size).toBe(cascade.length);
  });

  test('draws for all that is not repeated as if it behaved', () => {
    const sane = walk(sessionOf('share: 0%'));
    const wild = walk(sessionOf('target: fetch, factor: 3'));
    const outputs = ({ calls }: typeof sane) => calls.map(({ output }) => output);
    expect(outputs(wild)).toEqual(outputs(sane));
  });
});

describe('which sessions run away', () => {
  test('a share of them, chosen by their keys, and labelled', () => {
    const sessions = sessionsOf(planOf(textOf('share: 30%, label: prompt_attack', 1000)));
    const wild = sessions.filter(({ program }) => program.injected !== undefined);
    expect(wild.every(({ program }) => program.injected === 'prompt_attack')).toBe(true);
    // 4 standard deviations.
    expect(Math.abs(wild.length - 300)).toBeLessThan(4 * Math.sqrt(1000 * 0.3 * 0.7));
    const more = sessionsOf(planOf(textOf('share: 60%, label: prompt_attack', 1000)));
    const injected = new Set(more.flatMap(({ id, program }) => (program.injected === undefined ? [] : [id])));
    for (const { id } of wild) expect(injected.has(id)).toBe(true);
  });

  test('none of a workflow that has no such step', () => {
    const text = `${textOf('target: other').replace('workflows:', 'workflows:\n  spare: { steps: [ { llm: other, adds: 1, out: 1 } ] }')}`;
    expect(firstSession(planOf(text)).program.injected).toBeUndefined();
  });
});
