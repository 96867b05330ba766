// Retention in an engine, by hand: blocks of 4 tokens, six of them; a step takes 100 ns and 10 ns a token.
import { describe, expect, test } from 'vitest';
import type { KvTier, PolicyChoice, PoolSpec } from '../../../engines/engine.ts';
import type { Run } from '../../../scenarios/formats/prompt.ts';
import type { Submission } from '../../../sim/cluster.ts';
import { createCluster, type ReferenceCluster } from '../../../sim/reference/cluster.ts';
import { affineStep } from '../../builders/steps.ts';
import { deployment, limits, pool, run, runToEnd, submission } from './build.ts';

const NS = 1e-6; // one nanosecond, ms

function cluster(retention: PolicyChoice | null, some: Partial<PoolSpec> = {}): ReferenceCluster {
  const step = affineStep({ baseNs: 100, perTokenNs: 10 });
  return createCluster(deployment([pool({ limits: limits({ kvBlocks: 6 }), step, retention, ...some })]));
}

const policy = (name: string, options: Record<string, unknown> = {}): PolicyChoice => ({
  policy: name,
  options,
});

let ids = 0;
/** A call of a session with this prompt, and one token of output. */
function call(session: string, prompt: Run[], some: Partial<Submission> = {}): Submission {
  const id = ids++;
  const facts = {
    key: { hi: 0, lo: id },
    workflow: 'workflow',
    tenant: null,
    step: 'step',
    sessionStartMs: 0,
    deadlineMs: null,
    parents: [],
  };
  return { ...submission(id, { prompt }), session, call: facts, ...some };
}

/** Submits at a time and runs to the end; returns the prompt tokens that were cached. */
function cachedOf(of: ReferenceCluster, atNs: number, submitted: Submission): number {
  of.submit(atNs, submitted);
  for (const event of runToEnd(of))
    if (event.kind === 'scheduled' && event.id === submitted.id) return event.cachedTokens;
  throw new Error('never scheduled');
}

/** Session a leaves two full blocks, b two more, and c takes four: who is still there? One probe, as a probe is a use. */
function afterPressure(
  retention: PolicyChoice | null,
  probe: 'a' | 'b',
  options: { a?: Partial<Submission>; atNs?: number; end?: string } = {},
) {
  const of = cluster(retention);
  cachedOf(of, 0, call('a', [run('a', 9)], options.a));
  cachedOf(of, 1000, call('b', [run('b', 9)]));
  if (options.end !== undefined) of.sessionEnded(1500, options.end, 'workflow');
  cachedOf(of, options.atNs ?? 2000, call('c', [run('c', 16)]));
  return cachedOf(of, 100_000, call(probe, [run(probe, 9)]));
}

test('without a policy, and with lru, the least recently used goes', () => {
  for (const retention of [null, policy('lru')]) {
    expect(afterPressure(retention, 'a')).toBe(0);
    expect(afterPressure(retention, 'b')).toBe(8);
  }
});

describe('priority', () => {
  const high = (durationMs: number | null) => ({
    a: { retention: [{ fromToken: 0, toToken: null, priority: 90, durationMs }] },
  });

  test('what is worth more stays', () => {
    expect(afterPressure(policy('priority'), 'a', high(null))).toBe(8);
    expect(afterPressure(policy('priority'), 'b', high(null))).toBe(0);
  });

  test('until its time is over, to the nanosecond, from when it was let go', () => {
    // The first call ends at 190.
    expect(afterPressure(policy('priority'), 'a', { ...high(1811 * NS), atNs: 2000 })).toBe(8);
    expect(afterPressure(policy('priority'), 'a', { ...high(1810 * NS), atNs: 2000 })).toBe(0);
  });

  test('what is worth less goes before what nobody speaks of', () => {
    const of = cluster(policy('priority'));
    cachedOf(of, 0, call('a', [run('a', 9)]));
    const retention = [{ fromToken: 0, toToken: null, priority: 1, durationMs: null }];
    cachedOf(of, 1000, call('b', [run('b', 9)], { retention }));
    cachedOf(of, 2000, call('c', [run('c', 16)]));
    expect(cachedOf(of, 9000, call('a', [run('a', 9)]))).toBe(8);
  });
});

