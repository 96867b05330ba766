// What one replica can do within latency targets, asked of its step model: the engine queries of the Dynamo planner
// (planner/core/perf_model/engine_query.py). Times are ms, rates are calls per second.
import type { EngineLimits, StepModel } from '../../engines/engine.ts';
import { addSequence, decodeLoad } from '../../engines/step-load.ts';
import type { ScalingSetup } from './policy.ts';
import type { CallShape } from './traffic.ts';

export interface LatencyTargets {
  readonly ttftMs: number;
  readonly itlMs: number;
}

export interface Capacity {
  readonly callsPerSec: number;
  /** As the model has them at that rate; 0 where the role has none. */
  readonly ttftMs: number;
  readonly itlMs: number;
  /** Within the targets; else it is the highest rate regardless of them. */
  readonly isWithin: boolean;
}

/** Batches tried, evenly from 1 to the largest [MAX_CAPACITY_SEARCH_CANDIDATES]. */
const CANDIDATES = 128;

export type Engine = Pick<ScalingSetup, 'limits' | 'step' | 'tokensPerStep'>;

export const kvTokens = ({ kvBlocks, blockTokens }: EngineLimits): number => kvBlocks * blockTokens;

/** Decodes that go on beside a prefill, and the KV entries they read. */
export interface Beside {
  readonly decodes: number;
  readonly contextTokens: number;
}
const NOTHING: Beside = { decodes: 0, contextTokens: 0 };

const stepMs = (step: StepModel, load: ReturnType<typeof decodeLoad>): number => step.stepNs(load) / 1e6;

/** Prompt tokens of a call that are computed, at least 1. */
const uncached = ({ promptTokens, cachedRatio }: CallShape): number =>
  Math.max(1, Math.ceil(promptTokens * (1 - cachedRatio)));

/**
 * Until `count` prompts are computed, each step as full as whole prompts make it; a longer prompt goes in chunks of the
 * budget. The cached part is read, not computed.
 */
export function promptsMs(
  { limits, step }: Engine,
  shape: CallShape,
  count: number,
  beside = NOTHING,
): number {
  const tokens = uncached(shape);
  const cached = Math.max(0, Math.round(shape.promptTokens) - tokens);
  const budget = limits.maxBatchedTokens;
  const stepOf = (prompts: number, before: number, chunk: number): number => {
    const load = decodeLoad(beside.decodes, beside.contextTokens);
    for (let i = 0; i < prompts; i++) addSequence(load, before, chunk, true);
    return stepMs(step, load);
  };
  if (tokens > budget) {
    let ms = 0;
    for (let done = 0; done < tokens; done += budget)
      ms += stepOf(1, cached + done, Math.min(budget, tokens - done));
    return ms * Math.ceil(count);
  }
  const perStep = Math.min(limits.maxSequences, Math.floor(budget / tokens));
  const whole = Math.floor(count / perStep);
  const rest = Math.ceil(count - whole * perStep);
  return (
    (whole > 0 ? whole * stepOf(perStep, cached, tokens) : 0) + (rest > 0 ? stepOf(rest, cached, tokens) : 0)
  );
}

/** Between two tokens of a sequence: a step of `decodes`, with so many prompt tokens in it. */
export function tokenMs(
  { step, tokensPerStep }: Engine,
  { decodes, contextTokens }: Beside,
  promptTokens = 0,
): number {
  const load = decodeLoad(decodes, contextTokens);
  if (promptTokens > 0) addSequence(load, 0, promptTokens, true);
  return stepMs(step, load) / tokensPerStep;
}

/** KV entries of a sequence halfway through its answer. */
const contextOf = ({ promptTokens, outputTokens }: CallShape): number =>
  Math.max(1, Math.ceil(promptTokens) + Math.floor(outputTokens / 2));

/** Prompt tokens a step must take so that as many prompts come in as answers end. */
export const promptTokensPerStep = (shape: CallShape, decodes: number, tokensPerStep: number): number =>
  Math.ceil((decodes * tokensPerStep * uncached(shape)) / Math.max(1, shape.outputTokens));

