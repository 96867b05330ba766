// Deadlines of steps: how what is left until a workflow's deadline is split over its calls.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stepDeadlineMs } from '../../../gateway/deadlines/slack.ts';
import { eachStep, type Step } from '../../../scenarios/workflows/program.ts';
import { compileText, randomSteps, workflowText } from '../../builders/scenarios.ts';

/** Steps of the only workflow of this text, its sub-agents' inside. */
function stepsOf(steps: string, extra = ''): readonly Step[] {
  const { compiled, problems } = compileText(workflowText(steps, extra));
  const workflow = compiled?.workflows.get('main');
  if (workflow === undefined || problems.includes('WT1')) throw new Error(problems);
  return workflow.steps;
}

/** Share of each call, by name. */
function sharesOf(steps: string, extra = ''): Record<string, number> {
  const shares: Record<string, number> = {};
  eachStep(stepsOf(steps, extra), step => {
    if (step.verb !== 'llm' && step.verb !== 'compact') return;
    shares[step.name] = step.rules.slackShare as number;
    if (step.verb === 'llm' && step.compactAt !== null)
      shares[`${step.name}/compact`] = step.compactAt.by.rules.slackShare as number;
  });
  return shares;
}

const close = (...shares: number[]) => shares.map(share => expect.closeTo(share, 6));

