// Laws that hold whatever the workload, checked after every event of the simulator on drawn limits and arrivals.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import type { Run } from '../../../scenarios/formats/prompt.ts';
import type { ClusterEvent, Submission } from '../../../sim/cluster.ts';
import { createCluster, type ReferenceCluster } from '../../../sim/reference/cluster.ts';
import type { Block } from '../../../sim/reference/free-queue.ts';
import type { Replica } from '../../../sim/reference/replica.ts';
import { type Request, targetTokens } from '../../../sim/reference/request.ts';
import type { StepPlan } from '../../../sim/reference/scheduler.ts';
import { type AffineCosts, affineStep } from '../../builders/steps.ts';
import {
  deployment,
  doubled,
  give,
  type Input,
  type limits,
  pool,
  run,
  runToEnd,
  singleTokens,
  submission,
} from './build.ts';

interface Workload {
  limits: ReturnType<typeof limits>;
  replicas: number;
  policy: string;
  costs: AffineCosts;
  inputs: Input[];
}

/** Caches of one to a few requests, short steps and short gaps, so that arrivals, cancels and boundaries often fall on one instant. */
const workloads: fc.Arbitrary<Workload> = fc
  .record({
    limits: fc.record({
      blockTokens: fc.integer({ min: 1, max: 4 }),
      kvTokens: fc.integer({ min: 40, max: 90 }),
      maxBatchedTokens: fc.integer({ min: 1, max: 40 }),
      maxSequences: fc.integer({ min: 1, max: 8 }),
      maxModelTokens: fc.integer({ min: 60, max: 120 }),
      prefixCaching: fc.boolean(),
      maxQueuedRequests: fc.option(fc.integer({ min: 1, max: 6 })),
      maxQueuedTokens: fc.option(fc.integer({ min: 1, max: 100 }), { freq: 2 }),
      asyncScheduling: fc.boolean(),
      schedulingPolicy: fc.constantFrom('fcfs', 'priority'),
      chunkedPrefill: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
      longPrefillTokens: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 12 })),
    }),
    replicas: fc.integer({ min: 1, max: 3 }),
    policy: fc.constantFrom(...Object.keys(routingPolicies)),
    costs: fc.record({
      baseNs: fc.integer({ min: 1, max: 4 }),
      perTokenNs: fc.nat(1),
      perSequenceNs: fc.nat(1),
      perContextTokenNs: fc.nat(1),
    }),
    calls: fc.array(
      fc.record({
        gapNs: fc.oneof(fc.constant(0), fc.nat(8)),
        family: fc.nat(2),
        sharedTokens: fc.nat(16),
        ownTokens: fc.nat(12),
        cutAt: fc.nat(16),
        outputTokens: fc.integer({ min: 1, max: 40 }),
        warmTokens: fc.oneof(fc.constant(0), fc.nat(40)),
        session: fc.nat(3),
        priority: fc.nat(2),
        cancelAfterNs: fc.option(fc.nat(60), { freq: 3 }),
      }),
      { minLength: 1, maxLength: 24, size: 'max' },
    ),
  })
  .map(({ calls, limits: { kvTokens, ...some }, ...rest }) => {
    const inputs: Input[] = [];
    let atNs = 0;
    for (const [id, call] of calls.entries()) {
      atNs += call.gapNs;
      const prompt = promptOf(id, call);
      const promptTokens = prompt.reduce((sum, { tokens }) => sum + tokens, 0);
      const warmTokens = Math.min(call.warmTokens, promptTokens);
      const { outputTokens, priority } = call;
      const session = `session ${call.session}`;
      inputs.push({
        atNs,
        submission: submission(id, { prompt, outputTokens, warmTokens, session, priority }),
      });
      if (call.cancelAfterNs !== null) inputs.push({ atNs: atNs + call.cancelAfterNs, cancel: id });
    }
    inputs.sort((a, b) => a.atNs - b.atNs);
    const kvBlocks = Math.ceil(kvTokens / some.blockTokens);
    // vLLM refuses a budget below the window where prompts are not cut into chunks.
    const maxBatchedTokens = some.chunkedPrefill ? some.maxBatchedTokens : some.maxModelTokens;
    return { ...rest, limits: { ...some, maxBatchedTokens, kvBlocks }, inputs };
  });

