import { expect, test } from 'vitest';
import { apiOffers } from '../../engines/offers.ts';
import { deploymentOf } from '../builders/worlds.ts';

const deployment = (model: string, more = '') =>
  deploymentOf(`
windtunnel: 1
deployment: test
pools:
  main:
    model: ${model}
    replicas: 1
    price: 2/h
    limits: { max_model_len: 65536, kv_blocks: 65536, max_num_batched_tokens: 2048, max_num_seqs: 64 }
    step: { model: affine, base: 8ms }
${more}`);

test('the very model comes first where a vendor sells it, then the nearest in size', () => {
  const offers = apiOffers(deployment('ministral-3-14b'));
  expect(offers[0]).toMatchObject({
    model: 'mistral/ministral-3-14b-2512',
    relation: 'same',
    price: { in: 0.2, cachedIn: 0.02, out: 0.2 },
  });
  expect(offers.slice(1).map(({ relation }) => relation)).toEqual(['near', 'near']);
  // 21 B of weights stand nearer to 14 B than 117 B do.
  expect(offers[1]!.model).toBe('groq/openai/gpt-oss-20b');
});

test('a model that nobody sells has neighbours only, and each offer is there once', () => {
  const offers = apiOffers(deployment('llama-3.1-8b'));
  expect(offers.length).toBeGreaterThan(0);
  expect(offers.every(({ relation }) => relation === 'near')).toBe(true);
  expect(new Set(offers.map(({ model }) => model)).size).toBe(offers.length);
});

test('without pools there is nothing to buy instead of', () => {
  expect(apiOffers({ pools: [], hosted: [] })).toEqual([]);
});
