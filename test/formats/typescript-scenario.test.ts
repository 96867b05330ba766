// The types of a TypeScript scenario: what the language allows compiles, and what it refuses does not. The checks are
// made by tsc, which reads this file with all others; the test only shows that the value is a scenario.
import { expect, test } from 'vitest';
import { type Scenario, type Step, scenario } from '../../index.ts';
import type { Issue } from '../../scenarios/base/issue.ts';
import { parseScenario } from '../../scenarios/formats/scenario.ts';
import { valueSource } from '../../scenarios/formats/source.ts';
import { eachRawStep, parseStep } from '../../scenarios/formats/steps.ts';

const fetchAndRead: Step[] = ['fetch', { llm: 'read', adds: '=tokens(prev)', out: { median: 80, p90: 200 } }];

const file: Scenario = scenario({
  windtunnel: 1,
  models: { local: { model: 'ministral-3-14b', price: { in: 0.1, out: 0.4 } } },
  tools: { fetch: { latency: '350ms', result: 300 } },
  workflows: {
    scan: {
      slo: { e2e: '8s', success: 0.99 },
      budget: { tokens: '200k', on_exceed: 'finalize' },
      steps: [
        { map: 'pages', over: 3, join: 'all', steps: fetchAndRead },
        { try: 'note', steps: [{ tool: 'fetch' }], on_error: [{ wait: '1s' }] },
        { parallel: 'sides', branches: ['fetch', [{ llm: 'side', context: 'last', out: 5 }]] },
        {
          branch: 'b',
          cases: [
            { weight: '80%', steps: [{ llm: 'easy', out: 5 }] },
            { weight: 0.2, steps: ['fetch'] },
          ],
        },
        { compact: 'tidy', out: 200, keep: ['read'] },
      ],
    },
  },
  traffic: [
    { workflow: 'scan', users: { count: 5 }, arrival: { gamma: { rate: '1/s', cv: 2 } }, sessions: 9 },
  ],
});

const refused: (Step | Scenario)[] = [
  // @ts-expect-error a step needs its `out`
  { llm: 'read' } satisfies Step,
  // @ts-expect-error no such context
  { llm: 'read', out: 5, context: 'fresher' } satisfies Step,
  // @ts-expect-error inner steps are steps
  { repeat: 'r', times: 2, steps: [{ llm: 'read', ot: 5 }] } satisfies Step,
  // @ts-expect-error an unknown key of a cohort
  { windtunnel: 1, traffic: [{ workflw: 'scan' }] } satisfies Scenario,
];

test('what its types allow is a scenario, and what they refuse is none', () => {
  expect(parseScenario(valueSource(JSON.parse(JSON.stringify(file)), 'file.ts')).issues).toEqual([]);
  for (const wrong of refused) {
    const made =
      'traffic' in (wrong as object) ? wrong : { ...file, workflows: { scan: { steps: [wrong] } } };
    const parsed = parseScenario(valueSource(made, 'file.ts'));
    const steps: Issue[] = [];
    eachRawStep(parsed.file?.workflows?.scan?.steps, [], (step, at) => void parseStep(step, at, steps));
    expect([...parsed.issues, ...steps]).not.toEqual([]);
  }
});
