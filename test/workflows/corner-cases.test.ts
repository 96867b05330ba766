// What a review with fresh eyes found, held.
import { describe, expect, test } from 'vitest';
import { shapeOf } from '../../lab/shape.ts';
import { compareWorlds } from '../../lab/validate/compare.ts';
import { arrivalTimes } from '../../scenarios/arrivals/arrivals.ts';
import { seedKey } from '../../scenarios/base/key.ts';
import { walk } from '../../scenarios/workflows/walk.ts';
import { compileText, firstSession, planOf, sessionsOf, workflowText } from '../builders/scenarios.ts';
import { simulated } from '../builders/worlds.ts';

const steps = (text: string): string => compileText(workflowText(text)).problems;
const cohort = (line: string, list = '[ { llm: a, adds: 5, out: 5 } ]'): string =>
  workflowText(list).replace(/traffic:.*/, `traffic: [ ${line} ]`);

describe('time', () => {
  test('a cancelled pause does not keep the simulation running', () => {
    const run = simulated(
      planOf(
        workflowText(
          '[ { parallel: race, join: any, branches: [ [ { wait: 1s } ], [ { wait: 1h } ] ] }, { llm: a, adds: 1, out: 1 } ]',
        ),
      ),
    );
    expect(run.durationMs).toBeLessThan(2000);
  });

  test('cron bursts whose jitter is longer than their interval still come in order', () => {
    const jitterMs = {
      kind: 'draw',
      of: { kind: 'constant', value: 300_000 },
      min: 0,
      max: Number.POSITIVE_INFINITY,
    } as const;
    const minutesOfWeek = Array.from({ length: 60 }, (_, i) => i);
    const times = [
      ...arrivalTimes({ kind: 'cron', minutesOfWeek, size: 3, jitterMs }, seedKey(1), {
        sessions: 60,
        forMs: Number.POSITIVE_INFINITY,
      }),
    ];
    expect(times).toHaveLength(60);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
  });

  test('a run beyond the horizon of exact nanoseconds is refused with what to do', () => {
    expect(() => simulated(planOf(workflowText('[ { wait: 300d } ]')))).toThrow(/beyond 104 days/);
  });
});

describe('scenarios that never end are named, not run', () => {
  test('agents that start anew in no time', () => {
    const text = cohort(
      '{ workflow: main, arrival: { closed: { agents: 1 } }, for: 10s }',
      '[ { map: none, over: 0, steps: [ { llm: a, out: 1 } ] } ]',
    );
    expect(() => simulated(planOf(text))).toThrow(/never ends/);
  });

  test('sessions at once without a number', () => {
    expect(compileText(cohort('{ workflow: main, arrival: { at_once: true }, for: 10s }')).problems).toMatch(
      /needs an end/,
    );
  });

  test('parameters in a circle', () => {
    const text = workflowText('[ { llm: a, adds: =x, out: 1 } ]', 'params: { x: "=y + 1", y: "=x + 1" }');
    expect(compileText(text).problems).toMatch(/WT1104 parameters need each other in a circle: x -> y -> x/);
  });
});

describe('sessions that would not end in our time are named, not run', () => {
  const walked = (list: string) => walk(firstSession(planOf(workflowText(list))));
  const call = '{ llm: a, adds: 3, out: 5 }';

  test.each([
    [
      'a fan-out',
      `[ { map: m, over: 1e9, join: any, max_parallel: 1, steps: [ ${call} ] } ]`,
      /too many steps/,
    ],
    [
      'a count beyond all numbers',
      `[ { map: m, over: "=1e308 * 10", steps: [ ${call} ] } ]`,
      /too many steps/,
    ],
    ['a loop of pauses', '[ { repeat: r, times: 1e9, steps: [ { wait: 1s } ] } ]', /too many steps/],
    [
      'a loop that takes no time',
      `[ { repeat: r, times: 1e9, steps: [ { map: m, over: 0, steps: [ ${call} ] } ] } ]`,
      /too many steps/,
    ],
    [
      'a loop on one thread',
      `[ { repeat: r, until: { p: 0 }, max: 1000000000, steps: [ ${call} ] } ]`,
      /too many pieces/,
    ],
  ])('%s', (_name, list, expected) => {
    expect(() => walked(list)).toThrow(expected);
  });

  test('four thousand turns on one thread, and a fan-out of fifty thousand, are walked', () => {
    expect(walked(`[ { repeat: r, times: 4000, steps: [ ${call} ] } ]`).calls).toHaveLength(4000);
    expect(walked(`[ { map: m, over: 50000, steps: [ ${call} ] } ]`).calls).toHaveLength(50_000);
  });
});

