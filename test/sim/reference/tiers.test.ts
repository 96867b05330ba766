// KV tiers by hand: blocks of 4 tokens and 4 bytes, so a block takes 4 ns over a link of 1 byte a nanosecond.
import { describe, expect, test } from 'vitest';
import type { KvTier, PoolSpec, StepLoad } from '../../../engines/engine.ts';
import type { Submission } from '../../../sim/cluster.ts';
import { createCluster, type ReferenceCluster } from '../../../sim/reference/cluster.ts';
import { affineStep } from '../../builders/steps.ts';
import { deployment, limits, lines, pool, run, runToEnd, submission } from './build.ts';

const tier = (some: Partial<KvTier> = {}): KvTier => ({
  tier: 'cpu',
  capacityBytes: 400,
  readBytesPerSec: 1e9,
  writeBytesPerSec: 1e9,
  latencyMs: 10e-6,
  shared: false,
  ...some,
});

/** Six blocks; a step is 100 ns and 10 ns a token, so that computing a block costs 46 ns and loading one 14. */
function tiered(some: Partial<PoolSpec> & { kvBlocks?: number } = {}): ReferenceCluster {
  const { kvBlocks = 6, ...rest } = some;
  const spec = pool({
    limits: limits({ kvBlocks }),
    step: affineStep({ baseNs: 100, perTokenNs: 10 }),
    kvTiers: [tier()],
    kvBytesPerToken: 1,
    ...rest,
  });
  return createCluster(deployment([spec]), { everyToken: true });
}

function play(cluster: ReferenceCluster, ...calls: [atNs: number, Submission][]): string[] {
  for (const [atNs, call] of calls) cluster.submit(atNs, call);
  return lines(runToEnd(cluster));
}

const shared = (id: number, ownTokens: number, sharedTokens = 8): Submission =>
  submission(id, {
    prompt: [run('shared', sharedTokens), ...(ownTokens > 0 ? [run(`own ${id}`, ownTokens)] : [])],
  });

test('what the GPU has lost is loaded from the tier: set-up and bytes, then a step for the rest', () => {
  const cluster = tiered();
  const events = play(
    cluster,
    [0, shared(1, 0)], // 8 tokens: to 180, then two blocks of 4 bytes are written, to 198
    [200, submission(2, { promptTokens: 24 })], // evicts them: to 540
    [600, shared(3, 4)], // loads them: 10 + 8 ns
  );
  expect(events).toEqual([
    '0 scheduled 1 cached 0',
    '180 token 1#0',
    '180 end 1 computed 8 preempted 0',
    '200 scheduled 2 cached 0',
    '540 token 2#0',
    '540 end 2 computed 24 preempted 0',
    '618 scheduled 3 cached 8',
    '758 token 3#0', // 100 + 4 * 10
    '758 end 3 computed 4 preempted 0',
  ]);
  // Only what was in the GPU counts as a hit of the prefix cache.
  const [counters] = cluster.counters();
  expect(counters).toMatchObject({ prefixHitsTokens: 0, loadedTokens: 8, transferredBytes: 8 });
});

test('what the GPU still has is not loaded, and the tier is asked for what follows', () => {
  // Of 1's four blocks, 2 takes the last two; 3 hits the first two and loads the third.
  const cluster = tiered();
  const events = play(
    cluster,
    [0, shared(1, 0, 16)],
    [400, submission(2, { promptTokens: 16 })],
    [800, shared(3, 4, 12)],
  );
  expect(events.slice(-3)).toEqual([
    '814 scheduled 3 cached 12', // one block: 10 + 4
    '954 token 3#0',
    '954 end 3 computed 4 preempted 0',
  ]);
  expect(cluster.counters()[0]).toMatchObject({ prefixHitsTokens: 8, loadedTokens: 4 });
});

test('a load that takes longer than computing is not begun', () => {
  // 8 tokens cost 8 * (100 + 64 * 10) / 64 = 92.5 ns; 85 + 8 is more.
  const slow = tiered({ kvTiers: [tier({ latencyMs: 85e-6 })] });
  const calls: [number, Submission][] = [
    [0, shared(1, 0)],
    [300, submission(2, { promptTokens: 24 })],
    [700, shared(3, 4)],
  ];
  expect(play(slow, ...calls).at(-3)).toBe('700 scheduled 3 cached 0');
  const fast = tiered({ kvTiers: [tier({ latencyMs: 84e-6 })] });
  expect(play(fast, ...calls).at(-3)).toBe('792 scheduled 3 cached 8');
});

