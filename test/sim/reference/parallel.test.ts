// Hand-computed cases of speculative decoding, data-parallel ranks and pipeline stages. A step takes 100 ns.
import { expect, test } from 'vitest';
import type { PoolSpec } from '../../../engines/engine.ts';
import { createCluster } from '../../../sim/reference/cluster.ts';
import { Pipeline } from '../../../sim/reference/pipeline.ts';
import { affineStep } from '../../builders/steps.ts';
import { deployment, limits, lines, pool, runToEnd, submission } from './build.ts';

const clusterOf = (some: Partial<PoolSpec>) => createCluster(deployment([pool(some)]), { everyToken: true });

const tokensOf = (events: readonly string[], id: number) =>
  events.filter(line => line.includes(`token ${id}#`)).map(line => line.split(' ')[0]);

test('with drafts a step gives as many tokens as are accepted on average, never beyond the output', () => {
  const cluster = clusterOf({ speculative: { draftTokens: 3, acceptedTokens: 2.5 } });
  cluster.submit(0, submission(1, { promptTokens: 8, outputTokens: 9 }));
  const events = lines(runToEnd(cluster));
  // 1 of the prompt, then 2, 3, 2, and 1 of the 3 that the next step accepts
  expect(tokensOf(events, 1)).toEqual(['100', '200', '200', '300', '300', '300', '400', '400', '500']);
  expect(events.at(-1)).toBe('500 end 1 computed 24 preempted 0'); // 8 + 4 * (1 + 3)
  expect(cluster.itlMs().count).toBe(8);
  expect(cluster.itlMs().sum).toBe(400 / 1e6); // the tokens of a step share its gap
});

test('every engine verifies drafts', () => {
  for (const engine of ['vllm', 'sglang', 'tensorrt-llm'] as const) {
    const cluster = clusterOf({ engine, speculative: { draftTokens: 1, acceptedTokens: 2 } });
    cluster.submit(0, submission(1, { promptTokens: 8, outputTokens: 5 }));
    expect(lines(runToEnd(cluster)).at(-1)).toBe('300 end 1 computed 12 preempted 0');
  }
});

test('drafts take budget: the last in line verifies fewer, and a step without drafts gives one token', () => {
  const speculative = { draftTokens: 2, acceptedTokens: 3 };
  const cluster = clusterOf({ speculative, limits: limits({ maxBatchedTokens: 4 }) });
  cluster.submit(0, submission(1, { promptTokens: 2, outputTokens: 4 }));
  cluster.submit(0, submission(2, { promptTokens: 2, outputTokens: 4 }));
  const events = lines(runToEnd(cluster));
  expect(tokensOf(events, 1)).toEqual(['100', '200', '200', '200']);
  expect(tokensOf(events, 2)).toEqual(['100', '200', '300', '300']); // one of the budget of four is left for it
});

test('drafts take KV slots: a request is refused where they would not fit beside its own tokens', () => {
  for (const [draftTokens, kind] of [
    [2, 'end'],
    [3, 'rejected'],
  ] as const) {
    const speculative = { draftTokens, acceptedTokens: 1 };
    const cluster = clusterOf({ speculative, limits: limits({ blockTokens: 1, kvBlocks: 10 }) });
    cluster.submit(0, submission(1, { promptTokens: 6, outputTokens: 3 }));
    expect(runToEnd(cluster).at(-1)?.kind).toBe(kind);
  }
});

test('with async scheduling the drafts of the step in flight count as computed until they are rejected', () => {
  const contexts: number[] = [];
  const step = {
    ...affineStep(),
    stepNs: (load: { prefillContextTokens: number }) => contexts.push(load.prefillContextTokens) && 100,
  };
  const cluster = clusterOf({
    step,
    speculative: { draftTokens: 2, acceptedTokens: 1 },
    limits: limits({ asyncScheduling: true }),
  });
  cluster.submit(0, submission(1, { promptTokens: 8, outputTokens: 4 }));
  // The prompt; 8 + 3; decided before that is through, 11 + 3; then two of the first three were rejected: 14 - 2 + 3.
  expect(lines(runToEnd(cluster)).at(-1)).toBe('400 end 1 computed 17 preempted 0');
  expect(contexts).toEqual([8, 11, 14, 15]);
});

