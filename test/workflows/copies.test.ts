// A cohort of recorded sessions, each so often: as many agents more, who share nothing with the recorded ones.
import { expect, test } from 'vitest';
import { commonTokens } from '../../scenarios/formats/prompt.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { aChain, aRecordedCall, aRecordedSession } from '../builders/recorded.ts';
import { compileText, sessionsOf } from '../builders/scenarios.ts';

const RECORDED = [
  aChain([
    [0, 100],
    [500, 100],
  ]),
  aRecordedSession({ id: 'other', arrivalMs: 5 }),
];

function sessions(cohort: string, recorded = RECORDED) {
  const text = `
windtunnel: 1
models: { m: { model: ministral-3-14b } }
traffic: [ { name: trace, trace: recorded, model: m, ${cohort} } ]`;
  const { compiled, problems } = compileText(text, new Map([[0, recorded]]));
  if (compiled?.plan == null) throw new Error(problems);
  return { plan: compiled.plan, sessions: sessionsOf(compiled.plan) };
}

test('copies follow the whole trace, with ids of their own', () => {
  const { plan, sessions: planned } = sessions('copies: 3, arrival: { at_once: true }');
  expect(plan.sessionCount).toBe(6);
  expect(planned.map(({ id }) => id)).toEqual([
    'trace/a-session',
    'trace/other',
    'trace/a-session~2',
    'trace/other~2',
    'trace/a-session~3',
    'trace/other~3',
  ]);
  expect(new Set(planned.map(({ key }) => `${key.hi} ${key.lo}`)).size).toBe(6);
});

test('a copy shares its prompts with itself as recorded, and with no other copy', () => {
  const [first, , second] = sessions('copies: 2, arrival: { at_once: true }').sessions;
  const [own, later] = walk(first!).calls;
  const [copied, copiedLater] = walk(second!).calls;
  expect(commonTokens(own!.prompt, later!.prompt)).toBe(20);
  expect(commonTokens(copied!.prompt, copiedLater!.prompt)).toBe(20);
  expect(commonTokens(own!.prompt, copied!.prompt)).toBe(0);
  expect([copied!.promptTokens, copied!.outputTokens]).toEqual([own!.promptTokens, own!.outputTokens]);
});

test('sessions of one scope, such as a file, go on sharing inside a copy', () => {
  const call = aRecordedCall({ blocks: [0, 1, 2], promptTokens: 30 });
  const shared = ['a', 'b'].map(id => aRecordedSession({ id, blockScope: 'file', calls: [call] }));
  const prompts = sessions('copies: 2, arrival: { at_once: true }', shared).sessions.map(
    session => walk(session).calls[0]!.prompt,
  );
  expect(commonTokens(prompts[2]!, prompts[3]!)).toBe(30);
  expect(commonTokens(prompts[0]!, prompts[2]!)).toBe(0);
});

test('copies arrive with the recorded session where the trace says when', () => {
  const clocked = RECORDED.map((session, i) => ({ ...session, arrivalMs: 1000 - i }));
  const planned = sessions('copies: 2, arrival: { recorded: true }', clocked).sessions;
  expect(planned.map(({ id }) => id)).toEqual([
    'trace/other',
    'trace/other~2',
    'trace/a-session',
    'trace/a-session~2',
  ]);
});

test('copies of a workflow are refused: it has sessions', () => {
  const { problems } = compileText(`
windtunnel: 1
models: { m: { model: ministral-3-14b } }
workflows: { ask: { steps: [ { llm: answer, adds: 10, out: 5 } ] } }
traffic: [ { workflow: ask, copies: 2, sessions: 1, arrival: { at_once: true } } ]`);
  expect(problems).toContain('`copies` is for recorded sessions');
});
