// Outlier ejection: Envoy's rule by hand, and that never too many are out, whatever fails.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Outliers } from '../../../gateway/breakers/outliers.ts';
import { anyRule, anyTraffic, failed, GOOD, rule } from './build.ts';

const envoy = rule({ inARow: 5, openMs: 30_000, growsOpen: true, ejectMax: 0.1, reasons: ['5xx'] });

const pool = (size: number, some = envoy) => {
  const outliers = new Outliers(some);
  for (let i = 0; i < size; i += 1) outliers.observe(`pool/${i}`, GOOD, 0);
  return outliers;
};
const fail = (outliers: Outliers, replica: string, count: number, nowMs: number) =>
  Array.from({ length: count }, () => outliers.observe(replica, failed(), nowMs)).at(-1);

describe('a replica', () => {
  test('is left out after five failures in a row, for 30 s', () => {
    const outliers = pool(3);
    expect(fail(outliers, 'pool/1', 4, 0)).toBeNull();
    expect(outliers.ejected(0)).toEqual([]);
    expect(fail(outliers, 'pool/1', 1, 100)).toBe('ejected');
    expect(outliers.ejected(100)).toEqual(['pool/1']);
    expect(outliers.ejected(30_099)).toEqual(['pool/1']);
    expect(outliers.ejected(30_100)).toEqual([]);
  });

  test('is left out for longer when it fails again at once, and as at first after it behaved', () => {
    const outliers = pool(3);
    fail(outliers, 'pool/1', 5, 0); // until 30 s
    fail(outliers, 'pool/1', 5, 30_000); // twice as long
    expect([outliers.ejected(89_999), outliers.ejected(90_000)]).toEqual([['pool/1'], []]);
    fail(outliers, 'pool/1', 5, 110_000); // 20 s in use take both back
    expect([outliers.ejected(139_999), outliers.ejected(140_000)]).toEqual([['pool/1'], []]);
  });

  test('ends of calls sent before it came back count for nothing', () => {
    const outliers = pool(3);
    fail(outliers, 'pool/1', 5, 0);
    fail(outliers, 'pool/1', 50, 10_000);
    const late = { ...failed('5xx', 30_000), sentMs: 0 };
    for (let i = 0; i < 50; i += 1) outliers.observe('pool/1', late, 30_000);
    expect(fail(outliers, 'pool/1', 4, 30_000)).toBeNull();
    expect(outliers.ejected(30_000)).toEqual([]);
  });
});

describe('a pool', () => {
  test('of three loses one at most under a tenth, of twenty two, of one its only one', () => {
    const out = (size: number) => {
      const outliers = pool(size);
      for (let i = 0; i < size; i += 1) fail(outliers, `pool/${i}`, 5, 0);
      return outliers.ejected(0);
    };
    expect(out(3)).toEqual(['pool/0']);
    expect(out(20)).toEqual(['pool/0', 'pool/1']);
    expect(out(1)).toEqual(['pool/0']);
  });

  test('ejects the next one as soon as there is room and it still fails', () => {
    const outliers = pool(3);
    fail(outliers, 'pool/0', 5, 0);
    expect(fail(outliers, 'pool/1', 9, 10)).toBeNull();
    expect(fail(outliers, 'pool/1', 1, 30_000)).toBe('ejected');
    expect(outliers.ejected(30_000)).toEqual(['pool/1']);
  });

  test('gives the room of a replica that has gone to another', () => {
    const outliers = pool(3);
    fail(outliers, 'pool/0', 5, 0);
    outliers.gone('pool/0');
    expect(outliers.ejected(1)).toEqual([]);
    expect(fail(outliers, 'pool/1', 5, 1)).toBe('ejected');
  });

  test('forgets replicas that nobody hears of any more: a tenth is of those there are', () => {
    const outliers = pool(40);
    for (const replica of ['new/0', 'new/1', 'new/2']) outliers.observe(replica, GOOD, 700_000);
    fail(outliers, 'new/0', 5, 700_000);
    expect(fail(outliers, 'new/1', 5, 700_000)).toBeNull();
    expect(outliers.ejected(700_000)).toEqual(['new/0']);
  });

  test('hands out the same list until it changes', () => {
    const outliers = pool(3);
    expect(outliers.ejected(0)).toBe(outliers.ejected(5));
    fail(outliers, 'pool/1', 5, 10);
    expect(outliers.ejected(10)).toBe(outliers.ejected(20));
  });
});

test('whatever fails, no more than the share are left out, or one, and each for its time', () => {
  fc.assert(
    fc.property(anyRule, anyTraffic, fc.integer({ min: 1, max: 12 }), (some, traffic, size) => {
      const outliers = new Outliers({ ...some, growsOpen: false });
      const known = new Set<string>();
      const until = new Map<string, number>();
      let nowMs = 0;
      for (const { waitMs, pick, reason } of traffic) {
        nowMs += waitMs / 10;
        const replica = `pool/${pick % size}`;
        const was = outliers.ejected(nowMs).includes(replica);
        const told = outliers.observe(replica, { ok: reason === null, reason, tookMs: 1 }, nowMs);
        known.add(replica);
        if (told === 'ejected') {
          expect(was).toBe(false);
          until.set(replica, nowMs + some.openMs);
          const out = outliers.ejected(nowMs).length;
          expect(out === 1 || out / known.size <= some.ejectMax!).toBe(true);
        }
        const expected = [...until].filter(([, untilMs]) => nowMs < untilMs).map(([name]) => name);
        expect([...outliers.ejected(nowMs)].sort()).toEqual(expected.sort());
      }
    }),
    { numRuns: 500 },
  );
});
