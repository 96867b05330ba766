// Laws of KV tiers and of disaggregation, checked after every event on drawn pools and arrivals: blocks, bytes and
// requests are conserved on both sides of every transfer.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EngineKind, EngineLimits, KvTier, PoolSpec } from '../../../engines/engine.ts';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import type { ClusterEvent } from '../../../sim/cluster.ts';
import { createCluster, type ReferenceCluster } from '../../../sim/reference/cluster.ts';
import type { Block } from '../../../sim/reference/free-queue.ts';
import type { KvCache } from '../../../sim/reference/kv-cache.ts';
import type { Replica } from '../../../sim/reference/replica.ts';
import { type Request, targetTokens } from '../../../sim/reference/request.ts';
import { affineStep } from '../../builders/steps.ts';
import { deployment, doubled, give, type Input, limits, pool, run, runToEnd, submission } from './build.ts';

interface Drawn {
  /** Every time of the pool is multiplied by `scale`, every bandwidth divided. */
  spec: (scale: number) => PoolSpec;
  policy: string;
  inputs: Input[];
}

const costs = fc.record({
  baseNs: fc.integer({ min: 1, max: 6 }),
  perTokenNs: fc.nat(2),
  perContextTokenNs: fc.nat(1),
});

const someLimits: fc.Arbitrary<EngineLimits> = fc
  .record({
    kvTokens: fc.integer({ min: 60, max: 120 }),
    blockTokens: fc.integer({ min: 1, max: 4 }),
    maxBatchedTokens: fc.integer({ min: 4, max: 40 }),
    maxSequences: fc.integer({ min: 1, max: 8 }),
    prefixCaching: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
    asyncScheduling: fc.boolean(),
    schedulingPolicy: fc.constantFrom('fcfs', 'priority'),
  })
  .map(({ kvTokens, ...some }) =>
    limits({ ...some, maxModelTokens: 120, kvBlocks: Math.ceil(kvTokens / some.blockTokens) }),
  );

const tier = fc.record({
  capacityTokens: fc.integer({ min: 1, max: 150 }),
  latencyNs: fc.nat(8),
  bytesPerNs: fc.integer({ min: 1, max: 6 }),
  shared: fc.boolean(),
});

const calls = fc.array(
  fc.record({
    gapNs: fc.oneof(fc.constant(0), fc.nat(12)),
    family: fc.nat(2),
    sharedTokens: fc.nat(24),
    ownTokens: fc.nat(12),
    outputTokens: fc.integer({ min: 1, max: 24 }),
    warmTokens: fc.oneof(fc.constant(0), fc.nat(30)),
    priority: fc.nat(2),
    cancelAfterNs: fc.option(fc.nat(120), { freq: 4 }),
  }),
  { minLength: 1, maxLength: 24, size: 'max' },
);

function inputsOf(drawn: typeof calls extends fc.Arbitrary<infer T> ? T : never): Input[] {
  const inputs: Input[] = [];
  let atNs = 0;
  for (const [id, { gapNs, family, sharedTokens, ownTokens, cancelAfterNs, ...call }] of drawn.entries()) {
    atNs += gapNs;
    const prompt = [run(`family ${family}`, sharedTokens), run(`own ${id}`, ownTokens)];
    const held = prompt.filter(({ tokens }) => tokens > 0);
    if (held.length === 0) held.push(run(`own ${id}`, 1));
    const promptTokens = held.reduce((sum, { tokens }) => sum + tokens, 0);
    const warmTokens = Math.min(call.warmTokens, promptTokens);
    inputs.push({ atNs, submission: submission(id, { ...call, prompt: held, warmTokens }) });
    if (cancelAfterNs !== null) inputs.push({ atNs: atNs + cancelAfterNs, cancel: id });
  }
  return inputs.sort((a, b) => a.atNs - b.atNs);
}

const tiersOf = (drawn: (typeof tier extends fc.Arbitrary<infer T> ? T : never)[], scale: number): KvTier[] =>
  drawn.map(({ capacityTokens, latencyNs, bytesPerNs, shared }, i) => ({
    tier: i === 0 ? 'cpu' : 'ssd',
    capacityBytes: capacityTokens * 2,
    readBytesPerSec: (bytesPerNs * 1e9) / scale,
    writeBytesPerSec: (bytesPerNs * 1e9) / scale,
    latencyMs: latencyNs * scale * 1e-6,
    shared,
  }));

