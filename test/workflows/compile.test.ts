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
      'a breaker without its failures',
      steps('[ { llm: a, out: 1, breaker: { open: 30s } } ]'),
      /WT1004 missing key "failures"/,
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

  const traffic = (line: string): string =>
    problemsOf(workflowText('[ { llm: a, out: 1 } ]').replace(/traffic:.*/, `traffic: [ ${line} ]`));

  test.each([
    ['a mix of nothing', 'mix: {}', /WT1005 there is nothing to choose from/],
    ['a mix whose weights are all 0', 'mix: { main: 0, helper: 0% }', /WT1005 every weight is 0/],
    ['tenants of nothing', 'workflow: main, tenants: {}', /WT1005 there is nothing to choose from/],
  ])('%s', (_name, cohort, expected) => {
    expect(traffic(`{ ${cohort}, arrival: { at_once: true }, sessions: 1 }`)).toMatch(expected);
  });

  test.each([
    [
      'agents have no rate',
      '{ closed: { agents: 1 }, spike: { at: 1s, for: 1s, times: 2 } }',
      /`spike` has no meaning beside closed/,
    ],
    ['cv beside shape', '{ weibull: { rate: 1/s, cv: 2, shape: 1 } }', /weibull has cv or shape, not both/],
    ['a cv beyond what can be drawn', '{ gamma: { rate: 1/s, cv: 1e200 } }', /expected at most 1000/],
    ['a shape beyond it', '{ weibull: { rate: 1/s, shape: 0.001 } }', /expected at least 0.05/],
    ['more agents than fit', '{ closed: { agents: 1e9 } }', /expected at most 1000000/],
    [
      'a rate of 0 all the time',
      '{ poisson: true, ramp: { from: 0/s, to: 0/s, over: 10s } }',
      /no session ever starts/,
    ],
    [
      'phases of no length',
      '{ poisson: true, phases: [ { for: 0s, rate: 5/s } ] }',
      /no session ever starts/,
    ],
    ['a form that it has not', '{ poisson: 5/s }', /expected true or a mapping \(key: value\), got "5\/s"/],
  ])('arrivals: %s', (_name, arrival, expected) => {
    expect(traffic(`{ workflow: main, arrival: ${arrival}, sessions: 5 }`)).toMatch(expected);
  });

  test.each([
    ['a parameter', workflowText('[ fetch ]', 'params: { iteration: 5 }'), /WT1103 "iteration" is a word/],
    ['a step', workflowText('[ { llm: prev, out: 1 } ]'), /WT1103 "prev" is the step before/],
  ])('%s whose name means something else', (_name, text, expected) => {
    expect(problemsOf(text)).toMatch(expected);
  });

  test('parameters that stand on a thousand others, or on a chain of hundreds', () => {
    const params = (of: (next: string) => string, count: number): string =>
      `params: { ${Array.from({ length: count }, (_, i) => `p${i}: "=${of(`p${i + 1}`)}"`).join(', ')}, p${count}: 1 }`;
    const problems = (text: string): string => problemsOf(workflowText('[ { llm: a, out: =p0 } ]', text));
    expect(problems(params(next => `${next} + ${next}`, 30))).toMatch(
      /WT1109 "p\d+" stands for more than 1000/,
    );
    expect(problems(params(next => next, 3000))).toMatch(
      /WT1109 more than 100 parameters stand on each other/,
    );
    expect(problems(params(next => next, 99))).toBe('');
  });

  test('an empty branch, and cases of no weight', () => {
    expect(steps('[ { parallel: p, join: any, branches: [ [], fetch ] } ]')).toMatch(
      /an empty list of steps/,
    );
    expect(steps('[ { branch: b, cases: [ { weight: 0, steps: [ fetch ] } ] } ]')).toMatch(
      /every weight is 0/,
    );
  });

  test('steps are nested 24 deep, whatever nests them', () => {
    const nested = (wrap: (inner: string) => string, times: number): string =>
      Array.from({ length: times }).reduce<string>(inner => `[ ${wrap(inner)} ]`, '[ fetch ]');
    for (const wrap of [
      (inner: string) => `{ map: m, over: 1, steps: ${inner} }`,
      (inner: string) => `{ branch: b, cases: [ { weight: 1, steps: ${inner} } ] }`,
      (inner: string) => `{ parallel: p, branches: [ ${inner} ] }`,
    ]) {
      expect(steps(nested(wrap, 23))).toBe('');
      expect(steps(nested(wrap, 24))).toMatch(/WT1109 steps are nested more than 24 deep/);
    }
  });

  test('a model that no step names is wrong where the workflow names it, once', () => {
    const text = workflowText('[ { llm: a, out: 1 }, { llm: b, out: 1 } ]').replace(
      'main:\n',
      'main:\n    model: mm\n',
    );
    expect(problemsOf(text)).toMatch(/test\.yaml:11:12 {2}error {2}WT1102 unknown model "mm"/);
    expect(problemsOf(text).match(/WT1102/g)).toHaveLength(1);
  });

  test.each([
    ['a pause', '{ llm: a, out: 1, retry: { max: 2, backoff: 5parsecs } }', /WT1006 expected a duration/],
    [
      'a range',
      '{ llm: a, out: 1, retry: { max: 2, backoff: 20s..1s } }',
      /shortest pause is above the longest/,
    ],
    [
      'a share of failures',
      '{ llm: a, out: 1, breaker: { failures: some, open: 5s } }',
      /WT1006 expected a ratio/,
    ],
    ['a fallback', '{ llm: a, out: 1, fallback: { general: [mm] } }', /WT1102 unknown model "mm"/],
    [
      'an allowed tool',
      '{ llm: a, out: 1, allow: { tools: [fetsh] } }',
      /unknown tool "fetsh"[\s\S]*"fetch"/,
    ],
  ])('what no run obeys yet is read to the last unit: %s', (_name, step, expected) => {
    expect(steps(`[ { try: t, steps: [ fetch ], on_error: [ ${step} ] } ]`)).toMatch(expected);
  });

  test('patience and the start of a sandbox are durations', () => {
    expect(
      traffic(
        '{ workflow: main, arrival: { at_once: true }, sessions: 1, cancel: { after: { median: 5 } } }',
      ),
    ).toMatch(/needs a median above 0 and a p90|WT1006/);
    const tool = workflowText('[ fetch ]').replace('fetch: {', 'fetch: { cold_start: 5, ');
    expect(problemsOf(tool)).toMatch(/WT1006 expected a duration/);
  });

  test('filters that a metric cannot have', () => {
    const asserted = (line: string): string =>
      problemsOf(`${workflowText('[ { llm: a, out: 1, compact_at: 9 } ]')}\nassert: [ "${line}" ]`);
    expect(asserted('p95(makespan, role=worker) < 8s')).toMatch(/"makespan" is of whole sessions/);
    expect(asserted('count(workflows, step=a) > 1')).toMatch(/"workflows" is of whole sessions/);
    expect(asserted('cache_hit(worker) > 5%')).toMatch(/cache_hit\(\) takes filters only[\s\S]*role=worker/);
    expect(asserted('p95(e2e, step=a, step=a) < 5s')).toMatch(/a filter is one name and one value/);
    expect(asserted('p95(e2e, step=a/compact) < 5s')).toBe('');
  });
});

