// What each admission policy makes of cases that were worked out by hand, and the laws that one of them has.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { admissionPolicy } from '../../../gateway/admission/index.ts';
import { Line, WaitingRoom } from '../../../gateway/admission/queue.ts';
import { arrival, Gatekeeper, poolsOf, SATURATED, view } from './build.ts';

const SETUP = { pool: { maxBatchedTokens: 8192, kvTokens: 200_000 } };
const keep = (name: string, options: Record<string, unknown> = {}, pools = poolsOf(view({}))) =>
  new Gatekeeper(admissionPolicy(name).create(options, SETUP), pools);

describe('calls', () => {
  test('sends in order of arrival as others end, and turns away what the line has no room for', () => {
    const keeper = keep('calls', { max: 2, queue: 2 });
    expect([1, 2, 3, 4, 5].map(id => keeper.arrive({ id }))).toEqual([
      'send',
      'send',
      'wait',
      'wait',
      'queue_full',
    ]);
    keeper.to(10);
    keeper.end(2);
    expect(keeper.fates.get(3)).toEqual({ sentMs: 10 });
    expect(keeper.withdraw(4)).toBe(true);
    keeper.end(1);
    expect(keeper.sent).toEqual([1, 2, 3]);
    expect(keeper.arrive({ id: 6 })).toBe('send');
  });

  test('without a line sheds, and in a line nobody waits longer than max_wait', () => {
    const strict = keep('calls', { max: 1 });
    expect([1, 2].map(id => strict.arrive({ id }))).toEqual(['send', 'shed']);
    const patient = keep('calls', { max: 1, queue: 5, max_wait: 300 });
    patient.arrive({ id: 1 });
    patient.to(50);
    patient.arrive({ id: 2 });
    expect(patient.gate.nextMs()).toBe(350);
    patient.to(1000);
    expect(patient.fates.get(2)).toEqual({ refusedMs: 350, reason: 'queue_timeout' });
  });
});

describe('sessions', () => {
  test('a session that was let in is never turned away and never waits, whatever comes', () => {
    const step = fc.record({ session: fc.nat(6), ends: fc.nat(9), waitMs: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), steps => {
        const keeper = keep('sessions', { max: 2, queue: 2, max_wait: 30 });
        const inside = new Set<string>();
        const sessionOf = new Map<number, string>();
        const follow = () => {
          for (const id of keeper.sent) if (sessionOf.has(id)) inside.add(sessionOf.get(id)!);
          for (const id of keeper.sent) sessionOf.delete(id);
          expect(inside.size).toBeLessThanOrEqual(2);
        };
        for (const [id, { session, ends, waitMs }] of steps.entries()) {
          const name = `s${session}`;
          const wasInside = inside.has(name);
          sessionOf.set(id, name);
          const verdict = keeper.arrive({ id, session: name });
          if (wasInside) expect(verdict).toBe('send');
          follow();
          if (inside.delete(`s${ends}`)) keeper.endSession(`s${ends}`);
          keeper.to(keeper.nowMs + waitMs);
          follow();
        }
      }),
    );
  });

  test('all waiting calls of a session go on together, in order of the first, and time out together', () => {
    const keeper = keep('sessions', { max: 1, queue: 2, max_wait: 100 });
    const come = (id: number, session: string) => keeper.arrive({ id, session });
    expect([come(1, 'a'), come(2, 'b'), come(3, 'c'), come(4, 'b'), come(5, 'd'), come(6, 'a')]).toEqual([
      'send',
      'wait',
      'wait',
      'wait',
      'queue_full',
      'send',
    ]);
    expect(keeper.gate.waiting).toBe(3);
    keeper.to(40);
    keeper.endSession('a');
    expect(keeper.sent).toEqual([1, 6, 2, 4]);
    keeper.arrive({ id: 7, session: 'c' });
    keeper.to(100);
    const late = { refusedMs: 100, reason: 'queue_timeout' };
    expect([keeper.fates.get(3), keeper.fates.get(7)]).toEqual([late, late]);
  });

  test('a session keeps its place when its first call is withdrawn, and leaves with its last', () => {
    const keeper = keep('sessions', { max: 1, queue: 5 });
    for (const [id, session] of [
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
      [4, 'b'],
      [5, 'd'],
    ] as const)
      keeper.arrive({ id, session });
    keeper.withdraw(2);
    keeper.withdraw(3);
    keeper.endSession('a');
    expect(keeper.sent).toEqual([1, 4]);
    keeper.endSession('b');
    expect(keeper.sent).toEqual([1, 4, 5]);
  });
});

