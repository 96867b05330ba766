// Session affinity: a session keeps its replica, and replicas that come or go move only their own share.
import { expect, test } from 'vitest';
import sessionAffinity from '../../../gateway/routing/session-affinity.ts';
import { arrival, setup, view } from '../../builders/routing.ts';

const sessions = Array.from({ length: 1000 }, (_, i) => arrival({ session: `session ${i}` }));

/** The id that each session goes to. */
function places(ids: number[], outstanding = ids.map(() => 0)): number[] {
  const router = sessionAffinity.create({}, setup);
  const seen = view({ ids, outstanding });
  return sessions.map(session => ids[router.route(session, seen)]!);
}

test('keeps a session on one replica, whatever its load', () => {
  expect(places([10, 11, 12, 13], [7, 1, 9, 3])).toEqual(places([10, 11, 12, 13]));
});

test('gives each replica its share', () => {
  const four = places([10, 11, 12, 13]);
  for (const id of [10, 11, 12, 13]) {
    const share = four.filter(other => other === id).length;
    // 250 each; three standard deviations of a binomial are 41.
    expect(Math.abs(share - 250)).toBeLessThan(42);
  }
});

test('moves only what a new replica takes, and only what one that leaves had', () => {
  const four = places([10, 11, 12, 13]);
  const five = places([10, 11, 12, 13, 14]);
  const moved = five.filter((id, i) => id !== four[i]);
  expect(moved.every(id => id === 14)).toBe(true);
  expect(Math.abs(moved.length - 200)).toBeLessThan(40);
  const three = places([10, 12, 13]);
  for (const [i, id] of four.entries()) if (id !== 11) expect(three[i]).toBe(id);
});