test('ttl: pins do not stop anybody: when memory is short the oldest gives way', () => {
  expect(afterPressure(policy('ttl'), 'a')).toBe(0);
  expect(afterPressure(policy('ttl'), 'b')).toBe(8);
  const of = cluster(policy('ttl'));
  cachedOf(of, 0, call('a', [run('a', 24)]));
  expect(cachedOf(of, 1000, call('b', [run('b', 24)]))).toBe(0);
  expect(of.counters()[0]).toMatchObject({ requestsFinished: 2, evictedBlocks: 6 });
});

test('workflow: what a session that is over left goes before what was used longer ago', () => {
  expect(afterPressure(policy('workflow'), 'a', { end: 'b' })).toBe(8);
  expect(afterPressure(policy('workflow'), 'b', { end: 'b' })).toBe(0);
  expect(afterPressure(policy('workflow'), 'b', { end: 'a' })).toBe(8);
});

test('workflow: what another session left too is not forgotten', () => {
  const play = (other: string) => {
    const of = cluster(policy('workflow'));
    cachedOf(of, 0, call('a', [run('system', 9)]));
    cachedOf(of, 1000, call('b', [run('system', 9)]));
    cachedOf(of, 1500, call('d', [run('d', 9)]));
    of.sessionEnded(1600, 'a', 'workflow');
    of.sessionEnded(1600, 'b', 'workflow');
    of.sessionEnded(1600, other, 'workflow');
    cachedOf(of, 2000, call('c', [run('c', 8)])); // two blank blocks are left, d or nobody gives way
    cachedOf(of, 3000, call('c', [run('e', 4)])); // one block more
    return cachedOf(of, 9000, call('e', [run('system', 9)]));
  };
  expect(play('d')).toBe(8); // d's blocks went
  expect(play('nobody')).toBe(4); // the least recently used: the end of the shared prefix
});

test('a prefix of two sessions stays as long as either of them says', () => {
  const high = { fromToken: 0, toToken: null, priority: 100, durationMs: null };
  const play = (policyName: string) => {
    const of = cluster(policy(policyName));
    cachedOf(of, 0, call('a', [run('system', 9)], { retention: [high] }));
    cachedOf(of, 1000, call('b', [run('system', 9)], { retention: [{ ...high, priority: 1 }] }));
    cachedOf(of, 1500, call('d', [run('d', 9)]));
    cachedOf(of, 2000, call('c', [run('c', 16)]));
    return cachedOf(of, 9000, call('e', [run('system', 9)]));
  };
  expect(play('durable')).toBe(8);
  expect(play('priority')).toBe(0); // TensorRT-LLM: the last word
});

test('t-lru: the end of a long conversation goes, its root stays, though a short one was used later', () => {
  const of = cluster(policy('t-lru', { threshold: 8 }));
  cachedOf(of, 0, call('a', [run('a', 16)])); // 8 of 16 tokens are protected
  cachedOf(of, 1000, call('b', [run('b', 8)])); // none
  cachedOf(of, 2000, call('c', [run('c', 16)])); // takes 3 2 of a, then both of b
  expect(cachedOf(of, 9000, call('a', [run('a', 16)]))).toBe(8);
});