function prefillBatch({ limits }: Engine, shape: CallShape): number {
  return Math.max(1, Math.min(limits.maxSequences, Math.floor(limits.maxBatchedTokens / uncached(shape))));
}
const decodeBatch = ({ limits }: Engine, shape: CallShape): number =>
  Math.min(limits.maxSequences, Math.floor(kvTokens(limits) / contextOf(shape)));

type Candidate = Omit<Capacity, 'isWithin'> | null;

/** By role: the largest batch, and what a batch yields; null where it cannot go on so. */
const ROLES: Record<
  ScalingSetup['role'],
  {
    most(engine: Engine, shape: CallShape): number;
    of(engine: Engine, shape: CallShape, batch: number): Candidate;
  }
> = {
  /** batch / ttft(batch · isl): prompts of one step at a time. */
  prefill: {
    most: prefillBatch,
    of(engine, shape, batch) {
      const ttftMs = promptsMs(engine, shape, batch);
      return { callsPerSec: (batch * 1000) / ttftMs, ttftMs, itlMs: 0 };
    },
  },
  /** batch / (osl · itl(batch)). */
  decode: {
    most: decodeBatch,
    of(engine, shape, batch) {
      const itlMs = tokenMs(engine, { decodes: batch, contextTokens: batch * contextOf(shape) });
      return { callsPerSec: (batch * 1000) / (Math.max(1, shape.outputTokens) * itlMs), ttftMs: 0, itlMs };
    },
  },
  /** batch / (osl · itl), where each step takes the prompts of those that come as well. */
  both: {
    most: (engine, shape) => Math.min(decodeBatch(engine, shape), engine.limits.maxBatchedTokens - 1),
    of(engine, shape, batch) {
      const prompts = promptTokensPerStep(shape, batch, engine.tokensPerStep);
      if (prompts > engine.limits.maxBatchedTokens - batch) return null;
      const beside = { decodes: batch, contextTokens: batch * contextOf(shape) };
      const itlMs = tokenMs(engine, beside, prompts);
      // A prompt that comes finds the prompts of a step before it.
      const ttftMs = promptsMs(engine, shape, 1 + prompts / uncached(shape), beside);
      return { callsPerSec: (batch * 1000) / (Math.max(1, shape.outputTokens) * itlMs), ttftMs, itlMs };
    },
  },
};

/**
 * The highest rate of one replica within the targets; where no batch keeps them, the highest there is. Null where a call
 * is too long for the replica.
 */
export function capacityOf(setup: ScalingSetup, shape: CallShape, targets: LatencyTargets): Capacity | null {
  const role = ROLES[setup.role];
  const most = role.most(setup, shape);
  if (most < 1 || shape.promptTokens <= 0) return null;
  let best: Capacity | null = null;
  const count = Math.min(most, CANDIDATES);
  for (let i = 0; i < count; i++) {
    const batch = most <= CANDIDATES ? i + 1 : 1 + Math.floor((i * (most - 1)) / (CANDIDATES - 1));
    const found = role.of(setup, shape, batch);
    if (found === null) continue;
    const isWithin = found.ttftMs <= targets.ttftMs && found.itlMs <= targets.itlMs;
    const isBetter =
      best === null || (isWithin === best.isWithin ? found.callsPerSec > best.callsPerSec : isWithin);
    if (isBetter) best = { ...found, isWithin };
  }
  return best;
}

/** Replicas for so many calls a second; null where a call is too long for any. */
export function replicasFor(
  callsPerSec: number,
  shape: CallShape,
  setup: ScalingSetup,
  targets: LatencyTargets,
): number | null {
  const capacity = capacityOf(setup, shape, targets);
  if (capacity === null) return null;
  const replicas = Math.ceil(callsPerSec / capacity.callsPerSec);
  // A prompt that takes longer than its target is not made faster by more replicas; the planner adds them all the same.
  const late =
    setup.role === 'prefill' && !capacity.isWithin ? Math.ceil(capacity.ttftMs / targets.ttftMs) : 0;
  return Math.max(replicas, late);
}