interface Kind {
  /** Two halves, with or without tiers; otherwise whole, with tiers. */
  split: boolean;
  engine?: EngineKind;
  kvBytesPerToken?: number;
  stages?: readonly number[];
}

const drawnPools = ({
  split,
  engine = 'vllm',
  kvBytesPerToken = 2,
  stages = [1, 1, 1, 2],
}: Kind): fc.Arbitrary<Drawn> =>
  fc
    .record({
      limits: someLimits,
      costs,
      replicas: fc.integer({ min: 1, max: 2 }),
      tiers: fc.array(tier, { minLength: split ? 0 : 1, maxLength: engine === 'vllm' ? 2 : 0 }),
      pipelineStages: fc.constantFrom(...stages),
      dataParallelRanks: fc.constantFrom(1, 1, 1, 2),
      ranksInLockStep: fc.boolean(),
      draftTokens: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.constant(2)),
      prefill: fc.record({ limits: someLimits, costs, replicas: fc.integer({ min: 1, max: 2 }) }),
      linkNs: fc.nat(10),
      linkBytesPerNs: fc.integer({ min: 1, max: 4 }),
      overlapLayers: fc.option(fc.integer({ min: 1, max: 4 })),
      firstToken: fc.constantFrom('decode', 'prefill'),
      localBelowTokens: fc.oneof(fc.constant(0), fc.nat(20)),
      policy: fc.constantFrom(...Object.keys(routingPolicies)),
      calls,
    })
    .map(drawn => {
      const scaled = (given: typeof drawn.costs, scale: number) =>
        affineStep(Object.fromEntries(Object.entries(given).map(([name, ns]) => [name, ns * scale])));
      const { draftTokens, prefill } = drawn;
      const sameBlocks = drawn.tiers.some(({ shared }) => shared);
      const spec = (scale: number): PoolSpec =>
        pool({
          engine,
          replicas: drawn.replicas,
          limits: drawn.limits,
          step: scaled(drawn.costs, scale),
          pipelineStages: drawn.pipelineStages,
          dataParallelRanks: drawn.dataParallelRanks,
          ranksInLockStep: drawn.ranksInLockStep,
          speculative: draftTokens === 0 ? null : { draftTokens, acceptedTokens: 1.7 },
          kvTiers: tiersOf(drawn.tiers, scale),
          kvBytesPerToken,
          disaggregation: split
            ? {
                prefill: {
                  ...prefill,
                  limits: sameBlocks
                    ? { ...prefill.limits, blockTokens: drawn.limits.blockTokens }
                    : prefill.limits,
                  step: scaled(prefill.costs, scale),
                  gpuId: null,
                  tensorParallel: 1,
                  usdPerGpuHour: null,
                  scaling: null,
                  coldStart: null,
                  spot: null,
                },
                linkBytesPerSec: (drawn.linkBytesPerNs * 1e9) / scale,
                linkLatencyMs: drawn.linkNs * scale * 1e-6,
                overlapLayers: drawn.overlapLayers,
                firstToken: drawn.firstToken,
                localBelowTokens: drawn.localBelowTokens,
              }
            : null,
        });
      return { spec, policy: drawn.policy, inputs: inputsOf(drawn.calls) };
    });

function build(
  { spec, policy }: Drawn,
  scale = 1,
  watch?: (cluster: ReferenceCluster) => void,
): ReferenceCluster {
  const options = watch === undefined ? {} : { watch };
  return createCluster(deployment([spec(scale)], policy), { everyToken: true, ...options });
}

function simulate(drawn: Drawn, scale = 1): ClusterEvent[] {
  const cluster = build(drawn, scale);
  for (const input of drawn.inputs) give(cluster, input, scale);
  return runToEnd(cluster);
}

function must(condition: boolean, law: string): void {
  if (!condition) throw new Error(`law broken: ${law}`);
}

