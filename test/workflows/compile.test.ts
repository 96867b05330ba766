// Bad scenarios: each problem at its place, all at once, with a hint.
import { describe, expect, test } from 'vitest';
import { compileText, workflowText } from '../builders/scenarios.ts';

const problemsOf = (text: string): string => compileText(text).problems;
const steps = (text: string): string => problemsOf(workflowText(text));

describe('a wrong scenario is refused with its place and a hint', () => {
  test.each([
    [
      'an unknown key in a step',
      steps('[ { llm: a, adds: 1, ot: 5, out: 1 } ]'),
      /WT1003 unknown key "ot"[\s\S]*\^\^[\s\S]*did you mean "out"/,
    ],
    [
      'an unknown key at the top',
      problemsOf(`${workflowText('[ { llm: a, out: 1 } ]')}\ntrafic: []`),
      /unknown key "trafic"[\s\S]*did you mean "traffic"/,
    ],
    ['a wrong unit', steps('[ { human: 160k } ]'), /WT1006 expected a duration[\s\S]*"160k"/],
    ['a bare duration', steps('[ { wait: 350 } ]'), /WT1006[\s\S]*350ms/],
    [
      'an unknown verb',
      steps('[ { lm: a, out: 1 } ]'),
      /WT1101 a step needs exactly one verb[\s\S]*did you mean "llm"/,
    ],
    ['two verbs', steps('[ { llm: a, tool: fetch, out: 1 } ]'), /WT1101[\s\S]*found llm and tool/],
    [
      'an unknown tool',
      steps('[ { tool: fetsh } ]'),
      /WT1102 unknown tool "fetsh"[\s\S]*did you mean "fetch"/,
    ],
    [
      'an unknown model',
      steps('[ { llm: a, model: mm, out: 1 } ]'),
      /WT1102 unknown model "mm"[\s\S]*under `models`: m/,
    ],
    [
      'an unknown prefix',
      steps('[ { llm: a, prefix: [sistem], out: 1 } ]'),
      /WT1102 unknown prefix "sistem"[\s\S]*did you mean "system"/,
    ],
    [
      'two llm steps of one name',
      steps('[ { llm: a, out: 1 }, { llm: a, out: 1 } ]'),
      /WT1103 two llm steps are called "a"/,
    ],
    [
      'a step that reads what never ran',
      steps('[ { llm: a, reads: [b], out: 1 }, { llm: b, out: 1 } ]'),
      /WT1105 reads "b", which never ran before/,
    ],
    [
      'a branch that reads its sibling',
      steps('[ { parallel: p, branches: [ [ { llm: a, out: 1 } ], [ { llm: b, reads: [a], out: 1 } ] ] } ]'),
      /WT1105 reads "a"/,
    ],
    [
      'tokens() of a step that never ran',
      steps('[ { llm: a, adds: =tokens(z), out: 1 } ]'),
      /WT1105 reads "z"/,
    ],
    [
      'a loop without a bound',
      steps('[ { repeat: r, until: { p: 10% }, steps: [ { llm: a, out: 1 } ] } ]'),
      /needs `max`/,
    ],
    [
      'mixed branch cases',
      steps(
        '[ { branch: b, cases: [ { weight: 50%, steps: [ { wait: 1s } ] }, { steps: [ { wait: 1s } ] } ] } ]',
      ),
      /WT1106/,
    ],
    ['a malformed expression', steps('[ { llm: a, adds: =1 +, out: 1 } ]'), /WT1007 in "=1 \+"/],
    [
      'an unknown name in an expression',
      steps('[ { llm: a, adds: =widht * 2, out: 1 } ]'),
      /WT1102 unknown name "widht"/,
    ],
    [
      'a fan-out joined by more than it has',
      steps('[ { parallel: p, join: 3, branches: [ [ { wait: 1s } ], [ { wait: 1s } ] ] } ]'),
      /join 3 of 2 branches/,
    ],
    [
      'a retry without its number of attempts',
      steps('[ { llm: a, out: 1, retry: { errors: [429] } } ]'),
      /WT1004 missing key "max"/,
    ],
    ['a try without a name', steps('[ { try: { steps: [] } } ]'), /WT1004 missing key "steps"/],
    [
      'half a gamma distribution',
      steps('[ { llm: a, out: { dist: gamma, mean: 3 } } ]'),
      /a gamma needs mean and cv/,
    ],
    [
      'measured values without as many weights',
      steps('[ { llm: a, out: { empirical: { values: [1, 2], weights: [1] } } } ]'),
      /a weight for each of its 2 values/,
    ],
    [
      'a summary that keeps what never ran',
      steps('[ { compact: c, out: 9, keep: [plan] } ]'),
      /WT1105 reads "plan"/,
    ],
    [
      'a lognormal with p90 below its median',
      steps('[ { llm: a, out: { median: 90, p90: 9 } } ]'),
      /p90 9 is below the median 90/,
    ],
  ])('%s', (_name, problems, expected) => {
    expect(problems).toMatch(expected);
    expect(problems).toMatch(/test\.yaml:\d+:\d+/);
  });

  test('a workflow that calls itself through another', () => {
    const text = workflowText('[ { agent: helper2 } ]').replace(
      'workflows:',
      'workflows:\n  helper2: { steps: [ { agent: main } ] }',
    );
    expect(problemsOf(text)).toMatch(
      /WT1104 workflow "(main|helper2)" calls itself: (main -> helper2 -> main|helper2 -> main -> helper2)/,
    );
  });

  test('traffic: an unknown workflow, no end, two arrivals, a rate without a unit, a bad cron line', () => {
    const traffic = (line: string): string =>
      problemsOf(workflowText('[ { llm: a, out: 1 } ]').replace(/traffic:.*/, `traffic: [ ${line} ]`));
    expect(traffic('{ workflow: man, arrival: { at_once: true }, sessions: 1 }')).toMatch(
      /unknown workflow "man"[\s\S]*did you mean "main"/,
    );
    expect(traffic('{ workflow: main, arrival: { poisson: { rate: 1/s } } }')).toMatch(
      /needs an end[\s\S]*sessions: 100/,
    );
    expect(
      traffic('{ workflow: main, arrival: { poisson: { rate: 1/s }, at_once: true }, sessions: 1 }'),
    ).toMatch(/exactly one arrival process/);
    expect(traffic('{ workflow: main, arrival: { poisson: { rate: 5 } }, sessions: 1 }')).toMatch(
      /WT1006[\s\S]*\/s/,
    );
    expect(traffic('{ workflow: main, arrival: { cron: "61 * * * *" }, sessions: 1 }')).toMatch(
      /cannot read the cron line/,
    );
    expect(traffic('{ workflow: main, arrival: { gamma: { rate: 1/s } }, sessions: 1 }')).toMatch(
      /gamma needs a cv/,
    );
    expect(
      traffic(
        '{ workflow: main, arrival: { at_once: true, diurnal: { peak_hour: 9, peak_to_trough: 2 } }, sessions: 1 }',
      ),
    ).toMatch(/`diurnal` has no meaning beside at_once/);
    expect(traffic('{ workflow: main, arrival: { poisson: {} }, sessions: 1 }')).toMatch(
      /poisson needs a rate/,
    );
    expect(traffic('{ mix: { main: 70%, helpr: 30% }, arrival: { at_once: true }, sessions: 1 }')).toMatch(
      /unknown workflow "helpr"[\s\S]*did you mean "helper"/,
    );
    expect(
      traffic('{ workflow: main, tenant: a, tenants: { b: 1 }, arrival: { at_once: true }, sessions: 1 }'),
    ).toMatch(/`tenant` or `tenants`, not both/);
  });

  test('assertions: metric, filter, unit', () => {
    const asserted = (line: string): string =>
      problemsOf(`${workflowText('[ { llm: a, out: 1 } ]')}\nassert: [ "${line}" ]`);
    expect(asserted('p95(e2e, workflow=man) < 8s')).toMatch(
      /unknown workflow "man"[\s\S]*did you mean "main"/,
    );
    expect(asserted('p95(tfft) < 8s')).toMatch(/unknown metric "tfft"[\s\S]*did you mean "ttft"/);
    expect(asserted('p95(e2e) < 8')).toMatch(/WT1107 expected a duration[\s\S]*8ms/);
    expect(asserted('whatever')).toMatch(/cannot read the assertion/);
  });

  test('a wrong step that is a branch by itself is shown at its own place', () => {
    expect(steps('[ { parallel: p, branches: [ fetch, fetsh ] } ]')).toMatch(
      /test\.yaml:11:48 {2}error {2}WT1102 unknown tool "fetsh"/,
    );
  });

  test('an unknown key in a mixture, a choice or measured values', () => {
    for (const amount of [
      'mixture: [ { weight: 1, median: 3, p90: 9 } ]',
      'choice: { 3: 1 }',
      'empirical: [3]',
    ])
      expect(steps(`[ { llm: a, out: { ${amount}, foo: 1 } } ]`)).toMatch(/WT1003 unknown key "foo"/);
  });

  test('a wrong amount in a tool that no step uses, and steps beside an error of the file', () => {
    const text = workflowText('[ { llm: a, ot: 5 } ]').replace(
      'broken: { latency: 10ms',
      'broken: { latency: 10',
    );
    expect(problemsOf(text)).toMatch(/WT1006[\s\S]*unknown key "ot"/);
    expect(problemsOf(`${text}\nfoo: 1\n`)).toMatch(/unknown key "ot"[\s\S]*unknown key "foo"/);
  });

  test('every problem of a file is told at once', () => {
    const problems = steps('[ { llm: a, ot: 5, out: 1 }, { tool: fetsh }, { wait: 350 } ]');
    expect(problems.match(/ error {2}/g)).toHaveLength(3);
  });
});
