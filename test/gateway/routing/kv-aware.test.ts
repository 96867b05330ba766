// inference-lab's kv_aware and kv_aware_decode: its own cases, computed by hand.
import { describe, expect, test } from 'vitest';
import kvAware from '../../../gateway/routing/kv-aware.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

const call = (tokens: number) => arrival({ prompt: [content('x', tokens)] });

describe('kv-aware', () => {
  const row = (tokens: number, seen: Parameters<typeof view>[0], options = {}) =>
    kvAware.create(options, setup).route(call(tokens), view(seen));

  test('weighs what is cached against what is queued', () => {
    // 100 + 2000 against 1000 + 0; 100 + 500; 100 + 900 ties, and the lower row stays.
    expect(row(1000, { prefillTokens: [2000, 0], hits: { device: [900, 0] } })).toBe(1);
    expect(row(1000, { prefillTokens: [500, 0], hits: { device: [900, 0] } })).toBe(0);
    expect(row(1000, { prefillTokens: [900, 0], hits: { device: [900, 0] } })).toBe(0);
    expect(row(1000, { prefillTokens: [901, 0], hits: { device: [900, 0] } })).toBe(1);
  });

  test('takes a weight for the queue', () => {
    expect(row(1000, { prefillTokens: [1e6, 0], hits: { device: [900, 0] } }, { load_weight: 0 })).toBe(0);
    expect(row(1000, { prefillTokens: [500, 0], hits: { device: [900, 0] } }, { load_weight: 2 })).toBe(1);
  });

  test('counts every tier', () => {
    const hits = { device: [100, 350], host: [200, 0], disk: [100, 0] };
    expect(row(1000, { prefillTokens: [49, 0], hits })).toBe(0);
    expect(row(1000, { prefillTokens: [51, 0], hits })).toBe(1);
  });

  test('goes by what it sent where there are no KV events', () => {
    const router = kvAware.create({}, setup);
    expect(router.route(call(800), view({ prefillTokens: [5, 0] }))).toBe(1);
    expect(router.route(call(1000), view({ prefillTokens: [0, 700] }))).toBe(1); // 1000 against 200 + 700
    // 992 of them are whole blocks: 1200 against 208 + 991.
    expect(router.route(call(1200), view({ prefillTokens: [0, 991] }))).toBe(1);
  });
});

describe('kv-aware on the decode half', () => {
  const row = (seen: Parameters<typeof view>[0]) =>
    kvAware.create({}, { ...setup, role: 'decode', kvTokens: 10_000 }).route(call(1024), view(seen));

  test('weighs what has to be moved against the batch', () => {
    expect(row({ running: [10, 3, 7] })).toBe(1);
    // 512 + 64 x 10 = 1152 against 1024 + 64 x 3 = 1216; 512 + 64 x 12 = 1280.
    expect(row({ running: [10, 3], hits: { device: [512, 0] } })).toBe(0);
    expect(row({ running: [12, 3], hits: { device: [512, 0] } })).toBe(1);
  });

  test('passes over replicas where it does not fit, while it fits in any', () => {
    // 1000 tokens free are not enough, 1100 are; with 512 there already, 600 are.
    expect(row({ running: [0, 9], kvUsedRatio: [0.9, 0.89] })).toBe(1);
    expect(row({ running: [9, 0], kvUsedRatio: [0.89, 0.9] })).toBe(0);
    expect(row({ running: [0, 9], kvUsedRatio: [0.94, 0.89], hits: { device: [512, 0] } })).toBe(0);
    expect(row({ running: [5, 4], kvUsedRatio: [0.99, 0.99] })).toBe(1);
  });
});