describe('blocks that end in their own instant', () => {
  test('twenty thousand of them are walked in a loop, not in each other', () => {
    const inner = '{ map: none, over: 0, steps: [ { llm: a, out: 1 } ] }';
    for (const block of [
      `{ map: many, over: 20000, max_parallel: 1, steps: [ ${inner} ] }`,
      `{ repeat: many, times: 20000, steps: [ ${inner} ] }`,
    ]) {
      expect(
        walk(firstSession(planOf(workflowText(`[ ${block}, { llm: b, adds: 1, out: 1 } ]`)))).status,
      ).toBe('completed');
    }
  });

  test('six thousand of them in one list', () => {
    const none = '{ map: none, over: 0, steps: [ { llm: a, out: 1 } ] }';
    const list = Array.from({ length: 6000 }, (_, i) => none.replace('llm: a', `llm: a${i}`)).join(', ');
    expect(walk(firstSession(planOf(workflowText(`[ ${list}, { llm: b, out: 1 } ]`)))).calls).toHaveLength(1);
  });

  test('the count of a map may speak of the step before it', () => {
    const walked = walk(
      firstSession(
        planOf(
          workflowText(
            '[ { tool: fetch }, { map: each, over: =tokens(prev) / 10, steps: [ { llm: a, adds: 1, out: 1 } ] } ]',
          ),
        ),
      ),
    );
    expect(walked.calls).toHaveLength(4);
  });
});

describe('refused rather than misread', () => {
  test.each([
    [
      'two arrival processes, one of them closed',
      compileText(
        cohort('{ workflow: main, arrival: { closed: { agents: 1 }, poisson: { rate: 1/s } }, sessions: 2 }'),
      ).problems,
      /exactly one arrival/,
    ],
    [
      'an expression as think time',
      compileText(cohort('{ workflow: main, arrival: { closed: { agents: 1, think: =30s } }, sessions: 2 }'))
        .problems,
      /expression cannot stand here/,
    ],
    [
      'tokens() in a parameter',
      compileText(workflowText('[ { llm: a, adds: =x, out: 1 } ]', 'params: { x: "=tokens(a)" }')).problems,
      /WT1105/,
    ],
    [
      'a condition on a step that never ran',
      steps(
        '[ { branch: b, cases: [ { when: =tokens(nosuch) > 1, steps: [ { wait: 1s } ] }, { steps: [ { wait: 1s } ] } ] } ]',
      ),
      /WT1105 reads "nosuch"/,
    ],
    [
      'a clamp inside a mixture',
      steps('[ { llm: a, out: { mixture: [ { weight: 100%, median: 5, p90: 9, max: 6 } ] } } ]'),
      /cannot be clamped by itself/,
    ],
  ])('%s', (_name, problems, expected) => {
    expect(problems).toMatch(expected);
  });
});

describe('figures', () => {
  test('whole amounts stay whole under fractional clamps', () => {
    const { calls } = walk(
      firstSession(planOf(workflowText('[ { llm: a, adds: 5, out: { median: 1, p90: 1.2, min: 1.5 } } ]'))),
    );
    expect(calls[0]?.outputTokens).toBe(2);
  });

  test('check counts `max` beside `times`, and a wide fan-out does not overflow it', () => {
    const shape = (text: string, sessions = 1) => {
      const { compiled } = compileText(workflowText(text, '', sessions));
      return shapeOf(compiled!.plan!, compiled!.workflows, () => null)[0];
    };
    expect(shape('[ { repeat: r, times: 10, max: 3, steps: [ { llm: a, out: 1 } ] } ]')?.callsExpected).toBe(
      3,
    );
    expect(
      shape('[ { map: m, over: 1500, steps: [ { llm: a, adds: 3, out: 1 } ] } ]', 100)?.promptTokensMax,
    ).toBe(3);
  });

  test('an llm step keeps its name beside a tool of the same name', () => {
    const walked = walk(
      firstSession(planOf(workflowText('[ { tool: fetch }, { llm: fetch, adds: 1, out: 1 } ]'))),
    );
    expect(walked.calls[0]?.step).toBe('fetch');
  });

  test('answers of one token leave no TPOT to compare, and nothing fails for it', () => {
    const run = simulated(planOf(workflowText('[ { llm: a, adds: 5, out: 1 } ]')));
    const { rows } = compareWorlds(
      { world: 'sim', runs: [run] },
      { world: 'live', runs: [run] },
      { timeRatio: 0.01, tailRatio: 0.01, countRatio: 0 },
    );
    expect(rows.map(row => row.metric)).not.toContain('mean TPOT');
    expect(rows.every(row => row.pass)).toBe(true);
  });

  test('a model that only a rare branch asks for is found before the run', () => {
    const text = workflowText(
      '[ { branch: b, cases: [ { weight: 99.9%, steps: [ { llm: a, out: 1 } ] }, { weight: 0.1%, steps: [ { llm: r, model: rare, out: 1 } ] } ] } ]',
    )
      .replace('models: {', 'models: { rare: { model: llama-3.1-8b }, ')
      .replace('{ llm: a, out: 1 }', '{ llm: a, model: m, out: 1 }')
      .replace('helper: {', 'helper: { model: m,');
    expect(planOf(text).modelsUsed).toEqual(['m', 'rare']);
  });

  test('sessions of one cohort never start behind each other', () => {
    const starts = sessionsOf(
      planOf(
        workflowText('[ { llm: a, out: 1 } ]', '', 50).replace('at_once: true', 'poisson: { rate: 5/s }'),
      ),
    ).map(each => each.plannedMs);
    expect(starts).toEqual(starts.toSorted((a, b) => a - b));
  });
});
