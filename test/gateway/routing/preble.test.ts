// Preble's E2 with round numbers: prefill 10 ms and 1 ms a token, ten output tokens of 20 ms each.
import { describe, expect, test } from 'vitest';
import type { Router } from '../../../gateway/routing/policy.ts';
import preble from '../../../gateway/routing/preble.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

const options = { prefill_base_ms: 10, prefill_token_ms: 1, decode_tokens: 10, decode_token_ms: 20 };

/** Sends to one replica, whatever it costs. */
const send = (router: Router, id: number, prompt: ReturnType<typeof content>[], nowMs = 0): number => {
  const call = arrival({ prompt });
  router.route(call, view({ ids: [id], nowMs }));
  return call.id;
};
const row = (router: Router, prompt: ReturnType<typeof content>[], nowMs = 0) =>
  router.route(arrival({ prompt }), view({ ids: [10, 11], nowMs }));

describe('preble', () => {
  test('exploits where more of the prompt is cached than not, whatever the load', () => {
    const router = preble.create(options, setup);
    for (let i = 0; i < 5; i++) send(router, 11, [content('x', 96)]);
    expect(row(router, [content('x', 96), content('y', 64)])).toBe(1); // 96 > 64
    expect(row(router, [content('x', 96), content('z', 96)])).toBe(0); // 96 = 96
  });

  test('exploits the least loaded of those that have as much', () => {
    const router = preble.create(options, setup);
    send(router, 10, [content('x', 96)]); // 106 + 200
    send(router, 11, [content('x', 96)]);
    send(router, 10, [content('y', 16)]); // 26 + 200 more
    expect(row(router, [content('x', 96)])).toBe(1);
  });

  test('explores by load and the prefill that is left', () => {
    const router = preble.create(options, setup);
    send(router, 10, [content('x', 160)]); // load 170 + 200 = 370
    send(router, 11, [content('y', 240)]); // load 250 + 200 = 450
    const half = [content('y', 240), content('z', 240)];
    // Row 0: 370 + 490 = 860. Row 1: 450 + 250 = 700, for half is cached there.
    expect(row(router, half)).toBe(1);
    // Row 0: 370 + 90 = 460. Row 1: 450 + 250 + 200 + 90 = 990.
    expect(row(router, [content('w', 80)])).toBe(0);
  });

  test('counts the load of the last three minutes', () => {
    const router = preble.create(options, setup);
    send(router, 10, [content('x', 160)], 0);
    send(router, 11, [content('y', 16)], 1000); // 26 + 200 against 170 + 200
    expect(row(router, [content('z', 16)], 179_999)).toBe(1);
    const later = preble.create(options, setup);
    send(later, 10, [content('x', 160)], 0);
    send(later, 11, [content('y', 16)], 1000);
    expect(row(later, [content('z', 16)], 180_000)).toBe(0);
  });

  test('counts what it would evict: stretches beyond the KV capacity, as often as they were used', () => {
    const made = (kvTokens: number, names = ['a', 'b', 'c', 'd', 'e']): Router => {
      const router = preble.create({ ...options, decode_tokens: 0 }, { ...setup, kvTokens });
      send(router, 10, [content('x', 320)]); // load 330
      send(router, 10, [content('x', 320)]); // all of it matches: nothing more
      for (const name of names) send(router, 11, [content(name, 64)]); // load 5 x 74 = 370
      return router;
    };
    const other = [content('z', 160)];
    // 330 + 170 against 370 + 170.
    expect(row(made(10_000), other)).toBe(0);
    // 160 tokens have to go: 330 + 2 x 170 + 170 = 840 against 370 + (74 + 74 + 42) + 170 = 730.
    expect(row(made(320), other)).toBe(1);
    // Two more there, for which the first two had to go: 518 + 190 + 170 = 878.
    expect(row(made(320, ['a', 'b', 'c', 'd', 'e', 'f', 'g']), other)).toBe(0);
  });

  test.each([
    // Three requests of row 0 end; each has eleven tokens, ten gaps. Row 0: 26 + 3 x 10 x median, row 1: 26 + 200.
    { totalsMs: [], row: 1 }, // 20 ms a token: 626
    { totalsMs: [20, 60, 5000], row: 0 }, // 2, 6 and 500: 206
    { totalsMs: [20, 70, 5000], row: 1 }, // 2, 7 and 500: 236
  ])('takes the median time per token of what a replica ended: %o', ({ totalsMs, row: expected }) => {
    const router = preble.create(options, setup);
    const ids = [1, 2, 3].map(() => send(router, 10, [content('x', 16)]));
    send(router, 11, [content('x', 16)]);
    for (const [i, totalMs] of totalsMs.entries()) {
      router.observe?.({ kind: 'first_token', id: ids[i]!, replicaId: 10, atMs: 100 });
      router.observe?.({ kind: 'ended', id: ids[i]!, replicaId: 10, atMs: 100 + totalMs, outputTokens: 11 });
    }
    expect(row(router, [content('y', 16)])).toBe(expected);
  });

  test('forgets a replica that has left, what it was sent and what load it had', () => {
    const router = preble.create(options, setup);
    const id = send(router, 10, [content('x', 96)]);
    router.observe?.({ kind: 'left', replicaId: 10, atMs: 0 });
    router.observe?.({ kind: 'ended', id, replicaId: 10, atMs: 0, outputTokens: 5 });
    send(router, 11, [content('y', 16)]); // load 226
    expect(row(router, [content('z', 16)])).toBe(0); // no load: 26 against 226 + 26
    expect(row(router, [content('x', 96)])).toBe(0); // nothing cached: 226 + 106 either way
    send(router, 10, [content('w', 16)]);
    router.observe?.({ kind: 'left', replicaId: 10, atMs: 0 });
    send(router, 10, [content('v', 96)]); // load 306
    expect(row(router, [content('x', 96)])).toBe(1); // 306 + 106 against 226 + 106
  });
});