function checkBlocks({ running, waiting, loads, kept }: Replica, cache: KvCache): void {
  must(
    waiting.every(({ blocks }) => blocks.length === 0),
    'a waiting request holds no block',
  );
  const holders = new Map<Block, number>();
  for (const { blocks } of [...running, ...loads.underWay, ...loads.done, ...kept])
    for (const block of blocks) holders.set(block, (holders.get(block) ?? 0) + 1);
  const free = new Set(cache.free.toArray());
  must(free.size + cache.usedBlocks === cache.blocks.length, 'blocks free + used = total');
  must(holders.size === cache.usedBlocks, 'blocks that are held are the used ones');
  for (const block of cache.blocks) {
    must(block.refs === (holders.get(block) ?? 0), 'refs = requests that hold the block');
    must((block.refs === 0) === free.has(block), 'a block is free exactly while nobody holds it');
    if (block.hash !== null) must(cache.cached(block.hash) !== undefined, 'a named block can be found');
  }
}

function checkRequests(replica: Replica, isDue: boolean): void {
  const { running, waiting, loads, kept, steps, limits, engine, pool: spec } = replica;
  const queues = [running, waiting, loads.underWay, loads.done, kept];
  must(new Set(queues.flat()).size === queues.flat().length, 'a request is in one queue');
  const waitsForKv = loads.underWay.length > 0 || kept.length > 0;
  must(!replica.hasWork || steps.length > 0 || isDue || waitsForKv, 'only KV on its way lets a replica idle');
  must(
    kept.every(({ generated }) => generated === 1),
    'a prefill replica keeps prompts that are through',
  );
  const planned = new Map<Request, number>();
  for (const { request, tokens } of steps.flatMap(({ scheduled }) => scheduled))
    planned.set(request, (planned.get(request) ?? 0) + tokens);
  must(
    [...loads.underWay, ...loads.done].every(request => !planned.has(request)),
    'what loads is in no step',
  );
  for (const request of [...running, ...loads.done]) {
    const { computed, computedTokens, lostTokens, hitTokens, rejectedTokens, blocks, hashes } = request;
    must(computed <= targetTokens(request), 'nothing is computed that is not known yet');
    must(
      computedTokens + (planned.get(request) ?? 0) === computed + lostTokens - hitTokens + rejectedTokens,
      'computed = position + lost - found + rejected',
    );
    if (spec.speculative !== null || spec.engine !== 'vllm') continue; // drafts hold blocks ahead of `computed`
    for (const [i, block] of blocks.entries()) {
      const isFull = limits.prefixCaching && (i + 1) * limits.blockTokens <= computed;
      must(block.hash === (isFull ? hashes[i] : null), 'a block is named when its KV is there, or will be');
    }
    must(
      loads.done.includes(request) || blocks.length === engine.cache!.blocksFor(computed),
      'blocks = tokens',
    );
  }
}

function checkTiers(replicas: readonly Replica[]): void {
  const tiers = new Set(replicas.flatMap(({ loads }) => loads.tiers?.tiers ?? []));
  for (const { entries, capacityBlocks } of tiers) {
    must(entries.size <= capacityBlocks, 'no tier holds more than it has room for');
    must(
      [...entries.values()].every(({ readers, isWritten }) => readers >= 0 && (isWritten || readers === 0)),
      'only what is written is read',
    );
  }
}

/** Bytes of blocks that were empty when a load began and held KV when it was over, by replica. */
class Deliveries {
  readonly bytes = new Map<Replica, number>();
  private readonly empty = new Map<Request, number>();

  observe(replica: Replica): void {
    const { underWay, done } = replica.loads;
    const blockBytes = replica.limits.blockTokens * replica.pool.kvBytesPerToken!;
    for (const request of underWay) {
      if (!this.empty.has(request))
        this.empty.set(
          request,
          request.blocks.filter(({ hash, refs }) => hash === null && refs === 1).length,
        );
    }
    for (const [request, blocks] of this.empty) {
      if (underWay.includes(request)) continue;
      if (!done.includes(request) && !replica.running.includes(request)) continue;
      this.empty.delete(request);
      this.bytes.set(replica, (this.bytes.get(replica) ?? 0) + blocks * blockBytes);
    }
  }
}

