// production-stack's prefixaware: among those with the longest match any, whatever its load.
import { expect, test } from 'vitest';
import type { Router } from '../../../gateway/routing/policy.ts';
import productionStackPrefix from '../../../gateway/routing/production-stack-prefix.ts';
import { arrival, content, setup, view } from '../../builders/routing.ts';

const system = content('system', 64);

/** What rows 300 calls with this prompt go to, each asked of the router as it was before. */
function shares(make: () => Router, prompt: ReturnType<typeof content>[], outstanding: number[]): number[] {
  const counts = outstanding.map(() => 0);
  for (let i = 0; i < 300; i++) {
    const row = make().route(arrival({ id: i, prompt }), view({ outstanding }));
    counts[row]! += 1;
  }
  return counts;
}

/** Sent the system prompt: the replicas of rows 0 and 1. */
function made(): Router {
  const router = productionStackPrefix.create({}, setup);
  for (const id of [10, 11]) router.route(arrival({ prompt: [system] }), view({ ids: [id] }));
  return router;
}

test('draws among the replicas with the longest match, whatever their load', () => {
  const [first, second, third] = shares(made, [system, content('a', 64)], [90, 0, 0]);
  expect(third).toBe(0);
  // 150 each; three standard deviations are 26.
  expect(Math.abs(first! - 150)).toBeLessThan(27);
  expect(first! + second!).toBe(300);
});

test('draws among all where nothing matches: the least match is none', () => {
  for (const count of shares(made, [content('other', 64)], [90, 0, 0]))
    expect(Math.abs(count - 100)).toBeLessThan(25);
});

test('matches by chunks of 32 tokens, 128 characters', () => {
  const make = () => {
    const router = productionStackPrefix.create({}, setup);
    router.route(arrival({ prompt: [system] }), view({ ids: [11] }));
    return router;
  };
  expect(shares(make, [content('system', 32), content('b', 1)], [0, 0])[0]).toBe(0);
  expect(shares(make, [content('system', 31), content('b', 1)], [0, 0])[0]).toBeGreaterThan(100);
});
