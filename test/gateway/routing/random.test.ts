// Random routing: each replica as likely, and a draw that depends on nothing but its call.
import { expect, test } from 'vitest';
import random from '../../../gateway/routing/random.ts';
import { arrival, setup, view } from '../../builders/routing.ts';

const calls = Array.from({ length: 10_000 }, (_, i) => arrival({ id: i }));
const four = view({ outstanding: [9, 0, 0, 0] });

test('takes each replica as often, whatever its load', () => {
  const router = random.create({}, setup);
  const counts = [0, 0, 0, 0];
  for (const call of calls) counts[router.route(call, four)]! += 1;
  // 2500 each; three standard deviations of a binomial are 130.
  for (const count of counts) expect(Math.abs(count - 2500)).toBeLessThan(130);
});

test('draws by the key of the call alone: what came before changes nothing', () => {
  const forwards = random.create({}, setup);
  const backwards = random.create({}, setup);
  const rows = calls.slice(0, 100).map(call => forwards.route(call, four));
  const reversed = calls.slice(0, 100).toReversed();
  expect(reversed.map(call => backwards.route(call, four)).toReversed()).toEqual(rows);
});