/** Runs one drawn pool under all laws; what it did, so that tests know that it did something. */
function runUnderLaws(drawn: Drawn): { loadedTokens: number; kept: number; preemptions: number } {
  const spec = drawn.spec(1);
  const deliveries = new Deliveries();
  const done = { loadedTokens: 0, kept: 0, preemptions: 0 };
  const cluster = build(drawn, 1, ({ replicas }) => {
    for (const replica of replicas) {
      if (replica.engine.cache !== undefined) checkBlocks(replica, replica.engine.cache);
      checkRequests(replica, cluster.isDue(replica));
      deliveries.observe(replica);
      done.kept += replica.kept.length;
    }
    checkTiers(replicas);
    const engines = replicas.flatMap(({ running, waiting, loads }) => [
      ...running,
      ...waiting,
      ...loads.underWay,
      ...loads.done,
    ]);
    const handovers = engines.filter(({ handover }) => handover !== null).length;
    const kept = replicas.reduce((sum, each) => sum + each.kept.length, 0);
    must(handovers === kept, 'every prompt that is kept has a request that will load it');
    // Decode replicas, or all of a whole pool, come first.
    const outstanding = cluster.outstanding().slice(0, spec.replicas);
    must(outstanding.reduce((sum, count) => sum + count, 0) === engines.length, 'no request is lost');
  });
  for (const input of drawn.inputs) give(cluster, input);
  const events = runToEnd(cluster);
  checkStories(drawn, events);
  must(cluster.nextNs() === Number.POSITIVE_INFINITY, 'nothing is under way at the end');
  must(
    cluster.outstanding().every(count => count === 0),
    'nobody is counted at the end',
  );
  for (const replica of cluster.replicas) {
    const { kvBlocksUsed, runningRequests, waitingRequests, ...counters } = replica.counters(
      cluster.nextNs(),
    );
    must(kvBlocksUsed + runningRequests + waitingRequests === 0, 'nothing is held at the end');
    if (replica.engine.cache !== undefined)
      must(counters.transferredBytes === (deliveries.bytes.get(replica) ?? 0), 'bytes sent = blocks * size');
    done.loadedTokens += counters.loadedTokens;
    done.preemptions += counters.preemptions;
    for (const tier of replica.loads.tiers?.tiers ?? []) {
      const entries = [...tier.entries.values()];
      must(
        entries.every(({ isWritten, readers }) => isWritten && readers === 0),
        'every write and read ends',
      );
      must(tier.writtenBlocks >= entries.length, 'a tier holds what was written');
    }
  }
  return done;
}

/** What the events alone say. */
function checkStories({ spec, inputs }: Drawn, events: readonly ClusterEvent[]): void {
  must(
    events.every(({ atNs }, i) => i === 0 || atNs >= events[i - 1]!.atNs),
    'time never goes back',
  );
  const { disaggregation, speculative } = spec(1);
  for (const input of inputs) {
    if (!('submission' in input)) continue;
    const { id, promptTokens, outputTokens } = input.submission;
    const story = events.filter(event => event.id === id);
    const last = story.at(-1)!;
    const isOver = ({ kind }: ClusterEvent) => kind === 'end' || kind === 'cancelled' || kind === 'rejected';
    must(isOver(last) && story.filter(isOver).length === 1, 'a request ends once, and nothing follows');
    must(story[0]!.atNs >= input.atNs, 'nothing happens before arrival');
    const tokens = story.filter(({ kind }) => kind === 'token');
    must(
      tokens.every((event, i) => event.kind === 'token' && event.index === i),
      'tokens appear in order',
    );
    const [scheduled] = story;
    must(story.filter(({ kind }) => kind === 'scheduled').length <= 1, 'a request is first scheduled once');
    if (scheduled?.kind !== 'scheduled') continue;
    must(tokens.length === 0 || scheduled.atNs < tokens[0]!.atNs, 'scheduled < first token');
    must(scheduled.cachedTokens < promptTokens, 'at least one prompt token is computed');
    if (last.kind !== 'end') continue;
    must(tokens.length === outputTokens && last.outputTokens === outputTokens, 'all tokens appear');
    const isRemote = scheduled.replica.includes('/prefill/');
    const twice = isRemote && disaggregation?.firstToken === 'decode' ? 1 : 0;
    const least = promptTokens + outputTokens - 1 - scheduled.cachedTokens + twice;
    if (last.preemptions === 0 && speculative === null)
      must(
        last.computedTokens === least,
        'computed = prompt + output - 1 - found, and the token computed twice',
      );
    if (isRemote && twice === 1) {
      const leastNs = 2 + Math.round((disaggregation?.linkLatencyMs ?? 0) * 1e6); // a step on either side
      must(tokens[0]!.atNs >= scheduled.atNs + leastNs, 'first token behind prefill, transfer and decode');
    }
  }
}