describe('the deadline of a step', () => {
  test('is its share of what is left from now on', () => {
    expect(stepDeadlineMs(2000, 10_000, 0.25)).toBe(4000);
    expect(stepDeadlineMs(2000, 10_000, 1)).toBe(10_000);
  });

  test('is that of the workflow where no share is known, it has passed, or there is none', () => {
    expect(stepDeadlineMs(2000, 10_000, null)).toBe(10_000);
    expect(stepDeadlineMs(12_000, 10_000, 0.25)).toBe(10_000);
    expect(stepDeadlineMs(0, Number.POSITIVE_INFINITY, 0.25)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('along a chain', () => {
  const spans = fc.array(
    fc.oneof(
      fc.record({ out: fc.integer({ min: 1, max: 2000 }), adds: fc.integer({ min: 0, max: 9000 }) }),
      fc.record({ waitMs: fc.integer({ min: 1, max: 60_000 }) }),
    ),
    { minLength: 1, maxLength: 8 },
  );

  test('a deadline is split exactly in proportion to expected time', () => {
    fc.assert(
      fc.property(spans, fc.integer({ min: 1, max: 600_000 }), (parts, deadlineMs) => {
        const steps = parts.map((part, index) =>
          'out' in part
            ? `{ llm: s${index}, adds: ${part.adds}, out: ${part.out} }`
            : `{ wait: ${part.waitMs}ms }`,
        );
        const shares = sharesOf(`[ { llm: first, out: 1 }, ${steps.join(', ')} ]`);
        const all = [{ name: 'first', ms: 20 }];
        for (const [index, part] of parts.entries())
          all.push(
            'out' in part
              ? { name: `s${index}`, ms: part.out * 20 + part.adds * 0.1 }
              : { name: 'wait', ms: part.waitMs },
          );
        const totalMs = all.reduce((sum, { ms }) => sum + ms, 0);
        // Each ends exactly at its deadline, tools and pauses in the share of the time that is theirs.
        let nowMs = 0;
        for (const { name, ms } of all) {
          const expectedMs = nowMs + (deadlineMs * ms) / totalMs;
          const share = shares[name];
          if (share !== undefined)
            expect(stepDeadlineMs(nowMs, deadlineMs, share)).toBeCloseTo(expectedMs, 4);
          nowMs = expectedMs;
        }
      }),
      { numRuns: 100 },
    );
  });

  test('tools, people and pauses take their part of what is left', () => {
    // 400 ms, 300 ms, 1 s, 300 ms.
    const shares = sharesOf('[ { llm: a, out: 20 }, { wait: 300ms }, { human: 1s }, { llm: b, out: 15 } ]');
    expect([shares.a, shares.b]).toEqual(close(400 / 2000, 1));
  });

  test('a result that is read is part of the prompt, one that the thread holds is not', () => {
    // The tool gives 40 tokens; the answer of `a` is on the thread already.
    const chain =
      '[ { tool: fetch }, { llm: a, adds: =tokens(prev), out: 10 }, { llm: b, adds: =tokens(prev), out: 10 } ]';
    expect(sharesOf(chain).a).toBeCloseTo(204 / 404, 6);
    const apart = chain.replace('llm: b,', 'llm: b, context: fresh,');
    expect(sharesOf(apart).a).toBeCloseTo(204 / (204 + 201), 6);
  });

  test('parameters count by their means, also those that stand on others', () => {
    const params = 'params: { n: { dist: uniform, min: 10, max: 30 }, twice: =n * 2, both: =n + twice }';
    expect(sharesOf('[ { llm: a, out: =both }, { llm: b, out: 20 } ]', params).a).toBeCloseTo(60 / 80, 6);
  });

  test('parameters in a circle are told, and no share is looked for', () => {
    const circle = workflowText('[ { llm: a, out: =x } ]', 'params: { x: =y + y, y: =x + x }');
    expect(compileText(circle).problems).toMatch(/in a circle/);
  });

  test('what summarises a thread first has a share of its own', () => {
    // 20 summary tokens before 10 of the answer, and 10 to come.
    const shares = sharesOf(
      '[ { llm: a, out: 10, compact_at: { tokens: 100, out: 20 } }, { llm: b, out: 10 } ]',
    );
    expect([shares.a, shares['a/compact'], shares.b]).toEqual(close(0.5, 20 / 40, 1));
  });
});

describe('around blocks', () => {
  test('a fan-out is as long as its longest branch, and the shorter ones have its time too', () => {
    const shares = sharesOf(
      '[ { parallel: p, branches: [ [ { llm: long, out: 30 } ], [ { llm: x, out: 5 }, { llm: y, out: 10 } ] ] }, { llm: last, out: 10 } ]',
    );
    expect([shares.long, shares.x, shares.y, shares.last]).toEqual(close(30 / 40, 10 / 40, 20 / 30, 1));
  });

  test('one that joins any is as long as its shortest; the longer ones are not pressed', () => {
    const shares = sharesOf(
      '[ { parallel: p, join: any, branches: [ [ { llm: long, out: 30 } ], [ { llm: short, out: 10 } ] ] }, { llm: last, out: 10 } ]',
    );
    expect([shares.long, shares.short]).toEqual(close(30 / 40, 10 / 20));
  });

  test('a map runs in waves, and a copy stands in the average one', () => {
    // 6 copies of 200 ms, 2 at once: 600 ms; after the average copy 200 ms of them and the last call.
    const shares = sharesOf(
      '[ { map: m, over: 6, max_parallel: 2, steps: [ { llm: each, out: 10 } ] }, { llm: last, out: 10 } ]',
    );
    expect(shares.each).toBeCloseTo(200 / (200 + 200 + 200), 6);
  });

  test('a call in a loop has the share of the average pass', () => {
    // 5 passes of 200 ms: after the average one two more, and the last call.
    const shares = sharesOf(
      '[ { repeat: r, times: 5, steps: [ { llm: each, out: 10 } ] }, { llm: last, out: 20 } ]',
    );
    expect(shares.each).toBeCloseTo(200 / (200 + 400 + 400), 6);
  });

  test('what grows with the pass is as long as in the average one', () => {
    // Of passes 0 to 4 the average is 2: 20 tokens there.
    const steps = (block: string) =>
      `[ { llm: first, out: 10 }, { ${block}, steps: [ { llm: each, out: "=10 * iteration" } ] } ]`;
    expect(sharesOf(steps('repeat: r, times: 5')).first).toBeCloseTo(10 / (10 + 5 * 20), 6);
    expect(sharesOf(steps('map: m, over: 5, max_parallel: 1')).first).toBeCloseTo(10 / (10 + 5 * 20), 6);
  });

  test('who reads what ran in a fan-out reads the answers of all copies', () => {
    // 500 ms, 20 s, then 5 x 1000 tokens of prompt (500 ms) and 100 ms.
    const shares = sharesOf(
      '[ { llm: first, out: 25 }, { map: m, over: 5, steps: [ { llm: each, out: 1000 } ] }, { llm: last, reads: [each], out: 5 } ]',
    );
    expect(shares.first).toBeCloseTo(500 / (500 + 20_000 + 500 + 100), 6);
  });

  test('a loop that stops by chance runs as often as expected', () => {
    // 1 + 0.5 + 0.25 passes.
    const shares = sharesOf(
      '[ { llm: first, out: 10 }, { repeat: r, until: { p: 50% }, max: 3, steps: [ { llm: each, out: 10 } ] } ]',
    );
    expect(shares.first).toBeCloseTo(1 / 2.75, 6);
  });

  test('a branch counts by its odds, a try by what it tries', () => {
    const shares = sharesOf(
      '[ { llm: first, out: 10 }, { branch: b, cases: [ { weight: 25%, steps: [ { llm: hard, out: 40 } ] }, { weight: 75%, steps: [ { llm: easy, out: 8 } ] } ] }, { try: t, steps: [ { llm: risky, out: 4 } ], on_error: [ { llm: repair, out: 100 } ] } ]',
    );
    const { first, hard, easy, risky, repair } = shares;
    expect([first, hard, easy, risky, repair]).toEqual(close(10 / 30, 40 / 44, 8 / 12, 1, 1));
  });

  test('a sub-agent is part of the path of who calls it, and its own workflow is left alone', () => {
    const steps = stepsOf('[ { agent: helper }, { llm: last, out: 10 } ]');
    const [agent] = steps;
    const think = agent?.verb === 'agent' ? agent.steps[0] : undefined;
    const alone = compileText(workflowText('[ { agent: helper } ]')).compiled?.workflows.get('helper')
      ?.steps[0];
    if (think?.verb !== 'llm' || alone?.verb !== 'llm') throw new Error('the helper thinks first');
    expect(think.rules.slackShare).toBeLessThan(alone.rules.slackShare as number);
  });

  test('on any workflow every call has a share above 0, and the last of a list without more to come has all', () => {
    fc.assert(
      fc.property(randomSteps, drawn => {
        const shares = Object.values(sharesOf(`[ ${drawn.slice(1, -1)}, { llm: end, out: 3 } ]`));
        expect(shares.filter(share => !(share > 0 && share <= 1))).toEqual([]);
        expect(shares.at(-1)).toBe(1);
      }),
      { numRuns: 100 },
    );
  });
});
