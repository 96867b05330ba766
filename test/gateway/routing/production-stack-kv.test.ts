// production-stack's kvaware: the exact lookup if it leaves little to compute, else the session's place on the ring.
import { expect, test } from 'vitest';
import consistentHash from '../../../gateway/routing/consistent-hash.ts';
import productionStackKv from '../../../gateway/routing/production-stack-kv.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

const outstanding = [0, 0, 0];
const ring = consistentHash.create({}, setup);
/** A session that belongs to row 1; what these tests hit is in row 2. */
const home = 1;
const session = Array.from({ length: 100 }, (_, i) => `session ${i}`).find(
  each => ring.route(arrival({ session: each }), view({ outstanding })) === home,
)!;
const call = (tokens: number) => arrival({ session, prompt: [content('x', tokens)] });

const rowFor = (tokens: number, hits: Parameters<typeof view>[0], options = {}) =>
  productionStackKv.create(options, setup).route(call(tokens), view({ outstanding, ...hits }));

test('takes the longest match while no more than 2000 tokens are missing', () => {
  expect(rowFor(5000, { hits: { device: [0, 2999, 3000] } })).toBe(2);
  expect(rowFor(5000, { hits: { device: [0, 0, 2999] } })).toBe(home);
});

test('counts what any tier has', () => {
  expect(rowFor(5000, { hits: { device: [2900, 0, 1000], host: [0, 0, 1500], disk: [0, 0, 500] } })).toBe(2);
});

test('takes any match of a short prompt, and the session where there is none', () => {
  expect(rowFor(1500, { hits: { device: [0, 0, 16] } })).toBe(2);
  expect(rowFor(1500, { hits: { device: [0, 0, 0] } })).toBe(home);
});

test('has a threshold of its own if told', () => {
  expect(rowFor(5000, { hits: { device: [0, 0, 4900] } }, { threshold_tokens: 99 })).toBe(home);
  expect(rowFor(5000, { hits: { device: [0, 0, 4900] } }, { threshold_tokens: 100 })).toBe(2);
});

test('goes by session without KV events', () => {
  expect(rowFor(5000, { hits: null })).toBe(home);
});
