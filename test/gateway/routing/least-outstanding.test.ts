// Least outstanding: the shortest queue.
import { expect, test } from 'vitest';
import leastOutstanding from '../../../gateway/routing/least-outstanding.ts';
import { arrival, setup, view } from '../../builders/routing.ts';

test('takes the fewest outstanding, of several the lowest row', () => {
  const router = leastOutstanding.create({}, setup);
  expect(router.route(arrival(), view({ outstanding: [3, 1, 2, 1] }))).toBe(1);
  expect(router.route(arrival(), view({ outstanding: [0, 0] }))).toBe(0);
});
