// What every routing policy must do, run over the registry, and what each one promises beyond it.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import type { RoutingArrival, RoutingView } from '../../../gateway/routing/policy.ts';
import { textKey } from '../../../scenarios/base/key.ts';

const arrival = (
  session: string,
  prompt = [{ key: textKey(session), from: 0, tokens: 100 }],
): RoutingArrival => ({
  session,
  sessionKey: textKey(session),
  prompt,
  promptTokens: prompt.reduce((sum, { tokens }) => sum + tokens, 0),
});

const view = (outstanding: number[]): RoutingView => ({
  ageMs: 0,
  replicas: outstanding.map((_, row) => `pool/${row}`),
  outstanding,
});

/** A deep-frozen view: a policy that writes to it throws. */
function frozen(outstanding: number[]): RoutingView {
  const { ageMs, replicas } = view(outstanding);
  return Object.freeze({
    ageMs,
    replicas: Object.freeze(replicas),
    outstanding: Object.freeze([...outstanding]),
  });
}

const trials = fc.array(
  fc.record({ session: fc.nat(9), outstanding: fc.array(fc.nat(5), { minLength: 1, maxLength: 6 }) }),
  { minLength: 1, maxLength: 30 },
);

describe.each(Object.entries(routingPolicies))('routing policy %s', (name, policy) => {
  const rows = (sequence: { session: number; outstanding: number[] }[]) => {
    const router = policy.create({});
    return sequence.map(({ session, outstanding }) =>
      router.route(arrival(`s${session}`), frozen(outstanding)),
    );
  };

  test('is registered under its own name, with a line of documentation', () => {
    expect(policy.name).toBe(name);
    expect(policy.doc).toMatch(/^[A-Z].*\.$/);
  });

  test('returns a row of the view, for pools that grow and shrink, and changes nothing in it', () => {
    fc.assert(
      fc.property(trials, sequence => {
        for (const [i, row] of rows(sequence).entries()) {
          expect(Number.isInteger(row)).toBe(true);
          expect(row).toBeGreaterThanOrEqual(0);
          expect(row).toBeLessThan(sequence[i]!.outstanding.length);
        }
      }),
    );
  });

  test('gives the same rows for the same arrivals, and two routers share no memory', () => {
    fc.assert(
      fc.property(trials, sequence => {
        expect(rows(sequence)).toEqual(rows(sequence));
      }),
    );
  });

  test('uses every replica of a pool for many sessions that never end', () => {
    const router = policy.create({});
    const outstanding = [0, 0, 0, 0];
    for (let i = 0; i < 400; i++) outstanding[router.route(arrival(`session ${i}`), view(outstanding))]! += 1;
    for (const count of outstanding) expect(count).toBeGreaterThan(60);
  });

  test('refuses an option it does not have', () => {
    expect(() => policy.create({ chioces: 2 })).toThrow(`routing policy ${name} has no option chioces`);
  });
});

test('round-robin takes the replicas in turn', () => {
  const router = routingPolicies['round-robin']!.create({});
  expect([1, 2, 3, 4].map(i => router.route(arrival(`${i}`), view([9, 0, 0])))).toEqual([0, 1, 2, 0]);
});

test('least-outstanding takes the fewest, of several the lowest row', () => {
  const router = routingPolicies['least-outstanding']!.create({});
  expect(router.route(arrival('a'), view([3, 1, 2, 1]))).toBe(1);
  expect(router.route(arrival('a'), view([0, 0]))).toBe(0);
});

test('session-affinity keeps a session on one replica, and a new replica takes only its own share', () => {
  const router = routingPolicies['session-affinity']!.create({});
  const sessions = Array.from({ length: 1000 }, (_, i) => arrival(`session ${i}`));
  const four = sessions.map(session => router.route(session, view([0, 0, 0, 0])));
  expect(sessions.map(session => router.route(session, view([7, 1, 9, 3])))).toEqual(four);
  const five = sessions.map(session => router.route(session, view([0, 0, 0, 0, 0])));
  const moved = five.filter((row, i) => row !== four[i]);
  expect(moved.every(row => row === 4)).toBe(true);
  expect(moved.length).toBeGreaterThan(150);
  expect(moved.length).toBeLessThan(250);
  for (const row of [0, 1, 2, 3]) {
    const share = four.filter(other => other === row).length;
    expect(share).toBeGreaterThan(200);
    expect(share).toBeLessThan(300);
  }
});

describe('prefix-cache', () => {
  const run = (name: string, tokens: number) => ({ key: textKey(name), from: 0, tokens });
  const policy = routingPolicies['prefix-cache']!;

  test('sends a conversation back to where most of it was sent, and a new one to the least loaded', () => {
    const router = policy.create({});
    const system = run('system', 1024);
    const first = router.route(arrival('a', [system, run('a1', 600)]), view([3, 1, 2]));
    expect(first).toBe(1);
    expect(router.route(arrival('a', [system, run('a1', 600), run('a2', 600)]), view([2, 2, 1]))).toBe(1);
    // Another that shares the system prompt follows it, unless that replica is above the mean plus a deviation.
    expect(router.route(arrival('b', [system, run('b1', 600)]), view([1, 1, 1]))).toBe(1);
    expect(router.route(arrival('c', [system, run('c1', 600)]), view([1, 8, 1]))).toBe(0);
  });

  test('gives up affinity while replicas differ by more than eight requests', () => {
    const router = policy.create({});
    const prompt = [run('x', 600)];
    expect(router.route(arrival('x', prompt), view([0, 0]))).toBe(0);
    expect(router.route(arrival('x', prompt), view([8, 0]))).toBe(0);
    expect(router.route(arrival('x', prompt), view([9, 0]))).toBe(1);
  });

  test('takes the longest prefix that was sent, of several rows the least loaded', () => {
    const router = policy.create({});
    router.route(arrival('a', [run('p', 512)]), view([0, 1]));
    router.route(arrival('b', [run('p', 512), run('q', 512)]), view([9, 0]));
    expect(router.route(arrival('c', [run('p', 512), run('q', 512), run('r', 5)]), view([0, 0]))).toBe(1);
    expect(router.route(arrival('d', [run('p', 512)]), view([2, 1]))).toBe(1);
  });

  test('knows equal content however it was cut into runs', () => {
    const router = policy.create({});
    const { key } = run('x', 1);
    const cut = [
      { key, from: 0, tokens: 300 },
      { key, from: 300, tokens: 1 },
      { key, from: 301, tokens: 723 },
    ];
    expect(router.route(arrival('a', [run('x', 1024)]), view([1, 0]))).toBe(1);
    expect(router.route(arrival('b', cut), view([0, 0]))).toBe(1);
    expect(router.route(arrival('c', [run('y', 1024)]), view([0, 0]))).toBe(0);
  });
});
