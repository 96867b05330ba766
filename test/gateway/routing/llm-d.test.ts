// llm-d's picker, scorer by scorer: each decides alone, at the point where it turns.
import { expect, test } from 'vitest';
import llmD from '../../../gateway/routing/llm-d.ts';
import type { Router } from '../../../gateway/routing/policy.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

const create = (options: Record<string, unknown> = {}): Router => llmD.create(options, setup);
const call = (...prompt: [string, number][]) =>
  arrival({ prompt: prompt.map(([name, tokens]) => content(name, tokens)) });

/** Sends a call to row 0 by the shorter queue there. */
function sendToFirst(router: Router, given = call(['p', 1600])) {
  expect(router.route(given, view({ waiting: [0, 9], kvUsedRatio: [0, 0.9], outstanding: [0, 9] }))).toBe(0);
  return given;
}

test('by default the prefix weighs 3, queue and free KV 2 each', () => {
  const router = create();
  sendToFirst(router);
  // The longest queue costs 2 and no prefix 3: row 0 keeps the prompt while its KV is less than half fuller.
  expect(router.route(call(['p', 1600]), view({ waiting: [1, 0], kvUsedRatio: [0.49, 0] }))).toBe(0);
  expect(router.route(call(['p', 1600]), view({ waiting: [1, 0], kvUsedRatio: [0.51, 0] }))).toBe(1);
});

test('the approximate prefix is the share of whole blocks of 16 that were sent before', () => {
  const ask = (kvUsed: number) => {
    const router = create({ weights: { prefix: 1, kv: 1 } });
    sendToFirst(router, call(['p', 808]));
    // 808 tokens are 50 blocks and a half; of the 100 of 1607 tokens.
    return router.route(call(['p', 808], ['q', 799]), view({ kvUsedRatio: [kvUsed, 0] }));
  };
  expect(ask(0.499)).toBe(0);
  expect(ask(0.501)).toBe(1);
});

test('of a prompt the first 4,096 tokens count', () => {
  const router = create({ weights: { prefix: 1, kv: 1 } });
  sendToFirst(router, call(['p', 4096]));
  expect(router.route(call(['p', 4096], ['q', 50_000]), view({ kvUsedRatio: [0.99, 0] }))).toBe(0);
});

test('a replica is taken to hold the last 31,250 blocks it was sent', () => {
  const keeps = (others: number) => {
    const router = create({ weights: { prefix: 1, queue: 1 } });
    sendToFirst(router, call(['p', 4096]));
    for (let i = 0; i < others; i++) sendToFirst(router, call([`other ${i}`, 4096]));
    return router.route(call(['p', 4096]), view({ waiting: [0, 0] })) === 0;
  };
  // 500,000 tokens are 122 such prompts and a bit: the end of the first is forgotten after 122 others, all after 123.
  expect(keeps(121)).toBe(true);
  expect(Array.from({ length: 20 }, () => keeps(123)).every(Boolean)).toBe(false);
});

test('the precise prefix counts KV events: host 0.8, disk 0.3, over whole blocks', () => {
  const ask = (hits: object, kvUsed: number) =>
    create({ weights: { precise_prefix: 1, kv: 1 } }).route(
      call(['p', 1615]),
      view({ hits, kvUsedRatio: [kvUsed, 0] }),
    );
  expect(ask({ device: [400, 0], host: [500, 0] }, 0.49)).toBe(0); // 400 + 400 = half of 1600
  expect(ask({ device: [400, 0], host: [500, 0] }, 0.51)).toBe(1);
  expect(ask({ disk: [1600, 0] }, 0.29)).toBe(0);
  expect(ask({ disk: [1600, 0] }, 0.31)).toBe(1);
});

test('without KV events the precise prefix is the approximate one', () => {
  const router = create({ weights: { precise_prefix: 3, queue: 2 } });
  sendToFirst(router);
  expect(router.route(call(['p', 1600]), view({ waiting: [1, 0] }))).toBe(0);
});