describe('continuum', () => {
  test('a session whose tools are quick keeps its context through one, a slow one does not', () => {
    const play = (gapMs: number, probe: string) => {
      const of = cluster(policy('continuum-code', { threshold: 0.01 }));
      const gapNs = gapMs / NS;
      cachedOf(of, 0, call('a', [run('a', 5)]));
      cachedOf(of, 150 + gapNs, call('a', [run('a', 9)])); // ends within 300 ns of its start
      const nextNs = 150 + gapNs + 400;
      cachedOf(of, nextNs, call('b', [run('b', 9)], { call: { ...call('b', []).call!, step: 'other' } }));
      of.sessionEnded(nextNs + 300, 'b', 'workflow'); // unpinned
      cachedOf(of, nextNs + 500, call('c', [run('c', 16)]));
      return cachedOf(of, nextNs + 2000, call(probe, [run(probe, 9)]));
    };
    expect(play(0.001, 'a')).toBe(8);
    expect(play(0.001, 'b')).toBe(0);
    expect(play(0.02, 'a')).toBe(0);
    expect(play(0.02, 'b')).toBe(8);
  });
});

describe('kvflow', () => {
  const cpu: KvTier = {
    tier: 'cpu',
    capacityBytes: 400,
    readBytesPerSec: 1e9,
    writeBytesPerSec: 1e9,
    latencyMs: 10 * NS,
    shared: false,
  };
  const tiered = (options: Record<string, unknown> = {}) =>
    cluster(policy('kvflow', { prefetch_ahead: 100 * NS, ...options }), {
      kvTiers: [cpu],
      kvBytesPerToken: 1,
    });

  /** a learns that its tool takes 5000 ns, goes to it again, and is evicted meanwhile. */
  function duringTool(of: ReferenceCluster): number {
    of.submit(0, call('a', [run('a', 5)])); // ends at 150
    of.submit(5150, call('a', [run('a', 9)])); // one block was cached: 100 + 50, ends at 5300
    of.submit(6000, call('big', [run('big', 24)])); // ends at 6340, and has taken all
    of.advanceTo(7000);
    of.sessionEnded(7000, 'big', 'workflow');
    return 5300 + 5000;
  }

  test('what the tool pushed out is back in the GPU when its call comes', () => {
    const of = tiered();
    const backNs = duringTool(of);
    // Fetched at 10200, 10 ns of set-up and 8 bytes: there at 10218.
    of.advanceTo(10_217);
    expect(of.replicas[0]!.cachedTokens([run('a', 13)], 13)).toBe(0);
    of.advanceTo(10_218);
    expect(of.replicas[0]!.cachedTokens([run('a', 13)], 13)).toBe(8);
    expect(cachedOf(of, backNs, call('a', [run('a', 13)]))).toBe(8);
    expect(of.counters()[0]).toMatchObject({ loadedTokens: 0, transferredBytes: 8, prefixHitsTokens: 12 });
  });

  test('without a prefetch the call loads it itself', () => {
    const of = tiered({ prefetch_steps: 0 });
    expect(cachedOf(of, duringTool(of), call('a', [run('a', 13)]))).toBe(8);
    expect(of.counters()[0]).toMatchObject({ loadedTokens: 8, transferredBytes: 8 });
  });

  test('a call that comes while its blocks travel loads them itself', () => {
    const of = tiered();
    duringTool(of);
    expect(cachedOf(of, 10_210, call('a', [run('a', 13)]))).toBe(8);
    expect(of.counters()[0]).toMatchObject({ loadedTokens: 8, transferredBytes: 8 });
  });

  test('nothing is fetched for a session that is over, and nothing is left to wait for', () => {
    const of = tiered();
    duringTool(of);
    of.sessionEnded(7100, 'a', 'workflow');
    runToEnd(of);
    expect(of.nextNs()).toBe(Number.POSITIVE_INFINITY);
    expect(of.counters()[0]).toMatchObject({ transferredBytes: 0 });
  });

  test('a prefetch takes nothing that is needed as soon', () => {
    const of = tiered();
    of.submit(0, call('a', [run('a', 5)]));
    of.submit(5150, call('a', [run('a', 9)]));
    of.submit(6000, call('big', [run('big', 24)])); // lives on: its next call is as near
    of.advanceTo(10_250);
    expect(of.replicas[0]!.cachedTokens([run('big', 25)], 25)).toBe(24);
    expect(of.replicas[0]!.cachedTokens([run('a', 13)], 13)).toBe(0);
  });
});
