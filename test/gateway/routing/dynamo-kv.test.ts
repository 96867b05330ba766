// Dynamo's cost, block by block. Blocks are of 16 tokens; replicas have ids 10, 11, …
import { describe, expect, test } from 'vitest';
import dynamoKv from '../../../gateway/routing/dynamo-kv.ts';
import type { Router, RouterSetup, RoutingArrival } from '../../../gateway/routing/policy.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

const NO_HITS = { device: [0, 0] };
const create = (options: Record<string, unknown> = {}, role: RouterSetup['role'] = 'both') =>
  dynamoKv.create(options, { ...setup, role });
const call = (...prompt: [string, number][]): RoutingArrival =>
  arrival({ prompt: prompt.map(([name, tokens]) => content(name, tokens)) });

/** Rows that so many equal calls are sent to, each by a router of its own in the same state. */
function rows(
  calls: number,
  prepared: () => Router,
  asked: () => [RoutingArrival, ReturnType<typeof view>],
): number[] {
  return Array.from({ length: calls }, () => prepared().route(...asked()));
}

/** Sends a call of a content of its own to this row, where all of it is cached. */
function occupy(router: Router, row: 0 | 1, tokens: number): RoutingArrival {
  const given = call([`own ${row} ${tokens}`, tokens]);
  const device = row === 0 ? [tokens, 0] : [0, tokens];
  expect(router.route(given, view({ hits: { device } }))).toBe(row);
  return given;
}

test('cached blocks of the device count whole, of the host three quarters, of the disk one quarter', () => {
  const ask = (row0: object, row1: number) =>
    create({}, 'prefill').route(call(['p', 1600]), view({ hits: { ...row0, device: [0, row1] } }));
  expect(ask({ host: [400, 0] }, 299)).toBe(0);
  expect(ask({ host: [400, 0] }, 301)).toBe(1);
  expect(ask({ disk: [400, 0] }, 99)).toBe(0);
  expect(ask({ disk: [400, 0] }, 101)).toBe(1);
  expect(
    create({ host_credit: 0.5 }, 'prefill').route(
      call(['p', 1600]),
      view({ hits: { host: [400, 0], device: [0, 201] } }),
    ),
  ).toBe(1);
});

test('equal costs are drawn', () => {
  const drawn = rows(200, create, () => [call(['p', 160]), view({ hits: NO_HITS })]);
  expect(drawn.filter(row => row === 0).length).toBeGreaterThan(70);
  expect(drawn.filter(row => row === 1).length).toBeGreaterThan(70);
});

test('what was not cached waits until the first token', () => {
  const ask = (hasToken: boolean, row0: number) => {
    const router = create({}, 'prefill');
    const first = call(['a', 1600]);
    expect(router.route(first, view({ hits: { device: [800, 0] } }))).toBe(0);
    if (hasToken) router.observe?.({ kind: 'first_token', id: first.id, replicaId: 10, atMs: 5 });
    return router.route(call(['b', 1600]), view({ hits: { device: [row0, 0] } }));
  };
  // Row 0: 800 + 1600 less its hits; row 1: 1600.
  expect(ask(false, 799)).toBe(1);
  expect(ask(false, 801)).toBe(0);
  expect(ask(true, 1)).toBe(0);
});

test('an end takes off no more than was left', () => {
  const router = create({}, 'prefill');
  const first = call(['a', 1600]);
  expect(router.route(first, view({ hits: { device: [800, 0] } }))).toBe(0);
  router.observe?.({ kind: 'first_token', id: first.id, replicaId: 10, atMs: 5 });
  router.observe?.({ kind: 'ended', id: first.id, replicaId: 10, atMs: 9, outputTokens: 1 });
  expect(router.route(call(['b', 1600]), view({ hits: { device: [0, 1] } }))).toBe(1);
});

test('a prompt is in use from when it is sent until its end', () => {
  const ask = (hasEnded: boolean, row0: number) => {
    const router = create();
    const first = occupy(router, 0, 1600);
    if (hasEnded)
      router.observe?.({ kind: 'ended', id: first.id, replicaId: 10, atMs: 9, outputTokens: 100 });
    return router.route(call(['b', 3200]), view({ hits: { device: [row0, 0] } }));
  };
  // Row 0: 200 to compute less its hits, 100 + 200 in use; row 1: 200 and 200.
  expect(ask(false, 1599)).toBe(1);
  expect(ask(false, 1601)).toBe(0);
  expect(ask(true, 1)).toBe(0);
});

test('a beginning that a prompt in hand shares takes no more blocks', () => {
  const router = create();
  const first = call(['system', 1600]);
  expect(router.route(first, view({ hits: { device: [16, 0] } }))).toBe(0);
  router.observe?.({ kind: 'first_token', id: first.id, replicaId: 10, atMs: 1 });
  // Row 1 has one block in use.
  occupy(router, 1, 16);
  // No event yet of row 0's cache: 110 to compute on both; in use 100 + 10 on row 0, 1 + 110 on row 1.
  expect(router.route(call(['system', 1600], ['mine', 160]), view({ hits: NO_HITS }))).toBe(0);
});

