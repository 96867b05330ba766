// Hand-computed cases of TensorRT-LLM's schedulers and its retention. A step takes 100 ns; blocks hold four tokens.
import { expect, test } from 'vitest';
import type { EngineLimits } from '../../../engines/engine.ts';
import type { Retention } from '../../../scenarios/formats/prompt.ts';
import { blockHashes } from '../../../sim/reference/block-hash.ts';
import { createCluster } from '../../../sim/reference/cluster.ts';
import { RetentionCache } from '../../../sim/reference/retention-cache.ts';
import { affineStep } from '../../builders/steps.ts';
import { deployment, limits, lines, pool, run, runToEnd, submission } from './build.ts';

const tensorrtLlm = (some: Partial<EngineLimits> = {}, step = affineStep()) =>
  createCluster(deployment([pool({ engine: 'tensorrt-llm', limits: limits(some), step })]), {
    everyToken: true,
  });

test('a request is admitted when all that it and the others may write fits, whatever they do write', () => {
  for (const [maxOutputTokens, scheduledNs] of [
    [12, 0], // five blocks each of ten
    [13, 200], // six
  ]) {
    const cluster = tensorrtLlm({ kvBlocks: 10 });
    for (const id of [1, 2]) {
      cluster.submit(
        0,
        submission(id, { promptTokens: 8, outputTokens: 2, maxOutputTokens: maxOutputTokens! }),
      );
    }
    expect(lines(runToEnd(cluster))).toContain(`${scheduledNs} scheduled 2 cached 0`);
  }
});

test('what may be written is no more than fits at all: a request alone is always admitted', () => {
  const cluster = tensorrtLlm({ kvBlocks: 10 });
  cluster.submit(0, submission(1, { promptTokens: 8, outputTokens: 2, maxOutputTokens: 1000 }));
  cluster.submit(0, submission(2, { promptTokens: 38, outputTokens: 3 }));
  const events = runToEnd(cluster);
  expect(lines(events)).toContain('200 end 1 computed 9 preempted 0');
  expect(events[0]).toMatchObject({
    id: 2,
    message: 'needs 11 KV blocks of 4 tokens, the replica has kvBlocks 10',
  });
});

test('blocks in use by others are not reserved twice', () => {
  // 1 holds two blocks of its prompt and may need two more; 2 shares both, and needs two of its own: six in all.
  const cluster = tensorrtLlm({ kvBlocks: 6 });
  cluster.submit(0, submission(1, { prompt: [run('p', 8)], outputTokens: 8 }));
  cluster.submit(150, submission(2, { prompt: [run('p', 8), run('own', 4)], outputTokens: 4 }));
  expect(lines(runToEnd(cluster))).toContain('200 scheduled 2 cached 8');
});

test('a block is reused in part, and a prompt that is cached whole computes one token', () => {
  const cluster = tensorrtLlm();
  cluster.submit(0, submission(1, { prompt: [run('p', 10)] }));
  cluster.submit(200, submission(2, { prompt: [run('p', 6), run('own', 4)] })); // one block and two tokens
  cluster.submit(400, submission(3, { prompt: [run('p', 10)] })); // the last block is not full, and found
  expect(lines(runToEnd(cluster)).filter(line => line.includes('scheduled'))).toEqual([
    '0 scheduled 1 cached 0',
    '200 scheduled 2 cached 6',
    '400 scheduled 3 cached 9',
  ]);
});

test('a request whose next block is being computed by another is passed over, and shares it a step later', () => {
  const cluster = tensorrtLlm();
  cluster.submit(0, submission(1, { prompt: [run('p', 16)] }));
  cluster.submit(0, submission(2, { prompt: [run('p', 16), run('own', 2)] }));
  cluster.submit(0, submission(3, { promptTokens: 8 }));
  expect(lines(runToEnd(cluster)).filter(line => line.includes('scheduled'))).toEqual([
    '0 scheduled 1 cached 0',
    '0 scheduled 3 cached 0',
    '100 scheduled 2 cached 16',
  ]);
});

