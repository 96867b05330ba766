// Consistent hashing: who owns which part of the ring, and where sessions go while a replica is above its bound.
import { describe, expect, test } from 'vitest';
import consistentHash from '../../../gateway/routing/consistent-hash.ts';
import { HashRing } from '../../../gateway/routing/hash-ring.ts';
import { textKey } from '../../../scenarios/base/key.ts';
import { arrival, setup, view } from '../../builders/routing.ts';

const sessions = Array.from({ length: 1000 }, (_, i) => arrival({ session: `session ${i}` }));

function places(ids: number[], options = {}, outstanding = ids.map(() => 0)): number[] {
  const router = consistentHash.create(options, setup);
  const seen = view({ ids, outstanding });
  return sessions.map(session => ids[router.route(session, seen)]!);
}

describe('the ring', () => {
  test('has so many points for each replica, and past the last comes the first', () => {
    const ring = new HashRing(3);
    const replicas = ['a', 'b'];
    const point = ring.find(replicas, { hi: 0xffffffff, lo: 0xffffffff });
    expect(ring.points).toBe(6);
    expect(point).toBe(6);
    expect(ring.rowAt(point)).toBe(ring.rowAt(ring.find(replicas, { hi: 0, lo: 0 })));
    const rows = Array.from({ length: 6 }, (_, i) => ring.rowAt(i));
    expect(rows.toSorted()).toEqual([0, 0, 0, 1, 1, 1]);
  });

  test('is the same however its replicas are ordered', () => {
    const ring = new HashRing(160);
    const other = new HashRing(160);
    for (let i = 0; i < 200; i++) {
      const key = textKey(`${i}`);
      const row = ring.rowAt(ring.find(['a', 'b', 'c'], key));
      expect(other.rowAt(other.find(['c', 'b', 'a'], key))).toBe(2 - row);
    }
  });
});

describe('consistent-hash', () => {
  test('keeps a session on one replica, and moves only the share of one that comes or goes', () => {
    const four = places([10, 11, 12, 13]);
    expect(places([10, 11, 12, 13], {}, [7, 1, 900, 3])).toEqual(four);
    const five = places([10, 11, 12, 13, 14]);
    const moved = five.filter((id, i) => id !== four[i]);
    expect(moved.every(id => id === 14)).toBe(true);
    expect(moved.length).toBeGreaterThan(130);
    expect(moved.length).toBeLessThan(270);
  });

  test('with a load factor, a replica above it passes its sessions to others, one at it keeps them', () => {
    const free = places([10, 11, 12]);
    // Mean 4/3, times 1.5 is 2: nobody is above.
    expect(places([10, 11, 12], { load_factor: 1.5 }, [2, 1, 1])).toEqual(free);
    // Mean 5/3, times 1.5 is 2.5: the first is above.
    const spilled = places([10, 11, 12], { load_factor: 1.5 }, [5, 0, 0]);
    expect(spilled).not.toContain(10);
    for (const [i, id] of free.entries()) if (id !== 10) expect(spilled[i]).toBe(id);
    // Those of the first go on clockwise, to either of the others.
    const passedOn = new Set(spilled.filter((_, i) => free[i] === 10));
    expect(passedOn).toEqual(new Set([11, 12]));
  });

  test('keeps a session where it belongs when every replica is above the bound', () => {
    expect(places([10, 11, 12], { load_factor: 0.5 }, [1, 1, 1])).toEqual(places([10, 11, 12]));
  });
});