test('token load counts uncached tokens without a first token, with those of this call', () => {
  const ask = (tokens: number, hasToken = false) => {
    const router = create({ weights: { token_load: 1, kv: 1 } });
    const first = sendToFirst(router, call(['p', tokens]));
    if (hasToken) router.observe?.({ kind: 'first_token', id: first.id, replicaId: 10, atMs: 1 });
    return router.route(call(['q', 16]), view({ kvUsedRatio: [0, 0.5] }));
  };
  // Half of 4,194,304.
  expect(ask(2_097_152 - 16)).toBe(0);
  expect(ask(2_097_152 + 16)).toBe(1);
  expect(ask(2_097_152 + 16, true)).toBe(0);
});

test('a session goes back to where its last answer came from', () => {
  const router = create({ weights: { session_affinity: 2, queue: 1 } });
  const first = sendToFirst(router);
  const busy = view({ waiting: [5, 0] });
  expect(router.route(call(['x', 16]), busy)).toBe(1); // no answer yet
  router.observe?.({ kind: 'ended', id: first.id, replicaId: 10, atMs: 5, outputTokens: 1 });
  expect(router.route(call(['x', 16]), busy)).toBe(0);
  expect(router.route(arrival({ session: 'another' }), busy)).toBe(1);
});

test('cold calls go round', () => {
  const router = create({ weights: { no_hit_lru: 1 } });
  const sent = [1, 2, 3, 4].map(i => router.route(call([`cold ${i}`, 160]), view({ ids: [10, 11, 12] })));
  expect(sent).toEqual([0, 1, 2, 0]);
});

test('running, active requests and load-aware can be weighted too', () => {
  expect(create({ weights: { running: 1 } }).route(call(['p', 16]), view({ running: [2, 1] }))).toBe(1);
  expect(
    create({ weights: { active_request: 1 } }).route(call(['p', 16]), view({ outstanding: [0, 1] })),
  ).toBe(0);
  expect(create({ weights: { load_aware: 1 } }).route(call(['p', 16]), view({ waiting: [3, 2] }))).toBe(1);
});

const STICKY = { weights: { queue: 1 }, affinity_threshold: 0.8, exploration: 0 };

test('the filter keeps replicas with four fifths of the prompt, whatever the scores say', () => {
  const ask = (options: object, more: number) => {
    const router = create({ ...options });
    const first = sendToFirst(router);
    router.observe?.({ kind: 'first_token', id: first.id, replicaId: 10, atMs: 1 });
    return router.route(call(['p', 1600], ['q', more]), view({ waiting: [9, 0] }));
  };
  expect(ask(STICKY, 400)).toBe(0); // 100 blocks of 125
  expect(ask(STICKY, 416)).toBe(1); // 100 of 126
  expect(ask({ weights: { queue: 1 } }, 400)).toBe(1);
  const explored = Array.from({ length: 400 }, () => ask({ ...STICKY, exploration: 0.25 }, 400));
  const share = explored.filter(row => row === 1).length / 400;
  expect(Math.abs(share - 0.25)).toBeLessThan(0.08);
});

test('the filter gives way when a first token would come five seconds later there', () => {
  const ask = (tokens: number, options = {}) => {
    const router = create({ ...STICKY, ...options });
    sendToFirst(router, call(['p', 1600], ['more', tokens - 1600]));
    return router.route(call(['p', 1600]), view({ waiting: [9, 0] }));
  };
  // 5 s at 15,928 tokens a second.
  expect(ask(79_640)).toBe(0);
  expect(ask(79_641)).toBe(1);
  expect(ask(500_000, { max_ttft_penalty_ms: 0 })).toBe(0);
});

test('options are checked', () => {
  expect(() => create({ weights: { quue: 1 } })).toThrow('policy llm-d (weights) has no option quue');
  expect(() => create({ affinity: 1 })).toThrow('policy llm-d has no option affinity');
});