/** A shared prefix, cut into two runs somewhere, then content of its own. */
function promptOf(
  id: number,
  call: { family: number; sharedTokens: number; cutAt: number; ownTokens: number },
): Run[] {
  const { family, sharedTokens, ownTokens } = call;
  const cutAt = Math.min(call.cutAt, sharedTokens);
  const runs = [
    run(`family ${family}`, cutAt),
    run(`family ${family}`, sharedTokens - cutAt, cutAt),
    run(`own ${id}`, ownTokens),
  ].filter(({ tokens }) => tokens > 0);
  return runs.length > 0 ? runs : [run(`own ${id}`, 1)];
}

function build(workload: Workload, scale = 1, watch?: (cluster: ReferenceCluster) => void): ReferenceCluster {
  const costs = Object.fromEntries(Object.entries(workload.costs).map(([name, ns]) => [name, ns * scale]));
  const spec = pool({ replicas: workload.replicas, limits: workload.limits, step: affineStep(costs) });
  const options = watch === undefined ? {} : { watch };
  return createCluster(deployment([spec], workload.policy), { everyToken: true, ...options });
}

function simulate(
  workload: Workload,
  scale = 1,
  watch?: (cluster: ReferenceCluster) => void,
): ClusterEvent[] {
  const cluster = build(workload, scale, watch);
  for (const input of workload.inputs) give(cluster, input, scale);
  return runToEnd(cluster);
}

/** Plain throws: expect() after every event of every run would be most of the time. */
function must(condition: boolean, law: string): void {
  if (!condition) throw new Error(`law broken: ${law}`);
}

function checkBlocks({ cache, running, waiting }: Replica): void {
  const free = cache.free.toArray();
  must(free.length === cache.free.count, 'the free queue has as many blocks as it counts');
  must(free.length + cache.usedBlocks === cache.blocks.length, 'blocks free + used = total');
  must(
    waiting.every(request => request.blocks.length === 0),
    'a waiting request holds no block',
  );
  const holders = new Map<Block, number>();
  for (const block of running.flatMap(request => request.blocks)) {
    holders.set(block, (holders.get(block) ?? 0) + 1);
  }
  must(holders.size === cache.usedBlocks, 'blocks held by requests are the used ones');
  const inQueue = new Set(free);
  for (const block of cache.blocks) {
    must(block.refs === (holders.get(block) ?? 0), 'refs = requests that hold the block');
    must(
      (block.refs === 0) === inQueue.has(block),
      'a block is in the free queue exactly while nobody holds it',
    );
    if (block.hash !== null)
      must(cache.cached(block.hash)?.hash === block.hash, 'a named block can be found');
  }
}

function checkQueues(replica: Replica, isDue: boolean): void {
  const { limits, cache, running, waiting, steps } = replica;
  must(running.length <= limits.maxSequences, 'running <= maxSequences');
  must(!replica.hasWork || steps.length > 0 || isDue, 'a replica with work never idles');
  must(steps.length <= (limits.asyncScheduling ? 2 : 1), 'one step in flight, or two with async scheduling');
  const planned = new Map<Request, number>();
  for (const { request, tokens } of steps.flatMap(step => step.scheduled))
    planned.set(request, (planned.get(request) ?? 0) + tokens);
  for (const request of running) {
    const { computed, blocks, hashes } = request;
    must(blocks.length === cache.blocksFor(computed), 'a request holds exactly the blocks of its tokens');
    must(computed <= targetTokens(request), 'nothing is computed that is not known yet');
    const inFlight = planned.get(request) ?? 0;
    must(
      request.computedTokens + inFlight === computed + request.lostTokens - request.hitTokens,
      'computed = position + lost - hit',
    );
    for (const [i, block] of blocks.entries()) {
      const isFull = limits.prefixCaching && (i + 1) * limits.blockTokens <= computed;
      must(
        block.hash === (isFull ? hashes[i] : null),
        'a full block is named by its content, a partial one not at all',
      );
    }
  }
  const step = steps.at(-1);
  if (step === undefined) return;
  const taken = step.scheduled.reduce((sum, { tokens }) => sum + tokens, 0);
  must(
    taken + step.budgetLeft === limits.maxBatchedTokens && step.budgetLeft >= 0,
    'tokens taken + left = budget',
  );
  must(
    step.scheduled.every(({ tokens }) => tokens > 0),
    'who is scheduled computes something',
  );
  must(step.preempted.length === 0 || step.admitted.length === 0, 'no admission in a step that preempted');
  must(waiting.length === 0 || running.length > 0 || isDue, 'somebody runs while somebody waits');
}

