// What a call reserves is given back whatever becomes of its attempts, and what a call may go to holds for savings too;
// found by runs of drawn scenarios.
import { describe, expect, test } from 'vitest';
import { Timers } from '../../../gateway/timers.ts';
import type { RunOutput } from '../../../scenarios/formats/run.ts';
import { planOf } from '../../builders/scenarios.ts';
import { simulated } from '../../builders/worlds.ts';

interface Case {
  readonly workflow: string;
  readonly gateway: string;
  readonly traffic?: string;
  readonly faults?: string;
}

/** Two models of one API: a token comes after 2 s, or after 200 ms; then one each 10 ms. */
function run({
  workflow,
  gateway,
  traffic = 'arrival: { at_once: true }, sessions: 1',
  faults = '',
}: Case): RunOutput {
  const plan = planOf(`
windtunnel: 1
name: test
models: { sold: { model: gpt-5 }, cheap: { model: gpt-5-mini } }
workflows: { w: { model: sold, ${workflow} } }
traffic: [{ workflow: w, ${traffic} }]
${faults}
`);
  return simulated(
    plan,
    `
windtunnel: 1
deployment: test
providers:
  vendor:
    models:
      sold: { model: gpt-5, latency: { ttft: 2s, tpot: 10ms } }
      spare: { model: gpt-5-mini, latency: { ttft: 200ms, tpot: 10ms } }
gateway: ${gateway}
`,
  );
}

const STEP = '{ llm: NAME, adds: 50, out: 10, max_tokens: 100 }';
const steps = (...names: string[]) => `steps: [${names.map(name => STEP.replace('NAME', name)).join(', ')}]`;

describe('what was reserved is given back', () => {
  test('when a copy that lost ends after its call', () => {
    // 150 tokens are reserved for a call and 150 for its copy: with 330 two sessions go one after the other, or never.
    const { workflows } = run({
      workflow: steps('a'),
      gateway: '{ hedge: { after: 100ms }, budgets: [{ each: workflow, tokens: 330, on_exceed: queue }] }',
      traffic: 'arrival: { at_once: true }, sessions: 3',
    });
    expect(workflows.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed']);
  });

  test('when a copy may not be sent, by a limit', () => {
    const { workflows, governed } = run({
      workflow: steps('a', 'b'),
      gateway:
        '{ hedge: { after: 100ms }, rate_limits: [{ concurrency: 1, max_wait: 60s }], budget: { tokens: 400, on_exceed: queue } }',
    });
    expect(workflows.map(({ status }) => status)).toEqual(['completed']);
    expect(governed?.attempts.map(({ kind }) => kind)).toEqual(['first', 'first']);
  });
});

describe('a call that saves', () => {
  const saving = (allow: string) =>
    run({
      workflow: `${allow} budget: { tokens: 20k, soft: 0%, save: { model: cheap } }, ${steps('a')}`,
      gateway: '{ degraded: fail_closed }',
    }).governed?.attempts.map(({ target, outcome }) => [target, outcome]);

  test('goes to what serves the smaller model', () => {
    expect(saving('')).toEqual([['spare', 'ok']]);
  });

  test('stays where it was when its step may not use that model', () => {
    expect(saving('allow: { models: [sold] },')).toEqual([['sold', 'ok']]);
  });
});

describe('sessions that an operator ends', () => {
  test('are those that run then, not those that come later', () => {
    const { workflows } = run({
      workflow: steps('a'),
      gateway: '{ degraded: fail_closed }',
      traffic: 'arrival: { constant: { rate: 1/min } }, sessions: 3',
      faults: 'faults: [{ fault: operator_cancel, at: 30s }, { fault: operator_cancel, at: 61s }]',
    });
    expect(workflows.map(({ status, endMs }) => [status, endMs])).toEqual([
      ['completed', 2090],
      ['cancelled', 61_000],
      ['completed', 122_090],
    ]);
  });
});

test('a call that waits for a checkpoint when its user leaves was never attempted', () => {
  const { calls, governed } = run({
    workflow: `checkpoint: { every: 1, cost: 2s }, cancel: { after: 3s }, ${steps('a', 'b')}`,
    gateway: '{ degraded: fail_closed }',
  });
  expect(calls.map(({ step, outcome, attempts }) => [step, outcome, attempts])).toEqual([
    ['a', 'ok', 1],
    ['b', 'cancelled', 0],
  ]);
  expect(governed?.attempts).toHaveLength(1);
});

test('who looks again a hair later does so at another instant', () => {
  const armed: number[] = [];
  const timers = new Timers<() => void>(delayMs => armed.push(delayMs) - 1);
  const nowMs = 2075.58236;
  let looks = 0;
  const look = () => {
    looks += 1;
    timers.set(nowMs + 3e-13, look, nowMs);
  };
  timers.set(nowMs, look, nowMs);
  expect(timers.rings(0)).toBe(true);
  for (let due = timers.take(nowMs); due !== undefined && looks < 100; due = timers.take(nowMs)) due();
  expect(looks).toBe(1);
  // The world waits for the next look, of a nanosecond at least.
  expect(armed.at(-1)).toBeGreaterThanOrEqual(1e-6);
});
