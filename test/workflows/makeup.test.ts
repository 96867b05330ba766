// A prompt's makeup shares its thread's list, which grows: what a prompt has of it must stay what it was.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Thread } from '../../scenarios/workflows/thread.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { planOf, randomSteps, sessionsOf, workflowText } from '../builders/scenarios.ts';

test('run by run it is the prompt, even after the session has ended', () => {
  fc.assert(
    fc.property(randomSteps, steps => {
      for (const session of sessionsOf(planOf(workflowText(steps, '', 2))))
        for (const { prompt, makeup } of walk(session).calls) {
          const { head, thread, threadRuns, tail } = makeup!;
          expect([...head, ...thread.slice(0, threadRuns), ...tail]).toEqual(prompt);
        }
    }),
    { numRuns: 60 },
  );
});

test('content that goes on where the thread ends changes no list that a prompt may have', () => {
  const key = { hi: 1, lo: 2 };
  const thread = new Thread([], [{ key, from: 0, tokens: 10 }]);
  const shared = thread.runs;
  thread.append([{ key, from: 10, tokens: 5 }]);
  expect(shared).toEqual([{ key, from: 0, tokens: 10 }]);
  expect(thread.runs).toEqual([{ key, from: 0, tokens: 15 }]);
  expect(thread.tokens).toBe(15);
});
