// Whose calls go first: of a step, else of its workflow, else of the cohort, else of the tenant; and that an engine that
// schedules by priority obeys it.
import { describe, expect, test } from 'vitest';
import { walk } from '../../scenarios/workflows/walk.ts';
import { planOf, sessionsOf } from '../builders/scenarios.ts';
import { simulated } from '../builders/worlds.ts';

const scenario = (cohorts: string): string => `
windtunnel: 1
models: { m: { model: ministral-3-14b } }
tenants: { gold: { priority: 7 }, plain: {} }
workflows:
  eager:
    hints: { priority: 5 }
    steps: [ { llm: a, out: 4 }, { llm: b, out: 4, hints: { priority: 9 } } ]
  easy: { steps: [ { llm: c, adds: 64, out: 4 } ] }
traffic:
${cohorts.replace(/^/gm, '  ')}
`;
const cohort = (name: string, rest: string): string =>
  `- { name: ${name}, arrival: { at_once: true }, sessions: 1, ${rest} }`;

describe('priority', () => {
  const rows = (text: string) =>
    sessionsOf(planOf(text)).flatMap(session =>
      walk(session).calls.map(call => [call.step, call.priority ?? session.priority]),
    );

  test('the nearest that says it counts', () => {
    expect(rows(scenario(cohort('x', 'workflow: eager, tenant: gold')))).toEqual([
      ['a', 5],
      ['b', 9],
    ]);
    expect(rows(scenario(cohort('x', 'workflow: easy, tenant: gold')))).toEqual([['c', 7]]);
    expect(rows(scenario(cohort('x', 'workflow: easy, tenant: gold, hints: { priority: -1 }')))).toEqual([
      ['c', -1],
    ]);
    expect(rows(scenario(cohort('x', 'workflow: easy, tenant: plain')))).toEqual([['c', 0]]);
  });

  const deployment = (policy: string): string => `
windtunnel: 1
deployment: one-at-a-time
pools:
  main:
    model: ministral-3-14b
    step: { model: affine, base: 10ms }
    limits: { max_model_len: 4096, kv_blocks: 512, max_num_seqs: 1, max_num_batched_tokens: 64, scheduling_policy: ${policy} }
`;

  test.each([
    ['fcfs', ['first', 'second', 'third']],
    ['priority', ['first', 'third', 'second']],
  ])('an engine with %s serves one at a time in the order %j', (policy, order) => {
    // All three arrive at once, and the first is taken before the others are looked at.
    const text = scenario(
      [
        cohort('first', 'workflow: easy, hints: { priority: 9 }'),
        cohort('second', 'workflow: easy'),
        cohort('third', 'workflow: easy, tenant: gold'),
      ].join('\n'),
    );
    const { calls } = simulated(planOf(text), deployment(policy));
    const served = calls.toSorted((a, b) => a.firstTokenMs! - b.firstTokenMs!).map(each => each.cohort);
    expect(served).toEqual(order);
  });
});
