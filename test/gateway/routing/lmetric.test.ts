import { expect, test } from 'vitest';
import lmetric from '../../../gateway/routing/lmetric.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

const call = (tokens: number) => arrival({ prompt: [content('p', tokens)] });
const ask = (view_: ReturnType<typeof view>, role: 'both' | 'decode' = 'both') =>
  lmetric.create({}, { ...setup, role }).route(call(1000), view_);

test('takes the least product of uncached tokens and of the batch with this request', () => {
  // 400 * 5 = 2000 against 1000 * 2 = 2000: drawn; one token decides.
  expect(ask(view({ outstanding: [4, 1], hits: { device: [601, 0] } }))).toBe(0);
  expect(ask(view({ outstanding: [4, 1], hits: { device: [599, 0] } }))).toBe(1);
  // A cached token of the host counts three quarters: 1000 - 300 = 700, times 2, against 1000 less 301, times 2.
  expect(ask(view({ outstanding: [1, 1], hits: { host: [400, 0], device: [0, 299] } }))).toBe(0);
  expect(ask(view({ outstanding: [1, 1], hits: { host: [400, 0], device: [0, 301] } }))).toBe(1);
});

test('counts what waits for its first token, and no longer', () => {
  const ask = (hasToken: boolean) => {
    const router = lmetric.create({}, setup);
    const first = call(500);
    expect(router.route(first, view({ hits: { device: [1, 0] } }))).toBe(0);
    if (hasToken) router.observe?.({ kind: 'first_token', id: first.id, replicaId: 10, atMs: 1 });
    // (499 + 1000 - 400) * 1 against 1000 * 1.
    return router.route(call(1000), view({ hits: { device: [400, 0] } }));
  };
  expect(ask(false)).toBe(1);
  expect(ask(true)).toBe(0);
});

test('on decode replicas takes the fewest requests in hand', () => {
  expect(ask(view({ outstanding: [4, 3], hits: { device: [1000, 0] } }), 'decode')).toBe(1);
});

test('without KV events takes what it sent to be cached', () => {
  const router = lmetric.create({}, setup);
  const first = call(1600);
  const row = router.route(first, view());
  router.observe?.({ kind: 'first_token', id: first.id, replicaId: row + 10, atMs: 1 });
  const outstanding = row === 0 ? [1, 0] : [0, 1];
  expect(router.route(call(1600), view({ outstanding }))).toBe(row);
});
