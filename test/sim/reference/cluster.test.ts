// Hand-computed cases. A step takes 100 ns unless the case says otherwise.
import { expect, test } from 'vitest';
import { emptyLoad } from '../../../engines/step-load.ts';
import { createCluster } from '../../../sim/reference/cluster.ts';
import { affineStep } from '../../builders/steps.ts';
import { deployment, limits, lines, oneReplica, pool, run, runToEnd, submission } from './build.ts';

test('the first token appears at the end of the step that finishes the prompt, each decode step gives one more', () => {
  const cluster = oneReplica();
  cluster.submit(7, submission(1, { promptTokens: 8, outputTokens: 3 }));
  expect(lines(runToEnd(cluster))).toEqual([
    '7 scheduled 1 cached 0',
    '107 token 1#0',
    '207 token 1#1',
    '307 token 1#2',
    '307 end 1 computed 10 preempted 0',
  ]);
});

test('a long prompt is computed in chunks of the budget, behind the decodes of the same step', () => {
  const cluster = oneReplica({ maxBatchedTokens: 10 }, affineStep({ perTokenNs: 1 }));
  cluster.submit(0, submission(1, { promptTokens: 4, outputTokens: 3 }));
  cluster.submit(0, submission(2, { promptTokens: 20 }));
  // 4 + 6 | 1 + 9 | 1 + 5
  expect(lines(runToEnd(cluster))).toEqual([
    '0 scheduled 1 cached 0',
    '0 scheduled 2 cached 0',
    '10 token 1#0',
    '20 token 1#1',
    '26 token 1#2',
    '26 end 1 computed 6 preempted 0',
    '26 token 2#0',
    '26 end 2 computed 20 preempted 0',
  ]);
});

test('the step model is asked with context and attention pairs of every sequence', () => {
  const loads: unknown[] = [];
  const step = {
    ...affineStep(),
    stepNs: (load: object) => {
      loads.push({ ...load });
      return 1;
    },
  };
  const cluster = oneReplica({ maxBatchedTokens: 6 }, step);
  cluster.submit(0, submission(1, { promptTokens: 8, outputTokens: 2 }));
  runToEnd(cluster);
  expect(loads).toEqual([
    { ...emptyLoad(), prefills: 1, prefillTokens: 6, prefillContextTokens: 6, prefillPairs: 21 },
    { ...emptyLoad(), prefills: 1, prefillTokens: 2, prefillContextTokens: 8, prefillPairs: 15, samples: 1 },
    { ...emptyLoad(), decodes: 1, decodeContextTokens: 9, samples: 1 },
  ]);
});

test('a prompt that is cached whole computes its last block again', () => {
  const cluster = oneReplica();
  cluster.submit(0, submission(1, { prompt: [run('p', 16)] }));
  cluster.submit(500, submission(2, { prompt: [run('p', 16)] }));
  const events = lines(runToEnd(cluster));
  expect(events).toContain('500 scheduled 2 cached 12');
  expect(events).toContain('600 end 2 computed 4 preempted 0');
});

test('siblings admitted in one step share what the first of them is about to compute', () => {
  const cluster = oneReplica();
  for (const id of [1, 2, 3])
    cluster.submit(0, submission(id, { prompt: [run('p', 16), run(`own ${id}`, 1)] }));
  const events = lines(runToEnd(cluster));
  expect(events.slice(0, 3)).toEqual([
    '0 scheduled 1 cached 0',
    '0 scheduled 2 cached 16',
    '0 scheduled 3 cached 16',
  ]);
  expect(events).toContain('100 end 3 computed 1 preempted 0');
});

test('a sibling shares only what the chunk of this step fills', () => {
  const cluster = oneReplica({ maxBatchedTokens: 20 });
  cluster.submit(0, submission(1, { prompt: [run('p', 10)] }));
  cluster.submit(0, submission(2, { prompt: [run('p', 10)] }));
  expect(lines(runToEnd(cluster))).toContain('0 scheduled 2 cached 8');
});

test('a next turn hits what the last one generated', () => {
  const cluster = oneReplica();
  const first = submission(1, { prompt: [run('p', 6)], outputTokens: 7 });
  cluster.submit(0, first);
  cluster.submit(
    5000,
    submission(2, { prompt: [...first.prompt, ...first.output, run('tool', 3)], outputTokens: 1 }),
  );
  // 6 + 7 tokens, the last generated one never computed: 12 in three full blocks
  expect(lines(runToEnd(cluster))).toContain('5000 scheduled 2 cached 12');
});