test('generation goes before prompts, whose chunks are whole blocks', () => {
  const cluster = tensorrtLlm({ maxBatchedTokens: 10 }, affineStep({ perTokenNs: 1 }));
  cluster.submit(0, submission(1, { promptTokens: 4, outputTokens: 3 }));
  cluster.submit(1, submission(2, { promptTokens: 20 }));
  // 4 | 1 + 8 | 1 + 8 | 4
  expect(lines(runToEnd(cluster))).toEqual([
    '0 scheduled 1 cached 0',
    '4 token 1#0',
    '4 scheduled 2 cached 0',
    '13 token 1#1',
    '22 token 1#2',
    '22 end 1 computed 6 preempted 0',
    '26 token 2#0',
    '26 end 2 computed 20 preempted 0',
  ]);
});

test('without chunks a prompt beyond the budget of a step is refused', () => {
  const cluster = tensorrtLlm({ maxBatchedTokens: 10, chunkedPrefill: false });
  cluster.submit(0, submission(1, { promptTokens: 11 }));
  expect(lines(runToEnd(cluster))).toEqual(['0 rejected 1 too_long']);
});

/** A system prompt of two blocks, then fillers through a cache of six, then the system prompt again: what is left of it. */
function systemPromptHits(retention: Retention[]): string | undefined {
  const cluster = tensorrtLlm({ kvBlocks: 6 });
  const system = [run('system', 8)];
  cluster.submit(0, submission(1, { prompt: [...system, run('first', 2)], retention }));
  for (const id of [2, 3, 4]) cluster.submit(id * 1000, submission(id, { promptTokens: 14 }));
  cluster.submit(9000, submission(9, { prompt: [...system, run('last', 2)] }));
  return lines(runToEnd(cluster)).find(line => line.includes('scheduled 9'));
}

test('the lowest priority is evicted first: a system prompt outlives fillers, and without a word it does not', () => {
  const range = { fromToken: 0, toToken: 8, priority: 90, durationMs: null };
  expect(systemPromptHits([])).toBe('9000 scheduled 9 cached 0');
  expect(systemPromptHits([range])).toBe('9000 scheduled 9 cached 8');
  expect(systemPromptHits([{ ...range, priority: 36 }])).toBe('9000 scheduled 9 cached 8');
  expect(systemPromptHits([{ ...range, toToken: 4 }])).toBe('9000 scheduled 9 cached 4');
});

test('when its duration is over, counted from the last use, a block is worth the default again', () => {
  const range = { fromToken: 0, toToken: 8, priority: 90 };
  expect(systemPromptHits([{ ...range, durationMs: 0.0001 }])).toBe('9000 scheduled 9 cached 0'); // 100 ns
  expect(systemPromptHits([{ ...range, durationMs: 0.01 }])).toBe('9000 scheduled 9 cached 8'); // 10 us
});

test('blocks of low priority are evicted before those of any other that were used longer ago', () => {
  const cache = new RetentionCache({ kvBlocks: 4, blockTokens: 4, prefixCaching: true });
  for (const [name, priority] of [
    ['old', 35],
    ['low', 10],
    ['high', 80],
  ] as const) {
    const sequence = [run(name, 4)];
    const held = [cache.take({ priority, durationMs: null })];
    cache.store(held, sequence, blockHashes(sequence, 4), false);
    cache.release(held, 0);
  }
  const content = cache.free().map(({ runs }) => runs.map(({ key }) => key));
  expect(content).toEqual([[], ...['low', 'old', 'high'].map(name => [run(name, 4).key])]);
});

test('a block behind one that was evicted cannot be found', () => {
  const cache = new RetentionCache({ kvBlocks: 3, blockTokens: 4, prefixCaching: true });
  const sequence = [run('p', 8)];
  const held = [
    cache.take({ priority: 10, durationMs: null }),
    cache.take({ priority: 90, durationMs: null }),
  ];
  cache.store(held, sequence, blockHashes(sequence, 4), false);
  cache.release(held, 0);
  expect(cache.tokensOf(cache.match(sequence, blockHashes(sequence, 4)))).toBe(8);
  const others = [cache.take(null), cache.take(null)]; // the empty block, then the first of p: the lower class
  expect(cache.tokensOf(cache.match(sequence, blockHashes(sequence, 4)))).toBe(0);
  expect(cache.evictedBlocks).toBe(1);
  cache.release(others, 0);
  expect(cache.freeCount).toBe(3);
});
