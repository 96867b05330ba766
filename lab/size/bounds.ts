// What is known of a group of candidates before any run: whether its engines can be built, how many replicas the work
// needs at the very least, and what they cost. Little's law and the step model with a batch that is always full: what is
// below this bound breaks in every run, so nothing is lost by leaving it out.
import { workRate } from '../../engines/cost-basis.ts';
import type { DeploymentSpec, PoolSpec } from '../../engines/engine.ts';
import { loadDeployment } from '../../engines/load.ts';
import { serverOf } from '../../engines/prepare.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { UserError } from '../../scenarios/base/errors.ts';
import type { LabContext } from '../lint/context.ts';
import { offeredLoad } from '../lint/offered-load.ts';
import { type Group, type GroupFacts, overridesOf } from './space.ts';

export interface Bound extends GroupFacts {
  readonly group: Group;
  /** Fewer cannot do the work, whatever is routed where. */
  readonly replicasMin: number;
  /** What bounds it, in words. */
  readonly why: string;
  /** Why it cannot be built at all; null: it can. */
  readonly impossible: string | null;
}

/** Groups that differ in the router alone share a bound. */
const keyOf = ({ gpu, tensorParallel, shape, variant }: Group): string =>
  JSON.stringify([gpu, tensorParallel, shape, variant.set]);

/**
 * The bounds of groups of one base deployment. `context`: the scenario, walked, without a deployment; `loadFactor`: times
 * its peak that lasts.
 */
export function boundsOf(
  groups: readonly Group[],
  base: string,
  context: LabContext,
  loadFactor: number,
): Bound[] {
  const known = new Map<string, Omit<Bound, 'group'>>();
  return groups.map(group => {
    const key = keyOf(group);
    const found = known.get(key) ?? boundOf(group, base, context, loadFactor);
    known.set(key, found);
    return { ...found, group };
  });
}

/** Means over a hundred walked sessions are off by some, and the first of them meet cold caches. */
const SURE_RATIO = 0.9;
const NO_FACTS: GroupFacts = { usdPerGpuHour: null, prefillRatio: 0.5 };

function boundOf(group: Group, base: string, context: LabContext, loadFactor: number): Omit<Bound, 'group'> {
  const { min } = group.replicas;
  const cannot = (impossible: string): Omit<Bound, 'group'> => ({
    ...NO_FACTS,
    replicasMin: min,
    why: '',
    impossible,
  });
  let deployment: DeploymentSpec | null;
  try {
    const loaded = loadDeployment(base, routingPolicies, overridesOf(group, Math.max(2, min), NO_FACTS));
    ({ deployment } = loaded);
    const problem = loaded.issues.find(({ severity }) => severity === 'error');
    if (deployment === null || problem !== undefined) return cannot(problem?.message ?? 'it cannot be built');
  } catch (error) {
    if (error instanceof UserError) return cannot(error.message);
    throw error;
  }
  const pool = deployment.pools.find(({ name }) => name === group.pool)!;
  if (pool.usdPerGpuHour === null)
    return cannot(`no price of ${group.gpu} is known; give one with --price ${group.gpu}=2.50/h`);
  const tooLong = longestOf(context, deployment, pool);
  if (tooLong > pool.limits.maxModelTokens)
    return cannot(
      `prompts of ${tooLong} tokens and their answers, in a window of ${pool.limits.maxModelTokens}`,
    );
  const alone = { ...pool, replicas: 1, scaling: null };
  const one = { ...deployment, pools: deployment.pools.map(each => (each === pool ? alone : each)) };
  const load = offeredLoad({
    ...context,
    deployment: one,
    serverOf: model => serverOf(model, context.plan, one),
  }).find(each => each.pool === pool.name);
  const busy = (load?.utilizationRatio ?? 0) * loadFactor;
  const replicasMin = Math.max(min, Math.ceil(SURE_RATIO * busy - 1e-9));
  return {
    usdPerGpuHour: pool.usdPerGpuHour,
    prefillRatio: prefillRatioOf(context, deployment, pool),
    replicasMin,
    why:
      busy === 0
        ? 'no open traffic comes here'
        : `the work fills about ${busy.toFixed(2)} replicas whose batch is always full (${load!.batch} sequences, bound by ${load!.boundBy === 'kv' ? 'KV capacity' : 'max_num_seqs'})`,
    impossible: null,
  };
}

/** Prompt and answer of the longest call that goes to a pool, tokens. */
export function longestOf({ walks, plan }: LabContext, deployment: DeploymentSpec, pool: PoolSpec): number {
  let longest = 0;
  for (const { calls } of walks)
    for (const { model, promptTokens, outputTokens } of calls) {
      const server = serverOf(model, plan, deployment);
      if (server?.kind === 'pool' && server.pool === pool)
        longest = Math.max(longest, promptTokens + outputTokens);
    }
  return longest;
}

/** By the marginal times of prompt tokens and of decodes. */
export function prefillRatioOf(
  { walks, plan }: LabContext,
  deployment: DeploymentSpec,
  pool: PoolSpec,
): number {
  const { step, limits } = pool.disaggregation?.prefill ?? pool;
  const { prefillNs } = workRate(step, limits);
  const { decodeNs, contextNs } = workRate(pool.step, pool.limits);
  let [prefill, decode] = [0, 0];
  for (const { calls } of walks)
    for (const { model, promptTokens, cachedTokens, outputTokens } of calls) {
      const server = serverOf(model, plan, deployment);
      if (server?.kind !== 'pool' || server.pool !== pool) continue;
      prefill += (promptTokens - cachedTokens) * prefillNs;
      decode += Math.max(0, outputTokens - 1) * (decodeNs + (promptTokens + outputTokens / 2) * contextNs);
    }
  return prefill + decode === 0 ? 0.5 : prefill / (prefill + decode);
}
