// Power of two choices: shares that follow from counting the pairs.
import { expect, test } from 'vitest';
import { drawnRow } from '../../../gateway/routing/picker.ts';
import powerOfTwo from '../../../gateway/routing/power-of-two.ts';
import { arrival, setup, view } from '../../builders/routing.ts';

const calls = Array.from({ length: 9000 }, (_, i) => arrival({ id: i }));

function shares(outstanding: number[]): number[] {
  const router = powerOfTwo.create({}, setup);
  const counts = outstanding.map(() => 0);
  const seen = view({ outstanding });
  for (const call of calls) counts[router.route(call, seen)]! += 1;
  return counts;
}

test('takes the less loaded of two different replicas', () => {
  // The pairs {0, 1}, {0, 2} and {1, 2} are as likely: row 2 wins two, row 1 one, row 0 none.
  const [first, second, third] = shares([9, 5, 0]);
  expect(first).toBe(0);
  expect(Math.abs(second! - 3000)).toBeLessThan(140);
  expect(Math.abs(third! - 6000)).toBeLessThan(140);
});

test('takes the first drawn of two as loaded, so that even load stays even', () => {
  const router = powerOfTwo.create({}, setup);
  for (const call of calls.slice(0, 20))
    expect(router.route(call, view({ outstanding: [4, 4, 4] }))).toBe(drawnRow(call.key, 0, 3));
  for (const count of shares([4, 4, 4])) expect(Math.abs(count - 3000)).toBeLessThan(140);
});

test('takes the only replica there is', () => {
  expect(powerOfTwo.create({}, setup).route(arrival(), view({ outstanding: [3] }))).toBe(0);
});