test('ranks have a batch each, and requests of one instant are spread over them', () => {
  const cluster = clusterOf({ dataParallelRanks: 2, limits: limits({ maxSequences: 1 }) });
  for (const id of [1, 2, 3]) cluster.submit(0, submission(id));
  const events = lines(runToEnd(cluster));
  expect(events.filter(line => line.includes('scheduled'))).toEqual([
    '0 scheduled 1 cached 0',
    '0 scheduled 2 cached 0',
    '100 scheduled 3 cached 0',
  ]);
  expect(cluster.counters()).toMatchObject([
    { replica: 'pool/0', kvBlocks: 200, requestsFinished: 3, steps: 3 },
  ]);
});

test('the front end knows its own requests at once, and what waits at the ranks every 100 ms', () => {
  // 60 ms a step, one sequence a rank. Rank 0 gets 1, 3 and 5, which are long; rank 1 has ended 2, 4 and 6 by 180 ms.
  const queuesAt = (atMs: number) => {
    const step = affineStep({ baseNs: 60e6 });
    const cluster = clusterOf({ dataParallelRanks: 2, step, limits: limits({ maxSequences: 1 }) });
    for (const id of [1, 2, 3, 4, 5, 6])
      cluster.submit(0, submission(id, { outputTokens: id % 2 === 1 ? 9 : 1 }));
    for (const id of [7, 8, 9]) cluster.submit(atMs * 1e6, submission(id));
    cluster.advanceTo(atMs * 1e6);
    return cluster.replicas.map(({ running, waiting }) => running.length + waiting.length);
  };
  // The counts of 100 ms say 3 and 2: 7 goes to rank 1, 8 too, whose turn it is at 3 and 3, and 9 to rank 0.
  expect(queuesAt(190)).toEqual([4, 2]);
  // Those of 200 ms say 3 and 0: all three go to rank 1.
  expect(queuesAt(210)).toEqual([3, 3]);
});

test('ranks in lock step take as long as the slowest, and one without work runs a dummy batch of one token', () => {
  const loads: string[] = [];
  const costs = affineStep({ baseNs: 100, perTokenNs: 1 });
  const step = {
    ...costs,
    stepNs: (load: Parameters<typeof costs.stepNs>[0]) => {
      loads.push(`${load.decodes}+${load.prefillTokens}`);
      return costs.stepNs(load);
    },
  };
  const cluster = clusterOf({ dataParallelRanks: 2, ranksInLockStep: true, step });
  cluster.submit(0, submission(1, { promptTokens: 8, outputTokens: 3 }));
  cluster.submit(110, submission(2, { promptTokens: 20 }));
  expect(lines(runToEnd(cluster))).toEqual([
    '0 scheduled 1 cached 0',
    '108 token 1#0', // rank 1 idle
    '209 token 1#1', // rank 1 still without 2, which came a moment later
    '209 scheduled 2 cached 0',
    '329 token 1#2', // 120 ns: the prompt on the other rank
    '329 end 1 computed 10 preempted 0',
    '329 token 2#0',
    '329 end 2 computed 20 preempted 0',
  ]);
  expect(loads).toEqual(['0+8', '1+0', '1+0', '1+0', '1+0', '0+20']);
});

test('in a pipeline of two stages two steps are in flight, half a step apart, and a sequence is in one of them', () => {
  const cluster = clusterOf({ pipelineStages: 2 });
  cluster.submit(0, submission(1, { outputTokens: 3 }));
  cluster.submit(10, submission(2, { outputTokens: 3 }));
  const events = lines(runToEnd(cluster));
  expect(tokensOf(events, 1)).toEqual(['100', '200', '300']);
  expect(tokensOf(events, 2)).toEqual(['150', '250', '350']);
});

test('chunks of one prompt follow each other through the pipeline', () => {
  const cluster = clusterOf({ pipelineStages: 2, limits: limits({ maxBatchedTokens: 8 }) });
  cluster.submit(0, submission(1, { promptTokens: 16 }));
  expect(lines(runToEnd(cluster))).toContain('150 token 1#0');
});

test('a short step waits in the pipeline for the long one before it, and no nanosecond is lost', () => {
  const pipeline = new Pipeline(3);
  expect(pipeline.enter(0, 301)).toBe(301); // 100, 100, 101
  expect(pipeline.enter(0, 30)).toBe(311); // 100 to 110, 200 to 210, 301 to 311
  expect(pipeline.enter(400, 30)).toBe(430);
});
