// Round robin: the rows in turn.
import { expect, test } from 'vitest';
import roundRobin from '../../../gateway/routing/round-robin.ts';
import { arrival, setup, view } from '../../builders/routing.ts';

test('takes the replicas in turn, whatever their load', () => {
  const router = roundRobin.create({}, setup);
  const rows = [1, 2, 3, 4].map(() => router.route(arrival(), view({ outstanding: [9, 0, 0] })));
  expect(rows).toEqual([0, 1, 2, 0]);
});

test('begins again where a replica has gone', () => {
  const router = roundRobin.create({}, setup);
  const counts = [3, 3, 2, 2];
  const rows = counts.map(count => router.route(arrival(), view({ ids: [10, 11, 12].slice(0, count) })));
  expect(rows).toEqual([0, 1, 0, 1]);
});
