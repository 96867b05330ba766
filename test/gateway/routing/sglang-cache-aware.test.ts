// SGLang's cache_aware: when load is uneven, when a match is enough, and both readings of what happens otherwise.
import { expect, test } from 'vitest';
import type { Router } from '../../../gateway/routing/policy.ts';
import sglangCacheAware from '../../../gateway/routing/sglang-cache-aware.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

/** The first of two replicas was sent 200 tokens of x, the second 50 of y. */
function made(options = {}): Router {
  const router = sglangCacheAware.create(options, setup);
  router.route(arrival({ prompt: [content('x', 200)] }), view({ ids: [10] }));
  router.route(arrival({ prompt: [content('y', 50)] }), view({ ids: [11] }));
  return router;
}

const row = (router: Router, prompt: ReturnType<typeof content>[], outstanding: number[]) =>
  router.route(arrival({ prompt }), view({ outstanding }));

test('takes the best match while load is even by either threshold', () => {
  const x = [content('x', 200)];
  expect(row(made(), x, [64, 0])).toBe(0); // 64 apart is not more than 64
  expect(row(made(), x, [65, 0])).toBe(1);
  expect(row(made(), x, [195, 130])).toBe(0); // 65 apart, but 195 = 1.5 x 130
  expect(row(made(), x, [196, 130])).toBe(1);
});

test('takes a match of more than 0.3 of the prompt, to the token', () => {
  const shares = (tokens: number) => [content('x', tokens), content('z', 100 - tokens)];
  expect(row(made(), shares(31), [5, 0])).toBe(0);
  expect(row(made(), shares(30), [5, 0])).toBe(1);
});

test('falls back to the least load, as its code does, or to the smallest tree, as its comment says', () => {
  const other = [content('z', 100)];
  expect(row(made(), other, [0, 3])).toBe(0);
  expect(row(made({ fallback: 'smallest_tree' }), other, [0, 3])).toBe(1);
  expect(() => made({ fallback: 'random' })).toThrow(
    'option fallback of policy sglang-cache-aware is "random"',
  );
  expect(() => made({ fallbak: 'smallest_tree' })).toThrow('has no option fallbak');
});

test('remembers what it sent while load was uneven too', () => {
  const router = made();
  const z = [content('z', 100)];
  expect(row(router, z, [100, 0])).toBe(1);
  expect(row(router, z, [0, 3])).toBe(1);
});

test('forgets what is beyond the limit of its tree, the least recent first', () => {
  const router = made({ max_tree_tokens: 200 });
  row(router, [content('w', 150)], [0, 5]); // leaves 50 tokens of x
  expect(row(router, [content('x', 160)], [5, 0])).toBe(0); // 50 / 160 > 0.3
  expect(row(router, [content('w', 150)], [5, 0])).toBe(1); // and this took 160 of the 200: 40 / 150 < 0.3
});