describe('token_bucket', () => {
  test('starts full, refills at its rate, and turns away what does not fit', () => {
    const bucket = keep('token_bucket');
    // 10,000 tokens and 1000/s: 6000 + 4000 empty it; 500 tokens are back after 500 ms.
    expect(bucket.arrive({ id: 1, promptTokens: 6000 })).toBe('send');
    expect(bucket.arrive({ id: 2, promptTokens: 4001 })).toBe('rate_limited');
    expect(bucket.arrive({ id: 3, promptTokens: 4000 })).toBe('send');
    bucket.to(499);
    expect(bucket.arrive({ id: 4, promptTokens: 500 })).toBe('rate_limited');
    bucket.to(500);
    expect(bucket.arrive({ id: 5, promptTokens: 500 })).toBe('send');
    // Not more than its capacity, however long nobody comes.
    bucket.to(1e9);
    expect(bucket.arrive({ id: 6, promptTokens: 10_001 })).toBe('rate_limited');
    expect(bucket.arrive({ id: 7, promptTokens: 10_000 })).toBe('send');
    expect(bucket.arrive({ id: 8, promptTokens: 1 })).toBe('rate_limited');
  });

  test('with a line a call goes on at the very instant at which its tokens are there', () => {
    const bucket = keep('token_bucket', { capacity: 1000, refill: 300, queue: 2 });
    bucket.arrive({ id: 1, promptTokens: 1000 });
    expect(bucket.arrive({ id: 2, promptTokens: 100 })).toBe('wait');
    expect(bucket.arrive({ id: 3, promptTokens: 200 })).toBe('wait');
    expect(bucket.gate.nextMs()).toBeCloseTo(1000 / 3, 9);
    bucket.to(2000);
    expect(bucket.fates.get(2)).toEqual({ sentMs: expect.closeTo(1000 / 3, 6) });
    expect(bucket.fates.get(3)).toEqual({ sentMs: expect.closeTo(1000, 6) });
  });

  test('never sends more than its capacity and what it was refilled with since', () => {
    const call = fc.record({ waitMs: fc.nat(400), promptTokens: fc.integer({ min: 1, max: 1000 }) });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 60 }), fc.boolean(), (calls, waits) => {
        const bucket = keep('token_bucket', { capacity: 1000, refill: 700, queue: waits ? 5 : 0 });
        const tokensOf = new Map<number, number>();
        for (const [id, { waitMs, promptTokens }] of calls.entries()) {
          bucket.to(bucket.nowMs + waitMs);
          tokensOf.set(id, promptTokens);
          bucket.arrive({ id, promptTokens });
        }
        bucket.to(bucket.nowMs + 60_000);
        const sent = [...bucket.fates].flatMap(([id, fate]) =>
          'sentMs' in fate ? [{ atMs: fate.sentMs, tokens: tokensOf.get(id)! }] : [],
        );
        for (let from = 0; from < sent.length; from++) {
          let tokens = 0;
          for (let to = from; to < sent.length; to++) {
            tokens += sent[to]!.tokens;
            const elapsedSec = (sent[to]!.atMs - sent[from]!.atMs) / 1000;
            expect(tokens).toBeLessThanOrEqual(1000 + 700 * elapsedSec + 0.01);
          }
        }
      }),
    );
  });
});

