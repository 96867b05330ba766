// Random clusters and what happens to them, from a seed: every feature that both engines model, on at random. Caches of a
// few requests, short steps and short gaps, so that arrivals, cancels and ends often fall on one instant.
import type {
  DeploymentSpec,
  EngineLimits,
  PoolSpec,
  ScalingSpec,
  SignalAges,
  StepEvidence,
} from '../../../engines/engine.ts';
import { routingPolicies } from '../../../gateway/routing/index.ts';
import { schedulingPolicies } from '../../../gateway/scheduling/index.ts';
import { extend, type Key, seedKey, uniform } from '../../../scenarios/base/key.ts';
import { headOf, type Run, runTokens } from '../../../scenarios/formats/prompt.ts';
import type { Submission } from '../../../sim/cluster.ts';
import { affineStep, kinkedStep } from '../../builders/steps.ts';
import { type Crash, deployment, type Input, limits, pool, run } from '../reference/build.ts';

export interface DrawnCase {
  deployment: DeploymentSpec;
  inputs: (Input | Crash)[];
}

/** All requests so far have ended by then. */
const LONG_NS = 1e8;

/** Draws in order from one key. */
class Draws {
  private readonly key: Key;
  private count = 0;
  constructor(key: Key) {
    this.key = key;
  }
  /** Whole, from `least` to `most`. */
  whole(least: number, most: number): number {
    return least + Math.floor(uniform(extend(this.key, this.count++)) * (most - least + 1));
  }
  chance(probability: number): boolean {
    return uniform(extend(this.key, this.count++)) < probability;
  }
  one<T>(list: readonly T[]): T {
    return list[this.whole(0, list.length - 1)]!;
  }
}

function drawLimits(draws: Draws): EngineLimits {
  const blockTokens = draws.one([1, 2, 3, 4, 8, 16]);
  const maxModelTokens = draws.whole(60, 240);
  const chunkedPrefill = draws.chance(0.85);
  const longestTokens = maxModelTokens;
  const kvTokens = Math.ceil(longestTokens * draws.one([0.8, 1, 1.3, 2, 4, 20]));
  const maxBatchedTokens = chunkedPrefill ? draws.whole(1, 80) : maxModelTokens;
  return limits({
    blockTokens,
    maxModelTokens,
    chunkedPrefill,
    maxBatchedTokens,
    maxSequences: Math.min(maxBatchedTokens, draws.whole(1, 12)),
    kvBlocks: Math.max(1, Math.ceil(kvTokens / blockTokens)),
    prefixCaching: draws.chance(0.8),
    maxQueuedRequests: draws.chance(0.15) ? draws.whole(1, 6) : null,
    maxQueuedTokens: draws.chance(0.15) ? draws.whole(1, 200) : null,
    asyncScheduling: draws.chance(0.6),
    schedulingPolicy: draws.chance(0.3) ? 'priority' : 'fcfs',
    longPrefillTokens: draws.chance(0.3) ? draws.whole(1, 20) : 0,
  });
}

/** A prompt: a shared prefix, a conversation so far, or content of its own; cut anywhere. */
function drawPrompt(draws: Draws, id: number, threads: Run[][], most: number): Run[] {
  const runs: Run[] = [];
  const before = threads.length > 0 && draws.chance(0.5) ? draws.one(threads) : null;
  if (before !== null) runs.push(...(draws.chance(0.2) ? headOf(before, draws.whole(1, 60)) : before));
  else if (draws.chance(0.6)) {
    const tokens = draws.whole(1, 50);
    const cutAt = draws.whole(0, tokens);
    const family = `family ${draws.whole(0, 2)}`;
    runs.push(run(family, cutAt), run(family, tokens - cutAt, cutAt));
  }
  if (runs.length === 0 || draws.chance(0.7)) runs.push(run(`own ${id}`, draws.whole(1, 40)));
  return headOf(
    runs.filter(({ tokens }) => tokens > 0),
    most,
  );
}

