// Hand-computed cases of SGLang's scheduler and its radix cache. A step takes 100 ns unless the case says otherwise.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EngineLimits } from '../../../engines/engine.ts';
import { commonTokens, headOf, runTokens, tailOf } from '../../../scenarios/formats/prompt.ts';
import { createCluster } from '../../../sim/reference/cluster.ts';
import { type Holding, RadixCache } from '../../../sim/reference/radix-cache.ts';
import { affineStep } from '../../builders/steps.ts';
import { deployment, limits, lines, pool, run, runToEnd, submission } from './build.ts';

const sglang = (some: Partial<EngineLimits> = {}, step = affineStep()) =>
  createCluster(deployment([pool({ engine: 'sglang', limits: limits({ blockTokens: 1, ...some }), step })]), {
    everyToken: true,
  });

test('a step computes prompts or decodes, and prompts go first: a decode waits for them', () => {
  const cluster = sglang();
  cluster.submit(0, submission(1, { outputTokens: 4 }));
  cluster.submit(150, submission(2, { outputTokens: 2 }));
  expect(lines(runToEnd(cluster))).toEqual([
    '0 scheduled 1 cached 0',
    '100 token 1#0',
    '200 token 1#1',
    '200 scheduled 2 cached 0',
    '300 token 2#0', // nothing of 1
    '400 token 1#2',
    '400 token 2#1',
    '400 end 2 computed 9 preempted 0',
    '500 token 1#3',
    '500 end 1 computed 11 preempted 0',
  ]);
});

test('prompts share any common prefix, to the token, once it is computed', () => {
  const cluster = sglang();
  cluster.submit(0, submission(1, { prompt: [run('p', 10), run('one', 3)] }));
  cluster.submit(0, submission(2, { prompt: [run('p', 10), run('two', 3)] })); // a sibling of the same step does not
  cluster.submit(100, submission(3, { prompt: [run('p', 10), run('three', 3)] }));
  cluster.submit(200, submission(4, { prompt: [run('p', 7)] })); // cached whole: one token is computed
  expect(lines(runToEnd(cluster)).filter(line => line.includes('scheduled'))).toEqual([
    '0 scheduled 1 cached 0',
    '0 scheduled 2 cached 0',
    '100 scheduled 3 cached 10',
    '200 scheduled 4 cached 6',
  ]);
});

test('a next turn hits what the last one generated, but for its last token', () => {
  const cluster = sglang();
  const first = submission(1, { prompt: [run('p', 6)], outputTokens: 7 });
  cluster.submit(0, first);
  cluster.submit(5000, submission(2, { prompt: [...first.prompt, ...first.output, run('tool', 3)] }));
  expect(lines(runToEnd(cluster))).toContain('5000 scheduled 2 cached 12');
});

test('a long prompt takes whole steps until it is through, one prompt at a time', () => {
  const cluster = sglang({ maxBatchedTokens: 10 }, affineStep({ perTokenNs: 1 }));
  cluster.submit(0, submission(1, { promptTokens: 4, outputTokens: 3 }));
  cluster.submit(1, submission(2, { promptTokens: 23 }));
  // 4 | 10 | 10 | 3 | then the two decodes of 1
  expect(lines(runToEnd(cluster))).toEqual([
    '0 scheduled 1 cached 0',
    '4 token 1#0',
    '4 scheduled 2 cached 0',
    '27 token 2#0',
    '27 end 2 computed 23 preempted 0',
    '28 token 1#1',
    '29 token 1#2',
    '29 end 1 computed 6 preempted 0',
  ]);
});

test('admission reserves 0.7 of what the running requests may still write, and all of what the new one may', () => {
  // At 100 ns request 1 has 10 of 100 slots and may write 49 more: 90 - 0.7 * 49 = 55.7 are left for a prompt of 10,
  // one slot of a page, and 44 tokens, not 45.
  for (const [maxOutputTokens, scheduledNs] of [
    [44, 100],
    [45, 300],
  ]) {
    const cluster = sglang({ kvBlocks: 100 });
    cluster.submit(0, submission(1, { promptTokens: 10, outputTokens: 3, maxOutputTokens: 50 }));
    cluster.submit(
      50,
      submission(2, { promptTokens: 10, outputTokens: 2, maxOutputTokens: maxOutputTokens! }),
    );
    expect(lines(runToEnd(cluster))).toContain(`${scheduledNs} scheduled 2 cached 0`);
  }
});

test('out of memory, the last admitted of equals is retracted, loses what it wrote, and starts again when there is room', () => {
  // Three of 2 + 14 tokens in 40 slots. 3 comes when the others wrote one token each: 36 - 0.7 * 26 = 17.8 is enough for
  // its 17. At 1300 ns each has 13 slots, 39 of 40. 3 goes, and its prompt, which nobody holds, is evicted.
  const cluster = sglang({ kvBlocks: 40 });
  for (const id of [1, 2]) cluster.submit(0, submission(id, { promptTokens: 2, outputTokens: 14 }));
  cluster.submit(50, submission(3, { promptTokens: 2, outputTokens: 14 }));
  const events = lines(runToEnd(cluster));
  expect(events.filter(line => line.includes('scheduled'))).toEqual([
    '0 scheduled 1 cached 0',
    '0 scheduled 2 cached 0',
    '100 scheduled 3 cached 0',
  ]);
  expect(events).toContain('1300 token 3#11');
  expect(events).toContain('1500 end 1 computed 15 preempted 0');
  expect(events).toContain('1500 end 2 computed 15 preempted 0');
  expect(events).toContain('1600 token 3#12'); // 14 tokens computed again
  expect(events).toContain('1700 end 3 computed 28 preempted 1');
});