describe('sub-agents that call sub-agents', () => {
  const calling = (workflows: number, calls: number): string =>
    workflowText('[ { agent: w0 } ]', '').replace(
      'workflows:',
      `workflows:\n${Array.from(
        { length: workflows },
        (_, i) =>
          `  w${i}: { steps: [ ${Array.from({ length: calls }, () => `{ agent: w${i + 1} }`).join(', ')} ] }`,
      ).join('\n')}\n  w${workflows}: { steps: [ fetch ] }`,
    );

  test('are compiled once each: eight calls of eight of eight are counted, not tried', () => {
    expect(problemsOf(calling(8, 8))).toMatch(/WT1109 "w\d" has more than 100000 steps/);
    expect(problemsOf(calling(23, 2))).toMatch(/has more than 100000 steps/);
    expect(problemsOf(calling(4, 8))).toBe('');
  });

  test('call each other 24 deep, in whatever order they stand', () => {
    expect(problemsOf(calling(23, 1))).toBe('');
    expect(problemsOf(calling(24, 1))).toMatch(/WT1109 sub-agents call sub-agents more than 24 deep/);
    const reversed = calling(3000, 1).replace(
      /( {2}w\d+: .*\n)+/,
      all => `${all.trimEnd().split('\n').reverse().join('\n')}\n`,
    );
    expect(problemsOf(reversed)).toMatch(/WT1109 sub-agents call sub-agents more than 24 deep/);
  });

  test('tell what is wrong in them once', () => {
    const text = workflowText(
      '[ { agent: helper }, { agent: helper }, { map: m, over: 2, steps: [ { agent: helper } ] } ]',
    ).replace('out: 5 }, { tool: fetch }', 'ot: 5 }, { tool: fetsh }');
    expect(problemsOf(text).match(/ error {2}/g)).toHaveLength(3);
  });
});

test('cohorts without a name keep theirs when another kind comes in front', () => {
  const mix = '{ mix: { main: 1, helper: 1 }, arrival: { at_once: true }, sessions: 1 }';
  const named = (traffic: string): string[] | undefined =>
    compileText(
      workflowText('[ { llm: a, out: 1 } ]').replace(/traffic:.*/, `traffic: [ ${traffic} ]`),
    ).compiled?.plan?.cohorts.map(cohort => cohort.name);
  expect(named(`${mix}, ${mix}`)).toEqual(['mix', 'mix2']);
  expect(named(`{ workflow: main, arrival: { at_once: true }, sessions: 1 }, ${mix}`)).toEqual([
    'main',
    'mix',
  ]);
});
