import { expect, test } from 'vitest';
import alwaysBusiest from '../../../gateway/routing/always-busiest.ts';
import blisWeighted from '../../../gateway/routing/blis-weighted.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

const call = () => arrival({ prompt: [content('p', 1600)] });
const ask = (given: Parameters<typeof view>[0], options = {}) =>
  blisWeighted.create(options, setup).route(call(), view(given));

test('the most cached prefix weighs 2, however little more it is; queue and free KV 1 each', () => {
  // 2 * 1 + 0 + (1 - used) against 0 + 1 + 1.
  expect(ask({ hits: { device: [16, 0] }, waiting: [1, 0], kvUsedRatio: [0.9, 0] })).toBe(0);
  expect(
    ask(
      { hits: { device: [16, 0] }, waiting: [1, 0], kvUsedRatio: [1, 0] },
      { weights: { precise_prefix: 1, queue: 1, kv: 1 } },
    ),
  ).toBe(1);
  // Three replicas, cached 100 %, 50 % and 0 %: 2 + 0, 1 + 1 and 0 + 0.5 before free KV.
  const hits = { device: [1600, 800, 0] };
  expect(ask({ hits, waiting: [4, 0, 2], kvUsedRatio: [0.5, 0.4, 0] })).toBe(1);
  expect(ask({ hits, waiting: [4, 0, 2], kvUsedRatio: [0.5, 0.6, 0] })).toBe(0);
});

test('without KV events what it sent counts as cached', () => {
  const router = blisWeighted.create({}, setup);
  expect(router.route(call(), view({ waiting: [0, 1] }))).toBe(0);
  expect(router.route(call(), view({ waiting: [1, 0], kvUsedRatio: [0.9, 0] }))).toBe(0);
  router.observe?.({ kind: 'left', replicaId: 10, atMs: 5 });
  expect(router.route(call(), view({ waiting: [1, 0] }))).toBe(1);
});

test('other scorers can be weighted', () => {
  expect(ask({ waiting: [1, 0], running: [0, 3] }, { weights: { vllm_dp: 1 } })).toBe(1);
  expect(ask({ waiting: [1, 0], running: [0, 5] }, { weights: { vllm_dp: 1 } })).toBe(0);
  expect(ask({ outstanding: [2, 1] }, { weights: { load_balance: 1 } })).toBe(1);
});

test('always-busiest takes the highest load, of equal ones the first', () => {
  const router = alwaysBusiest.create({}, setup);
  expect(router.route(call(), view({ waiting: [1, 0, 0], running: [0, 2, 0], outstanding: [0, 0, 3] }))).toBe(
    2,
  );
  expect(router.route(call(), view({ outstanding: [1, 1] }))).toBe(0);
  expect(() => alwaysBusiest.create({ load: 1 }, setup)).toThrow('policy always-busiest has no option load');
});
