// Laws of ranked blocks, whatever the policy and the workload, checked after every event on drawn sessions whose threads
// come back, share prefixes, fork and end; with and without tiers behind.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { KvTier, PolicyChoice } from '../../../engines/engine.ts';
import type { Run } from '../../../scenarios/formats/prompt.ts';
import type { ClusterEvent, Submission } from '../../../sim/cluster.ts';
import { createCluster, type ReferenceCluster } from '../../../sim/reference/cluster.ts';
import type { Block } from '../../../sim/reference/free-queue.ts';
import type { Replica } from '../../../sim/reference/replica.ts';
import { retentionPolicies } from '../../../sim/retention/index.ts';
import { affineStep } from '../../builders/steps.ts';
import { deployment, doubled, limits, pool, run, runToEnd, submission } from './build.ts';

type Input = { atNs: number } & ({ submission: Submission } | { cancel: number } | { end: string });

interface Workload {
  policy: string;
  isTiered: boolean;
  asyncScheduling: boolean;
  kvBlocks: number;
  inputs: Input[];
}

const SESSIONS = 4;
/** Short enough that pins end, and prefetches come, between the calls of a few hundred nanoseconds. */
const OPTIONS: Record<string, Record<string, unknown>> = {
  ttl: { ttl: 100e-6 },
  'continuum-paper': { prior_mean: 50e-6, cold_samples: 4, price: 0.5 },
  'continuum-code': { threshold: 60e-6 },
  kvflow: { prefetch_ahead: 20e-6 },
  't-lru': { threshold: 12 },
};

const workloads: fc.Arbitrary<Workload> = fc
  .record({
    policy: fc.constantFrom(...Object.keys(retentionPolicies)),
    isTiered: fc.boolean(),
    asyncScheduling: fc.boolean(),
    kvBlocks: fc.integer({ min: 30, max: 45 }),
    calls: fc.array(
      fc.record({
        gapNs: fc.oneof(fc.constant(0), fc.nat(120)),
        session: fc.nat(SESSIONS - 1),
        addsTokens: fc.integer({ min: 1, max: 14 }),
        outputTokens: fc.integer({ min: 1, max: 12 }),
        isFork: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
        step: fc.nat(1),
        retention: fc.array(
          fc.record({
            fromToken: fc.nat(10),
            toToken: fc.option(fc.integer({ min: 1, max: 20 })),
            priority: fc.integer({ min: 1, max: 100 }),
            durationMs: fc.option(fc.nat(200).map(ns => ns / 1e6)),
          }),
          { maxLength: 2 },
        ),
        cancelAfterNs: fc.option(fc.nat(60), { freq: 6 }),
        isLast: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.constant(true)),
      }),
      { minLength: 4, maxLength: 40, size: 'max' },
    ),
  })
  .map(({ calls, ...rest }) => {
    const inputs: Input[] = [];
    const start = (session: number): Run[] => [run(`system ${session % 2}`, 9)];
    const threads = Array.from({ length: SESSIONS }, (_, session) => start(session));
    const ordinals = threads.map(() => 0);
    let atNs = 0;
    for (const [id, each] of calls.entries()) {
      atNs += each.gapNs;
      const session = `${each.session}/${ordinals[each.session]}`;
      const prompt = [...threads[each.session]!, run(`adds ${id}`, each.addsTokens)];
      const { outputTokens, retention, step } = each;
      const call = {
        key: { hi: 0, lo: id },
        workflow: 'workflow',
        tenant: null,
        step: `step ${step}`,
        sessionStartMs: 0,
        deadlineMs: null,
        parents: [],
      };
      const submitted = { ...submission(id, { prompt, outputTokens, retention, session }), call };
      inputs.push({ atNs, submission: submitted });
      if (each.cancelAfterNs !== null) inputs.push({ atNs: atNs + each.cancelAfterNs, cancel: id });
      const grown = submitted.promptTokens + outputTokens > 60;
      if (grown) threads[each.session] = start(each.session);
      else if (!each.isFork) threads[each.session] = [...prompt, run(`output ${id}`, outputTokens)];
      if (!each.isLast) continue;
      inputs.push({ atNs, end: session });
      ordinals[each.session]! += 1;
      threads[each.session] = start(each.session);
    }
    inputs.sort((a, b) => a.atNs - b.atNs);
    return { ...rest, inputs };
  });

