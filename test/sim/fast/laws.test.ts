// The simulator against what queueing theory says of it, at sizes that only the fast engine runs in a test.
import { expect, test } from 'vitest';
import { affine } from '../../../engines/affine.ts';
import type { EngineLimits, StepModel } from '../../../engines/engine.ts';
import { Histogram } from '../../../scenarios/base/histogram.ts';
import { extend, seedKey, uniform } from '../../../scenarios/base/key.ts';
import { FastCluster } from '../../../sim/fast/cluster.ts';
import { affineStep } from '../../builders/steps.ts';
import { deployment, limits, pool, submission } from '../reference/build.ts';

interface Load {
  limits?: Partial<EngineLimits>;
  step: StepModel;
  replicas?: number;
  requests: number;
  meanGapNs: number;
  promptTokens?: number;
  outputTokens: (ordinal: number) => number;
}

interface Outcome {
  meanWaitNs: number;
  meanTtftNs: number;
  meanE2eNs: number;
  meanItlNs: number;
  /** Mean requests in the system, from looking at even times. */
  meanInSystem: number;
  arrivalsPerNs: number;
  preemptions: number;
}

/** Poisson arrivals at one pool. */
function simulate(load: Load): Outcome {
  const spec = pool({ replicas: load.replicas ?? 1, step: load.step, limits: limits(load.limits) });
  const cluster = new FastCluster(deployment([spec]));
  const seed = seedKey('laws');
  const arrivals = new Float64Array(load.requests);
  let waitNs = 0;
  let ttftNs = 0;
  let e2eNs = 0;
  let looks = 0;
  let seen = 0;
  let atNs = 0;
  const lookEveryNs = load.meanGapNs * 7.3;
  let lookAtNs = lookEveryNs;
  const drain = (): void => {
    for (const event of cluster.drain()) {
      const sinceNs = event.atNs - arrivals[event.id]!;
      if (event.kind === 'scheduled') waitNs += sinceNs;
      else if (event.kind === 'token') ttftNs += sinceNs;
      else if (event.kind === 'end') e2eNs += sinceNs;
    }
  };
  for (let id = 0; id < load.requests; id++) {
    atNs += Math.round(-Math.log(uniform(extend(seed, id))) * load.meanGapNs);
    arrivals[id] = atNs;
    for (; lookAtNs < atNs; lookAtNs += lookEveryNs) {
      cluster.advanceTo(Math.floor(lookAtNs));
      for (const sample of cluster.sample(Math.floor(lookAtNs) / 1e6))
        seen += sample.runningRequests + sample.waitingRequests;
      looks += 1;
    }
    cluster.advanceTo(atNs);
    drain();
    const outputTokens = load.outputTokens(id);
    cluster.submit(atNs, submission(id, { promptTokens: load.promptTokens ?? 1, outputTokens }));
  }
  for (let ns = cluster.nextNs(); ns < Number.POSITIVE_INFINITY; ns = cluster.nextNs()) cluster.advanceTo(ns);
  drain();
  const itl = Histogram.from(cluster.itlMs());
  return {
    meanWaitNs: waitNs / load.requests,
    meanTtftNs: ttftNs / load.requests,
    meanE2eNs: e2eNs / load.requests,
    meanItlNs: (itl.sum / itl.count) * 1e6,
    meanInSystem: seen / looks,
    arrivalsPerNs: load.requests / atNs,
    preemptions: cluster.counters().reduce((sum, { preemptions }) => sum + preemptions, 0),
  };
}

const roomy: Partial<EngineLimits> = {
  blockTokens: 16,
  kvBlocks: 1_000_000,
  maxModelTokens: 100_000,
  maxBatchedTokens: 16_384,
  maxSequences: 10_000,
  prefixCaching: false,
};

const lengths = seedKey('lengths');
/** Geometric with this mean: what a memoryless service is when time has steps. */
const geometric = (mean: number) => (ordinal: number) =>
  Math.max(1, Math.ceil(Math.log(uniform(extend(lengths, ordinal))) / Math.log(1 - 1 / mean)));

/** Mean wait of M/M/k in units of the mean service time (Erlang C). */
function erlangWait(servers: number, offered: number): number {
  let term = 1;
  let sum = 1;
  for (let n = 1; n < servers; n++) {
    term *= offered / n;
    sum += term;
  }
  const last = ((term * offered) / servers) * (servers / (servers - offered));
  return last / (sum + last) / (servers - offered);
}

