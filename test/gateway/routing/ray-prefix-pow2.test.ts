// Ray Serve LLM's prefix-aware power of two: even queues, enough of a match, the smallest tree, the shortest queue.
import { expect, test } from 'vitest';
import type { Router } from '../../../gateway/routing/policy.ts';
import rayPrefixPow2 from '../../../gateway/routing/ray-prefix-pow2.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

/** The first of three replicas was sent 200 tokens of x, the second 50 of y and then 30 of x, the third 120 of w. */
function made(options = {}): Router {
  const router = rayPrefixPow2.create(options, setup);
  router.route(arrival({ prompt: [content('x', 200)] }), view({ ids: [10] }));
  router.route(arrival({ prompt: [content('y', 50)] }), view({ ids: [11] }));
  router.route(arrival({ prompt: [content('x', 30)] }), view({ ids: [11] }));
  router.route(arrival({ prompt: [content('w', 120)] }), view({ ids: [12] }));
  return router;
}

const row = (router: Router, prompt: ReturnType<typeof content>[], outstanding: number[]) =>
  router.route(arrival({ prompt }), view({ outstanding }));

test('takes the longest match while queues are no more than ten apart, else the better of two drawn', () => {
  expect(row(made(), [content('x', 200)], [10, 0, 0])).toBe(0);
  // Of any two the first is the longer queue.
  expect(row(made(), [content('x', 200)], [11, 0, 0])).not.toBe(0);
});

test('takes a match from a tenth of the prompt on; below it the smallest tree: 80 tokens', () => {
  const shares = (tokens: number) => [content('w', tokens), content('z', 100 - tokens)];
  expect(row(made(), shares(10), [0, 0, 5])).toBe(2);
  expect(row(made(), shares(9), [0, 5, 0])).toBe(1);
  expect(row(made({ match_rate_threshold: 0.05 }), shares(9), [0, 5, 5])).toBe(2);
});

test('takes the shortest queue of those that match as much', () => {
  expect(row(made(), [content('x', 30)], [4, 3, 0])).toBe(1);
  expect(row(made(), [content('x', 30)], [3, 4, 0])).toBe(0);
  expect(row(made(), [content('x', 31)], [4, 3, 0])).toBe(0);
});

test('forgets nothing unless told a capacity', () => {
  const router = made({ capacity_tokens: 150 }); // 150 of the 200 tokens of x stay
  expect(row(router, [content('x', 200)], [0, 0, 0])).toBe(0);
  // And now 10 of them, less than the 30 of the second.
  router.route(arrival({ prompt: [content('v', 140)] }), view({ ids: [10] }));
  expect(row(router, [content('x', 200)], [0, 0, 0])).toBe(1);
});