test('what can never fit is refused', () => {
  const cluster = sglang({ kvBlocks: 40 });
  cluster.submit(0, submission(1, { promptTokens: 30, outputTokens: 8 }));
  cluster.submit(0, submission(2, { promptTokens: 30, outputTokens: 9 }));
  const events = runToEnd(cluster);
  expect(lines(events)).toContain('800 end 1 computed 37 preempted 0');
  expect(events[0]).toMatchObject({
    id: 2,
    reason: 'too_long',
    message: 'needs 41 KV slots, the replica has 40',
  });
});

test('with the overlap schedule a request waits for the running step, the one decided already, and its own', () => {
  const cluster = sglang({ asyncScheduling: true });
  cluster.submit(0, submission(1, { outputTokens: 20 }));
  cluster.submit(430, submission(2, { outputTokens: 2 }));
  const events = lines(runToEnd(cluster));
  expect(events).toContain('500 scheduled 2 cached 0');
  expect(events).toContain('700 token 2#0');
});

test('the radix cache evicts unlocked leaves, the one longest unused first, and a whole leaf at a time', () => {
  const cache = new RadixCache(30, true);
  const keep = (name: string, tokens: number): void => {
    const sequence = [run('root', 4), run(name, tokens)];
    const holding = cache.hold(sequence);
    cache.grow(holding, runTokens(sequence) - holding.sharedTokens);
    cache.share(holding, sequence);
    cache.release(holding);
  };
  keep('a', 6);
  keep('b', 6);
  keep('a', 6); // used again: b is older
  expect(cache.availableTokens).toBe(14);
  cache.makeRoom(15);
  expect(cache.evictedTokens).toBe(16); // b, then a and the root: SGLang asks for 15, not for the one that lacks
  keep('c', 6);
  const holding = cache.hold([run('root', 4)]);
  cache.makeRoom(30);
  expect(cache.evictedTokens).toBe(22); // the root is held
  expect(cache.heldTokens).toBe(4);
  cache.release(holding);
});

test('slots held, cached and available add up, and a held prefix is found again', () => {
  const command = fc.record({
    family: fc.nat(2),
    shared: fc.nat(12),
    own: fc.integer({ min: 1, max: 6 }),
    leaves: fc.nat(3),
  });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 40 }), commands => {
      const cache = new RadixCache(60, true);
      const held: { holding: Holding; sequence: ReturnType<typeof headOf> }[] = [];
      for (const [i, { family, shared, own, leaves }] of commands.entries()) {
        const sequence = [run(`family ${family}`, shared), run(`own ${i % 5}`, own)].filter(
          ({ tokens }) => tokens > 0,
        );
        const holding = cache.hold(sequence);
        const missing = runTokens(sequence) - holding.sharedTokens;
        if (missing > cache.availableTokens + cache.evictableTokens) cache.release(holding);
        else {
          cache.grow(holding, missing);
          if (leaves > 0) cache.share(holding, sequence);
          held.push({ holding, sequence });
        }
        while (held.length > leaves) cache.release(held.shift()!.holding);
        expect(cache.heldTokens + cache.evictableTokens + cache.availableTokens).toBe(60);
        expect(Math.min(cache.evictableTokens, cache.availableTokens)).toBeGreaterThanOrEqual(0);
        for (const { holding, sequence } of held) {
          const again = cache.hold(sequence);
          expect(again.sharedTokens).toBeGreaterThanOrEqual(holding.sharedTokens);
          cache.release(again);
        }
      }
      for (const { holding } of held) cache.release(holding);
      expect(cache.heldTokens).toBe(0);
    }),
  );
});

test('the head and the tail of a sequence are all of it, and common tokens do not depend on how it is cut', () => {
  const pieces = fc.array(fc.tuple(fc.nat(1), fc.nat(5), fc.integer({ min: 1, max: 6 })), { maxLength: 6 });
  fc.assert(
    fc.property(pieces, pieces, fc.nat(20), (left, right, at) => {
      const a = left.map(([name, from, tokens]) => run(`${name}`, tokens, from));
      const b = right.map(([name, from, tokens]) => run(`${name}`, tokens, from));
      const single = (runs: typeof a) =>
        runs.flatMap(each =>
          Array.from({ length: each.tokens }, (_, i) => ({ ...each, from: each.from + i, tokens: 1 })),
        );
      expect([...single(headOf(a, at)), ...single(tailOf(a, at))]).toEqual(single(a));
      const common = commonTokens(a, b);
      expect(commonTokens(single(a), b)).toBe(common);
      expect(single(headOf(a, common))).toEqual(single(headOf(b, common)));
      expect(commonTokens(tailOf(a, common), tailOf(b, common))).toBe(0);
    }),
  );
});
