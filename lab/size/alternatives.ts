// The same traffic without GPUs of one's own, or with fewer: bought from an API of the same model at list price, and a
// hybrid whose overflow goes there.
import { measuredLatency } from '../../engines/catalog.ts';
import type { DeploymentSpec, PoolSpec } from '../../engines/engine.ts';
import { loadDeployment } from '../../engines/load.ts';
import { apiOffers } from '../../engines/offers.ts';
import { serverOf } from '../../engines/prepare.ts';
import { routingPolicies } from '../../gateway/routing/index.ts';
import { HIT_UNCERTAINTY, hitRatioOf, usdOf } from '../../reports/money.ts';
import { plural, showRatio, showValue } from '../../reports/numbers.ts';
import type { Candidate } from './candidate.ts';
import type { Evaluation, Trial } from './evaluate.ts';
import { keeps } from './kept.ts';
import type { Asking } from './question.ts';
import type { Limits } from './questions/limits-measure.ts';
import { replicasMin, resized } from './questions/replicas.ts';

export interface Alternative {
  readonly kind: 'api' | 'hybrid';
  readonly name: string;
  /** What is bought, by its id in the catalogue of prices. */
  readonly model: string;
  /** Null: priced only. */
  readonly evaluation: Evaluation | null;
  readonly usdPer1000Workflows: number | null;
  readonly usdPerHour: number | null;
  /** Played with latencies that somebody measured or the deployment gives, not priced only or with assumed ones. */
  readonly isJudged: boolean;
  readonly why: string;
}

/** Of the winner's replicas, those that a hybrid keeps. */
const KEPT_RATIOS = [0.75, 0.5, 0.25] as const;
/** Beyond the batch, those who may wait before calls go elsewhere. */
const QUEUED_RATIO = 0.25;
/** Where nobody measured an API: our assumptions, of the size that others have. */
const ASSUMED = { ttft: { median: '600ms', p90: '1.4s' }, ttftMs: 600, tpotMs: 20 } as const;
const LIMITS = new URL('./questions/limits-measure.ts', import.meta.url).href;

type Mapping = Readonly<Record<string, unknown>>;

/** A model of an API that stands in for a pool. */
interface Sold {
  readonly model: string;
  readonly relation: 'same' | 'near' | 'used';
  /** For its provider's file. */
  readonly latency: Mapping;
  readonly isKnown: boolean;
  /** Where its latency is from, in words. */
  readonly rests: string;
}

/** The model's own API, else the nearest in size; null: nothing has a list price. */
function soldFor(pool: PoolSpec): Sold | null {
  const [offer] = apiOffers({ pools: [pool], hosted: [] });
  if (offer === undefined) return null;
  const measured = measuredLatency(offer.model);
  const [ttftMs, tpotMs] = [measured?.ttftMs ?? null, measured?.tpotMs ?? null];
  const isKnown = ttftMs !== null && tpotMs !== null;
  return {
    model: offer.model,
    relation: offer.relation,
    latency: { ttft: ttftMs === null ? ASSUMED.ttft : `${ttftMs}ms`, tpot: `${tpotMs ?? ASSUMED.tpotMs}ms` },
    isKnown,
    rests: [
      ttftMs === null
        ? `${ASSUMED.ttftMs} ms to its first token are assumed`
        : `${ttftMs} ms to its first token as others measured`,
      tpotMs === null
        ? `${ASSUMED.tpotMs} ms a token are assumed: nobody measured them`
        : `${tpotMs} ms a token as others measured`,
    ].join(', '),
  };
}

/** The winner's deployment, as a file holds it. */
interface Base {
  readonly value: Mapping;
  readonly deployment: DeploymentSpec;
  readonly candidate: Candidate;
}

function baseOf({ trial: { candidate } }: Evaluation): Base | null {
  const { source, deployment } = loadDeployment(
    candidate.deployment.input,
    routingPolicies,
    candidate.deployment.set,
  );
  return deployment === null ? null : { value: source.value as Mapping, deployment, candidate };
}

/** A name that nothing has yet. */
function freeName(wanted: string, taken: readonly string[]): string {
  for (let i = 1; ; i++) {
    const name = i === 1 ? wanted : `${wanted}-${i}`;
    if (!taken.includes(name)) return name;
  }
}

const namesOf = ({ pools, hosted }: DeploymentSpec): string[] => [
  ...pools.map(({ name }) => name),
  ...hosted.flatMap(({ name, provider }) => [name, provider]),
];

const overridden = (
  candidate: Candidate,
  more: readonly string[],
  fields: Partial<Candidate>,
): Candidate => ({
  ...candidate,
  ...fields,
  deployment: { ...candidate.deployment, set: [...candidate.deployment.set, ...more] },
});

