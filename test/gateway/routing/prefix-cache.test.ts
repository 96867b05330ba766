// AIBrix's prefix-cache rule: prefix while load is even, the least outstanding when it is not.
import { expect, test } from 'vitest';
import prefixCache from '../../../gateway/routing/prefix-cache.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

const system = content('system', 1024);

test('sends a conversation back to where most of it was sent, and a new one to the least loaded', () => {
  const router = prefixCache.create({}, setup);
  const first = [system, content('a', 600)];
  expect(router.route(arrival({ prompt: first }), view({ outstanding: [3, 1, 2] }))).toBe(1);
  const second = [...first, content('a', 600, 600)];
  expect(router.route(arrival({ prompt: second }), view({ outstanding: [2, 2, 1] }))).toBe(1);
  // Another with the system prompt follows it, but not above the mean and a deviation: 3.33 + 3.30 < 8.
  const other = [system, content('b', 600)];
  expect(router.route(arrival({ prompt: other }), view({ outstanding: [1, 1, 1] }))).toBe(1);
  expect(router.route(arrival({ prompt: [system] }), view({ outstanding: [1, 8, 1] }))).toBe(0);
});

test('takes a replica that is at the mean and a deviation', () => {
  const router = prefixCache.create({}, setup);
  router.route(arrival({ prompt: [system] }), view({ outstanding: [0, 1] }));
  // Of two, the fuller one always is: 3 + 3 = 6.
  expect(router.route(arrival({ prompt: [system] }), view({ outstanding: [6, 0] }))).toBe(0);
});

test('gives up prefixes while replicas differ by more than eight requests', () => {
  const router = prefixCache.create({}, setup);
  const prompt = [content('x', 600)];
  expect(router.route(arrival({ prompt }), view({ outstanding: [0, 0] }))).toBe(0);
  expect(router.route(arrival({ prompt }), view({ outstanding: [8, 0] }))).toBe(0);
  expect(router.route(arrival({ prompt }), view({ outstanding: [9, 0] }))).toBe(1);
});

test('takes the longest match, of several rows the least loaded', () => {
  const router = prefixCache.create({}, setup);
  const [p, q] = [content('p', 512), content('q', 512)];
  router.route(arrival({ prompt: [p] }), view({ outstanding: [0, 1] }));
  router.route(arrival({ prompt: [p, q] }), view({ outstanding: [9, 0] }));
  expect(router.route(arrival({ prompt: [p, q, content('r', 5)] }), view({ outstanding: [0, 0] }))).toBe(1);
  expect(router.route(arrival({ prompt: [p] }), view({ outstanding: [2, 1] }))).toBe(1);
  expect(router.route(arrival({ prompt: [p] }), view({ outstanding: [1, 1] }))).toBe(0);
});

test('knows a prefix by whole blocks of 32 tokens', () => {
  const router = prefixCache.create({}, setup);
  router.route(arrival({ prompt: [content('x', 32), content('y', 32)] }), view({ outstanding: [1, 0] }));
  const shares = (tokens: number) => arrival({ prompt: [content('x', tokens), content('z', 64)] });
  expect(router.route(shares(31), view({ outstanding: [0, 1] }))).toBe(0);
  expect(router.route(shares(32), view({ outstanding: [0, 1] }))).toBe(1);
});

test('forgets a replica that has left, and follows rows that move', () => {
  const router = prefixCache.create({}, setup);
  const prompt = [content('x', 64)];
  expect(router.route(arrival({ prompt }), view({ ids: [4, 5, 6], outstanding: [1, 1, 0] }))).toBe(2);
  expect(router.route(arrival({ prompt }), view({ ids: [5, 6], outstanding: [0, 1] }))).toBe(1);
  router.observe?.({ kind: 'left', replicaId: 6, atMs: 0 });
  expect(router.route(arrival({ prompt }), view({ ids: [5, 6], outstanding: [0, 1] }))).toBe(0);
});
