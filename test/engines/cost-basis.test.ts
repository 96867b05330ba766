import { expect, test } from 'vitest';
import { costBasis, standingReplicas, workRate } from '../../engines/cost-basis.ts';
import type { DeploymentSpec } from '../../engines/engine.ts';
import { deploymentOf } from '../builders/worlds.ts';

const deployment = (step: string, more = ''): DeploymentSpec =>
  deploymentOf(`
windtunnel: 1
deployment: test
pools:
  main:
    model: ministral-3-14b
    replicas: 2
    price: 2/h
    limits: { max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 2048, max_num_seqs: 64 }
    step: { ${step} }
${more}`);

test('the work of an affine step is weighed at its own costs', () => {
  const [pool] = deployment('model: affine, base: 8ms, per_token: 80us, per_sequence: 90us').pools;
  // A prompt of 2048 tokens costs 2047 tokens more than a decode; 64 decodes 63 tokens and sequences more than one.
  const rate = workRate(pool!.step, pool!.limits);
  expect(rate.prefillNs).toBeCloseTo(80_000, 1);
  expect(rate.decodeNs).toBeCloseTo(170_000, 1);
  expect(rate.contextNs).toBe(0);
});

test('context tokens that a decode reads are weighed by the slope of its line', () => {
  const [pool] = deployment('model: affine, base: 8ms, per_token: 80us, per_context_token: 20ns').pools;
  const rate = workRate(pool!.step, pool!.limits);
  expect(rate.contextNs).toBe(20);
  // Each token of the prompt is context, too.
  expect(rate.prefillNs).toBeCloseTo(80_020, 1);
});

test('where no work takes time of its own, tokens count alike', () => {
  const [pool] = deployment('model: affine, base: 8ms').pools;
  expect(workRate(pool!.step, pool!.limits)).toEqual({ prefillNs: 1, decodeNs: 1, contextNs: 0 });
});

test("an alias' own price goes before the provider's, and a pool sells nothing by the token", () => {
  const basis = costBasis(
    {
      ...deployment('model: affine, base: 8ms'),
      hosted: [
        {
          name: 'large',
          provider: 'p',
          modelId: 'large',
          price: { in: 3, cachedIn: 0.3, cacheWrite: 3.75, out: 15 },
          maxModelTokens: null,
          api: null,
          endpoint: null,
        },
      ],
    },
    {
      models: new Map([
        ['mine', { alias: 'mine', modelId: 'large', price: { in: 1, cachedIn: 0.1, out: 5 } }],
        ['plain', { alias: 'plain', modelId: 'large', price: null }],
      ]),
    },
  );
  expect(basis.price('large', 'plain')).toEqual({ in: 3, cachedIn: 0.3, cacheWrite: 3.75, out: 15 });
  expect(basis.price('large', 'mine')).toEqual({ in: 1, cachedIn: 0.1, cacheWrite: 1, out: 5 });
  expect(basis.price('main', 'mine')).toBeNull();
  expect([...basis.rates.keys()]).toEqual(['main']);
});

test('replicas of the file stand from the start', () => {
  expect(standingReplicas(deployment('model: affine, base: 8ms'))).toMatchObject([
    { replica: 'main/0', askedMs: 0, goneMs: null, gpus: 1, usdPerGpuHour: 2 },
    { replica: 'main/1' },
  ]);
});