const nameOf = (model: string): string => model.split('/').at(-1)!;

/** Every pool sold under its own name, and under the aliases that it served, so that all rules go on to hold. */
function apiCandidate(
  { value, deployment, candidate }: Base,
  sold: ReadonlyMap<PoolSpec, Sold>,
  { evaluator }: Asking,
): Candidate {
  const { plan } = evaluator;
  const providers = { ...(value.providers as Mapping | undefined) };
  const taken = namesOf(deployment);
  for (const [pool, { model, latency }] of sold) {
    const aliases = plan.modelsUsed.filter(alias => {
      const server = serverOf(alias, plan, deployment);
      return server?.kind === 'pool' && server.pool === pool;
    });
    const names = [...new Set([pool.name, ...aliases])];
    const provider = freeName('api', [...taken, ...Object.keys(providers)]);
    providers[provider] = { latency, models: Object.fromEntries(names.map(name => [name, { model }])) };
  }
  return overridden(candidate, ['pools={}', `providers=${JSON.stringify(providers)}`], {
    name: `API of ${[...new Set([...sold.values()].map(({ model }) => nameOf(model)))].join(', ')}`,
    group: 'API',
    replicas: 0,
    gpus: 0,
    usdPerHour: 0,
  });
}

/** Fewer replicas, each with a batch that it can hold; what comes beyond goes to the API. */
function hybridCandidate(
  base: Base,
  pool: PoolSpec,
  { model, latency }: Sold,
  replicas: number,
  sequences: number,
): Candidate {
  const { value, deployment } = base;
  const smaller = resized(base, replicas);
  const taken = namesOf(deployment);
  const provider = freeName('overflow-api', taken);
  const target = freeName('overflow', taken);
  const file = (value.pools as Record<string, Mapping>)[pool.name]!;
  const limits = {
    ...(file.limits as Mapping | undefined),
    max_num_seqs: sequences,
    max_queued_requests: Math.max(1, Math.ceil(QUEUED_RATIO * sequences)),
  };
  const gateway = (value.gateway ?? {}) as Mapping;
  const fallback = { ...(gateway.fallback as Mapping | undefined), [pool.name]: [target] };
  const providers = {
    ...(value.providers as Mapping | undefined),
    [provider]: { latency, models: { [target]: { model } } },
  };
  return overridden(
    smaller,
    [
      `pools.${pool.name}.limits=${JSON.stringify(limits)}`,
      `providers=${JSON.stringify(providers)}`,
      `gateway=${JSON.stringify({ ...gateway, fallback })}`,
    ],
    { name: `${plural(replicas, 'replica')}, overflow to ${nameOf(model)}`, group: 'hybrid' },
  );
}

/** Bought from an API, and a hybrid of both; none where no model like those served has a list price. */
export async function alternatives(asking: Asking, winner: Evaluation): Promise<Alternative[]> {
  const base = baseOf(winner);
  if (base === null || base.deployment.pools.length === 0 || winner.tally === null) return [];
  const sold = new Map(
    base.deployment.pools.flatMap(pool => {
      const found = soldFor(pool);
      return found === null ? [] : [[pool, found] as const];
    }),
  );
  if (sold.size < base.deployment.pools.length) return [];
  const api = await apiOf(asking, winner, base, sold);
  const hybrid = await hybridOf(asking, winner, base, sold);
  return [...(api === null ? [] : [api]), ...(hybrid === null ? [] : [hybrid])];
}

/** What is the same for all that is compared with the winner. */
const trialOf = ({ trial }: Evaluation, candidate: Candidate): Trial => ({ ...trial, candidate });

const NOT_PRICED = 'rate limits of an account and discounts are not in it';
const relationText = (sold: readonly Sold[]): string =>
  sold.every(({ relation }) => relation === 'same')
    ? 'the same model'
    : 'another model, the nearest in size that has a list price';

async function apiOf(
  asking: Asking,
  winner: Evaluation,
  base: Base,
  sold: ReadonlyMap<PoolSpec, Sold>,
): Promise<Alternative | null> {
  const candidate = apiCandidate(base, sold, asking);
  const all = [...sold.values()];
  const model = all[0]!.model;
  const common = { kind: 'api' as const, name: candidate.name, model };
  if (all.every(({ isKnown }) => isKnown)) {
    const [evaluation = null] = await asking.evaluator.evaluate([trialOf(winner, candidate)]);
    if (evaluation !== null && evaluation.failure === null)
      return {
        ...common,
        evaluation,
        usdPerHour: evaluation.usdPerHour,
        usdPer1000Workflows: evaluation.usdPer1000Workflows,
        isJudged: true,
        why: `${relationText(all)}; ${all[0]!.rests}; ${NOT_PRICED}`,
      };
  }
  const usdPerWorkflow = listedUsd(winner, base.deployment);
  if (usdPerWorkflow === null) return null;
  const hits = winner.hitRatio ?? 0;
  return {
    ...common,
    evaluation: null,
    usdPerHour: usdPerWorkflow * winner.workflowsPerHour,
    usdPer1000Workflows: usdPerWorkflow * 1000,
    isJudged: false,
    why: `${relationText(all)}, ${all.length > 1 ? `all tokens at the price of ${nameOf(model)}, ` : ''}priced by the winner's tokens with its ${showRatio(hits)} of cache hits (± ${Math.round(100 * HIT_UNCERTAINTY)} points): nobody measured how fast it answers, so its promises are not judged; ${NOT_PRICED}`,
  };
}

