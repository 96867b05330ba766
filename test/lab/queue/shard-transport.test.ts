// What carries a shard's entries and its common start, without Redis: losses and doubles by the law, clocks by hand.
import fc from 'fast-check';
import type { Redis } from 'ioredis';
import { describe, expect, test } from 'vitest';
import { clockOffset } from '../../../lab/queue/live/clock-offset.ts';
import { Inbox } from '../../../lab/queue/live/inbox.ts';
import { Outbox } from '../../../lab/queue/live/outbox.ts';
import { signerOf } from '../../../lab/queue/sign.ts';

const signer = signerOf('a key that is long enough');
const RUN = 'r';

/** A list that takes what is pushed, and may lose or double it. */
function unsureList(fates: ('kept' | 'lost' | 'doubled')[]) {
  const list: string[] = [];
  let pushes = 0;
  const multi = () => {
    const pushed: string[] = [];
    const chain = {
      rpush: (_key: string, ...texts: string[]) => {
        pushed.push(...texts);
        return chain;
      },
      expire: () => chain,
      exec: async () => {
        const fate = fates[pushes++] ?? 'kept';
        if (fate !== 'lost') list.push(...pushed);
        if (fate === 'doubled') list.push(...pushed);
        return [];
      },
    };
    return chain;
  };
  return { list, redis: { multi } as unknown as Redis };
}
const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

describe('entries of a shard', () => {
  test('arrive in order and once, whatever of them is lost, doubled or foreign on the way', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('kept', 'lost', 'doubled'), { maxLength: 12 }),
        fc.integer({ min: 1, max: 60 }),
        fc.boolean(),
        async (fates, count, isDisturbed) => {
          const { list, redis } = unsureList(fates);
          const outbox = new Outbox({ redis, signer, run: RUN, shard: 1 });
          const inbox = new Inbox(1);
          const seen: number[] = [];
          const look = (): void => {
            if (isDisturbed) list.unshift('0|.json.{}', 'nonsense', `${inbox.read}|.json.{"kind":"taken"}`);
            inbox.take(list.splice(0), {
              signer,
              run: RUN,
              onRecord: (_kind, record) => void seen.push((record as { n: number }).n),
            });
          };
          const progress = { sessionsStarted: 0, activeSessions: 0, callsInFlight: 0 };
          for (let n = 0; n < count; n++) {
            outbox.add({ kind: 'lines', lines: { call: JSON.stringify({ n }) }, progress });
            if (n % 7 === 0) {
              await settled();
              look();
            }
          }
          for (let laps = 0; outbox.unread > 0 && laps < 40; laps++) {
            await settled();
            look();
            // Long after they were sent.
            outbox.wasRead(inbox.read, performance.now() + 10_000 * (laps + 1));
          }
          expect(seen).toEqual(Array.from({ length: count }, (_, n) => n));
          expect(outbox.unread).toBe(0);
          expect(inbox.foreign > 0).toBe(isDisturbed);
          await outbox.empty();
        },
      ),
      { numRuns: 40 },
    );
  });

  test('of another shard or run are not taken', async () => {
    const { list, redis } = unsureList([]);
    const outbox = new Outbox({ redis, signer, run: RUN, shard: 0 });
    outbox.add({ kind: 'taken', worker: 'w' });
    await settled();
    for (const [shard, run] of [
      [1, RUN],
      [0, 'another'],
    ] as const) {
      const inbox = new Inbox(shard);
      inbox.take(list, { signer, run, onRecord: () => {} });
      expect(inbox).toMatchObject({ read: 0, foreign: 1, state: 'waiting' });
    }
  });
});

describe('the clock of the queue', () => {
  /** A clock 5 s ahead of ours; each way takes as long as drawn, ms. */
  const ways = (delays: readonly (readonly [there: number, back: number])[]) => {
    let nowMs = 100;
    let trip = 0;
    const ask = async (): Promise<number> => {
      const [there, back] = delays[trip++] as [number, number];
      nowMs += there;
      const shown = nowMs + 5000;
      nowMs += back;
      return shown;
    };
    return clockOffset(ask, () => nowMs, delays.length);
  };

  test('is read off the smallest round trip: by hand', async () => {
    // 40 ms there and 2 back would say 5019; the fast one, 3 and 1, says 5001, and may be 2 ms off.
    expect(
      await ways([
        [40, 2],
        [3, 1],
        [10, 10],
      ]),
    ).toEqual({ offsetMs: 5001, errorMs: 2 });
  });

  test('is never further off than is said', async () => {
    const way = fc.integer({ min: 0, max: 200 });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(way, way), { minLength: 1, maxLength: 20 }), async delays => {
        const { offsetMs, errorMs } = await ways(delays);
        expect(Math.abs(offsetMs - 5000)).toBeLessThanOrEqual(errorMs);
        expect(errorMs).toBe(Math.min(...delays.map(([there, back]) => (there + back) / 2)));
      }),
    );
  });
});