const cpu: KvTier = {
  tier: 'cpu',
  capacityBytes: 200,
  readBytesPerSec: 4e9,
  writeBytesPerSec: 4e9,
  latencyMs: 3e-6,
  shared: false,
};

function build(
  { policy, isTiered, asyncScheduling, kvBlocks }: Workload,
  retention: PolicyChoice | null = { policy, options: OPTIONS[policy] ?? {} },
  watch?: (cluster: ReferenceCluster) => void,
  scale = 1,
): ReferenceCluster {
  const spec = pool({
    limits: limits({ blockTokens: 3, kvBlocks, maxBatchedTokens: 20, asyncScheduling }),
    step: affineStep({ baseNs: 4 * scale, perTokenNs: scale }),
    kvTiers: isTiered ? [cpu] : [],
    kvBytesPerToken: 1,
    retention,
  });
  return createCluster(deployment([spec]), { everyToken: true, ...(watch === undefined ? {} : { watch }) });
}

function give(cluster: ReferenceCluster, input: Input, scale = 1): void {
  const atNs = input.atNs * scale;
  if ('cancel' in input) cluster.cancel(atNs, input.cancel);
  else if ('submission' in input) cluster.submit(atNs, input.submission);
  else {
    cluster.advanceTo(atNs);
    cluster.sessionEnded(atNs, input.end, 'workflow');
  }
}

function play(cluster: ReferenceCluster, { inputs }: Workload, scale = 1): ClusterEvent[] {
  for (const input of inputs) give(cluster, input, scale);
  return runToEnd(cluster);
}

function must(condition: boolean, law: string): void {
  if (!condition) throw new Error(`law broken: ${law}`);
}

function checkBlocks({ cache, running, loads }: Replica): void {
  const free = cache.free.toArray();
  must(free.length === cache.free.count, 'the free queue has as many blocks as it counts');
  must(free.length + cache.usedBlocks === cache.blocks.length, 'blocks free + used = total');
  const inQueue = new Set(free);
  must(inQueue.size === free.length, 'a block is free once');
  const holders = new Map<Block, number>();
  for (const { blocks } of [...running, ...loads.underWay, ...loads.done])
    for (const block of blocks) holders.set(block, (holders.get(block) ?? 0) + 1);
  must(holders.size === cache.usedBlocks, 'blocks held by requests are the used ones');
  const words = new Map<unknown, number>();
  for (const block of cache.blocks) {
    must(block.refs === (holders.get(block) ?? 0), 'refs = requests that hold the block');
    must((block.refs === 0) === inQueue.has(block), 'a block is free exactly while nobody holds it');
    if (block.hash !== null)
      must(cache.cached(block.hash)?.hash === block.hash, 'a named block can be found');
    else must(block.lease === null && block.rank === 0, 'a block without content is worth nothing');
    if (block.lease !== null) words.set(block.lease, (words.get(block.lease) ?? 0) + 1);
  }
  for (const [lease, count] of words)
    must((lease as { blocks: number }).blocks === count, 'a lease counts the blocks whose rank is its word');
  for (const [i, block] of free.entries()) {
    const before = free[i - 1];
    if (before === undefined || before.hash === null) continue;
    must(block.hash !== null, 'blank blocks go first');
    const isInOrder = before.rank === block.rank ? before.turn < block.turn : before.rank < block.rank;
    must(isInOrder, 'blocks go by rank, and then by when they were let go');
  }
}