/** At the very event that began a step: who was admitted had room, and who still waits has a reason to. */
function checkAdmission(replica: Replica): void {
  const { limits, cache, running, waiting } = replica;
  const step = replica.steps.at(-1)!;
  must(
    step.admitted.every((request, i) => running[running.length - step.admitted.length + i] === request),
    'running is in order of admission',
  );
  const last = step.admitted.at(-1);
  if (last !== undefined) {
    const rest = cache.blocksFor(last.submission.promptTokens + last.generated) - last.blocks.length;
    must(rest <= cache.free.count, 'the blocks of the full sequence were free at admission');
  }
  const head = waiting[0];
  if (head === undefined || step.preempted.length > 0) return;
  if (step.budgetLeft === 0 || running.length === limits.maxSequences) return;
  const target = targetTokens(head);
  if (!limits.chunkedPrefill && target > step.budgetLeft) return;
  must(!cache.canAllocate([], cache.hits(head.hashes, target), target), 'no admissible work is left waiting');
}

test('after every event, blocks, references, queues and budgets add up', () => {
  let preemptions = 0;
  let events = 0;
  const property = fc.property(workloads, workload => {
    const began = new Set<StepPlan>();
    simulate(workload, 1, cluster => {
      events += 1;
      for (const replica of cluster.replicas) {
        checkBlocks(replica);
        checkQueues(replica, cluster.isDue(replica));
        const step = replica.steps.at(-1);
        if (step === undefined || began.has(step)) continue;
        began.add(step);
        // With two steps in flight the second may be decided in the same event, and has its own check.
        if (replica.steps.every(each => began.has(each))) checkAdmission(replica);
        for (const each of replica.steps) began.add(each);
        preemptions += step.preempted.length;
      }
      const live = cluster.replicas.map(({ running, waiting }) => running.length + waiting.length);
      must(String(cluster.outstanding()) === String(live), 'the router counts what is there');
    });
  });
  fc.assert(property, { numRuns: 400 });
  expect(preemptions).toBeGreaterThan(50); // or the draws would not test what they are for
  expect(events).toBeGreaterThan(10_000);
});

/** What the events alone say about one request. */
function checkStory(request: Submission, story: ClusterEvent[]): void {
  const kinds = story.map(({ kind }) => kind);
  const last = story.at(-1);
  must(last !== undefined, 'every request has events');
  const ends = kinds.filter(kind => kind === 'end' || kind === 'cancelled' || kind === 'rejected');
  must(ends.length === 1 && ends[0] === last?.kind, 'a request ends once, and nothing follows');
  if (last === undefined || last.kind === 'rejected') {
    must(kinds.length === 1, 'a refused request has no other event');
    return;
  }
  const tokens = story.filter(event => event.kind === 'token');
  must(
    tokens.every(({ index }, i) => index === i),
    'tokens appear in order',
  );
  must(
    tokens.every(({ atNs }, i) => i === 0 || atNs > tokens[i - 1]!.atNs),
    'two tokens never appear together',
  );
  const scheduled = story[0];
  if (scheduled?.kind !== 'scheduled') {
    must(last.kind === 'cancelled' && kinds.length === 1, 'only a cancelled request is never scheduled');
    return;
  }
  must(kinds.filter(kind => kind === 'scheduled').length === 1, 'a request is first scheduled once');
  must(scheduled.cachedTokens < request.promptTokens, 'at least one prompt token is computed');
  must(tokens.length === 0 || scheduled.atNs < tokens[0]!.atNs, 'scheduled < first token');
  if (last.kind !== 'end') return;
  must(tokens.length === request.outputTokens, 'all tokens appear');
  must(last.atNs === tokens.at(-1)!.atNs, 'the end is the last token');
  const least = request.promptTokens + request.outputTokens - 1 - scheduled.cachedTokens;
  if (last.preemptions === 0)
    must(last.computedTokens === least, 'computed = prompt + output - 1 - cached when never preempted');
}

