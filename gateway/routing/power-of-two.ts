// Power of two choices: two replicas drawn, the less loaded one taken (Mitzenmacher 2001). Nearly as even as the least
// outstanding, and routers that do not know of each other's requests do not all pick the same replica.
import type { Key } from '../../scenarios/base/key.ts';
import { refuseOptions } from './options.ts';
import { drawnRow } from './picker.ts';
import { defineRoutingPolicy } from './policy.ts';

/** Of two different rows drawn for this call the one with fewer outstanding requests; of equals, the first drawn. */
export function lessOfTwo(call: Key, outstanding: readonly number[]): number {
  const count = outstanding.length;
  if (count === 1) return 0;
  const first = drawnRow(call, 0, count);
  const among = drawnRow(call, 1, count - 1);
  const second = among < first ? among : among + 1;
  return outstanding[second]! < outstanding[first]! ? second : first;
}

export default defineRoutingPolicy({
  name: 'power-of-two',
  doc: 'Draws two replicas and takes the one with fewer outstanding requests.',
  source: 'SGLang router `power_of_two`, Ray Serve `PowerOfTwoChoicesRequestRouter`, Envoy `LEAST_REQUEST`',
  create(options) {
    refuseOptions('power-of-two', options);
    return { route: ({ key }, { outstanding }) => lessOfTwo(key, outstanding) };
  },
});
