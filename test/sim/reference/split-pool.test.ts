// Prefill/decode disaggregation by hand: blocks of 4 tokens and 4 bytes, links of 1 byte a nanosecond, 10 ns of set-up.
// A prefill step is 100 ns, a decode step 20.
import { expect, test } from 'vitest';
import type { Disaggregation, PoolSpec } from '../../../engines/engine.ts';
import type { Submission } from '../../../sim/cluster.ts';
import { createCluster, type ReferenceCluster } from '../../../sim/reference/cluster.ts';
import { affineStep } from '../../builders/steps.ts';
import { deployment, limits, lines, pool, run, runToEnd, submission } from './build.ts';

function split(
  some: Partial<Disaggregation> = {},
  decode: Partial<PoolSpec> = {},
  prefill: Partial<Disaggregation['prefill']> = {},
): ReferenceCluster {
  const spec = pool({
    step: affineStep({ baseNs: 20 }),
    kvBytesPerToken: 1,
    ...decode,
    disaggregation: {
      prefill: {
        replicas: 1,
        limits: limits(),
        step: affineStep({ baseNs: 100 }),
        gpuId: null,
        tensorParallel: 1,
        usdPerGpuHour: null,
        scaling: null,
        coldStart: null,
        spot: null,
        ...prefill,
      },
      linkBytesPerSec: 1e9,
      linkLatencyMs: 10e-6,
      overlapLayers: null,
      firstToken: 'decode',
      localBelowTokens: 0,
      ...some,
    },
  });
  return createCluster(deployment([spec]), { everyToken: true });
}

function play(cluster: ReferenceCluster, ...calls: [atNs: number, Submission][]): string[] {
  for (const [atNs, call] of calls) cluster.submit(atNs, call);
  return lines(runToEnd(cluster));
}

const prompt = (id: number, promptTokens: number, outputTokens = 2) =>
  submission(id, { promptTokens, outputTokens });

test('prefill, transfer of all blocks, and a decode step that computes the last token again', () => {
  const cluster = split();
  expect(play(cluster, [0, prompt(1, 10)])).toEqual([
    '0 scheduled 1 cached 0',
    // 100: the prompt is through; three blocks, 10 + 12 ns; 122: 9 tokens are there, the tenth is computed
    '142 token 1#0',
    '162 token 1#1',
    '162 end 1 computed 12 preempted 0', // 10 there, 2 here
  ]);
  const [decode, prefill] = cluster.counters();
  expect(decode).toMatchObject({ replica: 'pool/decode/0', steps: 2, loadedTokens: 9, transferredBytes: 12 });
  expect(prefill).toMatchObject({ replica: 'pool/prefill/0', steps: 1, kvBlocksUsed: 0 });
});

test.each(['sglang', 'tensorrt-llm'] as const)('%s goes the same way', engine => {
  const [decodeFirst, prefillFirst] = [split({}, { engine }), split({ firstToken: 'prefill' }, { engine })];
  expect(play(decodeFirst, [0, prompt(1, 10)]).slice(1, 3)).toEqual(['142 token 1#0', '162 token 1#1']);
  expect(play(prefillFirst, [0, prompt(1, 10)]).slice(1, 3)).toEqual(['100 token 1#0', '142 token 1#1']);
  for (const cluster of [decodeFirst, prefillFirst])
    expect(cluster.counters()[0]).toMatchObject({ transferredBytes: 12, kvBlocksUsed: 0 });
});

test('where prefill hands its token on, the first token comes with the prompt, and decode goes on behind it', () => {
  const cluster = split({ firstToken: 'prefill' });
  expect(play(cluster, [0, prompt(1, 10)])).toEqual([
    '0 scheduled 1 cached 0',
    '100 token 1#0',
    '142 token 1#1',
    '142 end 1 computed 11 preempted 0',
  ]);
  expect(cluster.itlMs().count).toBe(1); // the gap from one half to the other is one between two tokens
});