describe('saturation', () => {
  const shed = (columns: Parameters<typeof view>[0], options = {}, ageMs = 0, priority = -1) =>
    keep('saturation', options, poolsOf(view(columns, { ageMs }))).arrive({ id: 1, priority }) === 'shed';

  test('is the mean over replicas of max(waiting / 5, KV / 80 %), and sheds from 1 on', () => {
    // (max(2/5, 0.72/0.8) + max(6/5, 0.1/0.8)) / 2 = (0.9 + 1.2) / 2 = 1.05; with 5 waiting 0.95.
    expect(shed({ waiting: [2, 6], kvUsedRatio: [0.72, 0.1] })).toBe(true);
    expect(shed({ waiting: [2, 5], kvUsedRatio: [0.72, 0.1] })).toBe(false);
    expect(shed({ waiting: [2, 5], kvUsedRatio: [0.72, 0.1] }, { queue_depth: 4 })).toBe(true);
  });

  test('takes old metrics, and a pool without replicas, as saturated', () => {
    expect(shed({ waiting: [0] }, {}, 200)).toBe(false);
    expect(shed({ waiting: [0] }, {}, 201)).toBe(true);
    expect(shed({ waiting: [0] }, {}, Number.POSITIVE_INFINITY)).toBe(true);
    expect(shed({ waiting: [] })).toBe(true);
  });

  test('sheds only below its priority', () => {
    expect(shed({ waiting: [9] }, {}, 0, 0)).toBe(false);
    expect(shed({ waiting: [9] }, { priority_below: 2 }, 0, 1)).toBe(true);
    expect(shed({ waiting: [9] }, { priority_below: -1 }, 0, -1)).toBe(false);
  });

  test('counts what is in flight over all replicas, in requests, tokens or the larger of both', () => {
    const busy = { outstanding: [150, 50], prefillTokens: [0, 1_000_000], decodeTokens: [900_000, 0] };
    expect(shed(busy, { detector: 'requests' })).toBe(true);
    expect(shed({ ...busy, outstanding: [150, 49] }, { detector: 'requests' })).toBe(false);
    expect(shed(busy, { detector: 'tokens' })).toBe(false);
    expect(shed(busy, { detector: 'tokens', max_tokens: 950_000 })).toBe(true);
    expect(shed(busy, { detector: 'hybrid' })).toBe(true);
    expect(shed({ ...busy, outstanding: [0, 0] }, { detector: 'hybrid' })).toBe(false);
  });
});

test('probabilistic sheds 300 * saturation^5 of the low priorities, and nobody else', () => {
  const share = (waiting: number, priority: number) => {
    const keeper = keep('probabilistic', { queue_depth: 100 }, poolsOf(view({ waiting: [waiting] })));
    const calls = 4000;
    for (let id = 0; id < calls; id++) keeper.arrive({ id, priority });
    return 1 - keeper.sent.length / calls;
  };
  // 300 * 0.2^5 = 0.096 and 300 * 0.3^5 = 0.729; three deviations of 4000 draws are below 0.022.
  expect(Math.abs(share(20, -1) - 0.096)).toBeLessThan(0.022);
  expect(Math.abs(share(30, -1) - 0.729)).toBeLessThan(0.022);
  expect(share(32, -1)).toBe(1);
  expect(share(5, -1)).toBeLessThan(0.001);
  expect(share(200, 0)).toBe(0);
  expect(keep('probabilistic', {}, poolsOf(view({ waiting: [] }))).arrive({ id: 1, priority: -1 })).toBe(
    'send',
  );
});

test('tier_shed looks at the fullest replica', () => {
  const pools = poolsOf(view({ outstanding: [0, 8] }));
  const verdict = (options: Record<string, unknown>, priority: number) =>
    keep('tier_shed', options, pools).arrive({ id: 1, priority });
  expect(verdict({}, -1)).toBe('shed');
  expect(verdict({}, 0)).toBe('send');
  expect(verdict({ overload: 8 }, -1)).toBe('send');
  expect(verdict({ overload: 7, min_priority: 3 }, 2)).toBe('shed');
});

