// What a deployment costs: prices of what providers sell, and how the time of its replicas is split by work done.
import type { CostBasis, TokenPrice, WorkRate } from '../scenarios/formats/ledger.ts';
import type { Plan } from '../scenarios/formats/plan.ts';
import type { ReplicaSpan } from '../scenarios/formats/record.ts';
import { UNITS_PER_NS } from './affine.ts';
import type { DeploymentSpec, EngineLimits, StepModel } from './engine.ts';
import { apiOffers } from './offers.ts';
import { addSequence, decodeLoad, emptyLoad } from './step-load.ts';

/** Sequences at most of the batch at which a decode is priced. */
const BATCH_MAX = 256;
const CONTEXT_TOKENS = 1024;

/**
 * Marginal time of work in full steps: of a prompt token in a step filled with one prompt, of a sequence in a full batch,
 * and of a context token that a decode reads, which stands for the KV it holds (policies.md §5.4).
 */
export function workRate(step: StepModel, limits: EngineLimits): WorkRate {
  const aloneNs = step.stepNs(decodeLoad(1, 1));
  const promptTokens = Math.max(2, limits.maxBatchedTokens);
  const prompt = emptyLoad();
  addSequence(prompt, 0, promptTokens, true);
  const sequences = Math.max(2, Math.min(limits.maxSequences, BATCH_MAX));
  const batchNs = step.stepNs(decodeLoad(sequences, sequences));
  const rate = {
    prefillNs: Math.max(0, (step.stepNs(prompt) - aloneNs) / (promptTokens - 1)),
    decodeNs: Math.max(0, (batchNs - aloneNs) / (sequences - 1)),
    contextNs: step.decodeLine(sequences, sequences * CONTEXT_TOKENS).slopeUnits / UNITS_PER_NS,
  };
  // Where no work takes time of its own, each token counts alike.
  const isFree = rate.prefillNs + rate.decodeNs + rate.contextNs === 0;
  return isFree ? { prefillNs: 1, decodeNs: 1, contextNs: 0 } : rate;
}

/** The price that a scenario gives an alias goes before the provider's. */
export function costBasis(deployment: DeploymentSpec, { models }: Pick<Plan, 'models'>): CostBasis {
  const { pools, hosted } = deployment;
  const rates = new Map<string, WorkRate>();
  for (const { name, step, limits, disaggregation } of pools) {
    const rate = workRate(step, limits);
    if (disaggregation === null) rates.set(name, rate);
    else {
      const { prefill } = disaggregation;
      rates.set(`${name}/decode`, { ...rate, prefillNs: 0 });
      const { prefillNs } = workRate(prefill.step, prefill.limits);
      rates.set(`${name}/prefill`, { prefillNs, decodeNs: 0, contextNs: 0 });
    }
  }
  const prices = new Map<string, TokenPrice | null>(hosted.map(({ name, price }) => [name, price]));
  const aliases = new Map<string, TokenPrice>();
  for (const [alias, { price }] of models)
    if (price !== null) aliases.set(alias, { ...price, cacheWrite: price.in });
  return {
    offers: apiOffers(deployment),
    rates,
    price: (target, model) =>
      prices.has(target) ? (aliases.get(model) ?? prices.get(target) ?? null) : null,
  };
}

/** The replicas of the file as there all the time, where no simulation says better. */
export const standingReplicas = ({ pools }: DeploymentSpec): ReplicaSpan[] =>
  pools.flatMap(pool => {
    const { name, replicas, tensorParallel, pipelineStages, dataParallelRanks, usdPerGpuHour } = pool;
    return Array.from({ length: replicas }, (_, id) => ({
      pool: name,
      replica: `${name}/${id}`,
      askedMs: 0,
      readyMs: 0,
      goneMs: null,
      isLost: false,
      gpus: tensorParallel * pipelineStages * dataParallelRanks,
      usdPerGpuHour,
    }));
  });
