// Builders for tests of the simulator: everything a test is not about has a default.
import {
  type DeploymentSpec,
  type EngineLimits,
  NO_FRONT_END,
  type PoolSpec,
  type StepModel,
} from '../../../engines/engine.ts';
import { textKey } from '../../../scenarios/base/key.ts';
import { type Run, runTokens } from '../../../scenarios/formats/prompt.ts';
import type { Cluster, ClusterEvent, ManagedCluster, Submission } from '../../../sim/cluster.ts';
import { createCluster, type ReferenceCluster } from '../../../sim/reference/cluster.ts';
import { affineStep } from '../../builders/steps.ts';

/** `tokens` tokens of the content called `name`. */
export const run = (name: string, tokens: number, from = 0): Run => ({ key: textKey(name), from, tokens });

export const limits = (some: Partial<EngineLimits> = {}): EngineLimits => ({
  blockTokens: 4,
  kvBlocks: 100,
  maxBatchedTokens: 64,
  maxSequences: 8,
  maxModelTokens: 1000,
  prefixCaching: true,
  maxQueuedRequests: null,
  maxQueuedTokens: null,
  asyncScheduling: false,
  schedulingPolicy: 'fcfs',
  chunkedPrefill: true,
  longPrefillTokens: 0,
  ...some,
});

export const pool = (some: Partial<PoolSpec> = {}): PoolSpec => ({
  name: 'pool',
  modelId: 'model',
  gpuId: null,
  replicas: 1,
  tensorParallel: 1,
  engine: 'vllm',
  limits: limits(),
  step: affineStep(),
  pipelineStages: 1,
  dataParallelRanks: 1,
  ranksInLockStep: false,
  speculative: null,
  kvTiers: [],
  disaggregation: null,
  kvBytesPerToken: null,
  scheduling: { policy: 'fcfs', options: {} },
  retention: null,
  scaling: null,
  coldStart: null,
  spot: null,
  frontEnd: NO_FRONT_END,
  place: null,
  endpoints: [],
  usdPerGpuHour: null,
  evidence: [],
  ...some,
});

export const deployment = (pools: PoolSpec[], policy = 'round-robin'): DeploymentSpec => ({
  name: 'test',
  sha256: '',
  pools,
  hosted: [],
  routing: { policy, options: {} },
  signals: { scrapeMs: 50, delayMs: 5, kvEventsMs: 5 },
  admission: { policy: 'always', options: {} },
  gateway: null,
  gatewayPlace: null,
  toolRuntimes: [],
  stores: [],
  places: null,
  allowHosts: [],
});

/** A request with a prompt of its own, unless runs are given. */
export function submission(
  id: number,
  some: Partial<Submission> & { promptTokens?: number } = {},
): Submission {
  const prompt = some.prompt ?? [run(`prompt ${id}`, some.promptTokens ?? 8)];
  const outputTokens = some.outputTokens ?? 1;
  return {
    id,
    pool: 'pool',
    session: `session ${id}`,
    output: [run(`output ${id}`, outputTokens)],
    warmTokens: 0,
    priority: 0,
    ...some,
    prompt,
    promptTokens: runTokens(prompt),
    outputTokens,
  };
}

/** One replica with these limits and a step of 100 ns, unless told otherwise. */
export function oneReplica(
  some: Partial<EngineLimits> = {},
  step: StepModel = affineStep(),
  watch?: (cluster: ReferenceCluster) => void,
): ReferenceCluster {
  return createCluster(deployment([pool({ limits: limits(some), step })]), {
    everyToken: true,
    ...(watch === undefined ? {} : { watch }),
  });
}

export function runToEnd(cluster: Cluster): ClusterEvent[] {
  for (let ns = cluster.nextNs(); ns < Number.POSITIVE_INFINITY; ns = cluster.nextNs()) cluster.advanceTo(ns);
  return cluster.drain();
}

/** Events as short lines, e.g. `100 token 1#0`. */
export function lines(events: readonly ClusterEvent[]): string[] {
  return events.map(event => {
    const at = `${event.atNs} ${event.kind} ${event.id}`;
    if (event.kind === 'token') return `${at}#${event.index}`;
    if (event.kind === 'scheduled') return `${at} cached ${event.cachedTokens}`;
    if (event.kind === 'rejected') return `${at} ${event.reason}`;
    return `${at} computed ${event.computedTokens} preempted ${event.preemptions}`;
  });
}

/** Something that is given to a cluster at a time. */
export type Input = { atNs: number } & ({ submission: Submission } | { cancel: number });
/** A replica of a pool that is lost, by a uniform draw. */
export interface Crash {
  atNs: number;
  crash: string;
  draw: number;
}

export function give(cluster: ManagedCluster, input: Input | Crash, scale = 1): void {
  const atNs = input.atNs * scale;
  if ('submission' in input) cluster.submit(atNs, input.submission);
  else if ('cancel' in input) cluster.cancel(atNs, input.cancel);
  else cluster.crash(atNs, input.crash, input.draw);
}

/** The same events, twice as late. */
export const doubled = (events: readonly ClusterEvent[]): ClusterEvent[] =>
  events.map(event => ({
    ...event,
    atNs: event.atNs * 2,
    ...('itlMaxNs' in event ? { itlMaxNs: event.itlMaxNs * 2 } : {}),
    ...('transfer' in event && event.transfer !== undefined
      ? { transfer: { startNs: event.transfer.startNs * 2, endNs: event.transfer.endNs * 2 } }
      : {}),
  }));

/** The same content, a run for each token. */
export const singleTokens = (runs: readonly Run[]): Run[] =>
  runs.flatMap(({ key, from, tokens }) =>
    Array.from({ length: tokens }, (_, i) => ({ key, from: from + i, tokens: 1 })),
  );