test('the last admitted is preempted, and hits its own full blocks when it comes back', () => {
  // Six blocks of four. Prompts of 8 take blocks 0 1 and 2 3, the first decodes 4 and 5. At 500 ns both hold 12 tokens
  // and 1 needs another block: 2 goes, with five tokens out, and frees 5 3 2. 1 takes block 5 and ends at 600 ns.
  const cluster = oneReplica({ kvBlocks: 6 });
  cluster.submit(0, submission(1, { promptTokens: 8, outputTokens: 6 }));
  cluster.submit(0, submission(2, { promptTokens: 8, outputTokens: 10 }));
  const events = runToEnd(cluster);
  expect(lines(events.filter(event => event.kind !== 'token' || event.index >= 4))).toEqual([
    '0 scheduled 1 cached 0',
    '0 scheduled 2 cached 0',
    '500 token 1#4',
    '500 token 2#4',
    '600 token 1#5',
    '600 end 1 computed 13 preempted 0',
    // 13 tokens to catch up with, 8 of them hit
    '700 token 2#5',
    '800 token 2#6',
    '900 token 2#7',
    '1000 token 2#8',
    '1100 token 2#9',
    '1100 end 2 computed 21 preempted 1', // 12 + 5 + 4
  ]);
  expect(cluster.counters()[0]).toMatchObject({
    preemptions: 1,
    prefixHitsTokens: 0,
    prefixQueriesTokens: 16,
  });
});

test('a preempted request hits less, the longer others take its blocks, from its suffix on', () => {
  // As before, but 1 goes on, takes block 3 for its 17th token, and leaves 2 its first block only.
  const cluster = oneReplica({ kvBlocks: 6 });
  cluster.submit(0, submission(1, { promptTokens: 8, outputTokens: 10 }));
  cluster.submit(0, submission(2, { promptTokens: 8, outputTokens: 10 }));
  const events = lines(runToEnd(cluster));
  expect(events).toContain('1000 end 1 computed 17 preempted 0');
  expect(events).toContain('1100 token 2#5');
  expect(events).toContain('1500 end 2 computed 25 preempted 1'); // 12 + 9 + 4
});

test('nothing is admitted in a step that preempted, even where it would fit', () => {
  // 1 takes blocks 0 1 2; 2, whose prompt is cached whole, hits 0, computes block 3 again (a copy of 1) and decodes in 4.
  // At 200 ns 1 needs a fourth block: 2 goes and frees 4 3. It could come back at once, hitting 0 and 1, into block 3.
  const cluster = oneReplica({ kvBlocks: 5 });
  cluster.submit(0, submission(1, { prompt: [run('p', 8), run('own', 3)], outputTokens: 4 }));
  cluster.submit(0, submission(2, { prompt: [run('p', 8)], outputTokens: 3 }));
  expect(lines(runToEnd(cluster).filter(({ id }) => id === 2))).toEqual([
    '0 scheduled 2 cached 4',
    '100 token 2#0',
    '200 token 2#1',
    '400 token 2#2',
    '400 end 2 computed 7 preempted 1', // 4 + 1 + 2
  ]);
});

test('a big head of the line is not passed by a small follower', () => {
  const cluster = oneReplica({ kvBlocks: 6 });
  cluster.submit(0, submission(1, { promptTokens: 12, outputTokens: 4 }));
  cluster.submit(10, submission(2, { promptTokens: 16 })); // four blocks, two or three are free
  cluster.submit(10, submission(3, { promptTokens: 1 }));
  expect(lines(runToEnd(cluster)).filter(line => line.includes('scheduled'))).toEqual([
    '0 scheduled 1 cached 0',
    '400 scheduled 2 cached 0',
    '400 scheduled 3 cached 0',
  ]);
});

test('the gate asks for the full sequence, though the first chunk would fit', () => {
  const cluster = oneReplica({ kvBlocks: 6, maxBatchedTokens: 16 });
  cluster.submit(0, submission(1, { promptTokens: 12, outputTokens: 2 }));
  cluster.submit(0, submission(2, { promptTokens: 16 })); // a chunk of 4 tokens would fit: one block of the three free
  expect(lines(runToEnd(cluster))).toContain('200 scheduled 2 cached 0');
});

test('an admitted request holds the blocks of its chunk only', () => {
  const cluster = oneReplica({ kvBlocks: 6, maxBatchedTokens: 4 });
  cluster.submit(0, submission(1, { promptTokens: 20 }));
  cluster.advanceTo(1);
  expect(cluster.counters()[0]?.kvBlocksUsed).toBe(1);
});

test('max_num_seqs holds the line', () => {
  const cluster = oneReplica({ maxSequences: 1 });
  cluster.submit(0, submission(1, { outputTokens: 2 }));
  cluster.submit(0, submission(2));
  expect(lines(runToEnd(cluster))).toContain('200 scheduled 2 cached 0');
});