test('at least one token of a prompt is computed, and so the last full block of it is not loaded', () => {
  const events = play(
    tiered(),
    [0, shared(1, 0)],
    [200, submission(2, { promptTokens: 24 })],
    [600, shared(3, 0)],
  );
  expect(events.slice(-3)).toEqual([
    '614 scheduled 3 cached 4',
    '754 token 3#0',
    '754 end 3 computed 4 preempted 0',
  ]);
});

describe('while a request loads', () => {
  const before: [number, Submission][] = [
    [0, shared(1, 0)],
    [200, submission(2, { promptTokens: 24 })],
  ];

  test('others pass it, and it goes before those who wait when its blocks are there', () => {
    const events = play(
      tiered(),
      ...before,
      [600, shared(3, 4)], // there at 618, when 4 runs
      [605, submission(4, { promptTokens: 4 })], // 605 to 745
      [610, submission(5, { promptTokens: 4 })],
    );
    expect(events.slice(6)).toEqual([
      '605 scheduled 4 cached 0',
      '745 token 4#0',
      '745 end 4 computed 4 preempted 0',
      '745 scheduled 3 cached 8',
      '745 scheduled 5 cached 0',
      '925 token 3#0',
      '925 end 3 computed 4 preempted 0',
      '925 token 5#0',
      '925 end 5 computed 4 preempted 0',
    ]);
  });

  test('it counts as waiting, holds its blocks, and takes no place in the batch', () => {
    const cluster = tiered();
    for (const [atNs, call] of [...before, [600, shared(3, 4)] as const]) cluster.submit(atNs, call);
    cluster.advanceTo(610);
    expect(cluster.counters()[0]).toMatchObject({ runningRequests: 0, waitingRequests: 1, kvBlocksUsed: 2 });
  });

  test('a cancel frees its blocks at once and gives up the transfer', () => {
    const cluster = tiered();
    for (const [atNs, call] of [...before, [600, shared(3, 4)] as const]) cluster.submit(atNs, call);
    cluster.cancel(610, 3);
    cluster.advanceTo(610);
    expect(cluster.counters()[0]).toMatchObject({ kvBlocksUsed: 0, waitingRequests: 0, loadedTokens: 0 });
    expect(lines(runToEnd(cluster)).at(-1)).toBe('610 cancelled 3 computed 0 preempted 0');
    expect(cluster.nextNs()).toBe(Number.POSITIVE_INFINITY);
  });

  test('a second load leaves free what the first one still needs', () => {
    // 3 holds two of six blocks and needs one more; 4 needs four: four are free, but one of them is 3's.
    const cluster = tiered();
    for (const [atNs, call] of [...before, [600, shared(3, 4)] as const, [601, shared(4, 8)] as const])
      cluster.submit(atNs, call);
    cluster.advanceTo(605);
    expect(cluster.counters()[0]).toMatchObject({ waitingRequests: 2, kvBlocksUsed: 2 });
    const events = lines(runToEnd(cluster));
    expect(events.filter(line => line.includes('scheduled')).slice(2)).toEqual([
      '618 scheduled 3 cached 8',
      '618 scheduled 4 cached 8', // 3 has brought the blocks they share
    ]);
    expect(cluster.counters()[0]).toMatchObject({ loadedTokens: 8 });
  });
});

test('two loads at once share the link', () => {
  const cluster = tiered({ kvBlocks: 8 });
  const pair = (id: number, name: string) => submission(id, { prompt: [run(name, 8), run(`own ${id}`, 4)] });
  const events = play(
    cluster,
    [0, submission(1, { prompt: [run('a', 8)] })],
    [0, submission(2, { prompt: [run('b', 8)] })],
    [400, submission(3, { promptTokens: 32 })],
    [900, pair(4, 'a')],
    [900, pair(5, 'b')],
  );
  // Both set up to 910, then 16 bytes: 926.
  expect(events.filter(line => line.includes('scheduled')).slice(3)).toEqual([
    '926 scheduled 4 cached 8',
    '926 scheduled 5 cached 8',
  ]);
});

test('what is written shares the link with what is read', () => {
  const cluster = tiered({ kvBlocks: 8, kvTiers: [tier({ latencyMs: 0 })] });
  const events = play(
    cluster,
    [0, shared(1, 0)], // to 180
    [200, submission(2, { promptTokens: 32 })], // to 620, then 8 blocks are written: 32 ns alone
    [620, shared(3, 4)], // 8 bytes at half speed: 16 ns
  );
  expect(events.at(-3)).toBe('636 scheduled 3 cached 8');
});