test('a request of one token ends with its prompt where prefill gives it, and sends nothing', () => {
  const cluster = split({ firstToken: 'prefill' });
  expect(play(cluster, [0, prompt(1, 10, 1)]).slice(1)).toEqual([
    '100 token 1#0',
    '100 end 1 computed 10 preempted 0',
  ]);
  expect(cluster.counters().map(each => each.transferredBytes)).toEqual([0, 0]);
});

test('only the blocks that the decode side does not have are sent', () => {
  const cluster = split();
  const again = submission(2, { prompt: [run('prompt 1', 8), run('own', 4)] });
  const events = play(cluster, [0, prompt(1, 8)], [500, again]);
  // The prompt is hit on the prefill side: 500 to 600. One block of three: 10 + 4.
  expect(events.slice(4)).toEqual([
    '500 scheduled 2 cached 8',
    '634 token 2#0',
    '634 end 2 computed 5 preempted 0',
  ]);
  expect(cluster.counters()[0]).toMatchObject({ transferredBytes: 8 + 4, loadedTokens: 7 + 3 });
});

test('with layers that travel while later ones are computed, only the last one is waited for', () => {
  // 40 bytes take 40 ns, less than the prefill's 100: of four layers the last is left, 10 bytes.
  const events = play(split({ overlapLayers: 4 }), [0, prompt(1, 40, 1)]);
  expect(events[1]).toBe('140 token 1#0'); // 100 + 10 + 10 + 20
});

test('a transfer longer than the prefill hides what fits beside three of its four layers', () => {
  // 200 bytes, of which 75 are sent from 25 to 100; 125 are left.
  const events = play(split({ overlapLayers: 4 }, {}, { limits: limits({ maxBatchedTokens: 200 }) }), [
    0,
    prompt(1, 200, 1),
  ]);
  expect(events[1]).toBe('255 token 1#0'); // 100 + 10 + 125 + 20
});

test('transfers to one decode replica share its ingress, and those of one prefill replica its egress', () => {
  const both = [
    [0, prompt(1, 40, 1)],
    [0, prompt(2, 40, 1)],
  ] as [number, Submission][];
  const firstTokens = (cluster: ReferenceCluster) =>
    play(cluster, ...both).filter(line => line.includes('token'));
  // One of each: 80 bytes over one link, 80 ns.
  const alone = limits({ maxBatchedTokens: 100 });
  expect(firstTokens(split({}, {}, { limits: alone }))).toEqual(['210 token 1#0', '210 token 2#0']);
  // Two prefill replicas send to one: its ingress is shared.
  expect(firstTokens(split({}, {}, { replicas: 2 }))).toEqual(['210 token 1#0', '210 token 2#0']);
  // Two of each, a pair a link: 40 ns.
  expect(firstTokens(split({}, { replicas: 2 }, { replicas: 2 }))).toEqual([
    '170 token 1#0',
    '170 token 2#0',
  ]);
});

test('prompts whose uncached part is short are computed by the decode replica itself', () => {
  const cluster = split({ localBelowTokens: 10 });
  const again = submission(3, { prompt: [run('prompt 2', 12), run('own', 9)] });
  const events = play(cluster, [0, prompt(1, 9, 1)], [100, prompt(2, 12, 1)], [500, again]);
  expect(events).toEqual([
    '0 scheduled 1 cached 0',
    '20 token 1#0',
    '20 end 1 computed 9 preempted 0',
    '100 scheduled 2 cached 0',
    '242 token 2#0', // 100 + 22 + 20
    '242 end 2 computed 13 preempted 0',
    '500 scheduled 3 cached 12', // 21 tokens, of which 12 are there
    '520 token 3#0',
    '520 end 3 computed 9 preempted 0',
  ]);
});