test('an arrival at the instant of a boundary joins the step that begins there, seen before it or after', () => {
  for (const looks of [false, true]) {
    const cluster = oneReplica();
    cluster.submit(0, submission(1, { outputTokens: 2 }));
    if (looks) cluster.advanceTo(100);
    cluster.submit(100, submission(2));
    expect(lines(runToEnd(cluster))).toContain('100 scheduled 2 cached 0');
  }
});

test('a cancel acts at the next step boundary, and the step in progress gives no token any more', () => {
  const cluster = oneReplica();
  cluster.submit(0, submission(1, { outputTokens: 5 }));
  cluster.submit(0, submission(2, { outputTokens: 2 }));
  cluster.cancel(150, 1);
  cluster.cancel(160, 1);
  expect(lines(runToEnd(cluster)).slice(2)).toEqual([
    '100 token 1#0',
    '100 token 2#0',
    '200 cancelled 1 computed 9 preempted 0',
    '200 token 2#1',
    '200 end 2 computed 9 preempted 0',
  ]);
  expect(cluster.counters()[0]?.kvBlocksUsed).toBe(0);
});

test('a cancel between steps acts at once, and one of an ended request does nothing', () => {
  const cluster = oneReplica();
  cluster.submit(0, submission(1));
  cluster.cancel(0, 1);
  cluster.submit(10, submission(2));
  cluster.cancel(110, 2);
  expect(lines(runToEnd(cluster))).toEqual([
    '0 cancelled 1 computed 0 preempted 0',
    '10 scheduled 2 cached 0',
    '110 token 2#0',
    '110 end 2 computed 8 preempted 0',
  ]);
});

test('what can never run is refused, and so is what a full queue has no place for', () => {
  const cluster = oneReplica({ maxModelTokens: 50, kvBlocks: 10, maxQueuedRequests: 1 });
  cluster.submit(0, submission(1, { promptTokens: 50 }));
  cluster.submit(0, submission(2, { promptTokens: 41 }));
  cluster.submit(0, submission(3, { promptTokens: 40 })); // the last token takes no block
  cluster.submit(0, submission(4));
  cluster.submit(0, submission(5, { pool: 'elsewhere' }));
  const events = runToEnd(cluster);
  expect(lines(events).filter(line => !line.includes('3'))).toEqual([
    '0 rejected 1 too_long',
    '0 rejected 2 too_long',
    '0 rejected 4 queue_full',
    '0 rejected 5 no_pool',
  ]);
  expect(lines(events)).toContain('100 end 3 computed 40 preempted 0');
  expect(events.find(event => event.id === 2)).toMatchObject({
    message: 'needs 11 KV blocks of 4 tokens, the replica has kvBlocks 10',
  });
});

test('a resumed session finds its warm tokens in the cache', () => {
  const cluster = oneReplica();
  cluster.submit(0, submission(1, { prompt: [run('p', 30)], warmTokens: 21 }));
  expect(lines(runToEnd(cluster))).toContain('0 scheduled 1 cached 20');
});

test('replicas are routed to by the policy of the deployment and work side by side', () => {
  const cluster = createCluster(deployment([pool({ replicas: 2, limits: limits({ maxSequences: 1 }) })]));
  for (const id of [1, 2, 3]) cluster.submit(0, submission(id));
  const scheduled = runToEnd(cluster).flatMap(event =>
    event.kind === 'scheduled' ? [`${event.atNs} ${event.id} ${event.replica}`] : [],
  );
  expect(scheduled).toEqual(['0 1 pool/0', '0 2 pool/1', '100 3 pool/0']);
});

test('an unknown routing policy is an error of the user', () => {
  expect(() => createCluster(deployment([pool()], 'toString'))).toThrow('unknown routing policy "toString"');
});

test('submitting behind now throws', () => {
  const cluster = oneReplica();
  cluster.advanceTo(10);
  expect(() => cluster.submit(9, submission(1))).toThrow('lies behind now');
  expect(() => cluster.cancel(9, 1)).toThrow('lies behind now');
});

test('a step model that gives NaN is named as the broken part', () => {
  const cluster = oneReplica({}, affineStep({ baseNs: Number.NaN }));
  cluster.submit(0, submission(1));
  expect(() => cluster.advanceTo(1)).toThrow(
    /broken invariant: a step of model affine in pool pool, \{"decodes":0.*"prefillTokens":8.*\}, is NaN nanoseconds/,
  );
});

test('a step of no length or of part of a nanosecond is a broken invariant', () => {
  for (const [baseNs, message] of [
    [0, 'gives a step of 0 ns'],
    [0.5, 'is 0.5 ns, which is not a whole number'],
  ] as const) {
    const cluster = oneReplica({}, affineStep({ baseNs }));
    cluster.submit(0, submission(1));
    expect(() => cluster.advanceTo(1)).toThrow(message);
  }
});

