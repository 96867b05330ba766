// Builders of what an autoscaler sees: each test names what it is about, all else has a default.
import { affine } from '../../engines/affine.ts';
import type { EngineLimits } from '../../engines/engine.ts';
import type { Flow, ReplicaSignals, ScalingSetup, ScalingView } from '../../sim/scaling/policy.ts';
import { noFlow } from '../../sim/scaling/traffic.ts';

export const limits: EngineLimits = {
  blockTokens: 10,
  kvBlocks: 1000,
  maxBatchedTokens: 1000,
  maxSequences: 8,
  maxModelTokens: 10_000,
  prefixCaching: true,
  maxQueuedRequests: null,
  maxQueuedTokens: null,
  asyncScheduling: true,
  schedulingPolicy: 'fcfs',
  chunkedPrefill: true,
  longPrefillTokens: 0,
};

/** A step of 10 ms and 0.1 ms for each token computed; 10,000 KV tokens, a budget of 1,000, 8 sequences. */
export const setup = (given: Partial<ScalingSetup> = {}): ScalingSetup => ({
  role: 'both',
  limits,
  step: affine({ model: 'affine', base: 10, per_token: 0.1 }),
  gpusPerReplica: 1,
  tokensPerStep: 1,
  coldStartMs: 0,
  oracle: null,
  ...given,
});

export const replica = (given: Partial<ReplicaSignals> = {}): ReplicaSignals => ({
  running: 0,
  waiting: 0,
  kvUsedRatio: 0,
  readySinceMs: 0,
  ...given,
});

/** So many calls came and ended in `overMs`, each of so many tokens. */
export const calls = (
  count: number,
  { prompt = 100, output = 10, cached = 0, overMs = 15_000 } = {},
): Flow => ({
  ...noFlow,
  overMs,
  arrivals: count,
  ended: count,
  promptTokens: count * prompt,
  outputTokens: count * output,
  cachedTokens: count * cached,
});

/** Ready replicas are those given, or `ready` idle ones. */
export function view(given: Partial<ScalingView> = {}): ScalingView {
  const { ready = given.replicas?.length ?? 1 } = given;
  return {
    nowMs: 0,
    ready,
    starting: 0,
    draining: 0,
    replicas: Array.from({ length: ready }, () => replica()),
    signalAgeMs: 0,
    queuedAtGateway: 0,
    inFlight: 0,
    sessions: 0,
    flow: noFlow,
    idleMs: 0,
    min: 0,
    max: 100,
    ...given,
  };
}

/** So many replicas with the same signals. */
export const replicas = (count: number, given: Partial<ReplicaSignals> = {}): ReplicaSignals[] =>
  Array.from({ length: count }, () => replica(given));
