// The laws of laws.test.ts, for every engine, with speculative decoding, data-parallel ranks and pipeline stages drawn
// together, and what holds for each of them besides.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { EngineKind, EngineLimits } from '../../../engines/engine.ts';
import { type Retention, type Run, runTokens } from '../../../scenarios/formats/prompt.ts';
import type { Cluster, ClusterEvent, Submission } from '../../../sim/cluster.ts';
import { createCluster, type ReferenceCluster } from '../../../sim/reference/cluster.ts';
import type { StepPlan } from '../../../sim/reference/scheduler.ts';
import { type AffineCosts, affineStep } from '../../builders/steps.ts';
import { deployment, doubled, type Input, pool, run, runToEnd, singleTokens, submission } from './build.ts';

interface Workload {
  engine: EngineKind;
  limits: EngineLimits;
  replicas: number;
  ranks: number;
  lockStep: boolean;
  stages: number;
  speculative: { draftTokens: number; acceptedTokens: number } | null;
  costs: AffineCosts;
  inputs: Input[];
}

/** Costs and gaps are whole multiples of it, so that any number of stages shares a step evenly. */
const UNIT_NS = 12;

const speculatives = fc
  .record({ draftTokens: fc.integer({ min: 1, max: 4 }), share: fc.nat(10) })
  .map(({ draftTokens, share }) => ({ draftTokens, acceptedTokens: 1 + (draftTokens * share) / 10 }));

const workloads: fc.Arbitrary<Workload> = fc
  .record({
    engine: fc.constantFrom<EngineKind>('vllm', 'sglang', 'tensorrt-llm'),
    limits: fc.record({
      blockTokens: fc.integer({ min: 1, max: 4 }),
      kvTokens: fc.integer({ min: 70, max: 120 }),
      maxBatchedTokens: fc.integer({ min: 1, max: 40 }),
      maxSequences: fc.integer({ min: 1, max: 8 }),
      maxModelTokens: fc.integer({ min: 60, max: 120 }),
      prefixCaching: fc.boolean(),
      maxQueuedRequests: fc.option(fc.integer({ min: 1, max: 6 }), { freq: 2 }),
      maxQueuedTokens: fc.constant(null),
      asyncScheduling: fc.boolean(),
      schedulingPolicy: fc.constantFrom('fcfs', 'priority'),
      chunkedPrefill: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, fc.constant(false)),
      longPrefillTokens: fc.constant(0),
    }),
    replicas: fc.integer({ min: 1, max: 2 }),
    ranks: fc.oneof({ weight: 2, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 3 })),
    lockStep: fc.boolean(),
    stages: fc.oneof({ weight: 2, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 4 })),
    speculative: fc.option(speculatives, { freq: 2 }),
    costs: fc.record({
      baseNs: fc.integer({ min: 1, max: 4 }).map(each => each * UNIT_NS),
      perTokenNs: fc.nat(1).map(each => each * UNIT_NS),
      perContextTokenNs: fc.nat(1).map(each => each * UNIT_NS),
    }),
    calls: fc.array(
      fc.record({
        gapNs: fc.oneof(fc.constant(0), fc.nat(8)),
        family: fc.nat(2),
        sharedTokens: fc.nat(16),
        ownTokens: fc.nat(12),
        outputTokens: fc.integer({ min: 1, max: 40 }),
        moreTokens: fc.oneof(fc.constant(0), fc.nat(60)),
        warmTokens: fc.oneof(fc.constant(0), fc.nat(20)),
        priority: fc.nat(2),
        retention: fc.array(
          fc.record({
            fromToken: fc.nat(10),
            toToken: fc.option(fc.integer({ min: 1, max: 20 })),
            priority: fc.integer({ min: 1, max: 100 }),
            durationMs: fc.option(fc.nat(40).map(units => (units * UNIT_NS) / 1e6)),
          }),
          { maxLength: 2 },
        ),
        cancelAfterNs: fc.option(fc.nat(60), { freq: 3 }),
      }),
      { minLength: 1, maxLength: 24, size: 'max' },
    ),
  })
  .map(({ calls, limits: { kvTokens, ...some }, ...rest }) => {
    const inputs: Input[] = [];
    let atNs = 0;
    for (const [id, call] of calls.entries()) {
      atNs += call.gapNs * UNIT_NS;
      const { family, sharedTokens, ownTokens, outputTokens, priority, retention } = call;
      const prompt = [run(`family ${family}`, sharedTokens), run(`own ${id}`, ownTokens + 1)];
      const runs = prompt.filter(({ tokens }) => tokens > 0);
      const warmTokens = Math.min(call.warmTokens, runTokens(runs));
      const maxOutputTokens = outputTokens + call.moreTokens;
      const given = { prompt: runs, outputTokens, maxOutputTokens, warmTokens, priority, retention };
      inputs.push({ atNs, submission: submission(id, given) });
      if (call.cancelAfterNs !== null) inputs.push({ atNs: atNs + call.cancelAfterNs * UNIT_NS, cancel: id });
    }
    inputs.sort((a, b) => a.atNs - b.atNs);
    const kvBlocks = Math.ceil(kvTokens / some.blockTokens);
    const maxBatchedTokens = some.chunkedPrefill ? some.maxBatchedTokens : some.maxModelTokens;
    return { ...rest, limits: { ...some, maxBatchedTokens, kvBlocks }, inputs };
  });