test('credit falls by how much more waits there than anywhere, in prompts of this size', () => {
  const ask = (credit_decay: number, row1: number) => {
    const router = create({ credit_decay }, 'prefill');
    expect(router.route(call(['x', 176]), view({ hits: { device: [16, 0] } }))).toBe(0);
    // Row 0: 10 blocks wait, a tenth of this prompt: 1600 / 1.1 = 1454.5 tokens of credit, 1760 - 1454.5 = 305.5.
    return router.route(call(['p', 1600]), view({ hits: { device: [1600, row1] } }));
  };
  expect(ask(1, 1294)).toBe(0);
  expect(ask(1, 1295)).toBe(1);
  expect(ask(0, 1439)).toBe(0);
  expect(ask(0, 1441)).toBe(1);
});

test('a prefill pool counts no blocks in use, a decode pool nothing but them and requests in hand', () => {
  const prefill = create({}, 'prefill');
  const done = occupy(prefill, 0, 1600);
  prefill.observe?.({ kind: 'first_token', id: done.id, replicaId: 10, atMs: 1 });
  expect(prefill.route(call(['p', 160]), view({ hits: { device: [1, 0] } }))).toBe(0);

  const decode = create({ active_request_weight: 2 }, 'decode');
  const ask = (blocks: number) => {
    const router = create({ active_request_weight: 2 }, 'decode');
    // Row 0 has 3 requests in hand, 6 blocks' worth; row 1 so many blocks in use.
    router.route(call(['busy', blocks * 16]), view({ outstanding: [1, 0] }));
    return router.route(call(['p', 160]), view({ outstanding: [3, 0], hits: { device: [160, 0] } }));
  };
  expect(decode.route(call(['p', 160]), view({ outstanding: [1, 0] }))).toBe(1);
  expect(ask(5)).toBe(1);
  expect(ask(7)).toBe(0);
});

test('prefill_load_scale weighs prefill against blocks in use', () => {
  const ask = (prefill_load_scale: number) => {
    const router = create({ prefill_load_scale });
    const long = occupy(router, 0, 1600);
    router.observe?.({ kind: 'first_token', id: long.id, replicaId: 10, atMs: 1 });
    // Row 0: 0 to compute and 100 more in use; row 1: 40 to compute.
    return router.route(call(['p', 640]), view({ hits: { device: [640, 0] } }));
  };
  expect(ask(1)).toBe(1);
  expect(ask(2.4)).toBe(1);
  expect(ask(2.6)).toBe(0);
});

test('with a temperature the costlier replica has the weight exp(-1 / T), whatever the scale of costs', () => {
  for (const tokens of [16, 1600]) {
    const sent = rows(
      2000,
      () => create({ temperature: 1 }),
      () => [call(['p', tokens]), view({ hits: { device: [tokens, 0] } })],
    );
    const share = sent.filter(row => row === 0).length / sent.length;
    expect(Math.abs(share - 0.7311)).toBeLessThan(0.03); // 1 / (1 + exp(-1))
  }
});

describe('without KV events, or told not to use them', () => {
  test.each([
    [{}, null],
    [{ index: 'predicted' }, NO_HITS],
  ] as const)('%j remembers what it sent for two minutes', (options, hits) => {
    const ask = (nowMs: number) => {
      const router = create({ ...options }, 'prefill');
      const first = call(['p', 1600]);
      const row = router.route(first, view({ hits }));
      router.observe?.({ kind: 'first_token', id: first.id, replicaId: row + 10, atMs: 1 });
      return router.route(call(['p', 1600], ['q', 16]), view({ nowMs, hits })) === row;
    };
    expect(Array.from({ length: 40 }, () => ask(119_999)).every(Boolean)).toBe(true);
    expect(Array.from({ length: 40 }, () => ask(120_000)).every(Boolean)).toBe(false);
  });
});

test('a burst index knows siblings before their events come, for five seconds', () => {
  const ask = (options: object, nowMs: number) => {
    const router = create({ ...options }, 'prefill');
    const first = call(['p', 1600]);
    const row = router.route(first, view({ hits: NO_HITS }));
    router.observe?.({ kind: 'first_token', id: first.id, replicaId: row + 10, atMs: 1 });
    return router.route(call(['p', 1600], ['q', 16]), view({ nowMs, hits: NO_HITS })) === row;
  };
  const all = (options: object, nowMs: number) =>
    Array.from({ length: 40 }, () => ask(options, nowMs)).every(Boolean);
  expect(all({ burst_index: true }, 4_999)).toBe(true);
  expect(all({ burst_index: true }, 5_000)).toBe(false);
  expect(all({}, 10)).toBe(false);
});

test('events of requests it did not route, and of replicas that left, change nothing', () => {
  const router = create();
  router.observe?.({ kind: 'ended', id: 1e9, replicaId: 10, atMs: 1, outputTokens: 3 });
  const given = call(['p', 160]);
  const row = router.route(given, view({ hits: null }));
  router.observe?.({ kind: 'left', replicaId: row + 10, atMs: 2 });
  router.observe?.({ kind: 'ended', id: given.id, replicaId: row + 10, atMs: 3, outputTokens: 3 });
  expect(router.route(call(['p', 160]), view({ ids: [12] }))).toBe(0);
});

test('options are checked', () => {
  expect(() => create({ index: 'guess' })).toThrow('option index of policy dynamo-kv is "guess"');
  expect(() => create({ temprature: 1 })).toThrow('policy dynamo-kv has no option temprature');
});
