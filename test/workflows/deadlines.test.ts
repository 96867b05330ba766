// When a call should have ended, by what the scenario promises.
import { expect, test } from 'vitest';
import { Deadlines } from '../../scenarios/workflows/deadlines.ts';
import { planOf } from '../builders/scenarios.ts';

const { assertions } = planOf(`
windtunnel: 1
models: { m: { model: ministral-3-14b } }
workflows:
  quick:
    slo: { e2e: 8s }
    steps:
      - { llm: plan, adds: 10, out: 5, slo: { ttft: 300ms, e2e: 2s } }
      - { llm: work, adds: 10, out: 5, slo: { ttft: 300ms } }
  free:
    steps: [ { llm: plan, adds: 10, out: 5 }, { llm: sum, adds: 5, out: 5, slo: { e2e: 1s } } ]
traffic:
  - { workflow: quick, arrival: { at_once: true }, sessions: 1 }
  - { workflow: free, arrival: { at_once: true }, sessions: 1 }
assert: [ p95(e2e) < 100ms ]
`);
const deadlines = new Deadlines(assertions);

test.each([
  ['quick', 'plan', 1000, 1000, 3000, 'the step, from now'],
  ['quick', 'plan', 1000, 8500, 9000, 'the workflow, where it ends before'],
  ['quick', 'work', 1000, 1500, 9000, 'the workflow alone: a TTFT is no deadline'],
  ['free', 'sum', 0, 700, 1700, 'the step alone'],
  ['free', 'plan', 0, 700, null, 'nothing was promised; an assertion over all calls is no SLO'],
  ['other', 'plan', 0, 0, null, 'a workflow of which nothing is said'],
])('%s/%s, begun at %i ms, now %i ms: %s (%s)', (workflow, step, startMs, nowMs, expected, _) => {
  expect(deadlines.of(workflow, step, startMs, nowMs)).toBe(expected);
});