/** A workflow of the winner by list price, all its tokens at the API of the first pool; null: nothing completed. */
function listedUsd({ tally }: Evaluation, { pools }: DeploymentSpec): number | null {
  if (tally === null || tally.sessions.completed === 0) return null;
  const [offer] = apiOffers({ pools: pools.slice(0, 1), hosted: [] });
  if (offer === undefined) return null;
  const { prompt, cached, output } = tally.tokens;
  const work = { calls: tally.calls.ok, promptTokens: prompt, cachedTokens: cached, outputTokens: output };
  return usdOf(work, offer.price, hitRatioOf(work)) / tally.sessions.completed;
}

/** The cheapest of a few sizes that breaks no promise, else the one that comes closest; null: there is nothing to take away. */
async function hybridOf(
  asking: Asking,
  winner: Evaluation,
  base: Base,
  sold: ReadonlyMap<PoolSpec, Sold>,
): Promise<Alternative | null> {
  const [pool, second] = base.deployment.pools;
  if (second !== undefined || pool!.disaggregation !== null || pool!.scaling !== null) return null;
  const { replicas } = pool!;
  const sizes = [...new Set(KEPT_RATIOS.map(ratio => Math.floor(ratio * replicas)))].filter(
    size => size >= replicasMin(base.deployment) && size < replicas,
  );
  if (sizes.length === 0) return null;
  const api = sold.get(pool!)!;
  const [looked = null] = await asking.evaluator.evaluate([{ ...winner.trial, seeds: 1, measure: LIMITS }]);
  const pressure = (looked?.measured?.[0] as Limits | undefined)?.pools.find(
    ({ pool: name }) => name === pool!.name,
  );
  if (pressure === undefined) return null;
  const sequences = Math.max(1, Math.min(pool!.limits.maxSequences, Math.ceil(pressure.runningP95)));
  const candidates = sizes.map(size => hybridCandidate(base, pool!, api, size, sequences));
  // Beside an API the only pool is not the only server any more: what it stands in for must name its model.
  const { models } = asking.evaluator.plan;
  const set = [...models]
    .filter(
      ([alias, { modelId }]) =>
        modelId !== pool!.modelId && serverOf(alias, asking.evaluator.plan, base.deployment)?.kind === 'pool',
    )
    .map(([alias]) => `models.${alias}.model=${pool!.modelId}`);
  const played = (
    await asking.evaluator.evaluate(
      candidates.map(candidate => ({
        ...trialOf(winner, candidate),
        set: [...(winner.trial.set ?? []), ...set],
      })),
    )
  ).filter(each => each !== null && each.failure === null) as Evaluation[];
  if (played.length === 0) return null;
  const usd = ({ usdPerHour }: Evaluation): number => usdPerHour ?? Number.POSITIVE_INFINITY;
  const kept = played.filter(keeps).toSorted((a, b) => usd(a) - usd(b));
  const closest = played.toSorted((a, b) => (b.tightest?.marginRatio ?? 0) - (a.tightest?.marginRatio ?? 0));
  const best = kept[0] ?? closest[0]!;
  const { tightest } = best;
  return {
    kind: 'hybrid',
    name: best.trial.candidate.name,
    model: api.model,
    evaluation: best,
    usdPerHour: best.usdPerHour,
    usdPer1000Workflows: best.usdPer1000Workflows,
    isJudged: api.isKnown,
    why: `${kept.length === 0 ? `${sizes.length === 1 ? plural(sizes[0]!, 'replica') : `none of ${sizes.join(', ')} replicas`} would ${sizes.length === 1 ? 'not ' : ''}keep the promises: ${tightest?.text ?? 'a promise'} is ${showValue(tightest?.value ?? null, tightest?.unit ?? 'count')}` : `${sizes.length === 1 ? 'breaks no promise' : `cheapest of ${sizes.join(', ')} replicas that breaks no promise`}`}; at most ${sequences} sequences each, then a 503 and the gateway's fallback to ${relationText([api])}; ${api.rests}; ${NOT_PRICED}`,
  };
}