test('a decode side without room keeps the blocks of prompts on the prefill side, which stops', () => {
  // Prompts of five blocks: decode has room for one, prefill for two.
  const cluster = split({}, { limits: limits({ kvBlocks: 8 }) }, { limits: limits({ kvBlocks: 10 }) });
  for (const id of [1, 2, 3, 4]) cluster.submit(0, prompt(id, 20, 10));
  cluster.advanceTo(300);
  // 1 generates since 130; 2 and 3 are through and keep all blocks of prefill, which 4 waits for.
  const used = () => cluster.counters().map(each => [each.waitingRequests, each.kvBlocksUsed]);
  expect(used()).toEqual([
    [2, 7],
    [1, 10],
  ]);
  const events = lines(runToEnd(cluster));
  // 2 is pulled when 1 ends, 10 + 20 ns; then 4 can begin.
  expect(events).toContain('330 end 1 computed 30 preempted 0');
  expect(events).toContain('360 scheduled 4 cached 0');
  expect(events.filter(each => each.includes('end'))).toHaveLength(4);
  expect(used()).toEqual([
    [0, 0],
    [0, 0],
  ]);
});

test.each([
  ['while its prompt is computed', 50, '100 cancelled 1 computed 10 preempted 0'],
  ['while its blocks travel', 110, '110 cancelled 1 computed 10 preempted 0'],
  ['while it generates', 130, '142 cancelled 1 computed 11 preempted 0'],
])('a cancel %s frees both sides', (_, atNs, line) => {
  const cluster = split();
  cluster.submit(0, prompt(1, 10, 5));
  cluster.cancel(atNs, 1);
  expect(lines(runToEnd(cluster)).at(-1)).toBe(line);
  expect(cluster.counters().map(({ kvBlocksUsed }) => kvBlocksUsed)).toEqual([0, 0]);
  expect(cluster.outstanding()).toEqual([0, 0]);
});

test('a cancel while decode has no room frees the blocks kept on the prefill side, and the next prompt starts', () => {
  const cluster = split({}, { limits: limits({ kvBlocks: 8 }) }, { limits: limits({ kvBlocks: 5 }) });
  for (const id of [1, 2, 3]) cluster.submit(0, prompt(id, 20, 10));
  cluster.cancel(300, 2);
  const events = lines(runToEnd(cluster));
  // 2 waits for decode, whose step in flight ends at 310.
  expect(events).toContain('310 cancelled 2 computed 20 preempted 0');
  expect(events).toContain('310 scheduled 3 cached 0');
});

test('what the decode side can never hold is refused before its prompt is computed', () => {
  const cluster = split({}, { limits: limits({ kvBlocks: 3 }) });
  const events = runToEnd(cluster);
  cluster.submit(0, prompt(1, 12, 2));
  expect(lines([...events, ...runToEnd(cluster)])).toEqual(['0 rejected 1 too_long']);
  expect(cluster.counters().map(({ steps }) => steps)).toEqual([0, 0]);
});

test('a preempted request is computed again by the decode side', () => {
  // Two requests of 8 tokens grow to 8 + 12: five blocks each in a cache of eight.
  const cluster = split({}, { limits: limits({ kvBlocks: 8, prefixCaching: false }) });
  const events = play(cluster, [0, prompt(1, 8, 12)], [0, prompt(2, 8, 12)]);
  expect(events.find(line => line.includes('end 1'))).toMatch(/preempted 0$/);
  expect(events.find(line => line.includes('end 2'))).toMatch(/preempted 1$/);
  expect(cluster.counters().map(({ steps }) => steps)[1]).toBe(1);
});

test('a resumed session is in the caches of both sides', () => {
  const cluster = split({ localBelowTokens: 5 });
  const warm = (id: number, ownTokens: number) =>
    submission(id, { prompt: [run('session', 8), run(`own ${id}`, ownTokens)], warmTokens: 8 });
  const events = play(cluster, [0, warm(1, 4)], [100, warm(2, 5)]);
  expect(events[0]).toBe('0 scheduled 1 cached 8'); // four tokens: on the decode side
  expect(events[3]).toBe('100 scheduled 2 cached 8');
  expect(cluster.counters()[0]).toMatchObject({ transferredBytes: 8 }); // two blocks of four
});

test('a pool without the size of a token cannot be split', () => {
  expect(() => split({}, { kvBytesPerToken: null })).toThrow(
    'pool pool: `link` needs the KV bytes of a token',
  );
});