/** `isSplit`: the pool is disaggregated. */
export function drawCase(seed: number, isSplit = false): DrawnCase {
  const draws = new Draws(seedKey(`twin ${seed}`));
  const some = drawLimits(draws);
  const scale = draws.one([1, 1, 7, 1000]);
  const costs = {
    baseNs: draws.whole(1, 5) * scale,
    perTokenNs: draws.whole(0, 2) * scale,
    perSequenceNs: draws.whole(0, 1) * scale,
    perContextTokenNs: draws.chance(0.7) ? draws.whole(0, 3) : 0,
    perPairNs: draws.chance(0.3) ? draws.whole(0, 1) : 0,
    perContextTokenUnits: draws.chance(0.5) ? draws.whole(0, 1023) : 0,
  };
  const range = { decodes: 2, contextTokens: 40, prefillTokens: 10 };
  const trust: StepEvidence = {
    error: { ttft: null, tpot: null, e2e: null },
    nearest: null,
    range,
    outOfRange: load => JSON.stringify(load), // so that the largest loads can be compared
  };
  const step = draws.chance(0.3)
    ? kinkedStep(costs, draws.whole(1, 400), draws.whole(1, 3000))
    : affineStep(costs);
  const spec = pool({ replicas: draws.whole(1, 3), limits: some, step: { ...step, trust } });
  const managed = drawManaged(draws, scale);
  // Autoscalers look every few steps: no long pauses with them.
  const isManaged = managed.scaling !== null || managed.spot !== null;
  const inputs: DrawnCase['inputs'] = [];
  /** Conversations that later prompts go on from. What a request generates is in no other prompt before it has ended. */
  const threads: Run[][] = [];
  let ended: Run[][] = [];
  const outputMost = draws.one([4, 40, 120]);
  const gapMost = draws.one([0, 6, 40, 400]) * scale;
  const calls = draws.whole(1, 40);
  const cancelChance = draws.one([0, 0.05, 0.3]);
  const warmChance = draws.one([0, 0, 0.2]);
  let atNs = 0;
  for (let id = 0; id < calls; id++) {
    if (draws.chance(0.7)) atNs += draws.whole(0, gapMost);
    if (!isManaged && draws.chance(0.1)) {
      atNs += LONG_NS * scale;
      threads.push(...ended);
      ended = [];
    }
    const outputTokens = draws.whole(1, outputMost);
    const prompt = drawPrompt(draws, id, threads, Math.max(1, some.maxModelTokens - outputTokens + 2));
    const output = [run(`output ${id}`, outputTokens)];
    if (draws.chance(0.5)) ended.push([...prompt, ...output]);
    if (draws.chance(0.3)) threads.push(prompt);
    const promptTokens = runTokens(prompt);
    const warmTokens = draws.chance(warmChance) ? draws.whole(0, promptTokens) : 0;
    const session = `session ${draws.whole(0, 4)}`;
    const priority = draws.whole(0, 2);
    const submission: Submission = {
      id,
      pool: 'pool',
      session,
      prompt,
      promptTokens,
      output,
      outputTokens,
      warmTokens,
      priority,
    };
    inputs.push({ atNs, submission });
    if (draws.chance(cancelChance)) inputs.push({ atNs: atNs + draws.whole(0, 200 * scale), cancel: id });
  }
  if (draws.chance(0.3)) inputs.push({ atNs: draws.whole(0, atNs), crash: 'pool', draw: 0.5 });
  inputs.sort((a, b) => a.atNs - b.atNs);
  const policy = draws.one(Object.keys(routingPolicies));
  const split = isSplit ? drawSplit(draws, scale, managed) : {};
  const drawn = deployment([{ ...spec, ...managed, ...split }], policy);
  return { deployment: { ...drawn, signals: drawSignals(draws, scale) }, inputs };
}

const MS_PER_NS = 1e-6;

