// Programs are placed once, by what others at work hold. KV of a replica is 400,000 tokens.
import { expect, test } from 'vitest';
import type { Router } from '../../../gateway/routing/policy.ts';
import thunderAgent from '../../../gateway/routing/thunder-agent.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

const create = (options = {}) => thunderAgent.create(options, setup);
const call = (session: string, tokens: number) => arrival({ session, prompt: [content(session, tokens)] });

/** A call of this session that comes and, without `endMs`, stays. */
function send(
  router: Router,
  session: string,
  tokens: number,
  { atMs = 0, endMs = -1, outputTokens = 0, ids = [10, 11] } = {},
): number {
  const given = call(session, tokens);
  const row = router.route(given, view({ nowMs: atMs, ids }));
  if (endMs >= 0)
    router.observe?.({ kind: 'ended', id: given.id, replicaId: ids[row]!, atMs: endMs, outputTokens });
  return row;
}

test('a new program goes where programs with a call in flight hold the fewest tokens, and stays', () => {
  const router = create();
  expect(send(router, 'a', 3000)).toBe(0);
  expect(send(router, 'b', 1000)).toBe(1);
  expect(send(router, 'c', 1899)).toBe(1);
  // Row 0: 3000 + 100; row 1: 1000 + 1899 + 200 = 3099.
  expect(send(router, 'd', 10)).toBe(1);
  expect(send(router, 'e', 10)).toBe(0);
  expect(send(router, 'a', 90_000)).toBe(0);
  expect(send(router, 'b', 90_000)).toBe(1);
});

test('the newest prompt and its answer count, not all prompts', () => {
  const router = create();
  send(router, 'a', 3000, { endMs: 1 });
  send(router, 'a', 3500, { atMs: 1, endMs: 2, outputTokens: 500 });
  expect(send(router, 'a', 5000, { atMs: 3 })).toBe(0);
  expect(send(router, 'b', 4999, { atMs: 3 })).toBe(1);
  expect(send(router, 'c', 1, { atMs: 3 })).toBe(1);
  expect(send(router, 'd', 1, { atMs: 3 })).toBe(0);
});

test('what a program holds between calls halves every second', () => {
  const ask = (other: number, options = {}) => {
    const router = create(options);
    send(router, 'a', 7000, { endMs: 0, outputTokens: 1000 });
    expect(send(router, 'b', other, { atMs: 2000 })).toBe(1);
    // Row 0: 8000 / 2^3 + 100 after three seconds.
    return send(router, 'c', 1, { atMs: 3000 });
  };
  expect(ask(999)).toBe(1);
  expect(ask(1001)).toBe(0);
  expect(ask(1001, { acting_half_life_ms: 3000 })).toBe(1);
  // A new call takes the decayed part back: row 0 has 5000 again.
  const router = create();
  send(router, 'a', 8000, { endMs: 0 });
  send(router, 'a', 5000, { atMs: 3000 });
  expect(send(router, 'b', 4000, { atMs: 3000 })).toBe(1);
  expect(send(router, 'c', 1, { atMs: 3000 })).toBe(1);
});

test('a program goes where it fits, however much is at work there', () => {
  const router = create();
  send(router, 'a', 300_000, { endMs: 0 });
  expect(send(router, 'b', 1000, { atMs: 60_000, ids: [11] })).toBe(0);
  // Row 0 has decayed to 100, and has room for 99,800: 400,000 - 300,100 - 100.
  expect(send(router, 'c', 99_800, { atMs: 60_000 })).toBe(0);
  const full = create();
  send(full, 'a', 300_000, { endMs: 0 });
  send(full, 'b', 1000, { atMs: 60_000, ids: [11] });
  expect(send(full, 'c', 99_801, { atMs: 60_000 })).toBe(1);
  // Nowhere: the least load.
  expect(send(full, 'd', 500_000, { atMs: 60_000 })).toBe(0);
});

test('a program is over ten minutes after its last call, and when its replica is gone it moves', () => {
  const ask = (atMs: number) => {
    const router = create();
    send(router, 'a', 1000, { endMs: 0 });
    send(router, 'b', 10, { atMs, ids: [10] });
    return send(router, 'a', 1000, { atMs });
  };
  expect(ask(599_999)).toBe(0);
  expect(ask(600_000)).toBe(1);
  const router = create();
  expect(send(router, 'a', 1000)).toBe(0);
  expect(send(router, 'a', 1000, { ids: [11, 12] })).toBe(0);
  expect(send(router, 'b', 1000, { ids: [11, 12] })).toBe(1);
});

test('several calls of one program count once, until the last has ended', () => {
  const router = create();
  const [first, second] = [call('a', 3000), call('a', 4000)];
  for (const given of [first, second]) expect(router.route(given, view())).toBe(0);
  router.observe?.({ kind: 'ended', id: first.id, replicaId: 10, atMs: 0, outputTokens: 0 });
  // The first ended and left 3000, and the second is still at work a minute later.
  expect(send(router, 'b', 2999, { atMs: 60_000 })).toBe(1);
  expect(send(router, 'c', 1, { atMs: 60_000 })).toBe(1);
  router.observe?.({ kind: 'ended', id: second.id, replicaId: 10, atMs: 60_000, outputTokens: 0 });
  expect(send(router, 'd', 1, { atMs: 100_000 })).toBe(0);
});

test('a program at work is never over, however long a call takes', () => {
  const router = create();
  const given = [call('a', 10), call('a', 10)];
  for (const each of given) expect(router.route(each, view())).toBe(0);
  router.observe?.({ kind: 'ended', id: given[0]!.id, replicaId: 10, atMs: 1, outputTokens: 0 });
  send(router, 'b', 10, { ids: [11], endMs: 1 });
  send(router, 'b', 10, { ids: [11], atMs: 2 });
  for (const id of [10, 11]) send(router, `other ${id}`, 5000, { ids: [id] });
  send(router, 'more', 100, { ids: [10] });
  // Anew, `a` would go to row 1, which has 90 tokens less, and later `b` to row 0.
  expect(send(router, 'a', 10, { atMs: 650_000 })).toBe(0);
  send(router, 'and more', 9000, { ids: [11] });
  expect(send(router, 'b', 10, { atMs: 650_000 })).toBe(1);
});

test('a call takes back what was left of its program, and no more', () => {
  const router = create();
  send(router, 'a', 8000, { ids: [10], endMs: 0 });
  send(router, 'b', 8000, { ids: [10], endMs: 3000, atMs: 1 });
  send(router, 'c', 5000, { ids: [11], atMs: 3000 });
  send(router, 'a', 1, { atMs: 3000 });
  // Row 0: 8000 of b, which has just ended, and 1 of a; row 1: 5000.
  expect(send(router, 'd', 1, { atMs: 3000 })).toBe(1);
});