test('work that can never be scheduled stops the run and says why', () => {
  const cluster = oneReplica({ maxSequences: 0 });
  cluster.submit(0, submission(1));
  expect(() => cluster.advanceTo(1)).toThrow('pool/0 has work it can never schedule: 0 running, 1 waiting');
});

test('runs that do not sum to the stated tokens are refused', () => {
  const cluster = oneReplica();
  expect(() => cluster.submit(0, { ...submission(1), promptTokens: 9 })).toThrow(
    'runs of 8 tokens for a prompt of 9',
  );
});

test('with async scheduling a request waits for the running step, the one decided already, and its own', () => {
  const cluster = oneReplica({ asyncScheduling: true });
  cluster.submit(0, submission(1, { promptTokens: 8, outputTokens: 20 }));
  cluster.submit(430, submission(2, { promptTokens: 8, outputTokens: 2 }));
  const events = lines(runToEnd(cluster));
  expect(events).toContain('500 scheduled 2 cached 0'); // the end of the step that ran when it came
  expect(events).toContain('700 token 2#0');
  expect(events).toContain('800 token 2#1');
});

test('with async scheduling an idle engine starts a request at once, and decides its second step with it', () => {
  const cluster = oneReplica({ asyncScheduling: true, maxSequences: 4 });
  cluster.submit(0, submission(1, { promptTokens: 8, outputTokens: 3 }));
  cluster.submit(1, submission(2, { promptTokens: 8 }));
  const events = lines(runToEnd(cluster));
  expect(events.slice(0, 5)).toEqual([
    '0 scheduled 1 cached 0',
    '100 token 1#0',
    '100 scheduled 2 cached 0', // its step runs from 200 on
    '200 token 1#1',
    '300 token 1#2',
  ]);
  expect(events).toContain('300 token 2#0');
});

test('with async scheduling a request whose last token is on its way is not scheduled again', () => {
  const loads: number[] = [];
  const step = { ...affineStep(), stepNs: (load: { decodes: number }) => loads.push(load.decodes) && 100 };
  const cluster = oneReplica({ asyncScheduling: true }, step);
  cluster.submit(0, submission(1, { promptTokens: 8, outputTokens: 3 }));
  expect(lines(runToEnd(cluster))).toContain('300 end 1 computed 10 preempted 0');
  expect(loads).toEqual([0, 1, 1]);
});

test('by priority the request with the lower number is admitted first, and the one with the higher is preempted', () => {
  const cluster = oneReplica({ schedulingPolicy: 'priority', kvBlocks: 5, maxSequences: 3 });
  cluster.submit(0, submission(1, { promptTokens: 8, outputTokens: 8, priority: 5 }));
  cluster.submit(10, submission(2, { promptTokens: 8, outputTokens: 4, priority: 9 }));
  cluster.submit(11, submission(3, { promptTokens: 8, outputTokens: 4, priority: 1 }));
  const events = lines(runToEnd(cluster));
  expect(events.findIndex(line => line.includes('scheduled 3'))).toBeLessThan(
    events.findIndex(line => line.includes('scheduled 2')),
  );
  expect(events.some(line => line.includes('end 1') && !line.endsWith('preempted 0'))).toBe(true);
});

test('a long prompt takes no more than its threshold of a step while others are there', () => {
  const cluster = oneReplica({ longPrefillTokens: 8 }, affineStep({ perTokenNs: 1 }));
  cluster.submit(0, submission(1, { promptTokens: 20 }));
  cluster.submit(0, submission(2, { promptTokens: 4 }));
  const events = lines(runToEnd(cluster));
  expect(events).toContain('12 token 2#0'); // 8 of the long prompt and the short one
  expect(events).toContain('24 token 1#0'); // then alone: all of the rest
});

test('without chunked prefill a prompt waits for a step with room for all of it', () => {
  const cluster = oneReplica({ chunkedPrefill: false, maxBatchedTokens: 20 }, affineStep({ perTokenNs: 1 }));
  cluster.submit(0, submission(1, { promptTokens: 12 }));
  cluster.submit(0, submission(2, { promptTokens: 12 }));
  const events = lines(runToEnd(cluster));
  expect(events).toContain('12 scheduled 2 cached 0');
  expect(events).toContain('24 token 2#0');
});

test('prompt tokens beyond the limit of the queue are refused', () => {
  const cluster = oneReplica({ maxQueuedTokens: 10 });
  for (const id of [1, 2, 3]) cluster.submit(0, submission(id, { promptTokens: 8 }));
  expect(lines(runToEnd(cluster))).toContain('0 rejected 3 queue_full');
});