test('M/M/k: with steps of constant length a batch of k is k servers', () => {
  const stepNs = 1000;
  const meanTokens = 200;
  for (const [servers, rho] of [
    [1, 0.5],
    [4, 0.8],
    [16, 0.9],
  ] as const) {
    const { meanWaitNs } = simulate({
      limits: { ...roomy, maxSequences: servers },
      step: affineStep({ baseNs: stepNs }),
      requests: 150_000,
      meanGapNs: (stepNs * meanTokens) / (servers * rho),
      outputTokens: geometric(meanTokens),
    });
    const expected = erlangWait(servers, servers * rho) * stepNs * meanTokens;
    const error = (meanWaitNs - stepNs / 2) / expected - 1; // half a step until the next one begins
    expect(Math.abs(error), `k ${servers}, rho ${rho}: off by ${error}`).toBeLessThan(0.05);
  }
});

test("Little's law: requests in the system = arrival rate x mean time in it", () => {
  const { meanInSystem, arrivalsPerNs, meanE2eNs } = simulate({
    limits: { ...roomy, asyncScheduling: true },
    step: affineStep({ baseNs: 5000, perSequenceNs: 10, perTokenNs: 3 }),
    requests: 60_000,
    meanGapNs: 60_000,
    promptTokens: 300,
    outputTokens: geometric(150),
  });
  const error = meanInSystem / (arrivalsPerNs * meanE2eNs) - 1;
  expect(Math.abs(error), `off by ${error}`).toBeLessThan(0.01);
});

// llm-d's queueing-model analyser: alpha ms a step, beta a computed token, gamma a cached token read.
const ALPHA_MS = 8;
const BETA_MS = 0.02;
const GAMMA_MS = 50e-6;

test('a step lasts alpha / (1 - rho) on average, and ITL and TTFT follow from it', () => {
  const promptTokens = 1000;
  const outputTokens = 200;
  const step = affine({ model: 'affine', base: ALPHA_MS, per_token: BETA_MS, per_context_token: GAMMA_MS });
  for (const rho of [0.2, 0.67, 0.9]) {
    const deltaMs =
      (BETA_MS * (promptTokens + outputTokens)) / (outputTokens + 1) +
      GAMMA_MS * (promptTokens + outputTokens / 2);
    const perMs = rho / ((outputTokens + 1) * deltaMs);
    const { meanItlNs, meanTtftNs } = simulate({
      limits: roomy,
      step,
      requests: 40_000,
      meanGapNs: 1e6 / perMs,
      promptTokens,
      outputTokens: () => outputTokens,
    });
    const stepMs = ALPHA_MS / (1 - rho);
    // A token's gap is a step as a request sees it: steps with a prompt in them are longer, and seen by more.
    const itlMs = stepMs + BETA_MS + GAMMA_MS * (promptTokens + (outputTokens + 1) / 2);
    const itlError = meanItlNs / 1e6 / itlMs - 1;
    expect(Math.abs(itlError), `rho ${rho}: ITL off by ${itlError}`).toBeLessThan(0.06);
    // Corrected for the base time of the request's own step (policies.md 1.11); a band of 15 %.
    const ttftMs = 1.5 * stepMs + (BETA_MS + GAMMA_MS) * promptTokens;
    const ttftError = meanTtftNs / 1e6 / ttftMs - 1;
    expect(Math.abs(ttftError), `rho ${rho}: TTFT off by ${ttftError}`).toBeLessThan(0.17);
  }
});

test('more replicas, and more KV blocks, never make the mean request later', () => {
  const load = (some: Partial<Load>): Load => ({
    limits: { ...roomy, kvBlocks: 600, maxModelTokens: 4000, asyncScheduling: true },
    step: affineStep({ baseNs: 5000, perSequenceNs: 40, perTokenNs: 5 }),
    requests: 5000,
    meanGapNs: 60_000,
    promptTokens: 400,
    outputTokens: geometric(150),
    ...some,
  });
  const byReplicas = [1, 2, 4, 8].map(replicas => simulate(load({ replicas })).meanE2eNs);
  expect(byReplicas).toEqual([...byReplicas].sort((a, b) => b - a));
  const byBlocks = [300, 600, 1200, 4800].map(kvBlocks =>
    simulate(load({ limits: { ...roomy, kvBlocks, maxModelTokens: 4000 } })),
  );
  expect(byBlocks[0]!.preemptions).toBeGreaterThan(100);
  const times = byBlocks.map(each => each.meanE2eNs);
  expect(times).toEqual([...times].sort((a, b) => b - a));
});