function build(workload: Workload, scale = 1, watch?: (cluster: ReferenceCluster) => void): ReferenceCluster {
  const costs = Object.fromEntries(Object.entries(workload.costs).map(([name, ns]) => [name, ns * scale]));
  const { engine, limits, replicas, ranks, lockStep, stages, speculative } = workload;
  const spec = pool({
    engine,
    limits,
    replicas,
    dataParallelRanks: ranks,
    ranksInLockStep: lockStep,
    pipelineStages: stages,
    speculative,
    step: affineStep(costs),
  });
  return createCluster(deployment([spec]), { everyToken: true, ...(watch === undefined ? {} : { watch }) });
}

const lasting = (retention: readonly Retention[], scale: number): Retention[] =>
  retention.map(range => ({
    ...range,
    durationMs: range.durationMs === null ? null : range.durationMs * scale,
  }));

function give(cluster: Cluster, input: Input, scale = 1): void {
  if ('cancel' in input) cluster.cancel(input.atNs * scale, input.cancel);
  else {
    const { submission } = input;
    const retention = lasting(submission.retention ?? [], scale);
    cluster.submit(input.atNs * scale, { ...submission, retention });
  }
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

/** What the events alone say about one request. */
function checkStory(request: Submission, story: ClusterEvent[], isSpeculative: boolean): void {
  const last = story.at(-1);
  const ends = story.filter(({ kind }) => kind === 'end' || kind === 'cancelled' || kind === 'rejected');
  must(ends.length === 1 && ends[0] === last, 'a request ends once, and nothing follows');
  if (last === undefined || last.kind === 'rejected') {
    must(story.length === 1, 'a refused request has no other event');
    return;
  }
  const tokens = story.filter(event => event.kind === 'token');
  must(
    tokens.every(({ index }, i) => index === i),
    'tokens appear in order',
  );
  const least = isSpeculative ? 0 : 1;
  must(
    tokens.every(({ atNs }, i) => i === 0 || atNs - tokens[i - 1]!.atNs >= least),
    'only drafted tokens appear together',
  );
  const scheduled = story[0];
  if (scheduled?.kind !== 'scheduled') {
    must(last.kind === 'cancelled', 'only a cancelled request is never scheduled');
    return;
  }
  must(scheduled.cachedTokens < request.promptTokens, 'at least one prompt token is computed');
  must(tokens.length === 0 || scheduled.atNs < tokens[0]!.atNs, 'scheduled < first token');
  if (last.kind !== 'end') return;
  must(tokens.length === request.outputTokens, 'all tokens appear');
  must(last.atNs === tokens.at(-1)!.atNs, 'the end is the last token');
  const computed = request.promptTokens + request.outputTokens - 1 - scheduled.cachedTokens;
  if (last.preemptions > 0) return;
  must(isSpeculative || last.computedTokens === computed, 'computed = prompt + output - 1 - cached');
  must(last.computedTokens >= computed, 'a draft is never less work');
}

test('every request ends exactly once, and its tokens appear in order, in time that never goes back', () => {
  const seen = { ends: 0, drafted: 0 };
  const property = fc.property(workloads, workload => {
    const events = simulate(workload);
    must(
      events.every(({ atNs }, i) => i === 0 || atNs >= events[i - 1]!.atNs),
      'time never goes back',
    );
    for (const input of workload.inputs) {
      if ('cancel' in input) continue;
      const story = events.filter(({ id }) => id === input.submission.id);
      must(story[0]!.atNs >= input.atNs, 'nothing happens before arrival');
      checkStory(input.submission, story, workload.speculative !== null);
      seen.ends += story.at(-1)!.kind === 'end' ? 1 : 0;
      seen.drafted += story.some((event, i) => i > 0 && event.kind === 'token' && isTogether(story, i))
        ? 1
        : 0;
    }
  });
  fc.assert(property, { numRuns: 500 });
  expect(seen.ends).toBeGreaterThan(1000); // or the draws would not test what they are for
  expect(seen.drafted).toBeGreaterThan(100);
});

const isTogether = (story: readonly ClusterEvent[], i: number): boolean =>
  story[i - 1]!.kind === 'token' && story[i - 1]!.atNs === story[i]!.atNs;

test('all work done is the work of the requests, and afterwards nothing is held', () => {
  const property = fc.property(workloads, workload => {
    const began = new Set<StepPlan>();
    let stepTokens = 0;
    const cluster = build(workload, 1, ({ replicas }) => {
      for (const step of replicas.flatMap(({ steps }) => steps)) {
        if (began.has(step)) continue;
        began.add(step);
        stepTokens += step.scheduled.reduce((sum, { tokens }) => sum + tokens, 0);
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
    const total = (name: 'generationTokens' | 'requestsFinished' | 'preemptions') =>
      counters.reduce((sum, counter) => sum + counter[name], 0);
    must(total('generationTokens') === count('token'), 'counted tokens = token events');
    must(total('requestsFinished') === count('end'), 'counted ends = end events');
    must(workload.engine !== 'tensorrt-llm' || total('preemptions') === 0, 'TensorRT-LLM never preempts');
  });
  fc.assert(property, { numRuns: 300 });
});

test('steps, stages and ranks keep their bounds after every event', () => {
  const most = { inFlight: 0, preempted: 0 };
  const property = fc.property(workloads, workload => {
    const { stages, limits, lockStep, ranks } = workload;
    const depth = stages > 1 ? stages : limits.asyncScheduling ? 2 : 1;
    simulate(workload, 1, ({ replicas }) => {
      for (const [row, replica] of replicas.entries()) {
        const { steps, running } = replica;
        must(steps.length <= depth, 'as many steps in flight as stages');
        most.inFlight = Math.max(most.inFlight, steps.length);
        must(running.length <= limits.maxSequences, 'running <= maxSequences');
        const used = replica.engine.usedBlocks;
        must(used >= 0 && used <= limits.kvBlocks, 'no more blocks than there are');
        const entries = steps.flatMap(({ scheduled }) => scheduled);
        for (const request of running) {
          const own = entries.filter(entry => entry.request === request);
          const sampling = own.filter(({ samples }) => samples).length;
          must(stages === 1 || sampling <= 1, 'a sequence awaits one token of the pipeline');
          const inFlight = own.reduce((sum, { tokens }) => sum + tokens, 0);
          must(
            request.computedTokens + inFlight ===
              request.computed + request.lostTokens - request.hitTokens + request.rejectedTokens,
            'computed = position + lost + rejected - hit',
          );
        }
        const first = row - (row % ranks);
        if (lockStep)
          must(steps.length === replicas[first]!.steps.length, 'ranks in lock step step together');
        most.preempted += steps.at(-1)?.preempted.length ?? 0;
      }
    });
  });
  fc.assert(property, { numRuns: 300 });
  expect(most.inFlight).toBe(4);
  expect(most.preempted).toBeGreaterThan(50);
});

test('looking at odd times, and giving inputs late or early, changes no event', () => {
  const gaps = fc.array(fc.nat(9 * UNIT_NS), { minLength: 1, maxLength: 20 });
  const property = fc.property(workloads, gaps, (workload, gapsNs) => {
    const cluster = build(workload);
    const events: ClusterEvent[] = [];
    let nowNs = 0;
    let looks = 0;
    for (const input of workload.inputs) {
      for (; nowNs < input.atNs && looks < 500; nowNs += gapsNs[looks++ % gapsNs.length]! + 1) {
        cluster.advanceTo(nowNs);
        cluster.sample(nowNs);
        cluster.counters();
        events.push(...cluster.drain());
      }
      cluster.advanceTo(input.atNs);
      nowNs = input.atNs;
      give(cluster, input);
    }
    events.push(...runToEnd(cluster));
    expect(events).toEqual(simulate(workload));
  });
  fc.assert(property, { numRuns: 200 });
});

test('doubling every cost, arrival and duration doubles the time of every event', () => {
  const property = fc.property(workloads, workload => {
    expect(simulate(workload, 2)).toEqual(doubled(simulate(workload)));
  });
  fc.assert(property, { numRuns: 200 });
});

test('how a prompt is cut into runs changes no event', () => {
  const property = fc.property(workloads, workload => {
    const inputs = workload.inputs.map(input => {
      if ('cancel' in input) return input;
      const { prompt, output } = input.submission;
      return {
        ...input,
        submission: { ...input.submission, prompt: singleTokens(prompt), output: singleTokens(output) },
      };
    });
    expect(simulate({ ...workload, inputs })).toEqual(simulate(workload));
  });
  fc.assert(property, { numRuns: 100 });
});

test('growing contexts under KV pressure are no livelock: it takes no more steps than one session after the other', () => {
  // Turns of sessions that begin together, in a cache that holds little more than the longest of them: what BLIS issue
  // 529 runs for ever on. A step that only preempts would show here, and so would two requests that evict each other.
  const shapes = fc.record({
    engine: fc.constantFrom<EngineKind>('vllm', 'sglang', 'sglang', 'tensorrt-llm'),
    sessions: fc.integer({ min: 3, max: 8 }),
    turns: fc.integer({ min: 1, max: 4 }),
    questionTokens: fc.integer({ min: 1, max: 12 }),
    answerTokens: fc.integer({ min: 8, max: 40 }),
    spareTokens: fc.nat(60),
    blockTokens: fc.integer({ min: 1, max: 4 }),
    asyncScheduling: fc.boolean(),
    speculative: fc.option(speculatives, { freq: 2 }),
    stages: fc.oneof({ weight: 2, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 3 })),
  });
  const preemptions = { vllm: 0, sglang: 0, 'tensorrt-llm': 0 };
  const property = fc.property(shapes, shape => {
    const { engine, sessions, turns, questionTokens, answerTokens, stages, speculative } = shape;
    const { blockTokens, asyncScheduling } = shape;
    const depth = stages > 1 ? stages : asyncScheduling ? 2 : 1;
    const longest = turns * (questionTokens + answerTokens) + 2 + (speculative?.draftTokens ?? 0) * depth;
    const kvBlocks = Math.ceil((longest + shape.spareTokens) / blockTokens);
    const limits = { ...pool().limits, blockTokens, kvBlocks, maxBatchedTokens: 16, asyncScheduling };
    const cluster = createCluster(
      deployment([pool({ engine, limits, speculative, pipelineStages: stages })]),
    );
    /** By id: what the next turn of that session begins with, and how many turns it has had. */
    const said: { context: Run[]; turns: number }[] = [];
    let alone = 0; // steps of each turn by itself, nothing cached
    const ask = (atNs: number, context: readonly Run[], before: number) => {
      const id = said.length;
      const prompt = [...context, run(`question ${id}`, questionTokens)];
      alone += Math.ceil(runTokens(prompt) / limits.maxBatchedTokens) + answerTokens;
      said.push({ context: [...prompt, run(`output ${id}`, answerTokens)], turns: before + 1 });
      cluster.submit(atNs, submission(id, { prompt, outputTokens: answerTokens }));
    };
    for (let session = 0; session < sessions; session++) ask(0, [], 0);
    let ended = 0;
    for (let ns = cluster.nextNs(); ns < Number.POSITIVE_INFINITY; ns = cluster.nextNs()) {
      cluster.advanceTo(ns);
      for (const event of cluster.drain()) {
        must(event.kind !== 'rejected', 'every turn fits');
        if (event.kind !== 'end') continue;
        ended += 1;
        const { context, turns: had } = said[event.id]!;
        if (had < turns) ask(ns, context, had);
      }
      must(cluster.counters()[0]!.steps <= alone * depth, 'the steps are bounded by the work');
    }
    must(ended === sessions * turns, 'all sessions end');
    preemptions[engine] += cluster.counters()[0]!.preemptions;
  });
  fc.assert(property, { numRuns: 300 });
  expect(preemptions.vllm).toBeGreaterThan(100); // or there was no pressure
  expect(preemptions.sglang).toBeGreaterThan(3); // its estimates leave room for most
});