test('the tier gives up the least recently used blocks, suffix first, to the next tier', () => {
  const far = tier({ tier: 'ssd', latencyMs: 20e-6 });
  const cluster = tiered({ kvTiers: [tier({ capacityBytes: 8 }), far] });
  const events = play(
    cluster,
    [0, shared(1, 0)],
    [300, submission(2, { promptTokens: 4 })], // takes one of two places: the second of 1's blocks goes on
    [600, submission(3, { promptTokens: 24 })],
    [1200, shared(4, 4)],
  );
  // 3 pushed all but its own out of the first tier, and both blocks come from the second. Blocks of 3 that make room for
  // them go there at the same time, so that each has half of the link: 20 + 2 * 8.
  expect(events.at(-3)).toBe('1236 scheduled 4 cached 8');
});

test('blocks of one prefix come from both tiers at the same time', () => {
  const far = tier({ tier: 'ssd', latencyMs: 20e-6 });
  const cluster = tiered({ kvTiers: [tier({ capacityBytes: 28 }), far], kvBlocks: 6 });
  const events = play(
    cluster,
    [0, shared(1, 0)],
    [300, submission(2, { promptTokens: 24 })], // six blocks: one of the seven places is left, to 1's root
    [1200, shared(4, 4)],
  );
  expect(events.at(-3)).toBe('1224 scheduled 4 cached 8'); // the later of 10 + 4 and 20 + 4
  expect(cluster.counters()[0]).toMatchObject({ loadedTokens: 8 });
});

test('a tier of one replica is no use to another, a shared one is', () => {
  const calls: [number, Submission][] = [
    [0, shared(1, 0)],
    [300, shared(2, 4)], // the other replica, in turn
  ];
  const own = tiered({ replicas: 2 });
  expect(play(own, ...calls).at(-3)).toBe('300 scheduled 2 cached 0');
  const common = tiered({ replicas: 2, kvTiers: [tier({ shared: true })] });
  expect(play(common, ...calls).at(-3)).toBe('318 scheduled 2 cached 8');
});

test('a resumed session that the GPU gives up goes to the tier, though nobody computed it here', () => {
  const cluster = tiered();
  const events = play(
    cluster,
    [0, submission(1, { prompt: [run('shared', 8), run('own 1', 1)], warmTokens: 8 })],
    [300, submission(2, { promptTokens: 24 })],
    [800, shared(3, 4)],
  );
  expect(events[0]).toBe('0 scheduled 1 cached 8');
  expect(events.at(-3)).toBe('818 scheduled 3 cached 8');
});

test('halves with blocks of different sizes cannot share a tier', () => {
  const prefill = { replicas: 1, limits: limits({ blockTokens: 2 }), step: affineStep(), ...noMachine };
  const disaggregation = { prefill, ...noLink };
  const shared = { kvTiers: [tier({ shared: true })], disaggregation };
  expect(() => tiered(shared)).toThrow('pool pool: blocks of 2 and 4 tokens cannot share a KV tier');
  expect(() => tiered({ ...shared, kvTiers: [tier()] })).not.toThrow();
});

const noMachine = {
  gpuId: null,
  tensorParallel: 1,
  usdPerGpuHour: null,
  scaling: null,
  coldStart: null,
  spot: null,
};
const noLink = {
  linkBytesPerSec: 1e9,
  linkLatencyMs: 0,
  overlapLayers: null,
  firstToken: 'decode',
  localBelowTokens: 0,
} as const;

test('tiers need to know the size of a token', () => {
  expect(() => tiered({ kvBytesPerToken: null })).toThrow(
    'pool pool: `kv_tiers` needs the KV bytes of a token',
  );
});

test('the prompt that loads are weighed against is no load of the pool: only steps count for the range', () => {
  const step = affineStep({ baseNs: 100, perTokenNs: 10 });
  const trust = {
    error: { ttft: null, tpot: null, e2e: null },
    nearest: null,
    range: { decodes: 1, contextTokens: 9, prefillTokens: 8 },
    outOfRange: (load: StepLoad) => (load.prefillTokens > 8 ? `${load.prefillTokens} prompt tokens` : null),
  };
  const rangeOf = (promptTokens: number): string[] => {
    const cluster = tiered({ step: { ...step, trust } });
    play(cluster, [0, submission(1, { promptTokens, outputTokens: 2 })]);
    return cluster.beyondRange();
  };
  expect(rangeOf(8)).toEqual([]);
  expect(rangeOf(9)).toEqual(['pool: beyond what its step times were tried with: 9 prompt tokens']);
});