test('after every event each block is free once or held, in order of rank and time, and its word is counted', () => {
  const seen = { ranks: new Set<number>(), evicted: 0, ends: 0, loaded: 0 };
  const property = fc.property(workloads, workload => {
    const cluster = build(workload, undefined, ({ replicas: [replica] }) => {
      checkBlocks(replica!);
      for (const { rank } of replica!.cache.free.toArray()) seen.ranks.add(rank);
    });
    const events = play(cluster, workload);
    checkBlocks(cluster.replicas[0]!);
    const [counters] = cluster.counters();
    must(
      counters!.kvBlocksUsed + counters!.runningRequests + counters!.waitingRequests === 0,
      'nothing is held',
    );
    const ends = events.filter(({ kind }) => kind === 'end' || kind === 'cancelled').length;
    const calls = workload.inputs.filter(input => 'submission' in input).length;
    must(ends === calls, 'every call ends');
    seen.evicted += counters!.evictedBlocks;
    seen.ends += ends;
    seen.loaded += counters!.transferredBytes;
  });
  fc.assert(property, { numRuns: 300 });
  expect(seen.ranks.size).toBeGreaterThan(10); // or the draws would not test what they are for
  expect(seen.evicted).toBeGreaterThan(2000);
  expect(seen.loaded).toBeGreaterThan(500);
});

test('with lru, and with pins that never end and never differ, the events are those without a policy', () => {
  const property = fc.property(workloads, workload => {
    const plain = play(build(workload, null), workload);
    expect(play(build(workload, { policy: 'lru', options: {} }), workload)).toEqual(plain);
    const t = { policy: 't-lru', options: { threshold: 1, next_prompt: 1 } }; // protects all
    expect(play(build(workload, t), workload)).toEqual(plain);
  });
  fc.assert(property, { numRuns: 150 });
});

test('looking at odd times changes no event, though ranks end and prefetches begin meanwhile', () => {
  const gaps = fc.array(fc.nat(90), { minLength: 1, maxLength: 20 });
  const property = fc.property(workloads, gaps, (workload, gapsNs) => {
    const cluster = build(workload);
    const events: ClusterEvent[] = [];
    let nowNs = 0;
    let looks = 0;
    for (const input of workload.inputs) {
      for (; nowNs < input.atNs && looks < 500; nowNs += gapsNs[looks++ % gapsNs.length]! + 1) {
        cluster.advanceTo(nowNs);
        cluster.sample(nowNs / 1e6);
        cluster.counters();
        events.push(...cluster.drain());
      }
      cluster.advanceTo(input.atNs);
      nowNs = input.atNs;
      give(cluster, input);
    }
    events.push(...runToEnd(cluster));
    expect(events).toEqual(play(build(workload), workload));
  });
  fc.assert(property, { numRuns: 200 });
});

test('doubling every time, of steps, gaps and options, doubles the time of every event', () => {
  /** Options that are times, and what a call says of its own. */
  const slower = (workload: Workload): { choice: PolicyChoice; twice: Workload } => {
    const options = Object.entries(OPTIONS[workload.policy] ?? {}).map(([name, value]): [string, unknown] =>
      ['ttl', 'prior_mean', 'threshold', 'prefetch_ahead'].includes(name) && workload.policy !== 't-lru'
        ? [name, (value as number) * 2]
        : [name, value],
    );
    const inputs = workload.inputs.map(input => {
      if (!('submission' in input)) return input;
      const retention = (input.submission.retention ?? []).map(range => ({
        ...range,
        durationMs: range.durationMs === null ? null : range.durationMs * 2,
      }));
      return { ...input, submission: { ...input.submission, retention } };
    });
    return {
      choice: { policy: workload.policy, options: Object.fromEntries(options) },
      twice: { ...workload, inputs },
    };
  };
  // Without tiers: shares of a link are rounded to whole nanoseconds.
  const property = fc.property(workloads, drawn => {
    const workload = { ...drawn, isTiered: false };
    const { choice, twice } = slower(workload);
    expect(play(build(workload, choice, undefined, 2), twice, 2)).toEqual(
      doubled(play(build(workload), workload)),
    );
  });
  fc.assert(property, { numRuns: 200 });
});