const kinds: [string, Kind][] = [
  ['tiers', { split: false }],
  ['two halves', { split: true }],
];
const otherEngines: [string, Kind][] = [
  ['two halves of SGLang', { split: true, engine: 'sglang' }],
  ['two halves of TensorRT-LLM', { split: true, engine: 'tensorrt-llm' }],
];

test.each(kinds)('%s: blocks, bytes and requests are conserved after every event', (_, kind) => {
  const total = { loadedTokens: 0, kept: 0, preemptions: 0 };
  const property = fc.property(drawnPools(kind), drawn => {
    const done = runUnderLaws(drawn);
    total.loadedTokens += done.loadedTokens;
    total.kept += done.kept;
    total.preemptions += done.preemptions;
  });
  fc.assert(property, { numRuns: 400 });
  // Or the draws would not test what they are for.
  expect(total.loadedTokens).toBeGreaterThan(300);
  expect(total.preemptions).toBeGreaterThan(20);
  if (kind.split) expect(total.kept).toBeGreaterThan(1000);
});

test.each(otherEngines)('%s: no request is lost, and nothing is held at the end', (_, kind) => {
  let loadedTokens = 0;
  const property = fc.property(drawnPools(kind), drawn => {
    loadedTokens += runUnderLaws(drawn).loadedTokens;
  });
  fc.assert(property, { numRuns: 200 });
  expect(loadedTokens).toBeGreaterThan(1000);
});

test.each([...kinds, ...otherEngines])('%s: looking at odd times changes no event', (_, kind) => {
  const gapLists = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 });
  const property = fc.property(drawnPools(kind), gapLists, (drawn, gaps) => {
    const cluster = build(drawn);
    const events: ClusterEvent[] = [];
    let nowNs = 0;
    let looks = 0;
    for (const input of drawn.inputs) {
      for (; nowNs <= input.atNs; nowNs += gaps[looks++ % gaps.length]!) {
        cluster.advanceTo(nowNs);
        events.push(...cluster.drain());
        cluster.sample(nowNs);
        cluster.counters();
      }
      nowNs = input.atNs;
      cluster.advanceTo(nowNs);
      give(cluster, input); // as late as can be; the other run gives all at the start
    }
    events.push(...runToEnd(cluster));
    expect(events).toEqual(simulate(drawn));
  });
  fc.assert(property, { numRuns: 100 });
});

test.each(kinds)('%s: two runs give the same bytes', (_, kind) => {
  const property = fc.property(drawnPools(kind), drawn => {
    expect(JSON.stringify(simulate(drawn))).toBe(JSON.stringify(simulate(drawn)));
  });
  fc.assert(property, { numRuns: 60 });
});

// Without bytes and stages, whose shares end between whole nanoseconds and are rounded; links.test.ts scales those.
test.each([...kinds, ...otherEngines])('%s: doubling every cost and gap doubles every time', (_, kind) => {
  const property = fc.property(drawnPools({ ...kind, kvBytesPerToken: 0, stages: [1] }), drawn => {
    expect(simulate(drawn, 2)).toEqual(doubled(simulate(drawn)));
  });
  fc.assert(property, { numRuns: 100 });
});

test('a tier that never pays changes no event', () => {
  const slow = (each: KvTier): KvTier => ({ ...each, latencyMs: 1 });
  const property = fc.property(drawnPools({ split: false }), drawn => {
    const { kvTiers } = drawn.spec(1);
    const useless = { ...drawn, spec: () => ({ ...drawn.spec(1), kvTiers: kvTiers.map(slow) }) };
    const none = { ...drawn, spec: () => ({ ...drawn.spec(1), kvTiers: [] }) };
    expect(simulate(useless)).toEqual(simulate(none));
  });
  fc.assert(property, { numRuns: 100 });
});
