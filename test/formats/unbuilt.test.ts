// What no run obeys yet is named where the traffic needs it, and only there.
import { describe, expect, test } from 'vitest';
import { parseScenario } from '../../scenarios/formats/scenario.ts';
import { parseSource } from '../../scenarios/formats/source.ts';
import { unbuiltParts } from '../../scenarios/formats/unbuilt.ts';

function partsOf(text: string): string[] {
  const { file, issues } = parseScenario(parseSource(text, 'test.yaml'));
  expect(issues).toEqual([]);
  if (file === null) throw new Error('the scenario is wrong');
  return unbuiltParts(file).map(each => each.path.join('.'));
}

const scenario = (used: string): string => `
windtunnel: 1
models:
  m: { model: ministral-3-14b, rate_limit: { rpm: 60 } }
  spare: { model: ministral-3-14b, fallback: [m] }
tools:
  fetch: { latency: 1s, timeout: 5s }
  idle: { latency: 1s, warm_pool: 3 }
prefixes:
  system: { tokens: 9, priority: 5 }
workflows:
  governed:
    budget: { llm_calls: 5, wall: 60s }
    steps:
      - try: t
        steps: [ { agent: inner } ]
        on_error: [ { llm: mend, model: m, prefix: [system], out: 5, retry: { max: 2, errors: [429], backoff: 1s..20s } } ]
  inner: { steps: [ { map: x, over: 2, steps: [ fetch ] }, { branch: b, cases: [ { weight: 1, steps: [ { llm: a, model: m, out: 1, hedge: { after: 2s } } ] } ] } ] }
  plain: { steps: [ { llm: p, model: spare, out: 5, sensitivity: internal, complexity: low, hints: { priority: 2, output_tokens: true } } ] }
tenants: { big: { budget: { usd: 5 }, priority: 3 }, small: { budget: { usd: 1 } } }
traffic: [ { workflow: ${used}, tenant: big, arrival: { at_once: true }, sessions: 1, cancel: { hazard: 0.2%/s } } ]
`;

describe('unbuilt parts', () => {
  test('follow the traffic through sub-agents, blocks and on_error to models, tools, prefixes and tenants', () => {
    expect(partsOf(scenario('governed')).sort()).toEqual(
      [
        'models.m.rate_limit',
        'tenants.big.budget',
        'tools.fetch.timeout',
        'traffic.0.cancel',
        'workflows.governed.budget',
        'workflows.governed.steps.0.on_error.0.retry',
        'workflows.inner.steps.1.cases.0.steps.0.hedge',
      ].sort(),
    );
  });

  test('what the traffic does not reach is not named, labels need nothing, and of hints priority is obeyed', () => {
    expect(partsOf(scenario('plain')).sort()).toEqual([
      'models.spare.fallback',
      'tenants.big.budget',
      'traffic.0.cancel',
      'workflows.plain.steps.0.hints.output_tokens',
    ]);
  });
});