/** A prefill half of its own kind behind links of a byte or a few a nanosecond. */
function drawSplit(
  draws: Draws,
  scale: number,
  managed: ReturnType<typeof drawManaged>,
): Pick<PoolSpec, 'disaggregation' | 'kvBytesPerToken'> {
  const costs = {
    baseNs: draws.whole(1, 5) * scale,
    perTokenNs: draws.whole(0, 2) * scale,
    perContextTokenNs: draws.chance(0.5) ? draws.whole(0, 3) : 0,
  };
  const scaling: ScalingSpec = {
    policy: 'hpa',
    options: {
      metric: 'in_flight',
      target: draws.one([0.4, 1, 2]),
      interval: draws.whole(1, 40) * scale * MS_PER_NS,
    },
    min: draws.whole(0, 1),
    max: draws.whole(1, 3),
    signalAgeMs: 0,
    drain: draws.one(['calls', 'workflows']),
    drainMaxMs: draws.chance(0.5) ? Number.POSITIVE_INFINITY : draws.whole(1, 60) * scale * MS_PER_NS,
  };
  return {
    kvBytesPerToken: draws.whole(1, 4),
    disaggregation: {
      prefill: {
        replicas: draws.whole(1, 3),
        limits: drawLimits(draws),
        step: affineStep(costs),
        gpuId: null,
        tensorParallel: 1,
        usdPerGpuHour: null,
        scaling: managed.scaling !== null && draws.chance(0.5) ? scaling : null,
        coldStart: managed.coldStart,
        spot: managed.spot,
      },
      linkBytesPerSec: (draws.one([0.3, 1, 3, 50]) * 1e9) / scale,
      linkLatencyMs: draws.one([0, 0, 1, 20]) * scale * MS_PER_NS,
      overlapLayers: draws.chance(0.4) ? draws.whole(1, 5) : null,
      firstToken: draws.one(['decode', 'prefill']),
      localBelowTokens: draws.chance(0.4) ? draws.whole(1, 40) : 0,
    },
  };
}

/** As old as a few steps. */
function drawSignals(draws: Draws, scale: number): SignalAges {
  const scrapeMs = draws.one([0, 1, 7, 50]) * scale * MS_PER_NS;
  return {
    scrapeMs,
    delayMs: scrapeMs === 0 ? 0 : draws.whole(0, 9) * scale * MS_PER_NS,
    kvEventsMs: draws.chance(0.2) ? null : draws.whole(0, 20) * scale * MS_PER_NS,
  };
}

/** Replicas that come and go, every few steps. */
function drawManaged(
  draws: Draws,
  scale: number,
): Pick<PoolSpec, 'scaling' | 'coldStart' | 'spot' | 'scheduling'> {
  const ms = (most: number): number => draws.whole(1, most) * scale * MS_PER_NS;
  const metric = draws.one(['in_flight', 'queue', 'running', 'kv_usage', 'rate']);
  // What waits at the gateway must be able to wake a pool at zero.
  const canWake = metric === 'in_flight' || metric === 'queue';
  const scaling: ScalingSpec = {
    policy: 'hpa',
    options: {
      metric,
      target: draws.one([0.4, 1, 2]),
      interval: ms(40),
      down_window: ms(60),
    },
    min: canWake ? draws.whole(0, 1) : 1,
    max: draws.whole(1, 4),
    signalAgeMs: draws.chance(0.5) ? 0 : ms(30),
    drain: draws.one(['calls', 'workflows']),
    drainMaxMs: draws.chance(0.5) ? Number.POSITIVE_INFINITY : ms(60),
  };
  const coldMs = ms(50);
  return {
    scaling: draws.chance(0.4) ? scaling : null,
    coldStart: draws.chance(0.5)
      ? { draw: uniform => uniform * coldMs, medianMs: coldMs / 2, text: 'drawn' }
      : null,
    spot: draws.chance(0.1) ? { perSec: 1e7 / scale, noticeMs: ms(20) } : null,
    scheduling: { policy: draws.one(['fcfs', ...Object.keys(schedulingPolicies)]), options: {} },
  };
}