test('every request ends exactly once, and its tokens appear in order, in time that never goes back', () => {
  const property = fc.property(workloads, workload => {
    const events = simulate(workload);
    must(
      events.every(({ atNs }, i) => i === 0 || atNs >= events[i - 1]!.atNs),
      'time never goes back',
    );
    const arrivals = workload.inputs.filter(input => 'submission' in input);
    for (const { submission, atNs } of arrivals) {
      const story = events.filter(({ id }) => id === submission.id);
      must(story[0]!.atNs >= atNs, 'nothing happens before arrival');
      checkStory(submission, story);
    }
    must(new Set(events.map(({ id }) => id)).size === arrivals.length, 'no event of an unknown request');
  });
  fc.assert(property, { numRuns: 400 });
});

test('all work done is the work of the requests, and afterwards every block is free', () => {
  const property = fc.property(workloads, workload => {
    const began = new Set<StepPlan>();
    let stepTokens = 0;
    const cluster = build(workload, 1, ({ replicas }) => {
      for (const replica of replicas) {
        for (const step of replica.steps) {
          if (began.has(step)) continue;
          began.add(step);
          stepTokens += step.scheduled.reduce((sum, { tokens }) => sum + tokens, 0);
        }
      }
    });
    for (const input of workload.inputs) give(cluster, input);
    const events = runToEnd(cluster);
    const computed = events.reduce(
      (sum, event) => sum + ('computedTokens' in event ? event.computedTokens : 0),
      0,
    );
    must(computed === stepTokens, 'tokens of all steps = computedTokens of all requests');
    const counters = cluster.counters();
    must(
      counters.every(({ kvBlocksUsed, runningRequests, waitingRequests }) => {
        return kvBlocksUsed + runningRequests + waitingRequests === 0;
      }),
      'nothing is held at the end',
    );
    const count = (kind: ClusterEvent['kind']) => events.filter(event => event.kind === kind).length;
    const total = (name: 'generationTokens' | 'requestsFinished') =>
      counters.reduce((sum, counter) => sum + counter[name], 0);
    must(total('generationTokens') === count('token'), 'counted tokens = token events');
    must(total('requestsFinished') === count('end'), 'counted ends = end events');
  });
  fc.assert(property, { numRuns: 200 });
});

test('looking at odd times, and giving inputs late or early, changes no event', () => {
  const property = fc.property(
    workloads,
    fc.array(fc.nat(9), { minLength: 1, maxLength: 20 }),
    (workload, gaps) => {
      const cluster = build(workload);
      const events: ClusterEvent[] = [];
      let nowNs = 0;
      let looks = 0;
      const look = (untilNs: number) => {
        for (; nowNs <= untilNs; nowNs += gaps[looks++ % gaps.length]!) {
          cluster.advanceTo(nowNs);
          events.push(...cluster.drain());
          cluster.sample(nowNs);
          cluster.counters();
          if (gaps.every(gap => gap === 0)) break;
        }
        cluster.advanceTo(untilNs);
        nowNs = untilNs;
      };
      for (const input of workload.inputs) {
        look(input.atNs);
        give(cluster, input);
      }
      events.push(...runToEnd(cluster));
      expect(events).toEqual(simulate(workload));
    },
  );
  fc.assert(property, { numRuns: 200 });
});

test('doubling every cost and every arrival time doubles the time of every event', () => {
  const property = fc.property(workloads, workload => {
    expect(simulate(workload, 2)).toEqual(doubled(simulate(workload)));
  });
  fc.assert(property, { numRuns: 200 });
});

test('two runs give the same bytes', () => {
  const property = fc.property(workloads, workload => {
    expect(JSON.stringify(simulate(workload))).toBe(JSON.stringify(simulate(workload)));
  });
  fc.assert(property, { numRuns: 100 });
});

test('how a prompt is cut into runs changes no event', () => {
  const property = fc.property(workloads, workload => {
    const inputs = workload.inputs.map(input =>
      'submission' in input
        ? {
            ...input,
            submission: {
              ...input.submission,
              prompt: singleTokens(input.submission.prompt),
              output: singleTokens(input.submission.output),
            },
          }
        : input,
    );
    expect(simulate({ ...workload, inputs })).toEqual(simulate(workload));
  });
  fc.assert(property, { numRuns: 100 });
});
