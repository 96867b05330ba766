import { expect, test } from 'vitest';
import { costBasis } from '../../engines/cost-basis.ts';
import { estimateOf } from '../../loadgen/estimate.ts';
import { planOf, workflowText } from '../builders/scenarios.ts';
import { deploymentOf } from '../builders/worlds.ts';

const SOLD = deploymentOf(`
windtunnel: 1
deployment: sold
providers:
  them:
    endpoint: { url: https://api.example.com/v1 }
    models: { main: { model: ministral-3-14b, price: { in: 2, cached_in: 0.2, cache_write: 2.5, out: 10 }, latency: { ttft: 10ms, tpot: 1ms }, max_model_len: 32k } }
`);
const OWN = deploymentOf(`
windtunnel: 1
deployment: own
pools:
  main: { model: ministral-3-14b, limits: { max_model_len: 32768, kv_blocks: 32768 }, step: { model: affine, base: 4ms } }
`);
const estimate = (scenario: string, deployment = SOLD) => {
  const plan = planOf(scenario);
  return estimateOf(plan, deployment, costBasis(deployment, plan).price);
};

test('a plan costs its prompts as written to a cache, and its answers, at the price of who serves it', () => {
  const found = estimate(workflowText('[ { llm: a, adds: 1000, out: 100 } ]', '', 50))!;
  // 50 sessions of one call: 1000 tokens at 2.5 and 100 at 10 USD a million.
  expect(found.sessions).toBe(50);
  expect(found.usd).toBeCloseTo(50 * (0.0025 + 0.001), 9);
});

test('calls to replicas of our own are not sold by the token', () => {
  expect(estimate(workflowText('[ { llm: a, adds: 1000, out: 100 } ]', '', 5), OWN)).toBeNull();
});