describe('flow_control', () => {
  const FREE = poolsOf(view({ waiting: [0] }));
  /** Calls that come while the pool is saturated; it is free from 10 ms on. */
  const order = (options: Record<string, unknown>, calls: Parameters<Gatekeeper['arrive']>[0][]) => {
    const keeper = keep('flow_control', options, SATURATED);
    for (const call of calls) expect(keeper.arrive(call)).toBe('wait');
    keeper.to(10);
    expect(keeper.sent).toEqual([]);
    keeper.pools = FREE;
    keeper.to(100);
    return keeper;
  };

  test('lets one call go at each tick while the pool is not saturated, the highest band first', () => {
    const keeper = order({}, [
      { id: 1, priority: -1 },
      { id: 2, priority: 0 },
      { id: 3, priority: 5 },
      { id: 4, priority: 0 },
    ]);
    expect(keeper.sent).toEqual([3, 2, 4, 1]);
    expect(keeper.sent.map(id => (keeper.fates.get(id) as { sentMs: number }).sentMs)).toEqual([
      11, 12, 13, 14,
    ]);
    expect(keeper.gate.nextMs()).toBe(Number.POSITIVE_INFINITY);
  });

  const tenants = [
    { id: 1, tenant: 'b' },
    { id: 2, tenant: 'b' },
    { id: 3, tenant: 'b' },
    { id: 4, tenant: 'a' },
    { id: 5, tenant: null },
    { id: 6, tenant: 'a' },
  ];
  test('takes the tenants of a band in turn, or the best call of all of them', () => {
    expect(order({ fairness: 'round_robin' }, tenants).sent).toEqual([5, 4, 1, 6, 2, 3]);
    expect(order({}, tenants).sent).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('orders by deadline; a call without one by the end of its wait', () => {
    const calls = [{ id: 1, deadlineMs: 90_000 }, { id: 2 }, { id: 3, deadlineMs: 20_000 }];
    expect(order({ ordering: 'edf' }, calls).sent).toEqual([3, 2, 1]);
    expect(order({}, calls).sent).toEqual([1, 2, 3]);
  });

  test('a call that comes starts a look at all, and does not overtake those that wait', () => {
    const keeper = keep('flow_control', { interval: 5 }, SATURATED);
    keeper.arrive({ id: 1 });
    keeper.to(7);
    keeper.pools = FREE;
    expect(keeper.arrive({ id: 2 })).toBe('wait');
    keeper.to(8);
    expect(keeper.fates.get(1)).toEqual({ sentMs: 7 });
    keeper.to(20);
    expect(keeper.fates.get(2)).toEqual({ sentMs: 12 });
  });

  test('turns away what its band has no room for, 4 bytes to a token, and what has waited 60 s', () => {
    const keeper = keep('flow_control', { band_bytes: 8000 }, SATURATED);
    expect(keeper.arrive({ id: 1, promptTokens: 1500 })).toBe('wait');
    expect(keeper.arrive({ id: 2, promptTokens: 501 })).toBe('queue_full');
    expect(keeper.arrive({ id: 3, promptTokens: 500 })).toBe('wait');
    expect(keeper.arrive({ id: 4, promptTokens: 2000, priority: 1 })).toBe('wait');
    keeper.withdraw(1);
    expect(keeper.arrive({ id: 5, promptTokens: 1500 })).toBe('wait');
    keeper.to(60_000);
    expect(keeper.fates.get(3)).toEqual({ refusedMs: 60_000, reason: 'queue_timeout' });
  });

  test('a pool that is free is not held up by one that is not', () => {
    const keeper = keep('flow_control', {});
    keeper.pools = { view: pool => (pool === 'full' ? view({ waiting: [9] }) : view({ waiting: [0] })) };
    expect(keeper.arrive({ id: 1, pool: 'full', priority: 9 })).toBe('wait');
    expect(keeper.arrive({ id: 2, pool: 'free' })).toBe('send');
  });
});

describe('dynamo_queue', () => {
  const prefill = (...prefillTokens: number[]) => poolsOf(view({ prefillTokens }));
  /** Calls that come while all workers are busy, and the order in which they go on when they are not. */
  const order = (options: Record<string, unknown>, calls: Parameters<Gatekeeper['arrive']>[0][]) => {
    const keeper = keep('dynamo_queue', options, prefill(131_073));
    for (const call of calls) {
      keeper.to(keeper.nowMs + 1000);
      expect(keeper.arrive(call)).toBe('wait');
    }
    keeper.pools = prefill(0);
    keeper.to(keeper.nowMs + 10);
    return keeper.sent;
  };

  test('holds a call while every worker has more than 16 x 8192 prefill tokens', () => {
    expect(keep('dynamo_queue', {}, prefill(131_073, 131_072)).arrive({ id: 1 })).toBe('send');
    expect(keep('dynamo_queue', {}, prefill(131_073, 131_073)).arrive({ id: 1 })).toBe('wait');
    expect(keep('dynamo_queue', { threshold: 1 }, prefill(8193)).arrive({ id: 1 })).toBe('wait');
  });

  test('goes on in the order of its policy, a priority counting as seconds', () => {
    const calls = [
      { id: 1, promptTokens: 9000, session: 'a' },
      { id: 2, promptTokens: 500, session: 'b' },
      { id: 3, promptTokens: 3000, session: 'c', priority: 3 },
    ];
    // They come at 1, 2 and 3 s. fcfs: 1, 2 and 3 - 3 s; wspt: 1/9000, 1/500 and 4/3000.
    expect(order({}, calls)).toEqual([3, 1, 2]);
    expect(order({ order: 'lcfs' }, calls)).toEqual([3, 2, 1]);
    expect(order({ order: 'wspt' }, calls)).toEqual([2, 3, 1]);
  });

  test('session_las takes the session that was sent least, and forgets it when it ends', () => {
    const sent = (keeper: Gatekeeper) => keeper.sent.filter(id => id > 2);
    const run = (endsFirst: boolean) => {
      const keeper = keep('dynamo_queue', { order: 'session_las' }, prefill(0));
      keeper.arrive({ id: 1, session: 'a', promptTokens: 5000 });
      keeper.arrive({ id: 2, session: 'b', promptTokens: 4000 });
      if (endsFirst) keeper.endSession('a');
      keeper.pools = prefill(131_073);
      keeper.arrive({ id: 3, session: 'a' });
      keeper.arrive({ id: 4, session: 'b' });
      keeper.pools = prefill(0);
      keeper.to(5);
      return sent(keeper);
    };
    expect(run(false)).toEqual([4, 3]);
    expect(run(true)).toEqual([3, 4]);
  });

  test('looks at the workers again before each call that goes on', () => {
    const keeper = keep('dynamo_queue', {}, prefill(131_073));
    keeper.arrive({ id: 1, promptTokens: 200_000 });
    keeper.arrive({ id: 2 });
    let prefillTokens = 0;
    keeper.pools = {
      view: () => {
        prefillTokens = keeper.sent.length === 0 ? 0 : 200_000;
        return view({ prefillTokens: [prefillTokens] });
      },
    };
    keeper.to(50);
    expect(keeper.sent).toEqual([1]);
  });

  test('beyond its limits for each worker a call gets a 529', () => {
    const busy = prefill(131_073, 131_073);
    const calls = keep('dynamo_queue', { queue: 1 }, busy);
    expect([1, 2, 3].map(id => calls.arrive({ id }))).toEqual(['wait', 'wait', 'shed']);
    const tokens = keep('dynamo_queue', { queue_tokens: 1000 }, busy);
    expect(tokens.arrive({ id: 1, promptTokens: 2001 })).toBe('shed');
    expect(tokens.arrive({ id: 2, promptTokens: 2000 })).toBe('wait');
  });
});

describe('thunder_agent', () => {
  /** One replica of 10,000 KV tokens; looks at 5, 10, 15 s. */
  const thunder = (options: Record<string, unknown> = {}) =>
    new Gatekeeper(
      admissionPolicy('thunder_agent').create(options, {
        pool: { maxBatchedTokens: 8192, kvTokens: 10_000 },
      }),
      poolsOf(view({ outstanding: [0] })),
    );
  const come = (keeper: Gatekeeper, id: number, session: string, promptTokens: number) =>
    keeper.arrive({ id, session, promptTokens });

  test('lets programs in while they fit with 100 tokens each, and new ones queue behind those that wait', () => {
    const keeper = thunder();
    expect(come(keeper, 1, 'a', 5000)).toBe('send');
    expect(come(keeper, 2, 'b', 4801)).toBe('wait');
    expect(come(keeper, 3, 'c', 10)).toBe('wait');
    expect(come(keeper, 4, 'a', 5500)).toBe('send');
    // At 5 s they may hold 85 %, 8500: 5600 and 110 do, with 4901 more they would not.
    keeper.to(5000);
    expect(keeper.fates.get(3)).toEqual({ sentMs: 5000 });
    expect(keeper.gate.waiting).toBe(1);
    keeper.endSession('a');
    keeper.to(10_000);
    expect(keeper.fates.get(2)).toEqual({ sentMs: 10_000 });
  });

  test('pauses the smallest between two calls from 95 % down to 80 %, and resumes them when there is room', () => {
    const keeper = thunder();
    for (const [id, session, tokens] of [
      [1, 'a', 1000],
      [2, 'b', 2000],
      [3, 'c', 3000],
    ] as const)
      come(keeper, id, session, tokens);
    keeper.end(1);
    keeper.end(2);
    // Grown to 6000: 1100 + 2100 + 6100 = 9300 hold less than 9500; with 6300 they are 9600.
    come(keeper, 4, 'c', 6000);
    keeper.to(5000);
    expect(come(keeper, 5, 'a', 1000)).toBe('send');
    keeper.end(5);
    come(keeper, 6, 'c', 6300);
    keeper.to(10_000);
    // Without a, 8500, and without b, 6400 of at most 8000.
    expect([come(keeper, 7, 'b', 2000), come(keeper, 8, 'a', 1000)]).toEqual(['wait', 'wait']);
    // At 15 s a fits below 8500 (6400 + 1100), and b does not; when c is gone, b does.
    keeper.to(15_000);
    expect([keeper.fates.has(8), keeper.fates.has(7)]).toEqual([true, false]);
    keeper.endSession('c');
    keeper.to(20_000);
    expect(keeper.fates.get(7)).toEqual({ sentMs: 20_000 });
  });

  test('marks programs in flight when pausing the others is not enough: they stop after their call', () => {
    const keeper = thunder();
    come(keeper, 1, 'a', 4000);
    come(keeper, 2, 'b', 4000);
    come(keeper, 3, 'b', 5600);
    keeper.to(5000);
    expect(come(keeper, 4, 'a', 4000)).toBe('send');
    keeper.end(1);
    expect(come(keeper, 5, 'a', 4000)).toBe('send');
    keeper.end(4);
    keeper.end(5);
    expect(come(keeper, 6, 'a', 4000)).toBe('wait');
  });

  test('a program that has waited long enough goes on whatever there is', () => {
    const keeper = thunder({ resume_after: 7000 });
    come(keeper, 1, 'a', 9000);
    expect(come(keeper, 2, 'b', 9000)).toBe('wait');
    keeper.to(20_000);
    expect(keeper.fates.get(2)).toEqual({ sentMs: 7000 });
  });
});

test('a line that is never empty keeps few of those that have left it', () => {
  const room = new WaitingRoom(60_000);
  const line = new Line();
  line.add(room.enter(arrival({ id: 0 }), 0));
  for (let id = 1; id < 10_000; id++) {
    line.add(room.enter(arrival({ id }), id));
    room.withdraw(id);
    expect(line.places).toBeLessThanOrEqual(64);
  }
  expect(room.size).toBe(1);
  expect(line.first()?.call.id).toBe(0);
});
