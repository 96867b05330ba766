// What the text says before anything is drawn, against what sessions do.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deviation, mean } from '../../scenarios/base/statistics.ts';
import { expectedCalls, expectedPasses } from '../../scenarios/lint/expected.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { compileText, planOf, randomSteps, sessionsOf, workflowText } from '../builders/scenarios.ts';

function expectedOf(steps: string, extra = ''): number | null {
  const { compiled, problems } = compileText(workflowText(steps, extra));
  const workflow = compiled?.workflows.get('main');
  if (workflow === undefined || problems !== '') throw new Error(problems);
  return expectedCalls(workflow.steps, workflow.params);
}

describe('expected passes', () => {
  test.each([
    [0.25, 3, 1 + 0.75 + 0.75 ** 2],
    [1, 5, 1],
    [0, 7, 7],
    [0.5, 1000, 2],
    [0, 1e15, 1e15],
    [0.001, 1e15, 1000],
  ])('stopping with %s after each, at most %s', (stopRatio, max, passes) => {
    expect(expectedPasses(stopRatio, max) / passes).toBeCloseTo(1, 9);
  });
});

describe('expected calls', () => {
  test.each([
    ['a call and a summary', '[ { llm: a, out: 5 }, { compact: c, out: 50 } ]', 2],
    [
      'a thread that is summarised when it is long: a run decides',
      '[ { llm: a, out: 5, compact_at: 100 } ]',
      null,
    ],
    [
      'steps that cannot fail, and what would run on an error',
      '[ { try: t, steps: [ { llm: a, out: 5 } ], on_error: [ { llm: b, out: 5 } ] } ]',
      1,
    ],
    [
      'steps that can fail: a run decides',
      '[ { try: t, steps: [ { tool: soft }, { llm: a, out: 5 } ], on_error: [ { llm: b, out: 5 } ] } ]',
      null,
    ],
    [
      'a loop until a condition: a run decides',
      '[ { repeat: r, until: "=tokens(a) > 5", max: 4, steps: [ { llm: a, out: 5 } ] } ]',
      null,
    ],
    [
      'a loop until what never holds',
      '[ { repeat: r, until: "=1 > 2", max: 4, steps: [ { llm: a, out: 5 } ] } ]',
      4,
    ],
    [
      'a sub-agent that begins with the last result',
      '[ { llm: a, out: 5 }, { agent: helper, context: last } ]',
      3,
    ],
    [
      'a width from results: a run decides',
      '[ { map: m, over: =tokens(prev), steps: [ { llm: a, out: 5 } ] } ]',
      null,
    ],
    [
      'three passes at 50 % each, at most 3: 1 + 1/2 + 1/4',
      '[ { repeat: r, until: { p: 50% }, max: 3, steps: [ { llm: a, out: 5 } ] } ]',
      1.75,
    ],
  ])('%s', (_, steps, calls) => {
    expect(expectedOf(steps)).toBe(calls);
  });

  test('are the mean of many sessions, whatever the steps', () => {
    // A tool that fails ends its list, which the text alone does not weigh.
    const steps = randomSteps.filter(text => !text.includes('broken'));
    const property = fc.property(steps, text => {
      const expected = expectedOf(text);
      if (expected === null) return;
      const calls = sessionsOf(planOf(workflowText(text, '', 300))).map(
        session => walk(session).calls.length,
      );
      const error = (5 * deviation(calls)) / Math.sqrt(calls.length);
      expect(Math.abs(mean(calls) - expected)).toBeLessThanOrEqual(error + 0.02 * Math.max(1, expected));
    });
    fc.assert(property, { seed: 5, numRuns: 60 });
  });
});
